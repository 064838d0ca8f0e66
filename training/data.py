"""Training examples: two views of one photograph and the teacher's word on both.

View 1 is a crop, view 2 the same surroundings seen through a random homography; both are then
distorted photometrically. All randomness comes from the example's index, so a resumed run sees what
an unbroken one would have seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

MARGIN_PX = 4.0
"""Keypoints nearer to a view's border are not used."""


@dataclass(frozen=True)
class ViewParameters:
    """How examples are drawn.

    Parameters
    ----------
    side_px
        Height and width of both views.
    keypoints
        Most keypoints of an example.
    min_score
        Teacher's score below which a keypoint (of sky, of water) is not used.
    rotation_deg, scale, shear, perspective
        Largest distortion of view 2: rotation either way, enlargement or reduction (times),
        shear and change of one side's length (fractions), and change of depth across the view.
    shift
        Largest shift of view 2's centre, as a fraction of the side.
    """

    side_px: int = 352
    keypoints: int = 256
    min_score: float = 0.2
    rotation_deg: float = 25.0
    scale: float = 2.0
    shear: float = 0.35
    perspective: float = 0.35
    shift: float = 0.12


def examples(
    photographs: Sequence[Path],
    targets: Sequence[Path],
    mean: np.ndarray,
    components: np.ndarray,
    parameters: ViewParameters,
    seed: int,
    start: int = 0,
) -> tf.data.Dataset:
    """Endless examples, every photograph once an epoch.

    Parameters
    ----------
    photographs, targets
        JPEG files and what `training.targets` wrote for them, in the same order.
    mean, components
        The descriptors' projection: float32 [t] and [t, d].
    parameters
        How views are drawn.
    seed
        Of all randomness.
    start
        Index of the first example.

    Returns
    -------
    tf.data.Dataset of dict
        ``images`` float32 [2, s, s, 3] in 0..1; ``scores`` float32 [2, s, s]; ``locations`` float32
        [2, n, 2], (y, x) px in either view; ``descriptors`` float32 [n, d], unit length;
        ``weights`` float32 [n], 0 where a row is only filling; ``taught`` float32 [n], 1 where the
        descriptor is the teacher's; ``repelled`` float32 [n], 1 where the two views do not show the
        same, but seem to (never here, see `training.pair_views`); ``place`` int32, the same for
        examples that may show the same.
    """
    photograph_names = tf.constant([str(path) for path in photographs])
    target_names = tf.constant([str(path) for path in targets])
    count = len(photographs)

    def example(index: tf.Tensor) -> dict[str, tf.Tensor]:
        epoch = index // count
        which = tf.random.experimental.index_shuffle(
            index % count, [seed, tf.cast(epoch, tf.int32)], count - 1
        )
        image = tf.io.decode_jpeg(tf.io.read_file(photograph_names[which]), channels=3)
        score, locations, descriptors = tf.numpy_function(
            read_target, [target_names[which]], [tf.float16, tf.int16, tf.float16]
        )
        score.set_shape([None, None])
        locations.set_shape([None, 2])
        descriptors.set_shape([None, mean.shape[0]])
        height, width = tf.shape(score)[0], tf.shape(score)[1]
        image = tf.image.convert_image_dtype(image, tf.float32)[:height, :width]
        projected = tf.matmul(tf.cast(descriptors, tf.float32) - mean, components)
        views = two_views(
            image,
            tf.cast(score, tf.float32),
            tf.cast(locations, tf.float32),
            tf.math.l2_normalize(projected, axis=1),
            parameters,
            tf.stack([tf.constant(seed, tf.int64), index]),
        )
        return {**views, "place": -1 - tf.cast(which, tf.int32)}

    indices = tf.data.Dataset.counter(start)
    return indices.map(example, num_parallel_calls=2, deterministic=True)


def two_views(
    image: tf.Tensor,
    score: tf.Tensor,
    locations: tf.Tensor,
    descriptors: tf.Tensor,
    parameters: ViewParameters,
    seed: tf.Tensor,
) -> dict[str, tf.Tensor]:
    """One example, as `examples` describes it, of one photograph, without its place.

    Parameters
    ----------
    image, score
        float32 [h, w, 3] in 0..1 and [h, w].
    locations, descriptors
        float32 [k, 2], (y, x) px, and [k, d].
    parameters
        How views are drawn.
    seed
        int64 [2].
    """
    seeds = tf.random.split(seed, 6)
    first = _crop(tf.shape(score), parameters, seeds[0])
    second = first @ _distortion(parameters, seeds[1])
    stacked = tf.concat([image, score[:, :, tf.newaxis]], axis=2)
    views = tf.stack([warped(stacked, h, parameters.side_px) for h in (first, second)])
    seen = tf.stack([projected(locations, tf.linalg.inv(h)) for h in (first, second)])

    last = parameters.side_px - 1 - MARGIN_PX
    usable = tf.reduce_all((seen >= MARGIN_PX) & (seen <= last), axis=[0, 2])
    usable &= tf.gather_nd(score, tf.cast(locations, tf.int32)) >= parameters.min_score
    chosen = tf.random.experimental.stateless_shuffle(tf.where(usable)[:, 0], seeds[2])
    chosen = chosen[: parameters.keypoints]
    filling = parameters.keypoints - tf.size(chosen)

    def filled(values: tf.Tensor, axis: int) -> tf.Tensor:
        padding = [[0, filling if a == axis else 0] for a in range(values.shape.rank)]
        return tf.pad(tf.gather(values, chosen, axis=axis), padding)

    images = [photometric(views[i, :, :, :3], seeds[3 + i]) for i in range(2)]
    n = parameters.keypoints
    weights = tf.ensure_shape(filled(tf.ones_like(descriptors[:, 0]), 0), [n])
    return {
        "images": tf.stack(images),
        "scores": views[..., 3],
        "locations": tf.ensure_shape(filled(seen, 1), [2, n, 2]),
        "descriptors": tf.ensure_shape(filled(descriptors, 0), [n, descriptors.shape[1]]),
        "weights": weights,
        "taught": weights,
        "repelled": tf.zeros_like(weights),
    }


