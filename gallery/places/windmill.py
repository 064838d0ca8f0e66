"""A tower mill with lattice sails in the fields."""

from __future__ import annotations

import math

import numpy as np

from gallery.buildings import Front, house
from gallery.grounds import blades, ground, hills
from gallery.openings import Win, door, window
from gallery.ornaments import sign
from gallery.panel import Panel, Rng, fbm, linear, smooth
from gallery.shapes import World
from gallery.towers import round_tower
from gallery.view import Place, tour
from gallery.walls import FILLS, planks, tiles

PI = math.pi


def windmill(rng: Rng) -> Place:
    w = World()
    fill = FILLS["brick"]((0.6, 0.44, 0.34))

    def paint(r: Rng, p: Panel) -> None:
        where, gx, _ = p.area(0, 0, p.w, 2.0)
        p.paint(
            where,
            smooth(-1.2, -0.8, fbm(r, gx.shape, 40, 6)),
            linear((0.82, 0.8, 0.76)),
            0.02,
            shade=0.8,
        )
        for z in (3.6, 6.4, 9.0):
            for x in (1.6, 4.6, 7.9, 11.4, 15):
                window(
                    r,
                    p,
                    x + 0.5 * z % 2,
                    z,
                    0.85,
                    1.3,
                    Win("segment", surround=(0.8, 0.77, 0.7), shutters=(0.26, 0.4, 0.3)),
                )
        door(r, p, p.w / 4 - 0.4, 1.5, 2.5, "segment", (0.2, 0.36, 0.3), (0.8, 0.76, 0.7), 2)
        sign(r, p, "DE HOOP 1794", p.w / 4, 5.5, 2.6, 0.55, (0.85, 0.82, 0.75), (0.14, 0.2, 0.3))

    round_tower(w, rng, fill, (0, 0, 0), 3.4, 11.5, 52, 2.3, paint)
    cap = Panel(16, 3.4, 40)
    tiles(rng, cap, (0.42, 0.32, 0.24), 0.22, 0.8)
    w.relief(
        cap,
        lambda x, y, h: (
            (2.6 + h) * np.cos(x / 16 * 2 * np.pi) * np.cos(np.clip(y / 3.4, 0, 1) * PI / 2) ** 0.7,
            (2.9 + h) * np.sin(x / 16 * 2 * np.pi) * np.cos(np.clip(y / 3.4, 0, 1) * PI / 2) ** 0.7,
            11.3 + y * 0.75,
        ),
        2,
    )
    wood = Panel(2, 2, 40)
    planks(rng, wood, 0.2, (0.5, 0.42, 0.34))
    w.limb((0, -1.5, 12.4), (0, -3.6, 12.2), 0.25, 0.3, wood.albedo, 12)
    for k in range(4):
        a = 0.42 + k * PI / 2
        u, v = np.array([math.cos(a), 0, math.sin(a)]), np.array([-math.sin(a), 0, math.cos(a)])
        hub = np.array([0, -3.45, 12.2])
        w.limb(hub, hub + 8.6 * u, 0.17, 0.1, wood.albedo)
        for j in range(16):
            at = hub + u * (1.4 + 0.46 * j)
            w.limb(at - 0.35 * v, at + 1.55 * v, 0.04, 0.04, wood.albedo, 5)
        for off in (-0.35, 0.6, 1.55):
            w.limb(hub + 1.3 * u + off * v, hub + 8.4 * u + off * v, 0.045, 0.045, wood.albedo, 5)
        if k % 2:
            o = hub + 1.4 * u + 0.05 * v + np.array([0, 0.06, 0])
            sail = np.stack([o, o + 5.5 * u, o + 5.5 * u + 1.4 * v, o + 1.4 * v])
            cloth = (
                linear((0.72, 0.64, 0.52)) * (1 + 0.13 * fbm(rng, (128, 64), 24, 6))[..., None]
            ).astype(np.float32)
            w.mesh(
                sail,
                np.array([[0, 1, 2], [0, 2, 3]]),
                np.array([[0, 0], [0, 1], [0.99, 1], [0.99, 0]]),
                cloth,
            )
    f = Front(
        9,
        0,
        3,
        3.4,
        3,
        0.4,
        Win("segment", surround=None, shutters=(0.26, 0.4, 0.3)),
        (0.9, 1.3),
        (0.7, 0.66, 0.6),
        door=1,
        quoin=False,
        carve=0,
    )
    house(w, rng, f, 4.4, -0.5, fill, 46, 6, (0.56, 0.34, 0.26), 3)
    for x in np.arange(-13, -3.2, 1.6):  # a plank fence
        w.box((x - 0.07, -5.1, 0), (x + 0.07, -4.95, 1.2), wood.albedo)
        for z in (0.4, 0.8, 1.05):
            w.box((x, -5.15, z), (x + 1.6, -5.1, z + 0.13), wood.albedo * rng.uniform(0.8, 1.2))
    ground(w, rng, "grass", -12, 40)
    blades(w, rng, 0, -10, 32, 18, 20000)
    hills(w, rng, 190, 9)
    return Place(
        w,
        tour(
            (0.5, -1, 7.6),
            21,
            60,
            rng,
            ("noon", "evening", "overcast", "autumn", "snow"),
            (-6, 19, -21, 9, -13),
            portrait=2,
        ),
        [(-13, 6, 7, "broad"), (17, 9, 9, "broad"), (-22, 25, 10, "broad")],
    )
