"""A church front with two towers, a rose window and a deep portal."""

from __future__ import annotations

import math

import numpy as np

from gallery.buildings import roof, row
from gallery.grounds import ground
from gallery.openings import Win, door, rose_window, window
from gallery.ornaments import band, ornament, stamp_at
from gallery.panel import Panel, Rng, linear
from gallery.shapes import World, flat
from gallery.towers import pyramid_roof
from gallery.view import Place, around
from gallery.walls import FILLS, stone_texture

PI = math.pi


def cathedral_front(rng: Rng) -> Place:
    w = World()
    tone = (0.7, 0.62, 0.5)
    fill = FILLS["ashlar"](tone)
    nave = Panel(11, 19, 56)
    fill(rng, nave)
    rose_window(rng, nave, 5.5, 11.6, 2.5, 12, (0.74, 0.67, 0.55))
    door(rng, nave, 5.5, 3.0, 5.4, "pointed", (0.36, 0.22, 0.14), tone, 4, 0.28)
    win = Win("pointed", (0.6, 0.53, 0.44), (0.74, 0.66, 0.54), 0.2, (2, 4), 0.35, stained=True)
    for x in (1.6, 9.4):
        window(rng, nave, x, 2.6, 1.2, 3.6, win)
        window(rng, nave, x, 9.5, 1.1, 3.6, win)
    for i in range(9):  # a gallery of niches with saints
        x = 0.95 + i * 1.14
        window(
            rng,
            nave,
            x,
            6.9,
            0.74,
            1.5,
            Win("arch", (0.4, 0.36, 0.3), tone, 0.09, (1, 1), 0.3, False, bars=0.0, lit=0),
        )
    band(nave, 6.5, 0.3, 0.2, tone)
    band(nave, 8.6, 0.3, 0.22, tone, dentil=0.4)
    for i in range(6):
        stamp_at(nave, ornament(rng, 160, 80), 1.1 + i * 1.76, 15.4, 1.5, 0.8, tone, 0.12)
    band(nave, 16, 0.4, 0.3, tone, dentil=0.35)
    where, gx, gy = nave.area(0, 16.4, 11, 19)  # the gable
    nave.hole[where] = (gy - 16.4) > 2.5 * (1 - np.abs(gx - 5.5) / 5.5)
    w.relief(nave, flat((-5.5, 0, 0), (1, 0, 0)), 2)
    for i in range(9):
        w.statue(rng, (-5.5 + 0.95 + i * 1.14, -0.1, 6.92), rng.normal(0, 0.2), 1.28, tone)
    for sx in (-1, 1):
        x0 = -5.5 - 5.6 if sx < 0 else 5.5
        for side in range(2):
            t = Panel(5.6, 25 + (sx > 0) * 1.2, 52)
            fill(rng, t)
            for z, hgt in ((2.5, 3.6), (9.2, 4.2), (17, 5.0)):
                window(rng, t, 2.8, z, 1.5 if z < 15 else 2.2, hgt, win)
            for z in (6.8, 8.5, 15.2, 23.4):
                band(t, z, 0.35, 0.25, tone, dentil=0.4)
            for x in (0, 4.9):
                t.box(x, 0, x + 0.7, 23, 0.35, linear(tone) * 0.95)
            stamp_at(t, ornament(rng, 160, 70), 2.8, 7.9, 3.4, 0.9, tone, 0.12)
            o = (
                ((x0, -0.8, 0), (1, 0, 0))
                if side == 0
                else (((x0 + 5.6, -0.8, 0), (0, 1, 0)) if sx < 0 else ((x0, 4.8, 0), (0, -1, 0)))
            )
            w.relief(t, flat(*o), 2, close=True)
            if side == 0:
                out = ((x0, 4.8, 0), (0, -1, 0)) if sx < 0 else ((x0 + 5.6, -0.8, 0), (0, 1, 0))
                w.relief(t, flat(*out), 3, close=True)
        pyramid_roof(w, rng, (x0 + 2.8, 2, 25 + (sx > 0) * 1.2), 3.1, 7, (0.36, 0.38, 0.4))
        for cx in (0.4, 5.2):
            w.lathe(
                (x0 + cx, -0.4, 25),
                [(0.4, 0), (0.42, 0.8), (0.3, 1), (0.02, 2.6)],
                stone_texture(rng, tone),
                10,
            )
    roof(w, rng, -5.4, 5.4, 1, 16.5, 5, 2.5, (0.42, 0.34, 0.3))
    steps = stone_texture(rng, (0.62, 0.58, 0.52))
    for i in range(5):
        w.box((-6 + 0.3 * i, -3.4 + 0.38 * i, 0), (6 - 0.3 * i, 0, 0.15 * (i + 1)), steps)
    ground(w, rng, "slab", -14, 40, (0.58, 0.54, 0.48))
    row(w, rng, -40, -14, 6, 20)
    row(w, rng, 14, 36, 5, 20)
    aim = (0.0, 0.0, 9.0)
    views = [
        around(
            aim, -4, 27, 58, "noon", -48, "summer", [(9, 1.6, PI, "stand"), (12, -3, 0.8, "walk")]
        ),
        around(aim, 28, 24, 62, "evening", -40, "autumn", [(7, -1.8, 0.3, "stand")]),
        around((-1, 0, 7.5), -27, 19, 62, "overcast", 20, "summer", [(8, 2, PI * 0.9, "phone")]),
        around(
            aim, 12, 34, 48, "snow", 30, "winter", [(10, 2.2, 0.2, "walk"), (11, 3, 0.1, "walk")]
        ),
        around((0, 0, 8), -14, 24, 56, "dusk", 60, "summer", [(8, -2.2, PI, "walk")]),
    ]
    lamps = [((-7.0, -5.0, 1.0), 22.0), ((7.0, -5.0, 1.0), 22.0), ((0.0, -9.0, 3.5), 30.0)]
    return Place(w, views, [(-15, -4, 8, "broad"), (15, -5, 9, "broad")], lamps)
