"""Round towers and the pointed roofs of towers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from gallery.panel import Array, Color, Panel, Rng
from gallery.shapes import World, cylinder
from gallery.walls import Fill, tiles


def round_tower(
    world: World,
    rng: Rng,
    fill: Fill,
    center: tuple[float, float, float],
    r: float,
    h: float,
    ppm: float,
    top: float | None,
    paint: Callable[[Rng, Panel], None],
) -> None:
    """A round (or tapering) tower with whatever `paint` puts on its wall."""
    p = Panel(2 * math.pi * r, h, ppm)
    fill(rng, p)
    paint(rng, p)
    world.relief(p, cylinder(center, r, p.w, top, h, -math.pi / 2 - math.pi), 2)


def cone_roof(
    world: World,
    rng: Rng,
    center: tuple[float, float, float],
    r: float,
    h: float,
    tone: Color,
) -> None:
    """A pointed round roof of tiles."""
    p = Panel(2 * math.pi * r, h, 26)
    tiles(rng, p, tone, 0.3)
    world.relief(p, cylinder(center, r, p.w, 0.02, h), 2)


def pyramid_roof(
    world: World, rng: Rng, center: tuple[float, float, float], half: float, h: float, tone: Color
) -> None:
    """A steep tiled roof over a square tower."""
    p = Panel(2 * half, math.hypot(half, h), 28)
    tiles(rng, p, tone, 0.28)
    for k in range(4):
        c, s = math.cos(k * math.pi / 2), math.sin(k * math.pi / 2)

        def wrap(
            x: Array, y: Array, hh: Array, c: float = c, s: float = s
        ) -> tuple[Array, Array, Array]:
            v = y / p.h
            # A bell-cast foot: flatter at the eaves.
            out = (half + 0.25 * np.exp(-6 * v)) * (1 - v)
            px, py = (x / half - 1) * out, -out - hh * 0.7
            return (
                center[0] + c * px - s * py,
                center[1] + s * px + c * py,
                center[2] + v * h + hh * 0.5,
            )

        world.relief(p, wrap, 2)
