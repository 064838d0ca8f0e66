"""Train the bundled model: ``python -m training.train --photos DIR --teacher FILE.npz --out DIR``.

The run may be killed and started again with the same arguments: it goes on from its last
checkpoint. ``python -m training.export`` makes the SavedModel.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import math
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from training.curve import draw_curve
from training.data import ViewParameters, examples
from training.network import Network
from training.targets import photograph_paths, write_targets
from training.teacher import Teacher, fit_projection

SCORE_WEIGHT = 5.0
CONTRAST_WEIGHT = 0.3
TEMPERATURE = 0.07
WEIGHT_DECAY = 1e-4
WARM_UP_STEPS = 200
CHECKPOINT_STEPS = 200
LOG_STEPS = 20
LOSSES = ("score", "cosine", "contrast")
RUN_FILE = "run.json"

_log = logging.getLogger(__name__)


def losses(network: Network, batch: dict[str, tf.Tensor], training: bool) -> dict[str, tf.Tensor]:
    """The three losses of a batch of what `training.data.examples` yields.

    Returns
    -------
    dict of float32 scalar
        ``score``: cross-entropy with the teacher's score, bright pixels weighing more. ``cosine``:
        one minus the cosine to the teacher's descriptor, in both views. ``contrast``: InfoNCE over
        all keypoints of the batch, student against teacher and view 1 against view 2.
    """
    images = tf.concat([batch["images"][:, 0], batch["images"][:, 1]], axis=0)
    scores = tf.concat([batch["scores"][:, 0], batch["scores"][:, 1]], axis=0)
    locations = tf.concat([batch["locations"][:, 0], batch["locations"][:, 1]], axis=0)
    levels = network.levels(images, training)

    logits = network.score_logits(levels, training)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(scores, logits)
    pixel_weights = 1.0 + 4.0 * scores

    size = network.descriptor_size
    first, second = tf.split(tf.reshape(network.descriptors(levels, locations), [-1, size]), 2)
    taught = tf.reshape(batch["descriptors"], [-1, size])
    weights = tf.reshape(batch["weights"], [-1])
    weights /= tf.maximum(tf.reduce_sum(weights), 1.0)
    cosine = 2.0 - tf.reduce_sum(first * taught, 1) - tf.reduce_sum(second * taught, 1)
    pairs = ((first, taught), (second, taught), (first, second), (second, first))
    contrast = tf.add_n([_info_nce(a, b, weights) for a, b in pairs]) / len(pairs)
    return {
        "score": tf.reduce_sum(entropy * pixel_weights) / tf.reduce_sum(pixel_weights),
        "cosine": tf.reduce_sum(weights * cosine) / 2.0,
        "contrast": contrast,
    }


def total_loss(parts: dict[str, tf.Tensor]) -> tf.Tensor:
    """The weighted sum that training lowers."""
    return SCORE_WEIGHT * parts["score"] + parts["cosine"] + CONTRAST_WEIGHT * parts["contrast"]


def _info_nce(queries: tf.Tensor, keys: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of finding row i's partner among all `keys`; filling rows are no candidates."""
    logits = tf.matmul(queries, keys, transpose_b=True) / TEMPERATURE
    logits = tf.where(weights[tf.newaxis] > 0, logits, -1e9)
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.range(tf.shape(logits)[0]), logits)
    return tf.reduce_sum(tf.where(weights > 0, entropy, 0.0) * weights)


class Trainer(tf.Module):
    """A network, its Adam moments (decoupled weight decay) and the step count.

    Parameters
    ----------
    network
        What is trained.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._weights = list(network.trainable_variables)
        self._first = [tf.Variable(tf.zeros_like(v), trainable=False) for v in self._weights]
        self._second = [tf.Variable(tf.zeros_like(v), trainable=False) for v in self._weights]

    @tf.function(reduce_retracing=True)
    def train_step(
        self, batch: dict[str, tf.Tensor], learning_rate: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """One update; returns the losses before it."""
        with tf.GradientTape() as tape:
            parts = losses(self.network, batch, training=True)
            loss = total_loss(parts)
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, self._weights), 5.0)
        self.step.assign_add(1)
        step = tf.cast(self.step, tf.float32)
        correction = tf.sqrt(1.0 - tf.pow(0.999, step)) / (1.0 - tf.pow(0.9, step))
        moments = zip(self._weights, gradients, self._first, self._second, strict=True)
        for weight, gradient, first, second in moments:
            first.assign(0.9 * first + 0.1 * gradient)
            second.assign(0.999 * second + 0.001 * tf.square(gradient))
            decay = WEIGHT_DECAY * weight if weight.shape.rank == 4 else 0.0
            update = correction * first / (tf.sqrt(second) + 1e-8) + decay
            weight.assign_sub(learning_rate * update)
        return parts


def learning_rate_at(step: int, steps: int, peak: float) -> float:
    """Linear warm-up, then half a cosine down to a hundredth of the peak."""
    if step < WARM_UP_STEPS:
        return peak * (step + 1) / WARM_UP_STEPS
    done = min(1.0, (step - WARM_UP_STEPS) / max(1, steps - WARM_UP_STEPS))
    return peak * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


def projection(targets: list[Path], size: int, file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Mean [t] and components [t, size] of the teacher's descriptors, kept in `file`."""
    if not file.exists():
        sample = [np.load(path)["descriptors"][::10] for path in targets]
        mean, components = fit_projection(np.concatenate(sample), size)
        np.savez(file, mean=mean, components=components)
    with np.load(file) as arrays:
        return arrays["mean"], arrays["components"]


