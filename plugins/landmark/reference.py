"""What to compare with: DELF's own `match_images.py`, choices and all, and its network's cost.

Nearest neighbour of each feature by KD-tree below a distance of 0.8, one direction only, then
scikit-image's `ransac` with an affine model, 3 samples, 20 px, 1000 trials (tensorflow/models,
research/delf/delf/python/examples/match_images.py). Used by evaluation, benchmark and tests only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial import cKDTree
from skimage.measure import ransac
from skimage.transform import AffineTransform

from landmark.features import LocalFeatures

DISTANCE = 0.8
MINIMAL_SAMPLE = 3
RESIDUAL_PX = 20
TRIALS = 1000


def reference_match(query: LocalFeatures, image: LocalFeatures, seed: int = 0) -> tuple[int, int]:
    """Inliers and putative matches of two images."""
    if not len(query) or not len(image):
        return 0, 0
    tree = cKDTree(image.descriptors.astype(np.float32))
    distances, nearest = tree.query(
        query.descriptors.astype(np.float32), distance_upper_bound=DISTANCE
    )
    found = np.isfinite(distances)
    pairs = query.locations[found], image.locations[nearest[found]]
    if found.sum() <= MINIMAL_SAMPLE:
        return 0, int(found.sum())
    _, inliers = ransac(
        pairs,
        AffineTransform,
        min_samples=MINIMAL_SAMPLE,
        residual_threshold=RESIDUAL_PX,
        max_trials=TRIALS,
        rng=seed,
    )
    return (0 if inliers is None else int(inliers.sum())), int(found.sum())


def delf_network() -> Any:
    """DELF's network with random weights, which change nothing about its cost.

    ResNet-50 up to its fourth block of convolutions, and an attention of two layers on top (Noh et
    al., "Large-Scale Image Retrieval with Attentive Deep Local Features", 2017, section 4.2).

    Returns
    -------
    keras.Model
        From float32 [b, h, w, 3] to features [b, h / 16, w / 16, 1024] and attention [b, …, 1].
    """
    from tensorflow import keras

    body = keras.applications.ResNet50(include_top=False, weights=None)
    features = body.get_layer("conv4_block6_out").output
    hidden = keras.layers.Conv2D(512, 1, activation="relu")(features)
    attention = keras.layers.Conv2D(1, 1, activation="softplus")(hidden)
    return keras.Model(body.input, [features, attention])
