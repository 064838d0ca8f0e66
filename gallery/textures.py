"""Procedural surfaces: noise, masonry, windows, ornaments and lettering on relief panels.

Everything is painted on a :class:`Panel`, a sheet measured in metres that carries a reflectance,
a height (which the renderer turns into real geometry) and a glow for lit windows after dark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage, spatial

# Pixels, heights and coordinates; 32-bit floats where it matters for speed.
Array = npt.NDArray[Any]
Rng = np.random.Generator
Color = Sequence[float] | npt.NDArray[Any]
FONTS = "/usr/share/fonts/truetype/dejavu/"


def linear(color: Color) -> Array:
    """Turn a display (sRGB) colour into a linear reflectance."""
    return np.asarray(color, np.float32) ** 2.2


def fbm(
    rng: Rng,
    shape: tuple[int, int],
    cell: float,
    octaves: int = 5,
    gain: float = 0.55,
    stretch: float = 1.0,
) -> Array:
    """Fractal noise of unit standard deviation.

    Parameters
    ----------
    rng
        Random source.
    shape
        Rows and columns.
    cell
        Size in pixels of the coarsest bumps.
    octaves
        Number of halvings of the bump size.
    gain
        Amplitude of an octave relative to the one before.
    stretch
        How much taller than wide the bumps are (for streaks and wood grain).

    Returns
    -------
    Array
        The noise.
    """
    h, w = shape
    out = np.zeros(shape, np.float32)
    amplitude = 1.0
    for octave in range(octaves):
        size = cell / 2**octave
        if size < 1.2:
            break
        grid = rng.standard_normal((int(h / (size * stretch)) + 3, int(w / size) + 3)).astype(
            np.float32
        )
        out += amplitude * np.asarray(
            Image.fromarray(grid).resize((w, h), Image.Resampling.BICUBIC)
        )
        amplitude *= gain
    return (out - out.mean()) / (out.std() + 1e-6)


def smooth(edge0: float, edge1: float, x: Array) -> Array:
    """Smooth step from 0 at `edge0` to 1 at `edge1`."""
    t = np.clip((x - edge0) / (edge1 - edge0), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


@dataclass
class Panel:
    """A sheet of wall in metres, x to the right and y upwards from the lower left corner."""

    w: float
    h: float
    ppm: float
    albedo: Array = field(init=False)
    height: Array = field(init=False)
    glow: Array = field(init=False)
    hole: Array = field(init=False)

    def __post_init__(self) -> None:
        shape = (max(8, round(self.h * self.ppm)), max(8, round(self.w * self.ppm)))
        self.albedo = np.full((*shape, 3), 0.5, np.float32)
        self.height = np.zeros(shape, np.float32)
        self.glow = np.zeros((*shape, 3), np.float32)
        self.hole = np.zeros(shape, np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns in pixels."""
        return self.height.shape[0], self.height.shape[1]

    def window(
        self, x0: float, y0: float, x1: float, y1: float
    ) -> tuple[tuple[slice, slice], Array, Array] | None:
        """Return the pixel slices of a rectangle and the metre coordinates in it."""
        rows, cols = self.shape
        c0, c1 = max(0, int(x0 * self.ppm)), min(cols, math.ceil(x1 * self.ppm))
        r0 = max(0, int(rows - y1 * self.ppm))
        r1 = min(rows, math.ceil(rows - y0 * self.ppm))
        if c1 <= c0 or r1 <= r0:
            return None
        xs = ((np.arange(c0, c1) + 0.5) / self.ppm).astype(np.float32)
        ys = ((rows - np.arange(r0, r1) - 0.5) / self.ppm).astype(np.float32)
        gx, gy = np.meshgrid(xs, ys)
        return (slice(r0, r1), slice(c0, c1)), gx, gy

    def paint(
        self,
        where: tuple[slice, slice],
        mask: Array,
        color: Array | None = None,
        height: float | Array | None = None,
        add: bool = False,
        shade: float = 0.0,
    ) -> None:
        """Blend colour and height into a region through a mask in 0..1."""
        m = mask[..., None]
        if color is not None:
            old = self.albedo[where]
            # Keep some of the stone under the paint, so that no two mouldings look alike.
            lum = old.mean(-1, keepdims=True)
            local = np.clip(lum / (lum.mean() + 1e-4), 0.3, 2.0) ** shade
            self.albedo[where] = old * (1 - m) + color * local * m
        if height is not None:
            old_h = self.height[where]
            self.height[where] = old_h + mask * (height if add else height - old_h)

    def box(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        height: float,
        color: Array | None = None,
        soft: float = 0.02,
        shade: float = 0.8,
        add: bool = False,
    ) -> None:
        """Raise (or sink) a rectangle, with slightly rounded edges."""
        got = self.window(x0 - soft, y0 - soft, x1 + soft, y1 + soft)
        if got is None:
            return
        where, gx, gy = got
        sd = np.maximum(np.maximum(x0 - gx, gx - x1), np.maximum(y0 - gy, gy - y1))
        self.paint(where, smooth(soft, 0, sd), color, height, add, shade)

    def stamp(
        self,
        mask: Array,
        x0: float,
        y0: float,
        w: float,
        h: float,
        color: Array | None = None,
        depth: float = 0.0,
        shade: float = 0.5,
    ) -> None:
        """Stamp a drawn mask, resized to w by h metres, onto the panel."""
        got = self.window(x0, y0, x0 + w, y0 + h)
        if got is None:
            return
        where, gx, gy = got
        rows, cols = mask.shape
        m = ndimage.map_coordinates(
            mask,
            [(1 - (gy - y0) / h) * rows - 0.5, (gx - x0) / w * cols - 0.5],
            order=1,
            mode="constant",
        ).astype(np.float32)
        self.paint(where, m, color, depth, add=True, shade=shade)


