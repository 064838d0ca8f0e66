"""What it costs to compare two images, to extract features, to search, and to index.

    OMP_NUM_THREADS=1 python -m landmark.benchmark matching [--images DIR] [--json FILE]
    python -m landmark.benchmark extract [--images DIR] [--json FILE]
    OMP_NUM_THREADS=1 python -m landmark.benchmark search [--images DIR] [--json FILE]
        [--sizes 1000,10000] [--nearest-sizes 10000,100000,1000000] [--shortlist N] [--queries N]
    python -m landmark.benchmark ingest [--images DIR] [--json FILE] [--count 500] [--keys 1000000]

`matching` and `extract` measure DELF's own beside ours. `search` and `ingest` need
`PYTHONPATH=plugins:include`: they start a Postgres of their own, fill it with rows, and remove it;
with --json FILE.json they also write the figures as a table, FILE.md. `search` makes its rows of
the images' features (`landmark.bulk`; 150 KB each) and draws a plot, FILE.png. `ingest` plans
sweeps of --keys made-up keys against as many rows (1 KB each); then it sweeps --count images, those
of DIR over again where it has fewer, from an S3 server of its own, in turn with the bare model on
the decoded images.
"""

from __future__ import annotations

import os
import resource
import sys
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from landmark.command import figures_parser, print_figures
from landmark.errors import LandmarkError
from landmark.extraction import ModelConfig, load_extractor, resolve_model
from landmark.features import FeatureExtractor, LocalFeatures
from landmark.images import decode_image
from landmark.ingest import is_image
from landmark.ingest_benchmark import measure_ingest
from landmark.ingest_benchmark import to_table as ingest_table
from landmark.matching import INT8_TILES, QueryDescriptors, putative_matches, whole_numbers
from landmark.models import DELF_DEFAULTS
from landmark.progress import Progress
from landmark.ranking import MIN_INLIERS
from landmark.reference import delf_network, reference_match
from landmark.search import MatchingParameters, Query, rank_images, verify_pairs
from landmark.search_benchmark import Plan, draw_plot, measure_search, to_table
from landmark.settings import load_settings
from landmark.store import StoredImage

GALLERY = Path(__file__).resolve().parents[2] / "include" / "gallery" / "images"
IMAGES = 40
TOP_K = 10
STREAMED_IMAGES = 1000
REFERENCE_IMAGES = 10


def choose_images(folder: Path, most: int = IMAGES) -> list[Path]:
    """Up to `most` images, taken evenly from all below a folder.

    Raises
    ------
    LandmarkError
        If there are fewer than two.
    """
    files = sorted(file for file in folder.rglob("*") if file.is_file() and is_image(file.name))
    if len(files) < 2:
        raise LandmarkError(f"{folder}: fewer than two images; name another folder with --images")
    evenly = np.linspace(0, len(files) - 1, min(most, len(files)), dtype=int)
    return [files[index] for index in evenly]


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
    features = _extract(extractor, files)
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
        with _timed(seconds, "match"):
            matched = [
                putative_matches(
                    descriptors, whole_numbers(image.descriptors), parameters.max_distance
                )
                for image in others
            ]
        with _timed(seconds, "verify"):
            for image, found in zip(others, matched, strict=True):
                verify_pairs(query, image, found, parameters)
        with _timed(seconds, "product"):
            for single in singles[:number] + singles[number + 1 :]:
                products = buffer[: len(query), : len(single)]
                np.matmul(singles[number], single.T, out=products)
        with _timed(seconds, "search"):
            asked = [Query("", query)]
            (ranking,) = rank_images(asked, others, TOP_K, MIN_INLIERS, parameters)
            verified += ranking.verified
        with _timed(seconds, "reference"):
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


