"""Pairwise SIFT check of the gallery: ``python -m gallery.check [workers]``."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import numpy.typing as npt
from PIL import Image
from skimage.feature import SIFT
from skimage.measure import ransac
from skimage.transform import AffineTransform

from gallery.generate import GALLERY

Features = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]


def features(path: str, size: int = 480, limit: int = 700) -> Features:
    """Return the positions and square-rooted SIFT descriptors of an image."""
    img = Image.open(path).convert("L")
    img.thumbnail((size, size))
    sift = SIFT(upsampling=1, c_dog=0.008)
    sift.detect_and_extract(np.asarray(img, np.float32) / 255)
    points, found = sift.keypoints, sift.descriptors
    assert points is not None and found is not None
    d = found.astype(np.float32)
    # The strongest corners are not marked; a fixed random choice is fair.
    keep = np.random.default_rng(0).permutation(len(d))[:limit]
    d = np.sqrt(d[keep] / (d[keep].sum(1, keepdims=True) + 1e-6))
    return points[keep].astype(np.float32), d


def inliers(a: Features, b: Features, residual: float = 10.0) -> int:
    """Count the matches (mutual, ratio 0.9) that one affine map explains."""
    sim = a[1] @ b[1].T
    best = sim.argmax(1)
    mutual = sim.argmax(0)[best] == np.arange(len(best))
    top = np.sort(sim, 1)[:, -2:]
    dist = np.sqrt(np.maximum(2 - 2 * top, 1e-9))
    i = np.flatnonzero(mutual & (dist[:, 1] < 0.9 * dist[:, 0]))
    if len(i) < 5:
        return 0
    model, ok = ransac(
        (a[0][i], b[0][best[i]]),
        AffineTransform,
        min_samples=3,
        residual_threshold=residual,
        max_trials=250,
        rng=0,
    )
    # A map that squeezes everything into a point is no match.
    if ok is None or not 0.15 < abs(np.linalg.det(model.params[:2, :2])) < 6:
        return 0
    return int(ok.sum())


def main() -> None:
    """Print, for each view, its fewest and median true inliers and the most false ones."""
    workers = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    places = json.loads((GALLERY / "gallery.json").read_text())["places"]
    paths = sorted(p for p in (GALLERY / "images").glob("*/*.jpg"))
    names = [f"{p.parent.name}/{p.name}" for p in paths]
    of = {v: k for k, vs in places.items() for v in vs}
    with ProcessPoolExecutor(workers) as pool:
        feats = list(pool.map(features, map(str, paths)))
        pairs = [
            (i, j) for i in range(len(names)) for j in range(i) if names[i] in of or names[j] in of
        ]
        counts = pool.map(
            inliers, [feats[i] for i, _ in pairs], [feats[j] for _, j in pairs], chunksize=64
        )
        table = np.zeros((len(names), len(names)), int)
        for (i, j), n in zip(pairs, counts, strict=True):
            table[i, j] = table[j, i] = n
    for place in places:
        mine = [i for i, n in enumerate(names) if of.get(n) == place]
        rest = [i for i, n in enumerate(names) if of.get(n) != place]
        print(f"{place}:")
        for i in mine:
            true = sorted(int(table[i, j]) for j in mine if j != i)
            worst = max(rest, key=lambda j: table[i, j])
            flag = "" if true and true[0] > 2 * table[i, worst] else "  <-- weak"
            print(
                f"  {names[i][-6:]} true {true} false max {table[i, worst]} ({names[worst]}){flag}"
            )


if __name__ == "__main__":
    main()
