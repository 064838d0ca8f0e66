"""Windows, rose windows, gables and doors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import spatial

from gallery.ornaments import ornament
from gallery.panel import Array, Color, Panel, Rng, fbm, linear, smooth


def shape_distance(
    kind: str, gx: Array, gy: Array, cx: float, y0: float, w: float, h: float
) -> Array:
    """Signed distance (negative inside) to an opening standing on `y0` and centred on `cx`."""
    dx = np.abs(gx - cx)
    half = w / 2
    if kind == "round":
        return (np.hypot(gx - cx, gy - y0 - h / 2) - half).astype(np.float32)
    below = np.maximum(dx - half, y0 - gy)
    if kind == "arch":
        spring = y0 + h - half
        top = np.hypot(gx - cx, gy - spring) - half
    elif kind == "pointed":
        spring = y0 + h - 1.2 * w
        radius = 1.22 * w  # Two arcs centred beyond the opposite jamb meet in a point.
        top = np.hypot(dx + (radius - half), gy - spring) - radius
        top = np.maximum(top, dx - half)
    elif kind == "segment":
        spring = y0 + h - 0.18 * w
        radius = 0.18 * w / 2 + half * half / (2 * 0.18 * w)
        top = np.hypot(gx - cx, gy - (y0 + h - radius)) - radius
    else:
        return np.maximum(below, gy - y0 - h).astype(np.float32)
    return np.where(gy > spring, np.maximum(top, dx - half), below).astype(np.float32)


def cut(p: Panel, kind: str, cx: float, y0: float, w: float, h: float, depth: float) -> None:
    """Cut an opening right through, with reveals `depth` deep."""
    _, gx, gy = p.area(0, 0, p.w, p.h)
    sd = shape_distance(kind, gx, gy, cx, y0, w, h)
    p.height[sd < 0] = -depth
    p.hole[sd < -2.5 / p.ppm] = 1


@dataclass
class Win:
    """How windows of a building look."""

    kind: str = "rect"
    frame: Color = (0.85, 0.83, 0.78)
    surround: Color | None = (0.75, 0.7, 0.62)
    border: float = 0.14
    panes: tuple[int, int] = (2, 3)
    recess: float = 0.22
    sill: bool = True
    head: str = ""
    shutters: Color | None = None
    bars: float = 0.045
    lit: float = 0.5
    stained: bool = False


def pane_colors(rng: Rng, shape: tuple[int, int], ppm: float, stained: bool) -> Array:
    """Glass that mirrors bits of sky and darkness, different in each window."""
    if stained:
        pts = rng.uniform(0, 1, (60, 2)) * np.array(shape)
        grid = np.stack(list(np.mgrid[0 : shape[0], 0 : shape[1]]), -1).reshape(-1, 2)
        dist, idx = spatial.cKDTree(pts).query(grid, k=2)
        palette = linear((1, 1, 1)) * (
            rng.uniform(0.02, 0.1, (60, 1)) + rng.uniform(0, 0.05, (60, 3))
        ).astype(np.float32)
        lead = smooth(0.5, 2.0, (dist[:, 1] - dist[:, 0]).astype(np.float32))
        return (palette[idx[:, 0]] * lead[:, None]).reshape(*shape, 3).astype(np.float32)
    mirror = smooth(-0.3, 1.0, fbm(rng, shape, 0.7 * ppm, 4) + rng.uniform(-1, 0.8))[..., None]
    dark = np.float32(rng.uniform(0.01, 0.035)) * np.array([0.9, 1, 1.1], np.float32)
    sky = linear((0.45, 0.52, 0.6)) * np.float32(rng.uniform(0.35, 1.0))
    return (dark + mirror * sky).astype(np.float32)


def window(rng: Rng, p: Panel, cx: float, y0: float, w: float, h: float, s: Win) -> None:
    """Cut a window: surround, sill, head, recess, frame, panes, curtains, shutters, stains."""
    rim = s.border + 0.05
    where, gx, gy = p.area(cx - w / 2 - rim, y0 - rim, cx + w / 2 + rim, y0 + h + rim)
    sd = shape_distance(s.kind, gx, gy, cx, y0, w, h)
    aa = 0.7 / p.ppm
    if s.surround is not None:
        tone = linear(s.surround) * np.float32(rng.uniform(0.85, 1.1))
        p.paint(where, smooth(s.border + aa, s.border - aa, sd), tone, 0.07, shade=0.9)
        p.paint(where, smooth(s.border * 0.45 + aa, s.border * 0.45 - aa, sd), None, 0.1)
        # Voussoirs or jamb stones: joints across the surround.
        ang = np.arctan2(gy - (y0 + h - w / 2), gx - cx)
        joint = np.where(
            gy > y0 + h - w / 2,
            np.abs((ang * 3.2) % 1 - 0.5) * 0.3,
            np.abs((gy / 0.42) % 1 - 0.5) * 0.42,
        )
        dark = (
            smooth(0.022, 0.006, joint.astype(np.float32))
            * smooth(s.border, s.border - 0.02, sd)
            * (sd > 0)
        )
        p.albedo[where] *= 1 - 0.45 * dark[..., None]
    inside = smooth(aa, -aa, sd)
    p.paint(where, inside, linear(s.frame) * np.float32(rng.uniform(0.85, 1.05)), -s.recess)
    # Panes between the bars.
    nx, ny = s.panes
    fx = ((gx - cx) / w + 0.5) * nx
    fy = (gy - y0) / h * ny
    bx = np.abs(fx - np.round(fx)) * w / nx
    by = np.abs(fy - np.round(fy)) * h / ny
    gap = np.minimum(np.minimum(bx, by) - s.bars / 2, -sd - s.bars * 1.3)
    glass = smooth(0, 1.4 * aa, gap.astype(np.float32))
    color = pane_colors(rng, gx.shape, p.ppm, s.stained)
    tilt = rng.uniform(0.75, 1.25, (ny + 2, nx + 2)).astype(np.float32)
    color = color * tilt[np.clip(fy.astype(int), 0, ny), np.clip(fx.astype(int), 0, nx)][..., None]
    draw = rng.random()
    if not s.stained and draw < 0.7:
        cloth = (
            linear(rng.uniform(0.55, 0.9) * np.array([1, 0.97, 0.92]) + rng.uniform(-0.06, 0.06, 3))
            * 0.55
        )
        fold = 1 + 0.3 * np.sin(gx * rng.uniform(25, 45) + 2 * np.sin(gy * 2))
        if draw < 0.35:  # two curtains drawn aside
            part = np.abs(gx - cx) > w * rng.uniform(0.15, 0.38) * (0.7 + 0.3 * (gy - y0) / h)
        elif draw < 0.55:  # a blind let down part of the way
            part = gy > y0 + h * rng.uniform(0.3, 0.85)
            fold = 1 + 0.25 * np.sign(np.sin(gy * 70))
        else:  # a lace half-curtain
            part = gy < y0 + h * rng.uniform(0.3, 0.55)
        m = (part * 0.75)[..., None].astype(np.float32)
        color = color * (1 - m) + m * cloth * fold[..., None].astype(np.float32)
    p.paint(where, glass * inside, color, -s.recess - 0.04)
    if rng.random() < s.lit:
        warm = linear(rng.uniform([0.9, 0.6, 0.28], [1.0, 0.8, 0.5]))
        level = 0.45 + 0.4 * (gy - y0) / h + 0.2 * color.mean(-1) / 0.2
        lit = np.clip(level, 0, 1)[..., None] * warm * (glass * inside)[..., None]
        if s.stained:
            lit = lit * (color / (color.max() + 1e-3))
        p.glow[where] = np.maximum(p.glow[where], np.clip(lit, 0, 1))
    if s.sill:
        tone = linear(s.surround or s.frame)
        p.box(cx - w / 2 - s.border - 0.05, y0 - 0.14, cx + w / 2 + s.border + 0.05, y0, 0.17, tone)
        below, _, dy = p.area(cx - w / 2 - 0.2, y0 - 1.1, cx + w / 2 + 0.2, y0 - 0.14)
        run = smooth(0.2, 1.6, fbm(rng, dy.shape, 0.14 * p.ppm, 3, stretch=10))
        p.albedo[below] *= 1 - 0.4 * (run * np.clip(1 - (y0 - dy), 0, 1))[..., None]
    tone = linear(s.surround or s.frame)
    top = y0 + h + s.border
    if s.head == "cornice":
        p.box(cx - w / 2 - 0.25, top + 0.08, cx + w / 2 + 0.25, top + 0.2, 0.24, tone)
        p.box(cx - w / 2 - 0.2, top, cx + w / 2 + 0.2, top + 0.08, 0.14, tone)
    elif s.head in ("gable", "bow"):
        pediment(rng, p, cx, top, w + 0.6, 0.42 if s.head == "bow" else 0.5, tone, s.head == "bow")
    elif s.head == "key":
        p.box(cx - 0.13, y0 + h - 0.03, cx + 0.13, top + 0.14, 0.17, tone)
    if s.shutters is not None:
        tone = linear(s.shutters)
        for side in (-1, 1):
            if rng.random() < 0.08:
                continue
            x = cx + side * (w * 0.75 + s.border + 0.02)
            p.box(
                x - w / 4,
                y0,
                x + w / 4,
                y0 + h,
                0.07,
                tone * np.float32(rng.uniform(0.8, 1.2)),
                shade=0.6,
            )
            slats, _, sy = p.area(x - w / 4 + 0.05, y0 + 0.05, x + w / 4 - 0.05, y0 + h - 0.05)
            p.albedo[slats] *= (0.72 + 0.28 * np.sign(np.sin(sy * 62)))[..., None]


def pediment(
    rng: Rng, p: Panel, cx: float, y0: float, w: float, h: float, tone: Array, bow: bool
) -> None:
    """A small triangular or bowed gable with a carved boss."""
    where, gx, gy = p.area(cx - w / 2, y0, cx + w / 2, y0 + h)
    t = np.abs(gx - cx) / (w / 2)
    line = y0 + h * ((1 - t * t) if bow else (1 - t))
    sd = np.maximum(gy - line, y0 - gy).astype(np.float32)
    p.paint(where, smooth(0.02, -0.01, sd), tone, 0.22, shade=0.9)
    p.paint(where, smooth(-0.07, -0.1, sd), None, 0.1)
    boss = ornament(rng, 90, 60)
    p.stamp(boss, cx - w * 0.2, y0 + h * 0.15, w * 0.4, h * 0.5, tone * 1.05, 0.09)


def rose_window(
    rng: Rng, p: Panel, cx: float, cy: float, r: float, petals: int, stone: Color
) -> None:
    """A traceried round window with stained glass."""
    where, gx, gy = p.area(cx - 1.3 * r, cy - 1.3 * r, cx + 1.3 * r, cy + 1.3 * r)
    rr = np.hypot(gx - cx, gy - cy).astype(np.float32) / r
    th = np.arctan2(gy - cy, gx - cx)
    p.paint(where, smooth(1.2, 1.17, rr), linear(stone), 0.2, shade=0.9)
    p.paint(where, smooth(1.08, 1.05, rr), None, 0.06)
    p.paint(where, smooth(1.0, 0.98, rr), linear(stone), -0.1, shade=0.8)
    sector = th * petals / (2 * np.pi)
    f = np.abs(sector - np.round(sector)) * 2 * np.pi / petals
    outer = 0.34 * 3.1 / petals * 1.8 - np.hypot(rr * np.sin(f), rr * np.cos(f) - 0.78)
    f2 = np.abs(((sector + 0.5) % 1) - 0.5) * 2 * np.pi / petals
    inner = np.minimum(
        0.46 * np.sin(np.pi * np.clip((rr - 0.22) / 0.42, 0, 1)) * 3 / petals * 1.3
        - rr * np.sin(f2),
        1,
    )
    core = 0.15 - rr
    glass = np.maximum(np.maximum(outer, inner), core).astype(np.float32)
    mask = smooth(0.0, 0.025, glass) * (rr < 0.98)
    color = np.zeros((*gx.shape, 3), np.float32)
    palette = linear((1, 1, 1)) * (
        rng.uniform(0.02, 0.09, (petals + 1, 3, 1)) + rng.uniform(0, 0.05, (petals + 1, 3, 3))
    ).astype(np.float32)
    ring = np.digitize(rr, [0.2, 0.6]).clip(0, 2)
    color[:] = palette[(np.round(sector).astype(int) % petals), ring]
    color *= (1 + 0.35 * fbm(rng, gx.shape, 0.15 * p.ppm, 3))[..., None]
    p.paint(where, mask.astype(np.float32), np.clip(color, 0.004, 0.6), -0.3)
    p.glow[where] = np.maximum(p.glow[where], np.clip(mask[..., None] * color * 3.5, 0, 1))


def door(
    rng: Rng,
    p: Panel,
    cx: float,
    w: float,
    h: float,
    kind: str,
    tone: Color,
    stone: Color,
    orders: int = 1,
    step: float = 0.16,
) -> None:
    """A portal: stepped archivolts, two wooden leaves with panels, hinges and a threshold."""
    span = w / 2 + orders * step + 0.3
    where, gx, gy = p.area(cx - span, 0, cx + span, h + orders * step + 0.6)
    sd = shape_distance(kind, gx, gy, cx, -0.5, w, h + 0.5)
    ang = np.arctan2(gy - (h - w * 0.6), gx - cx)
    for i in range(orders, 0, -1):
        edge = smooth(i * step + 0.008, i * step - 0.008, sd)
        tone_i = linear(stone) * np.float32(rng.uniform(0.8, 1.15))
        p.paint(where, edge, tone_i, 0.14 - 0.16 * (orders - i), shade=0.9)
        bead = smooth(0.055, 0.02, np.abs(sd - (i - 0.45) * step))
        dots = 0.5 + 0.5 * np.sin(
            np.where(gy > h - w * 0.6, ang * w * rng.integers(8, 16), gy * rng.integers(12, 22))
        )
        p.paint(where, bead * dots.astype(np.float32), None, 0.07, add=True)
    inside = smooth(0.01, -0.01, sd)
    p.paint(where, inside, linear(tone), 0.14 - 0.16 * orders - 0.1)
    board = (np.abs(((gx - cx) / 0.17) % 1 - 0.5) < 0.06) | (np.abs(gx - cx) < 0.02)
    p.albedo[where] *= 1 - 0.55 * (inside * board)[..., None]
    grainy = fbm(rng, gx.shape, 0.05 * p.ppm, 3, stretch=12)
    p.albedo[where] *= 1 + 0.15 * (inside * grainy)[..., None]
    for k in range(2, int(h / 0.8)):
        y = 0.8 * k - 0.7
        band = (np.abs(gy - y) < 0.035) & (np.abs(gx - cx) > 0.06)
        p.paint(where, inside * band, linear((0.12, 0.11, 0.1)), 0.03)
        p.height[where] += inside * band * (-0.2 * orders)
    p.paint(
        where,
        inside * (np.hypot(gx - cx - 0.12, gy - 1.1) < 0.05),
        linear((0.5, 0.4, 0.2)),
        0.06,
        add=True,
    )
