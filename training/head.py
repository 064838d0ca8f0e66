"""Train the descriptors' layers alone: ``python -m training.head --pairs PAIRS … --out RUN``.

What the network's levels say at keypoints is computed once, of every photograph as it is and in
other lights and from other sides, at the sizes that searches use. The two layers above then learn
from real pairs in thousands of steps of some hundredths of a second: what `training.train` does to
the whole network in hours. Keypoints, and the time an image takes, stay what they are.
"""

from __future__ import annotations

import argparse
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training.losses import REPELLED_COSINE, candidates, info_nce, weighted_mean
from training.network import Network
from training.pairs import PhotographPair, read_pairs
from training.places import family, photograph_paths
from training.samples import POINTS, SIZES, VERSIONS, Sampler, Samples
from training.trainer import Trainer, describe_run, run_steps, starting_network

LEAST_ROWS = 6
"""Points of a pair without which it is left out."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class SampledPair:
    """A pair of photographs by the rows of their samples.

    Parameters
    ----------
    one, other : Samples
    rows : intp array [2, m]
        Of their points.
    place : int
        The same for pairs that may show the same.
    lookalike : bool
    zoom : float
        How many times larger the other shows things.
    """

    one: Samples
    other: Samples
    rows: NDArray[np.intp]
    place: int
    lookalike: bool
    zoom: float


def chosen_points(pairs: Sequence[PhotographPair]) -> dict[str, NDArray[np.float32]]:
    """Of each photograph the points that most pairs share, at most `POINTS`: [p, 2] by name."""
    counts: dict[str, dict[tuple[float, float], int]] = defaultdict(lambda: defaultdict(int))
    for pair in pairs:
        for name, locations in zip((pair.one, pair.other), pair.locations, strict=True):
            for point in locations.tolist():
                counts[name][tuple(point)] += 1
    return {
        name: np.array(sorted(found, key=lambda p: -found[p])[:POINTS], np.float32)
        for name, found in counts.items()
    }


def sampled_pairs(
    pairs: Sequence[PhotographPair], samples: dict[str, Samples]
) -> list[SampledPair]:
    """The pairs by what is sampled of them, if that is enough."""
    rows = {
        name: {tuple(point): row for row, point in enumerate(found.points.tolist())}
        for name, found in samples.items()
    }
    places = sorted({family(pair.one.partition("/")[0]) for pair in pairs})
    found = []
    for pair in pairs:
        of_one, of_other = rows.get(pair.one, {}), rows.get(pair.other, {})
        both = [
            (of_one.get(tuple(a)), of_other.get(tuple(b)))
            for a, b in zip(*pair.locations.tolist(), strict=True)
        ]
        kept = np.array([ab for ab in both if None not in ab], np.intp).reshape(-1, 2).T
        if kept.shape[1] >= LEAST_ROWS:
            spread = [
                np.linalg.det(np.cov(p.T)) ** 0.25 + 1e-3 for p in pair.locations.astype(float)
            ]
            found.append(
                SampledPair(
                    samples[pair.one],
                    samples[pair.other],
                    kept,
                    places.index(family(pair.one.partition("/")[0])),
                    pair.kind == "lookalike",
                    float(spread[1] / spread[0]),
                )
            )
    return found


class PairBatches:
    """Batches of rows that show the same, or look as if they did.

    Parameters
    ----------
    pairs
        All kinds of real pairs.
    singles
        Single photographs, whose versions are pairs.
    per_step, rows
        Pairs of a batch, and rows of each.
    seed
        Of all randomness.
    """

    def __init__(
        self,
        pairs: Sequence[SampledPair],
        singles: Sequence[Samples],
        per_step: int = 10,
        rows: int = 200,
        seed: int = 1,
    ) -> None:
        self._rows, self._per_step, self._seed = rows, per_step, seed
        self._of_place: dict[int, list[SampledPair]] = defaultdict(list)
        self._lookalikes = [pair for pair in pairs if pair.lookalike]
        for pair in pairs:
            if not pair.lookalike:
                self._of_place[pair.place].append(pair)
        self._places = sorted(self._of_place)
        counts = np.sqrt([len(self._of_place[place]) for place in self._places])
        self._shares = counts / counts.sum()
        self._singles = [
            SampledPair(s, s, np.tile(np.arange(len(s.points)), (2, 1)), -1 - i, False, 1.0)
            for i, s in enumerate(singles)
        ]

    def __call__(self, step: int) -> dict[str, NDArray]:
        """The batch of a step: ``one``, ``other`` [m, c], ``taught_one``, ``taught_other`` (of the
        photographs as they are) [m, c], ``where_one``, ``where_other`` [m, 2] px as sampled,
        ``example``, ``place`` [m], ``same`` [m], 0 where both only look alike."""
        rng = np.random.default_rng([self._seed, step])
        parts: dict[str, list[NDArray]] = defaultdict(list)
        for example in range(self._per_step):
            self._add(parts, self._drawn(example, rng), example, rng)
        return {name: np.concatenate(found) for name, found in parts.items()}

    def batches_from(self, step: int) -> Iterator[dict[str, tf.Tensor]]:
        """Those of this step and all after it."""
        while True:
            yield {name: tf.constant(value) for name, value in self(step).items()}
            step += 1

    def _drawn(self, example: int, rng: np.random.Generator) -> SampledPair:
        if self._singles and example < self._per_step // 5:
            return self._singles[rng.integers(len(self._singles))]
        if self._lookalikes and example < 2 * self._per_step // 5:
            return self._lookalikes[rng.integers(len(self._lookalikes))]
        found = self._of_place[self._places[rng.choice(len(self._places), p=self._shares)]]
        return found[rng.integers(len(found))]

    def _add(
        self,
        parts: dict[str, list[NDArray]],
        pair: SampledPair,
        example: int,
        rng: np.random.Generator,
    ) -> None:
        fits = [
            (i, j)
            for i, one in enumerate(SIZES)
            for j, other in enumerate(SIZES)
            if 1 / 2.1 <= pair.zoom * other / one <= 2.1
        ] or [(0, 1) if pair.zoom < 1 else (1, 0)]
        sizes = fits[rng.integers(len(fits))]
        versions = rng.integers(VERSIONS, size=2)
        if pair.one is pair.other:
            versions = rng.permutation(VERSIONS)[:2]
        both = (pair.one, pair.other)
        shown = np.ones(pair.rows.shape[1], bool)
        for samples, rows, version in zip(both, pair.rows, versions, strict=True):
            shown &= samples.seen[version, rows]
        chosen = rng.permutation(np.flatnonzero(shown))[: self._rows]
        for name, samples, rows, version, size in zip(
            ("one", "other"), both, pair.rows, versions, sizes, strict=True
        ):
            at = rows[chosen]
            parts[name].append(samples.values[version, size, at].astype(np.float32))
            parts[f"taught_{name}"].append(samples.values[0, size, at].astype(np.float32))
            parts[f"where_{name}"].append(samples.points[at] * SIZES[size])
        parts["example"].append(np.full(len(chosen), example, np.int32))
        parts["place"].append(np.full(len(chosen), pair.place, np.int32))
        parts["same"].append(np.full(len(chosen), 0.0 if pair.lookalike else 1.0, np.float32))


class HeadLosses:
    """The losses of `Network.described` on a batch of `PairBatches`.

    Parameters
    ----------
    network
        As at the first step: what its descriptors are now is an anchor for what they become.
    anchor, repulsion, temperature
        How much the anchor weighs, how much look-alikes do, and InfoNCE's temperature.
    """

    def __init__(
        self, network: Network, anchor: float, repulsion: float, temperature: float
    ) -> None:
        self._anchor, self._repulsion, self._sharpness = anchor, repulsion, 1 / temperature
        self._before = [tf.constant(variable) for variable in head_of(network)]

    def __call__(
        self, network: Network, batch: dict[str, tf.Tensor]
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """The parts and their weighted sum."""
        one, other = (network.described(batch[name]) for name in ("one", "other"))
        same = batch["same"]
        of_one, of_other = (
            candidates(batch["example"], batch["place"], batch[f"where_{name}"])
            for name in ("one", "other")
        )
        contrast = (
            info_nce(one, other, same, of_other, self._sharpness)
            + info_nce(other, one, same, of_one, self._sharpness)
        ) / 2
        anchors = [self._as_before(batch[f"taught_{name}"]) for name in ("one", "other")]
        kept = (tf.reduce_sum(one * anchors[0], 1) + tf.reduce_sum(other * anchors[1], 1)) / 2
        too_alike = tf.nn.relu(tf.reduce_sum(one * other, 1) - REPELLED_COSINE)
        parts = {
            "contrast": contrast,
            "anchor": tf.reduce_mean(1 - kept),
            "repulsion": weighted_mean(tf.square(too_alike), 1 - same),
        }
        weighted = self._anchor * parts["anchor"] + self._repulsion * parts["repulsion"]
        return parts, contrast + weighted

    def _as_before(self, samples: tf.Tensor) -> tf.Tensor:
        kernel, bias, last, last_bias = self._before
        hidden = tf.nn.relu(tf.matmul(samples, kernel[0, 0]) + bias)
        return tf.math.l2_normalize(tf.matmul(hidden, last[0, 0]) + last_bias, axis=1)


def head_of(network: Network) -> list[tf.Variable]:
    """The variables of the descriptors' two layers."""
    layers = (network.descriptor_hidden, network.descriptor_output)
    return [variable for layer in layers for variable in (layer.kernel, layer.bias)]


