"""A brick town-hall tower with clocks on its sides, between two wings."""

from __future__ import annotations

from gallery.buildings import Front, house
from gallery.grounds import ground
from gallery.openings import Win, door, window
from gallery.ornaments import band, clock_face, ornament, quoins, sign, stamp_at
from gallery.panel import Panel, Rng
from gallery.shapes import World, flat
from gallery.towers import pyramid_roof
from gallery.view import Place, tour
from gallery.walls import FILLS, brick_texture


def clock_tower(rng: Rng) -> Place:
    w = World()
    fill, trim = FILLS["brick"]((0.58, 0.36, 0.28)), (0.8, 0.75, 0.66)
    win = Win("arch", (0.85, 0.83, 0.8), trim, 0.16, (2, 3))
    for k, (o, a) in enumerate(
        (((-3.2, -1.5, 0), (1, 0, 0)), ((3.2, -1.5, 0), (0, 1, 0)), ((-3.2, 4.9, 0), (0, -1, 0)))
    ):
        t = Panel(6.4, 21, 56 if k == 0 else 44)
        fill(rng, t)
        quoins(rng, t, trim, 0, 0.7, 21)
        quoins(rng, t, trim, 5.7, 6.4, 21)
        if k == 0:
            door(rng, t, 3.2, 2.2, 3.8, "arch", (0.2, 0.3, 0.26), trim, 3, 0.22)
            sign(rng, t, "ANNO 1687", 3.2, 5.15, 3.2, 0.6, (0.7, 0.64, 0.54), (0.2, 0.16, 0.12))
        for x in (1.9, 4.5):
            window(rng, t, x, 6.6, 1.0, 2.2, win)
        window(rng, t, 3.2, 9.9, 1.3, 1.9, Win("round", trim, trim, 0.2, (2, 2), sill=False))
        clock_face(rng, t, 3.2, 14.5, 1.75, (0.92, 0.9, 0.84), (0.08, 0.08, 0.1), (10, 9))
        for x in (1.5, 3.2, 4.9):
            window(rng, t, x, 17.6, 1.0, 2.1, Win("arch", (0.3, 0.24, 0.2), trim, 0.15, (1, 7)))
        for z in (5.6, 9.2, 12.1, 16.9, 20.4):
            band(t, z, 0.35, 0.28, trim, dentil=0.32)
        stamp_at(t, ornament(rng, 170, 60), 3.2, 12.0 - 0.35, 4.6, 0.6, trim, 0.1)
        w.relief(t, flat(o, a), 2, close=True)
    pyramid_roof(w, rng, (0, 1.7, 20.9), 3.7, 6.5, (0.32, 0.42, 0.38))
    w.lathe((0, 1.7, 27), [(0.25, 0), (0.3, 0.4), (0.05, 0.6), (0.05, 2)], brick_texture(rng), 10)
    for sx in (-1, 1):
        f = Front(
            11.5, 2, 5, 4.2, 3.4, 1.2, win, (1.05, 1.9), trim, ("gable", "bow"), -1, carve=0.8
        )
        house(w, rng, f, -3.2 - 11.5 if sx < 0 else 3.2, 0, fill, 44, 9, (0.38, 0.36, 0.38))
    ground(w, rng, "cobble", -13, 36)
    return Place(
        w,
        tour(
            (0, 0, 10.6),
            29,
            58,
            rng,
            ("noon", "evening", "overcast", "snow", "morning"),
            portrait=2,
        ),
        [(-12, -6, 7, "broad"), (13, -7, 8, "broad")],
    )
