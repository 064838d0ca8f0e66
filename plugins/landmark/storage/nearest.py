"""The nearest images by global descriptor: pgvector's HNSW index, or a look at each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pgvector import HalfVector
from pgvector.psycopg import register_vector
from psycopg import sql

from landmark.storage.aggregations import NumberedAggregation
from landmark.storage.blobs import warn_damaged
from landmark.storage.database import Database

# Candidates that a search of the index holds: with few it misses some of the nearest. The most is
# pgvector's; further rows it reads from the index as it needs them.
MIN_EF_SEARCH, MAX_EF_SEARCH = 200, 1000
# More are found sooner, and surely, by a look at every row.
NEAREST_BY_INDEX = 5_000


def nearest(
    database: Database,
    aggregation: NumberedAggregation,
    descriptor: NDArray[np.floating],
    images: int,
    except_path: str = "",
    exact: bool = False,
) -> list[int]:
    """Ids of the images with the nearest global descriptors (cosine), nearest first.

    By the index, where there is one; the same index gives the same answer.

    Parameters
    ----------
    exact : bool
        Compare with every global descriptor, without the index.
    """
    by_index = not exact and images <= NEAREST_BY_INDEX and _has_index(database, aggregation.number)
    ef_search = min(MAX_EF_SEARCH, max(MIN_EF_SEARCH, images + 1))
    # The index's own expression, letter for letter, or it is not used.
    distance = sql.SQL("global_descriptor::halfvec({}) <=> %(vector)s").format(
        sql.Literal(aggregation.dimensions)
    )
    # Ties beyond the last go to the lower id, which the index knows nothing of.
    order = distance if by_index else sql.SQL("{}, id").format(distance)
    # An index has no other ones; without it the cast would refuse the first of them, and all.
    fits = sql.SQL("" if by_index else " AND vector_dims(global_descriptor) = {}").format(
        sql.Literal(aggregation.dimensions)
    )
    with database.connect() as connection:
        register_vector(connection)
        connection.execute(
            "SELECT set_config('hnsw.ef_search', %s, true),"
            " set_config('hnsw.iterative_scan', 'relaxed_order', true),"
            " set_config('enable_indexscan', %s, true), set_config('enable_sort', %s, true)",
            [str(ef_search), *(("on", "off") if by_index else ("off", "on"))],
        )
        rows = connection.execute(
            sql.SQL(
                "SELECT id FROM (SELECT id, {distance} AS distance FROM landmarks"
                "  WHERE aggregation = {number} AND image_path <> %(path)s"
                "  AND global_descriptor IS NOT NULL{fits}"
                "  ORDER BY {order} LIMIT %(images)s) AS found"
                " ORDER BY distance, id"
            ).format(
                distance=distance,
                number=sql.Literal(aggregation.number),
                fits=fits,
                order=order,
            ),
            {"vector": HalfVector(descriptor), "path": except_path, "images": images},
        )
        return [number for (number,) in rows]


def warn_of_other_dimensions(database: Database, aggregation: NumberedAggregation) -> None:
    """Name the images that `nearest` passes over; an index has none."""
    if _has_index(database, aggregation.number):
        return
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT image_path, vector_dims(global_descriptor) FROM landmarks"
            " WHERE aggregation = %s AND vector_dims(global_descriptor) <> %s ORDER BY id",
            [aggregation.number, aggregation.dimensions],
        ).fetchall()
    for path, dimensions in rows:
        warn_damaged(
            path,
            ValueError(
                f"a global descriptor of {dimensions} numbers instead of {aggregation.dimensions}"
            ),
        )


def build_index(database: Database, aggregation: NumberedAggregation, memory_mb: int) -> bool:
    """Build the HNSW index of an aggregation, if it is not there; searches go on meanwhile.

    An index of its own for each aggregation, hence each model: one for all would have to be
    read past the others' rows.

    Returns
    -------
    bool
        Whether it was built now.
    """
    if _has_index(database, aggregation.number):
        return False
    name = _index_name(aggregation.number)
    with database.as_owner() as connection:
        # What a killed build has left.
        connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(name))
        connection.execute(
            sql.SQL("SET maintenance_work_mem = {}").format(sql.Literal(f"{memory_mb}MB"))
        )
        connection.execute(
            sql.SQL(
                "CREATE INDEX CONCURRENTLY {} ON landmarks"
                " USING hnsw ((global_descriptor::halfvec({})) halfvec_cosine_ops)"
                " WHERE aggregation = {}"
            ).format(name, sql.Literal(aggregation.dimensions), sql.Literal(aggregation.number))
        )
    return True


def drop_index(database: Database, aggregation: int) -> None:
    """Drop the HNSW index of an aggregation, if there is one; searches go on meanwhile."""
    with database.as_owner() as connection:
        connection.execute(
            sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(_index_name(aggregation))
        )


def _has_index(database: Database, aggregation: int) -> bool:
    with database.connect() as connection:
        row = connection.execute(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)",
            [_index_name(aggregation).as_string()],
        ).fetchone()
    return row == (True,)


def _index_name(aggregation: int) -> sql.Identifier:
    return sql.Identifier(f"landmarks_nearest_{aggregation}")
