"""The images of a table that are worth matching: the most alike of the nearest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from landmark.errors import LandmarkError
from landmark.features import LocalFeatures
from landmark.matching.match_kernel import MatchKernel, Sketch, Sketches
from landmark.matching.ranking import Match
from landmark.storage.aggregations import Description, NumberedAggregation, known_aggregations
from landmark.storage.database import Database
from landmark.storage.descriptions import read_descriptions, read_sketches
from landmark.storage.nearest import nearest

# Of the nearest by global descriptor so many are put in the order of the match kernel, which says
# more: some 20 KB of memory each.
CANDIDATES = 2_000
# What comparing these takes stays within a processor's cache.
COMPARED_AT_ONCE = 64

# It is taken in rounds. What a round verifies, with at least `MIN_INLIERS`, is the same place seen
# otherwise, and helps the next round to find more of it (query expansion: Chum et al., "Total
# Recall", 2007).
ROUNDS = 4
EXPANDED_BY = 10


class SketchCache:
    """Sketches of the table as it was at one time, for all the queries of a pass.

    Keeps those of `CANDIDATES` images, which were asked for last.

    Parameters
    ----------
    database : Database
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: OrderedDict[int, Sketch | None] = OrderedDict()

    def read(self, kernel: MatchKernel, ids: Sequence[int]) -> dict[int, Sketch]:
        """Of images that have a sound one, by id; others are named in the log."""
        found = {number: self._kept[number] for number in ids if number in self._kept}
        if len(found) < len(ids):
            missing = [number for number in ids if number not in found]
            found |= read_sketches(self._database, kernel, missing)
        for number, sketch in found.items():
            self._kept[number] = sketch
            self._kept.move_to_end(number)
        while len(self._kept) > CANDIDATES:
            self._kept.popitem(last=False)
        return {number: sketch for number, sketch in found.items() if sketch is not None}


class Shortlist:
    """The images most like a query, taken round by round.

    While a new aggregation describes the table, the images of the one before it are still found:
    each has a list of its own, and a round takes as many from each.

    Parameters
    ----------
    query_path : str
        The query's own path, which is left out.
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
    ) -> None:
        sketches = sketches or SketchCache(database)
        found = known_aggregations(database, model) if aggregations is None else aggregations
        if not found:
            raise LandmarkError(
                f"no image of the model {model} has a global descriptor yet; run landmark_index, "
                f"or search with mode=exhaustive"
            )
        self._lists: list[_List] = []
        for aggregation in found:
            description = aggregation.describe(query)
            if description is None or description.vector.shape != (aggregation.dimensions,):
                raise LandmarkError(
                    f"{query_path}: no global descriptor; search with mode=exhaustive"
                )
            self._lists.append(
                _List(database, sketches, model, query_path, images, aggregation, description)
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
    ) -> None:
        self._sketches = sketches
        self._database, self._model, self._query_path = database, model, query_path
        self._images, self._aggregation, self._query = images, aggregation, query
        self._candidates = _Candidates(aggregation.kernel) if aggregation.kernel else None
        self._sure: list[str] | None = None
        self._order: list[int] = []
        self._taken: set[int] = set()

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
        sketches = self._sketches.read(self._candidates.kernel, new)
        # Those without come last, as what is less near.
        self._candidates.add([(number, sketches[number]) for number in new if number in sketches])
        first = self._candidates.in_order([one.sketch for one in known if one.sketch])
        return first + [number for number in near if number not in self._candidates.ids]


class _Candidates:
    """Images with how alike they are to the nearest of those that are known to show the place."""

    def __init__(self, kernel: MatchKernel) -> None:
        self.ids: set[int] = set()
        self.kernel = kernel
        self._known: dict[bytes, Sketch] = {}
        self._parts: list[tuple[list[int], Sketches, NDArray[np.float32]]] = []

    def add(self, sketches: list[tuple[int, Sketch]]) -> None:
        """Take in further images, the nearest by global descriptor first."""
        parts = []
        for first in range(0, len(sketches), COMPARED_AT_ONCE):
            some = sketches[first : first + COMPARED_AT_ONCE]
            ids = [number for number, _ in some]
            part = Sketches([sketch for _, sketch in some])
            parts.append((ids, part, np.zeros(len(part), np.float32)))
            self.ids.update(ids)
        self._compare([*self._known.values()], parts)
        self._parts += parts

    def in_order(self, known: list[bytes]) -> list[int]:
        """All of them, those most like one of the images `known` by now first."""
        new = {}
        for data in known:
            if data not in self._known:
                with suppress(ValueError):  # damaged, and named where the sketches are read
                    new[data] = self.kernel.read(data)
        self._known |= new
        self._compare([*new.values()], self._parts)
        if not self._parts:
            return []
        ids = np.concatenate([ids for ids, _, _ in self._parts])
        alike = np.concatenate([alike for _, _, alike in self._parts])
        return ids[np.argsort(-alike, kind="stable")].tolist()

    def _compare(
        self, known: list[Sketch], parts: list[tuple[list[int], Sketches, NDArray[np.float32]]]
    ) -> None:
        if not known:
            return
        together = Sketches(known)
        for _, part, alike in parts:
            np.maximum(alike, self.kernel.similarities(together, part), out=alike)
