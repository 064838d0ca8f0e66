"""A striped lighthouse with the keeper's cottage above the sea."""

from __future__ import annotations

import math

import numpy as np

from gallery.buildings import Front, house
from gallery.grounds import blades, ground
from gallery.openings import Win, door, window
from gallery.ornaments import sign
from gallery.panel import Panel, Rng, fbm, linear, smooth
from gallery.shapes import World, cylinder
from gallery.towers import round_tower
from gallery.view import Place, tour
from gallery.walls import FILLS, stone_texture, weather

PI = math.pi


def lighthouse(rng: Rng) -> Place:
    w = World()
    fill = FILLS["plaster"]((0.88, 0.86, 0.8))

    def paint(r: Rng, p: Panel) -> None:
        for z in (4.2, 10.4):
            where, gx, _ = p.area(0, z, p.w, z + 3.0)
            flake = smooth(-1.7, -1.3, fbm(r, gx.shape, 0.7 * p.ppm, 6, 0.7))
            p.paint(where, flake, linear((0.66, 0.18, 0.14)), None, shade=0.9)
        weather(r, p, 1.5)
        for i, z in enumerate((2.6, 6.4, 9.2, 13.0)):
            for x in (0.5, 4.2, 8.6, 12.0):
                window(r, p, x + 0.9 * i, z, 0.75, 1.3, Win("arch", surround=(0.6, 0.58, 0.54)))
        door(r, p, p.w / 4, 1.2, 2.3, "arch", (0.2, 0.32, 0.4), (0.6, 0.58, 0.54), 2)
        sign(
            r, p, "N° 7 · 1861", p.w / 4 * 1.02, 3.4, 1.9, 0.5, (0.82, 0.8, 0.74), (0.1, 0.1, 0.12)
        )

    round_tower(w, rng, fill, (0, 0, 0), 2.7, 16, 56, 1.75, paint)
    iron = np.full((8, 8, 3), linear((0.2, 0.22, 0.24)), np.float32)
    w.lathe(
        (0, 0, 16),
        [(1.7, 0), (2.5, 0.3), (2.5, 0.5), (1.3, 0.5), (1.3, 2.4)],
        stone_texture(rng, (0.6, 0.58, 0.54)),
        40,
    )
    for i in range(20):
        a = i * PI / 10
        w.limb(
            (2.4 * math.cos(a), 2.4 * math.sin(a), 16.5),
            (2.4 * math.cos(a), 2.4 * math.sin(a), 17.6),
            0.035,
            0.035,
            iron,
        )
        b = a + PI / 10
        for z in (17.05, 17.6):
            w.limb(
                (2.4 * math.cos(a), 2.4 * math.sin(a), z),
                (2.4 * math.cos(b), 2.4 * math.sin(b), z),
                0.03,
                0.03,
                iron,
            )
    lantern = Panel(8, 1.9, 40)
    for i in range(12):
        window(
            rng,
            lantern,
            0.33 + i * 0.667,
            0.05,
            0.6,
            1.8,
            Win("rect", (0.25, 0.26, 0.28), None, 0, (1, 2), 0.03, False, lit=1.0),
        )
    w.relief(lantern, cylinder((0, 0, 16.5), 1.32, 8, 1.32, 1.9), 2)
    w.lathe(
        (0, 0, 18.4),
        [(1.5, 0), (1.4, 0.25), (0.9, 0.9), (0.15, 1.3), (0.2, 1.5), (0.03, 2.3)],
        np.full((8, 8, 3), linear((0.5, 0.2, 0.16)), np.float32),
        32,
    )
    for sx, x in ((1, 3.2), (-1, -11.5)):
        f = Front(
            8.2,
            0,
            3,
            3.6,
            3,
            0.5,
            Win("rect", surround=(0.7, 0.68, 0.64), shutters=(0.24, 0.36, 0.46)),
            (0.9, 1.4),
            (0.66, 0.64, 0.6),
            door=1,
            carve=0,
        )
        house(
            w,
            rng,
            f,
            x,
            -0.8 + 0.5 * sx,
            FILLS["rubble"]((0.66, 0.63, 0.58)),
            50,
            6,
            (0.45, 0.36, 0.32),
            2.6,
        )
    tex = stone_texture(rng, (0.5, 0.47, 0.43), 1.5)
    for i in range(44):  # a dry-stone wall and boulders
        s = rng.uniform(0.25, 0.5)
        x = -14 + 0.65 * i
        if not -2 < x < 2.4:
            w.box(
                (x - s, -6.3 - s, -0.1),
                (x + s, -6.3 + s, s * 1.6),
                tex * rng.uniform(0.75, 1.2),
                rng.uniform(0, 3),
                1.3,
            )
    ground(w, rng, "grass", -11, 40)
    blades(w, rng, 0, -11, 30, 16, 16000)
    return Place(
        w,
        tour(
            (0, 0, 8.2),
            21,
            58,
            rng,
            ("noon", "evening", "overcast", "morning", "snow"),
            (-5, 20, -20, 9, -12),
            (1, 0.95, 0.85, 1.2, 0.9),
        ),
        [(15, 6, 5, "broad"), (-16, 8, 6, "fir")],
    )
