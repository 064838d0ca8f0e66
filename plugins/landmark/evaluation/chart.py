"""A chart of figures, drawn into a file: few lines over a grid, both axes logarithmic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIZE_PX, MARGIN_PX = (760, 480), 60
GRID = (220, 220, 220)
COLOURS = [(31, 90, 160), (200, 80, 30), (60, 140, 60), (130, 70, 150)]


def draw_chart(
    title: str, lines: Mapping[str, Sequence[tuple[float, float]]], file: Path, unit: str = ""
) -> None:
    """Draw named lines of points (x, y), all above 0, and write them to a file.

    Parameters
    ----------
    unit : str
        Of y.
    """
    points = np.log10(np.concatenate([np.array(line) for line in lines.values() if line]))
    low, high = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
    image = Image.new("RGB", SIZE_PX, "white")
    pen = ImageDraw.Draw(image)
    size = np.array(SIZE_PX) - 2 * MARGIN_PX

    def place(x: float, y: float) -> tuple[float, float]:
        right, up = (np.array([x, y]) - low) / np.maximum(high - low, 1) * size
        return MARGIN_PX + float(right), SIZE_PX[1] - MARGIN_PX - float(up)

    for x in range(int(low[0]), int(high[0]) + 1):
        pen.line([place(x, low[1]), place(x, high[1])], fill=GRID)
        pen.text(place(x, low[1]), f"{10**x:,}" if x >= 0 else f"1e{x}", fill="black", anchor="ma")
    for y in range(int(low[1]), int(high[1]) + 1):
        pen.line([place(low[0], y), place(high[0], y)], fill=GRID)
        pen.text(place(low[0], y), f"{10.0**y:g} {unit} ", fill="black", anchor="rm")
    for (name, line), colour in zip(lines.items(), COLOURS, strict=False):
        dots = [place(*np.log10(point)) for point in line]
        pen.line(dots, fill=colour, width=2)
        for x_px, y_px in dots:
            pen.ellipse([x_px - 3, y_px - 3, x_px + 3, y_px + 3], fill=colour)
        if dots:
            pen.text(dots[-1], f"{name} ", fill=colour, anchor="rd")
    pen.text((SIZE_PX[0] / 2, 10), title, fill="black", anchor="ma")
    image.save(file)
