"""The places of the gallery, each a function that builds its scene and lists its views."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from gallery import textures as tx
from gallery.buildings import (
    FILLS,
    Front,
    Place,
    View,
    around,
    blades,
    brick_texture,
    cone_roof,
    ground,
    hills,
    house,
    ivy,
    pyramid_roof,
    random_front,
    roof,
    round_tower,
    row,
    stone_texture,
)
from gallery.shapes import World, cylinder, flat
from gallery.textures import Panel, Rng, Win, fbm, linear

PI = math.pi


def cathedral_front(rng: Rng) -> Place:
    """A church front with two towers, a rose window and a deep portal."""
    w = World()
    tone = (0.7, 0.62, 0.5)
    fill = FILLS["ashlar"](tone)
    nave = Panel(11, 19, 56)
    fill(rng, nave)
    tx.rose_window(rng, nave, 5.5, 11.6, 2.5, 12, (0.74, 0.67, 0.55))
    tx.door(rng, nave, 5.5, 3.0, 5.4, "pointed", (0.36, 0.22, 0.14), tone, 4, 0.28)
    win = Win("pointed", (0.6, 0.53, 0.44), (0.74, 0.66, 0.54), 0.2, (2, 4), 0.35, stained=True)
    for x in (1.6, 9.4):
        tx.window(rng, nave, x, 2.6, 1.2, 3.6, win)
        tx.window(rng, nave, x, 9.5, 1.1, 3.6, win)
    for i in range(9):  # a gallery of niches with saints
        x = 0.95 + i * 1.14
        tx.window(
            rng,
            nave,
            x,
            6.9,
            0.74,
            1.5,
            Win("arch", (0.4, 0.36, 0.3), tone, 0.09, (1, 1), 0.3, False, bars=0.0, lit=0),
        )
    tx.band(nave, 6.5, 0.3, 0.2, tone)
    tx.band(nave, 8.6, 0.3, 0.22, tone, dentil=0.4)
    for i in range(6):
        tx.stamp_at(nave, tx.ornament(rng, 160, 80), 1.1 + i * 1.76, 15.4, 1.5, 0.8, tone, 0.12)
    tx.band(nave, 16, 0.4, 0.3, tone, dentil=0.35)
    got = nave.window(0, 16.4, 11, 19)
    if got is not None:  # the gable
        nave.hole[got[0]] = (got[2] - 16.4) > 2.5 * (1 - np.abs(got[1] - 5.5) / 5.5)
    w.relief(nave, flat((-5.5, 0, 0), (1, 0, 0)), 2)
    for i in range(9):
        w.statue(rng, (-5.5 + 0.95 + i * 1.14, -0.1, 6.92), rng.normal(0, 0.2), 1.28, tone)
    for sx in (-1, 1):
        x0 = -5.5 - 5.6 if sx < 0 else 5.5
        for side in range(2):
            t = Panel(5.6, 25 + (sx > 0) * 1.2, 52)
            fill(rng, t)
            for z, hgt in ((2.5, 3.6), (9.2, 4.2), (17, 5.0)):
                tx.window(rng, t, 2.8, z, 1.5 if z < 15 else 2.2, hgt, win)
            for z in (6.8, 8.5, 15.2, 23.4):
                tx.band(t, z, 0.35, 0.25, tone, dentil=0.4)
            for x in (0, 4.9):
                t.box(x, 0, x + 0.7, 23, 0.35, linear(tone) * 0.95)
            tx.stamp_at(t, tx.ornament(rng, 160, 70), 2.8, 7.9, 3.4, 0.9, tone, 0.12)
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
    ground(w, rng, "slab", 0, -14, 40, (0.58, 0.54, 0.48))
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


def tour(
    aim: tuple[float, float, float],
    dist: float,
    fov: float,
    rng: Rng,
    lights: tuple[str, str, str, str, str],
    angles: tuple[float, ...] = (-5, 27, -24, 11, -13),
    scale: tuple[float, ...] = (1.0, 0.95, 0.85, 1.25, 0.8),
    height: float = 1.65,
    portrait: int = -1,
    crowd: bool = True,
) -> list[View]:
    """Five views round a place, each with its own light, season, distance and visitors."""
    seasons = {"snow": "winter", "autumn": "autumn", "evening": "summer"}
    out = []
    for i, (kind, angle, s) in enumerate(zip(lights, angles, scale, strict=True)):
        people: list[tuple[float, float, float, str]] = []
        if i == portrait:
            people = [(2.5, rng.choice([-1, 1]) * 0.75, PI + rng.normal(0, 0.35), "stand")]
        elif crowd:
            for _ in range(int(rng.integers(1, 4))):
                d = rng.uniform(7, 12)
                people.append((d, rng.uniform(-0.36, 0.36) * d, rng.uniform(0, 6.28), ""))
        sun = float(rng.uniform(25, 60) * rng.choice([-1, 1]))
        out.append(
            around(
                aim,
                angle,
                dist * s,
                fov * (1.0 + 0.05 * (i % 3)),
                kind,
                sun,
                seasons.get(kind, "summer"),
                people,
                height,
                3.6 if i == portrait else 0.0,
                float(rng.normal(0, 0.7)),
            )
        )
    return out


def clock_tower(rng: Rng) -> Place:
    """A brick town-hall tower with clocks on its sides, between two wings."""
    w = World()
    fill, trim = FILLS["brick"]((0.58, 0.36, 0.28)), (0.8, 0.75, 0.66)
    win = Win("arch", (0.85, 0.83, 0.8), trim, 0.16, (2, 3))
    for k, (o, a) in enumerate(
        (((-3.2, -1.5, 0), (1, 0, 0)), ((3.2, -1.5, 0), (0, 1, 0)), ((-3.2, 4.9, 0), (0, -1, 0)))
    ):
        t = Panel(6.4, 21, 56 if k == 0 else 44)
        fill(rng, t)
        tx.quoins(rng, t, trim, 0, 0.7, 21)
        tx.quoins(rng, t, trim, 5.7, 6.4, 21)
        if k == 0:
            tx.door(rng, t, 3.2, 2.2, 3.8, "arch", (0.2, 0.3, 0.26), trim, 3, 0.22)
            tx.sign(rng, t, "ANNO 1687", 3.2, 5.15, 3.2, 0.6, (0.7, 0.64, 0.54), (0.2, 0.16, 0.12))
        for x in (1.9, 4.5):
            tx.window(rng, t, x, 6.6, 1.0, 2.2, win)
        tx.window(rng, t, 3.2, 9.9, 1.3, 1.9, Win("round", trim, trim, 0.2, (2, 2), sill=False))
        tx.clock_face(rng, t, 3.2, 14.5, 1.75, (0.92, 0.9, 0.84), (0.08, 0.08, 0.1), (10, 9))
        for x in (1.5, 3.2, 4.9):
            tx.window(rng, t, x, 17.6, 1.0, 2.1, Win("arch", (0.3, 0.24, 0.2), trim, 0.15, (1, 7)))
        for z in (5.6, 9.2, 12.1, 16.9, 20.4):
            tx.band(t, z, 0.35, 0.28, trim, dentil=0.32)
        tx.stamp_at(t, tx.ornament(rng, 170, 60), 3.2, 12.0 - 0.35, 4.6, 0.6, trim, 0.1)
        w.relief(t, flat(o, a), 2, close=True)
    pyramid_roof(w, rng, (0, 1.7, 20.9), 3.7, 6.5, (0.32, 0.42, 0.38))
    w.lathe((0, 1.7, 27), [(0.25, 0), (0.3, 0.4), (0.05, 0.6), (0.05, 2)], brick_texture(rng), 10)
    for sx in (-1, 1):
        f = Front(
            11.5, 2, 5, 4.2, 3.4, 1.2, win, (1.05, 1.9), trim, ("gable", "bow"), -1, carve=0.8
        )
        house(w, rng, f, -3.2 - 11.5 if sx < 0 else 3.2, 0, fill, 44, 9, (0.38, 0.36, 0.38))
    ground(w, rng, "cobble", 0, -13, 36)
    return Place(
        w,
        tour(
            (0, 0, 10.6),
            29,
            58,
            rng,
            ("noon", "evening", "overcast", "snow", "morning"),
            portrait=2,
        ),
        [(-12, -6, 7, "broad"), (13, -7, 8, "broad")],
    )


def courtyard(rng: Rng) -> Place:
    """A palace courtyard with two storeys of arcades on three sides and a well."""
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
            tx.door(rng, p, cx, 1.9, 3.4, "arch", (0.5, 0.42, 0.3), tone, 2, 0.13)
            tx.cut(p, lambda gx, gy, c=cx: tx.shape_distance("arch", gx, gy, c, -1, 1.9, 4.4), 0.7)
            tx.window(
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
            tx.stamp_at(p, tx.ornament(rng, 100, 100), cx, 9.0, 1.0, 0.9, tone, 0.1)
            tx.stamp_at(
                p, tx.ornament(rng, 60, 60), max(0.4, cx - pitch / 2), 3.6, 0.6, 0.6, tone, 0.1
            )
        tx.band(p, 4.5, 0.35, 0.25, tone, dentil=0.3)
        tx.band(p, 10, 0.5, 0.4, tone, dentil=0.3)
        w.relief(p, flat(o, a), 2, close=False)
        q = Panel(width, 5, 30)  # the back wall of the walk behind the arches
        FILLS["plaster"]((0.7, 0.5, 0.4))(rng, q)
        for i in range(n):
            tx.window(rng, q, pitch * (i + 0.5), 1, 1, 2, Win())
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
    ground(w, rng, "slab", 0, -8, 34, (0.62, 0.56, 0.48))
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


def bridge(rng: Rng) -> Place:
    """An old stone bridge of three arches with a chapel, over a river."""
    w = World()
    p = Panel(38, 8.2, 40)
    tx.rubble(rng, p, 0.75, (0.62, 0.56, 0.48), (0.42, 0.38, 0.33), 0.17, 0.05)
    for cx, span in ((7, 8.2), (19, 10), (31, 8.2)):
        got = p.window(cx - span, 0, cx + span, 8)
        assert got is not None
        sd = tx.shape_distance("arch", got[1], got[2], cx, -2.5 + 0.5, span, span / 2 + 2.9)
        ang = np.arctan2(got[2] - 0.9, got[1] - cx) * 12
        tone = (
            linear((0.68, 0.62, 0.53))
            * (
                0.85
                + 0.3
                * np.random.default_rng(int(cx))
                .random(99)
                .astype(np.float32)[(np.floor(ang) % 99).astype(int)]
            )[..., None]
        )
        p.paint(got[0], tx.smooth(0.75, 0.72, sd) * (np.abs(ang % 1 - 0.5) < 0.46), tone, 0.12)
        tx.cut(
            p,
            lambda gx, gy, c=cx, s=span: tx.shape_distance("arch", gx, gy, c, -2, s, s / 2 + 2.9),
            1.5,
        )
    tx.band(p, 7.0, 0.3, 0.25, (0.6, 0.55, 0.47))
    w.relief(p, flat((-19, 0, -0.5), (1, 0, 0)), 2)
    w.relief(p, flat((19, 3.6, -0.5), (-1, 0, 0)), 4)
    for cx, span in ((7, 8.2), (19, 10), (31, 8.2)):  # the vaults
        v = Panel(3.6, math.pi * span / 2, 24)
        tx.rubble(rng, v, 0.6, (0.5, 0.45, 0.39), (0.36, 0.33, 0.3))
        w.relief(
            v,
            lambda x, y, h, c=cx, s=span: (
                (c - 19 + (s / 2 - h) * np.cos(y / s * 2)),
                x,
                0.4 + (s / 2 - h) * np.sin(y / s * 2),
            ),
            2,
        )
    tex = stone_texture(rng, (0.55, 0.5, 0.44), 3.0, 0.5)
    for x in (-6.1, 6.1):  # cutwaters
        v = np.array(
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
        f = np.array([[0, 1, 4], [0, 4, 3], [1, 2, 5], [1, 5, 4], [3, 4, 6], [4, 5, 6]])
        w.mesh(v, f, np.column_stack([v[:, 0] - v[:, 1], v[:, 2]]) / 3, tex)
    for x in np.arange(-18, 18.1, 4):
        w.statue(rng, (x, 0.1, 7.6), rng.normal(0, 0.4), 2.0, (0.5, 0.47, 0.42))
        w.box((x - 0.5, -0.15, 7.2), (x + 0.5, 0.6, 7.75), tex)
    row(w, rng, -44, 40, 30, 20, shops=False)
    f, fill, tone = random_front(rng, 7)
    house(w, rng, f, 17.5, 3, fill, 40, 8, tone)
    round_tower(
        w,
        rng,
        FILLS["rubble"]((0.58, 0.52, 0.44)),
        (-21, 2, -0.5),
        3.2,
        15,
        30,
        paint=lambda r, q: [
            tx.window(r, q, x, z, 0.8, 1.4, Win("arch"))  # type: ignore
            for x in (3, 8, 13, 18)
            for z in (6, 11)
        ],
    )
    cone_roof(w, rng, (-21, 2, 14.4), 3.7, 5, (0.5, 0.3, 0.24))
    v = np.array([[-150, -150, -0.4], [150, -150, -0.4], [150, 150, -0.4], [-150, 150, -0.4]])
    w.mesh(
        v,
        np.array([[0, 1, 2], [0, 2, 3]]),
        np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]]),
        np.full((4, 4, 3), linear((0.2, 0.25, 0.2)), np.float32),
        water=True,
    )
    bank = Panel(90, 14, 14)
    tx.grass(rng, bank)
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


def fountain(rng: Rng) -> Place:
    """A baroque fountain with a statue before a row of town houses."""
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
    ground(w, rng, "cobble", 0, -13, 34, (0.5, 0.49, 0.48))
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


def ruined_arch(rng: Rng) -> Place:
    """The last window wall of an abbey on a meadow."""
    w = World()
    for side, (o, a) in enumerate((((-8, 0, 0), (1, 0, 0)), ((8, 1.3, 0), (-1, 0, 0)))):
        r = np.random.default_rng(77)
        p = Panel(16, 13, 52 if side == 0 else 30)
        tx.rubble(rng, p, 0.5, (0.62, 0.57, 0.48), (0.48, 0.44, 0.38), 0.18)
        got = p.window(0, 0, 16, 13)
        assert got is not None
        gx, gy = got[1], got[2]
        gx = gx if side == 0 else 16 - gx
        for cx, y0, ww, hh in ((8, -1, 4.2, 8.6), (3, 2.2, 1.6, 4.6), (13, 2.6, 1.6, 4.2)):
            sd = tx.shape_distance("pointed", gx, gy, cx, y0, ww, hh)
            for k in (0.7, 0.42, 0.2):
                p.paint(
                    got[0],
                    tx.smooth(k, k - 0.03, sd),
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
    ground(w, rng, "grass", 0, -12, 40)
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


def pagoda(rng: Rng) -> Place:
    """A wooden pagoda of three tiers with swept roofs."""
    w = World()
    z = 1.2
    base = Panel(14, 1.2, 44)
    FILLS["ashlar"]((0.58, 0.56, 0.52))(rng, base)
    for o, a in (((-7, -7, 0), (1, 0, 0)), ((7, -7, 0), (0, 1, 0)), ((-7, 7, 0), (0, -1, 0))):
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
            tx.plaster(rng, p, (0.85, 0.78, 0.66), 0.2)
            n = 5 - tier
            for i in range(n):
                cx = 2 * half * (i + 0.5) / n
                bw = 2 * half / n - 0.5
                if i == n // 2:
                    tx.door(rng, p, cx, bw, h - 0.9, "rect", (0.5, 0.16, 0.1), (0.4, 0.14, 0.1), 1)
                else:
                    tx.window(
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
                orn = tx.ornament(rng, 60, 30)
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
        tx.tiles(r, t, (0.34, 0.37, 0.38), 0.3)
        for k in range(4):
            c, s = math.cos(k * PI / 2), math.sin(k * PI / 2)

            def wrap(
                x: tx.Array,
                y: tx.Array,
                hh: tx.Array,
                e: float = eave,
                inner: float = half - 1,
                z0: float = z + h - 0.25,
                c: float = c,
                s: float = s,
                rise: float = rise,
            ) -> tuple[tx.Array, tx.Array, tx.Array]:
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
    ground(w, rng, "gravel", 0, -14, 40, (0.66, 0.62, 0.54))
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


def mural(rng: Rng, p: Panel, x0: float, y0: float, w: float, h: float) -> None:
    """Paint a street-art wall: a heron among waves, leaves and rings, flaking a little."""
    from PIL import Image, ImageDraw

    k = 90
    img = Image.new("RGB", (int(w * k), int(h * k)), (36, 74, 96))
    d = ImageDraw.Draw(img)
    tones = [
        (226, 170, 72),
        (204, 84, 58),
        (240, 226, 196),
        (60, 128, 128),
        (28, 44, 66),
        (150, 176, 120),
        (120, 60, 82),
    ]
    sx, sy = img.size
    cx, cy = sx * 0.68, sy * 0.3
    for i, r in enumerate(np.linspace(0.42, 0.06, 9) * sx):  # a ringed sun
        d.ellipse([cx - r, cy - r, cx + r, cy + r], fill=tones[i % 3 if i else 5])
    for row_ in range(9):  # waves
        y = sy * (0.62 + 0.045 * row_)
        pts = [
            (x, y + 26 * math.sin(x / (60 + 9 * row_) + row_ * 1.7)) for x in range(0, sx + 9, 8)
        ]
        d.polygon([*pts, (sx, sy), (0, sy)], fill=tones[int(rng.integers(len(tones)))])
    for _ in range(46):  # leaves
        x, y, a = rng.uniform(0, sx), rng.uniform(sy * 0.05, sy), rng.uniform(0, 6.28)
        length = rng.uniform(50, 150)
        c, s = math.cos(a), math.sin(a)
        left = [
            (
                x + c * t * length - s * math.sin(t * PI) * length * 0.2,
                y + s * t * length + c * math.sin(t * PI) * length * 0.2,
            )
            for t in np.linspace(0, 1, 12)
        ]
        right = [
            (
                x + c * t * length + s * math.sin(t * PI) * length * 0.2,
                y + s * t * length - c * math.sin(t * PI) * length * 0.2,
            )
            for t in np.linspace(1, 0, 12)
        ]
        d.polygon(left + right, fill=tones[int(rng.integers(len(tones)))])
        d.line([(x, y), (x + c * length, y + s * length)], fill=tones[4], width=4)
    bx, by = sx * 0.34, sy * 0.52  # the heron
    d.polygon(
        [
            (bx - 190, by + 90),
            (bx - 60, by - 90),
            (bx + 90, by - 70),
            (bx + 150, by + 40),
            (bx + 20, by + 130),
        ],
        fill=(232, 232, 224),
    )
    for i in range(7):
        d.polygon(
            [
                (bx - 200 + 26 * i, by + 100),
                (bx - 120 + 26 * i, by - 40),
                (bx - 60 + 26 * i, by + 60),
            ],
            fill=tones[(3, 4, 5)[i % 3]],
        )
    neck = [(bx + 100, by - 20), (bx + 180, by - 120), (bx + 110, by - 220), (bx + 160, by - 330)]
    d.line(neck, fill=(232, 232, 224), width=46, joint="curve")
    d.ellipse([bx + 118, by - 380, bx + 220, by - 300], fill=(232, 232, 224))
    d.polygon([(bx + 205, by - 360), (bx + 380, by - 318), (bx + 205, by - 322)], fill=tones[0])
    d.ellipse([bx + 165, by - 358, bx + 185, by - 338], fill=(20, 20, 24))
    for dx in (-20, 40):
        d.line(
            [(bx + dx, by + 110), (bx + dx + 12, by + 250), (bx + dx - 10, by + 420)],
            fill=tones[1],
            width=12,
        )
    arr = (np.asarray(img, np.float32) / 255) ** 2.2
    got = p.window(x0, y0, x0 + w, y0 + h)
    assert got is not None
    where, gx, gy = got
    r = np.clip(((1 - (gy - y0) / h) * sy).astype(int), 0, sy - 1)
    c2 = np.clip(((gx - x0) / w * sx).astype(int), 0, sx - 1)
    worn = tx.smooth(-2.3, -1.5, fbm(rng, gx.shape, 0.8 * p.ppm, 6, 0.7))
    p.paint(where, worn * 0.93, arr[r, c2], None, shade=0.9)


def mural_house(rng: Rng) -> Place:
    """A post-war block with balconies and a painted fire wall."""
    w = World()
    fill = FILLS["concrete"]((0.66, 0.64, 0.6))
    p = Panel(9, 14, 56)
    fill(rng, p)
    mural(rng, p, 0.5, 1.0, 8, 12.4)
    w.relief(p, flat((-10, 0, 0), (1, 0, 0)), 2, close=True)
    q = Panel(13, 14, 50)
    fill(rng, q)
    for level in range(4):
        for i in range(4):
            cx, z = 1.7 + 3.2 * i, 1.0 + 3.2 * level
            tx.window(rng, q, cx, z, 2.0, 1.9, Win("rect", (0.8, 0.8, 0.78), None, 0.0, (2, 1)))
            if i % 2 == level % 2:
                x0 = -1 + cx
                b = Panel(2.9, 1.15, 50)
                tx.planks(rng, b, 0.16, rng.uniform(0.35, 0.65) * rng.uniform(0.8, 1.2, 3))
                w.relief(b, flat((x0 - 1.45, -1.25, z - 0.9), (1, 0, 0)), 2)
                w.box(
                    (x0 - 1.45, -1.2, z - 0.95),
                    (x0 + 1.45, 0, z - 0.8),
                    stone_texture(rng, (0.6, 0.6, 0.58)),
                )
                for x in (x0 - 1.45, x0 + 1.4):
                    w.box((x, -1.2, z - 0.9), (x + 0.05, 0, z + 0.2), brick_texture(rng))
                for _ in range(int(rng.integers(0, 4))):
                    c = rng.standard_normal((150, 3)) * 0.16 + [
                        x0 + rng.uniform(-1.2, 1.2),
                        -1.2,
                        z + 0.35,
                    ]
                    w.leaves(
                        rng,
                        c.astype(np.float32),
                        0.06,
                        [(0.25, 0.38, 0.16), tuple(rng.uniform(0.2, 0.8, 3))],
                    )
    tx.sign(
        rng,
        q,
        "KINO ORBIT",
        6.5,
        13.4,
        6,
        0.8,
        (0.2, 0.22, 0.3),
        (0.92, 0.75, 0.3),
        "DejaVuSans-Bold",
        glow=1.0,
    )
    w.relief(q, flat((-1, -0.6, 0), (1, 0, 0)), 2, close=True)
    w.box((-10, 0.1, 0), (-1, 9, 13.95), stone_texture(rng, (0.6, 0.58, 0.55), 3))
    w.box((-1, -0.1, 0), (12, 9, 13.95), stone_texture(rng, (0.6, 0.58, 0.55), 3))
    ground(w, rng, "slab", 0, -13, 36, (0.5, 0.5, 0.49))
    row(w, rng, -34, -11, 3, 20)
    row(w, rng, 13, 34, 3, 20)
    return Place(
        w,
        tour(
            (-1.5, 0, 6.6),
            19,
            60,
            rng,
            ("noon", "evening", "overcast", "autumn", "morning"),
            portrait=4,
        ),
        [(15, -5, 8, "broad"), (-15, -6, 7, "broad")],
    )


def lighthouse(rng: Rng) -> Place:
    """A striped lighthouse with the keeper's cottage above the sea."""
    w = World()
    fill = FILLS["plaster"]((0.88, 0.86, 0.8))

    def paint(r: Rng, p: Panel) -> None:
        for z in (4.2, 10.4):
            got = p.window(0, z, p.w, z + 3.0)
            assert got is not None
            flake = tx.smooth(-1.7, -1.3, fbm(r, got[1].shape, 0.7 * p.ppm, 6, 0.7))
            p.paint(got[0], flake, linear((0.66, 0.18, 0.14)), None, shade=0.9)
        tx.weather(r, p, 1.5)
        for i, z in enumerate((2.6, 6.4, 9.2, 13.0)):
            for x in (0.5, 4.2, 8.6, 12.0):
                tx.window(r, p, x + 0.9 * i, z, 0.75, 1.3, Win("arch", surround=(0.6, 0.58, 0.54)))
        tx.door(r, p, p.w / 4, 1.2, 2.3, "arch", (0.2, 0.32, 0.4), (0.6, 0.58, 0.54), 2)
        tx.sign(
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
        tx.window(
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
    ground(w, rng, "grass", 0, -11, 40)
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


def windmill(rng: Rng) -> Place:
    """A tower mill with lattice sails in the fields."""
    w = World()
    fill = FILLS["brick"]((0.6, 0.44, 0.34))

    def paint(r: Rng, p: Panel) -> None:
        got = p.window(0, 0, p.w, 2.0)
        assert got is not None
        p.paint(
            got[0],
            tx.smooth(-1.2, -0.8, fbm(r, got[1].shape, 40, 6)),
            linear((0.82, 0.8, 0.76)),
            0.02,
            shade=0.8,
        )
        for z in (3.6, 6.4, 9.0):
            for x in (1.6, 4.6, 7.9, 11.4, 15):
                tx.window(
                    r,
                    p,
                    x + 0.5 * z % 2,
                    z,
                    0.85,
                    1.3,
                    Win("segment", surround=(0.8, 0.77, 0.7), shutters=(0.26, 0.4, 0.3)),
                )
        tx.door(r, p, p.w / 4 - 0.4, 1.5, 2.5, "segment", (0.2, 0.36, 0.3), (0.8, 0.76, 0.7), 2)
        tx.sign(r, p, "DE HOOP 1794", p.w / 4, 5.5, 2.6, 0.55, (0.85, 0.82, 0.75), (0.14, 0.2, 0.3))

    round_tower(w, rng, fill, (0, 0, 0), 3.4, 11.5, 52, 2.3, paint)
    cap = Panel(16, 3.4, 40)
    tx.tiles(rng, cap, (0.42, 0.32, 0.24), 0.22, 0.8)
    w.relief(
        cap,
        lambda x, y, h: (
            (2.6 + h) * np.cos(x / 16 * 2 * np.pi) * np.cos(np.clip(y / 3.4, 0, 1) * PI / 2) ** 0.7,
            (2.9 + h) * np.sin(x / 16 * 2 * np.pi) * np.cos(np.clip(y / 3.4, 0, 1) * PI / 2) ** 0.7,
            11.3 + y * 0.75,
        ),
        2,
    )
    wood = tx.Panel(2, 2, 40)
    tx.planks(rng, wood, 0.2, (0.5, 0.42, 0.34))
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
    ground(w, rng, "grass", 0, -12, 40)
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


def timber_house(rng: Rng) -> Place:
    """A half-timbered corner house with a jettied gable and an inn sign."""
    w = World()

    def timber(p: Panel, z0: float, floors: list[float], cols: int, inn: str) -> None:
        wood = linear((0.3, 0.2, 0.14))
        z = z0
        for level, h in enumerate(floors):
            pitch = p.w / cols
            for i in range(cols):
                cx = pitch * (i + 0.5)
                if rng.random() < 0.62:
                    tx.window(
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
                    a = p.window(cx - pitch / 2, z, cx + pitch / 2, z + h)
                    if a is not None:
                        t = (a[1] - cx) / pitch + 0.5
                        v = (a[2] - z) / h
                        bend = 0.12 * np.sin(v * PI) * rng.choice([-1, 0, 1])
                        for target in ((v + bend), (1 - v - bend)):
                            m = tx.smooth(0.075, 0.06, np.abs(t - target).astype(np.float32))
                            p.paint(a[0], m, wood * rng.uniform(0.7, 1.3), 0.09, shade=0.5)
            for i in range(cols + 1):
                x = min(max(pitch * i, 0.12), p.w - 0.12) + rng.normal(0, 0.02)
                p.box(x - 0.13, z, x + 0.13, z + h, 0.1, wood * rng.uniform(0.75, 1.3), shade=0.5)
            for zz in (z, z + 0.85, z + h - 0.2):
                p.box(0, zz - 0.02, p.w, zz + 0.2, 0.12, wood * rng.uniform(0.75, 1.3), shade=0.5)
            if level == 0:
                tx.sign(
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
    got = p.window(0, 0, 9, 3.4)
    assert got is not None
    base = Panel(9, 3.5, 56)
    FILLS["rubble"]((0.62, 0.55, 0.47))(rng, base)
    p.albedo[got[0]], p.height[got[0]] = (
        base.albedo[-got[1].shape[0] :],
        base.height[-got[1].shape[0] :],
    )
    tx.door(rng, p, 2.4, 1.5, 2.6, "arch", (0.34, 0.2, 0.13), (0.66, 0.58, 0.48), 2)
    for x in (5, 7.4):
        tx.window(rng, p, x, 1.0, 1.2, 1.6, Win("segment", surround=(0.66, 0.58, 0.48)))
    timber(p, 3.4, [2.9, 2.7, 2.4], 5, "Zum Goldenen Hirschen")
    got = p.window(0, 7.0, 9, 12.6)
    assert got is not None
    p.hole[got[0]] = (got[2] - 7.4) > 5.1 * (1 - np.abs(got[1] - 4.5) / 4.7)
    w.relief(p, flat((-9, 0, 0), (1, 0, 0)), 2)
    q = Panel(12, 7.6, 50)
    FILLS["plaster"]((0.84, 0.74, 0.56))(rng, q)
    timber(q, 1.2, [3.0, 3.0], 6, "Gasthof · Anno 1592")
    w.relief(q, flat((0, 0, 0), (0, 1, 0)), 2)
    w.relief(q, flat((-9, 12, 0), (0, -1, 0)), 3)
    for sx, a in ((-1, 1), (1, -1)):  # the roof slopes along y, the gable looks at the square
        t = Panel(13.2, 7.3, 30)
        tx.tiles(rng, t, (0.56, 0.33, 0.25), 0.3, 0.6)
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
    ground(w, rng, "cobble", 0, -11, 34, (0.55, 0.51, 0.46))
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


def castle_gate(rng: Rng) -> Place:
    """A castle gate between two round towers with battlements."""
    w = World()
    tone = (0.6, 0.52, 0.43)
    fill = FILLS["rubble"](tone)

    def battlements(p: Panel, z: float) -> None:
        got = p.window(0, z - 1.2, p.w, p.h)
        assert got is not None
        p.hole[got[0]] = (got[2] > z) & ((got[1] / 1.3) % 1 > 0.55)
        x = 0.0
        while x < p.w:
            p.box(x, z - 1.5, x + 0.3, z - 0.9, 0.3, linear(tone))
            x += 0.65
        p.box(0, z - 0.9, p.w, p.h, 0.32, None)

    def slits(r: Rng, p: Panel) -> None:
        for z in (3.2, 7.4):
            for _ in range(6):
                x = r.uniform(0.5, p.w - 0.5)
                p.box(x - 0.32, z - 0.15, x + 0.32, z + 1.6, 0.06, linear((0.68, 0.6, 0.5)))
                p.box(x - 0.09, z, x + 0.09, z + 1.4, -0.35, linear((0.03, 0.03, 0.03)))
        for _ in range(10):
            tx.window(
                r,
                p,
                r.uniform(1, p.w - 1),
                5.2 + r.uniform(-0.3, 0.3),
                0.7,
                1.1,
                Win("arch", (0.3, 0.25, 0.2), (0.68, 0.6, 0.5), 0.14, (1, 2)),
            )
        battlements(p, p.h - 0.9)

    for x, r, h in ((-6.2, 2.9, 13), (6.2, 3.1, 14.2)):
        round_tower(w, rng, fill, (x, 0.8, 0), r, h, 46, None, slits)
    cone_roof(w, rng, (6.2, 0.8, 14), 2.8, 5.5, (0.42, 0.36, 0.34))
    g = Panel(9, 11, 54)
    fill(rng, g)
    tx.door(rng, g, 4.5, 3.2, 4.4, "arch", (0.3, 0.22, 0.16), (0.66, 0.58, 0.48), 3, 0.3)
    tx.stamp_at(g, tx.ornament(rng, 120, 120, 1.6), 4.5, 6.5, 1.7, 1.7, (0.72, 0.64, 0.53), 0.14)
    for x in (1.9, 7.1):
        tx.window(rng, g, x, 6.0, 0.9, 1.7, Win("pointed", surround=(0.7, 0.62, 0.52), border=0.2))
    tx.band(g, 8.4, 0.3, 0.2, (0.64, 0.56, 0.47), dentil=0.4)
    battlements(g, 10.1)
    w.relief(g, flat((-4.5, -0.4, 0), (1, 0, 0)), 2)
    for sx in (-1, 1):
        c = Panel(16, 8, 36)
        fill(rng, c)
        battlements(c, 7.1)
        w.relief(c, flat((-24 if sx < 0 else 8, 1.5, 0), (1, 0, 0)), 2)
    keep = Panel(8, 20, 36)
    fill(rng, keep)
    slits(rng, keep)
    w.relief(keep, flat((-7, 14, 0), (1, 0, 0)), 2)
    w.box((-7, 14.1, 0), (1, 22, 18.8), stone_texture(rng, tone))
    ivy(w, rng, -14, -9.4, 1.4, 6, 9000)
    ground(w, rng, "gravel", 0, -13, 38, (0.62, 0.56, 0.46))
    blades(w, rng, -10, -4, 12, 9, 7000)
    blades(w, rng, 12, -4, 14, 9, 7000)
    return Place(
        w,
        tour(
            (0, 0, 6.6), 22, 60, rng, ("noon", "autumn", "overcast", "evening", "snow"), portrait=1
        ),
        [(-15, -3, 7, "broad"), (15, -2, 8, "fir"), (19, 12, 9, "broad")],
    )


def temple(rng: Rng) -> Place:
    """A weathered temple: fluted columns, an inscription and a carved pediment."""
    w = World()
    tone = (0.8, 0.73, 0.6)
    tex = stone_texture(rng, tone, 3.0, 0.9)
    tex *= (1 + 0.13 * fbm(rng, tex.shape[:2], 60, 7, 0.7))[..., None]
    for i in range(4):
        w.box((-9.2 + 0.45 * i, -3.6 + 0.45 * i, 0), (9.2 - 0.45 * i, 16, 0.35 * (i + 1)), tex)
    for i in range(6):
        x = -6.4 + 2.56 * i
        shaft = stone_texture(rng, tone, 2.4, 1.1)
        shaft = (
            shaft
            * (1 + 0.2 * fbm(rng, shaft.shape[:2], 50, 7, 0.7))[..., None]
            * rng.uniform(0.85, 1.1)
        )
        w.lathe((x, -1.2, 1.4), [(0.72, 0), (0.72, 0.12), (0.6, 0.2)], shaft, 32)
        w.lathe((x, -1.2, 1.55), [(0.58, 0), (0.57, 2), (0.53, 4), (0.47, 5.9)], shaft, flutes=20)
        w.lathe((x, -1.2, 7.4), [(0.47, 0), (0.5, 0.1), (0.75, 0.4), (0.75, 0.5)], shaft, 32)
        w.box((x - 0.8, -2.0, 7.85), (x + 0.8, -0.4, 8.1), tex)
    wall = Panel(14, 7, 40)
    FILLS["ashlar"](tone)(rng, wall)
    tx.door(rng, wall, 7, 2.4, 5.0, "rect", (0.3, 0.26, 0.2), tone, 3, 0.2)
    for x in (3.2, 10.8):
        tx.stamp_at(wall, tx.ornament(rng, 120, 160), x, 4, 2, 2.8, tone, 0.12)
    w.relief(wall, flat((-7, 2.2, 1.3), (1, 0, 0)), 2)
    frieze = Panel(15.6, 2.0, 60)
    FILLS["ashlar"](tone)(rng, frieze)
    tx.sign(
        rng,
        frieze,
        "CONCORDIAE · ET · MEMORIAE",
        7.8,
        0.48,
        13,
        0.72,
        None,
        (0.35, 0.3, 0.24),
        depth=-0.03,
    )
    for i in range(12):
        x = 0.7 + i * 1.29
        tx.stamp_at(frieze, tx.ornament(rng, 90, 70), x, 1.42, 0.85, 0.66, tone, 0.09)
    tx.band(frieze, 1.85, 0.15, 0.3, tone, dentil=0.3)
    w.relief(frieze, flat((-7.8, -1.9, 8.1), (1, 0, 0)), 2)
    ped = Panel(16.4, 3.2, 60)
    FILLS["ashlar"](tone)(rng, ped)
    got = ped.window(0, 0, 16.4, 3.2)
    assert got is not None
    line = 3.15 * (1 - np.abs(got[1] - 8.2) / 8.2)
    ped.paint(
        got[0],
        tx.smooth(0.42, 0.38, (line - got[2]).astype(np.float32)),
        linear(tone),
        0.4,
        shade=0.9,
    )
    for x, s in ((8.2, 2.2), (5.6, 1.6), (10.8, 1.6), (3.5, 1.0), (12.9, 1.0)):
        ped.stamp(tx.ornament(rng, 120, 120, 1.5), x - s * 0.6, 0.15, s * 1.2, s, linear(tone), 0.2)
    ped.hole[got[0]] = got[2] > line
    w.relief(ped, flat((-8.2, -2.1, 10.1), (1, 0, 0)), 2)
    w.box((-7.8, -1.8, 8.1), (7.8, 14, 10.05), tex)
    for sx in (-1, 1):
        t = Panel(16, 8.8, 24)
        tx.tiles(rng, t, (0.62, 0.45, 0.34), 0.5)
        o = (-8.3, 13.8, 10.05) if sx < 0 else (8.3, -2.2, 10.05)
        w.relief(t, flat(o, (0, sx, 0), (-sx * 8.3, 0, 3.2)), 3)
        side = Panel(14, 6.7, 30)
        FILLS["ashlar"](tone)(rng, side)
        w.relief(side, flat((sx * 7, 2.2 if sx > 0 else 15, 1.4), (0, sx, 0)), 3)
    for x, y in ((-8.5, -6.5), (9.2, -7.2), (7.8, -5.6)):  # fallen drums
        w.lathe((x, y, 0), [(0.6, 0), (0.58, 0.8), (0, 0.8)], tex, flutes=18)
    ground(w, rng, "gravel", 0, -14, 40, (0.72, 0.65, 0.53))
    blades(w, rng, 0, -12, 30, 14, 5000, ((0.55, 0.52, 0.3), (0.42, 0.44, 0.24), (0.6, 0.55, 0.36)))
    hills(w, rng, 150, 20, (0.46, 0.46, 0.33))
    return Place(
        w,
        tour(
            (0, -1, 6.2),
            21,
            60,
            rng,
            ("noon", "evening", "overcast", "morning", "autumn"),
            (-6, 27, -26, 11, -14),
            portrait=3,
        ),
        [(-15, 2, 9, "fir"), (16, 5, 10, "fir"), (-20, 10, 7, "broad")],
        [((-4, -6, 1), 14), ((4, -6, 1), 14)],
    )


def market_hall(rng: Rng) -> Place:
    """A brick and iron market hall with a great fan window and striped awnings."""
    w = World()
    fill, trim = FILLS["brick"]((0.66, 0.5, 0.36)), (0.76, 0.74, 0.7)
    p = Panel(20, 13, 52)
    fill(rng, p)
    iron = (0.2, 0.36, 0.33)
    tx.window(
        rng, p, 10, 4.6, 8.4, 5.9, Win("arch", iron, trim, 0.45, (12, 7), 0.35, bars=0.09, lit=1.0)
    )
    tx.sign(
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
        tx.window(rng, p, x, 4.9, 1.3, 3.0, Win("arch", iron, trim, 0.2, (2, 5)))
        tx.stamp_at(p, tx.ornament(rng, 90, 90), x, 9.3, 1.3, 1.3, trim, 0.1)
    for x in (0, 5.1, 14.0, 19.1):
        p.box(x, 0, x + 0.9, 12, 0.3, linear((0.72, 0.68, 0.6)) * 0.9)
        tx.stamp_at(p, tx.ornament(rng, 60, 100), x + 0.45, 11.1, 0.8, 1.3, trim, 0.12)
    for x in (3.1, 10, 16.9):
        tx.door(rng, p, x, 2.6, 3.2, "segment", iron, trim, 2, 0.2)
    for x in (6.8, 13.2):
        tx.window(rng, p, x, 0.9, 1.8, 2.3, Win("segment", iron, trim, 0.2, (3, 3)))
    tx.band(p, 11.9, 0.6, 0.4, trim, dentil=0.4)
    tx.clock_face(rng, p, 10, 11.9, 0.85, (0.15, 0.2, 0.28), (0.9, 0.8, 0.5), (4, 38), False)
    got = p.window(0, 11, 20, 13)
    assert got is not None
    p.hole[got[0]] = (got[2] > 12.5) & (np.abs(got[1] - 10) > 1.6)
    w.relief(p, flat((-10, 0, 0), (1, 0, 0)), 2, close=True)
    side = Panel(24, 9, 34)
    fill(rng, side)
    for i in range(8):
        tx.window(rng, side, 1.6 + 3 * i, 2.6, 1.7, 4.2, Win("arch", iron, trim, 0.2, (3, 6)))
    tx.band(side, 8.4, 0.5, 0.3, trim)
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
        crate = tx.Panel(1, 1, 48)
        tx.planks(rng, crate, 0.12, (0.62, 0.5, 0.36))
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
    ground(w, rng, "cobble", 0, -13, 36, (0.56, 0.52, 0.48))
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


PLACES: dict[str, Callable[[Rng], Place]] = {
    f.__name__: f
    for f in (
        cathedral_front,
        clock_tower,
        courtyard,
        bridge,
        fountain,
        ruined_arch,
        pagoda,
        mural_house,
        lighthouse,
        windmill,
        timber_house,
        castle_gate,
        temple,
        market_hall,
    )
}
