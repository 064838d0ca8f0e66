"""A bucket's listing compared with the table: what goes, and what a sweep has to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from landmark.errors import LandmarkError
from landmark.storage.bucket import S3Object
from landmark.storage.database import Database
from landmark.storage.removals import apply_removals

# A sweep of fewer may remove any share of them, but never all.
FEW_IMAGES = 20
# Rows that are fetched, or deleted, at a time.
ROWS_AT_ONCE = 1_000
# Images of a batch: fewer would take less long than a process and a model to begin.
SMALLEST_BATCH, LARGEST_BATCH = 32, 256
# Of a sweep's `passed_over`: what people have removed from the index.
KEPT_OUT = "removed"


def compare_listing(
    database: Database,
    sweep: str,
    model: str,
    prefix: str,
    listing: Iterable[S3Object],
    max_batches: int,
    retry_failures: bool = False,
    max_removed_share: float = 1,
    others: Callable[[Iterable[S3Object]], Iterable[S3Object]] = lambda objects: (),
    at_once: int = 1,
) -> list[int]:
    """Compare a listing with the table: delete what is gone, note what is to be extracted.

    The listing streams into a temporary table and is compared there; nothing of it is held
    in memory. One transaction: a listing that breaks off changes nothing. What people have removed
    stays out, as if it were not listed.

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
    max_removed_share : float
        Of the rows below the prefix, 0 to 1. Where more would go, none does; and none if all would,
        unless this is 1.
    others : callable
        Given the objects that were never tried, says which of them are no photographs; these are
        left as if they were not listed.
    at_once : int
        Batches that are extracted at once.

    Returns
    -------
    list of int
        Images in each batch.

    Raises
    ------
    LandmarkError
        If a sweep of this name was planned for another prefix: by another deployment.
    """
    with database.connect() as connection:
        connection.execute(
            "CREATE TEMPORARY TABLE listing"
            ' (image_path text COLLATE "C", etag text, size bigint) ON COMMIT DROP'
        )
        _refuse_other_prefix(connection, sweep, prefix)
        with connection.cursor().copy("COPY listing FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["text", "text", "int8"])
            for entry in listing:
                copy.write_row(entry)
        _index_listing(connection)
        connection.execute("ANALYZE listing")
        kept_out = apply_removals(connection)
        had, removed, withheld = _remove_unlisted(connection, prefix, max_removed_share)
        connection.execute(
            "CREATE TEMPORARY TABLE work ON COMMIT DROP AS"
            " SELECT image_path, listing.etag, listing.size,"
            "  landmark.size = listing.size AS same_size,"
            "  CASE WHEN failure.etag IN (listing.etag, '') THEN 'retried'"
            "   WHEN landmark.etag IS NULL AND failure.etag IS NULL THEN 'new'"
            "   ELSE 'changed' END AS change"
            " FROM listing"
            " LEFT JOIN (SELECT image_path, etag, size FROM landmarks WHERE model = %(model)s)"
            "  AS landmark USING (image_path)"
            " LEFT JOIN (SELECT image_path, etag FROM landmark_failures"
            "  WHERE model = %(model)s) AS failure USING (image_path)"
            " WHERE landmark.etag IS DISTINCT FROM listing.etag"
            "  AND (%(retry)s OR failure.etag IS DISTINCT FROM listing.etag)",
            {"model": model, "retry": retry_failures},
        )
        _drop_others(connection, others)
        (seen,) = connection.execute("SELECT count(*) FROM listing").fetchone() or (0,)
        found = dict(
            connection.execute("SELECT change, count(*) FROM work GROUP BY change").fetchall()
        )
        (same_size,) = connection.execute(
            "SELECT count(*) FROM work WHERE change = 'changed' AND same_size"
        ).fetchone() or (0,)
        size = batch_size(sum(found.values()), max_batches, at_once)
        # One sweep of a prefix runs at a time: its others are what finished or killed ones left.
        connection.execute(
            "DELETE FROM landmark_sweep_images WHERE sweep IN"
            " (SELECT sweep FROM landmark_sweeps WHERE prefix = %s)",
            [prefix],
        )
        connection.execute("DELETE FROM landmark_sweeps WHERE sweep = %s", [sweep])
        connection.execute(
            "INSERT INTO landmark_sweeps"
            " (sweep, model, prefix, seen, new, changed, retried, removed, withheld, had,"
            "  same_size, postponed, passed_over)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                sweep,
                model,
                prefix,
                seen,
                found.get("new", 0),
                found.get("changed", 0),
                found.get("retried", 0),
                removed,
                withheld,
                had,
                same_size,
                max(0, sum(found.values()) - size * max_batches),
                Jsonb({KEPT_OUT: kept_out} if kept_out else {}),
            ],
        )
        connection.execute(
            "INSERT INTO landmark_sweep_images (sweep, batch, image_path, etag, size)"
            " SELECT %s, number / %s, image_path, etag, size FROM (SELECT *,"
            "  row_number() OVER (ORDER BY image_path) - 1 AS number FROM work) AS numbered"
            " WHERE number < %s",
            [sweep, size, size * max_batches],
        )
        batches = connection.execute(
            "SELECT count(*) FROM landmark_sweep_images WHERE sweep = %s"
            " GROUP BY batch ORDER BY batch",
            [sweep],
        )
        return [images for (images,) in batches]


def _drop_others(
    connection: psycopg.Connection[Any],
    others: Callable[[Iterable[S3Object]], Iterable[S3Object]],
) -> None:
    """Take what is no photograph from what is listed and to be extracted."""
    with connection.cursor("never_tried") as cursor:
        cursor.itersize = ROWS_AT_ONCE
        cursor.execute("SELECT image_path, etag, size FROM work WHERE change = 'new'")
        found = iter(others(S3Object(*row) for row in cursor))
        while paths := [entry.path for entry in islice(found, ROWS_AT_ONCE)]:
            for table in ("work", "listing"):
                connection.execute(
                    sql.SQL("DELETE FROM {} WHERE image_path = ANY(%s)").format(
                        sql.Identifier(table)
                    ),
                    [paths],
                )


def batch_size(images: int, max_batches: int, at_once: int = 1) -> int:
    """Images a batch, all batches of about one size, so that those at once end together.

    Coarse, since each batch costs a process and the load of a model; bounded, so that one batch is
    done in minutes.

    Parameters
    ----------
    at_once : int
        Batches that share the cores: there are as many, or some times as many, rather than one
        that computes alone in the end.
    """
    rounds = max(1, -(-images // (at_once * LARGEST_BATCH)))
    batches = min(rounds * at_once, max_batches, max(1, -(-images // SMALLEST_BATCH)))
    return max(1, min(LARGEST_BATCH, -(-images // batches)))


def _index_listing(connection: psycopg.Connection[Any]) -> None:
    """Index the listing by path, each only once.

    A key may be listed twice, as pages are put together while others write. To look for such costs
    a tenth of a plan, so the index tells.
    """
    index = "CREATE UNIQUE INDEX ON listing (image_path)"
    try:
        with connection.transaction():
            connection.execute(index)
    except psycopg.errors.UniqueViolation:
        connection.execute(
            "DELETE FROM listing AS one USING listing AS other"
            " WHERE one.image_path = other.image_path AND one.ctid > other.ctid"
        )
        connection.execute(index)


def _refuse_other_prefix(connection: psycopg.Connection[Any], sweep: str, prefix: str) -> None:
    row = connection.execute(
        "SELECT prefix FROM landmark_sweeps WHERE sweep = %s", [sweep]
    ).fetchone()
    if row is not None and row[0] != prefix:
        raise LandmarkError(
            f"sweep {sweep} of {row[0]} is another deployment's; give this one, of {prefix}, a "
            f"database of its own"
        )


def _remove_unlisted(
    connection: psycopg.Connection[Any], prefix: str, max_share: float
) -> tuple[int, int, int]:
    """Delete rows whose object is not listed; how many there were, went, and were kept."""
    # Since before the listing began: what a search has indexed meanwhile may not be on it.
    had, gone = connection.execute(
        "SELECT count(*), count(*) FILTER (WHERE listing.image_path IS NULL)"
        " FROM landmarks LEFT JOIN listing USING (image_path)"
        " WHERE starts_with(landmarks.image_path, %s) AND indexed_at < now()",
        [prefix],
    ).fetchone() or (0, 0)
    too_many = gone == had or (had >= FEW_IMAGES and gone > max_share * had)
    if gone and too_many and max_share < 1:
        return had, 0, gone
    for table, time in (("landmark_failures", "last_failed_at"), ("landmarks", "indexed_at")):
        connection.execute(
            sql.SQL(
                "DELETE FROM {table} AS row WHERE starts_with(image_path, %s) AND {time} < now()"
                " AND NOT EXISTS (SELECT FROM listing WHERE listing.image_path = row.image_path)"
            ).format(table=sql.Identifier(table), time=sql.Identifier(time)),
            [prefix],
        )
    return had, gone, 0
