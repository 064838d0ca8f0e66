"""What it costs to compare two images, beside DELF's own matching, in one run.

OMP_NUM_THREADS=1 python -m benchmarks.matching [--images DIR] [--json FILE]
"""

from __future__ import annotations

import os
import sys
import tracemalloc
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.photographs import choose_images, extract_all, images_parser
from benchmarks.stopwatch import timed
from landmark.evaluation.figures import print_figures
from landmark.evaluation.reference import reference_match
from landmark.extraction.extractor import load_extractor
from landmark.extraction.models import resolve_model
from landmark.features import FeatureExtractor, LocalFeatures
from landmark.matching.pair import MatchingParameters, verify_pairs
from landmark.matching.putative import INT8_TILES, QueryDescriptors, putative_matches, whole_numbers
from landmark.matching.ranking import MIN_INLIERS
from landmark.progress import Progress
from landmark.search.comparison import Query, rank_images
from landmark.settings import load_settings
from landmark.storage.partitions import StoredImage

TOP_K = 10
STREAMED_IMAGES = 1000


def measure_matching(
    extractor: FeatureExtractor,
    files: Sequence[Path],
    parameters: MatchingParameters,
) -> dict[str, Any]:
    """Milliseconds a pair on this core: ours, its stages, the reference, and their ratio.

    Each image in turn is the query and is compared with every other: mostly different places, as
    in a search. The reference gets one of these pairs for each query, in turn with ours, so that
    both meet the same machine.

    Returns
    -------
    dict
        ``ratio``: time of the reference over that of matching and verifying every pair.
        ``ratio_to_peak``: time of the bare matrix product in float32 (numpy's BLAS) over that of
        the whole matching stage. ``search_ms_per_pair``, ``verifications_saved``: of the exact
        search for the best `TOP_K`, which verifies only what may be among them.
        ``buffer_mb``: most memory allocated while a query is compared with a stream of images.
    """
    features = extract_all(extractor, files)
    images = [_stored(found, str(index)) for index, found in enumerate(features)]
    singles = [found.descriptors.astype(np.float32) for found in features]
    most = max(len(found) for found in features)
    buffer = np.empty((most, most), np.float32)
    stages = ("match", "verify", "product", "search", "reference")
    seconds = dict.fromkeys(stages, 0.0)
    putatives = verified = pairs = 0
    reference_match(features[0], features[1])  # imports at the first call are not the pair's cost
    progress = Progress(len(images), "queries measured")
    for number, query in enumerate(features):
        others = images[:number] + images[number + 1 :]
        descriptors = QueryDescriptors.of(query.descriptors)
        with timed(seconds, "match"):
            matched = [
                putative_matches(
                    descriptors, whole_numbers(image.descriptors), parameters.max_distance
                )
                for image in others
            ]
        with timed(seconds, "verify"):
            for image, found in zip(others, matched, strict=True):
                verify_pairs(query, image, found, parameters)
        with timed(seconds, "product"):
            for single in singles[:number] + singles[number + 1 :]:
                products = buffer[: len(query), : len(single)]
                np.matmul(singles[number], single.T, out=products)
        with timed(seconds, "search"):
            asked = [Query("", query)]
            (ranking,) = rank_images(asked, others, TOP_K, MIN_INLIERS, parameters)
            verified += ranking.verified
        with timed(seconds, "reference"):
            reference_match(query, features[(number + len(images) // 2) % len(images)])
        pairs += len(others)
        putatives += sum(len(found) for found in matched)
        progress.add()
    ms = {name: 1000 * total / pairs for name, total in seconds.items()}
    ms["reference"] *= pairs / len(images)
    ours = ms["match"] + ms["verify"]
    return {
        "features_per_image": float(np.mean([len(found) for found in features])),
        "dimensions": features[0].descriptors.shape[1],
        "pairs": pairs,
        "putatives_per_pair": putatives / pairs,
        "ms_per_pair": ours,
        "matching_ms_per_pair": ms["match"],
        "verification_ms_per_pair": ms["verify"],
        "search_ms_per_pair": ms["search"],
        "verifications_saved": 1 - verified / pairs,
        "float32_product_ms_per_pair": ms["product"],
        "ratio_to_peak": ms["product"] / ms["match"],
        "reference_pairs": len(images),
        "reference_ms_per_pair": ms["reference"],
        "ratio": ms["reference"] / ours,
        "buffer_mb": _buffer_bytes(features[0], images) / 1e6,
        "int8_tiles": INT8_TILES,
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
    }


def _stored(features: LocalFeatures, path: str) -> StoredImage:
    return StoredImage(
        path,
        features.width,
        features.height,
        features.locations,
        features.descriptors,
        features.scales,
    )


def _buffer_bytes(query: LocalFeatures, images: Sequence[StoredImage]) -> int:
    """The most bytes allocated at a time while a query meets `STREAMED_IMAGES` images."""

    def stream() -> Iterator[StoredImage]:
        for image in islice(cycle(images), STREAMED_IMAGES):  # as the table gives them: anew
            yield image._replace(descriptors=image.descriptors.copy())

    tracemalloc.start()
    try:
        rank_images([Query("", query)], stream(), TOP_K, MIN_INLIERS)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    options = images_parser("benchmarks.matching", __doc__).parse_args(arguments)

    def measure() -> dict[str, Any]:
        model = resolve_model(load_settings())
        files = choose_images(options.images)
        parameters = MatchingParameters(model.max_distance)
        figures = measure_matching(load_extractor(model), files, parameters)
        return {"model": model.fingerprint, **figures}

    return print_figures(measure, options.json)


if __name__ == "__main__":
    sys.exit(main())
