"""An old stone bridge of three arches with a chapel, over a river."""

from __future__ import annotations

import math

import numpy as np

from gallery.buildings import house, random_front, row
from gallery.openings import Win, cut, shape_distance, window
from gallery.ornaments import band
from gallery.panel import Array, Panel, Rng, linear, smooth
from gallery.shapes import World, flat
from gallery.towers import cone_roof, round_tower
from gallery.view import Place, tour
from gallery.walls import FILLS, grass, rubble, stone_texture


def bridge(rng: Rng) -> Place:
    w = World()
    p = Panel(38, 8.2, 40)
    rubble(rng, p, 0.75, (0.62, 0.56, 0.48), (0.42, 0.38, 0.33), 0.17, 0.05)
    for cx, span in ((7, 8.2), (19, 10), (31, 8.2)):
        where, gx, gy = p.area(cx - span, 0, cx + span, 8)
        sd = shape_distance("arch", gx, gy, cx, -2.5 + 0.5, span, span / 2 + 2.9)
        ang = np.arctan2(gy - 0.9, gx - cx) * 12
        shade = np.random.default_rng(int(cx)).random(99).astype(np.float32)
        shade = 0.85 + 0.3 * shade[(np.floor(ang) % 99).astype(int)]
        ring = linear((0.68, 0.62, 0.53)) * shade[..., None]
        p.paint(where, smooth(0.75, 0.72, sd) * (np.abs(ang % 1 - 0.5) < 0.46), ring, 0.12)
        cut(p, "arch", cx, -2, span, span / 2 + 2.9, 1.5)
    band(p, 7.0, 0.3, 0.25, (0.6, 0.55, 0.47))
    w.relief(p, flat((-19, 0, -0.5), (1, 0, 0)), 2)
    w.relief(p, flat((19, 3.6, -0.5), (-1, 0, 0)), 4)
    for cx, span in ((7, 8.2), (19, 10), (31, 8.2)):  # the vaults
        v = Panel(3.6, math.pi * span / 2, 24)
        rubble(rng, v, 0.6, (0.5, 0.45, 0.39), (0.36, 0.33, 0.3))

        def vault(
            x: Array, y: Array, h: Array, c: float = cx, s: float = span
        ) -> tuple[Array, Array, Array]:
            r, a = s / 2 - h, y / s * 2
            return c - 19 + r * np.cos(a), x, 0.4 + r * np.sin(a)

        w.relief(v, vault, 2)
    tex = stone_texture(rng, (0.55, 0.5, 0.44), 3.0, 0.5)
    for x in (-6.1, 6.1):  # cutwaters
        corners = np.array(
            [
                [x - 1.2, 0, -1],
                [x, -2.0, -1],
                [x + 1.2, 0, -1],
                [x - 1.2, 0, 3.4],
                [x, -2.0, 3.4],
                [x + 1.2, 0, 3.4],
                [x, 0, 5],
            ]
        )
        faces = np.array([[0, 1, 4], [0, 4, 3], [1, 2, 5], [1, 5, 4], [3, 4, 6], [4, 5, 6]])
        uv = np.column_stack([corners[:, 0] - corners[:, 1], corners[:, 2]]) / 3
        w.mesh(corners, faces, uv, tex)
    for x in np.arange(-18, 18.1, 4):
        w.statue(rng, (x, 0.1, 7.6), rng.normal(0, 0.4), 2.0, (0.5, 0.47, 0.42))
        w.box((x - 0.5, -0.15, 7.2), (x + 0.5, 0.6, 7.75), tex)
    row(w, rng, -44, 40, 30, 20, shops=False)
    f, fill, tone = random_front(rng, 7)
    house(w, rng, f, 17.5, 3, fill, 40, 8, tone)

    def paint(r: Rng, q: Panel) -> None:
        for x in (3, 8, 13, 18):
            for z in (6, 11):
                window(r, q, x, z, 0.8, 1.4, Win("arch"))

    fieldstone = FILLS["rubble"]((0.58, 0.52, 0.44))
    round_tower(w, rng, fieldstone, (-21, 2, -0.5), 3.2, 15, 30, None, paint)
    cone_roof(w, rng, (-21, 2, 14.4), 3.7, 5, (0.5, 0.3, 0.24))
    w.water(150, -150, 150, -0.4, linear((0.2, 0.25, 0.2)))
    bank = Panel(90, 14, 14)
    grass(rng, bank)
    bank.height += 0.3
    w.relief(bank, flat((-45, 18, -0.5), (1, 0, 0), (0, 1, 0.12)), 3)
    return Place(
        w,
        tour(
            (0, 0, 4.2),
            27,
            58,
            rng,
            ("noon", "evening", "overcast", "autumn", "morning"),
            (-4, 24, -24, 9, -14),
            height=3.2,
            crowd=False,
        ),
        [(-12, 24, 8, "broad"), (4, 25, 9, "broad"), (16, 24, 7, "broad")],
    )
