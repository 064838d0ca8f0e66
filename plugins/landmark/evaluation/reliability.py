"""How far verdicts are to be trusted: what searches promise, beside what turned out.

A reliability diagram (DeGroot and Fienberg, "The comparison and evaluation of forecasters", 1983)
of the expected number of chance matches: if a place is not there, so many images of other places
should be found that are promised to be found so many times a search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from landmark.evaluation.chart import draw_chart
from landmark.evaluation.labels import LabelledQuery
from landmark.evaluation.scores import matches_by_place
from landmark.matching.ranking import MATCH_EXPECTED, UNCERTAIN_EXPECTED, Match, verdict

# Of expected chance matches, ascending: each level begins where the one before ends.
LEVELS = (1e-6, 1e-4, 0.01, MATCH_EXPECTED, 0.2, UNCERTAIN_EXPECTED, 10.0)


def reliability(
    ranked: Mapping[str, Sequence[Match]], queries: Sequence[LabelledQuery]
) -> list[dict[str, Any]]:
    """For each level of expected chance matches how many matches are right, the surest first.

    Parameters
    ----------
    ranked : mapping of str to sequence of Match
        Of each query's image all that it was compared with, with `expected`.

    Returns
    -------
    list of dict
        ``expected_below``: the level's upper bound, from that of the one before on; ``verdict``
        there; ``right``, ``wrong``: how many pairs of one place and of different places are on it;
        ``absent``: if the query's place were not there, the share of searches that find something
        on this level or a surer one; ``found``: how many such images a search finds, of which
        `expected_below` is the promise.
    """
    same, different = matches_by_place(ranked, queries)
    levels, lowest = [], 0.0
    for bound in LEVELS:
        right, wrong = (
            sum(lowest <= _expected(match) < bound for matches in each for match in matches)
            for each in (same, different)
        )
        found = [sum(_expected(match) < bound for match in matches) for matches in different]
        levels.append(
            {
                "expected_below": bound,
                "verdict": verdict([Match(0, 0, "", expected=lowest)]),
                "right": right,
                "wrong": wrong,
                "absent": sum(map(bool, found)) / len(queries),
                "found": sum(found) / len(queries),
            }
        )
        lowest = bound
    return levels


def to_table(levels: Sequence[Mapping[str, Any]]) -> str:
    """The levels as lines of text."""
    lines = [
        "                                          where the place is absent",
        "expected below  verdict     right  wrong  searches that find it  images a search",
    ]
    for one in levels:
        lines.append(
            f"{one['expected_below']:>14g}  {one['verdict']:<10}{one['right']:>7}{one['wrong']:>7}"
            f"{one['absent']:>23.1%}{one['found']:>17.3f}"
        )
    return "\n".join(lines)


def draw_reliability(levels: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Promised against found false matches, both logarithmic; nothing found is no point."""
    bounds = [one["expected_below"] for one in levels]
    found = [(one["expected_below"], one["found"]) for one in levels if one["found"]]
    draw_chart(
        "images of other places that a search finds, by how many it expects at most",
        {"as promised": [(bound, bound) for bound in bounds], "found": found},
        file,
    )


def _expected(match: Match) -> float:
    assert match.expected is not None
    return match.expected
