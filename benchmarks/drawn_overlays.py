"""Overlays as photographs on the internet carry them, drawn by ourselves.

Each kind is drawn the same way on every photograph: at the same distance in pixels from a corner,
the border or the centre, or in proportion to the photograph.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]
#: Red, green, blue, and how opaque, 0 to 255.
Ink = tuple[int, int, int, int]
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
OPAQUE, TRANSPARENT = 255, 120


def _drawn(
    draw: Callable[[ImageDraw.ImageDraw, int, int, int], None], opacity: int, pixels: Pixels
) -> Pixels:
    """The pixels [h, w, 3] below what `draw` puts on an empty layer of their width and height."""
    below = Image.fromarray(pixels).convert("RGBA")
    layer = Image.new("RGBA", below.size, (0, 0, 0, 0))
    draw(ImageDraw.Draw(layer), *below.size, opacity)
    return np.asarray(Image.alpha_composite(below, layer).convert("RGB"))


def watermark(pen: ImageDraw.ImageDraw, width: int, height: int, opacity: int) -> None:
    """An agency's name across the centre, as large as the photograph lets it be."""
    size = min(width, height) / 7
    ink: Ink = (*WHITE, opacity)
    font = ImageFont.load_default(size)
    centre = (width / 2, height / 2)
    pen.text(centre, "Northlight", ink, font, anchor="mm", stroke_width=2,
             stroke_fill=(*BLACK, opacity // 2))  # fmt: skip
    small = ImageFont.load_default(size / 3)
    pen.text((width / 2, height / 2 + 0.8 * size), "stock images - www.northlight.example", ink,
             small, anchor="mm")  # fmt: skip


def caption(pen: ImageDraw.ImageDraw, width: int, height: int, opacity: int) -> None:
    """A bar along the lower border with an agency's address and the picture's number."""
    pen.rectangle([0, height - 34, width, height], fill=(*BLACK, opacity))
    font = ImageFont.load_default(20)
    pen.text((10, height - 17), "Northlight picture library", (*WHITE, 255), font, anchor="lm")
    pen.text((width - 10, height - 17), "www.northlight.example", (*WHITE, 255), font, anchor="rm")


def time_stamp(pen: ImageDraw.ImageDraw, width: int, height: int, opacity: int) -> None:
    """Date and time in a camera's orange, in the lower right corner."""
    font = ImageFont.load_default(30)
    place = (width - 24, height - 20)
    pen.text(place, "2009/07/14 16:38:52", (255, 140, 20, opacity), font, anchor="rd")


def logo(pen: ImageDraw.ImageDraw, width: int, height: int, opacity: int) -> None:
    """A badge in the upper right corner: discs, rays and two letters."""
    x, y = width - 80, 80
    pen.ellipse([x - 60, y - 60, x + 60, y + 60], fill=(200, 30, 40, opacity))
    pen.ellipse([x - 50, y - 50, x + 50, y + 50], outline=(*WHITE, opacity), width=4)
    for turn in range(12):
        angle = 2 * math.pi * turn / 12
        pen.line(
            [x + 26 * math.cos(angle), y + 26 * math.sin(angle),
             x + 46 * math.cos(angle), y + 46 * math.sin(angle)],
            fill=(255, 220, 60, opacity), width=4,
        )  # fmt: skip
    font = ImageFont.load_default(36)
    pen.text((x, y), "NL", (*WHITE, opacity), font, anchor="mm")


def grid(pen: ImageDraw.ImageDraw, width: int, height: int, opacity: int) -> None:
    """A small mark again and again, in rows and columns over the whole photograph."""
    font = ImageFont.load_default(26)
    for row, y in enumerate(range(40, height, 120)):
        for x in range(60 + 90 * (row % 2), width, 180):
            pen.text((x, y), "alpix", (*WHITE, opacity), font, anchor="mm", stroke_width=1,
                     stroke_fill=(*BLACK, opacity))  # fmt: skip


def frame(pen: ImageDraw.ImageDraw, width: int, height: int, opacity: int) -> None:
    """A border with ornaments, in proportion to the photograph's width and height."""
    thick = 0.05
    ink: Ink = (60, 30, 10, opacity)
    for box in ([0, 0, 1, thick], [0, 1 - thick, 1, 1], [0, 0, thick, 1], [1 - thick, 0, 1, 1]):
        left, top, right, bottom = box
        pen.rectangle([left * width, top * height, right * width, bottom * height], fill=ink)
    gold: Ink = (230, 190, 90, opacity)
    for step in range(24):
        at = (step + 0.5) / 24
        for x, y in ((at, thick / 2), (at, 1 - thick / 2), (thick / 2, at), (1 - thick / 2, at)):
            rx, ry = (1 + step % 3) * width / 160, (1 + (step + 1) % 3) * height / 160
            cx, cy = x * width, y * height
            pen.polygon([(cx - rx, cy), (cx, cy - ry), (cx + rx, cy), (cx, cy + ry)], fill=gold)


def screenshot(pen: ImageDraw.ImageDraw, width: int, height: int, opacity: int) -> None:
    """A telephone's bars above and below: clock, signal, battery, tools."""
    pen.rectangle([0, 0, width, 36], fill=(*BLACK, opacity))
    pen.rectangle([0, height - 52, width, height], fill=(245, 245, 245, opacity))
    small, large = ImageFont.load_default(20), ImageFont.load_default(24)
    white: Ink = (*WHITE, 255)
    pen.text((14, 18), "9:41", white, small, anchor="lm")
    pen.rectangle([width - 50, 11, width - 16, 25], outline=white, width=2)
    pen.rectangle([width - 47, 14, width - 28, 22], fill=white)
    for bar in range(4):
        x = width - 100 + 9 * bar
        pen.rectangle([x, 23 - 4 * bar, x + 5, 26], fill=white)
    grey: Ink = (60, 60, 70, 255)
    for number, word in enumerate(("Share", "Edit", "Info", "Delete")):
        centre = width * (number + 0.5) / 4
        pen.ellipse([centre - 42, height - 34, centre - 26, height - 18], outline=grey, width=3)
        pen.text((centre - 20, height - 26), word, grey, large, anchor="lm")


_DRAWN = (watermark, caption, time_stamp, logo, grid, frame, screenshot)
#: What draws each kind on the pixels of a photograph [h, w, 3], by its name.
KINDS: dict[str, Callable[[Pixels], Pixels]] = {
    f"{draw.__name__.replace('_', ' ')}, {name}": partial(_drawn, draw, opacity)
    for draw in _DRAWN
    for name, opacity in (("opaque", OPAQUE), ("transparent", TRANSPARENT))
}
