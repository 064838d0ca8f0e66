"""What the benchmarks measure on: some photographs of a folder, and their features."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from landmark.errors import LandmarkError
from landmark.evaluation.figures import figures_parser
from landmark.evaluation.labels import LabelledFolder
from landmark.evaluation.searching import extract_box
from landmark.features import FeatureExtractor, LocalFeatures
from landmark.index.photographs import is_photograph
from landmark.progress import Progress

GALLERY = Path(__file__).resolve().parents[1] / "include" / "gallery" / "images"
IMAGES = 40


def images_parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """A parser with the options ``--images DIR`` and ``--json FILE``."""
    parser = figures_parser(module, description)
    parser.add_argument("--images", type=Path, default=GALLERY, metavar="DIR")
    return parser


def choose_images(folder: Path, most: int = IMAGES) -> list[Path]:
    """Up to `most` images, taken evenly from all below a folder.

    Raises
    ------
    LandmarkError
        If there are fewer than two.
    """
    files = sorted(file for file in folder.rglob("*") if is_photograph(file))
    if len(files) < 2:
        raise LandmarkError(f"{folder}: fewer than two images; name another folder with --images")
    evenly = np.linspace(0, len(files) - 1, min(most, len(files)), dtype=int)
    return [files[index] for index in evenly]


def extract_all(extractor: FeatureExtractor, files: Sequence[Path]) -> list[LocalFeatures]:
    progress = Progress(len(files), "images extracted")
    features = []
    for file in files:
        features.append(extractor.extract(file.read_bytes(), str(file)))
        progress.add()
    return features


def extract_folder(
    extractor: FeatureExtractor, folder: LabelledFolder
) -> tuple[dict[str, LocalFeatures], dict[str, LocalFeatures]]:
    """The features of a labelled folder's images, and of its queries, in memory."""
    progress = Progress(len(folder.images) + len(folder.queries), "images extracted")
    images = {}
    for name, file in folder.images.items():
        images[name] = extractor.extract(file.read_bytes(), name)
        progress.add()
    queries = {}
    for query in folder.queries:
        file = folder.query_files[query.image]
        if query.box is None:
            queries[query.image] = images[query.image]
        else:
            queries[query.image] = extract_box(extractor, file, query.image, query.box)
        progress.add()
    return images, queries
