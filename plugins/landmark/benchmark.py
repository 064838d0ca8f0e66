"""How fast two images are compared, beside DELF's own way, both measured in one run.

OMP_NUM_THREADS=1 python -m landmark.benchmark matching [--images DIR] [--json FILE]
"""

from __future__ import annotations

import os
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from landmark.command import figures_parser, print_figures
from landmark.errors import LandmarkError
from landmark.extraction import load_extractor, resolve_model
from landmark.features import FeatureExtractor, LocalFeatures
from landmark.ingest import is_image
from landmark.matching import INT8_TILES, QueryDescriptors, putative_matches
from landmark.progress import Progress
from landmark.ranking import MIN_INLIERS
from landmark.reference import reference_match
from landmark.search import MatchingParameters, rank_images, verify_pairs
from landmark.settings import load_settings
from landmark.store import StoredImage

GALLERY = Path(__file__).resolve().parents[2] / "include" / "gallery" / "images"
IMAGES = 40
REFERENCE_PAIRS = 40
TOP_K = 10
STREAMED_IMAGES = 1000


def choose_images(folder: Path) -> list[Path]:
    """Images taken evenly from all below a folder.

    Raises
    ------
    LandmarkError
        If there are fewer than two.
    """
    files = sorted(file for file in folder.rglob("*") if file.is_file() and is_image(file.name))
    if len(files) < 2:
        raise LandmarkError(f"{folder}: fewer than two images; name another folder with --images")
    return _evenly(files, IMAGES)


def measure_matching(extractor: FeatureExtractor, files: Sequence[Path]) -> dict[str, Any]:
    """Milliseconds a pair on this core: ours, its stages, the reference, and their ratio.

    Each image is compared with every other: mostly different places, as in a search. The
    reference gets an even choice of the same pairs, in turn with ours, so that both meet the same
    machine.

    Returns
    -------
    dict
        ``ratio``: time of the reference over that of matching and verifying every pair.
        ``ratio_to_peak``: time of the bare matrix product in float32 (numpy's BLAS) over that of
        the whole matching stage. ``search_ms_per_pair``, ``verifications_saved``: of the exact
        search for the best `TOP_K`, which verifies only what may be among them.
        ``buffer_mb``: most memory allocated while a query is compared with a stream of images.
    """
    features = _extract(extractor, files)
    images = [_stored(found, str(index)) for index, found in enumerate(features)]
    queries = [QueryDescriptors.of(found.descriptors) for found in features]
    parameters = MatchingParameters()
    pairs = [(i, j) for i in range(len(images)) for j in range(len(images)) if i != j]
    few = _evenly(pairs, REFERENCE_PAIRS)

    def match(i: int, j: int) -> Any:
        return putative_matches(queries[i], images[j].descriptors, parameters.max_distance)

    matched = {pair: match(*pair) for pair in pairs}

    def verify(i: int, j: int) -> None:
        verify_pairs(features[i], images[j], matched[i, j], parameters)

    def product(i: int, j: int) -> None:
        np.matmul(singles[i], singles[j].T, out=products[: len(singles[i]), : len(singles[j])])

    singles = [found.descriptors.astype(np.float32) for found in features]
    most = max(len(found) for found in features)
    products = np.empty((most, most), np.float32)

    def reference(i: int, j: int) -> None:
        reference_match(features[i], features[j])

    reference(*pairs[0])  # imports at the first call are not the pair's cost
    seconds = dict.fromkeys(("match", "verify", "product", "search", "reference"), 0.0)
    verified = 0
    progress = Progress(len(few), "rounds measured")
    for number, pair in enumerate(few):
        some = pairs[number :: len(few)]
        seconds["reference"] += _seconds(reference, [pair]) / len(few)
        seconds["match"] += _seconds(match, some) / len(pairs)
        seconds["verify"] += _seconds(verify, some) / len(pairs)
        seconds["product"] += _seconds(product, some) / len(pairs)
        progress.add()
    for query in range(len(images)):
        others = images[:query] + images[query + 1 :]
        started = time.perf_counter()
        verified += rank_images(features[query], others, TOP_K, MIN_INLIERS, parameters).verified
        seconds["search"] += (time.perf_counter() - started) / len(pairs)
    ms = {name: 1000 * value for name, value in seconds.items()}
    ours = ms["match"] + ms["verify"]
    return {
        "features_per_image": float(np.mean([len(found) for found in features])),
        "dimensions": features[0].descriptors.shape[1],
        "pairs": len(pairs),
        "putatives_per_pair": float(np.mean([len(found) for found in matched.values()])),
        "ms_per_pair": ours,
        "matching_ms_per_pair": ms["match"],
        "verification_ms_per_pair": ms["verify"],
        "search_ms_per_pair": ms["search"],
        "verifications_saved": 1 - verified / len(pairs),
        "float32_product_ms_per_pair": ms["product"],
        "ratio_to_peak": ms["product"] / ms["match"],
        "reference_pairs": len(few),
        "reference_ms_per_pair": ms["reference"],
        "ratio": ms["reference"] / ours,
        "buffer_mb": _buffer_bytes(features[0], images) / 1e6,
        "int8_tiles": INT8_TILES,
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
    }


def _extract(extractor: FeatureExtractor, files: Sequence[Path]) -> list[LocalFeatures]:
    progress = Progress(len(files), "images extracted")
    features = []
    for file in files:
        features.append(extractor.extract(file.read_bytes(), str(file)))
        progress.add()
    return features


def _stored(features: LocalFeatures, path: str) -> StoredImage:
    return StoredImage(
        path, features.side_px, features.locations, features.descriptors, features.scales
    )


def _evenly(values: Sequence[Any], n: int) -> list[Any]:
    return [values[i] for i in np.linspace(0, len(values) - 1, min(n, len(values)), dtype=int)]


def _seconds(work: Callable[[int, int], Any], pairs: Sequence[tuple[int, int]]) -> float:
    started = time.perf_counter()
    for pair in pairs:
        work(*pair)
    return time.perf_counter() - started


def _buffer_bytes(query: LocalFeatures, images: Sequence[StoredImage]) -> int:
    """The most bytes allocated at a time while a query meets `STREAMED_IMAGES` images."""

    def stream() -> Iterator[StoredImage]:
        for image in islice(cycle(images), STREAMED_IMAGES):  # as the table gives them: anew
            yield image._replace(descriptors=image.descriptors.copy())

    tracemalloc.start()
    try:
        rank_images(query, stream(), TOP_K, MIN_INLIERS)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    parser = figures_parser("landmark.benchmark", __doc__)
    parser.add_argument("what", choices=["matching"])
    parser.add_argument("--images", type=Path, default=GALLERY, metavar="DIR")
    options = parser.parse_args(arguments)

    def measure() -> dict[str, Any]:
        files = choose_images(options.images)
        model = resolve_model(load_settings())
        figures = measure_matching(load_extractor(model), files)
        return {"model": model.fingerprint, **figures}

    return print_figures(measure, options.json)


if __name__ == "__main__":
    sys.exit(main())
