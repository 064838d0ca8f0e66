"""A palace courtyard with two storeys of arcades on three sides and a well."""

from __future__ import annotations

import math

import numpy as np

from gallery.buildings import roof
from gallery.grounds import ground
from gallery.openings import Win, cut, door, window
from gallery.ornaments import band, ornament, stamp_at
from gallery.panel import Panel, Rng
from gallery.shapes import World, flat
from gallery.view import Place, around
from gallery.walls import FILLS, brick_texture, stone_texture

PI = math.pi


def courtyard(rng: Rng) -> Place:
    w = World()
    tone = (0.76, 0.66, 0.5)
    fill = FILLS["plaster"]((0.82, 0.7, 0.5))
    for o, a, width in (
        ((-8, 0, 0), (1, 0, 0), 16),
        ((-8, -15, 0), (0, 1, 0), 15),
        ((8, 0, 0), (0, -1, 0), 15),
    ):
        p = Panel(width, 10.5, 50)
        fill(rng, p)
        n = 5
        pitch = width / n
        for i in range(n):
            cx = pitch * (i + 0.5)
            door(rng, p, cx, 1.9, 3.4, "arch", (0.5, 0.42, 0.3), tone, 2, 0.13)
            cut(p, "arch", cx, -1, 1.9, 4.4, 0.7)
            window(
                rng,
                p,
                cx,
                5.4,
                1.15,
                2.1,
                Win(
                    "rect",
                    (0.4, 0.28, 0.2),
                    tone,
                    0.17,
                    (2, 3),
                    head=["gable", "bow"][i % 2],
                    shutters=(0.32, 0.42, 0.36) if i % 2 else None,
                ),
            )
            stamp_at(p, ornament(rng, 100, 100), cx, 9.0, 1.0, 0.9, tone, 0.1)
            stamp_at(p, ornament(rng, 60, 60), max(0.4, cx - pitch / 2), 3.6, 0.6, 0.6, tone, 0.1)
        band(p, 4.5, 0.35, 0.25, tone, dentil=0.3)
        band(p, 10, 0.5, 0.4, tone, dentil=0.3)
        w.relief(p, flat(o, a), 2, close=False)
        q = Panel(width, 5, 30)  # the back wall of the walk behind the arches
        FILLS["plaster"]((0.7, 0.5, 0.4))(rng, q)
        for i in range(n):
            window(rng, q, pitch * (i + 0.5), 1, 1, 2, Win())
        n_out = np.cross(np.array(a, float), [0, 0, 1])
        w.relief(q, flat(np.array(o) - 2.6 * n_out, a), 2)
    tex = stone_texture(rng, (0.6, 0.5, 0.42))
    for x0, y0, x1, y1 in ((-11, 0.2, 11, 3), (-11, -15, -8.2, 3), (8.2, -15, 11, 3)):
        w.box((x0, y0, 4.4), (x1, y1, 4.6), tex)
    roof(w, rng, -9, 9, -0.5, 10.4, 4, 2, (0.6, 0.38, 0.28))
    w.lathe(
        (1.6, -6.5, 0),
        [
            (1.3, 0),
            (1.3, 0.2),
            (1.0, 0.25),
            (1.0, 0.9),
            (1.15, 0.95),
            (1.15, 1.1),
            (0.9, 1.1),
            (0.9, 0.6),
            (0, 0.6),
        ],
        stone_texture(rng, (0.7, 0.64, 0.55), 2.0, 0.3),
        40,
        repeat=3,
    )
    for x in (0.55, 2.65):
        w.lathe((x, -6.5, 1.1), [(0.1, 0), (0.08, 2.0), (0.14, 2.05)], tex, 12)
    w.box((0.35, -6.65, 3.1), (2.85, -6.35, 3.35), tex)
    w.limb((1.6, -6.5, 3.1), (1.6, -6.5, 1.6), 0.02, 0.02, tex)
    for x, y in ((-5.5, -3), (5.6, -2.4), (-5.8, -9)):
        w.lathe((x, y, 0), [(0.3, 0), (0.42, 0.5), (0.38, 0.55)], brick_texture(rng), 20)
        c = rng.standard_normal((900, 3)) * 0.35 + [x, y, 1.2]
        w.leaves(rng, c.astype(np.float32), 0.08, [(0.25, 0.36, 0.16), (0.34, 0.42, 0.2)])
    ground(w, rng, "slab", -8, 34, (0.62, 0.56, 0.48))
    aim = (0.0, 0.0, 4.2)
    who = [(6.0, 1.2, PI * 0.9, "stand")]
    return Place(
        w,
        [
            around(aim, -7, 14.5, 66, "noon", -48, people=[(5.2, -1.5, 0.35, "stand")]),
            around(aim, 24, 14, 68, "morning", 40, people=who),
            around(
                (-1, 0, 4),
                -25,
                13,
                66,
                "overcast",
                10,
                people=[(2.4, 0.7, PI + 0.3, "stand")],
                blur=3.4,
            ),
            around(
                (0, 0, 4.6),
                12,
                17,
                60,
                "evening",
                50,
                people=[(7, -1.6, 0.2, "walk"), (7.4, -2.3, 0.1, "walk")],
            ),
            around((0.5, 0, 4), -16, 11.5, 70, "overcast", -30, people=[(6, 1.5, 1.8, "phone")]),
        ],
    )
