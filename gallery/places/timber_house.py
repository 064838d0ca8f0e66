"""A half-timbered corner house with a jettied gable and an inn sign."""

from __future__ import annotations

import math

import numpy as np

from gallery.buildings import Front, house, row
from gallery.grounds import ground
from gallery.openings import Win, door, window
from gallery.ornaments import sign
from gallery.panel import Panel, Rng, linear, smooth
from gallery.shapes import World, flat
from gallery.view import Place, tour
from gallery.walls import FILLS, brick_texture, tiles

PI = math.pi


def timber_house(rng: Rng) -> Place:
    w = World()

    def timber(p: Panel, z0: float, floors: list[float], cols: int, inn: str) -> None:
        wood = linear((0.3, 0.2, 0.14))
        z = z0
        for level, h in enumerate(floors):
            pitch = p.w / cols
            for i in range(cols):
                cx = pitch * (i + 0.5)
                if rng.random() < 0.62:
                    window(
                        rng,
                        p,
                        cx,
                        z + 0.9,
                        min(1.0, pitch * 0.5),
                        h - 1.5,
                        Win(
                            "rect",
                            (0.86, 0.83, 0.76),
                            (0.32, 0.22, 0.15),
                            0.1,
                            (2, 3),
                            shutters=(0.3, 0.42, 0.3) if pitch > 2.2 else None,
                        ),
                    )
                else:
                    where, gx, gy = p.area(cx - pitch / 2, z, cx + pitch / 2, z + h)
                    t = (gx - cx) / pitch + 0.5
                    v = (gy - z) / h
                    bend = 0.12 * np.sin(v * PI) * rng.choice([-1, 0, 1])
                    for target in ((v + bend), (1 - v - bend)):
                        m = smooth(0.075, 0.06, np.abs(t - target).astype(np.float32))
                        p.paint(where, m, wood * rng.uniform(0.7, 1.3), 0.09, shade=0.5)
            for i in range(cols + 1):
                x = min(max(pitch * i, 0.12), p.w - 0.12) + rng.normal(0, 0.02)
                p.box(x - 0.13, z, x + 0.13, z + h, 0.1, wood * rng.uniform(0.75, 1.3), shade=0.5)
            for zz in (z, z + 0.85, z + h - 0.2):
                p.box(0, zz - 0.02, p.w, zz + 0.2, 0.12, wood * rng.uniform(0.75, 1.3), shade=0.5)
            if level == 0:
                sign(
                    rng,
                    p,
                    inn,
                    p.w / 2,
                    z + 0.1,
                    p.w * 0.6,
                    0.36,
                    None,
                    (0.85, 0.7, 0.4),
                    "DejaVuSerif-Italic",
                )
            z += h

    fill = FILLS["plaster"]((0.86, 0.76, 0.55))
    p = Panel(9, 12.6, 56)
    fill(rng, p)
    where, gx, gy = p.area(0, 0, 9, 3.4)
    base = Panel(9, 3.5, 56)
    FILLS["rubble"]((0.62, 0.55, 0.47))(rng, base)
    p.albedo[where], p.height[where] = (
        base.albedo[-gx.shape[0] :],
        base.height[-gx.shape[0] :],
    )
    door(rng, p, 2.4, 1.5, 2.6, "arch", (0.34, 0.2, 0.13), (0.66, 0.58, 0.48), 2)
    for x in (5, 7.4):
        window(rng, p, x, 1.0, 1.2, 1.6, Win("segment", surround=(0.66, 0.58, 0.48)))
    timber(p, 3.4, [2.9, 2.7, 2.4], 5, "Zum Goldenen Hirschen")
    where, gx, gy = p.area(0, 7.0, 9, 12.6)
    p.hole[where] = (gy - 7.4) > 5.1 * (1 - np.abs(gx - 4.5) / 4.7)
    w.relief(p, flat((-9, 0, 0), (1, 0, 0)), 2)
    q = Panel(12, 7.6, 50)
    FILLS["plaster"]((0.84, 0.74, 0.56))(rng, q)
    timber(q, 1.2, [3.0, 3.0], 6, "Gasthof · Anno 1592")
    w.relief(q, flat((0, 0, 0), (0, 1, 0)), 2)
    w.relief(q, flat((-9, 12, 0), (0, -1, 0)), 3)
    for sx, a in ((-1, 1), (1, -1)):  # the roof slopes along y, the gable looks at the square
        t = Panel(13.2, 7.3, 30)
        tiles(rng, t, (0.56, 0.33, 0.25), 0.3, 0.6)
        o = (-9.4, 12.6, 7.1) if sx < 0 else (0.4, -0.6, 7.1)
        w.relief(t, flat(o, (0, -a, 0), (4.9 * a, 0, 5.4)), 2)
    f2 = Front(
        8,
        2,
        4,
        3.6,
        3.0,
        win=Win("segment", shutters=(0.5, 0.26, 0.2)),
        carve=0.3,
        shop="Goldschmied",
    )
    house(w, rng, f2, -17.3, 0.6, FILLS["plaster"]((0.6, 0.68, 0.66)), 46, 9, (0.5, 0.34, 0.28))
    iron = np.full((4, 4, 3), linear((0.15, 0.13, 0.12)), np.float32)
    w.limb((-0.4, 0, 4.2), (-0.4, -1.7, 4.4), 0.04, 0.03, iron)
    w.box(
        (-0.45, -1.6, 3.2),
        (-0.35, -0.7, 4.1),
        np.full((4, 4, 3), linear((0.7, 0.55, 0.2)), np.float32),
    )
    for x in (-8, -6.2, -2.2):
        w.lathe((x, -0.9, 0), [(0.3, 0), (0.36, 0.5), (0.3, 0.5)], brick_texture(rng), 16)
        c = rng.standard_normal((500, 3)) * 0.26 + [x, -0.9, 0.8]
        w.leaves(
            rng, c.astype(np.float32), 0.07, [(0.28, 0.4, 0.18), tuple(rng.uniform(0.3, 0.8, 3))]
        )
    row(w, rng, 7, 34, 6, 22)
    ground(w, rng, "cobble", -11, 34, (0.55, 0.51, 0.46))
    return Place(
        w,
        tour(
            (-3.2, 0, 5.6),
            17,
            60,
            rng,
            ("noon", "evening", "overcast", "snow", "morning"),
            (8, 34, -10, 22, 15),
            (1, 1, 0.9, 1.25, 0.75),
            portrait=4,
        ),
        [(9, -3, 6, "broad")],
    )
