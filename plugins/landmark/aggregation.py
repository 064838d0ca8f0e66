"""Local features -> one global descriptor, for a shortlist of images worth matching."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def second_order_pooling(descriptors: NDArray[np.floating]) -> NDArray[np.float16]:
    """The moment matrix of an image's descriptors as one vector.

    Carreira et al., "Semantic Segmentation with Second-Order Pooling", 2012, section 2, with the
    matrix square root (Lin and Maji, "Improved Bilinear Pooling with CNNs", 2017) that keeps a few
    frequent structures from drowning the rest. Needs no codebook and no training.

    Parameters
    ----------
    descriptors : floating array [n, d]

    Returns
    -------
    float16 array [d * (d + 1) / 2]
        Unit length, so that the dot product of two is their cosine; all zeros for n = 0.
    """
    d = descriptors.shape[1]
    values = descriptors.astype(np.float64)
    moments = values.T @ values / max(len(values), 1)
    eigenvalues, vectors = np.linalg.eigh(moments)
    root = (vectors * np.sqrt(eigenvalues.clip(0))) @ vectors.T
    rows, columns = np.triu_indices(d)
    # Off the diagonal each entry stands for two: the vector keeps the matrix's length.
    pooled = root[rows, columns] * np.where(rows == columns, 1.0, np.sqrt(2.0))
    length = np.linalg.norm(pooled)
    return (pooled / length if length > 0 else pooled).astype(np.float16)
