"""Descriptors -> putative matches: mutual nearest neighbours below a distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def putative_matches(
    query: NDArray[np.floating], image: NDArray[np.floating], max_distance: float
) -> NDArray[np.intp]:
    """Pairs of features that are each other's nearest neighbour.

    One matrix product gives all similarities: for unit vectors the squared distance is
    ``2 - 2 * cosine``. Asking for the nearest neighbour in both directions makes the pairs
    one-to-one, so that no feature is counted twice and inliers never exceed putatives.

    Parameters
    ----------
    query : floating array [n, d]
        Descriptors of the query image, unit length.
    image : floating array [m, d]
        Descriptors of the other image, unit length.
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
    if query.shape[1] != image.shape[1]:
        raise ValueError(
            f"descriptors of {query.shape[1]} and {image.shape[1]} dimensions cannot be compared"
        )
    if not len(query) or not len(image):
        return np.empty((0, 2), np.intp)
    # numpy multiplies float16 by hand, and float32 by BLAS.
    similarity = query.astype(np.float32, copy=False) @ image.astype(np.float32, copy=False).T
    nearest_image = similarity.argmax(axis=1)
    nearest_query = similarity.argmax(axis=0)
    index = np.arange(len(query))
    mutual = nearest_query[nearest_image] == index
    near = similarity[index, nearest_image] > 1 - max_distance**2 / 2
    kept = index[mutual & near]
    return np.column_stack([kept, nearest_image[kept]])
