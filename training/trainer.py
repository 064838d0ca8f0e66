"""A run: the update, the average of weights, checkpoints and the history of the losses."""

from __future__ import annotations

import csv
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import tensorflow as tf

from training.curve import draw_curve
from training.network import Network

WEIGHT_DECAY = 1e-4
WARM_UP_STEPS = 200
CHECKPOINT_STEPS = 100
LOG_STEPS = 20
AVERAGING = 0.998
"""What is exported: an average over the weights of some 500 steps."""
RUN_FILE = "run.json"

Batch: TypeAlias = dict[str, tf.Tensor]
Losses: TypeAlias = Callable[[Network, Batch], tuple[dict[str, tf.Tensor], tf.Tensor]]
"""Of a batch: the parts, to be told, and their weighted sum, to be lowered."""

_log = logging.getLogger(__name__)


class Trainer(tf.Module):
    """A network, its Adam moments (decoupled weight decay), running average and step count.

    Parameters
    ----------
    network
        What is trained.
    losses
        What is lowered.
    weights
        Which of the network's variables learn; by default all that can.
    """

    def __init__(
        self, network: Network, losses: Losses, weights: Sequence[tf.Variable] | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._losses = losses
        self._weights = list(network.trainable_variables if weights is None else weights)
        self._first = [tf.Variable(tf.zeros_like(v), trainable=False) for v in self._weights]
        self._second = [tf.Variable(tf.zeros_like(v), trainable=False) for v in self._weights]
        self.averages = _copies(network)

    @tf.function(reduce_retracing=True)
    def train_step(self, batch: Batch, learning_rate: tf.Tensor) -> dict[str, tf.Tensor]:
        """One update; returns the losses before it."""
        with tf.GradientTape() as tape:
            parts, loss = self._losses(self.network, batch)
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
        share = tf.maximum(1.0 - AVERAGING, 1.0 / step)  # at first the average of all steps
        for variable, average in zip(self.network.variables, self.averages, strict=True):
            average.assign_add(share * (variable - average))
        return parts


def learning_rate_at(step: int, steps: int, peak: float) -> float:
    """Linear warm-up, then half a cosine down to a hundredth of the peak."""
    if step < WARM_UP_STEPS:
        return peak * (step + 1) / WARM_UP_STEPS
    done = min(1.0, (step - WARM_UP_STEPS) / max(1, steps - WARM_UP_STEPS))
    return peak * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


def starting_network(descriptor_size: int, start: Path | None) -> Network:
    """A network to train: random, or with the weights of an exported model.

    The latter knows no batch normalisation any more: an exported model's is folded.
    """
    network = Network(descriptor_size)
    if start is not None:
        _fold(network)
        weights = tf.train.Checkpoint(network=network).read(str(start / "variables" / "variables"))
        weights.assert_existing_objects_matched().expect_partial()
    return network


def trained(run: Path) -> Network:
    """The network of a run's last checkpoint, by the average of its weights.

    Raises
    ------
    SystemExit
        If there is none.
    """
    checkpoint = tf.train.latest_checkpoint(str(run / "checkpoints"))
    if checkpoint is None:
        raise SystemExit(f"{run}: no checkpoint; run training.train first")
    said = json.loads((run / RUN_FILE).read_text())
    network = Network(said["descriptor_size"])
    if said["start"] is not None:
        _fold(network)
    kept = tf.Module()
    kept.network, kept.averages = network, _copies(network)
    tf.train.Checkpoint(trainer=kept).restore(checkpoint).expect_partial()
    for variable, average in zip(network.variables, kept.averages, strict=True):
        variable.assign(average)
    return network


def run_steps(
    trainer: Trainer,
    batches_from: Callable[[int], Iterator[Batch]],
    out: Path,
    steps: int,
    peak: float,
) -> None:
    """Take a trainer through its steps, or on from the last checkpoint in `out`.

    Parameters
    ----------
    trainer
        As at the first step.
    batches_from
        Gives the batches of the steps from one on.
    out
        Receives ``checkpoints``, ``history.csv`` and ``history.png``.
    steps, peak
        As of `learning_rate_at`.
    """
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(trainer=trainer), str(out / "checkpoints"), max_to_keep=2
    )
    if manager.restore_or_initialize():
        _log.info("going on from step %d", int(trainer.step))
    start = int(trainer.step)
    history = out / "history.csv"
    rows = _history_before(history, start)
    before = float(str(rows[-1][-1])) if rows else 0.0
    began, sums, names = time.monotonic(), dict[str, float](), list[str]()
    for step, batch in zip(range(start, steps), batches_from(start), strict=False):
        rate = learning_rate_at(step, steps, peak)
        parts = trainer.train_step(batch, tf.constant(rate))
        names = sorted(parts)
        for name in names:
            sums[name] = sums.get(name, 0.0) + float(parts[name]) / LOG_STEPS
        done = step + 1
        if done % LOG_STEPS == 0:
            seconds = time.monotonic() - began
            figures = [f"{sums[name]:.5f}" for name in names]
            rows.append([done, f"{rate:.6f}", *figures, f"{before + seconds:.0f}"])
            per_step = seconds / (done - start)
            _log.info("%s  %.2f s/step", " ".join(map(str, rows[-1])), per_step)
            sums.clear()
        if done % CHECKPOINT_STEPS == 0 or done == steps:
            manager.save(done)
            _write_history(history, names, rows)
            draw_curve(history, out / "history.png", names)


def describe_run(out: Path, said: Mapping[str, Any]) -> None:
    """Keep what the model card tells of a run."""
    out.mkdir(parents=True, exist_ok=True)
    (out / RUN_FILE).write_text(json.dumps({**said, "out": out.name}, indent=1, default=str) + "\n")


def _copies(network: Network) -> list[tf.Variable]:
    return [tf.Variable(variable, trainable=False) for variable in network.variables]


def _fold(network: Network) -> None:
    for convolution in network.convolutions:
        convolution.fold()


def _history_before(path: Path, step: int) -> list[list[object]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [[int(row[0]), *row[1:]] for row in rows if int(row[0]) <= step]


def _write_history(path: Path, names: list[str], rows: list[list[object]]) -> None:
    partial = path.with_suffix(".tmp")
    with partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "learning_rate", *names, "seconds"])
        writer.writerows(rows)
    partial.rename(path)
