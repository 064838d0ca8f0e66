"""Houses with their fronts, shops and roofs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from gallery.openings import Win, door, window
from gallery.ornaments import band, ornament, quoins, sign, stamp_at
from gallery.panel import Color, Panel, Rng, linear
from gallery.shapes import World, flat
from gallery.walls import FILLS, WALLS, Fill, brick_texture, tiles


@dataclass
class Front:
    """A house front: how many floors and columns of windows, and what decorates them."""

    w: float
    floors: int = 2
    cols: int = 5
    ground: float = 3.8
    floor: float = 3.3
    top: float = 1.0
    win: Win = field(default_factory=Win)
    size: tuple[float, float] = (1.1, 1.8)
    trim: Color = (0.78, 0.73, 0.64)
    heads: tuple[str, ...] = ("",)
    door: int = 2
    door_kind: str = "arch"
    shop: str = ""
    shop_tone: Color = (0.2, 0.3, 0.25)
    quoin: bool = True
    carve: float = 0.5

    @property
    def h(self) -> float:
        """Height of the wall."""
        return self.ground + self.floors * self.floor + self.top


def front(rng: Rng, f: Front, ppm: float, fill: Fill) -> Panel:
    """Paint a house front."""
    p = Panel(f.w, f.h, ppm)
    fill(rng, p)
    if f.quoin:
        quoins(rng, p, f.trim, 0, 0.7, f.h)
        quoins(rng, p, f.trim, f.w - 0.7, f.w, f.h)
    band(p, f.ground - 0.35, 0.3, 0.16, f.trim)
    pitch = f.w / (f.cols + 0.4)
    w, h = f.size
    for level in range(f.floors):
        base = f.ground + level * f.floor + (f.floor - h) * 0.42
        style = Win(**{**f.win.__dict__, "head": f.heads[level % len(f.heads)]})
        for col in range(f.cols):
            cx = pitch * (col + 0.7) + rng.normal(0, 0.01)
            window(rng, p, cx, base, w, h, style)
            if rng.random() < f.carve:
                orn = ornament(rng, 130, 60)
                room = f.floor - h - 0.75
                stamp_at(p, orn, cx, base - 0.2 - room / 2, w * 1.1, room, f.trim)
        if level and rng.random() < 0.6:
            band(p, f.ground + level * f.floor - 0.1, 0.16, 0.1, f.trim)
    if f.shop:
        names = f.shop.split("|")
        span = f.w / len(names)
        for i, name in enumerate(names):
            shop(
                rng,
                p,
                span * i + 0.25,
                span * (i + 1) - 0.25,
                f.ground - 0.4,
                name,
                tuple(np.clip(np.array(f.shop_tone) * rng.uniform(0.7, 1.3, 3), 0.05, 0.9)),
            )
    else:
        for col in range(f.cols):
            cx = pitch * (col + 0.7)
            if col == f.door:
                door(
                    rng,
                    p,
                    cx,
                    1.5,
                    min(f.ground - 0.8, 2.9),
                    f.door_kind,
                    (0.3, 0.2, 0.13),
                    f.trim,
                    2,
                )
            else:
                style = Win(**{**f.win.__dict__, "head": "key"})
                window(rng, p, cx, 1.1, w * 1.05, min(f.ground - 1.9, h), style)
    band(p, f.h - 0.55, 0.5, 0.38, f.trim, dentil=0.3)
    return p


def shop(rng: Rng, p: Panel, x0: float, x1: float, h: float, name: str, tone: Color) -> None:
    """A wooden shop front: sign, display window with goods, glazed door."""
    p.box(x0, 0, x1, h, 0.12, linear(tone), shade=0.3)
    pale = tuple(
        float(c) for c in np.clip(np.array((0.9, 0.85, 0.7)) * rng.uniform(0.8, 1.1), 0, 1)
    )
    sign(
        rng,
        p,
        name,
        (x0 + x1) / 2,
        h - 0.4,
        (x1 - x0) * 0.94,
        0.62,
        tuple(0.75 * c for c in tone),
        pale,
        str(
            rng.choice(
                [
                    "DejaVuSerif-Bold",
                    "DejaVuSans-Bold",
                    "DejaVuSerif-BoldItalic",
                    "DejaVuSansCondensed-Bold",
                ]
            )
        ),
        glow=0.6,
    )
    split = x0 + (x1 - x0) * rng.choice([0.3, 0.7])
    for a, b, sill in ((x0, split, 0.6), (split, x1, 0.6)):
        is_door = (b - a) < (x1 - x0) / 2
        style = Win(
            "rect",
            tone,
            None,
            0.0,
            (1 if is_door else 2, 2 if is_door else 1),
            0.15,
            False,
            bars=0.07,
            lit=1.0,
        )
        y = 0.1 if is_door else sill
        window(rng, p, (a + b) / 2, y, (b - a) - 0.25, h - 0.85 - y, style)
        if not is_door:  # goods behind the glass
            x = a + 0.25
            while x < b - 0.4:
                gw, gh = rng.uniform(0.12, 0.4), rng.uniform(0.2, 0.9)
                p.box(
                    x,
                    y + 0.08,
                    x + gw,
                    y + 0.08 + gh,
                    -0.2,
                    linear(rng.uniform(0.15, 0.85, 3)) * 0.6,
                    shade=0.2,
                )
                x += gw + rng.uniform(0.03, 0.2)


def roof(
    world: World,
    rng: Rng,
    x0: float,
    x1: float,
    y: float,
    z: float,
    depth: float,
    rise: float,
    tone: Color,
    ppm: float = 28,
    size: float = 0.3,
) -> None:
    """A pitched roof whose eaves run along x in front, with its back slope."""
    slope = math.hypot(depth, rise)
    p = Panel(x1 - x0, slope, ppm)
    tiles(rng, p, tone, size)
    world.relief(p, flat((x0, y, z), (1, 0, 0), (0, depth, rise)), 2)
    world.relief(p, flat((x1, y + 2 * depth, z), (-1, 0, 0), (0, -depth, rise)), 6)


def house(
    world: World,
    rng: Rng,
    f: Front,
    x: float,
    y: float,
    fill: Fill,
    ppm: float,
    depth: float = 9.0,
    roof_tone: Color = (0.5, 0.3, 0.24),
    rise: float = 3.4,
    turn: float = 0.0,
    sides: bool = True,
) -> None:
    """Put up a house whose front starts at (x, y) and runs along the direction `turn`."""
    p = front(rng, f, ppm, fill)
    a = (math.cos(turn), math.sin(turn), 0.0)
    b = (-a[1], a[0], 0.0)
    world.relief(p, flat((x, y, 0), a), 2, close=True)
    if sides:
        q = Panel(depth, f.h, max(20, ppm * 0.6))
        fill(rng, q)
        win = Win(**{**f.win.__dict__, "head": ""})
        for level in range(f.floors):
            for i in range(int(depth // 3)):
                if rng.random() < 0.8:
                    window(
                        rng,
                        q,
                        1.7 + 3 * i,
                        f.ground + level * f.floor + 0.7,
                        f.size[0],
                        f.size[1] * 0.9,
                        win,
                    )
        band(q, f.h - 0.55, 0.5, 0.38, f.trim)
        right = (x + f.w * a[0], y + f.w * a[1], 0)
        world.relief(q, flat(right, b), 2, close=True)
        left = (x + depth * b[0], y + depth * b[1], 0)
        world.relief(q, flat(left, (-b[0], -b[1], 0)), 2, close=True)
    slope = math.hypot(depth / 2, rise)
    t = Panel(f.w + 0.8, slope + 0.5, 26)
    tiles(rng, t, roof_tone, 0.32)
    o = np.array([x, y, f.h]) - 0.4 * np.array(a) - 0.45 * np.array(b) - [0, 0, 0.25]
    up = np.array(b) * depth / 2 + np.array([0, 0, rise])
    world.relief(t, flat(o, a, up), 2)
    o2 = o + np.array(a) * (f.w + 0.8) + np.array(b) * (depth + 0.9)
    world.relief(
        t, flat(o2, (-a[0], -a[1], 0), -np.array(b) * depth / 2 + np.array([0, 0, rise])), 5
    )
    plain = Panel(3.0, 3.0, 24)
    fill(rng, plain)
    for side in (0.0, f.w):  # gable triangles
        c = np.array([x, y, f.h - 0.3]) + side * np.array(a)
        v = np.stack([c, c + depth * np.array(b), c + depth / 2 * np.array(b) + [0, 0, rise + 0.2]])
        world.mesh(v, np.array([[0, 1, 2]]), np.array([[0, 0], [1.5, 0], [0.7, 1]]), plain.albedo)
    for _ in range(int(rng.integers(1, 3))):  # chimneys
        u = rng.uniform(0.15, 0.85) * f.w
        c = np.array([x, y, 0]) + u * np.array(a) + rng.uniform(0.3, 0.6) * depth * np.array(b)
        world.box(
            c + [-0.4, -0.35, f.h + rise * 0.4],
            c + [0.4, 0.35, f.h + rise + 1.2],
            brick_texture(rng),
            turn,
            1.2,
        )


def random_front(rng: Rng, w: float, shops: bool = False) -> tuple[Front, Fill, Color]:
    """Draw a house front at random: style, openings, wall and roof colour."""
    kind, tone = WALLS[rng.integers(len(WALLS))]
    tone = tuple(float(c) for c in np.clip(np.array(tone) * rng.uniform(0.9, 1.1, 3), 0.1, 0.92))
    trim = [(0.8, 0.76, 0.68), (0.66, 0.6, 0.52), (0.86, 0.84, 0.8)][rng.integers(3)]
    shutters = None
    if rng.random() < 0.4:
        shutters = [(0.25, 0.36, 0.28), (0.3, 0.4, 0.5), (0.48, 0.24, 0.2), (0.5, 0.45, 0.38)][
            rng.integers(4)
        ]
    win = Win(
        str(rng.choice(["rect", "rect", "arch", "segment"])),
        surround=trim,
        border=rng.uniform(0.1, 0.2),
        panes=(2, int(rng.integers(2, 5))),
        shutters=shutters,
        frame=[(0.88, 0.86, 0.82), (0.3, 0.2, 0.14), (0.25, 0.3, 0.28)][rng.integers(3)],
    )
    heads = ["", "cornice", "gable", "bow", "key"]
    names = [
        "BÄCKEREI",
        "Librairie",
        "APOTHEKE",
        "Hats & Gloves",
        "CAFFÈ",
        "Tailor",
        "OPTICIAN",
        "Blumen",
        "Pâtisserie",
        "ANTIQUES",
        "Wine Cellar",
        "KRAWIEC",
        "Musik",
        "HARDWARE",
        "Ceramics",
        "LANTERNA",
        "Velos",
        "Teahouse",
        "STAMPS",
        "Papier",
    ]
    sign = ""
    if shops:
        sign = "|".join(rng.choice(names, 2 if w > 8 else 1, replace=False))
    cols = max(2, round(w / rng.uniform(1.9, 2.6)))
    f = Front(
        w,
        int(rng.integers(2, 4)),
        cols,
        rng.uniform(3.4, 4.2),
        rng.uniform(2.9, 3.5),
        win=win,
        size=(rng.uniform(0.85, 1.15), rng.uniform(1.5, 1.95)),
        trim=trim,
        heads=tuple(rng.choice(heads, 3)),
        door=int(rng.integers(0, cols)),
        door_kind=str(rng.choice(["arch", "rect", "segment"])),
        shop=sign,
        shop_tone=tuple(rng.uniform(0.12, 0.5, 3)),
        quoin=rng.random() < 0.5,
        carve=rng.choice([0.0, 0.3, 0.9]),
    )
    roof_tone = [(0.5, 0.3, 0.24), (0.4, 0.38, 0.4), (0.55, 0.38, 0.28)][rng.integers(3)]
    return f, FILLS[kind](tone), roof_tone


def row(
    world: World,
    rng: Rng,
    x0: float,
    x1: float,
    y: float,
    ppm: float = 22,
    turn: float = 0.0,
    shops: bool = True,
) -> None:
    """A row of different houses, for streets and backgrounds."""
    a = np.array([math.cos(turn), math.sin(turn)])
    at = 0.0
    while at < x1 - x0:
        f, fill, tone = random_front(rng, rng.uniform(6, 11), shops and rng.random() < 0.7)
        o = np.array([x0, y]) + at * a
        house(
            world,
            rng,
            f,
            float(o[0]),
            float(o[1]),
            fill,
            ppm,
            9,
            tone,
            rng.uniform(2.2, 4.2),
            turn,
            sides=False,
        )
        at += f.w
