"""How many inliers a model's features have by chance: the figures beside a model, ``chance.json``.

    python -m benchmarks.chance DIR [DIR …] [--model HANDLE] [--pairs N] [--into FILE] [--json FILE]

Random pairs of photographs from different folders below the DIRs are compared: of different places,
if each place has a folder of its own and whatever shares one is not asked. `--into` writes what a
search reads beside the model, until a table has figures of its own.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from benchmarks.photographs import extract_all
from landmark.evaluation.figures import figures_parser, print_figures
from landmark.extraction.extractor import load_extractor
from landmark.extraction.models import resolve_model, write_chance
from landmark.features import LocalFeatures
from landmark.index.photographs import is_photograph
from landmark.matching.chance import ChanceHistogram
from landmark.matching.pair import MatchingParameters, verify_pairs
from landmark.matching.putative import QueryDescriptors, putative_matches, whole_numbers
from landmark.progress import Progress
from landmark.settings import load_settings

PAIRS = 200_000
TOLD = (8, 10, 12, 14, 16, 18, 20, 24, 30)


def measure(
    images: Mapping[str, LocalFeatures], parameters: MatchingParameters, pairs: int, seed: int = 0
) -> ChanceHistogram:
    """Compare random pairs of images that lie in different folders, by their names.

    Parameters
    ----------
    pairs : int
        At most: each pair is drawn once.
    """
    names = sorted(images)
    rng = np.random.default_rng(seed)
    drawn = {
        (min(one, two), max(one, two))
        for one, two in rng.integers(len(names), size=(pairs, 2)).tolist()
        if PurePosixPath(names[one]).parent != PurePosixPath(names[two]).parent
    }
    rows = [whole_numbers(images[name].descriptors) for name in names]
    progress = Progress(len(drawn), "pairs compared")
    inliers = []
    for one, found in itertools.groupby(sorted(drawn), key=lambda pair: pair[0]):
        query = images[names[one]]
        descriptors = QueryDescriptors.of(query.descriptors)
        for _, two in found:
            matched = putative_matches(descriptors, rows[two], parameters.max_distance)
            verified = verify_pairs(query, images[names[two]], matched, parameters)
            inliers.append(len(verified.inliers))
            progress.add()
    return ChanceHistogram.of(inliers)


def figures(histogram: ChanceHistogram) -> dict[str, Any]:
    """What was counted, and what a search makes of it."""
    chance = histogram.fit()
    return {
        "pairs": histogram.pairs,
        "reached": {n: sum(histogram.counts[n:]) / histogram.pairs for n in TOLD},
        "probability": {n: chance.probability(n) for n in TOLD},
        "threshold": len(chance.shares) - 1,
        "ratio": chance.ratio,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    parser = figures_parser("benchmarks.chance", __doc__)
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR")
    parser.add_argument("--model", metavar="HANDLE", help="default: LANDMARK_MODEL")
    parser.add_argument("--pairs", type=int, default=PAIRS, metavar="N")
    parser.add_argument("--into", type=Path, metavar="FILE", help="write the model's figures there")
    options = parser.parse_args(arguments)

    def run() -> dict[str, Any]:
        settings = load_settings(lambda name: options.model if name == "LANDMARK_MODEL" else None)
        model = resolve_model(settings)
        files = sorted(
            file for folder in options.folders for file in folder.rglob("*") if is_photograph(file)
        )
        extracted = extract_all(load_extractor(model), files)
        images = {str(file): found for file, found in zip(files, extracted, strict=True)}
        histogram = measure(images, MatchingParameters(model.max_distance), options.pairs)
        if options.into:
            write_chance(options.into, model, histogram)
        return {"model": model.fingerprint, "images": len(images), **figures(histogram)}

    return print_figures(run, options.json)


if __name__ == "__main__":
    sys.exit(main())
