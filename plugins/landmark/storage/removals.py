"""The table `landmark_removals`: what people have taken from the index, and what so stays out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql
from typing_extensions import LiteralString

from landmark.storage.database import Database

# Rows deleted in one transaction: a fraction of a second, with their blobs.
ROWS_AT_ONCE = 500
# Tables that have rows of a removed image; what else is known of it goes with its row.
TABLES = ("landmarks", "landmark_failures")
# A lock: who writes an image shares it, who removes some takes it alone.
WRITE: LiteralString = (
    "SELECT pg_advisory_xact_lock_shared(hashtextextended('landmark removals', 0))"
)
REMOVE: LiteralString = "SELECT pg_advisory_xact_lock(hashtextextended('landmark removals', 0))"


@dataclass(frozen=True)
class Removal:
    """A photograph, or all below a folder, that one person has taken from the index.

    Parameters
    ----------
    number : int
        Ascending with time.
    path : str
        ``s3://bucket/key``; of a folder it ends with a slash.
    beyond : str
        The first path after those that are meant.
    removed_by : str
    removed_at : datetime
    ended_by, ended_at : str, datetime or None
        Who has let it in again; None as long as it stays out.
    """

    number: int
    path: str
    beyond: str
    removed_by: str
    removed_at: datetime
    ended_by: str | None
    ended_at: datetime | None

    @property
    def is_folder(self) -> bool:
        """Whether it is all below a folder."""
        return self.path.endswith("/")

    @property
    def stands(self) -> bool:
        """Whether it stays out."""
        return self.ended_at is None


def remove(database: Database, path: str, person: str) -> None:
    """Keep a photograph, or what is below a folder, out of the index from now on.

    Its rows are still there: see `delete_removed`. What stays out already is not noted again.
    """
    with database.connect() as connection:
        # Once this is written nobody is left who has looked for it before and writes an image.
        connection.execute(REMOVE)
        connection.execute(
            "INSERT INTO landmark_removals (path, removed_by) VALUES (%s, %s)"
            " ON CONFLICT (path) WHERE ended_at IS NULL DO NOTHING",
            [path, person],
        )


def delete_removed(database: Database, path: str, most: int) -> int:
    """Delete rows of what was removed, of all models; places and pairs lose them, too.

    Parameters
    ----------
    path : str
        Of a removal that stands.
    most : int
        Rows at most; what is left goes with the next sweep.

    Returns
    -------
    int
        Rows deleted; fewer than `most` if nothing is left.
    """
    deleted = 0
    for table in TABLES:
        while deleted < most:
            rows = min(ROWS_AT_ONCE, most - deleted)
            with database.connect() as connection:
                cursor = connection.execute(
                    sql.SQL(
                        "DELETE FROM {table} WHERE ctid IN (SELECT {table}.ctid FROM {table},"
                        "  landmark_removals AS removal WHERE removal.path = %s"
                        "   AND ended_at IS NULL AND image_path >= removal.path"
                        "   AND image_path < beyond LIMIT %s)"
                    ).format(table=sql.Identifier(table)),
                    [path, rows],
                )
            deleted += cursor.rowcount
            if cursor.rowcount < rows:
                break
    return deleted


def restore(database: Database, number: int, person: str) -> None:
    """Let something in again; the next sweep takes what is there of it."""
    with database.connect() as connection:
        connection.execute(
            "UPDATE landmark_removals SET ended_by = %s, ended_at = clock_timestamp()"
            " WHERE number = %s AND ended_at IS NULL",
            [person, number],
        )


def find_removal(database: Database, number: int) -> Removal | None:
    """One of them, standing or not."""
    found = database.rows(Removal, "SELECT * FROM landmark_removals WHERE number = %s", [number])
    return found[0] if found else None


def latest_removals(database: Database, most: int, before: int | None = None) -> list[Removal]:
    """All that was ever removed, the latest first.

    Parameters
    ----------
    before : int, optional
        Only those of a smaller number.
    """
    return database.rows(
        Removal,
        "SELECT * FROM landmark_removals"
        " WHERE (%(before)s::bigint IS NULL OR number < %(before)s)"
        " ORDER BY number DESC LIMIT %(most)s",
        {"before": before, "most": most},
    )


def removals_of(database: Database, path: str) -> list[Removal]:
    """What keeps a photograph, or a folder, out: itself, and folders that it is in."""
    return database.rows(
        Removal,
        "SELECT * FROM landmark_removals WHERE ended_at IS NULL AND path = ANY(%s) ORDER BY path",
        [_names_of(path)],
    )


def is_kept_out(connection: psycopg.Connection[Any], path: str) -> bool:
    """Whether an image may not be written; if it may, that holds until the transaction ends."""
    connection.execute(WRITE)
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM landmark_removals WHERE ended_at IS NULL AND path = ANY(%s))",
        [_names_of(path)],
    ).fetchone()
    return bool(row and row[0])


def apply_removals(connection: psycopg.Connection[Any]) -> int:
    """Take what stays out from the table `listing`, and delete what is left of its rows.

    Returns
    -------
    int
        How many listed images stay out.
    """
    for table in TABLES:
        connection.execute(
            sql.SQL(
                "DELETE FROM {} USING landmark_removals AS removal WHERE ended_at IS NULL"
                " AND image_path >= removal.path AND image_path < beyond"
            ).format(sql.Identifier(table))
        )
    return connection.execute(
        "DELETE FROM listing USING landmark_removals AS removal WHERE ended_at IS NULL"
        " AND image_path >= removal.path AND image_path < beyond"
    ).rowcount


def _names_of(path: str) -> list[str]:
    """A path, and the folders that it is in."""
    bucket = len("s3://")
    ends = [number for number, letter in enumerate(path) if letter == "/" and number >= bucket]
    return [path, *(path[: end + 1] for end in ends)]
