"""What vocabularies of visual words have in common."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sums_by_group(values: NDArray, groups: NDArray[np.intp], count: int) -> NDArray[np.float32]:
    """Sums [count, d] of the rows of `values` [n, d] by their group [n]."""
    order = np.argsort(groups, kind="stable")
    found, starts = np.unique(groups[order], return_index=True)
    sums = np.zeros((count, values.shape[1]), np.float32)
    sums[found] = np.add.reduceat(values[order], starts)
    return sums


def unit_length(vectors: NDArray) -> NDArray:
    """Each vector over its L2 norm; zeros stay."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)
