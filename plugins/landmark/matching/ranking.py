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

#: A pair that people say to show one place counts as if it had so many: no pair has more.
SAID_INLIERS = 1_000_000
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
    """One pair of a chain: how many inliers lead on to which image.

    `said_same`: people say that the two show one place, whatever the inliers.
    """

    inliers: int
    image_path: str
    said_same: bool = False


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
        How many images of other places in the table get as far by chance; None where nobody has
        asked.
    likeness : float or None
        How many times as alike to the query, by the match kernel, as is usual in the table; None
        where nothing describes the image or the query.
    said_same : bool
        Whether people say that the image shows the query's place, whatever the inliers.
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
    likeness: float | None = None
    said_same: bool = False
    overlay: int = 0
    is_copy: bool = False
    copies: tuple[Match, ...] = ()

    @property
    def rank_key(self) -> tuple[bool, int, int, str]:
        """Ascending in this key is best first: what people say, inliers, putatives, then path."""
        return (not self.said_same, -self.inliers, -self.putative, self.image_path)

    @property
    def strength(self) -> int:
        """Inliers; more than any pair has if people say so."""
        return SAID_INLIERS if self.said_same else self.inliers


@dataclass
class TopK:
    """The best `k` matches with at least `min_inliers`, kept best first.

    Parameters
    ----------
    k : int
        At least 1.
    min_inliers : int
        Below it nothing is ranked, but for what people say.
    """

    k: int
    min_inliers: int
    matches: list[Match] = field(default_factory=list)

    def can_enter(self, at_best: Match) -> bool:
        """Whether a match could be ranked at all, were all of its putative matches inliers."""
        if at_best.strength < self.min_inliers:
            return False
        return len(self.matches) < self.k or at_best.rank_key < self.matches[-1].rank_key

    def add(self, match: Match) -> None:
        """Take a match in, unless it is not among the best."""
        if match.strength < self.min_inliers:
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
    people say is sure; what was found by way of others says nothing.
    """
    said = {_verdict_of(match) for match in matches if not match.via}
    return next((outcome for outcome in OUTCOMES if outcome in said), "no match")


def word_of(match: Match) -> str:
    """What its inliers say of a match; not of one that others lead to, whose own are few."""
    return "by way of" if match.via else verdict([match])


def _verdict_of(match: Match) -> str:
    if match.said_same:
        return "match"
    if match.expected is None:
        sure, thinkable = match.inliers >= CERTAIN_INLIERS, match.inliers >= MIN_INLIERS
    else:
        sure, thinkable = match.expected < MATCH_EXPECTED, match.expected < UNCERTAIN_EXPECTED
    return "match" if sure else "uncertain" if thinkable else "no match"
