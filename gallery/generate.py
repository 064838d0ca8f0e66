"""Render the demo gallery: ``python -m gallery.generate`` (see README.md)."""

from __future__ import annotations

import argparse
import json
import time
import zlib
from pathlib import Path

import numpy as np

from gallery.others import ORDER
from gallery.places import PLACES
from gallery.render import photograph, save
from gallery.tracer import Stage, Tracer
from gallery.view import Place, populate

# Where the demo finds its pictures.
GALLERY = Path(__file__).resolve().parents[1] / "include" / "gallery"
# Three kinds of place; in the courtyard somebody stands in front.
QUERIES = ["courtyard/01.jpg", "lighthouse/03.jpg", "timber_house/02.jpg"]


def seed_of(name: str) -> int:
    """Return the fixed seed of a place or picture, from its name alone."""
    return zlib.crc32(name.encode())


def shoot(
    place: Place, name: str, numbers: list[int], out: Path, samples: int, single: bool = False
) -> None:
    """Render some views of a place; a `single` place has one view, numbered by its name."""
    fixed = Tracer(place.world.parts)
    for i in numbers:
        start = time.time()
        key = name if single else f"{name}/{i:02d}"
        view = place.views[0 if single else i - 1]
        stage = Stage(fixed, populate(place, view, seed_of(key)))
        img = photograph(stage, view, place.lamps, seed_of(key), samples)
        save(img, out / f"{key}.jpg")
        print(key, f"{time.time() - start:.0f} s", flush=True)


def main() -> None:
    """Render the pictures named on the command line, or all of them, and list the places."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", help="place, place/nn, other or other/nn; default: all")
    parser.add_argument("--out", type=Path, default=GALLERY, help="folder to fill")
    parser.add_argument("--samples", type=int, default=4, help="rays per pixel")
    parser.add_argument("--missing", action="store_true", help="keep pictures that are there")
    args = parser.parse_args()
    images = args.out / "images"

    def wanted(key: str) -> bool:
        named = not args.only or key in args.only or key.split("/")[0] in args.only
        return named and not (args.missing and (images / f"{key}.jpg").exists())

    for name, build in PLACES.items():
        numbers = [i for i in range(1, 6) if wanted(f"{name}/{i:02d}")]
        if numbers:
            place = build(np.random.default_rng(seed_of(name)))
            shoot(place, name, numbers, images, args.samples)
    for i, build in enumerate(ORDER, 1):
        key = f"other/{i:02d}"
        if wanted(key):
            place = build(np.random.default_rng(seed_of(key)))
            shoot(place, key, [1], images, args.samples, single=True)
    places = {name: [f"{name}/{i:02d}.jpg" for i in range(1, 6)] for name in PLACES}
    listing = {"queries": QUERIES, "places": places}
    (args.out / "gallery.json").write_text(json.dumps(listing, indent=2) + "\n")


if __name__ == "__main__":
    main()
