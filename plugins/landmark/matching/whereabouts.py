"""Where photographs of one place were taken, as far as they say so: a centre that few wrong ones
do not move.

The geometric median: the point with the least sum of distances (Weiszfeld, 1937; what to do where
it meets one of the points: Vardi and Zhang, "The multivariate L1-median and associated data depth",
2000). Half of the photographs must say something else before it goes anywhere. It is sought between
unit vectors, so that neither the poles nor the date line are any different.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

EARTH_RADIUS_M = 6_371_008.8  # IUGG's mean
ITERATIONS, NEARER_M = 1_000, 0.01
# Of degrees: 1 m.
DECIMALS = 5


@dataclass(frozen=True)
class Whereabouts:
    """Where photographs were taken.

    Parameters
    ----------
    latitude, longitude : float
        Of the centre, degrees of WGS 84.
    spread_m : int
        Half of the photographs are within so many metres of it.
    photographs : int
        How many said where they were taken.
    """

    latitude: float
    longitude: float
    spread_m: int
    photographs: int

    @property
    def told(self) -> str:
        """As people read it."""
        several = "" if self.photographs == 1 else "s"
        spread = f"half within {self.spread_m:,} m, " if self.photographs > 1 else ""
        return (
            f"{self.latitude:.5f}, {self.longitude:.5f} ({spread}"
            f"by {self.photographs} photograph{several})"
        )

    def to_geojson(self) -> dict[str, Any]:
        """A feature as of RFC 7946: longitude first."""
        return {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [self.longitude, self.latitude]},
            "properties": {"spread_m": self.spread_m, "photographs": self.photographs},
        }

    @classmethod
    def from_geojson(cls, feature: Any) -> dict[str, Any]:
        """The fields of what `to_geojson` gave; `ValueError` if it is none of ours."""
        try:
            longitude, latitude = feature["geometry"]["coordinates"]
            return {"latitude": latitude, "longitude": longitude, **feature["properties"]}
        except (LookupError, TypeError, ValueError):
            raise ValueError("no place of a search") from None


def whereabouts(places: Sequence[tuple[float, float]]) -> Whereabouts | None:
    """The centre of places (latitude, longitude), in degrees; None of none.

    The same whatever their order.
    """
    if not places:
        return None
    points = _unit_vectors(np.array(sorted(places), np.float64))
    centre = _median(points)
    latitude = np.degrees(np.arcsin(np.clip(centre[2], -1, 1)))
    longitude = np.degrees(np.arctan2(centre[1], centre[0]))
    spread = float(np.median(_distances(points, centre)))
    return Whereabouts(
        round(float(latitude), DECIMALS),
        round(float(longitude), DECIMALS),
        round(spread * EARTH_RADIUS_M),
        len(places),
    )


def _median(points: NDArray[np.float64]) -> NDArray[np.float64]:
    centre = _on_earth(points.mean(axis=0), points[0])
    for _ in range(ITERATIONS):
        away = np.linalg.norm(points - centre, axis=1)
        there = away < NEARER_M / EARTH_RADIUS_M
        if there.all():
            break
        weights = 1 / away[~there]
        mean = (weights[:, None] * points[~there]).sum(axis=0) / weights.sum()
        # A point that the centre meets holds it, unless the others together pull harder.
        pull = float(np.linalg.norm((weights[:, None] * (points[~there] - centre)).sum(axis=0)))
        hold = min(1.0, there.sum() / pull) if pull else 1.0
        moved = _on_earth((1 - hold) * mean + hold * centre, centre)
        nearer, centre = float(np.linalg.norm(moved - centre)) * EARTH_RADIUS_M, moved
        if nearer < NEARER_M:
            break
    return centre


def _unit_vectors(places: NDArray[np.float64]) -> NDArray[np.float64]:
    latitudes, longitudes = np.radians(places).T
    across = np.cos(latitudes)
    return np.stack(
        [across * np.cos(longitudes), across * np.sin(longitudes), np.sin(latitudes)], axis=1
    )


def _on_earth(point: NDArray[np.float64], instead: NDArray[np.float64]) -> NDArray[np.float64]:
    """A point drawn to the surface; of its middle, where no side is nearer, another instead."""
    length = float(np.linalg.norm(point))
    return point / length if length > 1e-9 else instead


def _distances(points: NDArray[np.float64], centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Along the surface, in radii; exact also where they are small."""
    return 2 * np.arcsin(np.clip(np.linalg.norm(points - centre, axis=1) / 2, 0, 1))
