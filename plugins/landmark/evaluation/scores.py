"""Rankings and verdicts, scored by what is right."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from landmark.evaluation.labels import LEAVE_ONE_OUT, LabelledQuery, Protocol
from landmark.matching.ranking import CERTAIN_INLIERS, MIN_INLIERS, Match


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


def inliers_by_place(
    ranked: dict[str, list[Match]], queries: list[LabelledQuery]
) -> tuple[list[list[int]], list[list[int]]]:
    """For each query the inliers with images of its place, and with those of other places."""
    same, different = [], []
    for query in queries:
        positive = query.easy | query.hard
        matches = ranked[query.image]
        same.append([match.inliers for match in matches if match.image_path in positive])
        others = positive | query.junk
        different.append([match.inliers for match in matches if match.image_path not in others])
    return same, different


def verdict_shares(
    ranked: dict[str, list[Match]], queries: list[LabelledQuery]
) -> dict[str, float]:
    """How often inliers reach the two thresholds of the verdict.

    Returns
    -------
    dict
        ``false_uncertain``, ``false_match``: shares of the pairs of different places with at
        least `MIN_INLIERS`, `CERTAIN_INLIERS` inliers; ``true_uncertain``, ``true_match``: the
        same of pairs of one place; ``absent_uncertain``, ``absent_match``: shares of the queries
        that would get there if no image of their place were in the folder.
    """
    same, different = inliers_by_place(ranked, queries)
    pairs = {
        "false": list(chain.from_iterable(different)),
        "true": list(chain.from_iterable(same)),
        "absent": [max(inliers, default=0) for inliers in different],
    }
    return {
        f"{kind}_{verdict}": float(np.mean(np.array(inliers or [0]) >= least))
        for kind, inliers in pairs.items()
        for verdict, least in (("uncertain", MIN_INLIERS), ("match", CERTAIN_INLIERS))
    }
