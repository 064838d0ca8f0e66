"""A castle gate between two round towers with battlements."""

from __future__ import annotations

from gallery.grounds import blades, ground, ivy
from gallery.openings import Win, door, window
from gallery.ornaments import band, ornament, stamp_at
from gallery.panel import Panel, Rng, linear
from gallery.shapes import World, flat
from gallery.towers import cone_roof, round_tower
from gallery.view import Place, tour
from gallery.walls import FILLS, stone_texture


def castle_gate(rng: Rng) -> Place:
    w = World()
    tone = (0.6, 0.52, 0.43)
    fill = FILLS["rubble"](tone)

    def battlements(p: Panel, z: float) -> None:
        where, gx, gy = p.area(0, z - 1.2, p.w, p.h)
        p.hole[where] = (gy > z) & ((gx / 1.3) % 1 > 0.55)
        x = 0.0
        while x < p.w:
            p.box(x, z - 1.5, x + 0.3, z - 0.9, 0.3, linear(tone))
            x += 0.65
        p.box(0, z - 0.9, p.w, p.h, 0.32, None)

    def slits(r: Rng, p: Panel) -> None:
        for z in (3.2, 7.4):
            for _ in range(6):
                x = r.uniform(0.5, p.w - 0.5)
                p.box(x - 0.32, z - 0.15, x + 0.32, z + 1.6, 0.06, linear((0.68, 0.6, 0.5)))
                p.box(x - 0.09, z, x + 0.09, z + 1.4, -0.35, linear((0.03, 0.03, 0.03)))
        for _ in range(10):
            window(
                r,
                p,
                r.uniform(1, p.w - 1),
                5.2 + r.uniform(-0.3, 0.3),
                0.7,
                1.1,
                Win("arch", (0.3, 0.25, 0.2), (0.68, 0.6, 0.5), 0.14, (1, 2)),
            )
        battlements(p, p.h - 0.9)

    for x, r, h in ((-6.2, 2.9, 13), (6.2, 3.1, 14.2)):
        round_tower(w, rng, fill, (x, 0.8, 0), r, h, 46, None, slits)
    cone_roof(w, rng, (6.2, 0.8, 14), 2.8, 5.5, (0.42, 0.36, 0.34))
    g = Panel(9, 11, 54)
    fill(rng, g)
    door(rng, g, 4.5, 3.2, 4.4, "arch", (0.3, 0.22, 0.16), (0.66, 0.58, 0.48), 3, 0.3)
    stamp_at(g, ornament(rng, 120, 120, 1.6), 4.5, 6.5, 1.7, 1.7, (0.72, 0.64, 0.53), 0.14)
    for x in (1.9, 7.1):
        window(rng, g, x, 6.0, 0.9, 1.7, Win("pointed", surround=(0.7, 0.62, 0.52), border=0.2))
    band(g, 8.4, 0.3, 0.2, (0.64, 0.56, 0.47), dentil=0.4)
    battlements(g, 10.1)
    w.relief(g, flat((-4.5, -0.4, 0), (1, 0, 0)), 2)
    for sx in (-1, 1):
        c = Panel(16, 8, 36)
        fill(rng, c)
        battlements(c, 7.1)
        w.relief(c, flat((-24 if sx < 0 else 8, 1.5, 0), (1, 0, 0)), 2)
    keep = Panel(8, 20, 36)
    fill(rng, keep)
    slits(rng, keep)
    w.relief(keep, flat((-7, 14, 0), (1, 0, 0)), 2)
    w.box((-7, 14.1, 0), (1, 22, 18.8), stone_texture(rng, tone))
    ivy(w, rng, -14, -9.4, 1.4, 6, 9000)
    ground(w, rng, "gravel", -13, 38, (0.62, 0.56, 0.46))
    blades(w, rng, -10, -4, 12, 9, 7000)
    blades(w, rng, 12, -4, 14, 9, 7000)
    return Place(
        w,
        tour(
            (0, 0, 6.6), 22, 60, rng, ("noon", "autumn", "overcast", "evening", "snow"), portrait=1
        ),
        [(-15, -3, 7, "broad"), (15, -2, 8, "fir"), (19, 12, 9, "broad")],
    )
