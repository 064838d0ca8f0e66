"""The table `landmark_matches`: the match graph, and which images wait to be linked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from typing_extensions import LiteralString

from landmark.matching.ranking import SAID_INLIERS
from landmark.storage.corrections import SAID_PAIRS
from landmark.storage.database import Database

# Of one image, and of these the surest: a famous place has images that thousands agree with.
EDGES_PER_IMAGE = 100
# So many rows are counted for those who look at the index; of more the planner's estimate is told.
COUNTED_ROWS = 10_000
# Of a stream so many are in memory.
ROWS_STREAMED = 10_000


class Edge(NamedTuple):
    """Two images that were compared, `first` as the query.

    Parameters
    ----------
    first, second : int
        Ids of their rows, the smaller first.
    inliers, putative : int
    is_copy : bool
        Whether they are copies of one photograph.
    said_same : bool
        Whether people say that they show one place, whatever was measured.
    """

    first: int
    second: int
    inliers: int
    putative: int
    is_copy: bool = False
    said_same: bool = False

    @property
    def strength(self) -> int:
        """Inliers; more than any pair has if people say so."""
        return SAID_INLIERS if self.said_same else self.inliers


class Node(NamedTuple):
    """An image of the graph: its id and path, the place that it shows, and the name of that."""

    id: int
    image_path: str
    place: int | None
    name: str | None


class Count(NamedTuple):
    """A number of rows; `is_exact` unless it is an estimate of more than are counted."""

    rows: int
    is_exact: bool


def unlinked_ids(database: Database, aggregation: int, after_id: int, images: int) -> list[int]:
    """The next of an aggregation's images that wait to be linked, by id."""
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT image FROM landmark_unlinked JOIN landmarks ON id = image"
            " WHERE aggregation = %s AND global_descriptor IS NOT NULL AND image > %s"
            " ORDER BY image LIMIT %s",
            [aggregation, after_id, images],
        )
        return [number for (number,) in rows]


def count_unlinked(database: Database, aggregation: int) -> int:
    """How many of the images that an aggregation has described wait for it."""
    with database.connect() as connection:
        row = connection.execute(
            "SELECT count(*) FROM landmark_unlinked JOIN landmarks ON id = image"
            " WHERE aggregation = %s AND global_descriptor IS NOT NULL",
            [aggregation],
        ).fetchone()
    assert row is not None
    return int(row[0])


def graph_counts(database: Database, model: str, up_to: int = COUNTED_ROWS) -> tuple[Count, Count]:
    """A model's pairs that agree, and its images that wait to be linked; soon, of any table.

    Estimates are of all models together.
    """
    with database.connect() as connection:
        return (
            _count(connection, "landmark_matches", "first", model, up_to),
            _count(connection, "landmark_unlinked", "image", model, up_to),
        )


def _count(
    connection: psycopg.Connection[Any], table: str, image: str, model: str, up_to: int
) -> Count:
    # The model by a look at each row's image: a join might read all images instead.
    row = connection.execute(
        sql.SQL(
            "SELECT count(*), count(*) FILTER (WHERE"
            "  (SELECT model FROM landmarks WHERE id = {image}) = %s),"
            " (SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass)"
            " FROM (SELECT {image} FROM {table} LIMIT %s) AS counted"
        ).format(image=sql.Identifier(image), table=sql.Identifier(table)),
        [model, table, up_to],
    ).fetchone()
    assert row is not None
    seen, counted, estimate = row
    return Count(counted, True) if seen < up_to else Count(max(seen, estimate), False)


def sample_linked(database: Database, model: str, images: int, seed: int) -> list[int]:
    """So many of a model's linked images at random; the same of the same table and seed."""
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT id FROM landmarks WHERE model = %s"
            " AND NOT EXISTS (SELECT FROM landmark_unlinked WHERE image = id)"
            " ORDER BY hashint8extended(id, %s) LIMIT %s",
            [model, seed, images],
        )
        return [number for (number,) in rows]