# ---------------------------------------------------------------- wall materials


def masonry(
    rng: Rng,
    p: Panel,
    course: float,
    length: float,
    tone: Color,
    mortar: Color,
    vary: float = 0.12,
    hue: float = 0.04,
    relief: float = 0.025,
    joint: float = 0.012,
    warp: float = 0.01,
    grain: float = 0.08,
) -> None:
    """Fill a panel with courses of stone or brick."""
    rows, cols = p.shape
    ys = np.arange(rows, dtype=np.float32)[::-1, None] / p.ppm
    xs = np.arange(cols, dtype=np.float32)[None] / p.ppm
    y = ys + warp * fbm(rng, p.shape, length * p.ppm, 4)
    x = xs + warp * fbm(rng, p.shape, length * p.ppm, 4)
    n = int(p.h / course) + 6
    bounds = np.cumsum(course * (1 + 0.35 * vary * rng.uniform(-2, 2, n))) - 2.5 * course
    row = np.clip(np.searchsorted(bounds, y) - 1, 0, n - 2)
    dy = np.minimum(y - bounds[row], bounds[row + 1] - y)
    m = int(p.w / length) + 8
    jit = rng.uniform(-0.32, 0.32, (n, m)) * min(1.0, vary * 6)
    off = (np.arange(n) % 2 * 0.5 + rng.uniform(-0.1, 0.1, n)) - 3
    k = np.clip(np.floor(x / length - off[row]).astype(int), 1, m - 3)
    pos = x / length - off[row]
    k = np.where(pos < k + jit[row, k], k - 1, np.where(pos >= k + 1 + jit[row, k + 1], k + 1, k))
    k = np.clip(k, 0, m - 2)
    dx = np.minimum(pos - k - jit[row, k], k + 1 + jit[row, k + 1] - pos) * length
    edge = np.minimum(dx, dy)
    light = rng.normal(0, vary, (n, m))[row, k]
    tint = rng.normal(0, hue, (n, m))[row, k]
    deep = rng.normal(0, 0.4, (n, m))[row, k]
    stone = linear(tone) * (1 + light + grain * fbm(rng, p.shape, 0.12 * p.ppm, 4))[..., None]
    stone = stone * (1 + tint[..., None] * np.array([1.0, 0.1, -1.0], np.float32))
    inside = smooth(joint * 0.5, joint * 1.8, edge.astype(np.float32))
    p.albedo = (linear(mortar) * (1 - inside[..., None]) + stone * inside[..., None]).astype(
        np.float32
    )
    p.height = ((inside * (1 + deep) + 0.25 * fbm(rng, p.shape, 0.1 * p.ppm, 3)) * relief).astype(
        np.float32
    )
    weather(rng, p)


