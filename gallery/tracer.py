"""Casting rays: what they meet, and what is in their way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from gallery.panel import Array, Rng
from gallery.shapes import Part

# Texels are stored as square roots, which is close to sRGB and quick.
DECODE = ((np.arange(256) / 255) ** 2).astype(np.float32)


@dataclass
class Hit:
    """What rays met."""

    t: Array
    normal: Array
    albedo: Array
    glow: Array
    water: npt.NDArray[np.bool_]


class Tracer:
    """Ray casting against the parts of a world (Embree does the geometry, NumPy the rest)."""

    def __init__(self, parts: list[Part]) -> None:
        self.scene = EmbreeScene()
        self.vertices = np.concatenate([p.vertices for p in parts]).astype(np.float32)
        counts = np.cumsum([0] + [len(p.vertices) for p in parts[:-1]])
        self.faces = np.concatenate(
            [p.faces.astype(np.int32) + c for p, c in zip(parts, counts, strict=True)]
        )
        self.part = np.repeat(np.arange(len(parts)), [len(p.faces) for p in parts])
        self.uv = np.concatenate([p.uv for p in parts])
        self.size = np.array([p.albedo.shape[:2] for p in parts])
        self.offset = np.cumsum([0, *[p.albedo.shape[0] * p.albedo.shape[1] for p in parts]])[:-1]
        self.texels = np.concatenate(
            [
                (np.sqrt(p.albedo, dtype=np.float32) * 255).astype(np.uint8).reshape(-1, 3)
                for p in parts
            ]
        )
        self.glow = np.zeros_like(self.texels)
        for p, start in zip(parts, self.offset, strict=True):
            if p.glow is not None:
                part = (np.clip(p.glow, 0, 1) * 255).astype(np.uint8).reshape(-1, 3)
                self.glow[start : start + len(part)] = part
        self.water = np.array([p.water for p in parts])
        TriangleMesh(self.scene, self.vertices, self.faces)

    def hit(self, o: Array, d: Array, rng: Rng, glow: bool = False) -> Hit:
        """Find what rays meet: distance (inf for nothing), normal, reflectance, glow, water."""
        got = self.scene.run(o, d, output=1)
        prim = got["primID"]
        ok = prim >= 0
        out = Hit(
            np.where(ok, got["tfar"], np.inf).astype(np.float32),
            np.zeros((len(o), 3), np.float32),
            np.zeros((len(o), 3), np.float32),
            np.zeros((len(o), 3), np.float32),
            np.zeros(len(o), bool),
        )
        f = prim[ok]
        tri = self.faces[f]
        n = got["Ng"][ok].astype(np.float32)
        n /= np.linalg.norm(n, axis=1, keepdims=True) + 1e-12
        out.normal[ok] = n * -np.sign(np.einsum("ij,ij->i", n, d[ok]))[:, None]
        u, v = got["u"][ok][:, None], got["v"][ok][:, None]
        uv = self.uv[tri[:, 0]] * (1 - u - v) + self.uv[tri[:, 1]] * u + self.uv[tri[:, 2]] * v
        part = self.part[f]
        h, w = self.size[part].T
        # Jittering the look-up by a texel is a cheap bilinear filter over several samples.
        jit = rng.random((2, len(f)), np.float32) - 0.5
        edge = uv[:, 0] == 1.0
        c = np.floor((uv[:, 0] - 1e-4 * edge) * w + jit[0] * (w > 40)).astype(int) % w
        r = np.floor((1 - uv[:, 1]) * h + jit[1] * (h > 40)).astype(int) % h
        at = self.offset[part] + r * w + c
        out.albedo[ok] = DECODE[self.texels[at]]
        if glow:
            out.glow[ok] = self.glow[at] / np.float32(255)
        out.water[ok] = self.water[part]
        return out

    def blocked(self, o: Array, d: Array) -> npt.NDArray[np.bool_]:
        """Tell which rays meet anything."""
        return np.asarray(self.scene.run(o, d, query="OCCLUDED") >= 0)


class Stage:
    """A lasting world and what was put in front of it for one picture."""

    def __init__(self, fixed: Tracer, parts: list[Part]) -> None:
        self.tracers = [fixed] + ([Tracer(parts)] if parts else [])

    def hit(self, o: Array, d: Array, rng: Rng, glow: bool = False) -> Hit:
        """Find the nearest thing along each ray."""
        a = self.tracers[0].hit(o, d, rng, glow)
        for other in self.tracers[1:]:
            b = other.hit(o, d, rng)
            m = b.t < a.t
            a.t[m], a.normal[m], a.albedo[m], a.glow[m], a.water[m] = (
                b.t[m],
                b.normal[m],
                b.albedo[m],
                0,
                False,
            )
        return a

    def blocked(self, o: Array, d: Array) -> npt.NDArray[np.bool_]:
        """Tell which rays meet anything."""
        out = self.tracers[0].blocked(o, d)
        for other in self.tracers[1:]:
            out = out | other.blocked(o, d)
        return out
