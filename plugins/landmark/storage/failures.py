"""The table `landmark_failures` as people look at it: which images could not be used, and why."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from landmark.storage.database import Database

#: A reason's examples.
EXAMPLES = 12


class Reason(NamedTuple):
    """Images that failed for one reason.

    Parameters
    ----------
    reason : str
        Without the image's own path; and, unless all have the same, without its figures.
    images : int
    last : datetime
    examples : list of dict
        The latest: `image_path` and the whole `reason`.
    """

    reason: str
    images: int
    last: datetime
    examples: list[dict[str, str]]


class Failure(NamedTuple):
    """One image that a model could not use.

    Parameters
    ----------
    image_path, model, reason : str
    attempts : int
        Of this version of the image.
    last_failed_at : datetime
    """

    image_path: str
    model: str
    reason: str
    attempts: int
    last_failed_at: datetime


def failures_by_reason(database: Database, sweep: str | None = None) -> list[Reason]:
    """The failures of the index, or of one sweep, by their reason, the most frequent first.

    A message names its image first and has figures of it; without them the reason is left.
    """
    return database.rows(
        Reason,
        "WITH named AS (SELECT image_path, reason, last_failed_at,"
        "  CASE WHEN starts_with(reason, image_path || ': ')"
        "   THEN substr(reason, length(image_path) + 3) ELSE reason END AS told"
        "  FROM landmark_failures WHERE %(sweep)s::text IS NULL OR (image_path, model) IN"
        "   (SELECT image_path, model FROM landmark_sweep_images"
        "    JOIN landmark_sweeps USING (sweep) WHERE sweep = %(sweep)s AND outcome = 'failed')),"
        " kinds AS (SELECT *, regexp_replace(told, '[0-9][0-9,.x]*', '…', 'g') AS kind FROM named),"
        " numbered AS (SELECT *, row_number() OVER (PARTITION BY kind"
        "  ORDER BY last_failed_at DESC, image_path) AS number FROM kinds)"
        " SELECT CASE WHEN min(told) = max(told) THEN min(told) ELSE kind END AS reason,"
        "  count(*) AS images, max(last_failed_at) AS last,"
        "  json_agg(json_build_object('image_path', image_path, 'reason', reason)"
        "   ORDER BY number) FILTER (WHERE number <= %(examples)s) AS examples"
        " FROM numbered GROUP BY kind ORDER BY count(*) DESC, kind",
        {"sweep": sweep, "examples": EXAMPLES},
    )


def failures_below(database: Database, prefix: str) -> list[tuple[str, str]]:
    """Path and reason of each image below a prefix that could not be used, by path."""
    with database.connect() as connection:
        return connection.execute(
            "SELECT DISTINCT ON (image_path) image_path, reason FROM landmark_failures"
            " WHERE starts_with(image_path, %s) ORDER BY image_path, last_failed_at DESC",
            [prefix],
        ).fetchall()


def list_failures(database: Database, most: int, after: str = "") -> list[Failure]:
    """Images that could not be used, by path.

    Parameters
    ----------
    after : str
        Only those of a greater path.
    """
    return database.rows(
        Failure,
        "SELECT image_path, model, reason, attempts, last_failed_at FROM landmark_failures"
        " WHERE image_path > %s ORDER BY image_path, model LIMIT %s",
        [after, most],
    )


def failures_of(database: Database, image_path: str) -> list[Failure]:
    """Why an image could not be used, by each model that could not."""
    return database.rows(
        Failure,
        "SELECT image_path, model, reason, attempts, last_failed_at FROM landmark_failures"
        " WHERE image_path = %s ORDER BY last_failed_at DESC",
        [image_path],
    )


def try_again(database: Database, image_path: str) -> bool:
    """Have the next sweep try an image again, though it has not changed; whether it had failed."""
    with database.connect() as connection:
        cursor = connection.execute(
            "UPDATE landmark_failures SET etag = '' WHERE image_path = %s", [image_path]
        )
    return cursor.rowcount > 0
