"""A brick and iron market hall with a great fan window and striped awnings."""

from __future__ import annotations

import numpy as np

from gallery.buildings import roof, row
from gallery.grounds import ground
from gallery.openings import Win, door, window
from gallery.ornaments import band, clock_face, ornament, sign, stamp_at
from gallery.panel import Panel, Rng, fbm, linear
from gallery.shapes import World, flat
from gallery.view import Place, tour
from gallery.walls import FILLS, brick_texture, planks


def market_hall(rng: Rng) -> Place:
    w = World()
    fill, trim = FILLS["brick"]((0.66, 0.5, 0.36)), (0.76, 0.74, 0.7)
    p = Panel(20, 13, 52)
    fill(rng, p)
    iron = (0.2, 0.36, 0.33)
    window(
        rng, p, 10, 4.6, 8.4, 5.9, Win("arch", iron, trim, 0.45, (12, 7), 0.35, bars=0.09, lit=1.0)
    )
    sign(
        rng,
        p,
        "MERCATO COPERTO",
        10,
        4.0,
        9,
        0.95,
        (0.18, 0.32, 0.3),
        (0.93, 0.83, 0.6),
        "DejaVuSans-Bold",
        glow=0.9,
    )
    for x in (2.1, 4.3, 15.7, 17.9):
        window(rng, p, x, 4.9, 1.3, 3.0, Win("arch", iron, trim, 0.2, (2, 5)))
        stamp_at(p, ornament(rng, 90, 90), x, 9.3, 1.3, 1.3, trim, 0.1)
    for x in (0, 5.1, 14.0, 19.1):
        p.box(x, 0, x + 0.9, 12, 0.3, linear((0.72, 0.68, 0.6)) * 0.9)
        stamp_at(p, ornament(rng, 60, 100), x + 0.45, 11.1, 0.8, 1.3, trim, 0.12)
    for x in (3.1, 10, 16.9):
        door(rng, p, x, 2.6, 3.2, "segment", iron, trim, 2, 0.2)
    for x in (6.8, 13.2):
        window(rng, p, x, 0.9, 1.8, 2.3, Win("segment", iron, trim, 0.2, (3, 3)))
    band(p, 11.9, 0.6, 0.4, trim, dentil=0.4)
    clock_face(rng, p, 10, 11.9, 0.85, (0.15, 0.2, 0.28), (0.9, 0.8, 0.5), (4, 38), False)
    where, gx, gy = p.area(0, 11, 20, 13)
    p.hole[where] = (gy > 12.5) & (np.abs(gx - 10) > 1.6)
    w.relief(p, flat((-10, 0, 0), (1, 0, 0)), 2, close=True)
    side = Panel(24, 9, 34)
    fill(rng, side)
    for i in range(8):
        window(rng, side, 1.6 + 3 * i, 2.6, 1.7, 4.2, Win("arch", iron, trim, 0.2, (3, 6)))
    band(side, 8.4, 0.5, 0.3, trim)
    w.relief(side, flat((10, 0, 0), (0, 1, 0)), 2, close=True)
    w.relief(side, flat((-10, 24, 0), (0, -1, 0)), 2, close=True)
    roof(w, rng, -10, 10, 1, 9, 11, 4.5, (0.42, 0.44, 0.46), 20, 0.5)
    for i, x in enumerate((-8.2, -3.2, 3.6, 8.4)):  # stalls
        c1, c2 = linear(rng.uniform(0.2, 0.8, 3)), linear((0.88, 0.84, 0.76))
        stripe = (
            np.where((np.arange(64)[None, :, None] // 6) % 2, c1, c2)
            * (1 + 0.08 * fbm(rng, (64, 64), 20, 4))[..., None]
        )
        v = np.array(
            [[x - 1.5, -5.2, 2.1], [x + 1.5, -5.2, 2.1], [x + 1.5, -3.2, 2.9], [x - 1.5, -3.2, 2.9]]
        )
        w.mesh(
            v,
            np.array([[0, 1, 2], [0, 2, 3]]),
            np.array([[0, 0], [0.99, 0], [0.99, 1], [0, 1]]),
            stripe.astype(np.float32),
        )
        for px in (x - 1.4, x + 1.4):
            w.limb((px, -5.1, 0), (px, -5.1, 2.15), 0.04, 0.04, brick_texture(rng))
            w.limb((px, -3.3, 0), (px, -3.3, 2.85), 0.04, 0.04, brick_texture(rng))
        crate = Panel(1, 1, 48)
        planks(rng, crate, 0.12, (0.62, 0.5, 0.36))
        w.box((x - 1.4, -4.9, 0), (x + 1.4, -3.7, 0.85), crate.albedo, 0, 0.8)
        for k in range(6):
            fruit = linear(
                ((0.8, 0.3, 0.2), (0.85, 0.65, 0.2), (0.4, 0.52, 0.2), (0.5, 0.2, 0.3))[(k + i) % 4]
            )
            pts = np.column_stack(
                [
                    x - 1.2 + 0.46 * k + rng.uniform(-0.17, 0.17, 60),
                    rng.uniform(-4.9, -3.9, 60),
                    0.92 + rng.uniform(0, 0.14, 60),
                ]
            )
            w.leaves(rng, pts.astype(np.float32), 0.085, [tuple(fruit ** (1 / 2.2))])
    row(w, rng, -38, -14, 3, 20)
    row(w, rng, 14, 36, 3, 20)
    ground(w, rng, "cobble", -13, 36, (0.56, 0.52, 0.48))
    return Place(
        w,
        tour(
            (0, 0, 5.6),
            22,
            60,
            rng,
            ("noon", "evening", "overcast", "autumn", "dusk"),
            (-5, 25, -25, 10, -14),
            portrait=1,
        ),
        [(-14, -5, 7, "broad"), (14, -6, 8, "broad")],
        [((-5, -6, 4.2), 16), ((5, -6, 4.2), 16), ((0, -7, 4.5), 14)],
    )
