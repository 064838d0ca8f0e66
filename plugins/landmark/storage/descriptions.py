"""What puts images on a shortlist, in `landmarks`: global descriptors and sketches."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pgvector import HalfVector
from pgvector.psycopg import register_vector
from typing_extensions import LiteralString

from landmark.features import LocalFeatures
from landmark.matching.match_kernel import MatchKernel, Sketch
from landmark.storage.aggregations import Description, NumberedAggregation
from landmark.storage.blobs import as_array, local_dimensions, warn_damaged
from landmark.storage.database import Database


def described_by(
    database: Database, model: str, aggregation: int | None, after_id: int, images: int
) -> list[tuple[int, str, NDArray[np.float16]]]:
    """The next images that one of the model's aggregations has described, or None of them.

    Returns
    -------
    list of tuple
        Id, etag, and descriptors float16 [n, d] of each, by id; of a damaged row none.
    """
    where, values = _described_by(model, aggregation)
    with database.connect() as connection:
        rows = (
            connection.cursor(binary=True)
            .execute(
                "SELECT id, etag, n_features, descriptors, image_path FROM landmarks"  # noqa: S608
                f" WHERE {where} AND id > %(after)s ORDER BY id LIMIT %(images)s",
                {**values, "after": after_id, "images": images},
            )
            .fetchall()
        )
        dimensions = local_dimensions(connection, model)
    return [
        (number, etag, _descriptors(path, data, n, dimensions))
        for number, etag, n, data, path in rows
    ]


def undescribed_ids(database: Database, model: str, images: int) -> list[int]:
    """At most so many of the model's images that nothing has described yet, ascending."""
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT id FROM landmarks WHERE model = %s AND aggregation IS NULL"
            " ORDER BY id LIMIT %s",
            [model, images],
        )
        return [number for (number,) in rows]


def save_descriptions(
    database: Database, aggregation: int, described: list[tuple[int, str, Description | None]]
) -> None:
    """Write descriptions, with id and etag of each image.

    An image that has changed since it was read is left alone: it was described by who wrote it.
    """
    with database.connect() as connection:
        register_vector(connection)
        connection.cursor().executemany(
            "UPDATE landmarks SET global_descriptor = %s, sketch = %b, aggregation = %s"
            " WHERE id = %s AND etag = %s",
            [
                [
                    HalfVector(found.vector) if found else None,
                    found.sketch if found else None,
                    aggregation,
                    number,
                    etag,
                ]
                for number, etag, found in described
            ],
        )


def take_own_descriptions(database: Database, model: str, aggregation: int) -> int:
    """Give the model's own global descriptors their number; return how many there were."""
    with database.connect() as connection:
        return connection.execute(
            "UPDATE landmarks SET aggregation = %s WHERE model = %s AND aggregation IS NULL"
            " AND global_descriptor IS NOT NULL",
            [aggregation, model],
        ).rowcount


def count_described(
    database: Database, model: str, aggregation: int | None, up_to: int | None = None
) -> int:
    """How many images one of the model's aggregations, or None of them, has described.

    Parameters
    ----------
    up_to : int, optional
        Count no further.
    """
    where, values = _described_by(model, aggregation)
    with database.connect() as connection:
        row = connection.execute(
            f"SELECT count(*) FROM (SELECT FROM landmarks WHERE {where} LIMIT %(up_to)s)"  # noqa: S608
            " AS counted",
            {**values, "up_to": up_to},
        ).fetchone()
    assert row is not None
    return int(row[0])


def read_descriptions(
    database: Database, model: str, aggregation: int, paths: list[str]
) -> list[Description]:
    """Of those of the images that the aggregation described, by path."""
    with database.connect() as connection:
        register_vector(connection)
        rows = connection.cursor(binary=True).execute(
            "SELECT global_descriptor, sketch FROM landmarks"
            " WHERE model = %s AND image_path = ANY(%s)"
            " AND aggregation = %s AND global_descriptor IS NOT NULL ORDER BY image_path",
            [model, paths, aggregation],
        )
        return [Description(vector.to_numpy(), sketch) for vector, sketch in rows]


def description_of(
    database: Database,
    model: str,
    aggregation: NumberedAggregation,
    path: str,
    features: LocalFeatures,
) -> Description | None:
    """What puts an image on a shortlist, if that is stored, and sound, beside these features."""
    with database.connect() as connection:
        register_vector(connection)
        row = (
            connection.cursor(binary=True)
            .execute(
                "SELECT global_descriptor, sketch FROM landmarks WHERE model = %s"
                " AND image_path = %s AND descriptors = %b AND aggregation = %s"
                " AND vector_dims(global_descriptor) = %s",
                [
                    model,
                    path,
                    features.descriptors.astype("<f2").tobytes(),
                    aggregation.number,
                    aggregation.dimensions,
                ],
            )
            .fetchone()
        )
    if row is None:
        return None
    vector, sketch = row
    if aggregation.kernel is not None:
        try:
            aggregation.kernel.read(sketch or b"")
        except ValueError:
            return None
    return Description(vector.to_numpy(), sketch)


