"""What to compare with: DELF's own `match_images.py`, choices and all.

Nearest neighbour of each feature by KD-tree below a distance of 0.8, one direction only, then
scikit-image's `ransac` with an affine model, 3 samples, 20 px, 1000 trials (tensorflow/models,
research/delf/delf/python/examples/match_images.py).
"""

from __future__ import annotations

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
