"""Rendering: light, then weather, haze, lens and sensor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from gallery.light import LIGHTS, Light, Sky
from gallery.panel import Array, Rng, fbm, linear, smooth
from gallery.tracer import Stage
from gallery.view import View

# Of a picture, in px.
SIZE = (640, 480)


def denoise(irr: Array, normal: Array, depth: Array) -> Array:
    """Edge-avoiding wavelet filter of the light alone (the texture is divided out before)."""
    out = irr
    scale = depth * 0.006 + 1e-3
    for level in range(4):
        step = 2**level
        acc = out.copy()
        weight = np.ones(out.shape[:2], np.float32)
        lum = np.log(out.mean(-1) + 0.02)
        lum = ndimage.uniform_filter(lum, 3)
        for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            at = (dy * step, dx * step)
            other = np.roll(out, at, (0, 1))
            n = np.einsum("ijk,ijk->ij", normal, np.roll(normal, at, (0, 1)))
            z = np.abs(depth - np.roll(depth, at, (0, 1)))
            dl = np.abs(lum - np.roll(lum, at, (0, 1)))
            w = (
                np.clip(n, 0, 1) ** 12
                * np.exp(-z / (scale * step * 2))
                * np.exp(-dl / (0.45 / (1 + 0.5 * level)))
                * 0.9
            )
            acc += other * w[..., None]
            weight += w
        out = acc / weight[..., None]
    return out


def photograph(
    stage: Stage,
    view: View,
    lamps: list[tuple[tuple[float, float, float], float]],
    seed: int,
    samples: int,
) -> Image.Image:
    """Render a world and develop it like a photograph.

    Parameters
    ----------
    stage
        The scene.
    view
        The photographer's stand, lens and light.
    lamps
        Street lamps and floodlights for the night: position and power.
    seed
        Seeds clouds, noise and sampling.
    samples
        Rays per pixel.

    Returns
    -------
    Image.Image
        The finished picture.
    """
    rng = np.random.default_rng(seed)
    w, h = SIZE
    lamp = replace(LIGHTS[view.light], azimuth=view.azimuth)
    sky = Sky(lamp, rng)
    theta, phi = np.meshgrid(
        (np.arange(128) + 0.5) / 128 * np.pi,
        (np.arange(256) + 0.5) / 256 * 2 * np.pi,
        indexing="ij",
    )
    env = sky(
        np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1)
    )
    to_sun = lamp.to_sun.astype(np.float32)
    sun = linear(lamp.tint) * np.float32(lamp.power / np.pi)
    ambient = env[:64].mean((0, 1)) * 0.5

    def look(d: Array) -> Array:
        i = np.clip((np.arccos(np.clip(d[:, 2], -1, 1)) / np.pi * 128).astype(int), 0, 127)
        j = (np.arctan2(d[:, 1], d[:, 0]) / (2 * np.pi) * 256).astype(int) % 256
        return np.asarray(env[i, j])

    def sunlight(p: Array, n: Array) -> Array:
        cos = n @ to_sun
        on = np.flatnonzero(cos > 0) if lamp.power > 0 else np.zeros(0, int)
        out = np.zeros((len(p), 3), np.float32)
        if len(on):
            # A disc a little larger than the sun's gives shadows their soft edge.
            d = to_sun + 0.006 * rng.standard_normal((len(on), 3)).astype(np.float32)
            seen = ~stage.blocked(p[on], d)
            out[on[seen]] = cos[on[seen], None] * sun
        if lamp.night:
            for place, power in lamps:
                v = np.asarray(place, np.float32) - p
                dist = np.linalg.norm(v, axis=1) + 1e-3
                d = v / dist[:, None]
                cos = np.einsum("ij,ij->i", n, d)
                on = np.flatnonzero((cos > 0) & (cos * power / dist**2 > 0.004))
                if len(on):
                    free = stage.hit(p[on], d[on], rng).t > dist[on] - 0.1
                    k = on[free]
                    out[k] += (power / np.pi * cos[k] / np.maximum(dist[k], 1.0) ** 2)[
                        :, None
                    ] * np.array([1.0, 0.66, 0.34], np.float32)
        return out

    f = np.asarray(view.aim, float) - np.asarray(view.eye, float)
    f /= np.linalg.norm(f)
    r = np.cross(f, [0, 0, 1])
    r /= np.linalg.norm(r)
    u = np.cross(r, f)
    t = np.tan(np.radians(view.fov) / 2)

    def rays(jx: Array | float, jy: Array | float) -> Array:
        xs = ((np.arange(w)[None] + jx) / w * 2 - 1) * t
        ys = (1 - (np.arange(h)[:, None] + jy) / h * 2) * t * h / w
        d = f + xs[..., None] * r + ys[..., None] * u
        return (d / np.linalg.norm(d, axis=-1, keepdims=True)).astype(np.float32)

    raw: Array = np.zeros((h * w, 14), np.float32)
    light_sum, emit, gloss = np.zeros((3, h * w, 3), np.float32)
    eye = np.asarray(view.eye, np.float32)
    for k in range(samples):
        d = rays(
            (k % 3 + rng.random((h, w))) / 3, ((k * 2 / samples) % 1 + rng.random((h, w)) / 2) % 1
        ).reshape(-1, 3)
        o = np.broadcast_to(eye, d.shape).copy()
        got = stage.hit(o, d, rng, lamp.night)
        i = np.flatnonzero(np.isfinite(got.t))
        p = o[i] + d[i] * got.t[i, None]
        n, al = got.normal[i], got.albedo[i]
        q: Array = p + n * (0.004 + 0.0002 * got.t[i, None])
        irr = sunlight(q, n)
        b = rng.standard_normal((len(i), 3)).astype(np.float32)
        b = n * 1.001 + b / (np.linalg.norm(b, axis=1, keepdims=True) + 1e-6)
        b /= np.linalg.norm(b, axis=1, keepdims=True) + 1e-6
        second = stage.hit(q, b, rng)
        miss = ~np.isfinite(second.t)
        irr[miss] += look(b[miss])
        m: Array = np.flatnonzero(~miss)
        if len(m):
            q2 = q[m] + b[m] * second.t[m, None] + second.normal[m] * 0.01
            irr[m] += second.albedo[m] * (sunlight(q2, second.normal[m]) + ambient)
        wet = np.flatnonzero(got.water[i])
        if len(wet):
            # Ripples tilt the mirror; they fade with distance like real ones seem to.
            x, y = p[wet, 0], p[wet, 1]
            a = 0.035 * np.sin(2.1 * x + 5 * y + 2 * np.sin(0.7 * x)) + 0.03 * np.sin(9 * y - 4 * x)
            a2 = 0.03 * np.sin(6 * x + 1.7 * y + 2 * np.sin(1.3 * y))
            wn = np.stack([a2, a, np.ones_like(a)], -1) + 0.012 * rng.standard_normal((len(a), 3))
            wn = (wn / np.linalg.norm(wn, axis=1, keepdims=True)).astype(np.float32)
            dw = d[i[wet]]
            cos = np.clip(-np.einsum("ij,ij->i", dw, wn), 0.02, 1)
            rd = dw + 2 * cos[:, None] * wn
            rd[:, 2] = np.abs(rd[:, 2])
            mirror = stage.hit(q[wet], rd.astype(np.float32), rng)
            sees = np.isfinite(mirror.t)
            seen = look(rd)
            if sees.any():
                at = q[wet][sees] + rd[sees] * mirror.t[sees, None] + mirror.normal[sees] * 0.01
                seen[sees] = mirror.albedo[sees] * (
                    sunlight(at.astype(np.float32), mirror.normal[sees]) + 1.3 * ambient
                )
            fresnel = 0.03 + 0.97 * (1 - cos) ** 5
            gloss[i[wet]] += fresnel[:, None] * seen
        lum = al + 0.004
        light_sum[i] += np.minimum(irr, 6) * lum
        raw[i, 3] += 1
        raw[i, 4:7] += lum
        raw[i, 7:10] += n
        raw[i, 10:13] += p
        raw[i, 13] += got.t[i]
        emit += got.glow
    for total in (raw, emit, gloss):
        total /= samples
    raw[:, :3] = light_sum / samples
    raw = raw.reshape(h, w, 14)
    emit, gloss = emit.reshape(h, w, 3), gloss.reshape(h, w, 3)
    col, alpha, al = raw[..., :3], raw[..., 3:4], raw[..., 4:7]
    normal, pos, depth = raw[..., 7:10], raw[..., 10:13], raw[..., 13]
    nn = normal / (np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-6)
    a1 = np.maximum(alpha, 1e-3)
    z = depth / a1[..., 0]
    al = np.maximum(al, 0.003 * alpha)
    irr = denoise(np.minimum(col / (al + 1e-4), 12), nn, z)
    # Distant bounces are cut off after two; a little flat light stands in for the rest.
    irr = irr + 0.03 * lamp.sky * linear(lamp.horizon)
    if lamp.snow or lamp.litter:
        q = pos[..., :2] / a1
        patch = fbm(rng, (512, 512), 60, 7, 0.7)
        spot = ndimage.map_coordinates(
            patch, [(q[..., 0] * 37) % 511, (q[..., 1] * 37) % 511], order=1
        )
        top = smooth(0.35, 0.8, nn[..., 2])
        if lamp.snow:
            m = top * smooth(-1.9 + (1 - lamp.snow), -0.6, spot) * lamp.snow
            al = al * (1 - m[..., None]) + m[..., None] * alpha * np.float32(0.82)
        if lamp.litter:
            leaf = fbm(rng, (1024, 1024), 5, 2)
            dots = ndimage.map_coordinates(
                leaf, [(q[..., 0] * 70) % 1023, (q[..., 1] * 70) % 1023], order=1
            )
            low = smooth(0.3, 0.0, pos[..., 2] / a1[..., 0])
            m = top * low * smooth(1.0, 1.3, dots + 0.5 * spot) * lamp.litter
            tone = linear((0.66, 0.42, 0.17)) * (1 + 0.35 * spot[..., None])
            al = al * (1 - m[..., None]) + m[..., None] * alpha * tone
    out = irr * al
    out = out + gloss
    if lamp.night:
        bloom = sum(ndimage.gaussian_filter(emit, (s, s, 0)) * g for s, g in ((3, 0.16), (14, 0.1)))
        out = out + emit * 0.5 + bloom
    ray = rays(0.5, 0.5)
    back = sky(ray)
    veil = (1 - np.exp(-z / lamp.haze))[..., None] * alpha
    air = linear(lamp.horizon) * lamp.sky * 0.85
    out = out * (1 - veil) + air * veil + back * (1 - alpha)
    if view.blur > 0:
        near = smooth(view.blur, view.blur * 0.8, z) * (alpha[..., 0] > 0.5)
        soft = ndimage.gaussian_filter(near, 2.2)
        # Blur the near layer with its own coverage, so that the background does not bleed in.
        layer = ndimage.gaussian_filter(out * near[..., None], (2.6, 2.6, 0)) / (
            ndimage.gaussian_filter(near, 2.6)[..., None] + 1e-3
        )
        m = np.clip(soft, 0, 1)[..., None]
        out = out * (1 - m) + layer * m
    if lamp.snow:  # falling flakes, a few large ones near the lens
        flakes = np.zeros((h, w), np.float32)
        for size, count in ((0.8, 260), (1.4, 50)):
            dots = np.zeros((h, w), np.float32)
            dots[rng.integers(0, h, count), rng.integers(0, w, count)] = 1
            flakes += ndimage.gaussian_filter(dots, (size * 1.3, size)) * 7 * size * size * 0.6
        out += np.clip(flakes, 0, 0.6)[..., None] * 0.5 * air.mean()
    return develop(out, lamp, rng, view.roll)


def develop(img: Array, lamp: Light, rng: Rng, roll: float) -> Image.Image:
    """Expose, tone, soften, vignette and add sensor noise."""
    h, w = img.shape[:2]
    mid = np.exp(np.mean(np.log(img.mean(-1) + 1e-3)))
    target = 0.085 if lamp.night else 0.19
    img = img * (target / mid) ** 0.75 * lamp.exposure**0.5
    img = img * np.array([1 + lamp.warm, 1, 1 - lamp.warm], np.float32)
    yy, xx = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
    img = img * (1 - rng.uniform(0.12, 0.24) * (xx**2 + yy**2) / 1.5)[..., None]
    img = ndimage.gaussian_filter(img, (0.45, 0.45, 0))
    x = np.maximum(img, 0) * 0.82
    # A filmic curve (Narkowicz's fit): soft highlights, some contrast in the shadows.
    img = np.clip((x * (2.51 * x + 0.03)) / (x * (2.43 * x + 0.59) + 0.14), 0, 1) ** (1 / 2.2)
    grain = rng.normal(0, 1, img.shape) * 0.6 + rng.normal(0, 1, (h, w, 1))
    amount = (0.011 if lamp.night else 0.006) * (1.3 - 0.6 * img.mean(-1, keepdims=True))
    img = img + grain * amount
    out = Image.fromarray((np.clip(img, 0, 1) * 255 + 0.5).astype(np.uint8))
    if abs(roll) > 0.05:
        s = 1 + abs(np.radians(roll)) * 1.4
        out = out.rotate(roll, Image.Resampling.BICUBIC).resize((int(w * s), int(h * s)), 1)
        x0, y0 = (out.width - w) // 2, (out.height - h) // 2
        out = out.crop((x0, y0, x0 + w, y0 + h))
    return out


def save(img: Image.Image, path: Path) -> None:
    """Write a JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    img.save(path, quality=85, optimize=True)