def rubble(
    rng: Rng,
    p: Panel,
    size: float,
    tone: Color,
    mortar: Color,
    vary: float = 0.2,
    hue: float = 0.07,
    relief: float = 0.05,
    flat: float = 1.6,
) -> None:
    """Fill a panel with irregular field stones (Voronoi cells, `flat` times wider than tall)."""
    rows, cols = p.shape
    sy = size / flat
    ni, nj = int(p.h / sy) + 8, int(p.w / size) + 8
    count = ni * nj
    jy, jx = rng.uniform(-0.42, 0.42, (2, ni, nj)).astype(np.float32)
    jx += (np.arange(ni)[:, None] % 2 * 0.5).astype(np.float32)
    gy, gx = np.mgrid[rows - 1 : -1 : -1, 0:cols].astype(np.float32) / np.float32(p.ppm)
    gx = gx / size + 0.12 * fbm(rng, p.shape, size * p.ppm * 0.5, 3) + 3
    gy = gy / sy + 0.12 * fbm(rng, p.shape, size * p.ppm * 0.5, 3) + 3
    i0, j0 = gy.astype(np.int32), gx.astype(np.int32)
    first = np.full(p.shape, 9.0, np.float32)
    second = first.copy()
    cell = np.zeros(p.shape, np.int32)
    # Voronoi cells of jittered grid points: only the neighbouring points can be the nearest.
    for di in (-1, 0, 1):
        for dj in (-2, -1, 0, 1):
            i, j = np.clip(i0 + di, 0, ni - 1), np.clip(j0 + dj, 0, nj - 1)
            d = np.hypot(gx - (j + 0.5 + jx[i, j]), gy - (i + 0.5 + jy[i, j]))
            closer = d < first
            second = np.minimum(second, np.where(closer, first, d))
            cell = np.where(closer, i * nj + j, cell)
            first = np.minimum(first, d)
    edge = (second - first) * size
    light = rng.normal(0, vary, count)[cell]
    tint = rng.normal(0, hue, count)[cell]
    stone = linear(tone) * (1 + light + 0.1 * fbm(rng, p.shape, 0.15 * p.ppm, 4))[..., None]
    stone = stone * (1 + tint[..., None] * np.array([1.0, 0.1, -1.0], np.float32))
    inside = smooth(0.04 * size, 0.22 * size, edge)
    p.albedo = np.clip(
        linear(mortar) * (1 - inside[..., None]) + stone * inside[..., None], 0.01, 0.95
    ).astype(np.float32)
    dome = np.sqrt(np.clip(edge / size, 0, 0.5))
    p.height = ((dome + 0.1 * fbm(rng, p.shape, 0.1 * p.ppm, 3)) * relief * 1.6).astype(np.float32)
    weather(rng, p)


def plaster(
    rng: Rng, p: Panel, tone: Color, peel: float = 0.5, under: Color = (0.6, 0.4, 0.32)
) -> None:
    """Fill a panel with old render: blotches, hairline cracks and patches fallen off to brick."""
    base = Panel(p.w, p.h, p.ppm)
    masonry(rng, base, 0.085, 0.26, under, (0.62, 0.58, 0.52), vary=0.15)
    blot = fbm(rng, p.shape, 1.3 * p.ppm, 7, 0.7)
    fine = fbm(rng, p.shape, 0.08 * p.ppm, 3)
    crack = np.abs(fbm(rng, p.shape, 2.2 * p.ppm, 6, 0.6))
    coat = linear(tone) * (1 + 0.09 * blot + 0.04 * fine)[..., None]
    coat = (
        coat
        * (1 - 0.45 * smooth(0.02, 0.0, crack) * smooth(0.2, 0.9, fbm(rng, p.shape, 3 * p.ppm, 3)))[
            ..., None
        ]
    )
    gx = fbm(rng, p.shape, 1.6 * p.ppm, 7, 0.62)
    gone = smooth(2.6 - peel, 2.68 - peel, gx)
    p.albedo = (coat * (1 - gone[..., None]) + base.albedo * gone[..., None]).astype(np.float32)
    p.height = ((1 - gone) * (0.035 + 0.004 * blot) + gone * base.height).astype(np.float32)
    weather(rng, p)


def concrete(rng: Rng, p: Panel, tone: Color, slab: float = 2.5) -> None:
    """Fill a panel with cast concrete: slabs, tie holes, water marks."""
    masonry(
        rng,
        p,
        slab * 0.6,
        slab,
        tone,
        tuple(0.6 * c for c in tone),
        vary=0.05,
        hue=0.01,
        relief=0.006,
        joint=0.02,
        warp=0.002,
        grain=0.05,
    )
    p.albedo *= (1 + 0.1 * fbm(rng, p.shape, 0.8 * p.ppm, 6, 0.7))[..., None]


def planks(rng: Rng, p: Panel, width: float, tone: Color) -> None:
    """Fill a panel with upright boards."""
    q = Panel(p.h, p.w, p.ppm)
    masonry(
        rng,
        q,
        width,
        2.8,
        tone,
        tuple(0.35 * c for c in tone),
        vary=0.12,
        hue=0.03,
        relief=0.02,
        joint=0.01,
        warp=0.003,
    )
    p.albedo = np.ascontiguousarray(q.albedo.transpose(1, 0, 2))
    p.height = np.ascontiguousarray(q.height.T)
    p.albedo *= (1 + 0.18 * fbm(rng, p.shape, 0.04 * p.ppm, 3, stretch=14))[..., None]


