"""Floating-point operations of the network beside DELF's: ``python -m training.cost``.

Counted by TensorFlow's profiler on graphs of fixed size: convolutions, products of matrices and
what lies between, a multiplication and an addition being two.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from benchmarks.delf import delf_network
from landmark.extraction.models import DELF_DEFAULTS
from training.export import DEFAULTS
from training.network import STRIDES, Network


def float_operations(function: Callable[..., Any], *shapes: Sequence[int]) -> int:
    """Operations of one call with float32 tensors of these shapes."""
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    graph = tf.function(function).get_concrete_function(*specs).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    return int(tf.compat.v1.profiler.profile(graph, options=options).total_float_ops)


def pyramid_operations(
    function: Callable[..., Any],
    height: int,
    width: int,
    scales: Sequence[float],
    multiple: int,
    *further: Sequence[int],
) -> int:
    """Operations for an image at every scale, its sides rounded up to a multiple."""
    total = 0
    for scale in scales:
        sides = [-(-round(side * scale) // multiple) * multiple for side in (height, width)]
        total += float_operations(function, [1, *sides, 3], *further)
    return total


def measure(height: int, width: int, features: int) -> dict[str, Any]:
    """Operations for one image of `height` by `width` px: ours, DELF's, and their ratio."""
    network = Network(64)

    def ours(image: tf.Tensor, locations: tf.Tensor) -> list[tf.Tensor]:
        levels = network.levels(image)
        return [network.score_logits(levels), network.descriptors(levels, locations)]

    found = [1, features, 2]  # at each scale: the best of all are chosen at the end
    scales: Sequence[float] = DEFAULTS["image_scales"]
    delf_scales: Sequence[float] = DELF_DEFAULTS["image_scales"]
    delf = delf_network()
    counted = pyramid_operations(ours, height, width, scales, STRIDES[-1], found)
    reference = pyramid_operations(delf, height, width, delf_scales, 1)
    return {
        "image": [height, width],
        "parameters": sum(int(tf.size(weight)) for weight in network.trainable_variables),
        "image_scales": list(scales),
        "gigaflops": counted / 1e9,
        "delf_image_scales": list(delf_scales),
        "delf_gigaflops": reference / 1e9,
        "ratio": reference / counted,
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="training.cost", description=__doc__)
    parser.add_argument("--height", type=int, default=600)
    parser.add_argument("--width", type=int, default=800)
    parser.add_argument("--features", type=int, default=DEFAULTS["max_features"])
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.height, arguments.width, arguments.features), indent=1))


if __name__ == "__main__":
    main()
