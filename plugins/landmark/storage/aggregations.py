"""The table `landmark_aggregations`: what a model's images are described by."""

from __future__ import annotations

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


class NumberedAggregation(NamedTuple):
    """What a model's global descriptors are made by.

    Parameters
    ----------
    number : int
        Global descriptors of different numbers are never compared.
    dimensions : int
        Of the global descriptors.
    images : int
        That the model had when this was measured.
    parameters : Aggregation or None
        None: the model gives global descriptors of its own.
    """

    number: int
    dimensions: int
    images: int
    parameters: Aggregation | None

    @property
    def kernel(self) -> MatchKernel | None:
        """What orders those that are nearest by global descriptor; None: nothing else does."""
        return self.parameters.kernel if self.parameters else None

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


def known_aggregations(database: Database, model: str) -> list[NumberedAggregation]:
    """What the model's global descriptors are made by, the current one first.

    There are others as long as there are images that the current one has not described.
    """
    with database.connect() as connection:
        rows = (
            connection.cursor(binary=True)
            .execute(
                "SELECT number, dimensions, images, parameters FROM landmark_aggregations"
                " WHERE model = %s ORDER BY number DESC",
                [model],
            )
            .fetchall()
        )
    return [
        NumberedAggregation(
            number, dimensions, images, parameters and Aggregation.from_bytes(parameters)
        )
        for number, dimensions, images, parameters in rows
    ]


def current_aggregation(database: Database, model: str) -> NumberedAggregation | None:
    """What describes the model's new images, None before it was first measured."""
    return next(iter(known_aggregations(database, model)), None)


def add_aggregation(
    database: Database, model: str, dimensions: int, images: int, parameters: Aggregation | None
) -> None:
    """Make this the model's current aggregation; it describes images from now on."""
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO landmark_aggregations (model, dimensions, images, parameters)"
            " VALUES (%s, %s, %s, %b)",
            [model, dimensions, images, parameters and parameters.to_bytes()],
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
