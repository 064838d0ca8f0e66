"""The last window wall of an abbey on a meadow."""

from __future__ import annotations

import numpy as np

from gallery.grounds import blades, ground, hills, ivy
from gallery.openings import shape_distance
from gallery.panel import Panel, Rng, linear, smooth
from gallery.shapes import World, flat
from gallery.view import Place, tour
from gallery.walls import rubble, stone_texture


def ruined_arch(rng: Rng) -> Place:
    w = World()
    for side, (o, a) in enumerate((((-8, 0, 0), (1, 0, 0)), ((8, 1.3, 0), (-1, 0, 0)))):
        r = np.random.default_rng(77)
        p = Panel(16, 13, 52 if side == 0 else 30)
        rubble(rng, p, 0.5, (0.62, 0.57, 0.48), (0.48, 0.44, 0.38), 0.18)
        where, gx, gy = p.area(0, 0, 16, 13)
        gx = gx if side == 0 else 16 - gx
        for cx, y0, ww, hh in ((8, -1, 4.2, 8.6), (3, 2.2, 1.6, 4.6), (13, 2.6, 1.6, 4.2)):
            sd = shape_distance("pointed", gx, gy, cx, y0, ww, hh)
            for k in (0.7, 0.42, 0.2):
                p.paint(
                    where,
                    smooth(k, k - 0.03, sd),
                    linear((0.7, 0.64, 0.54)) * (0.8 + 0.4 * r.random()),
                    0.12 + (0.42 - k) * 0.5,
                    shade=0.9,
                )
            p.height[sd < 0] = -0.65
            p.hole[sd < -0.06] = 1
        xs = np.linspace(0, 16, 400)
        edge = (
            8.5
            + 3.2 * np.exp(-(((xs - 9) / 3.0) ** 2))
            + np.cumsum(r.choice([-0.25, 0, 0, 0, 0.25], 400)) * 0.45
            - 0.05 * np.abs(xs - 8) ** 1.8
        )
        top = np.interp(gx, xs, edge)
        p.height[gy > top - 0.12] = -0.65
        p.hole[gy > top] = 1
        w.relief(p, flat(o, a), 2)
    ivy(w, rng, 3.6, 7.6, 0, 7.5, 9000)
    ivy(w, rng, -8, -6.2, 0, 5, 4000)
    for _ in range(26):
        x, y, s = rng.uniform(-10, 10), rng.uniform(-5, -0.8), rng.uniform(0.15, 0.5)
        w.box(
            (x - s, y - s * 0.7, -0.1),
            (x + s, y + s * 0.7, s),
            stone_texture(rng, (0.6, 0.55, 0.47), 1.0),
            rng.uniform(0, 3),
        )
    ground(w, rng, "grass", -12, 40)
    blades(w, rng, 0, -9, 30, 20, 24000)
    hills(w, rng, 120, 15)
    return Place(
        w,
        tour(
            (0, 0, 5.0),
            19,
            58,
            rng,
            ("noon", "evening", "overcast", "autumn", "snow"),
            (-6, 25, -24, 10, -12),
            portrait=1,
        ),
        [(-17, 12, 9, "broad"), (15, 16, 11, "broad"), (2, 28, 10, "fir")],
    )
