"""Features and matching measured on a labelled folder."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from landmark.cluster.client import open_client
from landmark.evaluation.labels import LabelledFolder
from landmark.evaluation.reference import reference_match
from landmark.evaluation.scores import score, verdict_shares
from landmark.extraction.decoding import decode_image
from landmark.features import FeatureExtractor, LocalFeatures
from landmark.matching.pair import MatchingParameters, verify_pairs
from landmark.matching.putative import QueryDescriptors, putative_matches, whole_numbers
from landmark.matching.ranking import Match
from landmark.progress import Progress

logger = logging.getLogger(__name__)

# Of a query: what gives inliers and putative matches with an image.
Matcher = Callable[[LocalFeatures], Callable[[LocalFeatures], tuple[int, int]]]


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


def our_matcher(
    query: LocalFeatures, parameters: MatchingParameters = MatchingParameters()
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


def evaluate(
    folder: LabelledFolder,
    extractor: FeatureExtractor,
    parameters: MatchingParameters = MatchingParameters(),
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
