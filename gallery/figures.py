"""People and statues as meshes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from skimage import measure

from gallery.panel import Array, Rng, linear

Vec = Sequence[float] | npt.NDArray[Any]


Ints = npt.NDArray[Any]


def figure(rng: Rng, height: float, pose: str, detail: float) -> tuple[Array, Ints, Ints, Array]:
    """Model a clothed body as a smooth union of rounded cones.

    Parameters
    ----------
    rng
        Random source: build, clothes, colours, pose.
    height
        Body height in metres.
    pose
        ``stand``, ``walk``, ``phone``, ``hips`` or ``robe`` (a statue); empty: random.
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
        add(knee, ankle, 0.066 * build, 0.05, 3 if robe else leg)
        add((0.1 * side, y + 0.04, 0.05), (0.125 * side, y - 0.12, 0.035), 0.05, 0.04, 4)
        sh = (0.17 * side * build, lean, 1.43)
        if pose == "phone":
            elbow, hand = (0.23 * side, -0.14, 1.2), (0.08 * side, -0.36, 1.44)
        elif pose == "hips":
            elbow, hand = (0.36 * side, 0.08, 1.18), (0.2 * side, -0.02, 1.0)
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
    gx, gy, gz = (pts[..., i] for i in range(3))
    fold = np.sin(38 * gx + 9 * gz + 3 * np.sin(7 * gz + ph[0]) + ph[1]) * np.sin(
        11 * gz + 14 * gy + ph[2]
    )
    if robe:
        fold = np.sin(55 * gx + 4 * np.sin(5 * gz + ph[0]) + 30 * gy) * 1.8
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
