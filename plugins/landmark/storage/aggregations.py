"""The table `landmark_aggregations`: what a model's images are described by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import psycopg
from numpy.typing import NDArray

from landmark.features import LocalFeatures
from landmark.matching.aggregation import Aggregation
from landmark.matching.match_kernel import MatchKernel
from landmark.storage.database import Database


class Description(NamedTuple):
    """What puts an image on a shortlist.

    Parameters
    ----------
    vector : float16 array [g]
        Global descriptor.
    sketch : bytes or None
        See `landmark.matching.match_kernel`.
    """

    vector: NDArray[np.float16]
    sketch: bytes | None = None


def _none() -> None:
    return None


@dataclass(frozen=True, eq=False)
class NumberedAggregation:
    """What a model's global descriptors are made by.

    Parameters
    ----------
    number : int
        Global descriptors of different numbers are never compared.
    dimensions : int
        Of the global descriptors.
    images : int
        That the model had when this was measured.
    kernel : MatchKernel or None
        What orders those that are nearest by global descriptor; None: nothing else does.
    read_parameters : callable, optional
        Gives `parameters`; by default there are none.
    """

    number: int
    dimensions: int
    images: int
    kernel: MatchKernel | None = None
    read_parameters: Callable[[], Aggregation | None] = _none

    @cached_property
    def parameters(self) -> Aggregation | None:
        """None: the model gives global descriptors of its own."""
        return self.read_parameters()

    def describe(self, features: LocalFeatures) -> Description | None:
        """What puts an image on a shortlist, None if nothing does."""
        if self.parameters is not None:
            return self.describe_local(features.descriptors)
        if features.global_descriptor is None:
            return None
        return Description(features.global_descriptor)

    def describe_local(self, descriptors: NDArray[np.floating]) -> Description | None:
        """The same, of local descriptors [n, d] by the aggregation's parameters."""
        assert self.parameters is not None
        if not len(descriptors):
            return None
        sketch = self.kernel.sketch(descriptors).to_bytes() if self.kernel else None
        return Description(self.parameters.describe(descriptors), sketch)


def known_aggregations(
    database: Database, model: str, whole: bool = True
) -> list[NumberedAggregation]:
    """What the model's global descriptors are made by, the current one first.

    There are others as long as there are images that the current one has not described.

    Parameters
    ----------
    whole : bool
        Read parameters now, not when they are first asked for: they are 25 MB. Who asks later needs
        a database at one time, where nothing is dropped meanwhile.
    """
    with database.connect() as connection:
        rows = (
            connection.cursor(binary=True)
            .execute(
                "SELECT number, dimensions, images, kernel, parameters IS NULL,"
                " CASE WHEN %s OR kernel IS NULL THEN parameters END"
                " FROM landmark_aggregations WHERE model = %s ORDER BY number DESC",
                [whole, model],
            )
            .fetchall()
        )
    return [_numbered(database, *row) for row in rows]


def _numbered(
    database: Database,
    number: int,
    dimensions: int,
    images: int,
    kernel: bytes | None,
    is_own: bool,
    data: bytes | None,
) -> NumberedAggregation:
    if is_own:
        return NumberedAggregation(number, dimensions, images)
    if data is not None:
        read = Aggregation.from_bytes(data)
        return NumberedAggregation(number, dimensions, images, read.kernel, lambda: read)
    assert kernel is not None
    later = partial(_read_parameters, database, number)
    return NumberedAggregation(number, dimensions, images, MatchKernel.from_bytes(kernel), later)


def _read_parameters(database: Database, number: int) -> Aggregation:
    with database.connect() as connection:
        row = (
            connection.cursor(binary=True)
            .execute("SELECT parameters FROM landmark_aggregations WHERE number = %s", [number])
            .fetchone()
        )
    assert row is not None
    return Aggregation.from_bytes(row[0])


def current_aggregation(
    database: Database, model: str, whole: bool = True
) -> NumberedAggregation | None:
    """What describes the model's new images, None before it was first measured."""
    return next(iter(known_aggregations(database, model, whole)), None)


def add_aggregation(
    database: Database, model: str, dimensions: int, images: int, parameters: Aggregation | None
) -> None:
    """Make this the model's current aggregation; it describes images from now on."""
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO landmark_aggregations (model, dimensions, images, parameters, kernel)"
            " VALUES (%s, %s, %s, %b, %b)",
            [
                model,
                dimensions,
                images,
                parameters and parameters.to_bytes(),
                parameters and parameters.kernel and parameters.kernel.to_bytes(),
            ],
        )


def keep_kernel(database: Database, aggregation: NumberedAggregation) -> None:
    """Put the kernel of an aggregation of before beside its parameters, if it is not there yet."""
    if aggregation.kernel is not None:
        with database.connect() as connection:
            connection.execute(
                "UPDATE landmark_aggregations SET kernel = %b WHERE number = %s AND kernel IS NULL",
                [aggregation.kernel.to_bytes(), aggregation.number],
            )


def own_dimensions(database: Database, model: str) -> int | None:
    """Of the global descriptors that the model itself has given, None if it gives none."""
    with database.connect() as connection:
        row = connection.execute(
            "SELECT vector_dims(global_descriptor) FROM landmarks"
            " WHERE model = %s AND aggregation IS NULL AND global_descriptor IS NOT NULL"
            " LIMIT 1",
            [model],
        ).fetchone()
    return None if row is None else row[0]


def drop_aggregation(database: Database, number: int) -> bool:
    """Forget an aggregation, unless an image uses it still; return whether it is gone."""
    try:
        with database.connect() as connection:
            connection.execute("DELETE FROM landmark_aggregations WHERE number = %s", [number])
    except psycopg.errors.ForeignKeyViolation:
        return False
    return True


def hold_aggregation(connection: psycopg.Connection[Any], number: int) -> bool:
    """Keep an aggregation from being dropped until the transaction ends; whether it is there."""
    row = connection.execute(
        "SELECT FROM landmark_aggregations WHERE number = %s FOR KEY SHARE", [number]
    ).fetchone()
    return row is not None