def save_edges(
    database: Database,
    edges: Iterable[Edge],
    versions: Mapping[int, datetime],
    linked: Sequence[int] = (),
) -> None:
    """Write pairs that agree, and note which images are linked by now.

    What concerns an image that has changed since it was compared, or is being changed, is left
    out; that image waits to be linked again.

    Parameters
    ----------
    versions : mapping
        Of each image its `indexed_at` as it was compared.
    """
    found = sorted(edges)
    ids = sorted({end for edge in found for end in edge[:2]} | set(linked))
    with database.connect() as connection:
        # Held until the edges are there: a change waits, and then deletes them.
        rows = connection.execute(
            "SELECT id, indexed_at FROM landmarks WHERE id = ANY(%s) ORDER BY id"
            " FOR SHARE SKIP LOCKED",
            [ids],
        )
        same = {number for number, version in rows if versions.get(number) == version}
        kept = [edge for edge in found if {edge.first, edge.second} <= same]
        connection.execute(
            "INSERT INTO landmark_matches (first, second, inliers, putative, is_copy)"
            " SELECT * FROM unnest(%b::bigint[], %b::bigint[], %b::integer[], %b::integer[],"
            "  %b::boolean[]) ON CONFLICT (first, second) DO UPDATE SET"
            " inliers = excluded.inliers, putative = excluded.putative, is_copy = excluded.is_copy",
            [[edge[column] for edge in kept] for column in range(5)],
        )
        connection.execute(
            "DELETE FROM landmark_unlinked WHERE image = ANY(%s)",
            [[number for number in linked if number in same]],
        )


def edges_of(database: Database, ids: Sequence[int]) -> list[Edge]:
    """Those with an end among images of some ids, of each image the surest, in order.

    As people have corrected them: a pair that they say to show one place is an edge, measured or
    not, and one that they say to show two is none, whatever was measured.
    """
    with database.connect() as connection:
        rows = connection.execute(
            sql.SQL(
                "WITH said AS MATERIALIZED ({said})"
                " SELECT edge.* FROM unnest(%(ids)s::bigint[]) AS image,"
                " LATERAL (SELECT first, second, inliers, putative, is_copy, false FROM"
                "   (SELECT * FROM landmark_matches WHERE first = image"
                "    UNION ALL SELECT * FROM landmark_matches WHERE second = image) AS either"
                "  WHERE (first, second) NOT IN (SELECT first, second FROM said)"
                "  ORDER BY inliers DESC, first, second LIMIT %(most)s) AS edge"
                " UNION SELECT first, second, coalesce(inliers, 0), coalesce(putative, 0),"
                "  coalesce(is_copy, false), true"
                "  FROM said LEFT JOIN landmark_matches USING (first, second) WHERE is_same"
                " ORDER BY first, second"
            ).format(said=sql.SQL(SAID_PAIRS)),
            {"ids": list(ids), "most": EDGES_PER_IMAGE},
        )
        return [Edge(*row) for row in rows]


def copies_among(database: Database, model: str, paths: Sequence[str]) -> list[tuple[str, str]]:
    """Which of some images of a model are copies of one photograph: pairs of paths, in order."""
    with database.connect() as connection:
        rows = connection.execute(
            "WITH listed AS MATERIALIZED (SELECT id, image_path FROM landmarks"
            "  WHERE model = %s AND image_path = ANY(%s))"
            " SELECT one.image_path, two.image_path FROM listed AS one"
            " JOIN landmark_matches ON first = one.id JOIN listed AS two ON second = two.id"
            " WHERE is_copy ORDER BY first, second",
            [model, list(paths)],
        )
        return [(one, two) for one, two in rows]


def versions_of(
    database: Database, model: str, paths: Sequence[str]
) -> dict[str, tuple[int, datetime]]:
    """Of images of the model, by their paths: id and `indexed_at`."""
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT image_path, id, indexed_at FROM landmarks"
            " WHERE model = %s AND image_path = ANY(%s)",
            [model, list(paths)],
        )
        return {path: (number, version) for path, number, version in rows}


def paths_of(database: Database, ids: Sequence[int]) -> dict[int, str]:
    """Of images, by their ids."""
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT id, image_path FROM landmarks WHERE id = ANY(%s)", [list(ids)]
        )
        return dict(rows.fetchall())


def stream_nodes(database: Database, model: str) -> Iterator[Node]:
    """All images of a model, by id, without having them all in memory."""
    rows = _stream(
        database,
        "SELECT landmarks.id, image_path, place, name FROM landmarks"
        " LEFT JOIN landmark_place_images ON image = landmarks.id"
        " LEFT JOIN landmark_places ON landmark_places.id = place"
        " WHERE landmarks.model = %s ORDER BY landmarks.id",
        model,
    )
    return (Node(*row) for row in rows)


def stream_edges(database: Database, model: str) -> Iterator[Edge]:
    """All pairs of a model's images as measured, in order, without having them all in memory."""
    rows = _stream(
        database,
        "SELECT first, second, inliers, putative FROM landmark_matches"
        " JOIN landmarks ON id = first WHERE model = %s ORDER BY first, second",
        model,
    )
    return (Edge(*row) for row in rows)


def _stream(database: Database, query: LiteralString, model: str) -> Iterator[tuple[Any, ...]]:
    with database.connect() as connection, connection.cursor("stream") as cursor:
        cursor.itersize = ROWS_STREAMED
        yield from cursor.execute(query, [model])