def train(arguments: argparse.Namespace) -> None:
    """Run, or go on with, the training that the command line describes."""
    tf.keras.utils.set_random_seed(arguments.seed)
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    photographs = photograph_paths(arguments.photos)
    if not photographs:
        raise SystemExit(f"{arguments.photos}: no JPEG files to train on; check --photos")
    targets = write_targets(photographs, Teacher(arguments.teacher), out / "targets")
    mean, components = projection(
        targets, arguments.descriptor_size, out / f"projection-{arguments.descriptor_size}.npz"
    )

    trainer = Trainer(Network(arguments.descriptor_size))
    _describe_run(out / RUN_FILE, arguments, len(photographs))
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(trainer=trainer), str(out / "checkpoints"), max_to_keep=2
    )
    if manager.restore_or_initialize():
        _log.info("going on from step %d", int(trainer.step))
    parameters = ViewParameters(side_px=arguments.side, keypoints=arguments.keypoints)
    start = int(trainer.step)
    dataset = examples(
        photographs,
        targets,
        mean,
        components,
        parameters,
        arguments.seed,
        start * arguments.batch,
    )
    dataset = dataset.batch(arguments.batch, drop_remainder=True).prefetch(2)

    history = out / "history.csv"
    rows = _history_before(history, start)
    before = float(str(rows[-1][-1])) if rows else 0.0
    began, sums = time.monotonic(), dict.fromkeys(LOSSES, 0.0)
    for step, batch in zip(range(start, arguments.steps), dataset, strict=False):
        rate = learning_rate_at(step, arguments.steps, arguments.learning_rate)
        parts = trainer.train_step(batch, tf.constant(rate))
        for name in LOSSES:
            sums[name] += float(parts[name]) / LOG_STEPS
        done = step + 1
        if done % LOG_STEPS == 0:
            seconds = time.monotonic() - began
            figures = [f"{sums[name]:.5f}" for name in LOSSES]
            rows.append([done, f"{rate:.6f}", *figures, f"{before + seconds:.0f}"])
            per_step = seconds / (done - start)
            _log.info("%s  %.2f s/step", " ".join(map(str, rows[-1])), per_step)
            sums = dict.fromkeys(LOSSES, 0.0)
        if done % CHECKPOINT_STEPS == 0 or done == arguments.steps:
            manager.save(done)
            _write_history(history, rows)
            draw_curve(history, out / "history.png", LOSSES)


def _describe_run(path: Path, arguments: argparse.Namespace, photographs: int) -> None:
    """Keep what the model card tells of a run."""
    described = {
        **vars(arguments),
        "photos": photographs,
        "teacher": arguments.teacher.stem,
        "out": arguments.out.name,
    }
    path.write_text(json.dumps(described, indent=1) + "\n")


def _history_before(path: Path, step: int) -> list[list[object]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [[int(row[0]), *row[1:]] for row in rows if int(row[0]) <= step]


def _write_history(path: Path, rows: list[list[object]]) -> None:
    partial = path.with_suffix(".tmp")
    with partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "learning_rate", *LOSSES, "seconds"])
        writer.writerows(rows)
    partial.rename(path)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="training.train", description=__doc__)
    result.add_argument("--photos", type=Path, required=True, help="folder of JPEG files")
    result.add_argument("--teacher", type=Path, required=True, help="ALIKE's weights, .npz")
    result.add_argument("--out", type=Path, required=True, help="targets, checkpoints, history")
    result.add_argument("--steps", type=int, default=6000)
    result.add_argument("--batch", type=int, default=4, help="photographs a step, two views each")
    result.add_argument("--side", type=int, default=352, help="px of a view, multiple of 32")
    result.add_argument("--keypoints", type=int, default=256, help="most keypoints of a view")
    result.add_argument("--descriptor-size", type=int, default=64)
    result.add_argument("--learning-rate", type=float, default=2e-3, help="peak")
    result.add_argument("--seed", type=int, default=1)
    return result


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train(parser().parse_args())
