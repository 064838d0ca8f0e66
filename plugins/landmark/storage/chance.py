"""The table `landmark_chance`: what was measured of chance on the images of each model."""

from __future__ import annotations

from typing import NamedTuple

from landmark.matching.chance import ChanceHistogram
from landmark.storage.database import Database


class MeasuredChance(NamedTuple):
    """Pairs of a table's images that show different places.

    Parameters
    ----------
    nights : int
        In which they were measured.
    histogram : ChanceHistogram
    """

    nights: int
    histogram: ChanceHistogram


def measured_chance(database: Database, model: str) -> MeasuredChance:
    """What was measured so far; no pairs before the first night."""
    with database.connect() as connection:
        row = connection.execute(
            "SELECT nights, histogram FROM landmark_chance WHERE model = %s", [model]
        ).fetchone()
    if row is None:
        return MeasuredChance(0, ChanceHistogram())
    return MeasuredChance(row[0], ChanceHistogram(tuple(row[1])))


def save_chance(database: Database, model: str, measured: MeasuredChance) -> None:
    """Write what is known from now on."""
    counts = list(measured.histogram.counts)
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO landmark_chance (model, nights, pairs, histogram, measured_at)"
            " VALUES (%s, %s, %s, %b::bigint[], clock_timestamp())"
            " ON CONFLICT (model) DO UPDATE SET nights = excluded.nights, pairs = excluded.pairs,"
            " histogram = excluded.histogram, measured_at = excluded.measured_at",
            [model, measured.nights, measured.histogram.pairs, counts],
        )
