"""A weathered temple: fluted columns, an inscription and a carved pediment."""

from __future__ import annotations

import numpy as np

from gallery.grounds import blades, ground, hills
from gallery.openings import door
from gallery.ornaments import band, ornament, sign, stamp_at
from gallery.panel import Panel, Rng, fbm, linear, smooth
from gallery.shapes import World, flat
from gallery.view import Place, tour
from gallery.walls import FILLS, stone_texture, tiles


def temple(rng: Rng) -> Place:
    w = World()
    tone = (0.8, 0.73, 0.6)
    tex = stone_texture(rng, tone, 3.0, 0.9)
    tex *= (1 + 0.13 * fbm(rng, tex.shape[:2], 60, 7, 0.7))[..., None]
    for i in range(4):
        w.box((-9.2 + 0.45 * i, -3.6 + 0.45 * i, 0), (9.2 - 0.45 * i, 16, 0.35 * (i + 1)), tex)
    for i in range(6):
        x = -6.4 + 2.56 * i
        shaft = stone_texture(rng, tone, 2.4, 1.1)
        shaft = (
            shaft
            * (1 + 0.2 * fbm(rng, shaft.shape[:2], 50, 7, 0.7))[..., None]
            * rng.uniform(0.85, 1.1)
        )
        w.lathe((x, -1.2, 1.4), [(0.72, 0), (0.72, 0.12), (0.6, 0.2)], shaft, 32)
        w.lathe((x, -1.2, 1.55), [(0.58, 0), (0.57, 2), (0.53, 4), (0.47, 5.9)], shaft, flutes=20)
        w.lathe((x, -1.2, 7.4), [(0.47, 0), (0.5, 0.1), (0.75, 0.4), (0.75, 0.5)], shaft, 32)
        w.box((x - 0.8, -2.0, 7.85), (x + 0.8, -0.4, 8.1), tex)
    wall = Panel(14, 7, 40)
    FILLS["ashlar"](tone)(rng, wall)
    door(rng, wall, 7, 2.4, 5.0, "rect", (0.3, 0.26, 0.2), tone, 3, 0.2)
    for x in (3.2, 10.8):
        stamp_at(wall, ornament(rng, 120, 160), x, 4, 2, 2.8, tone, 0.12)
    w.relief(wall, flat((-7, 2.2, 1.3), (1, 0, 0)), 2)
    frieze = Panel(15.6, 2.0, 60)
    FILLS["ashlar"](tone)(rng, frieze)
    sign(
        rng,
        frieze,
        "CONCORDIAE · ET · MEMORIAE",
        7.8,
        0.48,
        13,
        0.72,
        None,
        (0.35, 0.3, 0.24),
        depth=-0.03,
    )
    for i in range(12):
        x = 0.7 + i * 1.29
        stamp_at(frieze, ornament(rng, 90, 70), x, 1.42, 0.85, 0.66, tone, 0.09)
    band(frieze, 1.85, 0.15, 0.3, tone, dentil=0.3)
    w.relief(frieze, flat((-7.8, -1.9, 8.1), (1, 0, 0)), 2)
    ped = Panel(16.4, 3.2, 60)
    FILLS["ashlar"](tone)(rng, ped)
    where, gx, gy = ped.area(0, 0, 16.4, 3.2)
    line = 3.15 * (1 - np.abs(gx - 8.2) / 8.2)
    ped.paint(
        where,
        smooth(0.42, 0.38, (line - gy).astype(np.float32)),
        linear(tone),
        0.4,
        shade=0.9,
    )
    for x, s in ((8.2, 2.2), (5.6, 1.6), (10.8, 1.6), (3.5, 1.0), (12.9, 1.0)):
        ped.stamp(ornament(rng, 120, 120, 1.5), x - s * 0.6, 0.15, s * 1.2, s, linear(tone), 0.2)
    ped.hole[where] = gy > line
    w.relief(ped, flat((-8.2, -2.1, 10.1), (1, 0, 0)), 2)
    w.box((-7.8, -1.8, 8.1), (7.8, 14, 10.05), tex)
    for sx in (-1, 1):
        t = Panel(16, 8.8, 24)
        tiles(rng, t, (0.62, 0.45, 0.34), 0.5)
        o = (-8.3, 13.8, 10.05) if sx < 0 else (8.3, -2.2, 10.05)
        w.relief(t, flat(o, (0, sx, 0), (-sx * 8.3, 0, 3.2)), 3)
        side = Panel(14, 6.7, 30)
        FILLS["ashlar"](tone)(rng, side)
        w.relief(side, flat((sx * 7, 2.2 if sx > 0 else 15, 1.4), (0, sx, 0)), 3)
    for x, y in ((-8.5, -6.5), (9.2, -7.2), (7.8, -5.6)):  # fallen drums
        w.lathe((x, y, 0), [(0.6, 0), (0.58, 0.8), (0, 0.8)], tex, flutes=18)
    ground(w, rng, "gravel", -14, 40, (0.72, 0.65, 0.53))
    blades(w, rng, 0, -12, 30, 14, 5000, ((0.55, 0.52, 0.3), (0.42, 0.44, 0.24), (0.6, 0.55, 0.36)))
    hills(w, rng, 150, 20, (0.46, 0.46, 0.33))
    return Place(
        w,
        tour(
            (0, -1, 6.2),
            21,
            60,
            rng,
            ("noon", "evening", "overcast", "morning", "autumn"),
            (-6, 27, -26, 11, -14),
            portrait=3,
        ),
        [(-15, 2, 9, "fir"), (16, 5, 10, "fir"), (-20, 10, 7, "broad")],
        [((-4, -6, 1), 14), ((4, -6, 1), 14)],
    )
