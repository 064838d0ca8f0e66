"""What the index page tells: the newest images, failures by reason, growth, sweeps.

Apart from `store`, since indexing and searching need nothing here but a sweep's reasons; reads
only.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, NamedTuple, TypeVar

from psycopg.rows import class_row
from typing_extensions import LiteralString

from landmark.store import Store

Row = TypeVar("Row")

#: A reason's examples.
EXAMPLES = 12


class Day(NamedTuple):
    """A day, and how many images had been indexed at its end."""

    day: date
    images: int


class Reason(NamedTuple):
    """Images that failed for one reason.

    Parameters
    ----------
    reason : str
        Without the image's own path and figures.
    images : int
    last : datetime
    examples : list of dict
        The latest: `image_path` and the whole `reason`.
    """

    reason: str
    images: int
    last: datetime
    examples: list[dict[str, str]]


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


def _read(store: Store, kind: type[Row], query: LiteralString, values: Any = None) -> list[Row]:
    with store.connect() as connection:
        cursor = connection.cursor(row_factory=class_row(kind))
        return cursor.execute(query, values).fetchall()


def growth(store: Store, model: str) -> list[Day]:
    """The model's images at the end of each day that brought some, oldest first."""
    return _read(
        store,
        Day,
        "SELECT day, sum(sum(images)) OVER (ORDER BY day)::bigint AS images FROM landmark_counts"
        " WHERE model = %s GROUP BY day HAVING sum(images) > 0 ORDER BY day",
        [model],
    )


def newest(store: Store, model: str, images: int) -> list[str]:
    """Paths of the images that came last, the last first."""
    with store.connect() as connection:
        rows = connection.execute(
            "SELECT image_path FROM landmarks WHERE model = %s ORDER BY id DESC LIMIT %s",
            [model, images],
        )
        return [path for (path,) in rows]


def failures(store: Store, sweep: str | None = None) -> list[Reason]:
    """The failures of the index, or of one sweep, by their reason, the most frequent first.

    A message names its image first and has figures of it; without them the reason is left.
    """
    return _read(
        store,
        Reason,
        "WITH named AS (SELECT image_path, reason, last_failed_at, regexp_replace("
        "  CASE WHEN starts_with(reason, image_path || ': ')"
        "   THEN substr(reason, length(image_path) + 3) ELSE reason END,"
        "  '[0-9][0-9,.x]*', '…', 'g') AS kind FROM landmark_failures"
        "  WHERE %(sweep)s::text IS NULL OR (image_path, model) IN"
        "   (SELECT image_path, model FROM landmark_sweep_images"
        "    JOIN landmark_sweeps USING (sweep) WHERE sweep = %(sweep)s AND outcome = 'failed')),"
        " numbered AS (SELECT *, row_number() OVER (PARTITION BY kind"
        "  ORDER BY last_failed_at DESC, image_path) AS number FROM named)"
        " SELECT kind AS reason, count(*) AS images, max(last_failed_at) AS last,"
        "  json_agg(json_build_object('image_path', image_path, 'reason', reason)"
        "   ORDER BY number) FILTER (WHERE number <= %(examples)s) AS examples"
        " FROM numbered GROUP BY kind ORDER BY count(*) DESC, kind",
        {"sweep": sweep, "examples": EXAMPLES},
    )


def sweeps(store: Store, number: int, sweep: str | None = None) -> list[SweepRow]:
    """The last sweeps, newest first; or the one of this name."""
    return _read(
        store,
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


def knows(store: Store, image_path: str) -> bool:
    """Whether an image is indexed, or has failed to be."""
    with store.connect() as connection:
        row: tuple[Any, ...] | None = connection.execute(
            "SELECT EXISTS (SELECT FROM landmarks WHERE image_path = %(path)s)"
            " OR EXISTS (SELECT FROM landmark_failures WHERE image_path = %(path)s)",
            {"path": image_path},
        ).fetchone()
    return bool(row and row[0])
