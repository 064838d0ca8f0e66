"""What is drawn on walls: scrolls, lettering, clocks, string courses and corner stones."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from gallery.panel import Array, Color, Panel, Rng, fbm, linear, smooth

FONTS = "/usr/share/fonts/truetype/dejavu/"


def ornament(rng: Rng, w: int, h: int, density: float = 1.0) -> Array:
    """A carved, mirror-symmetrical scroll ornament: a height in 0..1.

    Scrolls, leaves and beads are drawn as strokes and turned into rounded ridges by the distance
    to their edge.
    """
    k = 2
    img = Image.new("L", (w * k, h * k))
    d = ImageDraw.Draw(img)
    size = min(w, h) * k

    def blob(x: float, y: float, r: float) -> None:
        for xx in (x, w * k - x):
            d.ellipse([xx - r, y - r, xx + r, y + r], fill=255)

    for _ in range(int((3 + 5 * (w / h) ** 0.5) * density)):
        x, y = rng.uniform(0.08, 0.5) * w * k, rng.uniform(0.15, 0.85) * h * k
        ang, turn = rng.uniform(0, 6.28), rng.uniform(0.04, 0.16) * rng.choice([-1, 1])
        thick = size * rng.uniform(0.025, 0.05)
        steps = int(rng.uniform(30, 60))
        for i in range(steps):  # a spiral that tightens towards its end
            x += math.cos(ang) * size * 0.017
            y += math.sin(ang) * size * 0.017
            ang += turn * (0.4 + 1.6 * i / steps)
            blob(x, y, thick * (1 - 0.5 * i / steps))
            if i % 9 == 4:
                side = ang + rng.choice([-1, 1]) * 1.1
                for j in range(8):
                    blob(
                        x + math.cos(side) * j * size * 0.014,
                        y + math.sin(side) * j * size * 0.014,
                        thick * (1.1 - 0.11 * j),
                    )
        blob(x, y, thick * 1.4)
    petals = int(rng.integers(5, 10))
    cx, cy, r = w * k / 2, h * k * rng.uniform(0.4, 0.6), size * rng.uniform(0.12, 0.2)
    for i in range(petals):
        a = 6.283 * i / petals + 1.57
        blob(cx + r * math.cos(a), cy + r * math.sin(a), r * 0.42)
    blob(cx, cy, r * 0.4)
    mask = np.asarray(img, np.float32) > 127
    dist = ndimage.distance_transform_edt(mask)
    dome = np.sqrt(np.clip(dist / (size * 0.045), 0, 1))
    return np.asarray(Image.fromarray(dome.astype(np.float32)).resize((w, h)), np.float32)


def stamp_at(
    p: Panel, orn: Array, cx: float, cy: float, w: float, h: float, tone: Color, depth: float = 0.08
) -> None:
    """Stamp an ornament, in the trim's colour, centred on a point."""
    p.box(
        cx - w / 2 - 0.05,
        cy - h / 2 - 0.03,
        cx + w / 2 + 0.05,
        cy + h / 2 + 0.03,
        0.05,
        linear(tone) * 0.85,
        shade=0.8,
    )
    p.stamp(orn, cx - w / 2, cy - h / 2, w, h, linear(tone) * 1.1, depth)


def text_mask(text: str, font: str) -> Array:
    """Lettering as a mask in 0..1, cropped to its ink."""
    f = ImageFont.truetype(FONTS + font + ".ttf", 120)
    x0, y0, x1, y1 = f.getbbox(text)
    img = Image.new("L", (int(x1 - x0) + 8, int(y1 - y0) + 8))
    ImageDraw.Draw(img).text((4 - x0, 4 - y0), text, 255, f)
    return np.asarray(img, np.float32) / 255