def describing(
    database: Database, aggregation: int, ids: Sequence[int]
) -> dict[int, tuple[str, Description]]:
    """Of images that the aggregation has described: path and description, by id."""
    with database.connect() as connection:
        register_vector(connection)
        rows = connection.cursor(binary=True).execute(
            "SELECT id, image_path, global_descriptor, sketch FROM landmarks WHERE id = ANY(%s)"
            " AND aggregation = %s AND global_descriptor IS NOT NULL ORDER BY id",
            [list(ids), aggregation],
        )
        return {
            number: (path, Description(vector.to_numpy(), sketch))
            for number, path, vector, sketch in rows
        }


def spread_ids(database: Database, aggregation: int, images: int) -> list[int]:
    """So many of the images that the aggregation has described, spread evenly over the table.

    Found in the index one by one, however many there are; the same of the same table.
    """
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT DISTINCT found.id FROM"
            " (SELECT min(id) AS low, max(id) AS high FROM landmarks"
            "  WHERE aggregation = %(aggregation)s) AS ends,"
            " generate_series(0, %(images)s - 1) AS number,"
            " LATERAL (SELECT id FROM landmarks WHERE aggregation = %(aggregation)s"
            "  AND id >= low + (high - low) * number / greatest(%(images)s - 1, 1)"
            "  ORDER BY id LIMIT 1) AS found ORDER BY 1",
            {"aggregation": aggregation, "images": images},
        )
        return [number for (number,) in rows]


def among_described(database: Database, aggregation: int, ids: Sequence[int]) -> list[int]:
    """Those of some images that the aggregation has described, ascending."""
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT id FROM landmarks WHERE id = ANY(%s) AND aggregation = %s"
            " AND global_descriptor IS NOT NULL ORDER BY id",
            [list(ids), aggregation],
        )
        return [number for (number,) in rows]


def read_sketches(
    database: Database, kernel: MatchKernel, ids: Sequence[int]
) -> Iterator[tuple[int, Sketch | None]]:
    """Stream the sketches of images in the order asked for; None of a damaged or lost one."""
    with (
        database.connect() as connection,
        connection.cursor().copy(
            "COPY (SELECT id, image_path, sketch"
            " FROM unnest(%s::bigint[]) WITH ORDINALITY AS wanted (id, place)"
            " JOIN landmarks USING (id) ORDER BY place) TO STDOUT (FORMAT BINARY)",
            [list(ids)],
        ) as copy,
    ):
        copy.set_types(("int8", "text", "bytea"))
        for number, path, data in copy.rows():
            yield number, _sketch(kernel, path, data)


def forget_damaged(database: Database, aggregation: NumberedAggregation) -> int:
    """Count images as not described whose description cannot be used; return how many."""
    kernel = aggregation.kernel
    with database.connect() as connection:
        return connection.execute(
            "UPDATE landmarks SET aggregation = NULL, global_descriptor = NULL, sketch = NULL"
            " WHERE aggregation = %(number)s AND global_descriptor IS NOT NULL"
            " AND (vector_dims(global_descriptor) <> %(dimensions)s OR %(bytes)s::integer > 0"
            "  AND coalesce(octet_length(sketch), 0) %% greatest(1, %(bytes)s::integer) <> 0"
            "  OR %(bytes)s::integer > 0 AND coalesce(octet_length(sketch), 0) = 0)",
            {
                "number": aggregation.number,
                "dimensions": aggregation.dimensions,
                "bytes": kernel.bytes_a_word if kernel else 0,
            },
        ).rowcount


def _sketch(kernel: MatchKernel, image_path: str, data: bytes | None) -> Sketch | None:
    try:
        return kernel.read(data or b"")
    except ValueError as error:
        warn_damaged(image_path, error)
        return None


def _descriptors(
    image_path: str, data: bytes, n: int, dimensions: int | None
) -> NDArray[np.float16]:
    try:
        return as_array(data, "<f2", n, dimensions)
    except ValueError as error:
        warn_damaged(image_path, error)
        return np.empty((0, 1), np.float16)


def _described_by(model: str, aggregation: int | None) -> tuple[LiteralString, dict[str, Any]]:
    """The condition, and its values, that one index of the table answers."""
    if aggregation is None:
        return "model = %(model)s AND aggregation IS NULL", {"model": model}
    return "aggregation = %(aggregation)s", {"aggregation": aggregation}


class SketchCache:
    """Sketches, of which those that were asked for last are kept.

    Parameters
    ----------
    database : Database
    images : int
        How many are kept.
    """

    def __init__(self, database: Database, images: int) -> None:
        self._database, self._images = database, images
        self._kept: OrderedDict[int, Sketch | None] = OrderedDict()

    def read(self, kernel: MatchKernel, ids: Sequence[int]) -> Iterator[tuple[int, Sketch]]:
        """Of images that have a sound one, in their order; others are named in the log.

        They are streamed: while some are looked at, Postgres sends the next.
        """
        held = {number: self._kept[number] for number in ids if number in self._kept}
        missing = [number for number in ids if number not in held]
        new = read_sketches(self._database, kernel, missing) if missing else iter(())
        place = {number: place for place, number in enumerate(ids)}
        for number, sketch in heapq.merge(held.items(), new, key=lambda one: place[one[0]]):
            self._kept[number] = sketch
            self._kept.move_to_end(number)
            while len(self._kept) > self._images:
                self._kept.popitem(last=False)
            if sketch is not None:
                yield number, sketch
