"""The table `landmark_corrections`: which photographs people say to show one place, or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from typing_extensions import LiteralString

from landmark.errors import LandmarkError
from landmark.storage.database import Database

# Of a query that takes `ids` of images: every pair with one of them that people have spoken of, by
# ids of the same model, as `first`, `second` and `is_same`. The other's id is looked up and not
# joined: a planner that expects many would read all images.
SAID_PAIRS: LiteralString = (
    "SELECT least(own, other) AS first, greatest(own, other) AS second, is_same FROM"
    " (SELECT one.id AS own, is_same, (SELECT two.id FROM landmarks AS two"
    "    WHERE two.model = one.model AND two.image_path = word.path) AS other"
    "  FROM landmarks AS one,"
    "  LATERAL (SELECT second AS path, is_same FROM landmark_corrections"
    "    WHERE first = one.image_path AND ended_at IS NULL"
    "   UNION ALL SELECT first, is_same FROM landmark_corrections"
    "    WHERE second = one.image_path AND ended_at IS NULL) AS word"
    "  WHERE one.id = ANY(%(ids)s::bigint[])) AS pair"
    " WHERE other IS NOT NULL"
)
# Rows of an export that are in memory at once.
CHUNK = 1_000


@dataclass(frozen=True)
class Correction:
    """What one person has said of two photographs.

    Parameters
    ----------
    number : int
        Ascending with time.
    first, second : str
        ``s3://bucket/key``, the smaller path first.
    is_same : bool
        Whether they show the same place.
    said_by : str
    said_at : datetime
    ended_by, ended_at : str, datetime or None
        Who has taken it back or said the contrary; None as long as it stands.
    """

    number: int
    first: str
    second: str
    is_same: bool
    said_by: str
    said_at: datetime
    ended_by: str | None
    ended_at: datetime | None

    @property
    def stands(self) -> bool:
        """Whether it counts."""
        return self.ended_at is None

    @property
    def word(self) -> str:
        """As people read it."""
        return "the same place" if self.is_same else "not the same place"


def say(database: Database, one: str, other: str, is_same: bool, person: str) -> None:
    """Note what a person says of two photographs, whoever has said what before.

    What stands already is not said again.

    Raises
    ------
    LandmarkError
        If it is one photograph.
    """
    if one == other:
        raise LandmarkError(f"{one}: a photograph shows the place that it shows; name another")
    pair = pair_of(one, other)
    with database.connect() as connection:
        # Whoever else speaks of this pair waits: one word of it stands.
        connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"said of {' '.join(pair)}"]
        )
        standing = connection.execute(
            "SELECT is_same FROM landmark_corrections"
            " WHERE first = %s AND second = %s AND ended_at IS NULL",
            pair,
        ).fetchone()
        if standing == (is_same,):
            return
        connection.execute(
            "UPDATE landmark_corrections SET ended_by = %s, ended_at = clock_timestamp()"
            " WHERE first = %s AND second = %s AND ended_at IS NULL",
            [person, *pair],
        )
        connection.execute(
            "INSERT INTO landmark_corrections (first, second, is_same, said_by)"
            " VALUES (%s, %s, %s, %s)",
            [*pair, is_same, person],
        )


def take_back(database: Database, number: int, person: str) -> None:
    """End a correction that stands: from now on the two are what was measured of them."""
    with database.connect() as connection:
        connection.execute(
            "UPDATE landmark_corrections SET ended_by = %s, ended_at = clock_timestamp()"
            " WHERE number = %s AND ended_at IS NULL",
            [person, number],
        )


def standing_among(database: Database, paths: Sequence[str]) -> dict[tuple[str, str], Correction]:
    """What stands of pairs whose photographs are both among some, by (first, second)."""
    found = database.rows(
        Correction,
        "SELECT * FROM landmark_corrections WHERE ended_at IS NULL"
        " AND first = ANY(%(paths)s) AND second = ANY(%(paths)s) ORDER BY first, second",
        {"paths": list(paths)},
    )
    return {(one.first, one.second): one for one in found}


def said_of(database: Database, model: str, paths: Sequence[str]) -> dict[str, dict[int, bool]]:
    """Of photographs, indexed or not, what stands of each and images of the model.

    Returns
    -------
    dict
        By path, whether the images of some ids show its place; only where people have spoken.
    """
    found: dict[str, dict[int, bool]] = {}
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT own, id, is_same FROM (SELECT own, is_same, (SELECT id FROM landmarks"
            "   WHERE model = %(model)s AND image_path = word.path) AS id FROM"
            "  (SELECT first AS own, second AS path, is_same FROM landmark_corrections"
            "    WHERE ended_at IS NULL AND first = ANY(%(paths)s)"
            "   UNION ALL SELECT second, first, is_same FROM landmark_corrections"
            "    WHERE ended_at IS NULL AND second = ANY(%(paths)s)) AS word) AS found"
            " WHERE id IS NOT NULL ORDER BY id",
            {"model": model, "paths": list(paths)},
        )
        for path, image, is_same in rows:
            found.setdefault(path, {})[image] = is_same
    return found


def find_correction(database: Database, number: int) -> Correction | None:
    """One of them, standing or not."""
    found = database.rows(
        Correction, "SELECT * FROM landmark_corrections WHERE number = %s", [number]
    )
    return found[0] if found else None


def latest_corrections(
    database: Database, most: int, before: int | None = None, path: str | None = None
) -> list[Correction]:
    """All that was ever said, the latest first.

    Parameters
    ----------
    before : int, optional
        Only those of a smaller number.
    path : str, optional
        Only those of this photograph.
    """
    return database.rows(
        Correction,
        "SELECT * FROM landmark_corrections"
        " WHERE (%(before)s::bigint IS NULL OR number < %(before)s)"
        " AND (%(path)s::text IS NULL OR first = %(path)s OR second = %(path)s)"
        " ORDER BY number DESC LIMIT %(most)s",
        {"before": before, "path": path, "most": most},
    )


def all_corrections(database: Database) -> Iterator[Correction]:
    """All that was ever said, the latest first, a chunk in memory at once."""
    before = None
    while found := latest_corrections(database, CHUNK, before):
        yield from found
        before = found[-1].number


def pair_of(one: str, other: str) -> tuple[str, str]:
    """Two photographs in the order in which they are kept."""
    return (one, other) if one < other else (other, one)
