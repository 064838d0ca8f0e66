"""A place's match graph as a picture: photographs where those that agree draw each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark.storage.edges import Edge
from landmark.storage.place_photographs import Photograph

# Of the picture, in units of its own.
WIDTH, HEIGHT = 1000, 620
# Of a photograph's frame: with few photographs, and with many.
FRAMES = {16: (104, 78), 60: (72, 54)}
GAP = 8
# Of each photograph the strongest pairs are drawn; all of them would hide each other.
LINES = 4
SETTLED, PUSHES, SEED = 200, 300, 0


class Node(NamedTuple):
    """A photograph and the upper left corner of its frame."""

    photograph: Photograph
    x: int
    y: int


class Line(NamedTuple):
    """A pair: its ends, its inliers, and these as a share of the most of any pair."""

    x1: int
    y1: int
    x2: int
    y2: int
    inliers: int
    share: float


class GraphPicture(NamedTuple):
    """What is drawn; `frame` is the width and height of each photograph's."""

    width: int
    height: int
    frame: tuple[int, int]
    nodes: list[Node]
    lines: list[Line]


def graph_picture(photographs: Sequence[Photograph], edges: Sequence[Edge]) -> GraphPicture:
    """Lay out photographs and draw the strongest pairs of each; the same for the same graph.

    Parameters
    ----------
    photographs : sequence of Photograph
        At most as many as `FRAMES` has sizes for.
    edges : sequence of Edge
        Of these.
    """
    numbers = {photograph.id: number for number, photograph in enumerate(photographs)}
    pairs = [(numbers[edge.first], numbers[edge.second], edge.inliers) for edge in edges]
    frame = next(size for most, size in FRAMES.items() if len(photographs) <= most)
    centres = _centres(len(photographs), pairs, frame)
    top = max((inliers for *_, inliers in pairs), default=1)
    # The strongest last, on top of the others.
    drawn = sorted(_strongest(pairs), key=lambda pair: (pair[2], pair))
    return GraphPicture(
        WIDTH,
        HEIGHT,
        frame,
        [
            Node(photograph, x - frame[0] // 2, y - frame[1] // 2)
            for photograph, (x, y) in zip(photographs, centres, strict=True)
        ],
        [
            Line(*centres[one], *centres[other], inliers, round(inliers / top, 2))
            for one, other, inliers in drawn
        ],
    )


def _strongest(pairs: Sequence[tuple[int, int, int]]) -> set[tuple[int, int, int]]:
    of_each: dict[int, list[tuple[int, int, int]]] = {}
    for pair in sorted(pairs, key=lambda pair: (-pair[2], pair)):
        for end in pair[:2]:
            if len(of_each.setdefault(end, [])) < LINES:
                of_each[end].append(pair)
    return {pair for some in of_each.values() for pair in some}


def _centres(
    nodes: int, pairs: Sequence[tuple[int, int, int]], frame: tuple[int, int]
) -> list[tuple[int, int]]:
    """Where springs settle (Fruchterman and Reingold, 1991), as frames that lie side by side."""
    import networkx

    graph = networkx.Graph()
    graph.add_nodes_from(range(nodes))
    top = max((inliers for *_, inliers in pairs), default=1)
    graph.add_weighted_edges_from((one, other, inliers / top) for one, other, inliers in pairs)
    found = networkx.spring_layout(graph, iterations=SETTLED, seed=SEED)
    places = np.array([found[node] for node in range(nodes)])
    least, most = places.min(0), places.max(0)
    span = np.where(most > least, most - least, 1)
    half = np.array(frame) / 2
    size = np.array([WIDTH, HEIGHT])
    places = half + (places - least) / span * (size - 2 * half)
    return [(int(x), int(y)) for x, y in np.rint(_pushed_apart(places, frame))]


def _pushed_apart(places: NDArray[np.float64], frame: tuple[int, int]) -> NDArray[np.float64]:
    """Centres [n, 2] (x, y), moved until no two frames overlap, or as far as that goes."""
    room = np.array(frame) + GAP
    low = np.array(frame) / 2
    high = np.array([WIDTH, HEIGHT]) - low
    order = np.arange(len(places))
    earlier = np.where(order[:, None] <= order, -1.0, 1.0)
    for _ in range(PUSHES):
        apart = places[:, None] - places  # [n, n, 2], of each from each
        overlap = room - np.abs(apart)
        touching = (overlap > 0.5).all(2) & (order[:, None] != order)
        if not touching.any():
            break
        axis = (overlap[..., 1] < overlap[..., 0]).astype(int)  # along which it is less
        for which in (0, 1):
            # Of two at one spot the earlier goes left or up.
            side = np.where(apart[..., which] == 0, earlier, np.sign(apart[..., which]))
            moves = np.where(touching & (axis == which), side * overlap[..., which], 0)
            places[:, which] += np.clip(moves.sum(1) * 0.4, -room[which], room[which])
        places = np.clip(places, low, high)
    return places
