"""How likely chance is to reach some inliers: from pairs of different places that were compared.

What a search's best match means depends on how many images could have got there by chance, as
BLAST's E-value says it of sequences (Karlin and Altschul, 1990) and the number of false alarms of
geometric events (Moisan and Stival, "A probabilistic criterion to detect rigid point matches",
2004): `expected = images x P(chance >= inliers)`.

P is counted where enough pairs got so far. Above that threshold excesses are taken to fall off
geometrically, as those of most laws do: peaks over a threshold (Pickands, 1975), of shape 0, in
whole numbers. Both the share of pairs above it and the ratio of the tail are upper bounds of one
side, exact for independent pairs (Clopper and Pearson, 1934; of the ratio by the negative binomial
law of the sum of excesses). So few pairs promise little: expected is too large rather than too
small. What lies far above the threshold is most likely no chance but pictures of one place that
nobody has told apart; how far above is not asked: excesses are censored.

Who has many inliers by chance is rarely very alike by the match kernel, which sees whole images. Of
such pairs at most `CHANCE_LIKENESS / x` are x times as alike as is usual, whatever law they follow
(Markov's inequality); by so much less is expected.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, zip_longest
from typing import NamedTuple

import numpy as np

from landmark.matching.ranking import MATCH_EXPECTED, MIN_INLIERS, Match

logger = logging.getLogger(__name__)

CONFIDENCE = 0.95
# The tail begins where so many pairs are left, and no earlier than at this share of all: the bulk
# of pairs follows another law.
LEAST_EXCEEDANCES, LARGEST_TAIL = 100, 0.05
CENSORED_EXCESS = 16
#: Of a table, before its own figures are trusted: with fewer images than make so many pairs, each
#: is in so many of them that they are hardly independent.
ENOUGH_PAIRS = 10_000
# How many times as alike as is usual in a table pairs of different places with 12 inliers and more
# are on average: 4.8 and 7.6 times were measured.
CHANCE_LIKENESS = 8
# From so many pairs on a table may show that its photographs are of another kind than the model's:
# that more than so many times as many have the floor of inliers by chance, with this confidence.
# Measured: 30 times as many of drawn houses, 3 of tables of twelve places, where pairs of one place
# are hardest to leave out.
TELLING_PAIRS, UNLIKE, UNLIKE_CONFIDENCE = 200, 5, 0.999
# Pairs are never so sure that fewer inliers join a place, nor is a place asked for more.
HALF_SURE = (18, 48)
# Beyond them, a difference is one of rounding.
SIGNIFICANT_DIGITS = 4


@dataclass(frozen=True)
class Chance:
    """How likely two images of different places are to have some inliers.

    Parameters
    ----------
    shares : tuple of float
        Of pairs with at least 0, 1, … inliers; the last is that of the tail's threshold.
    ratio : float
        From one number of inliers to the next, above it; 1 where nothing is known of the tail.
    likeness : float
        How many times as alike as is usual those with many inliers are on average, at most.
    """

    shares: tuple[float, ...]
    ratio: float
    likeness: float = CHANCE_LIKENESS

    def probability(self, inliers: int) -> float:
        """Of one pair to have at least so many."""
        threshold = len(self.shares) - 1
        if inliers <= threshold:
            return self.shares[max(inliers, 0)]
        return float(self.shares[threshold] * self.ratio ** (inliers - threshold))

    def expected(self, inliers: int, images: int, likeness: float | None = None) -> float:
        """How many of so many images of other places have at least so many, to some digits.

        Parameters
        ----------
        likeness : float, optional
            And are, by the match kernel, at least so many times as alike as is usual.
        """
        share = min(1.0, self.likeness / likeness) if likeness else 1.0
        return float(f"{images * self.probability(inliers) * share:.{SIGNIFICANT_DIGITS}g}")

    def half_sure(self, images: int) -> int:
        """With how many inliers two images of so many are as likely as not of one place."""
        low, high = HALF_SURE
        sure = (n for n in range(low, high) if self.expected(n, images) < MATCH_EXPECTED)
        return next(sure, high)


#: For a model of which nothing was measured: more than the towers and domes among our development
#: photographs have, with the bundled model.
CAUTIOUS = Chance((*[1.0] * 12, 0.015), 0.8)


@dataclass(frozen=True)
class ChanceHistogram:
    """Pairs of images of different places, counted by their inliers.

    Parameters
    ----------
    counts : tuple of int
        With 0, 1, … inliers.
    """

    counts: tuple[int, ...] = ()

    @classmethod
    def of(cls, inliers: Sequence[int]) -> ChanceHistogram:
        """Count pairs, one number each."""
        return cls(tuple(np.bincount(np.asarray(inliers, np.int64)).tolist()))

    def __add__(self, other: ChanceHistogram) -> ChanceHistogram:
        both = zip_longest(self.counts, other.counts, fillvalue=0)
        return ChanceHistogram(tuple(one + two for one, two in both))

    @property
    def pairs(self) -> int:
        """How many there are."""
        return sum(self.counts)

    def halved(self) -> ChanceHistogram:
        """The same with half the weight; what is rare stays."""
        return ChanceHistogram(tuple((count + 1) // 2 for count in self.counts))

    def fit(self) -> Chance:
        """What these pairs say of others like them."""
        reached = [*reversed([*accumulate(reversed(self.counts))]), 0]
        rare = [n for n, count in enumerate(reached) if count <= LARGEST_TAIL * self.pairs]
        enough = [n for n in rare if reached[n] >= LEAST_EXCEEDANCES]
        threshold = max(enough, default=min(rare))
        shares = tuple(_largest_share(count, self.pairs) for count in reached[: threshold + 1])
        beyond = reached[threshold : threshold + CENSORED_EXCESS + 1]
        censored = beyond[-1] if len(beyond) > CENSORED_EXCESS else 0
        return Chance(shares, _largest_ratio(beyond[0] - censored, sum(beyond[1:])))


class ChanceFigures(NamedTuple):
    """What a search goes by.

    Parameters
    ----------
    chance : Chance
    source : str
        What it was measured on, for people.
    is_unlike : bool
        Whether the table's photographs are of another kind than the model's.
    """

    chance: Chance
    source: str
    is_unlike: bool = False

    def judged(self, match: Match, images: int, likeness: float | None = None) -> Match:
        """The match, with how many of so many images get as far by chance: `Chance.expected`."""
        expected = self.chance.expected(match.inliers, images, likeness)
        return match._replace(
            expected=expected, likeness=None if likeness is None else round(likeness, 1)
        )


def chance_figures(of_table: ChanceHistogram, of_model: ChanceHistogram) -> ChanceFigures:
    """The table's own figures, if enough was measured; else the model's; else cautious ones.

    Fewer pairs of the table are enough where the model's photographs are clearly of another kind;
    then nothing is known of how alike chance makes images, either.
    """
    known = of_model.fit() if of_model.pairs else None
    source = f"{of_table.pairs} pairs of this table"
    if known and _is_unlike(of_table, known):
        unlike = replace(of_table.fit(), likeness=math.inf)
        return ChanceFigures(unlike, f"{source}, unlike the model's photographs", True)
    if of_table.pairs >= ENOUGH_PAIRS:
        return ChanceFigures(of_table.fit(), source)
    if known:
        return ChanceFigures(known, f"{of_model.pairs} pairs of the model's photographs")
    logger.info("the model has no chance.json, so verdicts are cautious; see docs/models.md")
    return ChanceFigures(CAUTIOUS, "not measured, so cautious")


def _is_unlike(of_table: ChanceHistogram, of_model: Chance) -> bool:
    """Whether a table's pairs have the floor of inliers far more often than the model promises."""
    from scipy.special import betaincinv

    reached, pairs = sum(of_table.counts[MIN_INLIERS:]), of_table.pairs
    if pairs < TELLING_PAIRS or not reached:
        return False
    least = betaincinv(reached, pairs - reached + 1, 1 - UNLIKE_CONFIDENCE)
    return bool(least > UNLIKE * of_model.probability(MIN_INLIERS))


def _largest_share(count: int, pairs: int) -> float:
    """Of pairs, if `count` of so many were seen."""
    # Not above: the import takes longer than extracting an image, which imports this module too.
    from scipy.special import betaincinv

    return float(betaincinv(count + 1, pairs - count, CONFIDENCE)) if count < pairs else 1.0


def _largest_ratio(ended: int, went_on: int) -> float:
    """Of a geometric law, by how often pairs had one inlier more, and how often not.

    Most likely is `went_on / (went_on + ended)`.
    """
    from scipy.special import betaincinv

    return 1 - float(betaincinv(ended, went_on + 1, 1 - CONFIDENCE)) if ended else 1.0
