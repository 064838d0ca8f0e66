"""Sheets of wall measured in metres, and the noise and colours that are painted on them.

A :class:`Panel` carries a reflectance, a height (which becomes real geometry) and a glow for lit
windows after dark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

# Pixels, heights and coordinates; 32-bit floats where it matters for speed.
Array = npt.NDArray[Any]


Rng = np.random.Generator


Color = Sequence[float] | npt.NDArray[Any]


def linear(color: Color) -> Array:
    """Turn a display (sRGB) colour into a linear reflectance."""
    return np.asarray(color, np.float32) ** 2.2


def fbm(
    rng: Rng,
    shape: tuple[int, int],
    cell: float,
    octaves: int = 5,
    gain: float = 0.55,
    stretch: float = 1.0,
) -> Array:
    """Fractal noise of unit standard deviation.

    Parameters
    ----------
    rng
        Random source.
    shape
        Rows and columns.
    cell
        Size in pixels of the coarsest bumps.
    octaves
        Number of halvings of the bump size.
    gain
        Amplitude of an octave relative to the one before.
    stretch
        How much taller than wide the bumps are (for streaks and wood grain).

    Returns
    -------
    Array
        The noise.
    """
    h, w = shape
    out = np.zeros(shape, np.float32)
    amplitude = 1.0
    for octave in range(octaves):
        size = cell / 2**octave
        if size < 1.2:
            break
        grid = rng.standard_normal((int(h / (size * stretch)) + 3, int(w / size) + 3)).astype(
            np.float32
        )
        out += amplitude * np.asarray(
            Image.fromarray(grid).resize((w, h), Image.Resampling.BICUBIC)
        )
        amplitude *= gain
    return (out - out.mean()) / (out.std() + 1e-6)


def smooth(edge0: float, edge1: float, x: Array) -> Array:
    """Smooth step from 0 at `edge0` to 1 at `edge1`."""
    t = np.clip((x - edge0) / (edge1 - edge0), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


@dataclass
class Panel:
    """A sheet of wall in metres, x to the right and y upwards from the lower left corner."""

    w: float
    h: float
    ppm: float
    albedo: Array = field(init=False)
    height: Array = field(init=False)
    glow: Array = field(init=False)
    hole: Array = field(init=False)

    def __post_init__(self) -> None:
        shape = (max(8, round(self.h * self.ppm)), max(8, round(self.w * self.ppm)))
        self.albedo = np.full((*shape, 3), 0.5, np.float32)
        self.height = np.zeros(shape, np.float32)
        self.glow = np.zeros((*shape, 3), np.float32)
        self.hole = np.zeros(shape, np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns in pixels."""
        return self.height.shape[0], self.height.shape[1]

    def area(
        self, x0: float, y0: float, x1: float, y1: float
    ) -> tuple[tuple[slice, slice], Array, Array]:
        """Return the pixel slices of a rectangle and the metre coordinates in it."""
        rows, cols = self.shape
        c0, r0 = max(0, int(x0 * self.ppm)), max(0, int(rows - y1 * self.ppm))
        # What lies beside the panel is empty.
        c1 = max(c0, min(cols, math.ceil(x1 * self.ppm)))
        r1 = max(r0, min(rows, math.ceil(rows - y0 * self.ppm)))
        xs = ((np.arange(c0, c1) + 0.5) / self.ppm).astype(np.float32)
        ys = ((rows - np.arange(r0, r1) - 0.5) / self.ppm).astype(np.float32)
        gx, gy = np.meshgrid(xs, ys)
        return (slice(r0, r1), slice(c0, c1)), gx, gy

    def paint(
        self,
        where: tuple[slice, slice],
        mask: Array,
        color: Array | None = None,
        height: float | Array | None = None,
        add: bool = False,
        shade: float = 0.0,
    ) -> None:
        """Blend colour and height into a region through a mask in 0..1."""
        if not mask.size:
            return
        m = mask[..., None]
        if color is not None:
            old = self.albedo[where]
            # Keep some of the stone under the paint, so that no two mouldings look alike.
            lum = old.mean(-1, keepdims=True)
            local = np.clip(lum / (lum.mean() + 1e-4), 0.3, 2.0) ** shade
            self.albedo[where] = old * (1 - m) + color * local * m
        if height is not None:
            old_h = self.height[where]
            self.height[where] = old_h + mask * (height if add else height - old_h)

    def box(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        height: float,
        color: Array | None = None,
        shade: float = 0.8,
    ) -> None:
        """Raise (or sink) a rectangle, with slightly rounded edges."""
        soft = 0.02
        where, gx, gy = self.area(x0 - soft, y0 - soft, x1 + soft, y1 + soft)
        sd = np.maximum(np.maximum(x0 - gx, gx - x1), np.maximum(y0 - gy, gy - y1))
        self.paint(where, smooth(soft, 0, sd), color, height, shade=shade)

    def stamp(
        self,
        mask: Array,
        x0: float,
        y0: float,
        w: float,
        h: float,
        color: Array | None = None,
        depth: float = 0.0,
        shade: float = 0.5,
    ) -> None:
        """Stamp a drawn mask, resized to w by h metres, onto the panel."""
        where, gx, gy = self.area(x0, y0, x0 + w, y0 + h)
        rows, cols = mask.shape
        m = ndimage.map_coordinates(
            mask,
            [(1 - (gy - y0) / h) * rows - 0.5, (gx - x0) / w * cols - 0.5],
            order=1,
            mode="constant",
        ).astype(np.float32)
        self.paint(where, m, color, depth, add=True, shade=shade)