def measure_extraction(model: ModelConfig, files: Sequence[Path]) -> dict[str, Any]:
    """Seconds and memory of extraction, and seconds of DELF's network at its own pyramid.

    Every image is extracted once, for the memory and so that nothing timed is a first time; then
    `REFERENCE_IMAGES` of them by both in turn. The reference sees the pixels that the model sees,
    and stops at its feature map.

    Returns
    -------
    dict
        ``ratio``: seconds of the reference over ours, decoding included. ``tensorflow_mb``: memory
        of the process when TensorFlow was imported, most of it pages of its library, which
        processes share; ``peak_mb``: the most afterwards; ``private_mb``: without pages of files.
    """
    import tensorflow as tf

    process = psutil.Process()
    tensorflow_bytes = process.memory_info().rss
    extractor = load_extractor(model)
    features = _extract(extractor, files)
    memory = process.memory_info()
    peak_bytes = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    network = tf.function(
        delf_network(), input_signature=[tf.TensorSpec([1, None, None, 3], tf.float32)]
    )

    def run_reference(file: Path) -> None:
        pixels = decode_image(file.read_bytes(), str(file), model.max_image_size_px).pixels
        image = tf.constant(pixels[np.newaxis], tf.float32)
        for scale in DELF_DEFAULTS["image_scales"]:
            sides = [round(side * scale) for side in pixels.shape[:2]]
            network(tf.image.resize(image, sides))

    run_reference(files[0])
    seconds = {"ours": 0.0, "reference": 0.0}
    timed = files[:REFERENCE_IMAGES]
    progress = Progress(len(timed), "images measured")
    for file in timed:
        with _timed(seconds, "ours"):
            extractor.extract(file.read_bytes(), str(file))
        with _timed(seconds, "reference"):
            run_reference(file)
        progress.add()
    return {
        "images": len(timed),
        "image_scales": list(model.image_scales),
        "max_image_size_px": model.max_image_size_px,
        "features_per_image": float(np.mean([len(found) for found in features])),
        "seconds_per_image": seconds["ours"] / len(timed),
        "reference_scales": list(DELF_DEFAULTS["image_scales"]),
        "reference_seconds_per_image": seconds["reference"] / len(timed),
        "ratio": seconds["reference"] / seconds["ours"],
        "tensorflow_mb": tensorflow_bytes / 1e6,
        "peak_mb": peak_bytes / 1e6,
        "private_mb": (memory.rss - memory.shared) / 1e6,
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


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[stage] += time.perf_counter() - started


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
    parser = figures_parser("landmark.benchmark", __doc__)
    parser.add_argument("what", choices=["matching", "extract", "search", "ingest"])
    parser.add_argument("--images", type=Path, default=GALLERY, metavar="DIR")
    parser.add_argument("--sizes", type=_sizes, default=(1_000, 10_000), metavar="N,N")
    parser.add_argument("--nearest-sizes", type=_sizes, default=(10_000, 100_000), metavar="N,N")
    parser.add_argument("--shortlist", type=int, metavar="N")
    parser.add_argument("--queries", type=int, default=5, metavar="N")
    parser.add_argument("--count", type=int, default=500, metavar="N")
    parser.add_argument("--keys", type=int, default=1_000_000, metavar="N")
    options = parser.parse_args(arguments)

    def measure() -> dict[str, Any]:
        settings = load_settings()
        model = resolve_model(settings)
        if options.what == "ingest":
            chosen = choose_images(options.images, options.count)
            files = list(islice(cycle(chosen), options.count))
            figures = measure_ingest(model, files, options.keys)
            if options.json:
                options.json.with_suffix(".md").write_text(ingest_table(figures))
            return {"model": model.fingerprint, **figures}
        files = choose_images(options.images)
        if options.what == "extract":
            return {"model": model.fingerprint, **measure_extraction(model, files)}
        extractor, parameters = load_extractor(model), MatchingParameters(model.max_distance)
        if options.what == "matching":
            return {
                "model": model.fingerprint,
                **measure_matching(extractor, files, parameters),
            }
        plan = Plan(
            options.sizes,
            options.nearest_sizes,
            options.queries,
            options.shortlist or settings.shortlist,
            parameters,
        )
        figures = measure_search(_extract(extractor, files), plan)
        if options.json:
            options.json.with_suffix(".md").write_text(to_table(figures))
            draw_plot(figures, options.json.with_suffix(".png"))
        return {"model": model.fingerprint, **figures}

    return print_figures(measure, options.json)


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(sorted(int(size) for size in text.split(",")))


if __name__ == "__main__":
    sys.exit(main())
