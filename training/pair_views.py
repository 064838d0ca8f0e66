"""Training examples of real pairs: two views of two photographs of one place, or of look-alikes.

Each view is cut round something that both photographs show, at a size and in a light of its own;
which, and how, follows from the seed and the example's index, as in `training.data`.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training.data import MARGIN_PX, ViewParameters, photometric, read_target, warped
from training.pairs import PhotographPair
from training.places import family

LOOKALIKE_SHARE = 0.2
"""Of the examples."""
CHAINED_WEIGHT = 2.0
"""How much likelier than a direct one a pair by way of a third photograph is drawn."""
SIZES = (0.6, 1.4)
"""Least and largest size of view 1, times that of the photograph."""
SIZE_CHANGE = 1.5
"""View 2 shows things larger or smaller than view 1, by so much at most."""
SMALLEST_SIZE = 0.4
ROTATION_DEG = 8.0
"""Standard deviation."""
MATCHED_PX = 3
UNMATCHED_SCORE = 0.5
"""Times the teacher's score: what no other photograph of its place shows, where `ENOUGH_PAIRS`
could, is a tree, a passer-by or a cloud rather than a building."""
ENOUGH_PAIRS = 3
JITTER = 0.2
"""How far from a view's centre its point lies, as a fraction of the side."""