def warped(image: tf.Tensor, homography: tf.Tensor, side_px: int) -> tf.Tensor:
    """View [side, side, c] of an image [h, w, c], bilinear, 0 outside of it.

    Parameters
    ----------
    image
        float32 [h, w, c].
    homography
        float32 [3, 3], maps (x, y, 1) px of the view to the image's.
    side_px
        Height and width of the view.
    """
    view = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[tf.newaxis],
        transforms=tf.reshape(homography / homography[2, 2], [1, 9])[:, :8],
        output_shape=[side_px, side_px],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )[0]
    return tf.ensure_shape(view, [side_px, side_px, image.shape[2]])


def projected(locations: tf.Tensor, homography: tf.Tensor) -> tf.Tensor:
    """Locations [n, 2] (y, x) after a homography [3, 3] of (x, y, 1)."""
    homogeneous = tf.concat([locations[:, ::-1], tf.ones_like(locations[:, :1])], axis=1)
    mapped = tf.matmul(homogeneous, homography, transpose_b=True)
    return (mapped[:, :2] / mapped[:, 2:])[:, ::-1]


def photometric(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Another light, exposure, white balance, colourfulness, sharpness and noise.

    Parameters
    ----------
    image
        float32 [h, w, 3] in 0..1.
    seed
        int64 [2].
    """
    seeds = tf.random.split(seed, 8)

    def uniform(i: int, low: float, high: float, shape: tuple[int, ...] = ()) -> tf.Tensor:
        return tf.random.stateless_uniform(shape, seeds[i], low, high)

    # Sun and shadow: light that changes smoothly over the view, by a factor of three at most.
    light = tf.image.resize(uniform(7, -0.55, 0.55, (3, 3, 1)), tf.shape(image)[:2], "bicubic")
    image = tf.clip_by_value(image * tf.exp(light), 0.0, 1.0) ** tf.exp(uniform(0, -0.6, 0.8))
    grey = tf.reduce_mean(image, axis=2, keepdims=True)
    image = grey + (image - grey) * uniform(1, 0.0, 1.4)
    image = image * tf.exp(uniform(2, -0.2, 0.2, (3,)))
    image = (image - 0.5) * uniform(3, 0.5, 1.4) + 0.5 + uniform(4, -0.15, 0.15)
    blurred = tf.nn.avg_pool2d(image[tf.newaxis], 3, 1, "SAME")[0]
    image = image + (blurred - image) * uniform(5, -0.4, 1.0)
    noise = tf.random.stateless_normal(tf.shape(image), seeds[6], stddev=0.025)
    return tf.clip_by_value(image + noise, 0.0, 1.0)


def read_target(path: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Score, locations and descriptors that `training.targets` wrote."""
    with np.load(path.decode()) as arrays:
        return arrays["score"], arrays["locations"], arrays["descriptors"]


def _crop(size: tf.Tensor, parameters: ViewParameters, seed: tf.Tensor) -> tf.Tensor:
    """A whole-pixel shift [3, 3] to a random crop; small photographs stay at the corner."""
    room = tf.cast(tf.maximum(size - parameters.side_px, 0), tf.float32)
    corner = tf.floor(tf.random.stateless_uniform([2], seed) * (room + 1.0))
    return _matrix([[1.0, 0.0, corner[1]], [0.0, 1.0, corner[0]], [0.0, 0.0, 1.0]])


def _distortion(parameters: ViewParameters, seed: tf.Tensor) -> tf.Tensor:
    """A random homography [3, 3] from view 2 to view 1, about the centre."""
    unit = tf.unstack(tf.random.stateless_uniform([8], seed, -1.0, 1.0))
    centre = (parameters.side_px - 1) / 2
    angle = unit[0] * (parameters.rotation_deg * math.pi / 180)
    size = tf.exp(unit[1] * math.log(parameters.scale))
    cos, sin = tf.cos(angle) * size, tf.sin(angle) * size
    shift = parameters.shift * parameters.side_px
    to_origin = _matrix([[1.0, 0.0, -centre], [0.0, 1.0, -centre], [0.0, 0.0, 1.0]])
    perspective = parameters.perspective / parameters.side_px
    stretch = _matrix(
        [
            [tf.exp(unit[2] * parameters.shear), unit[3] * parameters.shear, 0.0],
            [0.0, 1.0, 0.0],
            [unit[4] * perspective, unit[5] * perspective, 1.0],
        ]
    )
    rotation = _matrix([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    back = _matrix(
        [
            [1.0, 0.0, centre + unit[6] * shift],
            [0.0, 1.0, centre + unit[7] * shift],
            [0.0, 0.0, 1.0],
        ]
    )
    return back @ rotation @ stretch @ to_origin


def _matrix(rows: list[list[tf.Tensor | float]]) -> tf.Tensor:
    return tf.stack([tf.stack([tf.cast(v, tf.float32) for v in row]) for row in rows])
