"""How well a model and the matching rank a labelled folder: mean average precision.

    python -m landmark.evaluation DIR [--model HANDLE] [--compare] [--json FILE]

DIR holds either `jpg/` and `gnd.json` (the protocol of the revisited Oxford and Paris benchmarks:
Radenović et al., 2018), or one folder for each place, where each image in turn is the query.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from landmark.cluster import open_client
from landmark.command import figures_parser, print_figures
from landmark.errors import LandmarkError
from landmark.extraction import load_extractor, resolve_model
from landmark.features import FeatureExtractor, LocalFeatures
from landmark.images import decode_image
from landmark.ingest import is_image
from landmark.matching import QueryDescriptors, putative_matches, whole_numbers
from landmark.progress import Progress
from landmark.ranking import CERTAIN_INLIERS, MIN_INLIERS, Match
from landmark.reference import reference_match
from landmark.search import MatchingParameters, verify_pairs
from landmark.settings import load_settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Query:
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
    queries: list[Query]
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
        place.name: sorted(file for file in place.iterdir() if is_image(file.name))
        for place in sorted(folder.iterdir() if folder.is_dir() else ())
        if place.is_dir()
    }
    names = {
        place: frozenset(f"{place}/{file.name}" for file in files)
        for place, files in places.items()
    }
    files = {f"{place}/{file.name}": file for place, found in places.items() for file in found}
    queries = [
        Query(name, None, names[place] - {name}, frozenset(), frozenset({name}))
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
        Query(
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


def average_precision(ranked: Sequence[str], positive: frozenset[str]) -> float:
    """Area under the precision-recall curve by the trapezoid rule, as the Oxford benchmark has it.

    Parameters
    ----------
    ranked : sequence of str
        Names, best first, ignored ones taken out.
    positive : frozenset of str
        The right ones; at least one.
    """
    area, hits = 0.0, 0
    for rank, name in enumerate(ranked):
        if name in positive:
            before = hits / rank if rank else 1.0
            hits += 1
            area += (before + hits / (rank + 1)) / 2
    return area / len(positive)


def score(
    rankings: dict[str, list[str]], queries: list[Query], protocols: dict[str, Protocol]
) -> dict[str, float | None]:
    """Mean average precision of each protocol, over the queries that have a positive in it.

    None where no query has one.

    Parameters
    ----------
    rankings : dict of str to list of str
        For each query's image the names of the images, best first.
    """
    scores: dict[str, float | None] = {}
    for name, protocol in protocols.items():
        precisions = []
        firsts = []
        for query in queries:
            positive = frozenset().union(*(getattr(query, kind) for kind in protocol.positive))
            ignored = frozenset().union(*(getattr(query, kind) for kind in protocol.ignored))
            if positive:
                ranked = [image for image in rankings[query.image] if image not in ignored]
                precisions.append(average_precision(ranked, positive))
                firsts.append(bool(ranked) and ranked[0] in positive)
        scores[name] = float(np.mean(precisions)) if precisions else None
        if protocols is LEAVE_ONE_OUT:
            scores["recall_at_1"] = float(np.mean(firsts))
    return scores


def extract_folder(
    extractor: FeatureExtractor, folder: LabelledFolder
) -> tuple[dict[str, LocalFeatures], dict[str, LocalFeatures], float]:
    """The features of the images and of the queries, and the seconds an image took."""
    progress = Progress(len(folder.images) + len(folder.queries), "images extracted")

    def extract(name: str, file: Path, box: tuple[float, ...] | None = None) -> LocalFeatures:
        data = file.read_bytes()
        if box is None:
            features = extractor.extract(data, name)
        else:
            pixels = decode_image(data, name, max_size_px=sys.maxsize).pixels
            x0, y0, x1, y1 = (max(0, round(side)) for side in box)
            features = extractor.extract_pixels(pixels[y0:y1, x0:x1], name)
        progress.add()
        return features

    images = {name: extract(name, file) for name, file in folder.images.items()}
    queries = {
        query.image: images[query.image]
        if query.box is None
        else extract(query.image, folder.query_files[query.image], query.box)
        for query in folder.queries
    }
    return images, queries, progress.seconds / max(progress.done, 1)


AS_A_SEARCH = MatchingParameters()

# Of a query: what gives inliers and putative matches with an image.
Matcher = Callable[[LocalFeatures], Callable[[LocalFeatures], tuple[int, int]]]


def our_matcher(
    query: LocalFeatures, parameters: MatchingParameters = AS_A_SEARCH
) -> Callable[[LocalFeatures], tuple[int, int]]:
    """Inliers and putative matches as a search counts them."""
    descriptors = QueryDescriptors.of(query.descriptors)

    def match(image: LocalFeatures) -> tuple[int, int]:
        pairs = putative_matches(
            descriptors, whole_numbers(image.descriptors), parameters.max_distance
        )
        return len(verify_pairs(query, image, pairs, parameters).inliers), len(pairs)

    return match


def reference_matcher(query: LocalFeatures) -> Callable[[LocalFeatures], tuple[int, int]]:
    """The same as DELF's own method counts them."""
    return partial(reference_match, query)


