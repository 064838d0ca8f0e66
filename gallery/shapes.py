"""Geometry: relief meshes from panels, simple solids, plants and people, gathered in a world."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from skimage import measure

from gallery.textures import Array, Color, Panel, Rng, fbm, linear

Vec = Sequence[float] | npt.NDArray[Any]
Ints = npt.NDArray[Any]
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

    def tree(
        self, rng: Rng, at: Vec, height: float, season: str = "summer", kind: str = "broad"
    ) -> None:
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
            "spring": [(0.48, 0.56, 0.25), (0.85, 0.78, 0.76), (0.42, 0.5, 0.22)],
        }
        if season != "winter":
            pts = np.asarray(tips)
            per = {"summer": 26, "autumn": 13, "spring": 14}[season]
            pts = np.repeat(pts, per, 0)
            self.leaves(rng, pts, height * 0.0105 + 0.02, tones[season], spread=height * 0.042)

    def person(
        self,
        rng: Rng,
        at: Vec,
        facing: float,
        height: float = 0.0,
        pose: str = "",
        detail: float = 0.02,
    ) -> None:
        """Add a clothed person of random build, clothes and pose (see :func:`figure`)."""
        v, f, part, pal = figure(rng, height or rng.uniform(1.58, 1.86), pose, detail)
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


def figure(rng: Rng, height: float, pose: str, detail: float) -> tuple[Array, Ints, Ints, Array]:
    """Model a clothed body as a smooth union of rounded cones.

    Parameters
    ----------
    rng
        Random source: build, clothes, colours, pose.
    height
        Body height in metres.
    pose
        ``stand``, ``walk``, ``phone``, ``hips``, ``point`` or ``robe`` (a statue); empty: random.
    detail
        Grid spacing in metres.

    Returns
    -------
    tuple
        Vertices, faces, the garment of each face and the garments' colours; the body looks
        towards -y and stands on z = 0.
    """
    pose = pose or str(rng.choice(["stand", "walk", "phone", "hips", "stand", "walk"]))
    robe = pose == "robe"
    build = rng.uniform(0.9, 1.12)
    skirt = robe or rng.random() < 0.25
    coat = rng.random() < 0.45
    bag = not robe and rng.random() < 0.4
    hat = not robe and rng.random() < 0.3
    long_hair = rng.random() < 0.45
    prim: list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], float, float, int]] = []

    def add(a: Vec, b: Vec, ra: float, rb: float, part: int) -> None:
        prim.append((np.asarray(a, float), np.asarray(b, float), ra, rb, part))

    # Parts: 0 skin, 1 hair, 2 top, 3 legs, 4 shoes, 5 bag or hat.
    stride = rng.uniform(0.1, 0.2) if pose == "walk" else rng.uniform(0.0, 0.04)
    lean = rng.uniform(-0.02, 0.02)
    for side in (-1, 1):
        y = side * stride
        hip, knee = (0.085 * side * build, 0, 0.92), (0.095 * side, y * 0.3 - 0.03, 0.5)
        ankle = (0.1 * side, y + 0.02, 0.1)
        leg = 3 if not skirt else (0 if rng.random() < 0.5 else 3)
        add(hip, knee, 0.09 * build, 0.068 * build, 3)
        add(knee, ankle, 0.066 * build, 0.05, leg if not robe else 3)
        add((0.1 * side, y + 0.04, 0.05), (0.125 * side, y - 0.12, 0.035), 0.05, 0.04, 4)
        sh = (0.17 * side * build, lean, 1.43)
        if pose == "phone":
            elbow, hand = (0.23 * side, -0.14, 1.2), (0.08 * side, -0.36, 1.44)
        elif pose == "hips":
            elbow, hand = (0.36 * side, 0.08, 1.18), (0.2 * side, -0.02, 1.0)
        elif pose == "point" and side == 1:
            elbow, hand = (0.4, -0.12, 1.45), (0.62, -0.28, 1.58)
        elif robe and side == 1:
            elbow, hand = (0.3, -0.05, 1.22), (0.24, -0.32, 1.32)
        else:
            swing = -y * 0.8
            elbow = (0.25 * side * build, swing * 0.5 + 0.03, 1.15)
            hand = (0.26 * side * build, swing - 0.06, 0.88)
        add(sh, elbow, 0.062 * build, 0.052, 2)
        add(elbow, hand, 0.05, 0.04, 2)
        h = np.asarray(hand) + 0.35 * (np.asarray(hand) - np.asarray(elbow)) * 0.5
        add(hand, h, 0.036, 0.03, 0)
    add((0, 0, 0.95), (0, 0, 1.12), 0.125 * build, 0.115 * build, 3 if not coat else 2)
    add((-0.05, 0, 1.1), (-0.075 * build, lean, 1.38), 0.11 * build, 0.1, 2)
    add((0.05, 0, 1.1), (0.075 * build, lean, 1.38), 0.11 * build, 0.1, 2)
    add((-0.12 * build, lean, 1.43), (0.12 * build, lean, 1.43), 0.065, 0.065, 2)
    if coat or robe:
        bottom = 0.05 if robe else rng.uniform(0.55, 0.85)
        add((0, 0, 1.0), (0, 0.02, bottom + 0.1), 0.14 * build, (0.25 if robe else 0.18) * build, 2)
    elif skirt:
        add((0, 0, 1.0), (0, 0, rng.uniform(0.5, 0.75)), 0.13 * build, 0.2 * build, 3)
    add((0, 0.01, 1.42), (0, -0.005, 1.56), 0.052, 0.05, 0)
    add((0, -0.012, 1.635), (0, -0.0, 1.7), 0.072, 0.088, 0)
    add((0, -0.09, 1.65), (0, -0.1, 1.635), 0.014, 0.016, 0)
    add((0, 0.02, 1.69), (0, 0.012, 1.73), 0.098, 0.09, 1)
    if long_hair or robe:
        add((0, 0.05, 1.68), (0, 0.065, 1.45), 0.09, 0.07, 1)
    if hat:
        add((0, 0, 1.745), (0, 0, 1.8), 0.105, 0.085, 5)
        if rng.random() < 0.6:
            add((0, -0.02, 1.745), (0, -0.13, 1.735), 0.06, 0.03, 5)
    if bag:
        add((0, 0.2, 1.08), (0, 0.18, 1.36), 0.13, 0.11, 5)
    k = height / 1.82
    pad = 0.3
    ends = np.array([e for a, b, *_ in prim for e in (a, b)])
    lo, hi = ends.min(0) - pad, ends.max(0) + pad
    lo[2] = -0.03
    g = detail / k
    axes = [np.arange(lo[i], hi[i], g) for i in range(3)]
    pts = np.stack(np.meshgrid(*axes, indexing="ij"), -1).astype(np.float32)
    field_ = np.full(pts.shape[:3], 9.0, np.float32)
    near = np.full(pts.shape[:3], 9.0, np.float32)
    who = np.zeros(pts.shape[:3], np.uint32)
    for a, b, ra, rb, index in prim:
        ab = (b - a).astype(np.float32)
        t = np.clip((pts - a.astype(np.float32)) @ ab / max(float(ab @ ab), 1e-6), 0, 1)
        d = np.linalg.norm(pts - a.astype(np.float32) - t[..., None] * ab, axis=-1)
        d = d - (ra + (rb - ra) * t)
        who = np.where(d < near, index, who).astype(np.uint32)
        near = np.minimum(near, d)
        s = 0.025
        m = np.clip(0.5 + 0.5 * (field_ - d) / s, 0, 1)
        field_ = field_ * (1 - m) + d * m - s * m * (1 - m)
    # Folds of cloth: gentle ripples that depend on place, weaker on skin and shoes.
    ph = rng.uniform(0, 6, 4)
    x, y, z = (pts[..., i] for i in range(3))
    fold = np.sin(38 * x + 9 * z + 3 * np.sin(7 * z + ph[0]) + ph[1]) * np.sin(
        11 * z + 14 * y + ph[2]
    )
    if robe:
        fold = np.sin(55 * x + 4 * np.sin(5 * z + ph[0]) + 30 * y) * 1.8
    cloth = np.isin(who, [2, 3])
    field_ = field_ + np.where(cloth, 0.007, 0.001) * fold
    v, f, _, _ = measure.marching_cubes(field_, 0.0, spacing=(g, g, g))
    v = v + lo
    mid = v[f].mean(1)
    cell = np.clip(((mid - lo) / g).round().astype(int), 0, np.array(who.shape) - 1)
    part = who[cell[:, 0], cell[:, 1], cell[:, 2]]
    # Eyes and mouth as small dark spots, so that a face reads as one from a distance.
    face = part == 0
    for ex, ez, r in ((-0.032, 1.685, 0.014), (0.032, 1.685, 0.014)):
        eye = np.hypot(mid[:, 0] - ex, mid[:, 2] - ez) < r
        part = np.where(face & eye & (mid[:, 1] < -0.05), 6, part)
    mouth = (np.abs(mid[:, 0]) < 0.026) & (np.abs(mid[:, 2] - 1.592) < 0.008)
    part = np.where(face & mouth & (mid[:, 1] < -0.05), 7, part).astype(np.uint32)
    skin = linear(np.array([0.86, 0.68, 0.57])) * np.float32(rng.choice([1.0, 0.9, 0.6, 0.32]))
    hair = linear(
        np.array(
            [
                [0.12, 0.1, 0.09],
                [0.32, 0.22, 0.15],
                [0.62, 0.5, 0.34],
                [0.55, 0.54, 0.53],
                [0.2, 0.13, 0.1],
            ]
        )[rng.integers(5)]
    )
    cloths = rng.uniform(0.12, 0.75) * (1 + rng.normal(0, 0.25, 3))
    legs = [
        (0.16, 0.18, 0.24),
        (0.2, 0.2, 0.2),
        (0.48, 0.42, 0.33),
        (0.26, 0.3, 0.4),
        (0.35, 0.33, 0.3),
    ][rng.integers(5)]
    bagc = rng.uniform(0.1, 0.5) * (1 + rng.normal(0, 0.3, 3))
    pal = np.stack(
        [
            skin,
            hair,
            linear(np.clip(cloths, 0.06, 0.85)),
            linear(legs),
            linear((0.14, 0.12, 0.11)),
            linear(np.clip(bagc, 0.05, 0.8)),
            skin * 0.15,
            skin * np.array([0.6, 0.35, 0.35]),
        ]
    ).astype(np.float32)
    return (v * k).astype(np.float32), f.astype(np.uint32), part, pal
