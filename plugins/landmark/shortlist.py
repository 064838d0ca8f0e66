"""The images of a table that are worth matching: the most alike of the nearest.

    python -m landmark.shortlist [--measure] MODEL [postgresql://…]

describes every image of MODEL (its fingerprint, as in the table) that has no global descriptor by
its current aggregation, from the local features in the table. Killed and run again, it goes on
where it stopped. With --measure a new aggregation is measured first, whatever there is.
`landmark_index` does the same every night, and measures when the table has grown tenfold.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from landmark import registry
from landmark.aggregation import Aggregation
from landmark.errors import LandmarkError
from landmark.features import LocalFeatures
from landmark.match_kernel import MatchKernel, Sketch, Sketches
from landmark.progress import Progress
from landmark.ranking import Match
from landmark.store import Description, NumberedAggregation, Store

logger = logging.getLogger(__name__)

# Up to here every image is compared (`auto`), and the nearest are found without an index.
EXHAUSTIVE_UP_TO = 20_000

# Images that an aggregation is measured on; some 150 KB of memory each.
SAMPLE_IMAGES = 2_000
# Measured anew when the table has grown so many times, until the sample is full.
GROWTH = 10
ROWS_AT_ONCE = 64
# What pgvector may take to build an index in memory, which is many times faster than on disk;
# enough for a million images.
INDEX_MEMORY_MB = 1536

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


def describe_table(store: Store, model: str, measure: bool = False) -> int:
    """Give every image of a model a global descriptor of the model's current aggregation.

    One process at a time; another waits.

    Parameters
    ----------
    model : str
        Fingerprint.
    measure : bool
        Measure a new aggregation, even if there is a good one.

    Returns
    -------
    int
        The images described by this call.
    """
    with store.alone(f"describing images of {model}"):
        return _describe_table(store, model, measure)


def _describe_table(store: Store, model: str, measure: bool) -> int:
    aggregation = _current(store, model, measure)
    if aggregation is None:
        logger.info("no global descriptors yet: too few images of the model %s", model)
        return 0
    if aggregation.parameters is None:
        described = store.take_own_descriptions(model, aggregation.number)
    else:
        described = _describe(store, model, aggregation)
    for old in store.aggregations(model)[1:]:
        store.drop_aggregation(old.number)
    if store.described(model, aggregation.number, EXHAUSTIVE_UP_TO + 1) > EXHAUSTIVE_UP_TO:
        logger.info("indexing global descriptors")
        store.build_index(aggregation, INDEX_MEMORY_MB)
    logger.info("%d images described", described)
    return described


def _current(store: Store, model: str, measure: bool) -> NumberedAggregation | None:
    """The model's aggregation, measured where there is none or it is outgrown."""
    known = store.current_aggregation(model)
    if known is not None and known.parameters is None:
        return known
    enough = SAMPLE_IMAGES if known is None else min(GROWTH * known.images, SAMPLE_IMAGES)
    images = store.count(model, up_to=SAMPLE_IMAGES)
    outgrown = known is None or known.kernel is None or known.images < enough <= images
    if not outgrown and not measure:
        return known
    dimensions = store.own_dimensions(model) if known is None else None
    if dimensions is not None:
        store.add_aggregation(model, dimensions, images, None)
    else:
        ids = store.sample_ids(model, SAMPLE_IMAGES)
        logger.info("measuring what global descriptors are made by, on %d images", len(ids))
        parameters = Aggregation.fit(
            lambda: (image.descriptors for image in store.read_partition(model, ids))
        )
        if parameters is None:
            return known
        store.add_aggregation(model, parameters.dimensions, images, parameters)
    return store.current_aggregation(model)


def _describe(store: Store, model: str, aggregation: NumberedAggregation) -> int:
    assert aggregation.parameters is not None
    # What nothing has described, and what an older aggregation has; never a look at all the rest.
    others = [None, *(old.number for old in store.aggregations(model)[1:])]
    left = sum(store.described(model, other) for other in others)
    progress = Progress(left, "images described")
    for other in others:
        last = 0
        while images := store.described_by(model, other, last, ROWS_AT_ONCE):
            store.save_descriptions(
                aggregation.number,
                [
                    (number, etag, aggregation.describe_local(found))
                    for number, etag, found in images
                ],
            )
            last = images[-1][0]
            progress.add(len(images))
    return progress.done


