"""The tables `landmark_places` and `landmark_place_images`: which images show one place."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from psycopg import sql
from typing_extensions import LiteralString

from landmark.storage.corrections import SAID_PAIRS
from landmark.storage.database import Database
from landmark.storage.edges import Edge


class Place(NamedTuple):
    """Images that show one place.

    Parameters
    ----------
    id : int
    model : str
        Fingerprint.
    images : int
        How many, as they were grouped last.
    newest : datetime or None
        When its newest image was indexed.
    representative : str or None
        Path of the best connected image; None where that has gone since.
    name, note : str or None
        What people wrote.
    joined_into : int or None
        The place that its images are part of by now.
    """

    id: int
    model: str
    images: int
    newest: datetime | None
    representative: str | None
    name: str | None
    note: str | None
    joined_into: int | None


class Grouped(NamedTuple):
    """A place as its images were grouped.

    Parameters
    ----------
    place : int or None
        The place that it goes on with; None for a new one.
    images : sequence of int
        Ids.
    representative : int
        One of them.
    """

    place: int | None
    images: Sequence[int]
    representative: int


_PLACES = (
    "SELECT landmark_places.id, landmark_places.model, images, newest,"
    " image_path AS representative, name, note, joined_into"
    " FROM landmark_places LEFT JOIN landmarks ON landmarks.id = representative"
)

# Nobody would miss it.
_IS_UNKNOWN: LiteralString = (
    "name IS NULL AND note IS NULL AND NOT EXISTS"
    " (SELECT FROM landmark_watches WHERE place = landmark_places.id)"
)

_NAMED: LiteralString = (
    " WHERE landmark_places.model = %s AND images > 0"
    " AND (%s = '' OR strpos(lower(name), lower(%s)) > 0)"
)


def list_places(
    database: Database, model: str, name: str = "", places: int = 50, after: int = 0
) -> list[Place]:
    """A model's places, the biggest first.

    Parameters
    ----------
    name : str
        Part of a name, in any case; all places where empty.
    places, after : int
        How many, after so many others.
    """
    return database.rows(
        Place,
        _PLACES + _NAMED + " ORDER BY images DESC, landmark_places.id LIMIT %s OFFSET %s",
        [model, name, name, places, after],
    )


def count_places(database: Database, model: str, name: str = "") -> int:
    """How many `list_places` lists."""
    query = "SELECT count(*) FROM landmark_places" + _NAMED  # noqa: S608  # a constant
    with database.connect() as connection:
        row = connection.execute(query, [model, name, name]).fetchone()
    return int(row[0]) if row else 0


def find_place(database: Database, place: int) -> Place | None:
    """A place by its id, or the one that its images are part of by now."""
    rows = database.rows(
        Place,
        _PLACES + " WHERE joined_into IS NULL AND landmark_places.id IN ("  # noqa: S608
        "  WITH RECURSIVE chain AS"
        "  (SELECT id, joined_into FROM landmark_places WHERE id = %s"
        "  UNION SELECT next.id, next.joined_into FROM landmark_places AS next"
        "  JOIN chain ON next.id = chain.joined_into) SELECT id FROM chain)",
        [place],
    )
    return rows[0] if rows else None


def name_place(database: Database, place: int, name: str, note: str) -> None:
    """Write what people say of a place; empty takes it back."""
    with database.connect() as connection:
        connection.execute(
            "UPDATE landmark_places SET name = %s, note = %s WHERE id = %s",
            [name or None, note or None, place],
        )


def place_images(
    database: Database, place: int, images: int, after_id: int = 0
) -> list[tuple[int, str]]:
    """Ids and paths of a place's images, by id."""
    with database.connect() as connection:
        return connection.execute(
            "SELECT id, image_path FROM landmark_place_images JOIN landmarks ON id = image"
            " WHERE place = %s AND id > %s ORDER BY id LIMIT %s",
            [place, after_id, images],
        ).fetchall()


def places_of_paths(database: Database, model: str, paths: Collection[str]) -> dict[str, int]:
    """Of a model's images that are in a place, by path, its id."""
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT image_path, place FROM landmarks JOIN landmark_place_images ON image = id"
            " WHERE model = %s AND image_path = ANY(%s)",
            [model, list(paths)],
        )
        return dict(rows.fetchall())


def begin_grouping(database: Database, model: str, half: int) -> None:
    """Let all images of a model be grouped anew, if pairs were weighed otherwise before."""
    with database.connect() as connection:
        changed = connection.execute(
            "UPDATE landmark_models SET grouped_by = %(half)s WHERE model = %(model)s"
            " AND grouped_by IS DISTINCT FROM %(half)s RETURNING grouped_by",
            {"half": half, "model": model},
        ).fetchall()
        if changed:
            connection.execute(
                "INSERT INTO landmark_ungrouped (image) SELECT DISTINCT image"
                " FROM landmark_matches, LATERAL (VALUES (first), (second)) AS ends (image)"
                " JOIN landmarks ON id = image WHERE model = %s",
                [model],
            )


def grouped_by(database: Database, model: str) -> int | None:
    """With how many inliers a pair was half sure when images were grouped last; None: never."""
    with database.connect() as connection:
        row = connection.execute(
            "SELECT grouped_by FROM landmark_models WHERE model = %s", [model]
        ).fetchone()
        return row[0] if row else None


