"""How fast two images are compared, beside DELF's own way, both measured in one run.

OMP_NUM_THREADS=1 python -m landmark.benchmark matching [--images DIR] [--json FILE]
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from landmark.command import figures_parser, print_figures
from landmark.errors import LandmarkError
from landmark.extraction import load_extractor, resolve_model
from landmark.features import LocalFeatures
from landmark.ingest import is_image
from landmark.matching import putative_matches
from landmark.progress import Progress
from landmark.reference import reference_match
from landmark.search import MatchingParameters, compare
from landmark.settings import load_settings

GALLERY = Path(__file__).resolve().parents[2] / "include" / "gallery" / "images"
IMAGES = 40
REFERENCE_PAIRS = 30


def measure_matching(folder: Path) -> dict[str, Any]:
    """Milliseconds a pair on this core: ours, its matching alone, the reference, and the ratio.

    Images are taken evenly from all below `folder`, and each is compared with every other: mostly
    different places, as in a search. The reference gets an even choice of the same pairs.

    Raises
    ------
    LandmarkError
        If there are fewer than two images.
    """
    files = sorted(file for file in folder.rglob("*") if file.is_file() and is_image(file.name))
    if len(files) < 2:
        raise LandmarkError(f"{folder}: fewer than two images; name another folder with --images")
    files = [files[i] for i in np.linspace(0, len(files) - 1, min(IMAGES, len(files)), dtype=int)]
    model = resolve_model(load_settings())
    extractor = load_extractor(model)
    progress = Progress(len(files), "images extracted")
    features = []
    for file in files:
        features.append(extractor.extract(file.read_bytes(), str(file)))
        progress.add()
    pairs = [(query, image) for query in features for image in features if query is not image]
    few = [pairs[i] for i in np.linspace(0, len(pairs) - 1, REFERENCE_PAIRS, dtype=int)]
    distance = MatchingParameters().max_distance
    ours = _ms_per_pair(compare, pairs)
    reference = _ms_per_pair(reference_match, few)
    return {
        "model": model.fingerprint,
        "features_per_image": float(np.mean([len(found) for found in features])),
        "pairs": len(pairs),
        "ms_per_pair": ours,
        "matching_ms_per_pair": _ms_per_pair(
            lambda query, image: putative_matches(query.descriptors, image.descriptors, distance),
            pairs,
        ),
        "reference_pairs": len(few),
        "reference_ms_per_pair": reference,
        "ratio": reference / ours,
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }


def _ms_per_pair(
    match: Callable[[LocalFeatures, LocalFeatures], Any],
    pairs: Sequence[tuple[LocalFeatures, LocalFeatures]],
) -> float:
    match(*pairs[0])  # what is loaded at the first call is not the pair's cost
    started = time.perf_counter()
    for pair in pairs:
        match(*pair)
    return 1000 * (time.perf_counter() - started) / len(pairs)


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    parser = figures_parser("landmark.benchmark", __doc__)
    parser.add_argument("what", choices=["matching"])
    parser.add_argument("--images", type=Path, default=GALLERY, metavar="DIR")
    options = parser.parse_args(arguments)
    return print_figures(lambda: measure_matching(options.images), options.json)


if __name__ == "__main__":
    sys.exit(main())
