"""The tables `landmark_sweeps` and `landmark_sweep_images`: what a sweep finds and has done."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from landmark.errors import LandmarkError
from landmark.storage.bucket import S3Object
from landmark.storage.database import Database
from landmark.storage.models import fold_counts


class Sweep(NamedTuple):
    """How a listing differs from the table, and what became of it.

    Parameters
    ----------
    seen : int
        Images listed.
    new, changed, retried : int
        Images to extract: never indexed, of another etag than indexed, failed earlier.
    removed : int
        Rows deleted since their object is gone.
    withheld, had : int
        Rows that were to be deleted, and were kept, as they are too many of those there were.
    same_size : int
        Of those changed: with another etag and the same size.
    passed_over : dict of str to int
        Objects that are taken for no photograph, by suffix or reason; those that people removed.
    postponed : int
        Images left for the next sweep, as they would not fit into the batches allowed.
    indexed, failed, gone : int
        Images settled so far: features written, recorded as a failure, deleted meanwhile.
    seconds : float
        Since it was planned.
    model : str
        Fingerprint.
    """

    seen: int
    new: int
    changed: int
    retried: int
    removed: int
    withheld: int
    had: int
    same_size: int
    postponed: int
    indexed: int
    failed: int
    gone: int
    seconds: float
    model: str
    passed_over: dict[str, int]

    @property
    def left(self) -> int:
        """Images of this sweep that are not settled yet."""
        planned = self.new + self.changed + self.retried - self.postponed
        return planned - self.indexed - self.failed - self.gone


class SweepRow(NamedTuple):
    """One sweep; of a running one, `indexed` and `failed` so far."""

    sweep: str
    model: str
    planned_at: datetime
    finished_at: datetime | None
    seen: int
    new: int
    changed: int
    retried: int
    removed: int
    postponed: int
    indexed: int
    failed: int
    left: int
    seconds: float

    @property
    def rate(self) -> float:
        """Images a second."""
        return (self.indexed + self.failed) / max(self.seconds, 1e-9)


def unsettled(database: Database, sweep: str, batch: int) -> list[S3Object]:
    """What is left to extract of a batch, in the order of paths."""
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT image_path, etag, size FROM landmark_sweep_images"
            " WHERE sweep = %s AND batch = %s AND outcome IS NULL ORDER BY image_path",
            [sweep, batch],
        )
        return [S3Object(*row) for row in rows]


def note_passed_over(database: Database, sweep: str, counts: Mapping[str, int]) -> None:
    """Keep what a sweep's listing has passed over, beside what the plan has."""
    with database.connect() as connection:
        connection.execute(
            "UPDATE landmark_sweeps SET passed_over = passed_over || %s WHERE sweep = %s",
            [Jsonb(dict(counts)), sweep],
        )


def read_image(database: Database, sweep: str) -> str | None:
    """The path of an image that was read not long ago: of this sweep, or else of its prefix."""
    with database.connect() as connection:
        row = connection.execute(
            "(SELECT image_path FROM landmark_sweep_images"
            "  WHERE sweep = %(sweep)s AND outcome = 'indexed' LIMIT 1)"
            " UNION ALL (SELECT image_path FROM landmarks JOIN landmark_sweeps USING (model)"
            "  WHERE sweep = %(sweep)s AND starts_with(image_path, prefix)"
            "  ORDER BY landmarks.id DESC LIMIT 1) LIMIT 1",
            {"sweep": sweep},
        ).fetchone()
    return None if row is None else row[0]


def settle_gone(database: Database, sweep: str, image_path: str) -> None:
    """Note that an image of the sweep was deleted after it was listed."""
    with database.connect() as connection:
        settle(connection, sweep, image_path, "gone")


def close_sweep(database: Database, sweep: str) -> Sweep:
    """Write down what became of a sweep's images, and return it."""
    with database.connect() as connection:
        fold_counts(connection)
        connection.execute(
            "UPDATE landmark_sweeps SET finished_at = clock_timestamp(),"
            " indexed = outcomes.indexed, failed = outcomes.failed, gone = outcomes.gone FROM"
            " (SELECT count(*) FILTER (WHERE outcome = 'indexed') AS indexed,"
            "   count(*) FILTER (WHERE outcome = 'failed') AS failed,"
            "   count(*) FILTER (WHERE outcome = 'gone') AS gone"
            "  FROM landmark_sweep_images WHERE sweep = %(sweep)s) AS outcomes"
            " WHERE sweep = %(sweep)s",
            {"sweep": sweep},
        )
    return find_sweep(database, sweep)


def find_sweep(database: Database, sweep: str) -> Sweep:
    """What a sweep has found, and what became of its images when it was finished.

    Raises
    ------
    LandmarkError
        If it was never planned.
    """
    with database.connect() as connection:
        row = connection.execute(
            "SELECT seen, new, changed, retried, removed, withheld, had, same_size, postponed,"
            " coalesce(indexed, 0),"
            " coalesce(failed, 0), coalesce(gone, 0),"
            " extract(epoch FROM coalesce(finished_at, clock_timestamp()) - planned_at)::float8,"
            " model, passed_over FROM landmark_sweeps WHERE sweep = %s",
            [sweep],
        ).fetchone()
    if row is None:
        raise LandmarkError(f"sweep {sweep!r} was never planned; run landmark_index again")
    return Sweep(*row)


def recent_sweeps(database: Database, number: int, sweep: str | None = None) -> list[SweepRow]:
    """The last sweeps, newest first; or the one of this name."""
    return database.rows(
        SweepRow,
        "SELECT sweep, model, planned_at, finished_at, seen, new, changed, retried,"
        " removed, postponed, coalesce(indexed, so_far.indexed_now) AS indexed,"
        " coalesce(failed, so_far.failed_now) AS failed,"
        " CASE WHEN finished_at IS NULL THEN so_far.open ELSE 0 END AS left,"
        " extract(epoch FROM coalesce(finished_at, now()) - planned_at)::float8 AS seconds"
        " FROM landmark_sweeps CROSS JOIN LATERAL"
        " (SELECT count(*) FILTER (WHERE outcome = 'indexed') AS indexed_now,"
        "   count(*) FILTER (WHERE outcome = 'failed') AS failed_now,"
        "   count(*) FILTER (WHERE outcome IS NULL) AS open"
        "  FROM landmark_sweep_images AS image WHERE image.sweep = landmark_sweeps.sweep)"
        " AS so_far WHERE %(sweep)s::text IS NULL OR sweep = %(sweep)s"
        " ORDER BY planned_at DESC LIMIT %(number)s",
        {"sweep": sweep, "number": number},
    )


def settle(connection: psycopg.Connection[Any], sweep: str, image_path: str, outcome: str) -> None:
    """Note what became of an image of a sweep."""
    connection.execute(
        "UPDATE landmark_sweep_images SET outcome = %s WHERE sweep = %s AND image_path = %s",
        [outcome, sweep, image_path],
    )
