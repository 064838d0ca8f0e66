"""The loss history as a picture, drawn with Pillow."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

WIDTH_PX, PANEL_PX, MARGIN_PX = 720, 150, 40


def draw_curve(history: Path, picture: Path, columns: Sequence[str]) -> None:
    """One panel a loss, logarithmic, over the steps.

    Parameters
    ----------
    history
        CSV file with a column ``step`` and the `columns`.
    picture
        PNG file to write; none is written if the history has fewer than two rows.
    columns
        Names of the losses.
    """
    with history.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if len(rows) < 2:
        return
    steps = [int(row["step"]) for row in rows]
    image = Image.new("RGB", (WIDTH_PX, PANEL_PX * len(columns) + MARGIN_PX), "white")
    draw = ImageDraw.Draw(image)
    for panel, name in enumerate(columns):
        values = [math.log(max(float(row[name]), 1e-6)) for row in rows]
        low, high = min(values), max(values)
        top, bottom = panel * PANEL_PX + 20, (panel + 1) * PANEL_PX
        points = [
            (
                MARGIN_PX + (WIDTH_PX - 2 * MARGIN_PX) * (s - steps[0]) / (steps[-1] - steps[0]),
                bottom - (bottom - top) * (v - low) / max(high - low, 1e-9),
            )
            for s, v in zip(steps, values, strict=True)
        ]
        draw.line(points, fill=(31, 90, 160), width=2)
        caption = f"{name}: {math.exp(values[0]):.3g} to {math.exp(values[-1]):.3g}"
        draw.text((MARGIN_PX, top - 16), caption, fill="black")
    draw.text((MARGIN_PX, image.height - 20), f"steps {steps[0]} to {steps[-1]}", fill="black")
    image.save(picture)
