"""Images that vouch for each other: from verified pairs to what a query finds by way of others.

**Support** spreads from the images that the query itself matches along the graph's edges, and stays
where many of them lead: diffusion, with the affinities normalised at both ends so that an image
which agrees with everything passes little on (Zhou et al., "Learning with local and global
consistency", 2004; for retrieval Donoser and Bischof, "Diffusion processes for retrieval
revisited", 2013, and Iscen et al., "Efficient diffusion on region manifolds", 2017). A **chain** is
the path whose weakest step is strongest.

Sums are taken in the order of the edges, so that the same graph gives the same bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Below it a pair is no edge: chance reaches as much.
EDGE_INLIERS = 10
# Half as sure as a pair can be, and how fast that changes.
HALF_SURE_INLIERS, SURENESS_STEP = 18, 2
# How far support spreads: the share that goes on at each step. 0.8**60 is nothing any more.
SPREADING, STEPS = 0.8, 60
# Of support beside inliers.
SUPPORT_WEIGHT = 3
# Of a score: a difference of less is one of rounding.
DECIMALS = 9


def sureness(inliers: NDArray[np.integer]) -> NDArray[np.float64]:
    """How sure pairs are to show one place, 0 to 1, by their inliers [n]."""
    return 1 / (1 + np.exp((HALF_SURE_INLIERS - inliers.astype(np.float64)) / SURENESS_STEP))


def support(
    edges: NDArray[np.integer], inliers: NDArray[np.integer], direct: NDArray[np.integer]
) -> NDArray[np.float64]:
    """How much the images that the query matches vouch for each image, themselves included.

    Parameters
    ----------
    edges : integer array [e, 2]
        Pairs of images, by their places in `direct`.
    inliers : integer array [e]
        Of each pair; `SAID_INLIERS` where people say that it shows one place.
    direct : integer array [n]
        Of each image with the query, likewise; 0 where there are none, or nobody has looked.

    Returns
    -------
    float64 array [n]
        0 to 1, the largest 1; all 0 if the query matches nothing with `EDGE_INLIERS`.
    """
    start = np.where(direct >= EDGE_INLIERS, sureness(direct), 0)
    if not start.any():
        return start
    n, (left, right) = len(direct), edges.T
    weights = sureness(inliers)
    degrees = _sums(left, weights, n) + _sums(right, weights, n)
    weights = weights / np.sqrt(degrees[left] * degrees[right])
    spread = start
    for _ in range(STEPS):
        spread = (1 - SPREADING) * start + SPREADING * (
            _sums(left, weights * spread[right], n) + _sums(right, weights * spread[left], n)
        )
    return spread / spread.max()


def scores(direct: NDArray[np.integer], support: NDArray[np.float64]) -> NDArray[np.float64]:
    """What images [n] are ranked by: inliers with the query and support together."""
    inliers = np.log1p(direct.astype(np.float64)) / np.log(101)
    return np.round(inliers + SUPPORT_WEIGHT * np.sqrt(support), DECIMALS)


def chains(
    edges: NDArray[np.integer],
    inliers: NDArray[np.integer],
    direct: NDArray[np.integer],
    steps: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The strongest chain from the query to each image: its weakest link, and the image before.

    Parameters
    ----------
    edges, inliers, direct
        As of `support`.
    steps : int
        Most edges of a chain, besides the one from the query.

    Returns
    -------
    weakest : int64 array [n]
        Inliers of the weakest link; 0 where no chain leads.
    previous : int64 array [n]
        By way of which image; -1 where the query's own match is strongest.
    """
    weakest = np.where(direct >= EDGE_INLIERS, direct, 0).astype(np.int64)
    previous = np.full(len(direct), -1)
    sources = np.concatenate([edges[:, 0], edges[:, 1]])
    targets = np.concatenate([edges[:, 1], edges[:, 0]])
    strengths = np.concatenate([inliers, inliers])
    for _ in range(steps):
        links = np.minimum(weakest[sources], strengths)
        order = np.lexsort([sources, -links, targets])
        first = order[np.unique(targets[order], return_index=True)[1]]
        better = first[links[first] > weakest[targets[first]]]
        weakest[targets[better]] = links[better]
        previous[targets[better]] = sources[better]
    return weakest, previous


def _sums(groups: NDArray[np.integer], values: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    return np.bincount(groups, values, n).astype(np.float64)
