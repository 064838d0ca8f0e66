"""The images of a table that are worth matching: the most alike of the nearest."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from landmark.errors import LandmarkError
from landmark.features import LocalFeatures
from landmark.matching.candidates import Candidates
from landmark.matching.ranking import Match
from landmark.storage.aggregations import Description, NumberedAggregation, known_aggregations
from landmark.storage.database import Database
from landmark.storage.descriptions import SketchCache, description_of, read_descriptions
from landmark.storage.nearest import nearest

# Of the nearest by global descriptor so many are put in the order of the match kernel, which says
# more: some 20 KB of memory each.
CANDIDATES = 2_000

# It is taken in rounds. What a round verifies, with at least `MIN_INLIERS`, is the same place seen
# otherwise, and helps the next round to find more of it (query expansion: Chum et al., "Total
# Recall", 2007).
ROUNDS = 4
EXPANDED_BY = 10


class Shortlist:
    """The images most like a query, taken round by round.

    While a new aggregation describes the table, the images of the one before it are still found:
    each has a list of its own, and a round takes as many from each.

    Parameters
    ----------
    query_path : str
        The query's own path, which is left out.
    known : collection of int
        Ids of images that need not be on it: what they show is known.
    images : int
        That are taken in all, from each list.
    aggregations : sequence of NumberedAggregation, optional
        The model's, where they are known already.
    sketches : SketchCache, optional
        One for all the queries of a pass.

    Raises
    ------
    LandmarkError
        If no image has a global descriptor yet, or the query gets none.
    """

    def __init__(
        self,
        database: Database,
        model: str,
        query: LocalFeatures,
        query_path: str,
        images: int,
        aggregations: Sequence[NumberedAggregation] | None = None,
        sketches: SketchCache | None = None,
        known: Collection[int] = (),
    ) -> None:
        sketches = sketches or SketchCache(database, CANDIDATES)
        found = known_aggregations(database, model) if aggregations is None else aggregations
        if not found:
            raise LandmarkError(
                f"no image of the model {model} has a global descriptor yet; run landmark_index, "
                f"or search with mode=exhaustive"
            )
        self._lists: list[_List] = []
        for aggregation in found:
            # As a rule the query is in the table by now, and was described for that.
            description = description_of(
                database, model, aggregation, query_path, query
            ) or aggregation.describe(query)
            if description is None or description.vector.shape != (aggregation.dimensions,):
                raise LandmarkError(
                    f"{query_path}: no global descriptor; search with mode=exhaustive"
                )
            self._lists.append(
                _List(
                    database, sketches, model, query_path, images, aggregation, description, known
                )
            )

    def take(self, images: int, sure: Sequence[Match] = ()) -> list[int]:
        """Ids of the next `images` of each list, ascending.

        Parameters
        ----------
        sure : sequence of Match
            Images known to show the query's place; `EXPANDED_BY` of them help the search.
        """
        paths = sorted(match.image_path for match in sure[:EXPANDED_BY])
        return sorted(number for one in self._lists for number in one.take(images, paths))


class _List:
    """The images that one aggregation has described, those most like the query first."""

    def __init__(
        self,
        database: Database,
        sketches: SketchCache,
        model: str,
        query_path: str,
        images: int,
        aggregation: NumberedAggregation,
        query: Description,
        known: Collection[int],
    ) -> None:
        self._sketches = sketches
        self._database, self._model, self._query_path = database, model, query_path
        self._images, self._aggregation, self._query = images, aggregation, query
        self._candidates = Candidates(aggregation.kernel) if aggregation.kernel else None
        self._sure: list[str] | None = None
        self._order: list[int] = []
        self._taken: set[int] = set(known)

    def take(self, images: int, sure: list[str]) -> list[int]:
        """The next images, now that those of the paths `sure` are known to show the place."""
        if sure != self._sure:
            self._order, self._sure = self._look(sure), sure
        ids = [number for number in self._order if number not in self._taken][:images]
        self._taken.update(ids)
        return ids

    def _look(self, sure: list[str]) -> list[int]:
        found = read_descriptions(self._database, self._model, self._aggregation.number, sure)
        known = [self._query]
        known += [one for one in found if one.vector.shape == self._query.vector.shape]
        vector = np.sum([one.vector.astype(np.float32) for one in known], axis=0)
        wanted = self._images + len(self._taken)
        if self._candidates is None:
            return nearest(self._database, self._aggregation, vector, wanted, self._query_path)
        wanted = max(wanted, CANDIDATES)
        near = nearest(self._database, self._aggregation, vector, wanted, self._query_path)
        new = [number for number in near[:CANDIDATES] if number not in self._candidates.ids]
        self._candidates.know(one.sketch for one in known if one.sketch)
        # Those without a sketch come last, as what is less near.
        self._candidates.add(self._sketches.read(self._candidates.kernel, new))
        first = self._candidates.in_order()
        return first + [number for number in near if number not in self._candidates.ids]
