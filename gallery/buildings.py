"""Building blocks of the scenes: fronts, roofs, grounds, backgrounds, and the view of a place."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from gallery import textures as tx
from gallery.shapes import Part, World, cylinder, flat
from gallery.textures import Array, Color, Panel, Rng, Win, fbm, linear

Fill = Callable[[Rng, Panel], None]


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
    door_tone: Color = (0.3, 0.2, 0.13)
    shop: str = ""
    shop_tone: Color = (0.2, 0.3, 0.25)
    quoin: bool = True
    carve: float = 0.5
    dentil: float = 0.3

    @property
    def h(self) -> float:
        """Height of the wall."""
        return self.ground + self.floors * self.floor + self.top


def front(rng: Rng, f: Front, ppm: float, fill: Fill) -> Panel:
    """Paint a house front."""
    p = Panel(f.w, f.h, ppm)
    fill(rng, p)
    if f.quoin:
        tx.quoins(rng, p, f.trim, 0, 0.7, f.h)
        tx.quoins(rng, p, f.trim, f.w - 0.7, f.w, f.h)
    tx.band(p, f.ground - 0.35, 0.3, 0.16, f.trim)
    pitch = f.w / (f.cols + 0.4)
    w, h = f.size
    for level in range(f.floors):
        base = f.ground + level * f.floor + (f.floor - h) * 0.42
        style = Win(**{**f.win.__dict__, "head": f.heads[level % len(f.heads)]})
        for col in range(f.cols):
            cx = pitch * (col + 0.7) + rng.normal(0, 0.01)
            tx.window(rng, p, cx, base, w, h, style)
            if rng.random() < f.carve:
                orn = tx.ornament(rng, 130, 60)
                room = f.floor - h - 0.75
                if room > 0.3:
                    tx.stamp_at(p, orn, cx, base - 0.2 - room / 2, w * 1.1, room, f.trim)
        if level and rng.random() < 0.6:
            tx.band(p, f.ground + level * f.floor - 0.1, 0.16, 0.1, f.trim)
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
                tx.door(
                    rng, p, cx, 1.5, min(f.ground - 0.8, 2.9), f.door_kind, f.door_tone, f.trim, 2
                )
            else:
                style = Win(**{**f.win.__dict__, "head": "key"})
                tx.window(rng, p, cx, 1.1, w * 1.05, min(f.ground - 1.9, h), style)
    tx.band(p, f.h - 0.55, 0.5, 0.38, f.trim, dentil=f.dentil)
    return p


def shop(rng: Rng, p: Panel, x0: float, x1: float, h: float, name: str, tone: Color) -> None:
    """A wooden shop front: sign, display window with goods, glazed door."""
    p.box(x0, 0, x1, h, 0.12, linear(tone), shade=0.3)
    pale = tuple(
        float(c) for c in np.clip(np.array((0.9, 0.85, 0.7)) * rng.uniform(0.8, 1.1), 0, 1)
    )
    tx.sign(
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
        tx.window(rng, p, (a + b) / 2, y, (b - a) - 0.25, h - 0.85 - y, style)
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
    tx.tiles(rng, p, tone, size)
    world.relief(p, flat((x0, y, z), (1, 0, 0), (0, depth, rise)), 2)
    world.relief(p, flat((x1, y + 2 * depth, z), (-1, 0, 0), (0, -depth, rise)), 6)


def wall_texture(rng: Rng, fill: Fill, size: float = 4.0, ppm: float = 40) -> Array:
    """A square of plain wall, for boxes and sides."""
    p = Panel(size, size, ppm)
    p_foot = p
    fill(rng, p_foot)
    return p.albedo


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
    step: int = 2,
    chimney: bool = True,
) -> Panel:
    """Put up a house whose front starts at (x, y) and runs along the direction `turn`."""
    p = front(rng, f, ppm, fill)
    a = (math.cos(turn), math.sin(turn), 0.0)
    b = (-a[1], a[0], 0.0)
    world.relief(p, flat((x, y, 0), a), step, close=True)
    if sides:
        q = Panel(depth, f.h, max(20, ppm * 0.6))
        fill(rng, q)
        win = Win(**{**f.win.__dict__, "head": ""})
        for level in range(f.floors):
            for i in range(int(depth // 3)):
                if rng.random() < 0.8:
                    tx.window(
                        rng,
                        q,
                        1.7 + 3 * i,
                        f.ground + level * f.floor + 0.7,
                        f.size[0],
                        f.size[1] * 0.9,
                        win,
                    )
        tx.band(q, f.h - 0.55, 0.5, 0.38, f.trim)
        right = (x + f.w * a[0], y + f.w * a[1], 0)
        world.relief(q, flat(right, b), 2, close=True)
        left = (x + depth * b[0], y + depth * b[1], 0)
        world.relief(q, flat(left, (-b[0], -b[1], 0)), 2, close=True)
    slope = math.hypot(depth / 2, rise)
    t = Panel(f.w + 0.8, slope + 0.5, 26)
    tx.tiles(rng, t, roof_tone, 0.32)
    o = np.array([x, y, f.h]) - 0.4 * np.array(a) - 0.45 * np.array(b) - [0, 0, 0.25]
    up = np.array(b) * depth / 2 + np.array([0, 0, rise])
    world.relief(t, flat(o, a, up), 2)
    o2 = o + np.array(a) * (f.w + 0.8) + np.array(b) * (depth + 0.9)
    world.relief(
        t, flat(o2, (-a[0], -a[1], 0), -np.array(b) * depth / 2 + np.array([0, 0, rise])), 5
    )
    tex = wall_texture(rng, fill, 3.0, 24)
    for side in (0.0, f.w):  # gable triangles
        c = np.array([x, y, f.h - 0.3]) + side * np.array(a)
        v = np.stack([c, c + depth * np.array(b), c + depth / 2 * np.array(b) + [0, 0, rise + 0.2]])
        world.mesh(v, np.array([[0, 1, 2]]), np.array([[0, 0], [1.5, 0], [0.7, 1]]), tex)
    if chimney:
        for _ in range(int(rng.integers(1, 3))):
            u = rng.uniform(0.15, 0.85) * f.w
            c = np.array([x, y, 0]) + u * np.array(a) + rng.uniform(0.3, 0.6) * depth * np.array(b)
            world.box(
                c + [-0.4, -0.35, f.h + rise * 0.4],
                c + [0.4, 0.35, f.h + rise + 1.2],
                brick_texture(rng),
                turn,
                1.2,
            )
    return p


def brick_texture(rng: Rng) -> Array:
    """A square of brickwork."""
    p = Panel(1.2, 1.2, 64)
    tx.masonry(rng, p, 0.075, 0.24, (0.52, 0.32, 0.26), (0.6, 0.57, 0.52), 0.15)
    return p.albedo


def stone_texture(rng: Rng, tone: Color, size: float = 2.0, course: float = 0.4) -> Array:
    """A square of dressed stone."""
    p = Panel(size, size, 64)
    tx.masonry(rng, p, course, course * 1.8, tone, tuple(0.65 * c for c in tone), 0.1)
    return p.albedo


def ground(
    world: World,
    rng: Rng,
    kind: str,
    cx: float = 0.0,
    cy: float = -10.0,
    size: float = 34.0,
    tone: Color = (0.52, 0.5, 0.47),
) -> None:
    """Lay cobbles, slabs, gravel or grass near the place, and plainer ground to the horizon."""
    p = Panel(size, size, 26)
    if kind == "cobble":
        tx.rubble(rng, p, 0.24, tone, tuple(0.6 * c for c in tone), 0.13, 0.03, 0.02, 1.1)
    elif kind == "slab":
        tx.masonry(rng, p, 0.6, 0.95, tone, tuple(0.6 * c for c in tone), 0.1, 0.02, 0.006)
    elif kind == "gravel":
        p.albedo = (linear(tone) * (1 + 0.16 * fbm(rng, p.shape, 60, 7, 0.8))[..., None]).astype(
            np.float32
        )
    else:
        tx.grass(rng, p)
    p.albedo *= (1 + 0.07 * fbm(rng, p.shape, 3 * p.ppm, 5))[..., None]
    world.relief(p, flat((cx - size / 2, cy - size / 2, 0), (1, 0, 0), (0, 1, 0)), 3)
    far = Panel(400, 400, 1.0)
    if kind == "grass":
        tx.grass(rng, far)
    else:
        tx.concrete(rng, far, tone, 6)
    far.height[:] = -0.12
    world.relief(far, flat((cx - 200, cy - 200, 0), (1, 0, 0), (0, 1, 0)), 12, 1)


def blades(
    world: World,
    rng: Rng,
    cx: float,
    cy: float,
    w: float,
    d: float,
    count: int = 9000,
    tones: tuple[Color, ...] = ((0.34, 0.42, 0.18), (0.46, 0.47, 0.24), (0.26, 0.34, 0.15)),
) -> None:
    """Scatter tufts of grass and weeds."""
    count *= 2
    pts = np.column_stack(
        [
            rng.uniform(cx - w / 2, cx + w / 2, count),
            rng.uniform(cy - d / 2, cy + d / 2, count),
            rng.uniform(0.02, 0.12, count),
        ]
    )
    world.leaves(rng, pts.astype(np.float32), 0.1, tones, upright=True)


def ivy(
    world: World,
    rng: Rng,
    x0: float,
    x1: float,
    y: float,
    top: float,
    count: int = 9000,
    autumn: bool = False,
) -> None:
    """Let ivy climb a wall in the plane y (facing -y)."""
    u = rng.uniform(0, 1, count * 3)
    v = rng.uniform(0, 1, count * 3)
    edge = 0.75 + 0.25 * fbm(rng, (1, 256), 60, 5)[0]
    keep = v < np.clip(edge[(u * 255).astype(int)], 0.1, 1.2) * (1 - 0.5 * np.abs(2 * u - 1) ** 2)
    u, v = u[keep][:count], v[keep][:count]
    pts = np.column_stack([x0 + u * (x1 - x0), y - rng.uniform(0.04, 0.3, len(u)), v * top])
    tones = [(0.2, 0.3, 0.13), (0.28, 0.36, 0.16), (0.33, 0.4, 0.2)]
    if autumn:
        tones = [(0.5, 0.2, 0.14), (0.42, 0.26, 0.14), (0.3, 0.34, 0.16)]
    world.leaves(rng, pts.astype(np.float32), 0.09, tones)


FILLS: dict[str, Callable[[Color], Fill]] = {
    "plaster": lambda tone: lambda rng, p: tx.plaster(rng, p, tone, rng.uniform(0.0, 0.9)),
    "ashlar": lambda tone: (
        lambda rng, p: tx.masonry(
            rng,
            p,
            rng.uniform(0.32, 0.45),
            rng.uniform(0.6, 0.9),
            tone,
            tuple(0.68 * c for c in tone),
            0.1,
        )
    ),
    "brick": lambda tone: (
        lambda rng, p: tx.masonry(rng, p, 0.09, 0.27, tone, (0.66, 0.62, 0.56), 0.17, 0.06, 0.012)
    ),
    "rubble": lambda tone: (
        lambda rng, p: tx.rubble(
            rng, p, rng.uniform(0.35, 0.55), tone, tuple(0.72 * c for c in tone)
        )
    ),
    "concrete": lambda tone: lambda rng, p: tx.concrete(rng, p, tone),
}
WALLS: list[tuple[str, Color]] = [
    ("plaster", (0.82, 0.72, 0.52)),
    ("plaster", (0.78, 0.6, 0.5)),
    ("plaster", (0.7, 0.72, 0.66)),
    ("plaster", (0.86, 0.82, 0.74)),
    ("plaster", (0.62, 0.68, 0.72)),
    ("brick", (0.56, 0.33, 0.26)),
    ("brick", (0.64, 0.46, 0.36)),
    ("ashlar", (0.72, 0.66, 0.55)),
    ("ashlar", (0.62, 0.58, 0.53)),
    ("rubble", (0.6, 0.55, 0.48)),
    ("plaster", (0.8, 0.66, 0.42)),
    ("ashlar", (0.7, 0.55, 0.44)),
]


def random_front(rng: Rng, w: float, shops: bool = False) -> tuple[Front, Fill, Color]:
    """Draw a house front at random: style, openings, wall and roof colour."""
    kind, tone = WALLS[rng.integers(len(WALLS))]
    tone = tuple(float(c) for c in np.clip(np.array(tone) * rng.uniform(0.9, 1.1, 3), 0.1, 0.92))
    trim = tuple(
        float(c)
        for c in np.array(
            [(0.8, 0.76, 0.68), (0.66, 0.6, 0.52), (0.86, 0.84, 0.8)][rng.integers(3)]
        )
    )
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
    step: int = 2,
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
            False,
            step,
        )
        at += f.w


def hills(
    world: World, rng: Rng, y: float = 160.0, h: float = 18.0, tone: Color = (0.36, 0.42, 0.26)
) -> None:
    """A wooded ridge on the horizon."""
    p = Panel(700, 120, 1.0)
    n = fbm(rng, p.shape, 160, 7, 0.5)
    p.albedo = (linear(tone) * (1 + 0.25 * fbm(rng, p.shape, 9, 4, 0.8))[..., None]).astype(
        np.float32
    )
    up = np.arange(p.shape[0])[::-1, None] / p.shape[0]
    p.height = ((np.sin(np.pi * up) ** 0.8) * h * (1 + 0.45 * n) - 1).astype(np.float32)
    world.relief(p, flat((-350, y, 0), (1, 0, 0), (0, 1, 0)), 2)


def round_tower(
    world: World,
    rng: Rng,
    fill: Fill,
    center: tuple[float, float, float],
    r: float,
    h: float,
    ppm: float = 40,
    top: float | None = None,
    paint: Callable[[Rng, Panel], None] | None = None,
) -> None:
    """A round (or tapering) tower with whatever `paint` puts on its wall."""
    p = Panel(2 * math.pi * r, h, ppm)
    fill(rng, p)
    if paint is not None:
        paint(rng, p)
    world.relief(p, cylinder(center, r, p.w, top, h, -math.pi / 2 - math.pi), 2)


def cone_roof(
    world: World,
    rng: Rng,
    center: tuple[float, float, float],
    r: float,
    h: float,
    tone: Color,
    ppm: float = 26,
) -> None:
    """A pointed round roof of tiles."""
    p = Panel(2 * math.pi * r, h, ppm)
    tx.tiles(rng, p, tone, 0.3)
    world.relief(p, cylinder(center, r, p.w, 0.02, h), 2)


def pyramid_roof(
    world: World, rng: Rng, center: tuple[float, float, float], half: float, h: float, tone: Color
) -> None:
    """A steep tiled roof over a square tower."""
    p = Panel(2 * half, math.hypot(half, h), 28)
    tx.tiles(rng, p, tone, 0.28)
    for k in range(4):
        c, s = math.cos(k * math.pi / 2), math.sin(k * math.pi / 2)

        def wrap(
            x: Array, y: Array, hh: Array, c: float = c, s: float = s
        ) -> tuple[Array, Array, Array]:
            v = y / p.h
            # A bell-cast foot: flatter at the eaves.
            out = (half + 0.25 * np.exp(-6 * v)) * (1 - v)
            px, py = (x / half - 1) * out, -out - hh * 0.7
            return (
                center[0] + c * px - s * py,
                center[1] + s * px + c * py,
                center[2] + v * h + hh * 0.5,
            )

        world.relief(p, wrap, 2)


@dataclass
class View:
    """One photograph of a place."""

    eye: tuple[float, float, float]
    aim: tuple[float, float, float]
    fov: float
    light: str
    azimuth: float
    season: str = "summer"
    people: list[tuple[float, float, float, str]] = field(default_factory=list)
    blur: float = 0.0
    roll: float = 0.0
    size: tuple[int, int] = (640, 480)


@dataclass
class Place:
    """A scene with what changes between its views kept apart from what stays."""

    world: World
    views: list[View]
    trees: list[tuple[float, float, float, str]] = field(default_factory=list)
    lamps: list[tuple[tuple[float, float, float], float]] = field(default_factory=list)
    # Circles (x, y, radius) where nobody can stand.
    blocked: list[tuple[float, float, float]] = field(default_factory=list)


def around(
    aim: tuple[float, float, float],
    angle: float,
    dist: float,
    fov: float,
    light: str,
    azimuth: float = -45.0,
    season: str = "summer",
    people: list[tuple[float, float, float, str]] | None = None,
    height: float = 1.65,
    blur: float = 0.0,
    roll: float = 0.0,
    size: tuple[int, int] = (640, 480),
) -> View:
    """Build a view from `dist` metres, `angle` degrees to the side of straight on.

    People are given relative to the camera: distance, offset to the right, facing (0: towards the
    camera, pi: away from it) and pose.
    """
    a = math.radians(angle)
    eye = (aim[0] + dist * math.sin(a), aim[1] - dist * math.cos(a), height)
    return View(eye, aim, fov, light, azimuth, season, people or [], blur, roll, size)


def populate(place: Place, view: View, seed: int) -> list[Part]:
    """Return what one view adds to the place: the season's trees and that day's people."""
    world = World()
    for i, (x, y, h, kind) in enumerate(place.trees):
        world.tree(
            np.random.default_rng(1000 + i + int(abs(x) * 10)), (x, y, 0), h, view.season, kind
        )
    rng = np.random.default_rng(seed)
    f = np.array(view.aim[:2]) - np.array(view.eye[:2])
    f /= np.linalg.norm(f)
    side = np.array([f[1], -f[0]])
    base = math.atan2(-f[0], f[1])
    for dist, off, facing, pose in view.people:
        at = np.array(view.eye[:2]) + dist * f + off * side
        for x, y, r in place.blocked:
            away = at - (x, y)
            gap = float(np.linalg.norm(away)) + 1e-6
            if gap < r:
                at = at + away / gap * (r - gap)
        world.person(
            rng, (at[0], at[1], 0), base + facing, pose=pose, detail=0.013 if dist < 4 else 0.024
        )
    return world.parts
