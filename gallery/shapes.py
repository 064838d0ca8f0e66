"""Geometry: relief meshes from panels, simple solids and plants, gathered in a world."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gallery.figures import Ints, Vec, figure
from gallery.panel import Array, Color, Panel, Rng, fbm, linear

Wrap = Callable[[Array, Array, Array], tuple[Array, Array, Array]]


@dataclass
class Part:
    """A textured triangle mesh; `water` surfaces mirror the sky."""

    vertices: Array
    faces: Ints
    uv: Array
    albedo: Array
    glow: Array | None = None
    water: bool = False


def grid_faces(rows: int, cols: int, keep: npt.NDArray[np.bool_] | None = None) -> Ints:
    """Triangles of a grid of vertices; `keep` marks the cells that stay."""
    i = np.arange(rows * cols, dtype=np.uint32).reshape(rows, cols)
    a, b, c, d = i[:-1, :-1], i[:-1, 1:], i[1:, :-1], i[1:, 1:]
    if keep is not None:
        a, b, c, d = a[keep], b[keep], c[keep], d[keep]
    tris = [np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)]
    return np.concatenate(tris).astype(np.uint32)


def flat(origin: Vec, across: Vec, up: Vec = (0, 0, 1)) -> Wrap:
    """Map panel coordinates onto a plane; the front looks along `across` x `up`."""
    o, a, u = (np.asarray(v, np.float32) for v in (origin, across, up))
    a, u = a / np.linalg.norm(a), u / np.linalg.norm(u)
    n = np.cross(a, u)

    def wrap(x: Array, y: Array, h: Array) -> tuple[Array, Array, Array]:
        p = o + x[..., None] * a + y[..., None] * u + h[..., None] * n
        return p[..., 0], p[..., 1], p[..., 2]

    return wrap


def cylinder(
    center: Vec,
    radius: float,
    width: float,
    top: float | None = None,
    height: float = 1.0,
    turn: float = 0.0,
) -> Wrap:
    """Map a panel of some width all around a cylinder, or a cone frustum ending in `top`."""
    cx, cy, cz = center
    end = radius if top is None else top

    def wrap(x: Array, y: Array, h: Array) -> tuple[Array, Array, Array]:
        a = x / width * 2 * np.pi + turn
        r = radius + (end - radius) * np.clip(y / height, 0, 1) + h
        return cx + r * np.cos(a), cy + r * np.sin(a), cz + y

    return wrap


@dataclass
class World:
    """All parts of a scene, in metres, z up."""

    parts: list[Part] = field(default_factory=list)

    def mesh(
        self,
        vertices: Array,
        faces: Ints,
        uv: Array,
        albedo: Array,
        glow: Array | None = None,
        water: bool = False,
    ) -> None:
        """Add a mesh with a texture of linear reflectance."""
        self.parts.append(
            Part(
                vertices.astype(np.float32),
                faces.astype(np.uint32),
                uv.astype(np.float32),
                np.clip(albedo, 0.004, 0.92),
                glow,
                water,
            )
        )

    def relief(
        self, p: Panel, wrap: Wrap, step: int = 2, scale: float = 1.0, close: bool = False
    ) -> None:
        """Add a panel as displaced geometry, one vertex every `step` pixels.

        With `close` the left and right borders stay in the plane, so that walls meet at corners.
        """
        rows, cols = p.shape
        r = np.unique(np.append(np.arange(0, rows, step), rows - 1))
        c = np.unique(np.append(np.arange(0, cols, step), cols - 1))
        y = (rows - 1 - r[:, None]) / (rows - 1) * p.h + np.zeros((1, len(c)))
        x = c[None] / (cols - 1) * p.w + np.zeros((len(r), 1))
        h = p.height[np.ix_(r, c)] * scale
        if close:
            h[:, [0, -1]] = 0
        xyz = np.stack(wrap(x.astype(np.float32), y.astype(np.float32), h), -1)
        uv = np.stack([x / p.w, y / p.h], -1)
        hole = p.hole[np.ix_(r, c)] > 0.5
        keep = None
        if hole.any():
            keep = ~(hole[:-1, :-1] | hole[1:, :-1] | hole[:-1, 1:] | hole[1:, 1:])
        glow = p.glow if p.glow.max() > 0 else None
        self.mesh(
            xyz.reshape(-1, 3), grid_faces(len(r), len(c), keep), uv.reshape(-1, 2), p.albedo, glow
        )

    def water(self, x: float, y0: float, y1: float, z: float, tone: Array | float) -> None:
        """Add a sheet of water that reaches from -x to x and from y0 to y1."""
        self.mesh(
            np.array([[-x, y0, z], [x, y0, z], [x, y1, z], [-x, y1, z]]),
            np.array([[0, 1, 2], [0, 2, 3]]),
            np.array([[0, 0], [1, 0], [1, 1], [0, 1]]),
            np.full((4, 4, 3), tone, np.float32),
            water=True,
        )

    def box(self, lo: Vec, hi: Vec, albedo: Array, turn: float = 0.0, scale: float = 2.0) -> None:
        """Add a box (turned about its own centre), its texture repeating every `scale` metres."""
        lo_a, hi_a = np.asarray(lo, float), np.asarray(hi, float)
        v: list[Array] = []
        f: list[list[int]] = []
        t: list[Array] = []
        for axis in range(3):
            i, j = [k for k in range(3) if k != axis]
            for side in (lo_a, hi_a):
                q = np.zeros((4, 3))
                q[:, axis] = side[axis]
                q[:, i] = [lo_a[i], hi_a[i], hi_a[i], lo_a[i]]
                q[:, j] = [lo_a[j], lo_a[j], hi_a[j], hi_a[j]]
                base = 4 * len(v)
                v.append(q)
                f += [[base, base + 1, base + 2], [base, base + 2, base + 3]]
                t.append(q[:, [i, j]] / scale + 0.37 * axis)
        xyz = np.concatenate(v)
        mid = (lo_a + hi_a) / 2
        c, s = math.cos(turn), math.sin(turn)
        d = xyz - mid
        xyz = mid + np.column_stack([c * d[:, 0] - s * d[:, 1], s * d[:, 0] + c * d[:, 1], d[:, 2]])
        self.mesh(xyz, np.array(f), np.concatenate(t), albedo)

    def lathe(
        self,
        center: Vec,
        profile: Sequence[tuple[float, float]],
        albedo: Array,
        sides: int = 48,
        flutes: int = 0,
        repeat: float = 1.0,
    ) -> None:
        """Add a turned solid from (radius, height) pairs, optionally fluted like a column."""
        pr = np.asarray(profile, np.float32)
        n = sides if not flutes else flutes * 6
        a = np.linspace(0, 2 * np.pi, n + 1)
        wave = 1 - (0.07 * np.abs(np.sin(a * flutes / 2)) if flutes else 0 * a)
        x = center[0] + pr[:, :1] * np.cos(a) * wave
        y = center[1] + pr[:, :1] * np.sin(a) * wave
        z = center[2] + pr[:, 1:] + 0 * a
        u = np.broadcast_to(a / (2 * np.pi) * repeat, x.shape)
        length = np.cumsum(np.r_[0, np.hypot(*np.diff(pr, axis=0).T)])
        v = np.broadcast_to((length / max(length[-1], 1e-3))[:, None], x.shape)
        self.mesh(
            np.stack([x, y, z], -1).reshape(-1, 3),
            grid_faces(*x.shape),
            np.stack([u, v], -1).reshape(-1, 2),
            albedo,
        )

    def leaves(
        self,
        rng: Rng,
        points: Array,
        size: float,
        tones: Sequence[Color],
        spread: float = 0.0,
        upright: bool = False,
    ) -> None:
        """Scatter small leaf quads of slightly different greens around points."""
        n = len(points)
        c = points + spread * rng.standard_normal((n, 3))
        a = rng.standard_normal((n, 3))
        a /= np.linalg.norm(a, axis=1, keepdims=True) + 1e-6
        if upright:  # blades of grass rather than leaves
            a = a * 0.35 + np.array([0.0, 0.0, 1.0])
        b = np.cross(a, rng.standard_normal((n, 3)))
        b /= np.linalg.norm(b, axis=1, keepdims=True) + 1e-6
        s = size * rng.uniform(0.6, 1.3, (n, 1))
        wide = 0.1 if upright else 0.55
        v = np.stack([c - a * s, c + b * s * wide, c + a * s, c - b * s * wide], 1).reshape(-1, 3)
        i = 4 * np.arange(n)[:, None]
        f = np.concatenate([i + [0, 1, 2], i + [0, 2, 3]])
        k = 32
        pal = np.stack([linear(tones[j % len(tones)]) * rng.uniform(0.6, 1.35) for j in range(k)])
        uv = np.repeat(np.column_stack([(rng.integers(0, k, n) + 0.5) / k, np.full(n, 0.5)]), 4, 0)
        self.mesh(v, f, uv, np.repeat(pal[None], 2, 0).astype(np.float32))

    def join(self, start: int) -> None:
        """Merge the parts from `start` on, which share one texture, into one."""
        some = self.parts[start:]
        base = np.cumsum([0] + [len(p.vertices) for p in some[:-1]])
        self.parts[start:] = [
            Part(
                np.concatenate([p.vertices for p in some]),
                np.concatenate([p.faces + np.uint32(b) for p, b in zip(some, base, strict=True)]),
                np.concatenate([p.uv for p in some]),
                some[0].albedo,
            )
        ]

    def limb(self, a: Vec, b: Vec, ra: float, rb: float, albedo: Array, sides: int = 8) -> None:
        """Add a tapered rod between two points."""
        p, q = np.asarray(a, float), np.asarray(b, float)
        d = (q - p) / (np.linalg.norm(q - p) + 1e-9)
        u = np.cross(d, [0.31, 0.87, 0.4])
        u /= np.linalg.norm(u)
        w = np.cross(d, u)
        t = np.linspace(0, 2 * np.pi, sides + 1)[:, None]
        ring = np.cos(t) * u + np.sin(t) * w
        v = np.stack([p + ra * ring, q + rb * ring])
        uv = np.stack(np.meshgrid(np.linspace(0, 1, sides + 1), [0.0, 1.0]), -1)
        self.mesh(v.reshape(-1, 3), grid_faces(2, sides + 1), uv.reshape(-1, 2), albedo)

    def tree(self, rng: Rng, at: Vec, height: float, season: str, kind: str) -> None:
        """Add a tree: recursive branches with leaf clusters, or a layered conifer."""
        bark = bark_texture(rng)
        base = np.asarray(at, float)
        if kind == "fir":
            self.limb(base, base + [0, 0, height * 0.97], height * 0.022, 0.02, bark)
            n = int(2600 * min(1.6, height / 8))
            t = rng.uniform(0.1, 1, n) ** 0.8
            tier = (t * 16) % 1
            r = height * 0.24 * (1 - t) * (0.55 + 0.6 * (1 - tier)) * rng.uniform(0.3, 1, n) ** 0.5
            ang = rng.uniform(0, 6.283, n)
            pts = base + np.column_stack([r * np.cos(ang), r * np.sin(ang), t * height - 0.3 * r])
            self.leaves(
                rng, pts, height * 0.022, [(0.2, 0.28, 0.18), (0.24, 0.33, 0.2), (0.16, 0.24, 0.17)]
            )
            return
        tips: list[npt.NDArray[np.float64]] = []

        def grow(
            p: npt.NDArray[np.float64],
            d: npt.NDArray[np.float64],
            length: float,
            r: float,
            level: int,
        ) -> None:
            q = p + d * length
            self.limb(p, q, r, r * 0.62, bark, 7 if level < 2 else 4)
            if level >= 2:
                tips.extend(p + (q - p) * s for s in (0.45, 1.0))
            if level == 4:
                return
            for _ in range(3 if level else 5):
                e = d + rng.standard_normal(3) * (0.55 + 0.06 * level) + [0, 0, 0.12]
                grow(
                    q - d * length * rng.uniform(0, 0.3),
                    e / np.linalg.norm(e),
                    length * rng.uniform(0.55, 0.78),
                    r * 0.52,
                    level + 1,
                )

        d0 = np.array([rng.normal(0, 0.06), rng.normal(0, 0.06), 1.0])
        start = len(self.parts)
        grow(base, d0, height * 0.3, height * 0.028, 0)
        self.join(start)
        tones = {
            "summer": [(0.3, 0.4, 0.16), (0.36, 0.46, 0.2), (0.25, 0.34, 0.15)],
            "autumn": [
                (0.72, 0.45, 0.14),
                (0.75, 0.55, 0.18),
                (0.58, 0.28, 0.13),
                (0.5, 0.46, 0.2),
            ],
        }
        if season != "winter":
            pts = np.asarray(tips)
            per = {"summer": 26, "autumn": 13}[season]
            pts = np.repeat(pts, per, 0)
            self.leaves(rng, pts, height * 0.0105 + 0.02, tones[season], spread=height * 0.042)

    def person(
        self,
        rng: Rng,
        at: Vec,
        facing: float,
        pose: str,
        detail: float,
    ) -> None:
        """Add a clothed person of random build, clothes and pose (see :func:`figure`)."""
        v, f, part, pal = figure(rng, rng.uniform(1.58, 1.86), pose, detail)
        self._figure(v, f, part, pal, at, facing, rng)

    def statue(self, rng: Rng, at: Vec, facing: float, height: float, stone: Color) -> None:
        """Add a robed stone figure."""
        v, f, part, pal = figure(rng, height, "robe", height * 0.015)
        tone = linear(stone)
        pal[:] = tone
        self._figure(v, f, part, pal, at, facing, rng, grime=0.3)

    def _figure(
        self,
        v: Array,
        f: Ints,
        part: Ints,
        pal: Array,
        at: Vec,
        facing: float,
        rng: Rng,
        grime: float = 0.08,
    ) -> None:
        c, s = math.cos(facing), math.sin(facing)
        w = np.column_stack([c * v[:, 0] - s * v[:, 1], s * v[:, 0] + c * v[:, 1], v[:, 2]])
        w = w + np.asarray(at, np.float32)
        noise = fbm(rng, (64, len(pal)), 9, 3)[..., None] * grime
        tex = np.repeat(pal[None] * (1 + noise), 6, 1)
        # Faces own their vertices, so that garments meet in a clean line.
        tri = w[f].reshape(-1, 3)
        u = (np.repeat(part, 3) + 0.5) / len(pal)
        vv = (v[f].reshape(-1, 3)[:, 2] * 3.1 + v[f].reshape(-1, 3)[:, 0]) % 1
        self.mesh(
            tri,
            np.arange(len(tri), dtype=np.uint32).reshape(-1, 3),
            np.column_stack([u, vv]),
            tex.astype(np.float32),
        )


def bark_texture(rng: Rng) -> Array:
    """A small rough brown texture for trunks and posts."""
    n = fbm(rng, (64, 32), 5, 3, stretch=4)
    return (linear((0.34, 0.29, 0.24)) * (1 + 0.3 * n)[..., None]).astype(np.float32)
