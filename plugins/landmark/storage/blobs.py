"""The arrays of a row in `landmarks` as they are stored, and what tells that they are damaged."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import psycopg
from numpy.typing import DTypeLike, NDArray

logger = logging.getLogger(__name__)

# For the length of a model's descriptors.
ROWS_ASKED = 50


def local_dimensions(connection: psycopg.Connection[Any], model: str) -> int | None:
    """Of a model's local descriptors: those that most of some of its rows have.

    A row says how many features it has and not of how many numbers each; what was cut off may leave
    a whole number of them. Of as many the larger: damage takes rather than gives.
    """
    row = connection.execute(
        "SELECT mode() WITHIN GROUP (ORDER BY octet_length(descriptors) / 2 / n_features DESC)"
        " FROM (SELECT descriptors, n_features FROM landmarks"
        "  WHERE model = %s AND n_features > 0 ORDER BY id LIMIT %s) AS asked",
        [model, ROWS_ASKED],
    ).fetchone()
    assert row is not None
    return row[0] or None


def as_array(data: bytes, dtype: DTypeLike, n: int, columns: int | None = None) -> NDArray[Any]:
    """A blob of the table as an array [n, columns]; by default as many columns as it has.

    Raises
    ------
    ValueError
        If the blob has another length, or holds a value that is not finite.
    """
    values = np.frombuffer(data, dtype)
    if not _is_finite(values):
        raise ValueError("holds a value that is not finite")
    shape = n, columns or max(1, values.size // max(1, n))
    if shape[0] * shape[1] != values.size:
        raise ValueError(f"holds {values.size} values where {n} features have others")
    return values.reshape(shape)


def as_scales(data: bytes, n: int) -> NDArray[Any]:
    """Scales of n features; raises like `as_array`, and for one that is not above zero."""
    scales = as_array(data, "<f4", n, 1).ravel()
    if (scales <= 0).any():
        raise ValueError("holds a scale that is not above zero")
    return scales


def check_size(*sides_px: int) -> None:
    """`ValueError` if these are no sides of an image."""
    if min(sides_px) < 1:
        raise ValueError(f"is of an image of {min(sides_px)} px")


def warn_damaged(image_path: str, reason: ValueError) -> None:
    """Say that an image's row cannot be used, and how to get another."""
    logger.warning(
        "%s: its row is damaged (%s) and passed over; DELETE it FROM landmarks, and the next sweep "
        "extracts the image anew",
        image_path,
        reason,
    )


def _is_finite(values: NDArray[Any]) -> bool:
    # Numbers below 2, as unit vectors are made of, leave one bit of float16 unset: a look at all
    # bits at once takes a thirtieth of isfinite's time.
    return bool(
        (values.dtype == np.float16 and not np.bitwise_or.reduce(values.view("<u2")) & 0x4000)
        or np.isfinite(values).all()
    )
