"""Which images show one place: communities of the match graph.

Of a graph's communities each is more tightly knit than by `RESOLUTION` and no two together are: the
constant Potts model (Traag, Van Dooren and Nesterov, "Narrow scope for resolution-limit-free
community detection", 2011), whose communities are the same whether a whole graph is looked at or
some of them alone (section III), so that what has changed can be grouped anew without the rest.
They are found by the Leiden algorithm (Traag, Waltman and Van Eck, "From Louvain to Leiden", 2019).

One false pair between two places of several images does not join them, as it would if whatever
is connected were one place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import graspologic_native
import networkx
import numpy as np
from numpy.typing import NDArray

# The mean weight of a place's pairs; those that nobody compared, or that do not agree, weigh 0.
RESOLUTION = 0.1
# How fast the weight of a pair changes with its inliers.
WEIGHT_STEP = 4
# What people say outweighs whatever was measured.
SAID = 1e6
# Of the Leiden algorithm, which has settled by then; the best of some trials.
ITERATIONS, TRIALS, RANDOMNESS, SEED = 4, 3, 0.001, 0


def weights(inliers: NDArray[np.integer], half: int) -> NDArray[np.float64]:
    """Of pairs [n] by their inliers, 0 to 1; one half where there are `half` of them."""
    return 1 / (1 + np.exp((half - inliers.astype(np.float64)) / WEIGHT_STEP))


def least_inliers(half: int) -> int:
    """With fewer a pair weighs less than pairs of a place do on average, and joins nothing."""
    return int(np.ceil(half + WEIGHT_STEP * np.log(RESOLUTION / (1 - RESOLUTION))))


def communities(
    edges: NDArray[np.integer],
    weights: NDArray[np.float64],
    together: Sequence[tuple[int, int]] = (),
    apart: Sequence[tuple[int, int]] = (),
) -> list[list[int]]:
    """Groups of two and more images that show one place, the same whatever the order of the pairs.

    Parameters
    ----------
    edges : integer array [e, 2]
        Pairs of images, each pair once.
    weights : float64 array [e]
        How sure each is, 0 to 1.
    together, apart : sequence of (int, int)
        Pairs whose groups are one, and that are in two, whatever was measured. Where these
        contradict each other by way of other images, `apart` counts.

    Returns
    -------
    list of list of int
        Ascending, no image twice.
    """
    parted = {_pair(*pair) for pair in apart}
    weighed = {
        _pair(*pair): weight
        for pair, weight in zip(edges.tolist(), weights.tolist(), strict=True)
        if _pair(*pair) not in parted
    }
    groups = networkx.utils.UnionFind()
    for group in _leiden(weighed):
        groups.union(*group)
    said = sorted({_pair(*pair) for pair in together} - parted)
    for pair in said:
        groups.union(*pair)
    weighed |= dict.fromkeys(said, SAID)
    parts = (part for group in groups.to_sets() for part in _parted(group, weighed, parted))
    return sorted(sorted(part) for part in parts if len(part) > 1)


def _leiden(weighed: Mapping[tuple[int, int], float]) -> Iterable[list[int]]:
    if not weighed:
        return []
    _, labels = graspologic_native.leiden(
        edges=[(str(one), str(two), weight) for (one, two), weight in sorted(weighed.items())],
        starting_communities=None,
        resolution=RESOLUTION,
        randomness=RANDOMNESS,
        iterations=ITERATIONS,
        use_modularity=False,
        seed=SEED,
        trials=TRIALS,
    )
    groups: dict[int, list[int]] = {}
    for image, label in labels.items():
        groups.setdefault(label, []).append(int(image))
    return groups.values()


def _pair(one: int, two: int) -> tuple[int, int]:
    return min(one, two), max(one, two)


def _parted(
    group: set[int], weighed: Mapping[tuple[int, int], float], apart: Collection[tuple[int, int]]
) -> Iterator[set[int]]:
    """The group cut where it costs least, so that no pair of `apart` is in one part."""
    pair = min((pair for pair in apart if group.issuperset(pair)), default=None)
    if pair is None:
        yield group
        return
    graph = networkx.Graph()
    graph.add_nodes_from(sorted(group))
    for (one, two), weight in sorted(weighed.items()):
        if group.issuperset((one, two)):
            graph.add_edge(one, two, capacity=weight)
    _, parts = networkx.minimum_cut(graph, *pair)
    for part in parts:
        yield from _parted(set(part), weighed, apart)
