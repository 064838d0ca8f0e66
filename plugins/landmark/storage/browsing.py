"""The index as people look through it: by folder, by name, and one photograph at a time.

Every view is a few looks into an index, however many images the table has.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from psycopg import sql

from landmark.storage.database import Database

# As the indexes of `include/sql/017_removals.sql` have it.
NAME_OF_FILE = sql.SQL("lower(substring(image_path FROM '[^/]*$'))")
# What comes first in a table by names of files: one look into such an index.
FIRST_NAMED = sql.SQL(
    "(SELECT image_path, {name} AS name FROM {table} WHERE model = %(model)s"
    ' AND ({name}, image_path) > (lower(%(start)s::text COLLATE "C"), %(after)s)'
    ' AND {name} < lower(%(name)s::text COLLATE "C") || chr(1114111)'
    " ORDER BY {name}, image_path LIMIT %(most)s)"
)


class Entry(NamedTuple):
    """A photograph of the index, one that failed, or a folder that has some.

    Parameters
    ----------
    path : str
        ``s3://bucket/key``; of a folder it ends with a slash.
    is_indexed : bool
        Whether the model has features of it; false for a folder.
    reason : str or None
        Why it failed.
    """

    path: str
    is_indexed: bool
    reason: str | None

    @property
    def is_folder(self) -> bool:
        """Whether it stands for all below it."""
        return self.path.endswith("/")


class IndexedImage(NamedTuple):
    """What the index knows of one photograph besides its features.

    Parameters
    ----------
    width, height : int
        px, upright.
    n_features : int
    size : int or None
        Bytes.
    indexed_at : datetime
    taken_at : datetime or None
        By the camera's clock, without a zone.
    latitude, longitude : float or None
        Degrees.
    is_linked : bool
        Whether it has been compared with those most alike.
    pairs : int
        Others that agree with it.
    """

    width: int
    height: int
    n_features: int
    size: int | None
    indexed_at: datetime
    taken_at: datetime | None
    latitude: float | None
    longitude: float | None
    is_linked: bool
    pairs: int


def entries_below(
    database: Database, model: str, folder: str, most: int, after: str = ""
) -> list[Entry]:
    """What lies directly in a folder: folders and photographs, by path.

    Parameters
    ----------
    folder : str
        ``s3://bucket/…/``, or ``s3://`` for the buckets.
    most : int
    after : str
        Only what comes after this entry.
    """
    # From entry to entry, each found by one look into the index: what lies within a folder is
    # stepped over.
    return database.rows(
        Entry,
        "WITH RECURSIVE entries AS ("
        ' SELECT 0 AS number, \'\'::text COLLATE "C" AS path, %(start)s::text COLLATE "C" AS next'
        " UNION ALL"
        " SELECT number + 1, found.path, CASE WHEN right(found.path, 1) = '/'"
        "   THEN left(found.path, -1) || '0' ELSE found.path || E'\\x01' END"
        " FROM entries, LATERAL"
        "  (SELECT least((SELECT image_path FROM landmarks WHERE model = %(model)s"
        "     AND image_path >= next AND image_path < %(beyond)s ORDER BY image_path LIMIT 1),"
        "    (SELECT image_path FROM landmark_failures WHERE model = %(model)s"
        "     AND image_path >= next AND image_path < %(beyond)s ORDER BY image_path LIMIT 1))"
        "   AS first) AS one, LATERAL"
        "  (SELECT substr(first, length(%(folder)s) + 1) AS rest) AS below, LATERAL"
        "  (SELECT CASE WHEN strpos(rest, '/') = 0 THEN first"
        "    ELSE %(folder)s || left(rest, strpos(rest, '/')) END COLLATE \"C\" AS path) AS found"
        " WHERE number < %(most)s AND first IS NOT NULL)"
        " SELECT path, EXISTS (SELECT FROM landmarks"
        "   WHERE model = %(model)s AND image_path = path) AS is_indexed,"
        "  (SELECT reason FROM landmark_failures WHERE model = %(model)s AND image_path = path)"
        " FROM entries WHERE number > 0 ORDER BY number",
        {
            "model": model,
            "folder": folder,
            "start": _after(after) if after else folder,
            "beyond": _after(folder),
            "most": most,
        },
    )


def entries_named(
    database: Database, model: str, name: str, most: int, after: str = ""
) -> list[Entry]:
    """Photographs in any folder whose file's name begins so, by name; A to Z as a to z.

    Parameters
    ----------
    name : str
        Not empty.
    most : int
    after : str
        Only what comes after the photograph of this path.
    """
    tables = [sql.Identifier(table) for table in ("landmarks", "landmark_failures")]
    with database.connect() as connection:
        rows = connection.execute(
            sql.SQL(
                "SELECT image_path, EXISTS (SELECT FROM landmarks"
                "   WHERE model = %(model)s AND image_path = found.image_path),"
                "  (SELECT reason FROM landmark_failures"
                "   WHERE model = %(model)s AND image_path = found.image_path)"
                " FROM ({}) AS found ORDER BY name, image_path LIMIT %(most)s"
            ).format(
                sql.SQL(" UNION ").join(
                    FIRST_NAMED.format(table=table, name=NAME_OF_FILE) for table in tables
                )
            ),
            {
                "model": model,
                "name": name,
                "start": after.rpartition("/")[2] if after else name,
                "after": after,
                "most": most,
            },
        )
        return [Entry(*row) for row in rows]


def indexed_image(database: Database, model: str, path: str) -> IndexedImage | None:
    """What the index knows of a photograph; None if the model has it not."""
    found = database.rows(
        IndexedImage,
        "SELECT width, height, n_features, size, indexed_at, taken_at, latitude, longitude,"
        " NOT EXISTS (SELECT FROM landmark_unlinked WHERE image = id) AS is_linked,"
        " (SELECT count(*) FROM landmark_matches WHERE first = id)"
        "  + (SELECT count(*) FROM landmark_matches WHERE second = id) AS pairs"
        " FROM landmarks WHERE model = %s AND image_path = %s",
        [model, path],
    )
    return found[0] if found else None


def count_below(database: Database, model: str, folder: str, up_to: int) -> int:
    """How many photographs of the index lie below a folder, counted no further than asked for."""
    with database.connect() as connection:
        row = connection.execute(
            "SELECT count(*) FROM (SELECT FROM landmarks WHERE model = %s"
            " AND image_path >= %s AND image_path < %s LIMIT %s) AS counted",
            [model, folder, _after(folder), up_to],
        ).fetchone()
    assert row is not None
    return int(row[0])


def _after(entry: str) -> str:
    """The first path, bytewise, that comes after an entry and all that lies below it."""
    return entry[:-1] + "0" if entry.endswith("/") else entry + "\x01"
