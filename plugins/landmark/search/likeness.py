"""How alike matches are to the query, beside the table's other photographs, by the match kernel.

It costs a search the sketches of what it lists and of few others, and says something that inliers
do not: `landmark.matching.chance` takes it into account.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from math import ceil

import numpy as np

from landmark.features import LocalFeatures
from landmark.matching.match_kernel import MatchKernel, Sketch, Sketches
from landmark.storage.aggregations import NumberedAggregation
from landmark.storage.database import Database
from landmark.storage.descriptions import describing, spread_ids
from landmark.storage.edges import versions_of

# So many, spread over the table, stand for it; with fewer nothing is said.
SAMPLE, LEAST_SAMPLE = 64, 16
# Of these the least alike: the others may show the query's place.
USUAL_SHARE = 0.75


def likeness(
    database: Database,
    model: str,
    aggregation: NumberedAggregation,
    query: LocalFeatures,
    paths: Sequence[str],
) -> dict[str, float]:
    """Of images, by path, how many times as alike to the query they are as is usual in the table.

    Parameters
    ----------
    model : str
        Fingerprint.
    aggregation : NumberedAggregation
        Only what it has described is told of.
    paths : sequence of str
        Of images.
    """
    kernel, described = aggregation.kernel, aggregation.describe(query)
    if not paths or kernel is None or described is None or described.sketch is None:
        return {}
    sample = spread_ids(database, aggregation.number, SAMPLE)
    others = [sketch for _, sketch in _sketches(database, kernel, aggregation.number, sample)]
    rows = versions_of(database, model, paths)
    ids = [number for number, _ in rows.values()]
    found = _sketches(database, kernel, aggregation.number, ids)
    if len(others) < LEAST_SAMPLE or not found:
        return {}
    known = Sketches([kernel.read(described.sketch)])
    alike = np.sort(kernel.similarities(known, Sketches(others)))
    usual = float(alike[: ceil(USUAL_SHARE * len(alike))].mean())
    if not usual:
        return {}
    similarities = kernel.similarities(known, Sketches([sketch for _, sketch in found]))
    return {
        path: similarity / usual
        for (path, _), similarity in zip(found, similarities.tolist(), strict=True)
    }


def _sketches(
    database: Database, kernel: MatchKernel, aggregation: int, ids: Sequence[int]
) -> list[tuple[str, Sketch]]:
    """Paths and sketches of images by id, of those that have a sound one."""
    found = []
    for path, description in describing(database, aggregation, ids).values():
        with suppress(ValueError):  # damaged, and named where the index looks at it
            found.append((path, kernel.read(description.sketch or b"")))
    return found
