"""The distractors: other houses, towers, streets, landscapes, rooms and still lifes."""

from __future__ import annotations

import math

import numpy as np

from gallery.buildings import house, random_front, row
from gallery.grounds import blades, ground, hills
from gallery.openings import Win, window
from gallery.ornaments import band, ornament, quoins, stamp_at
from gallery.panel import Array, Panel, Rng, fbm, linear
from gallery.shapes import World, flat
from gallery.towers import cone_roof, pyramid_roof, round_tower
from gallery.view import Place, View, around
from gallery.walls import FILLS, WALLS, masonry, planks, plaster, stone_texture

PI = math.pi


SKIES = ("noon", "evening", "overcast", "morning", "autumn", "noon", "overcast", "snow")


def muted(rng: Rng, low: float = 0.25, high: float = 0.75) -> Array:
    """Draw a colour as paint and cloth have it: of any lightness, but not gaudy."""
    warm = rng.normal(0, 0.07)
    tint = np.array([1 + warm, 1 + 0.2 * warm, 1 - warm]) + rng.normal(0, 0.06, 3)
    return np.clip(rng.uniform(low, high) * tint, 0.05, 0.95)


def random_view(
    rng: Rng,
    aim: tuple[float, float, float],
    dist: float,
    fov: float,
    crowd: int = 2,
) -> View:
    """Draw the photographer's stand, the light and the passers-by at random."""
    kind = str(rng.choice(SKIES))
    season = {"snow": "winter", "autumn": "autumn"}.get(kind, "summer")
    people = []
    for _ in range(int(rng.integers(0, crowd + 1))):
        d = rng.uniform(6, 11)
        people.append((d, rng.uniform(-0.35, 0.35) * d, rng.uniform(0, 6.28), ""))
    return around(
        aim,
        rng.uniform(-26, 26),
        dist * rng.uniform(0.9, 1.15),
        fov,
        kind,
        rng.uniform(20, 60) * rng.choice([-1, 1]),
        season,
        people,
        roll=rng.normal(0, 0.8),
    )


def houses(rng: Rng) -> Place:
    """One to three town houses side by side."""
    w = World()
    x = -9.0
    while x < 8:
        f, fill, tone = random_front(rng, rng.uniform(7, 11), rng.random() < 0.5)
        house(
            w,
            rng,
            f,
            x,
            rng.uniform(-0.3, 0.3),
            fill,
            32,
            8,
            tone,
            rng.uniform(2.5, 4.5),
            0.0,
            x > 4,
        )
        x += f.w
    kind = str(rng.choice(["cobble", "slab", "gravel"]))
    ground(w, rng, kind, -11, 26, tuple(rng.uniform(0.45, 0.6) * np.array([1, 0.97, 0.92])))
    trees = [(x, -3.5, rng.uniform(5, 8), "broad") for x in (-8.0, 9.0) if rng.random() < 0.4]
    return Place(
        w, [random_view(rng, (rng.uniform(-1, 1), 0, rng.uniform(4.5, 5.6)), 15, 60)], trees
    )