def all_samples(
    arguments: argparse.Namespace, network: Network
) -> tuple[list[SampledPair], list[Samples]]:
    """Of the mined pairs, and of single photographs, computed where they are not there yet."""
    mined = [pair for path in sorted(arguments.pairs.glob("*.npz")) for pair in read_pairs(path)]
    if not mined:
        raise SystemExit(f"{arguments.pairs}: no pairs; run training.pairs first")
    sampler = Sampler(network, arguments.samples)
    points = chosen_points([pair for pair in mined if pair.kind != "lookalike"])
    samples = {}
    for index, (name, found) in enumerate(sorted(points.items())):
        samples[name] = sampler(arguments.places / name, found, name)
        if index % 50 == 0:
            _log.info("sampled %d of %d photographs of pairs", index, len(points))
    singles = [
        sampler(photograph, None, f"single/{photograph.name}")
        for photograph in photograph_paths(arguments.photos)[:: arguments.every]
    ]
    return sampled_pairs(mined, samples), singles


def train_head(arguments: argparse.Namespace) -> None:
    """Run, or go on with, the training that the command line describes."""
    tf.keras.utils.set_random_seed(arguments.seed)
    network = starting_network(arguments.descriptor_size, arguments.start)
    batches = PairBatches(*all_samples(arguments, network), seed=arguments.seed)
    losses = HeadLosses(network, arguments.anchor, arguments.repulsion, arguments.temperature)
    describe_run(arguments.out, {**vars(arguments), "start": arguments.start.name})
    run_steps(
        Trainer(network, losses, head_of(network)),
        batches.batches_from,
        arguments.out,
        arguments.steps,
        arguments.learning_rate,
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="training.head", description=__doc__)
    result.add_argument("--start", type=Path, required=True, help="exported model")
    result.add_argument("--places", type=Path, required=True, help="one folder for each place")
    result.add_argument("--pairs", type=Path, required=True, help="what training.pairs found there")
    result.add_argument("--photos", type=Path, required=True, help="folder of JPEG files")
    result.add_argument("--every", type=int, default=6, help="of so many of them, one is used")
    result.add_argument("--samples", type=Path, required=True, help="written here, 2 GB")
    result.add_argument("--out", type=Path, required=True, help="checkpoints, history")
    result.add_argument("--descriptor-size", type=int, default=64, help="of the model")
    result.add_argument("--steps", type=int, default=3000)
    result.add_argument("--learning-rate", type=float, default=1e-3, help="peak")
    result.add_argument("--anchor", type=float, default=0.3)
    result.add_argument("--repulsion", type=float, default=1.0)
    result.add_argument("--temperature", type=float, default=0.07)
    result.add_argument("--seed", type=int, default=1)
    return result


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train_head(parser().parse_args())
