"""Features of several kinds in our engine, one after the other in one run.

    python -m benchmarks.features evaluation|matching DIR
        [--features KIND …] [--compare] [--json FILE]

A KIND is `model` (that of LANDMARK_MODEL), `rootsift`, or a file of ALIKE's weights, `alike-n.npz`.
Prints what `landmark.evaluation` or `benchmarks.matching` prints of each, by kind.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import rootsift
from benchmarks.matching import measure_matching
from benchmarks.photographs import choose_images
from landmark.evaluation.evaluate import evaluate
from landmark.evaluation.figures import figures_parser, print_figures
from landmark.evaluation.labels import read_labelled_folder
from landmark.extraction.extractor import load_extractor
from landmark.extraction.models import resolve_model
from landmark.features import FeatureExtractor
from landmark.matching.pair import MatchingParameters
from landmark.settings import load_settings


class Features(NamedTuple):
    """What gives features of one kind, and how they are compared."""

    name: str
    extractor: FeatureExtractor
    parameters: MatchingParameters


def load_features(kind: str, files: Sequence[Path]) -> Features:
    """Features of a kind that the command line names.

    Parameters
    ----------
    kind : str
    files : sequence of Path
        The images measured; RootSIFT's principal components are taken of them.
    """
    if kind == "model":
        model = resolve_model(load_settings())
        extractor = load_extractor(model)
        return Features(model.fingerprint, extractor, MatchingParameters(model.max_distance))
    if kind == "rootsift":
        parameters = MatchingParameters(rootsift.MAX_DISTANCE)
        return Features("rootsift-40", rootsift.RootSift(files), parameters)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from benchmarks import alike

    parameters = MatchingParameters(alike.MAX_DISTANCE)
    return Features(Path(kind).stem, alike.Alike(Path(kind)), parameters)


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    parser = figures_parser("benchmarks.features", __doc__)
    parser.add_argument("what", choices=["evaluation", "matching"])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--features", nargs="+", default=["model", "rootsift"], metavar="KIND")
    parser.add_argument("--compare", action="store_true", help="also measure DELF's own matching")
    options = parser.parse_args(arguments)

    def evaluated(kind: str) -> dict[str, Any]:
        folder = read_labelled_folder(options.folder)
        name, extractor, parameters = load_features(kind, list(folder.images.values()))
        return {name: evaluate(folder, extractor, parameters, options.compare)}

    def matched(kind: str) -> dict[str, Any]:
        files = choose_images(options.folder)
        name, extractor, parameters = load_features(kind, files)
        return {name: measure_matching(extractor, files, parameters)}

    def measure() -> dict[str, Any]:
        one = evaluated if options.what == "evaluation" else matched
        return {name: figures for kind in options.features for name, figures in one(kind).items()}

    return print_figures(measure, options.json)


if __name__ == "__main__":
    sys.exit(main())
