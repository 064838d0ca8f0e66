"""What people said of an earlier model's places, taken over by those of the model in use."""

from __future__ import annotations

from landmark.storage.database import Database


def carry_places(database: Database, model: str) -> list[tuple[int, int]]:
    """Give a model's places the names, notes and watches of other models' places.

    Each place goes on in the one that more than half of its photographs show by now; once, so that
    who takes a name back is not contradicted. Of several that go on in one, the one with most
    photographs counts.

    Returns
    -------
    list of (int, int)
        Ids of the earlier places, and of those that they go on in.
    """
    with database.connect() as connection:
        carried = connection.execute(
            "WITH wanted AS (SELECT id FROM landmark_places WHERE model <> %(model)s"
            "  AND carried_into IS NULL AND (name IS NOT NULL OR note IS NOT NULL OR EXISTS"
            "   (SELECT FROM landmark_watches WHERE place = landmark_places.id"
            "    AND ended_at IS NULL))),"
            " images AS (SELECT place, image_path FROM landmark_place_images"
            "  JOIN wanted ON wanted.id = place JOIN landmarks ON landmarks.id = image),"
            " shared AS (SELECT images.place, of_model.place AS later, count(*) AS photographs"
            "  FROM images JOIN landmarks ON landmarks.image_path = images.image_path"
            "   AND model = %(model)s JOIN landmark_place_images AS of_model ON image = id"
            "  GROUP BY images.place, of_model.place),"
            " surest AS (SELECT DISTINCT ON (later) place, later FROM shared"
            "  WHERE 2 * photographs >"
            "   (SELECT count(*) FROM images WHERE images.place = shared.place)"
            "  ORDER BY later, photographs DESC, place)"
            " UPDATE landmark_places SET carried_into = later FROM surest WHERE id = surest.place"
            " RETURNING id, later",
            {"model": model},
        ).fetchall()
        for place, into in carried:
            connection.execute(
                "UPDATE landmark_places SET name = coalesce(landmark_places.name, earlier.name),"
                " note = coalesce(landmark_places.note, earlier.note)"
                " FROM landmark_places AS earlier"
                " WHERE landmark_places.id = %s AND earlier.id = %s",
                [into, place],
            )
            connection.execute(
                "UPDATE landmark_watches SET place = %(into)s WHERE place = %(place)s"
                " AND ended_at IS NULL AND NOT EXISTS (SELECT FROM landmark_watches"
                "  WHERE place = %(into)s AND ended_at IS NULL)",
                {"into": into, "place": place},
            )
    return sorted(carried)
