"""How alike matches are to the query, beside the table's other photographs, by the match kernel.

It costs a search the sketches of what it lists and of few others, and says something that inliers
do not: `landmark.matching.chance` takes it into account.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import ceil

import numpy as np

from landmark.features import LocalFeatures
from landmark.matching.match_kernel import Sketch, Sketches
from landmark.storage.aggregations import NumberedAggregation
from landmark.storage.database import Database
from landmark.storage.descriptions import SketchCache, among_described, spread_ids
from landmark.storage.edges import versions_of

# So many, spread over the table, stand for it; with fewer nothing is said.
SAMPLE, LEAST_SAMPLE = 64, 16
# Of these the least alike: the others may show the query's place.
USUAL_SHARE = 0.75
# More is no surer: what is usual may be next to nothing.
MOST_ALIKE = 100.0
# Of the matches of queries that follow each other; 20 KB each.
CACHED = 1_000


class Likeness:
    """How many times as alike to queries images are as is usual in the table.

    Parameters
    ----------
    database : Database
    model : str
        Fingerprint.
    aggregation : NumberedAggregation
        Only what it has described is told of.
    """

    def __init__(self, database: Database, model: str, aggregation: NumberedAggregation) -> None:
        self._database, self._model, self._aggregation = database, model, aggregation
        self._sketches = SketchCache(database, CACHED)

    def of(self, query: LocalFeatures, paths: Sequence[str]) -> dict[str, float]:
        """Of images by path; of those that nothing describes, and in a small table, none.

        Parameters
        ----------
        query : LocalFeatures
        paths : sequence of str
            Of images.
        """
        kernel = self._aggregation.kernel
        if not paths or kernel is None or not len(query):
            return {}
        rows = versions_of(self._database, self._model, paths)
        ids = {number: path for path, (number, _) in rows.items()}
        described_ids = among_described(self._database, self._aggregation.number, list(ids))
        found = dict(self._sketches.read(kernel, described_ids))
        if len(self._usual) < LEAST_SAMPLE or not found:
            return {}
        known = Sketches([kernel.sketch(query.descriptors)])
        alike = np.sort(kernel.similarities(known, Sketches(self._usual)))
        usual = float(alike[: ceil(USUAL_SHARE * len(alike))].mean())
        similarities = kernel.similarities(known, Sketches([*found.values()])).tolist()
        return {
            ids[number]: min(similarity / usual, MOST_ALIKE) if usual else MOST_ALIKE
            for number, similarity in zip(found, similarities, strict=True)
        }

    @cached_property
    def _usual(self) -> list[Sketch]:
        """Sketches that stand for the table."""
        assert self._aggregation.kernel is not None
        ids = spread_ids(self._database, self._aggregation.number, SAMPLE)
        return [sketch for _, sketch in self._sketches.read(self._aggregation.kernel, ids)]