def tiles(rng: Rng, p: Panel, tone: Color, size: float = 0.28, moss: float = 0.4) -> None:
    """Fill a panel with overlapping roof tiles."""
    rows, cols = p.shape
    y = np.arange(rows, dtype=np.float32)[::-1, None] / p.ppm / size
    x = np.arange(cols, dtype=np.float32)[None] / p.ppm / (0.75 * size)
    x = x + 0.05 * fbm(rng, p.shape, 0.5 * p.ppm, 3)
    y = y + 0.04 * fbm(rng, p.shape, 0.4 * p.ppm, 3)
    r = np.floor(y).astype(int)
    sx = x + 0.5 * (r % 2)
    c = np.floor(sx).astype(int)
    n, m = r.max() + 2, c.max() + 2
    light = rng.normal(0, 0.17, (n, m))[r, c]
    tint = rng.normal(0, 0.05, (n, m))[r, c]
    fx, fy = sx - c, y - r
    shape = smooth(0.0, 0.1, fy - 0.22 * (2 * fx - 1) ** 2) * smooth(
        0, 0.08, np.minimum(fx, 1 - fx)
    )
    shade = (0.55 + 0.45 * shape) * (1 + light)
    p.albedo = (
        linear(tone) * shade[..., None] * (1 + tint[..., None] * np.array([1, 0.2, -0.8]))
    ).astype(np.float32)
    green = smooth(1.3 - moss, 2.4 - moss, fbm(rng, p.shape, 1.2 * p.ppm, 6, 0.7))[..., None]
    p.albedo = p.albedo * (1 - 0.7 * green) + 0.7 * green * linear((0.36, 0.38, 0.22)) * shade[
        ..., None
    ].astype(np.float32)
    p.height = (0.05 * (1 - fy) * shape + 0.03 * np.sin(np.pi * fx)).astype(np.float32)


def grass(rng: Rng, p: Panel, tone: Color = (0.36, 0.42, 0.2)) -> None:
    """Fill a panel with meadow seen from a distance: clumps, bare spots, dry patches."""
    clump = fbm(rng, p.shape, 0.4 * p.ppm, 5, 0.8)
    dry = smooth(-0.5, 1.8, fbm(rng, p.shape, 4 * p.ppm, 6, 0.6))[..., None]
    p.albedo = (
        linear(tone) * (1 + 0.3 * clump)[..., None] * (1 - dry)
        + dry * linear((0.5, 0.46, 0.3)) * (1 + 0.25 * clump)[..., None]
    )
    p.albedo = np.clip(p.albedo, 0.01, 0.9).astype(np.float32)
    p.height = (0.05 * clump).astype(np.float32)


def weather(rng: Rng, p: Panel, amount: float = 1.0) -> None:
    """Add stains, run-off streaks, soot and a damp, dirty foot to a wall."""
    stain = fbm(rng, p.shape, 1.6 * p.ppm, 7, 0.68)
    streak = fbm(rng, p.shape, 0.25 * p.ppm, 4, stretch=9)
    up = np.arange(p.shape[0], dtype=np.float32)[::-1, None] / p.ppm
    foot = np.exp(-up / 0.6) * (0.7 + 0.3 * stain)
    dark = 1 + amount * (0.10 * stain - 0.09 * smooth(0.4, 2.2, streak) - 0.3 * foot)
    p.albedo = np.clip(p.albedo * dark[..., None], 0.008, 0.92).astype(np.float32)


# ---------------------------------------------------------------- drawn details


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
        grid = np.stack(np.mgrid[0 : shape[0], 0 : shape[1]], -1).reshape(-1, 2)
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
    got = p.window(cx - w / 2 - rim, y0 - rim, cx + w / 2 + rim, y0 + h + rim)
    if got is None:
        return
    where, gx, gy = got
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
        drip = p.window(cx - w / 2 - 0.2, y0 - 1.1, cx + w / 2 + 0.2, y0 - 0.14)
        if drip is not None:
            below, dx, dy = drip
            run = smooth(0.2, 1.6, fbm(rng, dx.shape, 0.14 * p.ppm, 3, stretch=10))
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
            at = p.window(x - w / 4 + 0.05, y0 + 0.05, x + w / 4 - 0.05, y0 + h - 0.05)
            if at is not None:
                p.albedo[at[0]] *= (0.72 + 0.28 * np.sign(np.sin(at[2] * 62)))[..., None]


