"""How a query is looked at: which part of the photograph, and turned how."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from landmark.errors import LandmarkError, UnusableImage
from landmark.extraction.decoding import MAX_PIXELS, MIN_SIDE_PX, DecodedImage, shrink
from landmark.extraction.sandbox import decode_isolated

Box = tuple[int, int, int, int]
Turn = Literal[0, 90, 180, 270]
#: Tried where a photograph finds nothing as it is.
QUARTER_TURNS: tuple[Turn, ...] = (90, 180, 270)


class Extent(NamedTuple):
    """Where a part lies on a picture, as fractions of the picture's height and width."""

    y0: float
    x0: float
    y1: float
    x1: float


ALL = Extent(0, 0, 1, 1)


@dataclass(frozen=True)
class Framing:
    """What of a photograph is compared.

    Parameters
    ----------
    box : tuple of int or None
        x0, y0, x1, y1 px of the original upright photograph (EXIF orientation applied), before it
        is turned: from the left and the top, the last not included. None: all of it.
    turn : int
        By how many degrees it is turned, clockwise.
    is_found : bool
        Whether it is turned since it finds nothing as it is.
    """

    box: Box | None = None
    turn: Turn = 0
    is_found: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether it is the photograph as it lies in S3."""
        return self.box is None and self.turn == 0

    @property
    def asked(self) -> Framing:
        """As it was asked for, before anything was tried."""
        return Framing(self.box) if self.is_found else self

    @property
    def found(self) -> dict[str, int]:
        """How it is turned, if that was found: what an address says that no cache has it before."""
        return {"turn": self.turn} if self.is_found else {}

    @property
    def looks(self) -> int:
        """How often the table was looked through: chance had as many tries."""
        return 1 + len(QUARTER_TURNS) if self.is_found else 1

    @property
    def told(self) -> dict[str, str]:
        """By name what a reader is told of it; nothing of a whole photograph."""
        told = {}
        if self.box is not None:
            told["box"] = ",".join(map(str, self.box))
        if self.turn:
            told["turn"] = f"{'found when ' * self.is_found}turned by {self.turn} degrees clockwise"
        return told

    @property
    def in_words(self) -> list[str]:
        """The same as phrases of a sentence."""
        return [f"box {value}" if name == "box" else value for name, value in self.told.items()]

    def check(self, width: int, height: int, name: str) -> None:
        """Refuse a box that is not on a photograph of this size, or too small.

        Raises
        ------
        UnusableImage
        """
        if self.box is None:
            return
        x0, y0, x1, y1 = self.box
        told = f"{name}: box {','.join(map(str, self.box))}"
        if x0 >= width or y0 >= height:
            raise UnusableImage(
                f"{told}: lies outside of the picture, which has {width}x{height} px; draw it anew"
            )
        if x1 > width or y1 > height:
            raise UnusableImage(
                f"{told}: reaches beyond the picture, which has {width}x{height} px; draw it anew"
            )
        if min(x1 - x0, y1 - y0) < MIN_SIDE_PX:
            raise UnusableImage(
                f"{told}: too small: {x1 - x0}x{y1 - y0} px; each side needs {MIN_SIDE_PX} px or "
                f"more"
            )

    def of_image(self, image: DecodedImage) -> NDArray[np.uint8]:
        """What of a photograph, reduced or not, is compared: RGB [h, w, 3], turned."""
        pixels = image.pixels
        if self.box is not None:
            rows, columns = pixels.shape[0] / image.height, pixels.shape[1] / image.width
            x0, y0, x1, y1 = self.box
            pixels = pixels[
                round(y0 * rows) : round(y1 * rows), round(x0 * columns) : round(x1 * columns)
            ]
        return self.turned(pixels)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height in px of what is compared of an upright photograph, turned."""
        if self.box is not None:
            x0, y0, x1, y1 = self.box
            width, height = x1 - x0, y1 - y0
        return (height, width) if self.turn in (90, 270) else (width, height)

    def turned(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """All of a photograph's pixels [h, w, 3], of whatever size, turned."""
        return np.ascontiguousarray(np.rot90(pixels, -self.turn // 90))

    def extent(self, width: int, height: int) -> Extent:
        """Where the box lies on the turned photograph, whose upright size in px is given."""
        if self.box is None:
            return ALL
        x0, y0, x1, y1 = self.box
        at = Extent(y0 / height, x0 / width, y1 / height, x1 / width)
        for _ in range(self.turn // 90):
            at = Extent(at.x0, 1 - at.y1, at.x1, 1 - at.y0)
        return at


WHOLE = Framing()


def read_framing(box: Any = None, turn: Any = None) -> Framing:
    """The framing that a search is asked for.

    Parameters
    ----------
    box : sequence of four numbers, or None
        x0, y0, x1, y1 px, rounded.
    turn : int or None
        Degrees clockwise.

    Raises
    ------
    LandmarkError
        If there is no such box on any photograph, or no such turn.
    """
    if turn is not None and turn not in get_args(Turn):
        raise LandmarkError(f"turn: {turn!r} is none of 0, 90, 180 and 270 degrees")
    return Framing(None if box is None else _read_box(box), int(turn or 0))  # type: ignore[arg-type]


def _read_box(asked: Any) -> Box:
    sides = list(asked) if isinstance(asked, Sequence) and not isinstance(asked, str) else []
    if len(sides) != 4 or not all(
        isinstance(side, (int, float)) and math.isfinite(side) and abs(side) < 2**31
        for side in sides
    ):
        raise LandmarkError(f"box: {asked!r} is no box; give x0, y0, x1, y1 in px")
    x0, y0, x1, y1 = (round(side) for side in sides)
    told = f"box {x0},{y0},{x1},{y1}"
    if x0 < 0 or y0 < 0:
        raise LandmarkError(f"{told}: lies outside of the picture, which begins at 0,0")
    if x1 <= x0 or y1 <= y0:
        raise LandmarkError(f"{told}: is empty; give x0, y0, x1, y1 with x0 < x1 and y0 < y1")
    return x0, y0, x1, y1


def decode_framed(data: bytes, name: str, framing: Framing, max_size_px: int) -> DecodedImage:
    """What of an image file is compared, decoded in another process: a picture of its own.

    A part is cut out of the photograph in as much detail as the model sees of a whole one.

    Raises
    ------
    UnusableImage
        As of `decode_isolated`; and if the box is not on the photograph, or too small.
    """
    image = decode_isolated(data, name, max_size_px)
    framing.check(image.width, image.height, name)
    detail = _detail(framing, image, max_size_px)
    if detail > max(image.pixels.shape):
        image = decode_isolated(data, name, detail)
    pixels = shrink(framing.of_image(image), max_size_px)
    return DecodedImage(pixels, *framing.size(image.width, image.height), image.shot)


def _detail(framing: Framing, image: DecodedImage, max_size_px: int) -> int:
    """Longest side px of the whole photograph at which its part has `max_size_px`."""
    side, pixels = max(image.width, image.height), image.width * image.height
    wanted = math.ceil(side * min(1.0, max_size_px / max(framing.size(image.width, image.height))))
    if pixels > MAX_PIXELS:  # a JPEG, which the decoder can only reduce to four times as much
        wanted = min(wanted, int(side * math.sqrt(MAX_PIXELS / pixels) / 4))
    return wanted
