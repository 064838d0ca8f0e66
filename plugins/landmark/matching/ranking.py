"""Exact top-k without verifying everything.

Inliers never exceed one-to-one putative matches. So whoever has fewer putatives than the k-th
best has inliers cannot enter the ranking, and need not be verified: the same answer as verifying
every image, ties included.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

# Below it nothing is listed unasked. With the bundled model, of the pairs of different places on
# the development photographs 0.07 to 1.1 % get there (landmark.evaluation: `by_inliers`).
MIN_INLIERS = 12
# What was sure before chance was measured.
CERTAIN_INLIERS = 18
# Below so many images that chance brings as far: in 20 searches for places that are not there, one
# finds something; and in each search one does.
MATCH_EXPECTED, UNCERTAIN_EXPECTED = 0.05, 1

#: What stands instead of a verdict where there is none; and all of them in the order of telling.
FAILED = "failed"
OUTCOMES = ("match", "uncertain", "no match", FAILED)


class Step(NamedTuple):
    """One pair of a chain: how many inliers lead on to which image."""

    inliers: int
    image_path: str


class Match(NamedTuple):
    """One ranked image.

    Parameters
    ----------
    inliers, putative : int
        With the query itself.
    image_path : str
    via : tuple of Step
        The chain from the query to the image, where its own inliers are too few; else empty.
    expected : float or None
        How many images of other places in the table have as many inliers by chance; None where
        nobody has asked.
    overlay : int
        How many more putative matches agree because of an overlay on both images: a watermark, a
        caption, a frame. They are no inliers.
    is_copy : bool
        Whether the image is a copy of the query: resized, compressed anew, cropped a little.
    copies : tuple of Match
        Other images that are copies of this one.
    """

    inliers: int
    putative: int
    image_path: str
    via: tuple[Step, ...] = ()
    expected: float | None = None
    overlay: int = 0
    is_copy: bool = False
    copies: tuple[Match, ...] = ()

    @property
    def rank_key(self) -> tuple[int, int, str]:
        """Ascending in this key is best first: inliers, then putatives, then path."""
        return (-self.inliers, -self.putative, self.image_path)


@dataclass
class TopK:
    """The best `k` matches with at least `min_inliers`, kept best first.

    Parameters
    ----------
    k : int
        At least 1.
    min_inliers : int
        Below it nothing is ranked.
    """

    k: int
    min_inliers: int
    matches: list[Match] = field(default_factory=list)

    def can_enter(self, putative: int, image_path: str) -> bool:
        """Whether an image of so many putative matches could be ranked at all."""
        if putative < self.min_inliers:
            return False
        if len(self.matches) < self.k:
            return True
        at_best = Match(putative, putative, image_path)
        return at_best.rank_key < self.matches[-1].rank_key

    def add(self, match: Match) -> None:
        """Take a match in, unless it is not among the best."""
        if match.inliers < self.min_inliers:
            return
        bisect.insort(self.matches, match, key=lambda ranked: ranked.rank_key)
        del self.matches[self.k :]

    def merge(self, matches: Iterable[Match]) -> None:
        """Take in the best of another part of the table."""
        for match in matches:
            self.add(match)


def verdict(matches: Sequence[Match]) -> str:
    """What the surest match says: ``match``, ``uncertain`` or ``no match``.

    By how many images chance brings as far; of a result of before that was known by inliers. What
    was found by way of others says nothing.
    """
    said = {_verdict_of(match) for match in matches if not match.via}
    return next((outcome for outcome in OUTCOMES if outcome in said), "no match")


def _verdict_of(match: Match) -> str:
    if match.expected is None:
        sure, thinkable = match.inliers >= CERTAIN_INLIERS, match.inliers >= MIN_INLIERS
    else:
        sure, thinkable = match.expected < MATCH_EXPECTED, match.expected < UNCERTAIN_EXPECTED
    return "match" if sure else "uncertain" if thinkable else "no match"
