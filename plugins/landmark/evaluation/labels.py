"""A labelled folder: which photographs show one place.

Either `jpg/` and `gnd.json` (the protocol of the revisited Oxford and Paris benchmarks: Radenović
et al., 2018), or one folder for each place, where each image in turn is the query.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from landmark.errors import LandmarkError
from landmark.index.photographs import is_photograph


@dataclass(frozen=True)
class LabelledQuery:
    """One query and what is right for it, by image name.

    Parameters
    ----------
    image : str
    box : tuple of float, optional
        x0, y0, x1, y1 in px: the query image is cropped to it before extraction.
    easy, hard, junk : frozenset of str
        Positives of each kind; junk is neither right nor wrong.
    """

    image: str
    box: tuple[float, float, float, float] | None
    easy: frozenset[str]
    hard: frozenset[str]
    junk: frozenset[str]


class Protocol(NamedTuple):
    """Which kinds count as right, and which are taken out of the ranking."""

    positive: tuple[str, ...]
    ignored: tuple[str, ...]


REVISITED = {
    "easy": Protocol(("easy",), ("junk", "hard")),
    "medium": Protocol(("easy", "hard"), ("junk",)),
    "hard": Protocol(("hard",), ("junk", "easy")),
}
LEAVE_ONE_OUT = {"map": Protocol(("easy",), ("junk",))}


@dataclass(frozen=True)
class LabelledFolder:
    """Images, queries, and the protocols to score them by.

    Parameters
    ----------
    images : dict of str to Path
        The images to rank, by name.
    query_files : dict of str to Path
        The query images, by name.
    """

    images: dict[str, Path]
    query_files: dict[str, Path]
    queries: list[LabelledQuery]
    protocols: dict[str, Protocol]


def read_labelled_folder(folder: Path) -> LabelledFolder:
    """Read either layout.

    Raises
    ------
    LandmarkError
        If the folder has neither, or an image it names is missing.
    """
    labels = folder / "gnd.json"
    if labels.is_file():
        try:
            return _read_revisited(folder, json.loads(labels.read_bytes()))
        except (
            LookupError,
            TypeError,
            ValueError,
            OverflowError,
            OSError,
            RecursionError,
        ) as error:
            reason = f"{type(error).__name__}: {error}"
            raise LandmarkError(
                f"{labels}: not of the revisited benchmarks' form ({reason}); correct it"
            ) from error
    places = {
        place.name: sorted(file for file in place.iterdir() if is_photograph(file))
        for place in sorted(folder.iterdir() if folder.is_dir() else ())
        if place.is_dir()
    }
    names = {
        place: frozenset(f"{place}/{file.name}" for file in files)
        for place, files in places.items()
    }
    files = {f"{place}/{file.name}": file for place, found in places.items() for file in found}
    queries = [
        LabelledQuery(name, None, names[place] - {name}, frozenset(), frozenset({name}))
        for place in places
        for name in sorted(names[place])
        if len(names[place]) > 1
    ]
    if not queries:
        raise LandmarkError(
            f"{folder}: neither jpg/ with gnd.json, nor one folder for each place with two or "
            f"more images; see the README on measuring"
        )
    return LabelledFolder(files, files, queries, LEAVE_ONE_OUT)


def _read_revisited(folder: Path, labels: dict[str, Any]) -> LabelledFolder:
    def find(name: str) -> Path:
        for file in (folder / "jpg" / name, folder / "jpg" / f"{name}.jpg"):
            if file.is_file():
                return file
        raise LandmarkError(f"{folder / 'jpg' / name}: named in gnd.json, but not there")

    def box(sides: Sequence[float]) -> tuple[float, float, float, float]:
        x0, y0, x1, y1 = (float(side) for side in sides)
        if not max(x0, 0) < x1 < math.inf or not max(y0, 0) < y1 < math.inf:
            raise ValueError(f"bbox {sides} holds no pixel")
        return x0, y0, x1, y1

    queries = [
        LabelledQuery(
            query["image"],
            box(query["bbox"]),
            *(frozenset(query[kind]) for kind in ("easy", "hard", "junk")),
        )
        for query in labels["queries"]
    ]
    return LabelledFolder(
        {name: find(name) for name in labels["images"]},
        {query.image: find(query.image) for query in queries},
        queries,
        REVISITED,
    )
