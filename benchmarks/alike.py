"""ALIKE's features, to compare ours with.

ALIKE (Zhao et al., "ALIKE: Accurate and Lightweight Keypoint Detection and Descriptor Extraction",
2022) at one scale, the features as they come. At most 1,000 an image of 800 px.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from landmark.extraction.decoding import decode_image, shrink
from landmark.features import LocalFeatures
from training.teacher import Teacher, trimmed

MAX_IMAGE_SIZE_PX = 800
MAX_FEATURES = 1000
# Of putative matches: what ranks best with them, see README.md.
MAX_DISTANCE = 0.8


class Alike:
    """Gives ALIKE's features.

    Parameters
    ----------
    weights : Path
        Of a released network as plain arrays, see `training/README.md`.
    """

    def __init__(self, weights: Path) -> None:
        self._network = Teacher(weights)

    def extract(self, data: bytes, name: str) -> LocalFeatures:
        """The features of an image file's content."""
        return self.extract_pixels(decode_image(data, name, max_size_px=sys.maxsize).pixels, name)

    def extract_pixels(self, pixels: NDArray[np.uint8], name: str) -> LocalFeatures:
        """The features of RGB pixels [h, w, 3]."""
        height, width = pixels.shape[:2]
        seen = shrink(pixels, MAX_IMAGE_SIZE_PX)
        reduced = max(seen.shape[:2]) / max(height, width)
        image = tf.constant(trimmed(seen) / np.float32(255))
        score, locations, descriptors = self._network.keypoints(image, tf.constant(MAX_FEATURES))
        found = locations.numpy()
        return LocalFeatures(
            locations=((found + 0.5) / reduced - 0.5).astype(np.float32),
            descriptors=descriptors.numpy().astype(np.float16),
            scales=np.full(len(found), reduced, np.float32),
            attention=score.numpy()[found[:, 0], found[:, 1]],
            width=width,
            height=height,
        )