def tower(rng: Rng) -> Place:
    """A chapel or keep with a square or round tower."""
    w = World()
    kind, tone = WALLS[int(rng.integers(len(WALLS)))]
    fill = FILLS[kind](tone)
    trim = tuple(rng.uniform(0.6, 0.85) * np.array([1, 0.95, 0.86]))
    shape = str(rng.choice(["arch", "pointed", "rect"]))
    win = Win(shape, surround=trim, border=rng.uniform(0.12, 0.24), panes=(2, 4))
    h = rng.uniform(12, 17)
    side = rng.choice([-1, 1]) * 5.0
    if rng.random() < 0.5:

        def paint(r: Rng, p: Panel) -> None:
            for z in np.arange(3, h - 2, r.uniform(2.6, 3.6)):
                for x in np.arange(1, p.w - 1, r.uniform(2.2, 3.4)):
                    window(r, p, x, z, 0.9, 1.6, win)
                band(p, z + 2.2, 0.25, 0.18, trim)

        round_tower(w, rng, fill, (side, 0, 0), 2.7, h, 38, None, paint)
        cone_roof(w, rng, (side, 0, h - 0.2), 3.1, rng.uniform(3, 7), muted(rng, 0.3, 0.5))
    else:
        for k, (o, a) in enumerate(
            (
                ((side - 2.5, -1, 0), (1, 0, 0)),
                ((side + 2.5, -1, 0), (0, 1, 0)),
                ((side - 2.5, 4, 0), (0, -1, 0)),
            )
        ):
            p = Panel(5, h, 40 if k == 0 else 30)
            fill(rng, p)
            quoins(rng, p, trim, 0, 0.6, h)
            quoins(rng, p, trim, 4.4, 5, h)
            for z in np.arange(3, h - 2.5, 3.4):
                window(rng, p, 2.5, z, rng.uniform(0.9, 1.6), 2.0, win)
                band(p, z + 2.6, 0.3, 0.2, trim, dentil=0.3)
            stamp_at(p, ornament(rng, 120, 60), 2.5, 2.2, 2.5, 0.8, trim)
            w.relief(p, flat(o, a), 2, close=True)
        pyramid_roof(w, rng, (side, 1.5, h), 2.9, rng.uniform(3, 8), muted(rng, 0.3, 0.5))
    f, _, rt = random_front(rng, 10)
    f.win, f.trim, f.floors = win, trim, int(rng.integers(1, 3))
    house(w, rng, f, side - 12.4 if side > 0 else side + 2.4, 0, fill, 38, 9, rt)
    ground(w, rng, str(rng.choice(["cobble", "grass", "gravel"])), -12, 30)
    hills(w, rng, 140, rng.uniform(8, 20))
    trees = [
        (-side * 2.4, 4.0, rng.uniform(6, 10), str(rng.choice(["broad", "fir"]))),
        (-side * 0.5, -4.5, 5.0, "broad"),
    ][: int(rng.integers(0, 3))]
    return Place(w, [random_view(rng, (0, 0, 6.4), 19, 60)], trees)


def street(rng: Rng) -> Place:
    """A street between two rows of houses."""
    w = World()
    width = rng.uniform(3.4, 5.5)
    row(w, rng, 0, 44, -width, 26, PI / 2)
    w2 = World()
    row(w2, rng, 0, 44, 0, 26, PI / 2)
    for p in w2.parts:  # the right-hand row looks left
        p.vertices = p.vertices * np.array([1, -1, 1], np.float32) + np.array(
            [0, 44, 0], np.float32
        )
    # `row` turned by a quarter runs along +y with its fronts towards +x.
    for p in w.parts:
        p.vertices = p.vertices + np.array([0, -2 + width, 0], np.float32)
        p.vertices += np.array([-width, -6, 0], np.float32)
    for p in w2.parts:
        p.vertices = (p.vertices - np.array([0, 44, 0], np.float32)) * np.array(
            [-1, -1, 1], np.float32
        ) + np.array([width, -6, 0], np.float32)
        p.uv = p.uv * np.array([-1, 1], np.float32) + np.array([1, 0], np.float32)
    w.parts += w2.parts
    ground(w, rng, str(rng.choice(["cobble", "slab"])), 4, 30)
    v = random_view(rng, (rng.uniform(-0.6, 0.6), 16, 3.0), 22, 62, 3)
    v.eye = (rng.uniform(-1.5, 1.5), -7.0, 1.65)
    return Place(w, [v], [(0.0, 46.0, 9.0, "broad")])


def landscape(rng: Rng) -> Place:
    """A meadow, a lake or a wood with hills."""
    w = World()
    ground(w, rng, "grass", -8, 44)
    blades(w, rng, 0, -10, 24, 14, 9000)
    hills(
        w,
        rng,
        rng.uniform(70, 120),
        rng.uniform(12, 45),
        tuple(rng.uniform(0.32, 0.44) * np.array([1.0, 1.08, 0.72])),
    )
    hills(w, rng, 260, rng.uniform(50, 110), (0.42, 0.44, 0.42))
    trees = []
    for _ in range(int(rng.integers(4, 9))):
        trees.append(
            (
                rng.uniform(-22, 22),
                rng.uniform(0, 34),
                rng.uniform(5, 12),
                str(rng.choice(["broad", "fir"])),
            )
        )
    if rng.random() < 0.5:
        w.water(200, 3, 80, 0.14, 0.05)
        trees = [(x, y + 80 if y > 2 else y, h * 1.5, k) for x, y, h, k in trees]
    tex = stone_texture(rng, (0.5, 0.48, 0.44), 1.5)
    for _ in range(int(rng.integers(0, 14))):
        x, y, s = rng.uniform(-9, 9), rng.uniform(-9, 1), rng.uniform(0.1, 0.6)
        w.box((x - s, y - s, -0.1), (x + s, y + s, s), tex, rng.uniform(0, 3), 1)
    return Place(w, [random_view(rng, (0, 0, 2.4), 18, 62, 1)], trees)


