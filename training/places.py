"""Photographs of many places, one folder for each: which train, and which are kept to choose by."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

NEIGHBOURS = (
    "avignon_",
    "basilica_bom_jesus",
    "berlin_olympic_",
    "caceres_",
    "chhota_imambara_",
    "fatehpur_",
    "hackesche",
    "hagia_sophia_",
    "jamali_kamali_",
    "jerash_",
    "marseille_",
    "nd_",
    "nice_",
    "petra_",
    "pnu_",
    "swatow_",
    "timisoara_",
)
"""Beginnings of names: places that share one may show the same thing, so they are never negatives
of each other, and lie on one side of the split."""


def photograph_paths(folder: Path) -> list[Path]:
    """The folder's JPEG files, by name."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in {".jpg", ".jpeg"})


def family(place: str) -> str:
    """What places that may show the same thing have in common: else a place's own name."""
    return next((common for common in NEIGHBOURS if place.startswith(common)), place)


def split(folder: Path) -> tuple[list[Path], list[Path]]:
    """The places that train and those that are held out, by name.

    Every third family, by name from the first on, is held out.

    Raises
    ------
    SystemExit
        If the folder holds no place.
    """
    families = defaultdict(list)
    for place in sorted(folder.iterdir()):
        if place.is_dir() and photograph_paths(place):
            families[family(place.name)].append(place)
    if not families:
        raise SystemExit(f"{folder}: no folder of JPEG files in it; check --places")
    names = sorted(families)
    held = set(names[::3])
    training = [place for name in names if name not in held for place in families[name]]
    return training, [place for name in names[::3] for place in families[name]]
