"""A wooden pagoda of three tiers with swept roofs."""

from __future__ import annotations

import math

import numpy as np

from gallery.grounds import ground, hills
from gallery.openings import Win, door, window
from gallery.ornaments import ornament
from gallery.panel import Array, Panel, Rng, linear
from gallery.shapes import World, flat
from gallery.view import Place, tour
from gallery.walls import FILLS, plaster, stone_texture, tiles

PI = math.pi


def pagoda(rng: Rng) -> Place:
    w = World()
    z = 1.2
    base = Panel(14, 1.2, 44)
    FILLS["ashlar"]((0.58, 0.56, 0.52))(rng, base)
    for o, a in (
        ((-7.0, -7.0, 0.0), (1, 0, 0)),
        ((7.0, -7.0, 0.0), (0, 1, 0)),
        ((-7.0, 7.0, 0.0), (0, -1, 0)),
    ):
        w.relief(base, flat(o, a), 3)
    w.box((-7, -7, 1.1), (7, 7, 1.2), stone_texture(rng, (0.58, 0.55, 0.5)))
    for i in range(5):
        w.box(
            (-1.8, -9 + 0.4 * i, 0), (1.8, -7, 0.24 * (i + 1)), stone_texture(rng, (0.6, 0.57, 0.5))
        )
    for tier, half in enumerate((4.6, 3.6, 2.7)):
        h = 3.4 - 0.4 * tier
        for o, a in (
            ((-half, -half, z), (1, 0, 0)),
            ((half, -half, z), (0, 1, 0)),
            ((-half, half, z), (0, -1, 0)),
        ):
            p = Panel(2 * half, h, 56)
            plaster(rng, p, (0.85, 0.78, 0.66), 0.2)
            n = 5 - tier
            for i in range(n):
                cx = 2 * half * (i + 0.5) / n
                bw = 2 * half / n - 0.5
                if i == n // 2:
                    door(rng, p, cx, bw, h - 0.9, "rect", (0.5, 0.16, 0.1), (0.4, 0.14, 0.1), 1)
                else:
                    window(
                        rng,
                        p,
                        cx,
                        0.8,
                        bw,
                        h - 1.8,
                        Win(
                            "rect",
                            (0.4, 0.13, 0.09),
                            (0.42, 0.16, 0.1),
                            0.08,
                            (int(rng.integers(5, 9)), int(rng.integers(3, 7))),
                            0.12,
                        ),
                    )
            for i in range(n + 1):
                cx = 0.16 + (2 * half - 0.32) * i / n
                p.box(cx - 0.16, 0, cx + 0.16, h, 0.2, linear((0.46, 0.15, 0.1)), shade=0.6)
            p.box(0, h - 0.75, 2 * half, h - 0.5, 0.24, linear((0.2, 0.36, 0.32)), shade=0.5)
            for i in range(n * 2):
                orn = ornament(rng, 60, 30)
                p.stamp(
                    orn,
                    half * i / n + 0.1,
                    h - 0.74,
                    half / n - 0.2,
                    0.22,
                    linear((0.8, 0.6, 0.25)),
                    0.05,
                )
            x = 0.1
            while x < 2 * half:
                p.box(x, h - 0.45, x + 0.12, h, 0.7, linear((0.5, 0.2, 0.12)))
                x += 0.36
            w.relief(p, flat(o, a), 2, close=True)
        eave, rise = half + 1.7, 1.9
        r = np.random.default_rng(tier)
        t = Panel(2 * eave, 3.4, 36)
        tiles(r, t, (0.34, 0.37, 0.38), 0.3)
        for k in range(4):
            c, s = math.cos(k * PI / 2), math.sin(k * PI / 2)

            def wrap(
                x: Array,
                y: Array,
                hh: Array,
                e: float = eave,
                inner: float = half - 1,
                z0: float = z + h - 0.25,
                c: float = c,
                s: float = s,
                rise: float = rise,
            ) -> tuple[Array, Array, Array]:
                u, v = x / e - 1, y / 3.4
                half_w = e + (inner - e) * v
                px, py = u * half_w, -half_w
                zz = z0 + rise * v**1.7 + 0.75 * np.abs(u) ** 3 * (1 - v) ** 2 + hh
                return c * px - s * py, s * px + c * py, zz

            w.relief(t, wrap, 2)
        z += h + 1.35
    w.lathe(
        (0, 0, z - 0.2),
        [
            (1.9, -0.3),
            (0.4, 0.9),
            (0.3, 1.2),
            (0.45, 1.4),
            (0.1, 1.7),
            (0.28, 2.0),
            (0.06, 2.3),
            (0.2, 2.6),
            (0.02, 3.4),
        ],
        np.full((8, 8, 3), linear((0.5, 0.42, 0.24)), np.float32),
        24,
    )
    for x in (-4.5, 4.5):  # stone lanterns
        w.lathe(
            (x, -9.5, 0),
            [
                (0.5, 0),
                (0.5, 0.25),
                (0.18, 0.3),
                (0.16, 1.3),
                (0.4, 1.45),
                (0.4, 1.55),
                (0.28, 1.55),
                (0.28, 2.0),
                (0.6, 2.05),
                (0.1, 2.5),
                (0.1, 2.7),
                (0, 2.75),
            ],
            stone_texture(rng, (0.5, 0.5, 0.46)),
            6,
        )
    ground(w, rng, "gravel", -14, 40, (0.66, 0.62, 0.54))
    hills(w, rng, 90, 22)
    return Place(
        w,
        tour(
            (0, -3, 6.8),
            24,
            56,
            rng,
            ("noon", "autumn", "overcast", "snow", "evening"),
            (-5, 22, -22, 10, -12),
            portrait=0,
        ),
        [(-11, 2, 8, "broad"), (12, 4, 9, "fir"), (-14, 12, 12, "fir"), (10, 14, 9, "broad")],
    )
