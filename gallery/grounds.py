"""What lies round the buildings: ground, grass, ivy, hills."""

from __future__ import annotations

import numpy as np

from gallery.panel import Color, Panel, Rng, fbm, linear
from gallery.shapes import World, flat
from gallery.walls import concrete, grass, masonry, rubble


def ground(
    world: World,
    rng: Rng,
    kind: str,
    cy: float,
    size: float,
    tone: Color = (0.52, 0.5, 0.47),
) -> None:
    """Lay cobbles, slabs, gravel or grass near the place, and plainer ground to the horizon."""
    p = Panel(size, size, 26)
    if kind == "cobble":
        rubble(rng, p, 0.24, tone, tuple(0.6 * c for c in tone), 0.13, 0.03, 0.02, 1.1)
    elif kind == "slab":
        masonry(rng, p, 0.6, 0.95, tone, tuple(0.6 * c for c in tone), 0.1, 0.02, 0.006)
    elif kind == "gravel":
        p.albedo = (linear(tone) * (1 + 0.16 * fbm(rng, p.shape, 60, 7, 0.8))[..., None]).astype(
            np.float32
        )
    else:
        grass(rng, p)
    p.albedo *= (1 + 0.07 * fbm(rng, p.shape, 3 * p.ppm, 5))[..., None]
    world.relief(p, flat((-size / 2, cy - size / 2, 0), (1, 0, 0), (0, 1, 0)), 3)
    far = Panel(400, 400, 1.0)
    if kind == "grass":
        grass(rng, far)
    else:
        concrete(rng, far, tone, 6)
    far.height[:] = -0.12
    world.relief(far, flat((-200, cy - 200, 0), (1, 0, 0), (0, 1, 0)), 12, 1)


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


def ivy(world: World, rng: Rng, x0: float, x1: float, y: float, top: float, count: int) -> None:
    """Let ivy climb a wall in the plane y (facing -y)."""
    u = rng.uniform(0, 1, count * 3)
    v = rng.uniform(0, 1, count * 3)
    edge = 0.75 + 0.25 * fbm(rng, (1, 256), 60, 5)[0]
    keep = v < np.clip(edge[(u * 255).astype(int)], 0.1, 1.2) * (1 - 0.5 * np.abs(2 * u - 1) ** 2)
    u, v = u[keep][:count], v[keep][:count]
    pts = np.column_stack([x0 + u * (x1 - x0), y - rng.uniform(0.04, 0.3, len(u)), v * top])
    tones = [(0.2, 0.3, 0.13), (0.28, 0.36, 0.16), (0.33, 0.4, 0.2)]
    world.leaves(rng, pts.astype(np.float32), 0.09, tones)


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
