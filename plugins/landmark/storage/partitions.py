"""The table `landmarks` in bulk: cut into parts, each streamed by one task."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterable, Iterator
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark.storage.blobs import (
    as_array,
    as_scales,
    check_size,
    local_dimensions,
    warn_damaged,
)
from landmark.storage.database import Database
from landmark.storage.row_cache import RowCache

# Of what `read_partition` selects.
ROW_TYPES = ("int8", "text", "timestamptz", "text", *["int4"] * 3, *["bytea"] * 3)
# What Python adds to a row's arrays: their objects, its path, its place in a cache.
ROW_OVERHEAD_BYTES = 1500


class Partition(NamedTuple):
    """A part of the table that one task reads.

    Parameters
    ----------
    ids : range or list of int
        A range may hold ids of other models, or of no row.
    images : int
        The rows of the model among them.
    block : int
        The same from search to search for the same part of the table.
    """

    ids: range | list[int]
    images: int
    block: int = 0


class StoredImage(NamedTuple):
    """What matching needs of one row.

    Parameters
    ----------
    image_path : str
    width, height : int
        Size of the original image in pixels.
    locations : float32 array [n, 2]
        (y, x) px in the original image.
    descriptors : float16 array [n, d]
    scales : float32 array [n]
        As of `LocalFeatures`.
    id : int
        Of the row.
    indexed_at : datetime
        When these features were written.
    """

    image_path: str
    width: int
    height: int
    locations: NDArray[np.float32]
    descriptors: NDArray[np.float16]
    scales: NDArray[np.float32]
    id: int = 0
    indexed_at: datetime = datetime.min

    @property
    def side_px(self) -> int:
        """The original image's longest side."""
        return max(self.width, self.height)


def list_partitions(database: Database, model: str, images: int) -> list[Partition]:
    """The model's rows as ranges of id with at most so many images each.

    Blocks of ids begin and end at fixed places, wider where many ids have no row: an image that
    comes or goes changes one of them and leaves the others as workers know them.
    """
    selected = "FROM landmarks WHERE model = %(model)s"
    values = {"model": model, "images": images}
    with database.connect() as connection:
        row = connection.execute(
            f"SELECT max(id) - min(id) + 1, count(*) {selected}", values
        ).fetchone()
        assert row is not None
        span, n = row
        if not n:
            return []
        values["wide"] = images << ((span // n).bit_length() - 1)
        rows = connection.execute(
            "SELECT min(id), max(id), count(*), block FROM"  # noqa: S608
            " (SELECT id, CASE WHEN count(*) OVER (PARTITION BY id / %(wide)s) > %(images)s"
            "   THEN id / %(images)s ELSE id / %(wide)s * %(wide)s / %(images)s END AS block"
            f"  {selected}) AS numbered GROUP BY block ORDER BY block",
            values,
        )
        return [Partition(range(first, last + 1), n, block) for first, last, n, block in rows]


def read_partition(
    database: Database,
    model: str,
    ids: range | list[int],
    cache: RowCache | None = None,
) -> Iterator[StoredImage]:
    """Stream the images of a partition in the order of their ids; damaged rows are passed over.

    The memory needed does not grow with the number of rows. With a cache, only rows that it
    lacks in their present version are read.
    """
    if isinstance(ids, range):
        where, values = "id BETWEEN %s AND %s", [ids.start, ids.stop - 1]
    else:
        where, values = "id = ANY(%s)", [ids]  # type: ignore[list-item]
    scope, held = (database.conninfo, model), {}
    with database.connect() as connection:
        if cache is not None:
            # Every change of a row gives it another xmin. Another database restored under this
            # address, or the counter's return after 2**32 transactions, another time.
            rows = connection.execute(
                "SELECT id, xmin::text, indexed_at FROM landmarks"  # noqa: S608
                f" WHERE model = %s AND {where} ORDER BY id",
                [model, *values],
            )
            versions = {number: (xmin, time) for number, xmin, time in rows}
            held = cache.find(scope, versions)
            missing = [number for number in versions if number not in held]
            if not missing:
                yield from held.values()
                return
            where, values = "id = ANY(%s)", [missing]  # type: ignore[list-item]
        dimensions = local_dimensions(connection, model)
        # A COPY streams as a cursor does, at half the cost.
        cursor = connection.cursor()
        with cursor.copy(
            "COPY (SELECT id, xmin::text, indexed_at, image_path, width, height,"  # noqa: S608
            " n_features, locations, descriptors, scales FROM landmarks"
            f" WHERE model = %s AND {where} ORDER BY id)"
            " TO STDOUT (FORMAT BINARY)",
            [model, *values],
        ) as copy:
            copy.set_types(ROW_TYPES)
            read = _read_images(copy.rows(), dimensions, scope, cache)
            for _, image in heapq.merge(held.items(), read, key=itemgetter(0)):
                yield image


def sample_ids(database: Database, model: str, images: int) -> list[int]:
    """So many of the model's rows at random; the same rows of the same table."""
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT id FROM landmarks WHERE model = %s ORDER BY hashint8extended(id, 0) LIMIT %s",
            [model, images],
        )
        return sorted(number for (number,) in rows)


def _read_images(
    rows: Iterable[tuple[Any, ...]],
    dimensions: int | None,
    scope: Hashable,
    cache: RowCache | None,
) -> Iterator[tuple[int, StoredImage]]:
    """The images of rows by their ids, without damaged ones; the cache is offered each."""
    for number, xmin, indexed_at, path, width, height, n, locations, descriptors, scales in rows:
        try:
            check_size(width, height)
            image = StoredImage(
                path,
                width,
                height,
                as_array(locations, "<f4", n, 2),
                as_array(descriptors, "<f2", n, dimensions),
                as_scales(scales, n),
                number,
                indexed_at,
            )
        except ValueError as error:
            warn_damaged(path, error)
            continue
        if cache is not None:
            size = len(locations) + len(descriptors) + len(scales) + ROW_OVERHEAD_BYTES
            cache.keep(scope, number, (xmin, indexed_at), image, size)
        yield number, image
