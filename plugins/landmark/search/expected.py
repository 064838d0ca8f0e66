"""How many images of other places chance brings as far as a match, by the figures at hand."""

from __future__ import annotations

import logging
from typing import NamedTuple

from landmark.matching.chance import CAUTIOUS, ENOUGH_PAIRS, Chance, ChanceHistogram
from landmark.matching.ranking import Match

logger = logging.getLogger(__name__)


class ChanceFigures(NamedTuple):
    """What a search goes by.

    Parameters
    ----------
    chance : Chance
    source : str
        What it was measured on, for people.
    """

    chance: Chance
    source: str

    def judged(self, match: Match, images: int) -> Match:
        """The match, with how many of so many images have as many inliers by chance."""
        return match._replace(expected=self.chance.expected(match.inliers, images))


def chance_figures(of_table: ChanceHistogram, of_model: ChanceHistogram) -> ChanceFigures:
    """The table's own figures, if enough was measured; else the model's; else cautious ones."""
    if of_table.pairs >= ENOUGH_PAIRS:
        return ChanceFigures(of_table.fit(), f"{of_table.pairs} pairs of this table")
    if of_model.pairs:
        return ChanceFigures(of_model.fit(), f"{of_model.pairs} pairs of the model's photographs")
    logger.info("the model has no chance.json, so verdicts are cautious; see docs/models.md")
    return ChanceFigures(CAUTIOUS, "not measured, so cautious")
