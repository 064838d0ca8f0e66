"""A place, its views, and what differs between them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from gallery.panel import Rng
from gallery.shapes import Part, World

PI = math.pi


@dataclass
class View:
    """One photograph of a place."""

    eye: tuple[float, float, float]
    aim: tuple[float, float, float]
    fov: float
    light: str
    # Of the sun, in degrees; 0 lies behind the photographer of a view straight on.
    azimuth: float
    season: str = "summer"
    people: list[tuple[float, float, float, str]] = field(default_factory=list)
    # What is nearer than `blur` metres is out of focus; 0: everything is sharp.
    blur: float = 0.0
    roll: float = 0.0


@dataclass
class Place:
    """A scene with what changes between its views kept apart from what stays."""

    world: World
    views: list[View]
    trees: list[tuple[float, float, float, str]] = field(default_factory=list)
    lamps: list[tuple[tuple[float, float, float], float]] = field(default_factory=list)
    # Circles (x, y, radius) where nobody can stand.
    blocked: list[tuple[float, float, float]] = field(default_factory=list)


def around(
    aim: tuple[float, float, float],
    angle: float,
    dist: float,
    fov: float,
    light: str,
    azimuth: float,
    season: str = "summer",
    people: list[tuple[float, float, float, str]] | None = None,
    height: float = 1.65,
    blur: float = 0.0,
    roll: float = 0.0,
) -> View:
    """Build a view from `dist` metres, `angle` degrees to the side of straight on.

    People are given relative to the camera: distance, offset to the right, facing (0: towards the
    camera, pi: away from it) and pose.
    """
    a = math.radians(angle)
    eye = (aim[0] + dist * math.sin(a), aim[1] - dist * math.cos(a), height)
    return View(eye, aim, fov, light, azimuth, season, people or [], blur, roll)


def tour(
    aim: tuple[float, float, float],
    dist: float,
    fov: float,
    rng: Rng,
    lights: tuple[str, str, str, str, str],
    angles: tuple[float, ...] = (-5, 27, -24, 11, -13),
    scale: tuple[float, ...] = (1.0, 0.95, 0.85, 1.25, 0.8),
    height: float = 1.65,
    portrait: int = -1,
    crowd: bool = True,
) -> list[View]:
    """Five views round a place, each with its own light, season, distance and visitors."""
    seasons = {"snow": "winter", "autumn": "autumn"}
    out = []
    for i, (kind, angle, s) in enumerate(zip(lights, angles, scale, strict=True)):
        people: list[tuple[float, float, float, str]] = []
        if i == portrait:
            people = [(2.5, rng.choice([-1, 1]) * 0.75, PI + rng.normal(0, 0.35), "stand")]
        elif crowd:
            for _ in range(int(rng.integers(1, 4))):
                d = rng.uniform(7, 12)
                people.append((d, rng.uniform(-0.36, 0.36) * d, rng.uniform(0, 6.28), ""))
        sun = float(rng.uniform(25, 60) * rng.choice([-1, 1]))
        out.append(
            around(
                aim,
                angle,
                dist * s,
                fov * (1.0 + 0.05 * (i % 3)),
                kind,
                sun,
                seasons.get(kind, "summer"),
                people,
                height,
                3.6 if i == portrait else 0.0,
                float(rng.normal(0, 0.7)),
            )
        )
    return out


def populate(place: Place, view: View, seed: int) -> list[Part]:
    """Return what one view adds to the place: the season's trees and that day's people."""
    world = World()
    for i, (x, y, h, kind) in enumerate(place.trees):
        world.tree(
            np.random.default_rng(1000 + i + int(abs(x) * 10)), (x, y, 0), h, view.season, kind
        )
    rng = np.random.default_rng(seed)
    f = np.array(view.aim[:2]) - np.array(view.eye[:2])
    f /= np.linalg.norm(f)
    side = np.array([f[1], -f[0]])
    base = math.atan2(-f[0], f[1])
    for dist, off, facing, pose in view.people:
        at = np.array(view.eye[:2]) + dist * f + off * side
        for x, y, r in place.blocked:
            away = at - (x, y)
            gap = float(np.linalg.norm(away)) + 1e-6
            if gap < r:
                at = at + away / gap * (r - gap)
        world.person(
            rng, (at[0], at[1], 0), base + facing, pose=pose, detail=0.013 if dist < 4 else 0.024
        )
    return world.parts
