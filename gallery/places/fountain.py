"""A baroque fountain with a statue before a row of town houses."""

from __future__ import annotations

import math

import numpy as np

from gallery.buildings import house, random_front
from gallery.grounds import ground
from gallery.panel import Rng, fbm
from gallery.shapes import World
from gallery.view import Place, tour
from gallery.walls import stone_texture

PI = math.pi


def fountain(rng: Rng) -> Place:
    w = World()
    tone = (0.7, 0.65, 0.57)
    tex = stone_texture(rng, tone, 2.0, 0.34)
    tex *= (1 + 0.3 * fbm(rng, tex.shape[:2], 40, 6, 0.7))[..., None]
    w.lathe(
        (0, -8, 0),
        [
            (3.2, 0),
            (3.2, 0.18),
            (2.75, 0.2),
            (2.7, 0.75),
            (2.9, 0.8),
            (2.9, 0.95),
            (2.5, 0.95),
            (2.45, 0.6),
        ],
        tex,
        64,
        repeat=6,
    )
    w.lathe((0, -8, 0), [(2.5, 0.72), (0.0, 0.72)], np.full((4, 4, 3), 0.06, np.float32), 48)
    w.lathe(
        (0, -8, 0.5),
        [
            (0.9, 0),
            (0.9, 0.5),
            (0.55, 0.7),
            (0.5, 1.5),
            (0.75, 1.6),
            (0.75, 1.8),
            (1.35, 2.1),
            (1.5, 2.25),
            (1.3, 2.2),
            (0.5, 2.1),
            (0.45, 2.9),
            (0.62, 3.0),
            (0.62, 3.15),
            (0, 3.15),
        ],
        tex,
        48,
        repeat=3,
    )
    for i in range(4):
        a = i * PI / 2 + 0.6
        o = (1.05 * math.cos(a), -8 + 1.05 * math.sin(a), 0.9)
        w.statue(rng, o, a + PI / 2, 1.15, tone)
    w.statue(rng, (0, -8, 3.6), 0.25, 2.3, (0.4, 0.5, 0.44))
    x = -20.0
    for _ in range(5):
        f, fill, rt = random_front(rng, rng.uniform(7, 9.5), True)
        house(w, rng, f, x, 0, fill, 42, 9, rt)
        x += f.w
    ground(w, rng, "cobble", -13, 34, (0.5, 0.49, 0.48))
    aim = (0.0, -8.0, 3.7)
    return Place(
        w,
        tour(
            aim,
            12.5,
            58,
            rng,
            ("noon", "autumn", "overcast", "snow", "evening"),
            (-6, 20, -21, 9, -13),
            (1, 1, 0.9, 1.35, 0.85),
        ),
        [(-9, -5, 6, "broad"), (10, -4, 7, "broad")],
        blocked=[(0.0, -8.0, 3.8)],
    )