def ungrouped(database: Database, model: str, rows: int) -> dict[int, int]:
    """Images whose pairs have changed since they were grouped, by number of what says so.

    Images that have gone are among them.
    """
    with database.connect() as connection:
        found = connection.execute(
            "SELECT waiting.id, image FROM landmark_ungrouped AS waiting"
            " LEFT JOIN landmarks ON landmarks.id = image"
            " WHERE coalesce(model = %s, true) ORDER BY waiting.id LIMIT %s",
            [model, rows],
        )
        return dict(found.fetchall())


def also_ungrouped(database: Database, images: Collection[int]) -> dict[int, int]:
    """Of these images what `ungrouped` would say of them."""
    with database.connect() as connection:
        found = connection.execute(
            "SELECT id, image FROM landmark_ungrouped WHERE image = ANY(%s)", [list(images)]
        )
        return dict(found.fetchall())


def places_of(database: Database, images: Collection[int]) -> dict[int, int]:
    """Of images that are in a place its id."""
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT image, place FROM landmark_place_images WHERE image = ANY(%s)", [list(images)]
        )
        return dict(rows.fetchall())


def images_of(database: Database, places: Collection[int]) -> set[int]:
    """Ids of the images of all of these places."""
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT image FROM landmark_place_images WHERE place = ANY(%s)", [list(places)]
        )
        return {image for (image,) in rows}


def edges_among(database: Database, images: Collection[int], least: int) -> list[Edge]:
    """Pairs of these images with at least so many inliers, in order."""
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT first, second, inliers, putative FROM landmark_matches"
            " WHERE first = ANY(%(images)s) AND second = ANY(%(images)s) AND inliers >= %(least)s"
            " ORDER BY first, second",
            {"images": list(images), "least": least},
        )
        return [Edge(*row) for row in rows]


def said_among(database: Database, images: Collection[int]) -> dict[tuple[int, int], bool]:
    """Pairs of these images that people have spoken of, and whether they show one place."""
    with database.connect() as connection:
        rows = connection.execute(
            sql.SQL(
                "SELECT DISTINCT first, second, is_same FROM ({said}) AS said"
                " WHERE first = ANY(%(ids)s) AND second = ANY(%(ids)s) ORDER BY first, second"
            ).format(said=sql.SQL(SAID_PAIRS)),
            {"ids": list(images)},
        )
        return {(first, second): is_same for first, second, is_same in rows}


def end_empty_places(database: Database, model: str) -> None:
    """Places all of whose images have gone have none; whom nobody would miss go, too."""
    with database.connect() as connection:
        connection.execute(
            "UPDATE landmark_places SET images = 0 WHERE model = %s AND images > 0"
            " AND NOT EXISTS (SELECT FROM landmark_place_images WHERE place = landmark_places.id)",
            [model],
        )
        connection.execute(
            "DELETE FROM landmark_places WHERE model = %s AND images = 0"  # noqa: S608
            " AND joined_into IS NULL AND " + _IS_UNKNOWN,
            [model],
        )


def save_places(
    database: Database,
    model: str,
    groups: Sequence[Grouped],
    images: Collection[int],
    joined: Mapping[int, int],
    settled: Iterable[int],
) -> list[int]:
    """Write which images show one place; return the ids of the groups' places.

    Parameters
    ----------
    images : collection of int
        Whatever was grouped; who is in no group is in no place.
    joined : mapping of int to int
        Of places that no group goes on with: the number of the group that has most of their
        images, or -1 where these are in none. Such a place stays if it has a name, a note or a
        watch.
    settled : iterable of int
        As of `ungrouped`.
    """
    with database.connect() as connection:
        # An image that is being removed is passed over: it would be waited for.
        rows = connection.execute(
            "SELECT id, indexed_at FROM landmarks WHERE id = ANY(%s) ORDER BY id"
            " FOR KEY SHARE SKIP LOCKED",
            [list(images)],
        )
        there = dict(rows.fetchall())
        connection.execute(
            "DELETE FROM landmark_place_images WHERE image = ANY(%s)", [list(images)]
        )
        ids = []
        for group in groups:
            kept = [image for image in group.images if image in there]
            written = connection.execute(
                "UPDATE landmark_places SET grouped_at = clock_timestamp() WHERE id = %s"
                " RETURNING id",
                [group.place],
            ).fetchone()
            if written is None:
                written = connection.execute(
                    "INSERT INTO landmark_places (model) VALUES (%s) RETURNING id", [model]
                ).fetchone()
            assert written is not None
            ids.append(written[0])
            connection.execute(
                "UPDATE landmark_places SET images = %s, newest = %s, representative = %s"
                " WHERE id = %s",
                [
                    len(kept),
                    max((there[image] for image in kept), default=None),
                    group.representative if group.representative in there else None,
                    ids[-1],
                ],
            )
            connection.execute(
                "INSERT INTO landmark_place_images SELECT image, %s FROM unnest(%s::bigint[])"
                " AS image",
                [ids[-1], kept],
            )
        for place, number in joined.items():
            connection.execute(
                "UPDATE landmark_places SET images = 0, representative = NULL, joined_into = %s"
                " WHERE id = %s",
                [ids[number] if number >= 0 else None, place],
            )
        connection.execute(
            "DELETE FROM landmark_places WHERE id = ANY(%s) AND images = 0"  # noqa: S608
            " AND joined_into IS NULL AND " + _IS_UNKNOWN,
            [list(joined)],
        )
        connection.execute("DELETE FROM landmark_ungrouped WHERE id = ANY(%s)", [list(settled)])
    return ids
