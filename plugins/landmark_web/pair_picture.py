"""Where a pair's photographs and lines stand in a drawing; of a chain one pair below the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from landmark.search.pictures import Joined

#: Of each pair, in units of the drawing; and between photographs.
HEIGHT, GAP = 1000, 16


class Placed(NamedTuple):
    """A photograph in the drawing.

    Parameters
    ----------
    number : int
        Along the chain, the query being 0.
    x, y, width, height : float
    side_px : int
        The longest side of the photograph itself.
    """

    number: int
    x: float
    y: float
    width: float
    height: float
    side_px: int


class Line(NamedTuple):
    """An inlier: from a point of the left photograph to one of the right.

    Parameters
    ----------
    x1, y1, x2, y2 : float
    hue : int
        In degrees, by where it starts: neighbours look alike, crossings stand out.
    """

    x1: float
    y1: float
    x2: float
    y2: float
    hue: int


class PairPicture(NamedTuple):
    """A drawing of a pair, or of a chain's pairs.

    Parameters
    ----------
    width, height : float
    photographs : list of Placed
    lines : list of Line
    """

    width: float
    height: float
    photographs: list[Placed]
    lines: list[Line]


def place_pairs(pairs: Sequence[Joined]) -> PairPicture:
    """Lay out pairs, each `HEIGHT` high and in the middle of the drawing."""
    widths = [[HEIGHT * w / h for w, h in (pair.query_size, pair.image_size)] for pair in pairs]
    width = max(sum(both) for both in widths) + GAP
    photographs, lines = [], []
    for row, (pair, (left, right)) in enumerate(zip(pairs, widths, strict=True)):
        y = row * (HEIGHT + GAP)
        x = (width - left - right - GAP) / 2
        to = x + left + GAP
        photographs.append(Placed(row, x, y, left, HEIGHT, max(pair.query_size)))
        photographs.append(Placed(row + 1, to, y, right, HEIGHT, max(pair.image_size)))
        ends = zip(pair.query_locations.tolist(), pair.image_locations.tolist(), strict=True)
        for (y1, x1), (y2, x2) in ends:
            start, end = (x + x1 * left, y + y1 * HEIGHT), (to + x2 * right, y + y2 * HEIGHT)
            lines.append(Line(*start, *end, hue=round(288 * y1)))
    return PairPicture(width, len(pairs) * (HEIGHT + GAP) - GAP, photographs, lines)
