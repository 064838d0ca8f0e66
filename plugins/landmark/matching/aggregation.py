"""Local features -> one global descriptor, for a shortlist of images worth matching.

Vectors of locally aggregated descriptors (Jégou et al., "Aggregating local descriptors into a
compact image representation", 2010): each visual word sums up what its descriptors have beside it.
Each difference counts alike, and each word (Delhumeau et al., "Revisiting the VLAD image
representation", 2013; Arandjelović and Zisserman, "All about VLAD", 2013), since repeated ornament
would drown the rest. Then the principal components, evened out: what all photographs share says
least (Jégou and Chum, "Negative evidences and co-occurrences in image retrieval", 2012).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landmark.features import read_arrays, write_arrays
from landmark.matching.clustering import sums_by_group, unit_length
from landmark.matching.match_kernel import MatchKernel

WORDS = 256
# Measured on fewer images, half as many words lose less.
FEW_IMAGES = 1_000
DIMENSIONS = 384
# Principal components must be measured on many more images than there are of them.
IMAGES_PER_DIMENSION = 2

# Of the descriptors of the sample; with fewer, chance has more of a say in what is lost.
SAMPLED_PER_IMAGE = 400
SAMPLED_DESCRIPTORS = 200_000
KMEANS_ITERATIONS = 10
# 0 leaves the components as they are, 1 gives each the same variance.
EVENED_OUT = 0.5
# Of the first component's variance; below it there is only noise to enlarge.
LEAST_VARIANCE = 1e-3

# Gives the descriptors [n, d] of the images of a sample, the same each time.
Sample = Callable[[], Iterable[NDArray[np.floating]]]


@dataclass(frozen=True, eq=False)
class Aggregation:
    """What makes global descriptors of local ones; measured once for each model.

    Parameters
    ----------
    words : float32 array [k, d]
        Visual words, unit length.
    mean : float32 array [k * d]
        Of the aggregated vectors.
    components : float32 array [k * d, g]
        Principal components, each over its standard deviation to the power of `EVENED_OUT`.
    kernel : MatchKernel or None
        Orders what global descriptors have found; None: measured before there was one.
    """

    words: NDArray[np.float32]
    mean: NDArray[np.float32]
    components: NDArray[np.float32]
    kernel: MatchKernel | None = None

    @classmethod
    def fit(cls, sample: Sample) -> Aggregation | None:
        """Measure words, components and match kernel on a sample of images.

        The sample is read twice; of each image only its vector is kept, 64 KB for 64-d features.

        Returns
        -------
        Aggregation or None
            None if the images are too few.
        """
        rng = np.random.default_rng(0)
        descriptors = [
            values[rng.permutation(len(values))[:SAMPLED_PER_IMAGE]]
            for values in sample()
            if len(values)
        ]
        dimensions = min(DIMENSIONS, len(descriptors) // IMAGES_PER_DIMENSION)
        if not dimensions:
            return None
        count = WORDS if len(descriptors) >= FEW_IMAGES else WORDS // 2
        sampled = np.concatenate(descriptors)
        chosen = rng.permutation(len(sampled))[:SAMPLED_DESCRIPTORS]
        sampled = sampled[chosen].astype(np.float32)
        words = _visual_words(sampled, count)
        vectors = np.stack([_aggregated(words, values) for values in sample() if len(values)])
        kernel = MatchKernel.fit(sampled, rng)
        return cls(words, *_evened_components(vectors, dimensions), kernel)

    def describe(self, descriptors: NDArray[np.floating]) -> NDArray[np.float16]:
        """The global descriptor of an image.

        Parameters
        ----------
        descriptors : floating array [n, d]

        Returns
        -------
        float16 array [g]
            Unit length, so that the dot product of two is their cosine; all zeros for n = 0.
        """
        if not len(descriptors):
            return np.zeros(self.dimensions, np.float16)
        vector = (_aggregated(self.words, descriptors) - self.mean) @ self.components
        return unit_length(vector).astype(np.float16)

    @property
    def dimensions(self) -> int:
        """Of the global descriptors."""
        return self.components.shape[1]

    def to_bytes(self) -> bytes:
        """As an .npz file; the same aggregation gives the same bytes."""
        arrays = {"words": self.words, "mean": self.mean, "components": self.components}
        if self.kernel is not None:
            arrays |= {"kernel_axes": self.kernel.axes, "kernel_words": self.kernel.words}
        return write_arrays(**arrays)

    @classmethod
    def from_bytes(cls, data: bytes) -> Aggregation:
        """Read what `to_bytes` wrote."""
        arrays = read_arrays(data)
        kernel = None
        if "kernel_axes" in arrays:
            kernel = MatchKernel(arrays.pop("kernel_axes"), arrays.pop("kernel_words"))
        return cls(**arrays, kernel=kernel)


def _aggregated(words: NDArray[np.float32], descriptors: NDArray[np.floating]) -> NDArray:
    """The vector [k * d] of an image's descriptors [n, d], n > 0: unit length."""
    values = descriptors.astype(np.float32)
    nearest = (values @ words.T).argmax(axis=1)
    sums = sums_by_group(unit_length(values - words[nearest]), nearest, len(words))
    sums = np.sign(sums) * np.sqrt(np.abs(sums))
    return unit_length(unit_length(sums).reshape(-1))


def _visual_words(descriptors: NDArray[np.float32], count: int) -> NDArray:
    """Cluster centres [k, d] of descriptors [n, d] by spherical k-means; k is `count`, or n.

    The descriptors come in random order: the first are the first centres.
    """
    words = unit_length(descriptors[:count])
    for _ in range(KMEANS_ITERATIONS):
        nearest = (descriptors @ words.T).argmax(axis=1)
        sums = sums_by_group(descriptors, nearest, len(words))
        # A word that is nearest to nothing stays where it is.
        words = np.where(sums.any(axis=1, keepdims=True), unit_length(sums), words)
    return words


def _evened_components(vectors: NDArray[np.float32], dimensions: int) -> tuple[NDArray, NDArray]:
    """The mean [m] of vectors [n, m], and their evened out principal components [m, g]."""
    mean = vectors.mean(axis=0)
    centred = (vectors - mean).astype(np.float64)
    # Of the smaller of the two matrices that have the same eigenvalues.
    few = len(centred) < centred.shape[1]
    products = centred @ centred.T if few else centred.T @ centred
    variances, axes = np.linalg.eigh(products / len(centred))
    variances, axes = variances[::-1][:dimensions], axes[:, ::-1][:, :dimensions]
    if few:
        axes = unit_length((centred.T @ axes).T).T
    evened = variances + max(LEAST_VARIANCE * variances[0], 1e-12)
    return mean, (axes * evened ** (-EVENED_OUT / 2)).astype(np.float32)