def interior(rng: Rng) -> Place:
    """A hall: tiled floor, panelled walls with pictures, windows and some furniture."""
    w = World()
    wide, deep, h = rng.uniform(6, 9), rng.uniform(7, 11), rng.uniform(3.6, 5)
    tone = muted(rng, 0.55, 0.85)
    for o, a, width in (
        ((-wide / 2, deep, 0), (1, 0, 0), wide),
        ((-wide / 2, 0, 0), (0, 1, 0), deep),
        ((wide / 2, deep, 0), (0, -1, 0), deep),
    ):
        p = Panel(width, h, 48)
        plaster(rng, p, tone, -1.5)
        motif = ornament(rng, 24, 30)
        big = np.tile(motif, (int(h / 0.5), int(width / 0.4)))
        p.stamp(big, 0, 0, width, h, linear(tone) * rng.uniform(0.6, 1.3), 0.002)
        p.box(0, 0, width, 1.0, 0.05, linear(muted(rng, 0.25, 0.6)), shade=0.3)
        band(p, 1.0, 0.12, 0.07, (0.5, 0.4, 0.3))
        band(p, h - 0.3, 0.3, 0.15, (0.85, 0.82, 0.76), dentil=0.15)
        x = 0.9
        while x < width - 1.2:
            cx, cw, ch = x + 0.6, rng.uniform(0.7, 1.5), rng.uniform(0.7, 1.5)
            z = 1.5
            p.box(
                cx - cw / 2 - 0.09,
                z - 0.09,
                cx + cw / 2 + 0.09,
                z + ch + 0.09,
                0.08,
                linear((0.55, 0.42, 0.2)),
            )
            p.box(cx - cw / 2, z, cx + cw / 2, z + ch, 0.05)
            # A painting: layered clouds of colour.
            where, gx, _ = p.area(cx - cw / 2, z, cx + cw / 2, z + ch)
            pic = np.stack([fbm(rng, gx.shape, 22, 4) for _ in range(3)], -1) * 0.15
            p.albedo[where] = np.clip(linear(muted(rng, 0.3, 0.7)) + pic * 0.4, 0.01, 0.9)
            x += rng.uniform(1.6, 2.6)
        w.relief(p, flat(o, a), 2)
    q = Panel(wide, deep, 40)
    c = rng.uniform(0.4, 0.8)
    masonry(rng, q, c, c, muted(rng, 0.4, 0.7), (0.3, 0.28, 0.26), 0.12, 0.03, 0.003)
    _, gx, gy = q.area(0, 0, wide, deep)
    check = ((gx // c).astype(int) + (gy // c).astype(int)) % 2
    q.albedo *= (0.5 + 0.6 * check)[..., None]
    w.relief(q, flat((-wide / 2, 0, 0), (1, 0, 0), (0, 1, 0)), 4)
    for k in range(5):  # beams carry no ceiling, so that daylight falls in from above
        y = deep * (k + 0.5) / 5
        w.box(
            (-wide / 2, y - 0.12, h),
            (wide / 2, y + 0.12, h + 0.25),
            stone_texture(rng, (0.4, 0.3, 0.22), 1.0, 0.2),
        )
    wood = Panel(1, 1, 60)
    planks(rng, wood, 0.12, tuple(rng.uniform(0.25, 0.6) * np.array([1, 0.75, 0.5])))
    x, y = rng.uniform(-1, 1), deep * 0.55
    w.box((x - 1, y - 0.5, 0.72), (x + 1, y + 0.5, 0.78), wood.albedo)
    for dx in (-0.9, 0.9):
        for dy in (-0.4, 0.4):
            w.box(
                (x + dx - 0.04, y + dy - 0.04, 0), (x + dx + 0.04, y + dy + 0.04, 0.72), wood.albedo
            )
    vase(w, rng, (x + 0.2, y, 0.78), 0.45)
    vase(w, rng, (x - 0.5, y + 0.1, 0.78), 0.3)
    v = View(
        (rng.uniform(-1.5, 1.5), 0.4, 1.6),
        (rng.uniform(-0.6, 0.6), deep, 1.7),
        70,
        str(rng.choice(["overcast", "noon"])),
        rng.uniform(20, 60) * rng.choice([-1, 1]),
    )
    return Place(w, [v])


def vase(w: World, rng: Rng, at: tuple[float, float, float], h: float) -> None:
    """A glazed pot with painted bands."""
    t = np.linspace(0, 1, 18)
    r = h * (
        0.16
        + 0.2 * np.sin(PI * t ** rng.uniform(0.6, 1.4))
        + 0.04 * np.sin(9 * t + rng.uniform(0, 6))
    )
    tex = np.ones((160, 320, 3), np.float32) * linear(muted(rng, 0.3, 0.85))
    for _ in range(4):
        y0 = int(rng.integers(5, 140))
        orn = np.tile(ornament(rng, 40, 18), (1, 8))
        n = min(18, 160 - y0)
        m = orn[:n, :, None]
        tex[y0 : y0 + n] = tex[y0 : y0 + n] * (1 - m) + m * linear(muted(rng, 0.1, 0.85))
    tex *= (1 + 0.08 * fbm(rng, (160, 320), 40, 6))[..., None]
    w.lathe(
        at, [(0.0, 0.0), *((float(a), float(b)) for a, b in zip(r, t * h, strict=True))], tex, 48
    )


def still_life(rng: Rng) -> Place:
    """Pots, books and boxes on a table before a wall."""
    w = World()
    table = Panel(3, 1.6, 160)
    planks(rng, table, 0.18, tuple(rng.uniform(0.3, 0.65) * np.array([1, 0.8, 0.6])))
    w.relief(table, flat((-1.5, -0.8, 0), (1, 0, 0), (0, 1, 0)), 4, 0.2)
    back = Panel(6, 3, 60)
    kind, tone = WALLS[int(rng.integers(len(WALLS)))]
    FILLS[kind](tone)(rng, back)
    w.relief(back, flat((-3, 0.9, -1), (1, 0, 0)), 3)
    x = -0.9
    while x < 0.9:
        draw = rng.random()
        y = rng.uniform(-0.3, 0.4)
        if draw < 0.55:
            hgt = rng.uniform(0.2, 0.55)
            vase(w, rng, (x, y, 0), hgt)
            if rng.random() < 0.5:
                c = rng.standard_normal((160, 3)) * [0.1, 0.1, 0.09] + [x, y, hgt + 0.12]
                w.leaves(
                    rng,
                    c.astype(np.float32),
                    0.04,
                    [
                        (0.3, 0.42, 0.2),
                        tuple(rng.uniform(0.3, 0.9, 3)),
                        tuple(rng.uniform(0.3, 0.9, 3)),
                    ],
                )
            x += 0.3
        else:
            z = 0.0
            for _ in range(int(rng.integers(2, 6))):
                s, t = rng.uniform(0.1, 0.16), rng.uniform(0.025, 0.06)
                cover = (
                    linear(muted(rng, 0.12, 0.7))
                    * (1 + 0.15 * fbm(rng, (48, 48), 14, 4))[..., None]
                ).astype(np.float32)
                cover[20:26, 6:40] = linear(muted(rng, 0.6, 0.9))
                w.box(
                    (x - s, y - 0.12, z),
                    (x + s, y + 0.12, z + t),
                    cover,
                    rng.uniform(-0.3, 0.3),
                    0.3,
                )
                z += t
            x += 0.42
    v = View(
        (rng.uniform(-0.6, 0.6), -2.4, 1.0),
        (0, 0.1, 0.25),
        42,
        str(rng.choice(["overcast", "morning", "noon"])),
        rng.uniform(25, 65) * rng.choice([-1, 1]),
    )
    return Place(w, [v])


# How many of each kind, dealt out in turns.
SHARES = {houses: 20, tower: 9, landscape: 10, interior: 10, still_life: 8, street: 3}


ORDER = [
    kind
    for i in range(20)
    for kind, count in SHARES.items()
    if count * (i + 1) // 20 > count * i // 20
]
