"""Train the bundled model: ``python -m training.train --photos DIR --teacher FILE.npz --out DIR``.

With ``--places DIR --pairs DIR`` also on the real pairs that `training.pairs` found; with ``--start
MODEL`` from an exported model's weights instead of random ones.

The run may be killed and started again with the same arguments: it goes on from its last
checkpoint. ``python -m training.export`` makes the SavedModel.
"""

from __future__ import annotations

import argparse
import logging
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf

from training.data import ViewParameters, examples
from training.losses import CONTRAST_WEIGHT, whole_loss
from training.pair_views import PairChoice, pair_examples
from training.pairs import read_pairs
from training.places import photograph_paths, split
from training.targets import write_targets
from training.teacher import Teacher, fit_projection
from training.trainer import Trainer, describe_run, run_steps, starting_network


def projection(targets: list[Path], size: int, file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Mean [t] and components [t, size] of the teacher's descriptors, kept in `file`."""
    if not file.exists():
        sample = [np.load(path)["descriptors"][::10] for path in targets]
        mean, components = fit_projection(np.concatenate(sample), size)
        np.savez(file, mean=mean, components=components)
    with np.load(file) as arrays:
        return arrays["mean"], arrays["components"]


def batches(arguments: argparse.Namespace, start: int) -> tf.data.Dataset:
    """What the steps from `start` on are trained with; writes the teacher's targets before.

    Returns
    -------
    tf.data.Dataset of dict
        As of `training.data.examples`, with one more axis before: first ``--batch`` single
        photographs, then ``--pair-batch`` real pairs.
    """
    photographs = photograph_paths(arguments.photos)
    if not photographs:
        raise SystemExit(f"{arguments.photos}: no JPEG files to train on; check --photos")
    folder = arguments.targets or arguments.out / "targets"
    teacher = Teacher(arguments.teacher)
    targets = write_targets(photographs, teacher, folder / "photos")
    size, seed = arguments.descriptor_size, arguments.seed
    mean, components = projection(targets, size, folder / f"projection-{size}.npz")
    parameters = ViewParameters(side_px=arguments.side, keypoints=arguments.keypoints)
    dataset = examples(
        photographs, targets, mean, components, parameters, seed, start * arguments.batch
    ).batch(arguments.batch, drop_remainder=True)
    if arguments.places is not None:
        for place in split(arguments.places)[0]:
            write_targets(photograph_paths(place), teacher, folder / "places" / place.name)
        pairs = [
            pair for path in sorted(arguments.pairs.glob("*.npz")) for pair in read_pairs(path)
        ]
        if not pairs:
            raise SystemExit(f"{arguments.pairs}: no pairs; run training.pairs first")
        real = pair_examples(
            PairChoice(pairs, parameters, seed),
            arguments.places,
            folder / "places",
            size,
            parameters,
            seed,
            start * arguments.pair_batch,
        ).batch(arguments.pair_batch, drop_remainder=True)
        dataset = tf.data.Dataset.zip((dataset, real)).map(_joined)
    return dataset.prefetch(2)


def _joined(one: dict[str, tf.Tensor], other: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    return {name: tf.concat([one[name], other[name]], axis=0) for name in one}


def train(arguments: argparse.Namespace) -> None:
    """Run, or go on with, the training that the command line describes."""
    if (arguments.places is None) != (arguments.pairs is None):
        raise SystemExit("--places and --pairs belong together: training.pairs wrote the latter")
    if arguments.bfloat16:
        tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": True})
    tf.keras.utils.set_random_seed(arguments.seed)
    network = starting_network(arguments.descriptor_size, arguments.start)
    describe_run(
        arguments.out,
        {
            **vars(arguments),
            "photos": len(photograph_paths(arguments.photos)),
            "teacher": arguments.teacher.stem,
            "start": arguments.start and arguments.start.name,
        },
    )
    run_steps(
        Trainer(network, partial(whole_loss, contrast_weight=arguments.contrast)),
        lambda step: iter(batches(arguments, step)),
        arguments.out,
        arguments.steps,
        arguments.learning_rate,
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="training.train", description=__doc__)
    result.add_argument("--photos", type=Path, required=True, help="folder of JPEG files")
    result.add_argument("--teacher", type=Path, required=True, help="ALIKE's weights, .npz")
    result.add_argument("--out", type=Path, required=True, help="targets, checkpoints, history")
    result.add_argument("--targets", type=Path, help="default: targets in --out; runs may share it")
    result.add_argument("--places", type=Path, help="folder of a folder for each place")
    result.add_argument("--pairs", type=Path, help="what training.pairs found there")
    result.add_argument("--start", type=Path, help="exported model whose weights are the first")
    result.add_argument("--steps", type=int, default=6000)
    result.add_argument("--batch", type=int, default=4, help="photographs a step, two views each")
    result.add_argument("--pair-batch", type=int, default=4, help="real pairs a step")
    result.add_argument("--side", type=int, default=352, help="px of a view, multiple of 32")
    result.add_argument("--keypoints", type=int, default=256, help="most keypoints of a view")
    result.add_argument("--descriptor-size", type=int, default=64)
    result.add_argument("--learning-rate", type=float, default=2e-3, help="peak")
    result.add_argument("--contrast", type=float, default=CONTRAST_WEIGHT, help="InfoNCE's weight")
    result.add_argument("--seed", type=int, default=1)
    result.add_argument(
        "--bfloat16",
        action="store_true",
        help="compute in half precision: 1.7 times as fast on processors with matrix tiles",
    )
    return result


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train(parser().parse_args())
