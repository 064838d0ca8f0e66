"""Pictures that people look at: two photographs and what joins them, and a contact sheet."""

from __future__ import annotations

import colorsys
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from landmark.matching.ranking import Match

PICTURE_HEIGHT_PX = 360
GAP_PX = 8

# The contact sheet: the query, then the best matches, each in a cell of its own.
SHEET_COLUMNS = 4
CELL_PX = (320, 240)
CAPTION_PX = 26
GROUND, INK, QUERY_INK = (250, 250, 250), (30, 30, 30), (0, 85, 170)
# Seen on any photograph, since what is around it is dark.
BOX_INK = (255, 214, 0)


class Pair(NamedTuple):
    """Two photographs, and where what they have in common lies.

    Parameters
    ----------
    query, image : uint8 arrays [h, w, 3]
        RGB.
    query_locations, image_locations : floating arrays [k, 2]
        (y, x) of the inliers as fractions of each photograph's height and width.
    """

    query: NDArray[np.uint8]
    image: NDArray[np.uint8]
    query_locations: NDArray[np.floating]
    image_locations: NDArray[np.floating]


def draw_chain(pairs: Sequence[Pair], height_px: int = PICTURE_HEIGHT_PX) -> bytes:
    """Pairs one below the other, each drawn as by `draw_matches`.

    Parameters
    ----------
    pairs : sequence of Pair
        At least one.
    height_px : int
        Of each pair.

    Returns
    -------
    bytes
        A JPEG.
    """
    drawn = [draw_matches(pair, height_px) for pair in pairs]
    width = max(picture.width for picture in drawn)
    sheet = Image.new("RGB", (width, len(drawn) * (height_px + GAP_PX) - GAP_PX), "white")
    for number, picture in enumerate(drawn):
        sheet.paste(picture, ((width - picture.width) // 2, number * (height_px + GAP_PX)))
    return to_jpeg(sheet)


def draw_matches(pair: Pair, height_px: int = PICTURE_HEIGHT_PX) -> Image.Image:
    """Two photographs side by side, each inlier a line between them.

    Parameters
    ----------
    height_px : int
        Of the picture.
    """
    left, right = (_at_height(pixels, height_px) for pixels in (pair.query, pair.image))
    picture = Image.new("RGB", (left.width + GAP_PX + right.width, height_px), "white")
    picture.paste(left, (0, 0))
    picture.paste(right, (left.width + GAP_PX, 0))
    pen, width = ImageDraw.Draw(picture), max(1, height_px // PICTURE_HEIGHT_PX)
    starts = pair.query_locations[:, ::-1] * [left.width, left.height]
    ends = pair.image_locations[:, ::-1] * [right.width, right.height] + [left.width + GAP_PX, 0]
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        # The hue tells lines apart by where they start: neighbours look alike, crossings stand out.
        red, green, blue = colorsys.hsv_to_rgb(start[1] / height_px * 0.8, 0.9, 1.0)
        colour = (round(255 * red), round(255 * green), round(255 * blue))
        pen.line([*start, *end], fill=colour, width=width)
        for x, y in (start, end):
            r = 3 * width
            pen.ellipse([x - r, y - r, x + r, y + r], outline=colour, width=2 * width)
    return picture


def draw_contact_sheet(
    query: NDArray[np.uint8],
    matches: Sequence[tuple[int, Match, NDArray[np.uint8]]],
    caption: str = "query",
) -> bytes:
    """The query and its best matches on one sheet, each with its rank and inliers.

    Parameters
    ----------
    query : uint8 array [h, w, 3]
        RGB.
    matches : sequence of (rank, Match, uint8 array [h, w, 3])
    caption : str
        Of the query.

    Returns
    -------
    bytes
        A JPEG; the query's cell is framed and comes first.
    """
    cells = [(caption, QUERY_INK, query)]
    cells += [(f"{rank}   {_found(match)}", INK, pixels) for rank, match, pixels in matches]
    width, height = CELL_PX[0] + GAP_PX, CELL_PX[1] + CAPTION_PX + GAP_PX
    columns = min(SHEET_COLUMNS, len(cells))
    rows = -(-len(cells) // columns)
    sheet = Image.new("RGB", (columns * width + GAP_PX, rows * height + GAP_PX), GROUND)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for number, (caption, ink, pixels) in enumerate(cells):
        x, y = number % columns * width + GAP_PX, number // columns * height + GAP_PX
        image = Image.fromarray(pixels)
        image.thumbnail(CELL_PX, Image.Resampling.LANCZOS)
        left, top = x + (CELL_PX[0] - image.width) // 2, y + (CELL_PX[1] - image.height) // 2
        sheet.paste(image, (left, top))
        if number == 0:
            box = [left - 4, top - 4, left + image.width + 3, top + image.height + 3]
            pen.rectangle(box, outline=ink, width=4)
        pen.text((x + CELL_PX[0] // 2, y + CELL_PX[1] + 4), caption, ink, font, anchor="ma")
    return to_jpeg(sheet)


def _found(match: Match) -> str:
    if not match.via:
        return "said to be the same" if match.said_same else f"{match.inliers} inliers"
    others = len(match.via) - 1
    measured = [step.inliers for step in match.via if not step.said_same]
    found = f"{min(measured)} inliers" if measured else "said to be the same"
    return f"{found} by way of {others} {'other' if others == 1 else 'others'}"


def with_box(
    pixels: NDArray[np.uint8], extent: tuple[float, float, float, float]
) -> NDArray[np.uint8]:
    """A photograph with a box drawn on it: dark around, since only what is in it was compared.

    Parameters
    ----------
    pixels : uint8 array [h, w, 3]
        RGB.
    extent : (y0, x0, y1, x1)
        Fractions of the height and the width.
    """
    height, width = pixels.shape[:2]
    y0, x0, y1, x1 = (
        round(side * length)
        for side, length in zip(extent, (height, width, height, width), strict=True)
    )
    marked = pixels // 2
    marked[y0:y1, x0:x1] = pixels[y0:y1, x0:x1]
    picture = Image.fromarray(marked)
    thickness = max(2, max(height, width) // 200)
    box = (x0, y0, max(x0, x1 - 1), max(y0, y1 - 1))
    ImageDraw.Draw(picture).rectangle(box, outline=BOX_INK, width=thickness)
    return np.array(picture)


def to_jpeg(image: Image.Image) -> bytes:
    """The file of a picture that people look at."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _at_height(pixels: NDArray[np.uint8], height_px: int) -> Image.Image:
    image = Image.fromarray(pixels)
    width = max(1, round(image.width * height_px / image.height))
    return image.resize((width, height_px), Image.Resampling.LANCZOS)
