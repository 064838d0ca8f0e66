"""Time of day, weather and the sky."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from gallery.panel import Array, Color, Rng, fbm, linear, smooth


@dataclass
class Light:
    """Time of day and weather; the sun's azimuth and elevation are degrees."""

    elevation: float = 48
    power: float = 3.2
    tint: Color = (1.0, 0.93, 0.82)
    zenith: Color = (0.3, 0.47, 0.72)
    horizon: Color = (0.72, 0.8, 0.88)
    clouds: float = 0.4
    sky: float = 1.0
    haze: float = 900.0
    exposure: float = 1.0
    warm: float = 0.0
    night: bool = False
    snow: float = 0.0
    litter: float = 0.0
    azimuth: float = 0.0

    @property
    def to_sun(self) -> Array:
        """Direction of the sun; azimuth 0 lies behind a photographer who looks along +y."""
        az, el = np.radians((self.azimuth, self.elevation))
        return np.array([np.sin(az) * np.cos(el), -np.cos(az) * np.cos(el), np.sin(el)])


WHITE = (1.0, 1.0, 1.0)
# Elevation, power and tint of the sun; zenith and horizon; clouds, brightness of the sky, haze.
LIGHTS = {
    "noon": Light(),
    "overcast": Light(55, 0.25, WHITE, (0.5, 0.54, 0.6), (0.75, 0.77, 0.8), 1.25, 1.5, 500),
    "evening": Light(
        13, 2.9, (1.0, 0.74, 0.5), (0.3, 0.42, 0.62), (0.88, 0.76, 0.64), 0.5, 0.8, 600, warm=0.05
    ),
    "morning": Light(
        22, 2.8, (1.0, 0.82, 0.62), (0.3, 0.48, 0.74), (0.9, 0.86, 0.8), 0.3, 0.9, 350, warm=0.03
    ),
    "dusk": Light(
        -8, 0.0, (1, 0.7, 0.5), (0.13, 0.2, 0.42), (0.5, 0.42, 0.45), 0.6, 0.55, 900,
        exposure=1.5, warm=-0.05, night=True,
    ),
    "snow": Light(
        50, 0.2, WHITE, (0.62, 0.65, 0.7), (0.78, 0.8, 0.83), 1.4, 1.5, 220,
        exposure=0.9, warm=-0.06, snow=0.9,
    ),
    "autumn": Light(
        28, 2.9, (1.0, 0.84, 0.62), (0.28, 0.44, 0.7), (0.84, 0.84, 0.82), 0.6, 0.9, 600,
        warm=0.07, litter=0.8,
    ),
}  # fmt: skip


class Sky:
    """A sky with clouds that can be looked up in any direction."""

    def __init__(self, lamp: Light, rng: Rng) -> None:
        self.lamp = lamp
        self.base = fbm(rng, (1024, 1024), 210, 8, 0.56)
        self.flow = rng.uniform(0, 600, 2)

    def __call__(self, d: Array) -> Array:
        """Return the radiance seen along unit directions (last axis x, y, z)."""
        lamp = self.lamp
        up = np.clip(d[..., 2], 0.0, 1)
        t = ((1 - up) ** 3.2)[..., None]
        sky = linear(lamp.zenith) * (1 - t) + linear(lamp.horizon) * t
        s = lamp.to_sun
        glow = np.clip(d @ s, 0, 1)[..., None]
        sky = sky + linear(lamp.tint) * (0.35 * glow**8 + 0.6 * glow**64) * min(1, lamp.power)
        h = np.maximum(up, 0.02) + 0.1
        q = [d[..., 0] / h * 150 + self.flow[0], d[..., 1] / h * 150 + self.flow[1]]
        dens = ndimage.map_coordinates(self.base, q, order=1, mode="mirror")
        q2 = [q[0] + 9 * s[0], q[1] + 9 * s[1]]
        lee = ndimage.map_coordinates(self.base, q2, order=1, mode="mirror")
        cover = smooth(1.1 - 1.6 * lamp.clouds, 2.1 - 1.3 * lamp.clouds, dens)
        cover = (cover * smooth(0.0, 0.12, up))[..., None]
        lit = np.clip(0.62 + 0.2 * (dens - lee), 0.35, 1.05)[..., None]
        white = linear(lamp.horizon) * 0.55 + linear(lamp.tint) * 0.4 * min(1, lamp.power + 0.3)
        body = white * lit * 1.15
        if lamp.clouds > 1:
            body = linear(lamp.horizon) * (0.85 + 0.12 * dens)[..., None]
        out = (sky * (1 - cover) + body * cover) * lamp.sky
        ground = linear((0.4, 0.38, 0.34)) * 0.4 * lamp.sky
        below = smooth(0.0, -0.08, d[..., 2])[..., None]
        return np.asarray(out * (1 - below) + ground * below, np.float32)
