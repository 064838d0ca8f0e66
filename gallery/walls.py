"""What walls, roofs and meadows are made of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gallery.panel import Array, Color, Panel, Rng, fbm, linear, smooth

Fill = Callable[[Rng, Panel], None]


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


def plaster(rng: Rng, p: Panel, tone: Color, peel: float) -> None:
    """Fill a panel with old render: blotches, hairline cracks and patches fallen off to brick."""
    base = Panel(p.w, p.h, p.ppm)
    masonry(rng, base, 0.085, 0.26, (0.6, 0.4, 0.32), (0.62, 0.58, 0.52), vary=0.15)
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


def grass(rng: Rng, p: Panel) -> None:
    """Fill a panel with meadow seen from a distance: clumps, bare spots, dry patches."""
    clump = fbm(rng, p.shape, 0.4 * p.ppm, 5, 0.8)
    dry = smooth(-0.5, 1.8, fbm(rng, p.shape, 4 * p.ppm, 6, 0.6))[..., None]
    p.albedo = (
        linear((0.36, 0.42, 0.2)) * (1 + 0.3 * clump)[..., None] * (1 - dry)
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


def brick_texture(rng: Rng) -> Array:
    """A square of brickwork."""
    p = Panel(1.2, 1.2, 64)
    masonry(rng, p, 0.075, 0.24, (0.52, 0.32, 0.26), (0.6, 0.57, 0.52), 0.15)
    return p.albedo


def stone_texture(rng: Rng, tone: Color, size: float = 2.0, course: float = 0.4) -> Array:
    """A square of dressed stone."""
    p = Panel(size, size, 64)
    masonry(rng, p, course, course * 1.8, tone, tuple(0.65 * c for c in tone), 0.1)
    return p.albedo


FILLS: dict[str, Callable[[Color], Fill]] = {
    "plaster": lambda tone: lambda rng, p: plaster(rng, p, tone, rng.uniform(0.0, 0.9)),
    "ashlar": lambda tone: (
        lambda rng, p: masonry(
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
        lambda rng, p: masonry(rng, p, 0.09, 0.27, tone, (0.66, 0.62, 0.56), 0.17, 0.06, 0.012)
    ),
    "rubble": lambda tone: (
        lambda rng, p: rubble(rng, p, rng.uniform(0.35, 0.55), tone, tuple(0.72 * c for c in tone))
    ),
    "concrete": lambda tone: lambda rng, p: concrete(rng, p, tone),
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
