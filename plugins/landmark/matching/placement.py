"""How what is on two pictures lies on them: moved and zoomed, when nothing but that was done."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

# Of a pixel, to which locations are rounded: sums of whole numbers are exact.
ROUNDED = 8


class Pictured(Protocol):
    """Features of an image, and its size."""

    @property
    def locations(self) -> NDArray[np.float32]:
        """(y, x) px in the original image [n, 2]."""

    @property
    def descriptors(self) -> NDArray[np.float16]:
        """Unit length up to rounding [n, d]."""

    @property
    def width(self) -> int:
        """Of the original image, px."""

    @property
    def height(self) -> int:
        """Of the original image, px."""


def sizes_of(one: Pictured, two: Pictured) -> NDArray[np.float64]:
    """Height and width px of two images [2, 2]."""
    return np.array([[one.height, one.width], [two.height, two.width]], np.float64)


def fitted_zoom(one: NDArray[np.floating], two: NDArray[np.floating]) -> float | None:
    """How many times larger the second of matched locations [k, 2] are laid out, by least squares.

    None where they lie at one point, or one is mirrored.
    """
    y, x = (np.rint(ROUNDED * at.T.astype(np.float64)) for at in (one, two))
    n = len(one)
    spread = (n * np.square(y).sum(axis=1) - np.square(y.sum(axis=1))).sum()
    common = (n * (y * x).sum(axis=1) - y.sum(axis=1) * x.sum(axis=1)).sum()
    return float(common / spread) if spread > 0 and common > 0 else None
