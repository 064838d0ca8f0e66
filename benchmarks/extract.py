"""What it costs to extract features, beside DELF's network; and either runtime of the model.

python -m benchmarks.extract [--images DIR] [--json FILE] [--runtimes]
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.delf import delf_network
from benchmarks.photographs import choose_images, extract_all, images_parser
from benchmarks.runtimes import measure_runtimes
from benchmarks.stopwatch import timed
from landmark.evaluation.figures import print_figures
from landmark.extraction.decoding import decode_image
from landmark.extraction.extractor import load_extractor
from landmark.extraction.models import DELF_DEFAULTS, LITERT, ModelConfig, resolve_model
from landmark.progress import Progress
from landmark.settings import load_settings

REFERENCE_IMAGES = 10


def measure_extraction(model: ModelConfig, files: Sequence[Path]) -> dict[str, Any]:
    """Seconds and memory of extraction, and seconds of DELF's network at its own pyramid.

    Every image is extracted once, for the memory and so that nothing timed is a first time; then
    `REFERENCE_IMAGES` of them by both in turn. The reference sees the pixels that the model sees,
    and stops at its feature map.

    Returns
    -------
    dict
        ``ratio``: seconds of the reference over ours, decoding included. ``peak_mb``: the most
        memory of the process when all were extracted and the reference not yet begun;
        ``private_mb``: without pages of files.
    """
    extractor = load_extractor(model)
    features = extract_all(extractor, files)
    memory = psutil.Process().memory_info()
    peak_bytes = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    import tensorflow as tf

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
    measured = files[:REFERENCE_IMAGES]
    progress = Progress(len(measured), "images measured")
    for file in measured:
        with timed(seconds, "ours"):
            extractor.extract(file.read_bytes(), str(file))
        with timed(seconds, "reference"):
            run_reference(file)
        progress.add()
    return {
        "images": len(measured),
        "image_scales": list(model.image_scales),
        "max_image_size_px": model.max_image_size_px,
        "features_per_image": float(np.mean([len(found) for found in features])),
        "seconds_per_image": seconds["ours"] / len(measured),
        "reference_scales": list(DELF_DEFAULTS["image_scales"]),
        "reference_seconds_per_image": seconds["reference"] / len(measured),
        "ratio": seconds["reference"] / seconds["ours"],
        "peak_mb": peak_bytes / 1e6,
        "private_mb": (memory.rss - memory.shared) / 1e6,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    parser = images_parser("benchmarks.extract", __doc__)
    parser.add_argument(
        "--runtimes", action="store_true", help="only the runtimes: DELF's network takes minutes"
    )
    options = parser.parse_args(arguments)

    def measure() -> dict[str, Any]:
        model, files = resolve_model(load_settings()), choose_images(options.images)
        figures: dict[str, Any] = {"model": model.fingerprint}
        if not options.runtimes:
            figures |= measure_extraction(model, files)
        if model.runtime == LITERT:
            figures["runtimes"] = measure_runtimes(model, files[:REFERENCE_IMAGES])
        return figures

    return print_figures(measure, options.json)


if __name__ == "__main__":
    sys.exit(main())
