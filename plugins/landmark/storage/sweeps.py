"""The tables `landmark_sweeps` and `landmark_sweep_images`: what a sweep finds and has done."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

import psycopg

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
    postponed: int
    indexed: int
    failed: int
    gone: int
    seconds: float
    model: str

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


def compare_listing(
    database: Database,
    sweep: str,
    model: str,
    prefix: str,
    listing: Iterable[S3Object],
    max_batches: int,
    retry_failures: bool = False,
) -> list[int]:
    """Compare a listing with the table: delete what is gone, note what is to be extracted.

    The listing streams into a temporary table and is compared there; nothing of it is held
    in memory. One transaction: a listing that breaks off changes nothing.

    Parameters
    ----------
    sweep : str
        Names this sweep; planning it again replaces the plan.
    prefix : str
        ``s3://bucket/prefix/`` that was listed; rows elsewhere are left alone.
    listing : iterable of S3Object
        Every image below the prefix.
    max_batches : int
        Never more batches than this; what does not fit is left for the next sweep.
    retry_failures : bool
        Also take unchanged images that failed earlier.

    Returns
    -------
    list of int
        Images in each batch.
    """
    with database.connect() as connection:
        connection.execute(
            "CREATE TEMPORARY TABLE listing"
            ' (image_path text COLLATE "C" PRIMARY KEY, etag text, size bigint)'
            " ON COMMIT DROP"
        )
        with connection.cursor().copy("COPY listing FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["text", "text", "int8"])
            for entry in listing:
                copy.write_row(entry)
        connection.execute("ANALYZE listing")
        (seen,) = connection.execute("SELECT count(*) FROM listing").fetchone() or (0,)
        removed = _remove_unlisted(connection, prefix)
        connection.execute(
            "CREATE TEMPORARY TABLE work ON COMMIT DROP AS"
            " SELECT image_path, listing.etag, listing.size,"
            "  row_number() OVER (ORDER BY image_path) - 1 AS number,"
            "  CASE WHEN failure.etag = listing.etag THEN 'retried'"
            "   WHEN landmark.etag IS NULL AND failure.etag IS NULL THEN 'new'"
            "   ELSE 'changed' END AS change"
            " FROM listing"
            " LEFT JOIN (SELECT image_path, etag FROM landmarks WHERE model = %(model)s)"
            "  AS landmark USING (image_path)"
            " LEFT JOIN (SELECT image_path, etag FROM landmark_failures"
            "  WHERE model = %(model)s) AS failure USING (image_path)"
            " WHERE landmark.etag IS DISTINCT FROM listing.etag"
            "  AND (%(retry)s OR failure.etag IS DISTINCT FROM listing.etag)",
            {"model": model, "retry": retry_failures},
        )
        found = dict(
            connection.execute("SELECT change, count(*) FROM work GROUP BY change").fetchall()
        )
        size = batch_size(sum(found.values()), max_batches)
        # One sweep runs at a time: other plans are what finished or killed sweeps left.
        connection.execute("DELETE FROM landmark_sweep_images")
        connection.execute("DELETE FROM landmark_sweeps WHERE sweep = %s", [sweep])
        connection.execute(
            "INSERT INTO landmark_sweeps"
            " (sweep, model, prefix, seen, new, changed, retried, removed, postponed)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                sweep,
                model,
                prefix,
                seen,
                found.get("new", 0),
                found.get("changed", 0),
                found.get("retried", 0),
                removed,
                max(0, sum(found.values()) - size * max_batches),
            ],
        )
        connection.execute(
            "INSERT INTO landmark_sweep_images (sweep, batch, image_path, etag, size)"
            " SELECT %s, number / %s, image_path, etag, size FROM work WHERE number < %s",
            [sweep, size, size * max_batches],
        )
        batches = connection.execute(
            "SELECT count(*) FROM landmark_sweep_images WHERE sweep = %s"
            " GROUP BY batch ORDER BY batch",
            [sweep],
        )
        return [images for (images,) in batches]


def unsettled(database: Database, sweep: str, batch: int) -> list[S3Object]:
    """What is left to extract of a batch, in the order of paths."""
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT image_path, etag, size FROM landmark_sweep_images"
            " WHERE sweep = %s AND batch = %s AND outcome IS NULL ORDER BY image_path",
            [sweep, batch],
        )
        return [S3Object(*row) for row in rows]


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
            "SELECT seen, new, changed, retried, removed, postponed, coalesce(indexed, 0),"
            " coalesce(failed, 0), coalesce(gone, 0),"
            " extract(epoch FROM coalesce(finished_at, clock_timestamp()) - planned_at)::float8,"
            " model FROM landmark_sweeps WHERE sweep = %s",
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


def batch_size(images: int, max_batches: int, smallest: int = 128, largest: int = 256) -> int:
    """Images a batch, so that all batches are of about one size.

    Coarse, since each batch costs a process and the load of a model (as long as some 60 images
    take); bounded, so that one batch is done in minutes.
    """
    size = min(largest, max(smallest, -(-images // max_batches)))
    batches = min(max_batches, max(1, -(-images // size)))
    return max(1, min(largest, -(-images // batches)))


def settle(connection: psycopg.Connection[Any], sweep: str, image_path: str, outcome: str) -> None:
    """Note what became of an image of a sweep."""
    connection.execute(
        "UPDATE landmark_sweep_images SET outcome = %s WHERE sweep = %s AND image_path = %s",
        [outcome, sweep, image_path],
    )


def _remove_unlisted(connection: psycopg.Connection[Any], prefix: str) -> int:
    # Since before the listing began: what a search has indexed meanwhile may not be on it.
    connection.execute(
        "DELETE FROM landmark_failures AS failure"
        " WHERE starts_with(image_path, %s) AND last_failed_at < now()"
        " AND NOT EXISTS (SELECT FROM listing WHERE listing.image_path = failure.image_path)",
        [prefix],
    )
    return connection.execute(
        "DELETE FROM landmarks AS landmark"
        " WHERE starts_with(image_path, %s) AND indexed_at < now()"
        " AND NOT EXISTS (SELECT FROM listing WHERE listing.image_path = landmark.image_path)",
        [prefix],
    ).rowcount
