"""RootSIFT features, to compare ours with.

SIFT (Lowe, 2004) as OpenCV has it, square-rooted (Arandjelović and Zisserman, "Three things
everyone should know to improve object retrieval", 2012, section 3), projected to the 40 principal
components of the folder's own descriptors, as DELF's are. At most 1,000 an image of 800 px.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from landmark.extraction.decoding import decode_image, shrink
from landmark.features import LocalFeatures

MAX_IMAGE_SIZE_PX = 800
MAX_FEATURES = 1000
# Of putative matches: what ranks best with them, see README.md.
MAX_DISTANCE = 0.7
DIMENSIONS = 40
SAMPLED_PER_IMAGE = 200
SAMPLED_IMAGES = 300


class RootSift:
    """Gives RootSIFT features.

    Parameters
    ----------
    files : sequence of Path
        Images whose descriptors the principal components are taken of.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        cv2.setNumThreads(1)
        self._sift = cv2.SIFT_create(nfeatures=MAX_FEATURES)  # type: ignore[attr-defined]  # missing in its stubs
        some = [
            self._detect(_pixels(file.read_bytes(), file.name))[1][:SAMPLED_PER_IMAGE]
            for file in files[:: -(-len(files) // SAMPLED_IMAGES)]
        ]
        sample = np.concatenate(some)
        self.mean = sample.mean(axis=0)
        covariance = np.cov(sample - self.mean, rowvar=False)
        self.components = np.linalg.eigh(covariance)[1][:, ::-1][:, :DIMENSIONS]

    def extract(self, data: bytes, name: str) -> LocalFeatures:
        """The features of an image file's content."""
        return self.extract_pixels(_pixels(data, name), name)

    def extract_pixels(self, pixels: NDArray[np.uint8], name: str) -> LocalFeatures:
        """The features of RGB pixels [h, w, 3]."""
        keypoints, descriptors = self._detect(pixels)
        height, width = pixels.shape[:2]
        enlarged = max(1.0, max(height, width) / MAX_IMAGE_SIZE_PX)
        projected = (descriptors - self.mean) @ self.components
        projected /= np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), 1e-9)
        locations = np.array([point.pt[::-1] for point in keypoints], np.float32).reshape(-1, 2)
        sizes = np.array([point.size for point in keypoints], np.float32)
        return LocalFeatures(
            locations=((locations + 0.5) * enlarged - 0.5).astype(np.float32),
            descriptors=projected.astype(np.float16),
            scales=1 / (sizes * np.float32(enlarged)),
            attention=np.array([point.response for point in keypoints], np.float32),
            width=width,
            height=height,
        )

    def _detect(self, pixels: NDArray[np.uint8]) -> tuple[list[cv2.KeyPoint], NDArray[np.float32]]:
        """Keypoints, strongest first, and descriptors [n, 128]."""
        grey = cv2.cvtColor(shrink(pixels, MAX_IMAGE_SIZE_PX), cv2.COLOR_RGB2GRAY)
        keypoints, descriptors = self._sift.detectAndCompute(grey, None)
        order = sorted(range(len(keypoints)), key=lambda index: -keypoints[index].response)
        if not order:
            return [], np.empty((0, 128), np.float32)
        sums = np.maximum(np.abs(descriptors).sum(axis=1, keepdims=True), 1e-9)
        order = order[:MAX_FEATURES]
        return [keypoints[index] for index in order], np.sqrt(descriptors / sums)[order]


def _pixels(data: bytes, name: str) -> NDArray[np.uint8]:
    return decode_image(data, name, max_size_px=sys.maxsize).pixels