def _rank_query(
    name: str,
    queries: dict[str, LocalFeatures],
    images: dict[str, LocalFeatures],
    matcher: Matcher,
) -> tuple[list[Match], float]:
    started = time.perf_counter()
    match = matcher(queries[name])
    matches = [Match(*match(image), path) for path, image in images.items()]
    seconds = time.perf_counter() - started
    return sorted(matches, key=lambda ranked: ranked.rank_key), seconds / max(len(images), 1)


def evaluate_matching(
    folder: LabelledFolder,
    images: dict[str, LocalFeatures],
    queries: dict[str, LocalFeatures],
    matcher: Matcher,
    address: str = "local",
) -> dict[str, Any]:
    """Rank every image for every query, and score the rankings.

    Parameters
    ----------
    matcher : callable
        `our_matcher` or `reference_matcher`.

    Returns
    -------
    dict
        The scores, ``match_ms_per_pair`` (on one core), and ``verdicts``: of the pairs that show
        different places, and of those that show the same, the share that gets each verdict.
    """
    names = [query.image for query in folder.queries]
    with open_client(address) as client:
        shared = client.scatter([queries, images], broadcast=True, hash=False)
        rank = partial(_rank_query, matcher=matcher)
        tasks = client.map(rank, names, queries=shared[0], images=shared[1], pure=False)
        progress = Progress(len(names), "queries ranked")
        ranked: dict[str, list[Match]] = {}
        seconds = 0.0
        for name, task in zip(names, tasks, strict=True):
            ranked[name], seconds_per_pair = task.result()
            seconds += seconds_per_pair
            progress.add()
    rankings = {name: [found.image_path for found in matches] for name, matches in ranked.items()}
    return {
        **score(rankings, folder.queries, folder.protocols),
        "match_ms_per_pair": 1000 * seconds / len(names),
        "verdicts": verdict_shares(ranked, folder.queries),
    }


def inliers_by_place(
    ranked: dict[str, list[Match]], queries: list[Query]
) -> tuple[list[list[int]], list[list[int]]]:
    """For each query the inliers with images of its place, and with those of other places."""
    same, different = [], []
    for query in queries:
        positive = query.easy | query.hard
        matches = ranked[query.image]
        same.append([match.inliers for match in matches if match.image_path in positive])
        others = positive | query.junk
        different.append([match.inliers for match in matches if match.image_path not in others])
    return same, different


def verdict_shares(ranked: dict[str, list[Match]], queries: list[Query]) -> dict[str, float]:
    """How often inliers reach the two thresholds of the verdict.

    Returns
    -------
    dict
        ``false_uncertain``, ``false_match``: shares of the pairs of different places with at
        least `MIN_INLIERS`, `CERTAIN_INLIERS` inliers; ``true_uncertain``, ``true_match``: the
        same of pairs of one place; ``absent_uncertain``, ``absent_match``: shares of the queries
        that would get there if no image of their place were in the folder.
    """
    same, different = inliers_by_place(ranked, queries)
    pairs = {
        "false": list(chain.from_iterable(different)),
        "true": list(chain.from_iterable(same)),
        "absent": [max(inliers, default=0) for inliers in different],
    }
    return {
        f"{kind}_{verdict}": float(np.mean(np.array(inliers or [0]) >= least))
        for kind, inliers in pairs.items()
        for verdict, least in (("uncertain", MIN_INLIERS), ("match", CERTAIN_INLIERS))
    }


def evaluate(
    folder: LabelledFolder,
    extractor: FeatureExtractor,
    parameters: MatchingParameters = AS_A_SEARCH,
    with_reference: bool = False,
) -> dict[str, Any]:
    """Measure features and our matching on a labelled folder.

    Parameters
    ----------
    folder : LabelledFolder
    extractor : FeatureExtractor
    parameters : MatchingParameters
    with_reference : bool
        Also rank with the reference method; hundreds of times slower.
    """
    logger.info("%d images, %d queries", len(folder.images), len(folder.queries))
    images, queries, seconds = extract_folder(extractor, folder)
    figures: dict[str, Any] = {
        "images": len(folder.images),
        "queries": len(folder.queries),
        "extract_seconds_per_image": seconds,
        **evaluate_matching(folder, images, queries, partial(our_matcher, parameters=parameters)),
    }
    if with_reference:
        figures["reference"] = evaluate_matching(folder, images, queries, reference_matcher)
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    parser = figures_parser("landmark.evaluation", __doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--model", metavar="HANDLE", help="default: LANDMARK_MODEL")
    parser.add_argument("--compare", action="store_true", help="also measure DELF's own matching")
    options = parser.parse_args(arguments)

    def measure() -> dict[str, Any]:
        folder = read_labelled_folder(options.folder)
        settings = load_settings(lambda name: options.model if name == "LANDMARK_MODEL" else None)
        model = resolve_model(settings)
        logger.info("model %s", model.fingerprint)
        parameters = MatchingParameters(model.max_distance)
        figures = evaluate(folder, load_extractor(model), parameters, options.compare)
        return {"model": model.fingerprint, **figures}

    return print_figures(measure, options.json)


if __name__ == "__main__":
    sys.exit(main())
