"""How alike two images are, from a few KB of each: a match kernel of binary descriptors.

Of each visual word that an image shows, its **sketch** keeps on which side of the word its
descriptors lie: a bit for each axis. Two images are as alike as the words that both show, and far
more by those whose bits agree (ASMK*: Tolias, Avrithis and Jégou, "Image search with selective
match kernels: aggregation across single and multiple images", 2016, section 4).

A word is a pair of words, one of each half of a descriptor (Babenko and Lempitsky, "The inverted
multi-index", 2012): thousands of them are measured on few images, and found by two small products.
Several vocabularies, each of axes turned another way, tell more apart than one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark.features import read_arrays, write_arrays
from landmark.matching.clustering import sums_by_group, unit_length

VOCABULARIES = 3
HALF_WORDS = 128
# Of all vocabularies together; a sketch numbers them in 16 bits.
WORD_LIMIT = VOCABULARIES * HALF_WORDS**2
KMEANS_ITERATIONS = 10
# How much more a word counts whose bits agree; below half of them it counts nothing.
SELECTIVITY = 5


class Sketch(NamedTuple):
    """What is kept of an image.

    Parameters
    ----------
    words : uint16 array [w]
        Ascending.
    bits : uint64 array [w, b]
        On which side of each word, 64 axes to a number.
    """

    words: NDArray[np.uint16]
    bits: NDArray[np.uint64]

    def to_bytes(self) -> bytes:
        """Words, then bits, little-endian."""
        return self.words.astype("<u2").tobytes() + self.bits.astype("<u8").tobytes()


class Sketches:
    """Those of many images, one after the other.

    Parameters
    ----------
    sketches : sequence of Sketch
        At least one.
    """

    def __init__(self, sketches: Sequence[Sketch]) -> None:
        self.sizes = np.array([len(sketch.words) for sketch in sketches])
        self.words = np.concatenate([sketch.words for sketch in sketches])
        self.bits = np.concatenate([sketch.bits for sketch in sketches])
        self.owners = np.repeat(np.arange(len(sketches), dtype=np.int32), self.sizes)

    def __len__(self) -> int:
        return len(self.sizes)

    @cached_property
    def by_word(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """An inverted file: an order of what is shown by word; where each starts, how many."""
        counts = np.bincount(self.words, minlength=WORD_LIMIT)
        return np.argsort(self.words, kind="stable"), counts.cumsum() - counts, counts


@dataclass(frozen=True, eq=False)
class MatchKernel:
    """Vocabularies, measured once for each model.

    Parameters
    ----------
    axes : float32 array [v, d, 2 * h]
        Of each vocabulary: descriptors of length d are turned to these axes.
    words : float32 array [v, 2, k, h]
        Of each vocabulary: words of the first half of the axes, and of the second.
    """

    axes: NDArray[np.float32]
    words: NDArray[np.float32]

    @classmethod
    def fit(cls, descriptors: NDArray[np.float32], rng: np.random.Generator) -> MatchKernel:
        """Measure the vocabularies on descriptors [n, d] in random order, n > 0, d > 1."""
        size = descriptors.shape[1]
        axes, words = [], []
        for _ in range(VOCABULARIES):
            turned = np.linalg.qr(rng.normal(size=(size, size)))[0][:, : size // 2 * 2]
            axes.append(turned.astype(np.float32))
            halves = np.split(descriptors @ axes[-1], 2, axis=1)
            words.append([_words(half) for half in halves])
        return cls(np.stack(axes), np.array(words))

    def to_bytes(self) -> bytes:
        """As an .npz file; the same kernel gives the same bytes."""
        return write_arrays(axes=self.axes, words=self.words)

    @classmethod
    def from_bytes(cls, data: bytes) -> MatchKernel:
        """Read what `to_bytes` wrote."""
        return cls(**read_arrays(data))

    def sketch(self, descriptors: NDArray[np.floating]) -> Sketch:
        """The sketch of an image's descriptors [n, d]; the same in any order of them."""
        found, signs = [], []
        for number, axes in enumerate(self.axes):
            turned = descriptors.astype(np.float32) @ axes
            halves = zip(np.split(turned, 2, axis=1), self.words[number], strict=True)
            first, second = (_nearest(half, words) for half, words in halves)
            beside = turned - np.hstack(
                [self.words[number, 0, first], self.words[number, 1, second]]
            )
            words, groups = np.unique(first * self._k + second, return_inverse=True)
            signs.append(sums_by_group(unit_length(beside), groups, len(words)) > 0)
            found.append(words + number * self._k**2)
        sides = np.concatenate(signs)
        sides = np.pad(sides, ((0, 0), (0, 64 * self._numbers - sides.shape[1])))
        bits = np.packbits(sides, axis=1, bitorder="little").view("<u8")
        return Sketch(np.concatenate(found).astype(np.uint16), bits)

    def read(self, data: bytes) -> Sketch:
        """Read what `Sketch.to_bytes` wrote.

        Raises
        ------
        ValueError
            If it cannot have.
        """
        count, rest = divmod(len(data), self.bytes_a_word)
        if rest or not count:
            raise ValueError(f"a sketch of {len(data)} bytes")
        words = np.frombuffer(data, "<u2", count)
        bits = np.frombuffer(data, "<u8", offset=2 * count).reshape(count, self._numbers)
        unused = 64 * self._numbers - self.axes.shape[2]
        if words[-1] >= len(self.words) * self._k**2 or (words[1:] <= words[:-1]).any():
            raise ValueError("a sketch of other words")
        if unused and (bits[:, -1] >> np.uint64(64 - unused)).any():
            raise ValueError("a sketch of other bits")
        return Sketch(words, bits)

    def similarities(self, known: Sketches, others: Sketches) -> NDArray[np.float32]:
        """How alike each of others is to the most alike of known images, [n]; 0 if to none."""
        # The known ones are few: their words are looked up, and the others only passed.
        order, starts, counts = known.by_word
        shared = np.flatnonzero((counts > 0)[others.words])
        words = others.words[shared]
        counts, starts = counts[words], starts[words]
        # Each of the other images' words that somebody shows, with the first who does, the next...
        ours = order[np.arange(counts.sum()) + np.repeat(starts - counts.cumsum() + counts, counts)]
        theirs = np.repeat(shared, counts)
        differ = np.bitwise_count(known.bits[ours] ^ others.bits[theirs])
        weights = self._weights[differ.sum(axis=1)]
        pairs = others.owners[theirs] * len(known) + known.owners[ours]
        sums = np.bincount(pairs, weights, minlength=len(others) * len(known))
        most = sums.reshape(len(others), len(known)).max(axis=1)
        return (most / np.sqrt(np.maximum(others.sizes, 1))).astype(np.float32)

    @property
    def bytes_a_word(self) -> int:
        """Of a sketch."""
        return 2 + 8 * self._numbers

    @property
    def _k(self) -> int:
        return self.words.shape[2]

    @property
    def _numbers(self) -> int:
        """That hold a word's bits."""
        return -(-self.axes.shape[2] // 64)

    @property
    def _weights(self) -> NDArray[np.float64]:
        """Of a word by how many of its bits differ."""
        bits = self.axes.shape[2]
        return np.maximum(1 - 2 * np.arange(bits + 1) / bits, 0) ** SELECTIVITY


def _words(sample: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cluster centres [k, h] of a sample [n, h] by k-means; where n < k, some come twice."""
    words = sample[np.arange(HALF_WORDS) % len(sample)]
    for _ in range(KMEANS_ITERATIONS):
        nearest = _nearest(sample, words)
        counts = np.bincount(nearest, minlength=len(words))[:, None]
        means = sums_by_group(sample, nearest, len(words)) / np.maximum(counts, 1)
        words = np.where(counts > 0, means, words)  # what is nearest to nothing stays
    return words


def _nearest(vectors: NDArray[np.float32], words: NDArray[np.float32]) -> NDArray[np.intp]:
    """For each vector [n, h] the nearest of the words [k, h]."""
    return (vectors @ words.T - (words**2).sum(axis=1) / 2).argmax(axis=1)
