"""Two images compared: their putative matches, and which of these are inliers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from landmark.matching.copies import are_copies
from landmark.matching.overlays import explained_by_overlay
from landmark.matching.placement import Pictured
from landmark.matching.putative import QueryDescriptors, putative_matches, whole_numbers
from landmark.matching.verification import Verification, VerificationParameters, verify

#: Of DELF's own `match_images.py`.
DELF_MAX_DISTANCE = 0.8
# A picture has a caption and a logo, hardly more.
MOST_OVERLAYS = 3


class ImageFeatures(Pictured, Protocol):
    """What is compared of an image: of `LocalFeatures`, or of a row of the table."""

    @property
    def scales(self) -> NDArray[np.float32]:
        """As of `LocalFeatures`, [n]."""

    @property
    def side_px(self) -> int:
        """The original image's longest side."""


@dataclass(frozen=True)
class MatchingParameters:
    """How two images are compared.

    Parameters
    ----------
    max_distance : float
        Between the descriptors of a putative match, 0 to 2: the model's own.
    verification : VerificationParameters
    """

    max_distance: float = DELF_MAX_DISTANCE
    verification: VerificationParameters = field(default_factory=VerificationParameters)


def compare(
    query: ImageFeatures,
    image: ImageFeatures,
    parameters: MatchingParameters = MatchingParameters(),
) -> tuple[NDArray[np.intp], Verification]:
    """The putative matches [k, 2] (query, image) of two images, and which of them are inliers."""
    descriptors = QueryDescriptors.of(query.descriptors)
    rows = whole_numbers(image.descriptors)
    pairs = putative_matches(descriptors, rows, parameters.max_distance)
    return pairs, verify_pairs(query, image, pairs, parameters)


def verify_pairs(
    query: ImageFeatures,
    image: ImageFeatures,
    pairs: NDArray[np.intp],
    parameters: MatchingParameters,
) -> Verification:
    """Which of the putative matches [k, 2] (query, image) of two images are inliers.

    What an overlay explains is none: without it, the rest is verified anew. Here for all who ask:
    searches, the match graph, and what chance gives.
    """
    left, overlay = np.arange(len(pairs)), 0
    for _ in range(MOST_OVERLAYS):
        found = agreeing(query, image, pairs[left], parameters)
        explained = explained_by_overlay(query, image, pairs[left], found.inliers)
        if explained is None:
            inliers = left[found.inliers]
            copies = are_copies(query, image, pairs[inliers])
            return Verification(inliers, found.transform, overlay, copies)
        overlay += int(explained[found.inliers].sum())
        left = left[~explained]
    return Verification(np.empty(0, np.intp), None, overlay)


def agreeing(
    query: ImageFeatures,
    image: ImageFeatures,
    pairs: NDArray[np.intp],
    parameters: MatchingParameters,
) -> Verification:
    """Which of the putative matches [k, 2] agree with one transformation, overlays or not."""
    return verify(
        query.locations[pairs[:, 0]],
        image.locations[pairs[:, 1]],
        query.side_px,
        image.side_px,
        query.scales[pairs[:, 0]] / image.scales[pairs[:, 1]],
        parameters.verification,
    )
