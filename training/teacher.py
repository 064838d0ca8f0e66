"""The teacher: ALIKE's forward pass in TensorFlow, its weights read from a file of plain arrays.

ALIKE (Zhao et al., 2022, https://github.com/Shiaoming/ALIKE, BSD-3-Clause) supervises the training;
its weights neither enter the exported model nor initialise it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from training.network import local_maxima

STRIDES = (1, 2, 8, 32)
"""Pixels of the image per pixel of the four blocks' outputs."""

_BATCH_NORM_EPSILON = 1e-5


class Teacher(tf.Module):
    """ALIKE's network, any of its released variants.

    Parameters
    ----------
    path
        A ``.npz`` of the released weights, convolutions stored (out, in, height, width).
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        with np.load(path) as arrays:
            self._arrays = {name: arrays[name] for name in arrays.files}
        head = self._arrays["convhead2.weight"][:, :, 0, 0]
        self._descriptor_head = tf.constant(head[:-1].T)
        score_head = head[-1:].T
        # Resizing is linear, so the layer after it runs before it, a part of it for each level.
        self._two_layers = "convhead1.weight" in self._arrays
        after = self._arrays["convhead1.weight"][:, :, 0, 0].T if self._two_layers else score_head
        self._after_levels = np.split(after, len(STRIDES))
        self._score_head = tf.constant(score_head)
        self.descriptor_size = int(head.shape[0] - 1)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, 3], tf.float32),
            tf.TensorSpec([], tf.int32),
        ]
    )
    def keypoints(
        self, image: tf.Tensor, max_keypoints: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Score map, keypoints and descriptors of one image.

        Descriptors are computed at keypoints only: the same figures at a third of the cost.

        Parameters
        ----------
        image
            float32 [h, w, 3], RGB in 0..1; both sides multiples of 32.
        max_keypoints
            int32 scalar.

        Returns
        -------
        score
            float32 [h, w] in 0..1.
        locations
            int32 [n, 2], (y, x) in px, best score first, n <= `max_keypoints`.
        descriptors
            float32 [n, d], unit length.
        """
        size = tf.shape(image)[:2]
        levels = self._levels(image[tf.newaxis])
        summed = tf.add_n(
            [
                tf.compat.v1.image.resize_bilinear(
                    tf.tensordot(level, tf.constant(part), 1), size, align_corners=True
                )
                for level, part in zip(levels, self._after_levels, strict=True)
            ]
        )[0]
        if self._two_layers:
            hidden = tf.nn.relu(summed)
            summed = tf.tensordot(hidden, self._score_head, 1)
        score = tf.sigmoid(summed)[:, :, 0]
        locations, _ = local_maxima(score, max_keypoints, border=4)
        if self._two_layers:
            inputs = tf.gather_nd(hidden, locations)
        else:
            sampled = [_sample_aligned(level[0], locations, size) for level in levels]
            inputs = tf.concat(sampled, axis=1)
        descriptors = tf.matmul(inputs, self._descriptor_head)
        return score, locations, tf.math.l2_normalize(descriptors, axis=1)

    def _levels(self, x: tf.Tensor) -> list[tf.Tensor]:
        x = tf.nn.relu(self._conv_norm(x, "block1", 1))
        x = tf.nn.relu(self._conv_norm(x, "block1", 2))
        levels = [self._projection(x, 1)]
        for block, pool in ((2, 2), (3, 4), (4, 4)):
            x = tf.nn.max_pool2d(x, pool, pool, "VALID")
            name = f"block{block}"
            shortcut = self._conv(x, f"{name}.downsample") + self._arrays[f"{name}.downsample.bias"]
            x = tf.nn.relu(self._conv_norm(x, name, 1))
            x = tf.nn.relu(self._conv_norm(x, name, 2) + shortcut)
            levels.append(self._projection(x, block))
        return levels

    def _projection(self, x: tf.Tensor, level: int) -> tf.Tensor:
        return tf.nn.relu(self._conv(x, f"conv{level}"))

    def _conv(self, x: tf.Tensor, name: str) -> tf.Tensor:
        return tf.nn.conv2d(x, self._arrays[f"{name}.weight"].transpose(2, 3, 1, 0), 1, "SAME")

    def _conv_norm(self, x: tf.Tensor, block: str, index: int) -> tf.Tensor:
        norm = {
            key: self._arrays[f"{block}.bn{index}.{key}"]
            for key in ("weight", "bias", "running_mean", "running_var")
        }
        gain = norm["weight"] / np.sqrt(norm["running_var"] + _BATCH_NORM_EPSILON)
        kernel = self._arrays[f"{block}.conv{index}.weight"].transpose(2, 3, 1, 0) * gain
        bias = norm["bias"] - norm["running_mean"] * gain
        return tf.nn.conv2d(x, kernel, 1, "SAME") + bias


def _sample_aligned(level: tf.Tensor, locations: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Values [n, c] of `level` [h', w', c] where `locations` (y, x) fall, corners aligned."""
    level_size = tf.shape(level)[:2]
    ratio = tf.cast(level_size - 1, tf.float32) / tf.cast(size - 1, tf.float32)
    where = tf.cast(locations, tf.float32) * ratio
    low = tf.minimum(tf.cast(where, tf.int32), level_size - 1)
    high = tf.minimum(low + 1, level_size - 1)
    fraction = where - tf.cast(low, tf.float32)
    fy, fx = fraction[:, :1], fraction[:, 1:]

    def corner(y: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        return tf.gather_nd(level, tf.stack([y[:, 0], x[:, 1]], axis=1))

    top = corner(low, low) * (1 - fx) + corner(low, high) * fx
    bottom = corner(high, low) * (1 - fx) + corner(high, high) * fx
    return top * (1 - fy) + bottom * fy


def trimmed(image: np.ndarray) -> np.ndarray:
    """The image [h, w, 3] without the last rows and columns beyond a multiple of 32."""
    height, width = (side - side % STRIDES[-1] for side in image.shape[:2])
    return image[:height, :width]


def fit_projection(descriptors: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Principal components of descriptors.

    Parameters
    ----------
    descriptors
        float [n, d].
    size
        Components kept.

    Returns
    -------
    mean
        float32 [d].
    components
        float32 [d, size], orthonormal columns, most variance first.
    """
    values = descriptors.astype(np.float64)
    mean = values.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov(values - mean, rowvar=False))
    return mean.astype(np.float32), vectors[:, ::-1][:, :size].astype(np.float32)
