"""In which order matches are shown: what is sure first, the rest folded under its word."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from landmark.matching.ranking import Match, word_of
from landmark_web.limits import RESULTS_A_PAGE

#: What is folded, in this order, under the words of `landmark.matching.ranking.word_of`.
FOLDED = ("uncertain", "no match")


class Ranked(NamedTuple):
    """A match and its rank, which it keeps wherever it is shown."""

    rank: int
    match: Match


class Group(NamedTuple):
    """Matches that are shown together.

    Parameters
    ----------
    word : str
        Under which they are folded; empty for those that are sure, which are not.
    matches : list of Ranked
    """

    word: str
    matches: list[Ranked]


def in_order(matches: Sequence[Match]) -> list[Ranked]:
    """A result's matches as they are shown: of each group the best rank first."""
    ranked = [Ranked(rank, match) for rank, match in enumerate(matches, 1)]
    return sorted(ranked, key=lambda one: _place(_group(one)))


def page_of(matches: Sequence[Match], rank: int) -> int:
    """The page of the result on which a rank is shown."""
    place = [one.rank for one in in_order(matches)].index(rank)
    return place // RESULTS_A_PAGE + 1


def groups_of(ranked: Sequence[Ranked]) -> list[Group]:
    """Some matches that are `in_order`, parted into groups."""
    return [Group(word, list(ones)) for word, ones in groupby(ranked, _group)]


def _group(one: Ranked) -> str:
    word = word_of(one.match)
    return word if word in FOLDED else ""


def _place(word: str) -> int:
    return FOLDED.index(word) + 1 if word else 0
