"""A place's photographs as pages show them: those that the settings let be shown, in pages."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from typing_extensions import LiteralString

from landmark.storage.database import Database


class Visible(NamedTuple):
    """Where photographs lie that may be shown: below one of some prefixes, but not below another.

    Parameters
    ----------
    below : sequence of str
        ``s3://bucket/…/``.
    except_below : str
    """

    below: Sequence[str]
    except_below: str


class Photograph(NamedTuple):
    """An image of a place: its id and its path."""

    id: int
    path: str


_IS_VISIBLE: LiteralString = (
    "EXISTS (SELECT FROM unnest(%(below)s::text[]) AS prefix WHERE starts_with(image_path, prefix))"
    " AND NOT starts_with(image_path, %(except_below)s)"
)


def count_photographs(
    database: Database, places: Collection[int], visible: Visible
) -> dict[int, int]:
    """How many photographs of some places may be shown; only of those that have any."""
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT place, count(*) FROM landmark_place_images JOIN landmarks ON id = image"  # noqa: S608
            " WHERE place = ANY(%(places)s) AND " + _IS_VISIBLE + " GROUP BY place",
            {"places": list(places), **_named(visible)},
        )
        return dict(rows.fetchall())


def first_photographs(
    database: Database, places: Collection[int], visible: Visible, photographs: int
) -> dict[int, list[str]]:
    """Paths of so many of each place's photographs that may be shown, the first indexed first."""
    found: dict[int, list[str]] = {}
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT wanted, image_path FROM unnest(%(places)s::bigint[]) AS wanted, LATERAL"  # noqa: S608
            " (SELECT image, image_path FROM landmark_place_images JOIN landmarks ON id = image"
            "  WHERE place = wanted AND "
            + _IS_VISIBLE
            + " ORDER BY image LIMIT %(most)s) AS first_of_it"
            " ORDER BY wanted, image",
            {"places": list(places), "most": photographs, **_named(visible)},
        )
        for place, path in rows:
            found.setdefault(place, []).append(path)
    return found


def photographs_of_place(
    database: Database,
    place: int,
    visible: Visible,
    photographs: int,
    skipped: int = 0,
    among: Collection[int] | None = None,
) -> list[Photograph]:
    """A place's photographs that may be shown, by id.

    Parameters
    ----------
    photographs, skipped : int
        How many, after so many others.
    among : collection of int, optional
        Only of these ids.
    """
    return database.rows(
        Photograph,
        "SELECT id, image_path AS path FROM landmark_place_images JOIN landmarks ON id = image"  # noqa: S608
        " WHERE place = %(place)s AND (%(among)s::bigint[] IS NULL OR id = ANY(%(among)s))"
        " AND " + _IS_VISIBLE + " ORDER BY id LIMIT %(most)s OFFSET %(skipped)s",
        {
            "place": place,
            "among": None if among is None else list(among),
            "most": photographs,
            "skipped": skipped,
            **_named(visible),
        },
    )


def best_connected(
    database: Database,
    place: int,
    visible: Visible,
    photographs: int,
    left_out: Collection[int] = (),
) -> list[Photograph]:
    """Of a place's photographs that may be shown those with most inliers among them all."""
    return database.rows(
        Photograph,
        "WITH mine AS (SELECT image, image_path AS path FROM landmark_place_images"  # noqa: S608
        "  JOIN landmarks ON id = image WHERE place = %(place)s"
        "  AND image <> ALL(%(left_out)s::bigint[]) AND " + _IS_VISIBLE + "),"
        " pairs AS (SELECT first, second, inliers FROM landmark_matches"
        "  JOIN mine AS one ON one.image = first JOIN mine AS two ON two.image = second),"
        " ends AS (SELECT first AS image, inliers FROM pairs"
        "  UNION ALL SELECT second, inliers FROM pairs)"
        " SELECT image AS id, path FROM mine LEFT JOIN ends USING (image) GROUP BY image, path"
        " ORDER BY coalesce(sum(inliers), 0) DESC, image LIMIT %(most)s",
        {"place": place, "left_out": list(left_out), "most": photographs, **_named(visible)},
    )


def coordinates_in_place(
    database: Database, place: int, visible: Visible, photographs: int
) -> list[tuple[float, float]]:
    """Latitude and longitude, in degrees, of so many photographs that may be shown and say so."""
    with database.connect() as connection:
        return connection.execute(
            "SELECT latitude, longitude FROM landmark_place_images JOIN landmarks ON id = image"  # noqa: S608
            " WHERE place = %(place)s AND latitude IS NOT NULL AND "
            + _IS_VISIBLE
            + " ORDER BY id LIMIT %(most)s",
            {"place": place, "most": photographs, **_named(visible)},
        ).fetchall()


def is_waiting(database: Database, place: int) -> bool:
    """Whether pairs of a place's images have changed since they were grouped."""
    with database.connect() as connection:
        return bool(
            connection.execute(
                "SELECT FROM landmark_place_images JOIN landmark_ungrouped USING (image)"
                " WHERE place = %s LIMIT 1",
                [place],
            ).fetchall()
        )


def _named(visible: Visible) -> dict[str, object]:
    return {"below": list(visible.below), "except_below": visible.except_below}
