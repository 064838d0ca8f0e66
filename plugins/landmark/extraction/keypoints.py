"""Round a network that scores pixels: the image pyramid, keypoints, and samples at them, in numpy.

What `training.export` writes into the SavedModel's graph, step by step; beside LiteRT these few
lines take a tenth of an image's time, and TensorFlow is not started for them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BORDER_PX = 8
"""Pixels at the border of each scaled image where no keypoint is taken."""
RADIUS_PX = 2
"""A keypoint is the largest value of the square of so many pixels around it."""


def scaled_image(image: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """An image [h, w, c] at a scale of its pyramid; sides are rounded, and at least 1.

    Bilinear; where it is reduced, the kernel is widened by as much, against aliasing, as
    ``tf.image.resize(..., antialias=True)`` does it.
    """
    for axis in (0, 1):
        original = image.shape[axis]
        size = max(1, int(np.rint(np.float32(original) * np.float32(scale))))
        if size != original:
            image = _resampled(image, size, axis)
    return image


def _resampled(image: NDArray[np.float32], size: int, axis: int) -> NDArray[np.float32]:
    """The image with `size` rows (axis 0) or columns (1): weighted sums of a few old ones each."""
    original = image.shape[axis]
    step = np.float32(1) / (np.float32(size) / np.float32(original))
    reach = max(step, np.float32(1))  # the triangle's half width, in old pixels
    centres = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * step
    first = np.ceil(centres - reach - np.float32(0.5)).astype(np.intp)
    taps = first[:, None] + np.arange(2 * int(np.ceil(reach)) + 1)
    away = np.abs(taps.astype(np.float32) + np.float32(0.5) - centres[:, None]) / reach
    weights = np.maximum(1 - away, 0) * ((taps >= 0) & (taps < original))
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    result = np.zeros((*image.shape[:axis], size, *image.shape[axis + 1 :]), np.float32)
    for tap, weight in zip(taps.clip(0, original - 1).T, weights.T, strict=True):
        if weight.any():
            lines = np.take(image, tap, axis)
            lines *= weight.reshape(-1, *[1] * (image.ndim - 1 - axis))
            result += lines
    return result


def local_maxima(
    logits: NDArray[np.float32], threshold: float, most: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The best maxima of a map of score logits.

    Parameters
    ----------
    logits : float32 array [h, w]
    threshold : float
        Least score, 0..1: the sigmoid of a logit.
    most : int

    Returns
    -------
    places : int array [n, 2]
        (y, x) in pixels, best first; equal ones row by row.
    scores : float32 array [n]
    """
    height, width = logits.shape
    if min(height, width) <= 2 * BORDER_PX:
        return np.empty((0, 2), np.intp), np.empty(0, np.float32)
    outer = BORDER_PX - RADIUS_PX
    near = logits[outer : height - outer, outer : width - outer]
    inside = near[RADIUS_PX:-RADIUS_PX, RADIUS_PX:-RADIUS_PX]
    largest = _running_maximum(_running_maximum(near, 0), 1)
    y, x = np.nonzero(inside >= largest)
    scores = _sigmoid(inside[y, x])
    kept = scores >= np.float32(threshold)
    # A plateau has no position: there all the square is equal.
    kept[kept] = _has_lower_neighbour(near, y[kept] + RADIUS_PX, x[kept] + RADIUS_PX)
    places = np.stack([y[kept], x[kept]], axis=1) + BORDER_PX
    best = np.argsort(-logits[tuple(places.T)], kind="stable")[:most]
    return places[best], scores[kept][best]


def _running_maximum(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """The largest of each `2 RADIUS_PX + 1` rows (axis 0) or columns (1) that follow each other."""
    windows = np.moveaxis(values, axis, 0)
    count = len(windows) - 2 * RADIUS_PX
    largest = windows[:count].copy("K")
    for shift in range(1, 2 * RADIUS_PX + 1):
        np.maximum(largest, windows[shift : shift + count], out=largest)
    return np.moveaxis(largest, 0, axis)


def _has_lower_neighbour(
    values: NDArray[np.float32], y: NDArray[np.intp], x: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Whether any value of the square round (y, x) is below that in its middle."""
    middle = values[y, x]
    lower = np.zeros(len(middle), bool)
    for dy in range(-RADIUS_PX, RADIUS_PX + 1):
        for dx in range(-RADIUS_PX, RADIUS_PX + 1):
            lower |= values[y + dy, x + dx] < middle
    return lower


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # of a logit below -88 the score is 0
        return np.float32(1) / (np.float32(1) + np.exp(-logits))


def refined(logits: NDArray[np.float32], places: NDArray[np.intp]) -> NDArray[np.float32]:
    """Places [n, 2] moved to where the parabola through each and its two neighbours peaks.

    By half a pixel at most, in y and in x.
    """
    y, x = places.T
    centre = logits[y, x]
    offsets = []
    for dy, dx in ((1, 0), (0, 1)):
        before, after = logits[y - dy, x - dx], logits[y + dy, x + dx]
        curvature = np.minimum(before - 2 * centre + after, np.float32(-1e-6))
        offsets.append((before - after) / (2 * curvature))
    return places.astype(np.float32) + np.clip(np.stack(offsets, axis=1), -0.5, 0.5)


def bilinear_samples(
    levels: Sequence[NDArray[np.float32]], locations: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Values of feature maps at locations.

    Parameters
    ----------
    levels : sequence of float32 arrays [h / stride, w / stride, channels]
        The first has stride 2, each further one twice the stride of that before it.
    locations : float32 array [n, 2]
        (y, x) in pixels of the image, 0 at the first pixel's centre; taken to the border of the
        map where they are beyond it.

    Returns
    -------
    float32 array [n, channels of all levels]
    """
    half = np.float32(0.5)
    return np.concatenate(
        [
            _bilinear(level, (locations + half) / np.float32(2 << index) - half)
            for index, level in enumerate(levels)
        ],
        axis=1,
    )


def _bilinear(level: NDArray[np.float32], where: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width, channels = level.shape
    last = np.array([height - 1, width - 1])
    where = np.clip(where, 0, last.astype(np.float32))
    low = np.floor(where).astype(np.intp)
    high = np.minimum(low + 1, last)
    fy, fx = (where - low.astype(np.float32)).T[:, :, None]
    pixels = level.reshape(-1, channels)

    def corner(y: NDArray[np.intp], x: NDArray[np.intp]) -> NDArray[np.float32]:
        return pixels[y * width + x]

    (y0, x0), (y1, x1) = low.T, high.T
    top = corner(y0, x0) * (1 - fx) + corner(y0, x1) * fx
    bottom = corner(y1, x0) * (1 - fx) + corner(y1, x1) * fx
    return top * (1 - fy) + bottom * fy
