"""A post-war block with balconies and a painted fire wall."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from gallery.buildings import row
from gallery.grounds import ground
from gallery.openings import Win, window
from gallery.ornaments import sign
from gallery.panel import Panel, Rng, fbm, smooth
from gallery.shapes import World, flat
from gallery.view import Place, tour
from gallery.walls import FILLS, brick_texture, planks, stone_texture

PI = math.pi


def mural(rng: Rng, p: Panel, x0: float, y0: float, w: float, h: float) -> None:
    """Paint a street-art wall: a heron among waves, leaves and rings, flaking a little."""
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
    where, gx, gy = p.area(x0, y0, x0 + w, y0 + h)
    r = np.clip(((1 - (gy - y0) / h) * sy).astype(int), 0, sy - 1)
    c2 = np.clip(((gx - x0) / w * sx).astype(int), 0, sx - 1)
    worn = smooth(-2.3, -1.5, fbm(rng, gx.shape, 0.8 * p.ppm, 6, 0.7))
    p.paint(where, worn * 0.93, arr[r, c2], None, shade=0.9)


def mural_house(rng: Rng) -> Place:
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
            window(rng, q, cx, z, 2.0, 1.9, Win("rect", (0.8, 0.8, 0.78), None, 0.0, (2, 1)))
            if i % 2 == level % 2:
                x0 = -1 + cx
                b = Panel(2.9, 1.15, 50)
                planks(rng, b, 0.16, rng.uniform(0.35, 0.65) * rng.uniform(0.8, 1.2, 3))
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
    sign(
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
    ground(w, rng, "slab", -13, 36, (0.5, 0.5, 0.49))
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