class PairChoice:
    """Which pair an example shows, and where.

    Parameters
    ----------
    pairs
        What `training.pairs` found, of all kinds.
    parameters
        How views are drawn.
    seed
        Of all randomness.
    """

    def __init__(
        self, pairs: Sequence[PhotographPair], parameters: ViewParameters, seed: int
    ) -> None:
        self.pairs = list(pairs)
        self._parameters, self._seed = parameters, seed
        self._of_family: dict[str, list[int]] = defaultdict(list)
        self._lookalikes: list[int] = []
        alike: dict[str, set[str]] = defaultdict(set)
        for index, pair in enumerate(self.pairs):
            one, other = (_family_of(name) for name in (pair.one, pair.other))
            if pair.kind == "lookalike":
                self._lookalikes.append(index)
                alike[one].add(other)
                alike[other].add(one)
            else:
                self._of_family[one].append(index)
        self._families = sorted(self._of_family)
        self._alike = {
            name: [other for other in sorted(found) if other in self._of_family]
            for name, found in alike.items()
        }
        # Neither drowned by the places that have most pairs, nor worn out by those with few.
        counts = np.sqrt([len(self._of_family[name]) for name in self._families])
        self._shares = counts / counts.sum()

    def pair(self, index: int) -> int:
        """Which of `pairs` an example shows; every second follows a look-alike of the one before.

        Beside each other in a batch, the two are each other's hard negatives.
        """
        rng = np.random.default_rng([self._seed, index])
        if self._lookalikes and rng.random() < LOOKALIKE_SHARE:
            return int(rng.choice(self._lookalikes))
        name = self._families[rng.choice(len(self._families), p=self._shares)]
        if index % 2:
            before = _family_of(self.pairs[self.pair(index - 1)].one)
            name = str(rng.choice(self._alike.get(before) or [name]))
        found = self._of_family[name]
        weights = np.array(
            [CHAINED_WEIGHT if self.pairs[i].kind == "chained" else 1.0 for i in found]
        )
        return int(rng.choice(found, p=weights / weights.sum()))

    def views(
        self, index: int, sizes: NDArray[np.integer]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Where an example's views lie, and what they show.

        Parameters
        ----------
        index
            The example's.
        sizes
            int [2, 2], height and width of either photograph.

        Returns
        -------
        homographies
            float32 [2, 3, 3], maps (x, y, 1) px of a view to the photograph's.
        locations
            float32 [2, n, 2], (y, x) px in the views, of what both show; n is at most
            `ViewParameters.keypoints` and may be 0.
        """
        side, most = self._parameters.side_px, self._parameters.keypoints
        rng = np.random.default_rng([self._seed, index, 1])
        locations = self.pairs[self.pair(index)].locations
        spread = [np.linalg.det(np.cov(points.T)) ** 0.25 for points in locations.astype(float)]
        zoom = float(np.clip((spread[1] + 1e-3) / (spread[0] + 1e-3), 1 / 6, 6))
        low, high = np.log(SIZES)
        first = math.exp(rng.uniform(low, high))
        second = first / zoom * math.exp(rng.uniform(-1, 1) * math.log(SIZE_CHANGE))
        centre = rng.integers(locations.shape[1])
        homographies = np.stack(
            [
                _window(points[centre], float(np.clip(size, SMALLEST_SIZE, 2.0)), hw, side, rng)
                for points, size, hw in zip(locations, (first, second), sizes, strict=True)
            ]
        )
        seen = np.stack(
            [
                _applied(np.linalg.inv(h), points)
                for h, points in zip(homographies, locations, strict=True)
            ]
        )
        inside = ((seen >= MARGIN_PX) & (seen <= side - 1 - MARGIN_PX)).all(axis=(0, 2))
        chosen = rng.permutation(np.flatnonzero(inside))[:most]
        return homographies.astype(np.float32), seen[:, chosen].astype(np.float32)


class ScoreTargets:
    """The teacher's scores of the photographs of pairs, lower where nothing matched.

    Parameters
    ----------
    folder
        What `training.targets` wrote, a folder for each place.
    pairs
        Of all kinds.
    """

    def __init__(self, folder: Path, pairs: Sequence[PhotographPair]) -> None:
        self._folder = folder
        self._points: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
        for pair in pairs:
            if pair.kind != "lookalike":
                for name, points in zip((pair.one, pair.other), pair.locations, strict=True):
                    self._points[name].append(points)

    def __call__(self, name: str) -> NDArray[np.float16]:
        """Of a photograph, [h, w]."""
        path = (self._folder / name).with_suffix(".npz")
        score = read_target(str(path).encode())[0]
        found = self._points.get(name, [])
        if len(found) < ENOUGH_PAIRS:
            return score
        points = np.rint(np.concatenate(found)).astype(int)
        shares = np.full(score.shape, UNMATCHED_SCORE, np.float16)
        steps = range(-MATCHED_PX, MATCHED_PX + 1)
        for dy, dx in itertools.product(steps, steps):
            y, x = np.clip(points + [dy, dx], 0, np.array(score.shape) - 1).T
            shares[y, x] = 1
        return score * shares


def pair_examples(
    choice: PairChoice,
    photos: Path,
    targets: Path,
    descriptor_size: int,
    parameters: ViewParameters,
    seed: int,
    start: int = 0,
) -> tf.data.Dataset:
    """Endless examples, of the form of `training.data.examples`.

    Parameters
    ----------
    choice
        Which pairs and views.
    photos, targets
        Folders of a folder for each place: its photographs, and what `training.targets` wrote.
    descriptor_size
        Of the zeros in the place of descriptors: nobody knows what is common to two photographs.
    parameters
        How views are drawn.
    seed
        Of light and noise.
    start
        Index of the first example.
    """
    names = tf.constant([(pair.one, pair.other) for pair in choice.pairs])
    kinds = tf.constant([pair.kind == "lookalike" for pair in choice.pairs])
    families = sorted({_family_of(pair.one) for pair in choice.pairs})
    # From 1 on: those below are single photographs'.
    numbers = tf.constant([1 + families.index(_family_of(pair.one)) for pair in choice.pairs])
    n = parameters.keypoints

    scores_of = ScoreTargets(targets, choice.pairs)

    def example(index: tf.Tensor) -> dict[str, tf.Tensor]:
        pair = tf.numpy_function(lambda i: np.int64(choice.pair(int(i))), [index], tf.int64)
        stacked = []
        for which in range(2):
            name = names[pair, which]
            score = tf.numpy_function(lambda n: scores_of(n.decode()), [name], tf.float16)
            score.set_shape([None, None])
            data = tf.io.read_file(str(photos) + "/" + name)
            image = tf.io.decode_jpeg(data, channels=3)
            image = tf.image.convert_image_dtype(image, tf.float32)
            image = image[: tf.shape(score)[0], : tf.shape(score)[1]]
            stacked.append(tf.concat([image, tf.cast(score, tf.float32)[:, :, None]], axis=2))
        sizes = tf.stack([tf.shape(one)[:2] for one in stacked])
        homographies, seen = tf.numpy_function(
            lambda i, s: choice.views(int(i), s), [index, sizes], [tf.float32, tf.float32]
        )
        homographies.set_shape([2, 3, 3])
        seen.set_shape([2, None, 2])
        views = tf.stack(
            [warped(stacked[i], homographies[i], parameters.side_px) for i in range(2)]
        )
        seeds = tf.random.split(tf.stack([tf.constant(seed, tf.int64), index]), 2)
        count = tf.shape(seen)[1]
        here = tf.cast(tf.range(n) < count, tf.float32)
        alike = tf.cast(kinds[pair], tf.float32)
        return {
            "images": tf.stack([_relit(views[i, :, :, :3], seeds[i]) for i in range(2)]),
            "scores": views[..., 3],
            "locations": tf.ensure_shape(tf.pad(seen, [[0, 0], [0, n - count], [0, 0]]), [2, n, 2]),
            "descriptors": tf.zeros([n, descriptor_size]),
            "weights": here * (1 - alike),
            "taught": tf.zeros([n]),
            "repelled": here * alike,
            "place": numbers[pair],
        }

    indices = tf.data.Dataset.counter(start)
    return indices.map(example, num_parallel_calls=2, deterministic=True)


def _relit(view: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Between the view as it is and in another light: two photographs differ in theirs already."""
    share = tf.random.stateless_uniform([], seed)
    return view + share * (photometric(view, seed) - view)


def _family_of(name: str) -> str:
    return family(name.partition("/")[0])


def _window(
    point: NDArray[np.floating],
    size: float,
    photograph: NDArray[np.integer],
    side_px: int,
    rng: np.random.Generator,
) -> NDArray[np.floating]:
    """A view's homography [3, 3] round a point (y, x), inside of the photograph where it fits."""
    reach = side_px / 2 / size
    middle = point + rng.uniform(-JITTER, JITTER, 2) * side_px / size
    limits = np.minimum(reach, photograph / 2)
    middle = np.clip(middle, limits, photograph - limits)
    angle = math.radians(rng.normal() * ROTATION_DEG)
    cos, sin, half = math.cos(angle) / size, math.sin(angle) / size, (side_px - 1) / 2
    linear = np.array([[cos, -sin], [sin, cos]])
    shift = middle[::-1] - linear @ [half, half]
    return np.vstack([np.column_stack([linear, shift]), [0, 0, 1]])


def _applied(homography: NDArray[np.floating], points: NDArray[np.floating]) -> NDArray:
    """Points [n, 2] (y, x) after a homography of (x, y, 1)."""
    mapped = np.column_stack([points[:, ::-1], np.ones(len(points))]) @ homography.T
    return (mapped[:, :2] / mapped[:, 2:])[:, ::-1]
