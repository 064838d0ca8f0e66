"""Rankings and verdicts, scored by what is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain

import numpy as np

from landmark.evaluation.labels import LEAVE_ONE_OUT, LabelledQuery, Protocol
from landmark.matching.ranking import CERTAIN_INLIERS, MIN_INLIERS, Match, verdict

# Whether a match is enough for the verdict of that name, or a better one.
Levels = Mapping[str, Callable[[Match], bool]]
BY_EXPECTED: Levels = {
    "uncertain": lambda match: verdict([match]) != "no match",
    "match": lambda match: verdict([match]) == "match",
}
BY_INLIERS: Levels = {
    "uncertain": lambda match: match.inliers >= MIN_INLIERS,
    "match": lambda match: match.inliers >= CERTAIN_INLIERS,
}


def average_precision(ranked: Sequence[str], positive: frozenset[str]) -> float:
    """Area under the precision-recall curve by the trapezoid rule, as the Oxford benchmark has it.

    Parameters
    ----------
    ranked : sequence of str
        Names, best first, ignored ones taken out.
    positive : frozenset of str
        The right ones; at least one.
    """
    area, hits = 0.0, 0
    for rank, name in enumerate(ranked):
        if name in positive:
            before = hits / rank if rank else 1.0
            hits += 1
            area += (before + hits / (rank + 1)) / 2
    return area / len(positive)


def score(
    rankings: dict[str, list[str]], queries: list[LabelledQuery], protocols: dict[str, Protocol]
) -> dict[str, float | None]:
    """Mean average precision of each protocol, over the queries that have a positive in it.

    None where no query has one.

    Parameters
    ----------
    rankings : dict of str to list of str
        For each query's image the names of the images, best first.
    """
    scores: dict[str, float | None] = {}
    for name, protocol in protocols.items():
        precisions = []
        firsts = []
        for query in queries:
            positive = frozenset().union(*(getattr(query, kind) for kind in protocol.positive))
            ignored = frozenset().union(*(getattr(query, kind) for kind in protocol.ignored))
            if positive:
                ranked = [image for image in rankings[query.image] if image not in ignored]
                precisions.append(average_precision(ranked, positive))
                firsts.append(bool(ranked) and ranked[0] in positive)
        scores[name] = float(np.mean(precisions)) if precisions else None
        if protocols is LEAVE_ONE_OUT:
            scores["recall_at_1"] = float(np.mean(firsts))
    return scores


def matches_by_place(
    ranked: Mapping[str, Sequence[Match]], queries: Sequence[LabelledQuery]
) -> tuple[list[list[Match]], list[list[Match]]]:
    """For each query the matches with images of its place, and with those of other places."""
    same, different = [], []
    for query in queries:
        positive = query.easy | query.hard
        matches = ranked[query.image]
        same.append([match for match in matches if match.image_path in positive])
        others = positive | query.junk
        different.append([match for match in matches if match.image_path not in others])
    return same, different


def verdict_shares(
    ranked: Mapping[str, Sequence[Match]], queries: Sequence[LabelledQuery], levels: Levels
) -> dict[str, float]:
    """How often matches are enough for each verdict.

    Returns
    -------
    dict
        ``false_uncertain``, ``false_match``: shares of the pairs of different places that are
        enough for that verdict or a better one; ``true_uncertain``, ``true_match``: the same of
        pairs of one place; ``absent_uncertain``, ``absent_match``: shares of the queries that
        would get there if no image of their place were in the folder.
    """
    same, different = matches_by_place(ranked, queries)

    return {
        f"{kind}_{name}": _share(enough)
        for name, is_enough in levels.items()
        for kind, enough in (
            ("false", [is_enough(match) for match in chain.from_iterable(different)]),
            ("true", [is_enough(match) for match in chain.from_iterable(same)]),
            ("absent", [any(map(is_enough, matches)) for matches in different]),
        )
    }


def _share(enough: Sequence[bool]) -> float:
    return float(np.mean(enough)) if enough else 0.0
