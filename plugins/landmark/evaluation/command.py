"""How well a model and the matching rank a labelled folder: mean average precision.

    python -m landmark.evaluation DIR [--model HANDLE] [--ranking graph|inliers]
        [--mode auto|exhaustive|shortlist] [--shortlist N] [--links N] [--distractors DIR]
        [--compare] [--json FILE] [--plot FILE.png]

The folder's images go into a Postgres of its own, where they are described, linked and searched as
a deployment's are; so the rankings are what a search lists, and `direct` what inliers alone do.

DIR holds either `jpg/` and `gnd.json` (the protocol of the revisited Oxford and Paris benchmarks:
Radenović et al., 2018), or one folder for each place, where each image in turn is the query.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from landmark.evaluation.figures import figures_parser, print_figures

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the program is told, besides where the figures go."""
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--model", metavar="HANDLE", help="default: LANDMARK_MODEL")
    parser.add_argument("--ranking", choices=["graph", "inliers"], default="graph")
    parser.add_argument("--mode", choices=["auto", "exhaustive", "shortlist"], default="auto")
    parser.add_argument("--shortlist", type=_count, metavar="N", help="default: LANDMARK_SHORTLIST")
    parser.add_argument("--links", type=_count, metavar="N", help="default: LANDMARK_LINKS")
    parser.add_argument(
        "--distractors",
        type=Path,
        metavar="DIR",
        help="photographs below, of other places, lie in the table, too",
    )
    parser.add_argument("--compare", action="store_true", help="also measure DELF's own matching")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw what verdicts promise and hold, a PNG"
    )


def run(options: argparse.Namespace) -> int:
    """Measure as told; return the program's exit status."""
    # Only now: the help comes at once without them.
    from landmark.evaluation.evaluate import evaluate
    from landmark.evaluation.labels import read_labelled_folder
    from landmark.evaluation.reliability import draw_reliability
    from landmark.evaluation.searching import SearchOptions
    from landmark.extraction.extractor import load_extractor
    from landmark.extraction.models import read_chance, resolve_model
    from landmark.matching.pair import MatchingParameters
    from landmark.settings import load_settings

    def measure() -> dict[str, Any]:
        folder = read_labelled_folder(options.folder)
        settings = load_settings(lambda name: options.model if name == "LANDMARK_MODEL" else None)
        model = resolve_model(settings)
        logger.info("model %s", model.fingerprint)
        parameters = MatchingParameters(model.max_distance)
        asked = SearchOptions(
            options.ranking,
            options.mode,
            options.shortlist or settings.shortlist,
            settings.links if options.links is None else options.links,
            options.distractors,
            read_chance(model),
        )
        figures = evaluate(folder, load_extractor(model), parameters, options.compare, asked)
        if options.plot:
            draw_reliability(figures["reliability"], options.plot)
        return {"model": model.fingerprint, **figures}

    return print_figures(measure, options.json)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is no number of images")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    parser = figures_parser("landmark.evaluation", __doc__)
    add_arguments(parser)
    return run(parser.parse_args(arguments))