def pediment(
    rng: Rng, p: Panel, cx: float, y0: float, w: float, h: float, tone: Array, bow: bool = False
) -> None:
    """A small triangular or bowed gable with a carved boss."""
    got = p.window(cx - w / 2, y0, cx + w / 2, y0 + h)
    if got is None:
        return
    where, gx, gy = got
    t = np.abs(gx - cx) / (w / 2)
    line = y0 + h * ((1 - t * t) if bow else (1 - t))
    sd = np.maximum(gy - line, y0 - gy).astype(np.float32)
    p.paint(where, smooth(0.02, -0.01, sd), tone, 0.22, shade=0.9)
    p.paint(where, smooth(-0.07, -0.1, sd), None, 0.1)
    boss = ornament(rng, 90, 60)
    p.stamp(boss, cx - w * 0.2, y0 + h * 0.15, w * 0.4, h * 0.5, tone * 1.05, 0.09)


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


def text_mask(text: str, font: str, px: int = 120) -> Array:
    """Lettering as a mask in 0..1, cropped to its ink."""
    f = ImageFont.truetype(FONTS + font + ".ttf", px)
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
        got = p.window(cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
        if got is not None:
            p.glow[got[0]] = np.maximum(p.glow[got[0]], np.clip(p.albedo[got[0]] * glow, 0, 1))


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
    got = p.window(cx - 1.4 * r, cy - 1.4 * r, cx + 1.4 * r, cy + 1.4 * r)
    if got is None:
        return
    where, gx, gy = got
    rr = np.hypot(gx - cx, gy - cy).astype(np.float32)
    p.paint(where, smooth(1.22 * r, 1.18 * r, rr), linear((0.66, 0.6, 0.5)), 0.16, shade=0.9)
    p.paint(where, smooth(1.06 * r, 1.03 * r, rr), linear((0.5, 0.4, 0.22)), 0.2, shade=0.5)
    dial = smooth(1.0 * r, 0.98 * r, rr)
    p.paint(
        where, dial, linear(face) * (1 + 0.05 * fbm(rng, gx.shape, 0.4 * p.ppm))[..., None], 0.06
    )
    p.glow[where] = np.maximum(p.glow[where], dial[..., None] * linear((0.95, 0.85, 0.6)))
    p.stamp(np.asarray(img, np.float32) / 255, cx - r, cy - r, 2 * r, 2 * r, linear(ink), 0.02)
    got2 = p.window(cx - r, cy - r, cx + r, cy + r)
    if got2 is not None and np.mean(face) > np.mean(ink):
        p.glow[got2[0]] *= smooth(0.02, 0.2, p.albedo[got2[0]].mean(-1))[..., None]


def rose_window(
    rng: Rng, p: Panel, cx: float, cy: float, r: float, petals: int, stone: Color
) -> None:
    """A traceried round window with stained glass."""
    got = p.window(cx - 1.3 * r, cy - 1.3 * r, cx + 1.3 * r, cy + 1.3 * r)
    if got is None:
        return
    where, gx, gy = got
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
    got = p.window(cx - span, 0, cx + span, h + orders * step + 0.6)
    if got is None:
        return
    where, gx, gy = got
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
        p.paint(where, inside * band, linear((0.12, 0.11, 0.1)), 0.03, add=False)
        p.height[where] += inside * band * (-0.2 * orders)
    p.paint(
        where,
        inside * (np.hypot(gx - cx - 0.12, gy - 1.1) < 0.05),
        linear((0.5, 0.4, 0.2)),
        0.06,
        add=True,
    )


def band(
    p: Panel,
    y: float,
    h: float,
    out: float,
    tone: Color,
    x0: float = 0.0,
    x1: float | None = None,
    dentil: float = 0.0,
) -> None:
    """A string course or cornice across the wall, optionally with dentils below."""
    end = p.w if x1 is None else x1
    p.box(x0 - 0.1, y, end + 0.1, y + h, out, linear(tone), shade=0.9)
    p.box(x0 - 0.1, y + 0.65 * h, end + 0.1, y + h, out * 1.5, linear(tone), shade=0.9)
    if dentil:
        x = x0 + dentil
        while x < end:
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


def cut(p: Panel, distance: Callable[[Array, Array], Array], depth: float = 0.5) -> None:
    """Cut an opening right through, with reveals `depth` deep."""
    got = p.window(0, 0, p.w, p.h)
    assert got is not None
    _, gx, gy = got
    sd = distance(gx, gy).astype(np.float32)
    inside = sd < 0
    p.height[inside] = -depth
    p.hole[sd < -2.5 / p.ppm] = 1


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
