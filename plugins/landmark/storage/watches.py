"""The tables of watches: which photographs and places are watched, and what was reported."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from landmark.storage.database import Database


@dataclass(frozen=True)
class Watch:
    """One photograph or place of which somebody wants to hear.

    Parameters
    ----------
    number : int
    photograph : str or None
        ``s3://bucket/key``: the place that it shows is watched.
    place : int or None
        Instead of a photograph.
    started_by : str
    started_at : datetime
    ended_by, ended_at : str, datetime or None
        None as long as it goes on.
    """

    number: int
    photograph: str | None
    place: int | None
    started_by: str
    started_at: datetime
    ended_by: str | None
    ended_at: datetime | None


@dataclass(frozen=True)
class WatchReport:
    """What a run of the index has reported to a watch.

    Parameters
    ----------
    watch, number : int
        The watch's number, and the report's within it, from 1 on.
    run_id : str
        Of ``landmark_index``.
    folder : str
        ``s3://bucket/…/``.
    place : int
        The place that was watched then.
    photographs : int
        How many were new.
    reported_at : datetime
    """

    watch: int
    number: int
    run_id: str
    folder: str
    place: int
    photographs: int
    reported_at: datetime

    def to_event(self) -> dict[str, str | int]:
        """What an event of Airflow's asset says of it."""
        return {
            "watch": self.watch,
            "report": self.number,
            "folder": self.folder,
            "place": self.place,
            "photographs": self.photographs,
        }


def start_watch(
    database: Database, person: str, photograph: str | None, place: int | None, shown: int | None
) -> int:
    """Watch a photograph or a place from now on; return the number of the watch.

    Who watches what is watched already gets that watch.

    Parameters
    ----------
    photograph, place : str, int or None
        One of the two.
    shown : int or None
        The place that is watched by it now: what that has got is no news.
    """
    with database.connect() as connection:
        row = connection.execute(
            "INSERT INTO landmark_watches (photograph, place, started_by) VALUES (%s, %s, %s)"
            " ON CONFLICT DO NOTHING RETURNING number",
            [photograph, place, person],
        ).fetchone()
        if row is None:
            row = connection.execute(
                "SELECT number FROM landmark_watches WHERE ended_at IS NULL"
                " AND (photograph = %s OR place = %s)",
                [photograph, place],
            ).fetchone()
            assert row is not None
            return int(row[0])
        connection.execute(
            "INSERT INTO landmark_watched (watch, image_path)"
            " SELECT %(watch)s, image_path FROM landmark_place_images"
            " JOIN landmarks ON landmarks.id = image WHERE place = %(shown)s"
            " UNION SELECT %(watch)s, %(photograph)s::text WHERE %(photograph)s::text IS NOT NULL"
            " ON CONFLICT DO NOTHING",
            {"watch": row[0], "shown": shown, "photograph": photograph},
        )
        return int(row[0])


def end_watch(database: Database, number: int, person: str) -> None:
    """Report nothing of it any more; what was reported stays."""
    with database.connect() as connection:
        connection.execute(
            "UPDATE landmark_watches SET ended_by = %s, ended_at = clock_timestamp()"
            " WHERE number = %s AND ended_at IS NULL",
            [person, number],
        )


def standing_watches(database: Database) -> list[Watch]:
    """Those that go on, the first first."""
    return database.rows(
        Watch, "SELECT * FROM landmark_watches WHERE ended_at IS NULL ORDER BY number"
    )


def latest_watches(database: Database, most: int, before: int | None = None) -> list[Watch]:
    """All there ever were, the latest first.

    Parameters
    ----------
    before : int, optional
        Only those of a smaller number.
    """
    return database.rows(
        Watch,
        "SELECT * FROM landmark_watches WHERE (%(before)s::bigint IS NULL OR number < %(before)s)"
        " ORDER BY number DESC LIMIT %(most)s",
        {"before": before, "most": most},
    )


def find_watch(
    database: Database, *, number: int | None = None, photograph: str | None = None,
    place: int | None = None,
) -> Watch | None:  # fmt: skip
    """A watch by its number; or the one of a photograph or place that goes on."""
    found = database.rows(
        Watch,
        "SELECT * FROM landmark_watches"
        " WHERE number = %s OR ended_at IS NULL AND (photograph = %s OR place = %s)",
        [number, photograph, place],
    )
    return found[0] if found else None


def unreported(database: Database, watch: int, place: int, most: int) -> list[tuple[int, str]]:
    """Ids and paths of a place's images that are news to a watch, the first indexed first."""
    with database.connect() as connection:
        return connection.execute(
            "SELECT image, image_path FROM landmark_place_images JOIN landmarks ON id = image"
            " WHERE place = %(place)s AND NOT EXISTS (SELECT FROM landmark_watched"
            "  WHERE watch = %(watch)s AND landmark_watched.image_path = landmarks.image_path)"
            " ORDER BY image LIMIT %(most)s",
            {"place": place, "watch": watch, "most": most},
        ).fetchall()


def next_report(database: Database, watch: int) -> int:
    """The number that the next report of a watch has."""
    with database.connect() as connection:
        row = connection.execute(
            "SELECT coalesce(max(number), 0) + 1 FROM landmark_watch_reports WHERE watch = %s",
            [watch],
        ).fetchone()
        assert row is not None
        return int(row[0])


def save_report(
    database: Database, watch: int, number: int, run_id: str, folder: str, place: int,
    paths: Collection[str],
) -> None:  # fmt: skip
    """Note that photographs were reported: from now on they are no news."""
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO landmark_watch_reports"
            " (watch, number, run_id, folder, place, photographs) VALUES (%s, %s, %s, %s, %s, %s)",
            [watch, number, run_id, folder, place, len(paths)],
        )
        connection.execute(
            "INSERT INTO landmark_watched SELECT %s, path FROM unnest(%s::text[]) AS path"
            " ON CONFLICT DO NOTHING",
            [watch, list(paths)],
        )


def reports_of_run(database: Database, run_id: str) -> list[WatchReport]:
    """All that a run has reported, by watch."""
    return database.rows(
        WatchReport,
        "SELECT * FROM landmark_watch_reports WHERE run_id = %s ORDER BY watch, number",
        [run_id],
    )


def reports_of(
    database: Database, watches: Sequence[int], most: int
) -> dict[int, list[WatchReport]]:
    """The latest reports of some watches, so many of each."""
    found: dict[int, list[WatchReport]] = {}
    for report in database.rows(
        WatchReport,
        "SELECT report.* FROM unnest(%s::bigint[]) AS wanted, LATERAL"
        " (SELECT * FROM landmark_watch_reports WHERE watch = wanted"
        "  ORDER BY number DESC LIMIT %s) AS report ORDER BY watch, number DESC",
        [list(watches), most],
    ):
        found.setdefault(report.watch, []).append(report)
    return found


def find_report(database: Database, watch: int, number: int) -> WatchReport | None:
    """One of a watch, by its number."""
    found = database.rows(
        WatchReport,
        "SELECT * FROM landmark_watch_reports WHERE watch = %s AND number = %s",
        [watch, number],
    )
    return found[0] if found else None
