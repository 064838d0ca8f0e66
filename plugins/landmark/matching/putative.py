"""Descriptors -> putative matches: mutual nearest neighbours below a distance.

All similarities of two images are one matrix product of whole numbers. Whole numbers make it exact:
the same bits on every processor, whatever the order of the additions or the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numkong
import numpy as np
from numpy.typing import NDArray

# A component of a unit vector is rounded to 1 / LEVELS, which adds some 0.003 to a cosine.
LEVELS = 127
# So many rows of a product stay in a core's cache; its memory is bounded whatever the image.
ROWS_PER_BLOCK = 256

# int8 on processors with matrix tiles: a sixth of the time of BLAS in float32. That is faster
# elsewhere, and as exact: the sums stay below LEVELS**2, whole numbers in float32 below 2**24.
INT8_TILES = bool(numkong.get_capabilities()["sapphireamx"])

_FLOAT16_VALUES = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
_WHOLE_NUMBERS = np.rint(LEVELS * np.nan_to_num(_FLOAT16_VALUES).clip(-1, 1)).astype(np.int8)


@dataclass(frozen=True, eq=False)
class QueryDescriptors:
    """The descriptors of one image, arranged to be compared with those of many.

    Parameters
    ----------
    n, d : int
        Features and dimensions.
    columns : object
        The right side of the products.
    """

    n: int
    d: int
    columns: Any

    @classmethod
    def of(cls, descriptors: NDArray[np.floating]) -> QueryDescriptors:
        """From descriptors of unit length, floating [n, d]."""
        values = whole_numbers(descriptors)
        n, d = values.shape
        columns: Any
        if INT8_TILES and n:
            columns = numkong.dots_pack(values, dtype="int8")
        else:
            columns = values.astype(np.float32).T
        return cls(n, d, columns)


def whole_numbers(descriptors: NDArray[np.floating]) -> NDArray[np.int8]:
    """Descriptors of unit length [n, d] as multiples of 1 / `LEVELS`; NaN counts as 0."""
    halves = np.ascontiguousarray(descriptors, np.float16)
    # There are only 65,536 of them: looking one up is faster than rounding it.
    return _WHOLE_NUMBERS.take(halves.view(np.uint16))


def putative_matches(
    query: QueryDescriptors, image: NDArray[np.int8], max_distance: float
) -> NDArray[np.intp]:
    """Pairs of features that are each other's nearest neighbour.

    For unit vectors the squared distance is ``2 - 2 * cosine``. Asking for the nearest neighbour
    in both directions makes the pairs one-to-one, so that no feature is counted twice and inliers
    never exceed putatives.

    Parameters
    ----------
    query : QueryDescriptors
        Of n features.
    image : int8 array [m, d]
        Descriptors of the other image, as `whole_numbers` gives them.
    max_distance : float
        Euclidean distance, 0 to 2, from which on a pair is dropped.

    Returns
    -------
    intp array [k, 2]
        Rows (index in `query`, index in `image`), ascending in the first; k may be 0.
        Of equal neighbours the first counts.

    Raises
    ------
    ValueError
        If the two are of different dimensions: features of different models.
    """
    if query.d != image.shape[1]:
        raise ValueError(
            f"descriptors of {query.d} and {image.shape[1]} dimensions cannot be compared"
        )
    if not query.n or not len(image):
        return np.empty((0, 2), np.intp)
    least = LEVELS**2 * (1 - max_distance**2 / 2)
    found, nearest, similarity = [], [], []
    best = np.full(query.n, least, np.float32)  # of each feature of the query
    for start, products in _products(query, image):
        highest = products.max(axis=1)
        near = np.flatnonzero(highest > least)
        # The other rows hold nothing that a feature of the query could prefer.
        candidates = products[near]
        np.maximum(best, candidates.max(axis=0, initial=-(LEVELS**2)), out=best)
        found.append(start + near)
        nearest.append(candidates.argmax(axis=1))
        similarity.append(highest[near])
    nearest_query = np.concatenate(nearest)
    mutual = np.flatnonzero(np.concatenate(similarity) == best[nearest_query])
    matched, first = np.unique(nearest_query[mutual], return_index=True)
    return np.column_stack([matched, np.concatenate(found)[mutual[first]]])


def _products(
    query: QueryDescriptors, rows: NDArray[np.int8]
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Dot products [r, n] of `rows` and the query, a block at a time, each with its first row.

    Each overwrites the last: fresh memory for each would take longer than the product.
    """
    block = np.empty(
        (min(ROWS_PER_BLOCK, len(rows)), query.n), np.int32 if INT8_TILES else np.float32
    )
    for start in range(0, len(rows), ROWS_PER_BLOCK):
        part = rows[start : start + ROWS_PER_BLOCK]
        products = block[: len(part)]
        if INT8_TILES:
            numkong.dots_packed(part, query.columns, out=numkong.from_dlpack(products))
        else:
            np.matmul(part.astype(np.float32), query.columns, out=products)
        yield start, products