class SketchCache:
    """Sketches of the table as it was at one time, for all the queries of a pass.

    Keeps those of `CANDIDATES` images, which were asked for last.

    Parameters
    ----------
    store : Store
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def read(self, ids: Sequence[int]) -> dict[int, bytes]:
        """Of images that have one, by id."""
        found = {number: self._kept[number] for number in ids if number in self._kept}
        if len(found) < len(ids):
            found |= self._store.sketches([number for number in ids if number not in found])
        for number, sketch in found.items():
            self._kept[number] = sketch
            self._kept.move_to_end(number)
        while len(self._kept) > CANDIDATES:
            self._kept.popitem(last=False)
        return found


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
        store: Store,
        model: str,
        query: LocalFeatures,
        query_path: str,
        images: int,
        aggregations: Sequence[NumberedAggregation] | None = None,
        sketches: SketchCache | None = None,
    ) -> None:
        sketches = sketches or SketchCache(store)
        found = store.aggregations(model) if aggregations is None else aggregations
        if not found:
            raise LandmarkError(
                f"no image of the model {model} has a global descriptor yet; run landmark_index, "
                f"or search with mode=exhaustive"
            )
        self._lists: list[_List] = []
        for aggregation in found:
            description = aggregation.describe(query)
            if description is None:
                raise LandmarkError(
                    f"{query_path}: no global descriptor; search with mode=exhaustive"
                )
            self._lists.append(
                _List(store, sketches, model, query_path, images, aggregation, description)
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
        store: Store,
        sketches: SketchCache,
        model: str,
        query_path: str,
        images: int,
        aggregation: NumberedAggregation,
        query: Description,
    ) -> None:
        self._sketches = sketches
        self._store, self._model, self._query_path = store, model, query_path
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
        found = self._store.descriptions(self._model, self._aggregation.number, sure)
        known = [self._query, *found]
        vector = np.sum([one.vector.astype(np.float32) for one in known], axis=0)
        wanted = self._images + len(self._taken)
        if self._candidates is None:
            return self._store.nearest(self._aggregation, vector, wanted, self._query_path)
        wanted = max(wanted, CANDIDATES)
        near = self._store.nearest(self._aggregation, vector, wanted, self._query_path)
        new = [number for number in near[:CANDIDATES] if number not in self._candidates.ids]
        sketches = self._sketches.read(new)
        self._candidates.add([(number, sketches[number]) for number in new])
        first = self._candidates.in_order([one.sketch for one in known if one.sketch])
        return first + [number for number in near if number not in self._candidates.ids]


class _Candidates:
    """Images with how alike they are to the nearest of those that are known to show the place."""

    def __init__(self, kernel: MatchKernel) -> None:
        self.ids: set[int] = set()
        self._kernel = kernel
        self._known: dict[bytes, Sketch] = {}
        self._parts: list[tuple[list[int], Sketches, NDArray[np.float32]]] = []

    def add(self, sketches: list[tuple[int, bytes]]) -> None:
        """Take in further images, the nearest by global descriptor first."""
        parts = []
        for first in range(0, len(sketches), COMPARED_AT_ONCE):
            some = sketches[first : first + COMPARED_AT_ONCE]
            ids = [number for number, _ in some]
            part = Sketches([self._kernel.read(data) for _, data in some])
            parts.append((ids, part, np.zeros(len(part), np.float32)))
            self.ids.update(ids)
        self._compare([*self._known.values()], parts)
        self._parts += parts

    def in_order(self, known: list[bytes]) -> list[int]:
        """All of them, those most like one of the images `known` by now first."""
        new = {data: self._kernel.read(data) for data in known if data not in self._known}
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
            np.maximum(alike, self._kernel.similarities(together, part), out=alike)


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m landmark.shortlist",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("database", nargs="?", default=os.environ.get("DATABASE_URL"))
    parser.add_argument("--measure", action="store_true", help="measure a new aggregation first")
    options = parser.parse_args(arguments)
    if options.database is None:
        parser.error("name the database, or set DATABASE_URL")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    store = Store(options.database)
    try:
        store.migrate()
        registry.known_model(store, options.model)
        describe_table(store, options.model, options.measure)
    except LandmarkError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
