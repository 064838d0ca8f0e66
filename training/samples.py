"""What the network's levels say at points of photographs, computed once and kept on disk.

Of every photograph as it is and in another view and light, at the sizes that searches use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training.data import photometric, projected
from training.network import STRIDES, Network, bilinear_samples, local_maxima

POINTS = 600
"""Of a photograph: those that most pairs share, or the best keypoints."""
VERSIONS = 2
"""The photograph as it is, and another view of it."""
SIZES = (0.5, 1.0)
BORDER_PX = 8


@dataclass(frozen=True, eq=False)
class Samples:
    """What the network's levels say at points of a photograph.

    Parameters
    ----------
    points : float32 array [p, 2]
        (y, x) px.
    values : float16 array [v, s, p, c]
        Of each version and size.
    seen : bool array [v, p]
        Which points a version shows.
    """

    points: NDArray[np.float32]
    values: NDArray[np.float16]
    seen: NDArray[np.bool_]


class Sampler:
    """Computes `Samples` and keeps them on disk.

    Parameters
    ----------
    network
        Trained, folded.
    folder
        Where the files go.
    """

    def __init__(self, network: Network, folder: Path) -> None:
        self.network, self._folder = network, folder
        folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, photograph: Path, points: NDArray[np.float32] | None, name: str) -> Samples:
        """Of a JPEG file, at these points, or at its best keypoints."""
        path = self._folder / f"{name.replace('/', '-')}.npz"
        if not path.exists():
            partial = path.with_suffix(".tmp")
            with partial.open("wb") as file:
                found = self._computed(photograph, points, name)
                np.savez(file, points=found.points, values=found.values, seen=found.seen)
            partial.rename(path)
        with np.load(path) as arrays:
            return Samples(arrays["points"], arrays["values"], arrays["seen"])

    def _computed(self, photograph: Path, points: NDArray[np.float32] | None, name: str) -> Samples:
        image = tf.io.decode_jpeg(tf.io.read_file(str(photograph)), channels=3)
        image = tf.image.convert_image_dtype(image, tf.float32)
        if points is None:
            points = self._keypoints(image).numpy().astype(np.float32)
        rng = np.random.default_rng(list(name.encode()))
        values, seen = [], []
        size = np.array(image.shape[:2])
        for version in range(VERSIONS):
            view, where = image, points
            if version:
                homography = _changed_view(size, rng)
                view = _warped(image, tf.constant(homography, tf.float32))
                view = photometric(view, tf.constant(rng.integers(1 << 30, size=2)))
                inverse = tf.constant(np.linalg.inv(homography), tf.float32)
                where = projected(tf.constant(points), inverse).numpy()
            seen.append(((where >= BORDER_PX) & (where < size - BORDER_PX)).all(axis=1))
            values.append([self._sampled(view, tf.constant(where), s).numpy() for s in SIZES])
        return Samples(points, np.array(values, np.float16), np.array(seen))

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, 3], tf.float32),
            tf.TensorSpec([None, 2], tf.float32),
            tf.TensorSpec([], tf.float32),
        ]
    )
    def _sampled(self, image: tf.Tensor, points: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        levels = self._levels(image, size)
        where = (points + 0.5) * size - 0.5
        sampled = [
            bilinear_samples(level, ((where + 0.5) / stride - 0.5)[tf.newaxis])[0]
            for level, stride in zip(levels, STRIDES, strict=True)
        ]
        return tf.concat(sampled, axis=1)

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.float32)])
    def _keypoints(self, image: tf.Tensor) -> tf.Tensor:
        height, width = tf.shape(image)[0], tf.shape(image)[1]
        logits = self.network.score_logits(self._levels(image, tf.constant(1.0)))[0]
        return local_maxima(logits[:height, :width], tf.constant(POINTS), BORDER_PX)[0]

    def _levels(self, image: tf.Tensor, size: tf.Tensor) -> list[tf.Tensor]:
        wanted = tf.cast(tf.round(tf.cast(tf.shape(image)[:2], tf.float32) * size), tf.int32)
        scaled = tf.image.resize(image, wanted, antialias=True)
        rows, columns = (-(-side // STRIDES[-1]) * STRIDES[-1] for side in tf.unstack(wanted))
        padded = tf.pad(
            scaled, [[0, rows - wanted[0]], [0, columns - wanted[1]], [0, 0]], "SYMMETRIC"
        )
        return self.network.levels(padded[tf.newaxis])


def _warped(image: tf.Tensor, homography: tf.Tensor) -> tf.Tensor:
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=image[tf.newaxis],
        transforms=tf.reshape(homography / homography[2, 2], [1, 9])[:, :8],
        output_shape=tf.shape(image)[:2],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )[0]


def _changed_view(size: NDArray[np.integer], rng: np.random.Generator) -> NDArray[np.floating]:
    """A homography [3, 3] of (x, y, 1) from another view to the photograph, about its centre."""
    angle, grown = math.radians(rng.normal() * 8), math.exp(rng.uniform(-0.25, 0.25))
    cos, sin = math.cos(angle) * grown, math.sin(angle) * grown
    rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    stretch, shear = math.exp(rng.uniform(-0.25, 0.25)), rng.uniform(-0.25, 0.25)
    slant = rng.uniform(-0.25, 0.25, 2) / size.max()
    affine = np.array([[stretch, shear, 0], [0, 1, 0], [*slant, 1]])
    x, y = (size[::-1] - 1) / 2
    back = np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])
    return back @ rotation @ affine @ np.linalg.inv(back)