def sign(
    rng: Rng,
    p: Panel,
    text: str,
    cx: float,
    cy: float,
    w: float,
    h: float,
    board: Color | None,
    ink: Color,
    font: str = "DejaVuSerif-Bold",
    depth: float = 0.03,
    glow: float = 0.0,
) -> None:
    """A (possibly boarded) sign with raised, slightly worn letters."""
    if board is not None:
        p.box(cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, 0.12, linear(board), shade=0.25)
        p.box(cx - w / 2 + 0.05, cy - h / 2 + 0.05, cx + w / 2 - 0.05, cy + h / 2 - 0.05, 0.09)
    mask = text_mask(text, font)
    tw = min(w * 0.88, h * 0.62 * mask.shape[1] / mask.shape[0])
    th = min(h * 0.62, tw * mask.shape[0] / mask.shape[1])
    worn = smooth(-1.9, -1.2, fbm(rng, (mask.shape[0], mask.shape[1]), 14, 3))
    p.stamp(mask * worn, cx - tw / 2, cy - th / 2, tw, th, linear(ink), depth, shade=0.3)
    if glow:
        where, _, _ = p.area(cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
        p.glow[where] = np.maximum(p.glow[where], np.clip(p.albedo[where] * glow, 0, 1))


def clock_face(
    rng: Rng,
    p: Panel,
    cx: float,
    cy: float,
    r: float,
    face: Color,
    ink: Color,
    time: tuple[int, int],
    roman: bool = True,
) -> None:
    """A clock: stone ring, dial, numerals, minute marks and hands."""
    n = 640
    img = Image.new("L", (n, n))
    d = ImageDraw.Draw(img)
    c = n / 2
    font = ImageFont.truetype(
        FONTS + ("DejaVuSerif-Bold.ttf" if roman else "DejaVuSans-Bold.ttf"), 62
    )
    names = ["XII", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI"]
    for i in range(60):
        a = 6.2832 * i / 60
        r0 = 0.9 if i % 5 else 0.86
        d.line(
            [
                c + c * r0 * math.sin(a),
                c - c * r0 * math.cos(a),
                c + c * 0.95 * math.sin(a),
                c - c * 0.95 * math.cos(a),
            ],
            fill=255,
            width=6 if i % 5 else 14,
        )
    for i in range(12):
        a = 6.2832 * i / 12
        tile = Image.new("L", (190, 100))
        label = names[i] if roman else str(i or 12)
        ImageDraw.Draw(tile).text((95, 50), label, 255, font, anchor="mm")
        tile = tile.rotate(
            -math.degrees(a) if roman else 0, expand=True, resample=Image.Resampling.BICUBIC
        )
        at = (
            int(c + c * 0.7 * math.sin(a) - tile.width / 2),
            int(c - c * 0.7 * math.cos(a) - tile.height / 2),
        )
        img.paste(255, at, tile)
    hour, minute = time
    for a, length, wide in (
        (6.2832 * (hour + minute / 60) / 12, 0.5, 24),
        (6.2832 * minute / 60, 0.78, 15),
    ):
        sx, sy = math.sin(a), -math.cos(a)
        d.polygon(
            [
                (c - 0.12 * c * sx - wide * sy, c - 0.12 * c * sy + wide * sx),
                (c - 0.12 * c * sx + wide * sy, c - 0.12 * c * sy - wide * sx),
                (c + length * c * sx, c + length * c * sy),
            ],
            fill=255,
        )
    d.ellipse([c - 30, c - 30, c + 30, c + 30], fill=255)
    where, gx, gy = p.area(cx - 1.4 * r, cy - 1.4 * r, cx + 1.4 * r, cy + 1.4 * r)
    rr = np.hypot(gx - cx, gy - cy).astype(np.float32)
    p.paint(where, smooth(1.22 * r, 1.18 * r, rr), linear((0.66, 0.6, 0.5)), 0.16, shade=0.9)
    p.paint(where, smooth(1.06 * r, 1.03 * r, rr), linear((0.5, 0.4, 0.22)), 0.2, shade=0.5)
    dial = smooth(1.0 * r, 0.98 * r, rr)
    p.paint(
        where, dial, linear(face) * (1 + 0.05 * fbm(rng, gx.shape, 0.4 * p.ppm))[..., None], 0.06
    )
    p.glow[where] = np.maximum(p.glow[where], dial[..., None] * linear((0.95, 0.85, 0.6)))
    p.stamp(np.asarray(img, np.float32) / 255, cx - r, cy - r, 2 * r, 2 * r, linear(ink), 0.02)
    if np.mean(face) > np.mean(ink):
        where, _, _ = p.area(cx - r, cy - r, cx + r, cy + r)
        p.glow[where] *= smooth(0.02, 0.2, p.albedo[where].mean(-1))[..., None]


def band(p: Panel, y: float, h: float, out: float, tone: Color, dentil: float = 0.0) -> None:
    """A string course or cornice across the wall, optionally with dentils below."""
    p.box(-0.1, y, p.w + 0.1, y + h, out, linear(tone), shade=0.9)
    p.box(-0.1, y + 0.65 * h, p.w + 0.1, y + h, out * 1.5, linear(tone), shade=0.9)
    if dentil:
        x = dentil
        while x < p.w:
            p.box(x, y - 0.8 * dentil, x + dentil * 0.55, y, out * 0.8, linear(tone), shade=0.9)
            x += dentil


def quoins(rng: Rng, p: Panel, tone: Color, x0: float, x1: float, top: float) -> None:
    """Alternating corner stones between two x positions, up to a height."""
    y, i = 0.0, 0
    while y < top:
        h = rng.uniform(0.36, 0.46)
        inset = 0.0 if i % 2 else (x1 - x0) * 0.35
        a, b = (x0, x1 - inset) if x0 < p.w / 2 else (x0 + inset, x1)
        p.box(
            a,
            y + 0.015,
            b,
            min(top, y + h - 0.015),
            0.09,
            linear(tone) * np.float32(rng.uniform(0.8, 1.15)),
            shade=0.8,
        )
        y, i = y + h, i + 1
