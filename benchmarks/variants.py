"""How the ranking changes with each choice of the engine: the table of README.md beside this file.

    python -m benchmarks.variants DIR [DIR …] [--features KIND]

Each line changes one thing. Features are extracted once, pairs are matched and verified by every
variant; prints mean average precision, the inliers that one in a thousand pairs of different
places reaches, the share of pairs of one place above that, and milliseconds a pair.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.features import load_features
from benchmarks.photographs import extract_folder
from landmark.evaluation.labels import read_labelled_folder
from landmark.evaluation.scores import matches_by_place, score
from landmark.features import LocalFeatures
from landmark.matching import verification
from landmark.matching.pair import MatchingParameters, compare
from landmark.matching.ranking import Match


@dataclass(frozen=True)
class Variant:
    """One change: of a constant of `landmark.matching.verification`, or of a parameter."""

    name: str
    constants: dict[str, Any] = field(default_factory=dict)
    max_distance: float | None = None
    verification: dict[str, float] = field(default_factory=dict)


VARIANTS = [
    Variant("as it is"),
    *(Variant(f"distance below {d}", max_distance=d) for d in (0.7, 0.75, 0.85, 0.9)),
    *(
        Variant(f"residual {r} of the side", verification={"residual_threshold": r})
        for r in (0.01, 0.02, 0.03)
    ),
    Variant("any size of a feature agrees", verification={"zoom_tolerance": 1e6}),
    Variant("size within 1.5 times", verification={"zoom_tolerance": 1.5}),
    Variant("one zoom a hypothesis", constants={"ZOOM_STEPS": np.ones(1, np.float32)}),
    Variant("hypotheses: 3 radii", constants={"HYPOTHESIS_RADIUS": 3.0}),
    Variant("hypotheses: 6 radii", constants={"HYPOTHESIS_RADIUS": 6.0}),
    Variant("support of 4", constants={"MIN_SUPPORT": 4}),
    Variant("support of 7", constants={"MIN_SUPPORT": 7}),
    Variant("one refit", constants={"REFIT_RADII": (1.0,)}),
    Variant("8 hypotheses refitted", constants={"REFITTED": 8}),
    Variant("400 matches are hypotheses", constants={"MAX_HYPOTHESES": 400}),
    Variant("squeezed to 2 at most", verification={"max_anisotropy": 2.0}),
    Variant("zoomed to 3 at most", verification={"max_zoom": 3.0}),
]

# What each process that ranks reads.
_images: dict[str, LocalFeatures] = {}
_queries: dict[str, LocalFeatures] = {}


def _share(images: dict[str, LocalFeatures], queries: dict[str, LocalFeatures]) -> None:
    _images.update(images)
    _queries.update(queries)


def rank_all(
    images: dict[str, LocalFeatures],
    queries: dict[str, LocalFeatures],
    variant: Variant,
    parameters: MatchingParameters,
) -> tuple[dict[str, list[Match]], float]:
    """All images for each query, best first, and the seconds of one core that took.

    In new processes: what a variant sets is gone with them.
    """
    jobs = [(query, variant, parameters) for query in queries]
    # Spawned: a process that TensorFlow's threads run in cannot be forked safely.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(None, spawn, _share, (images, queries)) as pool:
        ranked = list(pool.map(_rank, jobs))
    return {name: found for name, found, _ in ranked}, sum(took for _, _, took in ranked)


def _rank(job: tuple[str, Variant, MatchingParameters]) -> tuple[str, list[Match], float]:
    name, variant, kept = job
    started = time.perf_counter()
    for constant, value in variant.constants.items():
        setattr(verification, constant, value)
    parameters = MatchingParameters(
        variant.max_distance or kept.max_distance,
        replace(kept.verification, **variant.verification),
    )
    matches = []
    for path, image in _images.items():
        pairs, verified = compare(_queries[name], image, parameters)
        matches.append(Match(len(verified.inliers), len(pairs), path))
    matches.sort(key=lambda match: match.rank_key)
    return name, matches, time.perf_counter() - started


def measure(folder_path: Path, kind: str) -> None:
    """Print a folder's table, a line as soon as it is known."""
    folder = read_labelled_folder(folder_path)
    name, extractor, parameters = load_features(kind, list(folder.images.values()))
    images, queries = extract_folder(extractor, folder)
    columns = [f"{name}, {folder_path.name}", *folder.protocols, "1 in 1,000", "above", "ms"]
    print(f"\n| {' | '.join(columns)} |")
    print("|---" * (len(folder.protocols) + 4) + "|")
    for variant in VARIANTS:
        rankings, seconds = rank_all(images, queries, variant, parameters)
        scores = score(
            {name: [match.image_path for match in found] for name, found in rankings.items()},
            folder.queries,
            folder.protocols,
        )
        same, different = (
            np.array([match.inliers for matches in kind for match in matches])
            for kind in matches_by_place(rankings, folder.queries)
        )
        floor = int(np.quantile(different, 0.999))
        shown = " | ".join(f"{scores[name]:.3f}" for name in folder.protocols)
        above = np.mean(same > floor)
        ms = 1000 * seconds / len(queries) / len(images)
        print(f"| {variant.name} | {shown} | {floor} | {above:.1%} | {ms:.2f} |", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """The program."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.variants",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR")
    parser.add_argument("--features", default="model", metavar="KIND", help="see features.py")
    options = parser.parse_args(arguments)
    for folder in options.folders:
        measure(folder, options.features)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
