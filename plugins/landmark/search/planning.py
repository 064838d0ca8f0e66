"""What a query is compared with: every image, or a shortlist of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from landmark.errors import LandmarkError
from landmark.index.describe import EXHAUSTIVE_UP_TO
from landmark.matching.chance import ChanceFigures, ChanceHistogram, chance_figures
from landmark.matching.match_graph import EDGE_INLIERS
from landmark.matching.ranking import MIN_INLIERS, Match, TopK
from landmark.search.comparison import Query
from landmark.search.copies import grouped
from landmark.search.likeness import Likeness
from landmark.search.neighbourhood import SEEDS, Neighbourhood, neighbourhood, rank_by_graph
from landmark.search.shortlist import CANDIDATES, EXPANDED_BY, Shortlist
from landmark.storage.aggregations import NumberedAggregation, known_aggregations
from landmark.storage.blobs import local_dimensions
from landmark.storage.chance import measured_chance
from landmark.storage.corrections import said_of
from landmark.storage.database import Database
from landmark.storage.descriptions import SketchCache, undescribed_ids
from landmark.storage.images import contents_besides
from landmark.storage.models import count_all_images, known_models
from landmark.storage.nearest import warn_of_other_dimensions

# Of the queries of one pass, with their matches; a worker holds up to three times as much of them.
GROUP_BYTES = 64_000_000
MATCH_BYTES = 300


def group_queries(queries: Iterable[Query], top_k: int) -> Iterator[list[Query]]:
    """As many queries at once as `GROUP_BYTES` holds, with what each may find."""
    group: list[Query] = []
    size = 0
    for query in queries:
        needed = query.features.nbytes + top_k * MATCH_BYTES
        if group and size + needed > GROUP_BYTES:
            yield group
            group, size = [], 0
        group.append(query)
        size += needed
    if group:
        yield group


class Table:
    """What a pass asks of the table, once for all of its queries."""

    def __init__(
        self,
        database: Database,
        model: str,
        worker_database: Database | None,
        chance_of_model: ChanceHistogram,
    ) -> None:
        self.database, self.model = database, model
        self._chance_of_model = chance_of_model
        self.worker_database = replace(worker_database or database, snapshot=database.snapshot)
        self.sketches = SketchCache(database, CANDIDATES)

    @cached_property
    def aggregations(self) -> list[NumberedAggregation]:
        """What global descriptors are made by."""
        known = known_aggregations(self.database, self.model, whole=False)
        for aggregation in known:
            warn_of_other_dimensions(self.database, aggregation)
        return known

    @cached_property
    def images(self) -> int:
        """Of the model, all of them."""
        return count_all_images(self.database, self.model)

    @cached_property
    def chance(self) -> ChanceFigures:
        """How many inliers images of other places have."""
        of_table = measured_chance(self.database, self.model).histogram
        return chance_figures(of_table, self._chance_of_model)

    @cached_property
    def likeness(self) -> Likeness | None:
        """How alike images are to queries; None where nothing describes the table."""
        if not self.aggregations:
            return None
        return Likeness(self.database, self.model, self.aggregations[0])

    @cached_property
    def local_dimensions(self) -> int | None:
        """Of local descriptors."""
        with self.database.connect() as connection:
            return local_dimensions(connection, self.model)

    @cached_property
    def undescribed_ids(self) -> list[int]:
        """Images without one; more than `EXHAUSTIVE_UP_TO` are not told apart."""
        return undescribed_ids(self.database, self.model, EXHAUSTIVE_UP_TO + 1)


@dataclass
class RunningSearch:
    """One query on its way through the table.

    Parameters
    ----------
    query : Query
    is_indexed : bool
        Whether its own image is in the table.
    newest : datetime
        When an image that it is compared with was indexed last.
    mode : str
        ``exhaustive`` or ``shortlist``.
    best : TopK
    nearest : Shortlist or None
        In that mode.
    compared : int
        Images so far.
    around : Neighbourhood or None
        Of the match graph, once it was looked at.
    """

    query: Query
    is_indexed: bool
    newest: datetime
    mode: str
    best: TopK
    nearest: Shortlist | None = None
    compared: int = 0
    around: Neighbourhood | None = None

    @property
    def left_out(self) -> int:
        """Images of the table that it is not compared with: its own, and those of other places."""
        return self.is_indexed + sum(not is_same for is_same in self.query.said.values())

    @property
    def sure(self) -> list[Match]:
        """What shows its place, as far as is known."""
        return [match for match in self.best.matches if match.strength >= MIN_INLIERS]

    def look_around(self, table: Table) -> list[int]:
        """Take in the graph around what was found; ids of what the query is to be compared with.

        From now on it keeps whatever it is compared with, inliers or not.
        """
        self.around = neighbourhood(table.database, table.model, self.query, self.best.matches)
        known = {match.image_path for match in self.best.matches}
        self.best = TopK(self.best.k + len(self.around.paths), 0, self.best.matches)
        return [image for image, path in self.around.paths.items() if path not in known]

    def listed(self, table: Table, top_k: int, min_inliers: int) -> list[Match]:
        """What is listed, best first, each with its copies and how many chance brings as far.

        A shortlist holds nearly all that chance brings far: what is most alike. So it is of the
        table's size that this depends, not of the shortlist's. Who looks again gives it more tries.
        """
        if self.around is not None:
            found = rank_by_graph(self.best.matches, self.around, min_inliers)
        else:
            found = [match for match in self.best.matches if match.strength >= min_inliers]
        images = self.compared
        if self.mode == "shortlist":
            images = max(images, table.images - self.is_indexed)
        images *= self.query.framing.looks
        paths = [match.image_path for match in found]
        alike = table.likeness.of(self.query.features, paths) if table.likeness else {}
        judged = [
            table.chance.judged(match, images, alike.get(match.image_path)) for match in found
        ]
        return grouped(table.database, table.model, judged)[:top_k]


def begin_searches(
    table: Table,
    queries: Sequence[Query],
    mode: str,
    shortlist: int,
    top_k: int,
    min_inliers: int,
    by_graph: bool,
) -> list[RunningSearch | LandmarkError]:
    """Look at the table, and choose for each query how it is searched for."""
    database, model = table.database, table.model
    contents = contents_besides(
        database, model, [query.path for query in queries], max(shortlist, EXHAUSTIVE_UP_TO) + 1
    )
    said = said_of(database, model, [query.path for query in queries])
    begun: list[RunningSearch | LandmarkError] = []
    for query, others in zip(queries, contents, strict=True):
        query = replace(query, said=said.get(query.path, {}))
        try:
            if others.newest is None:
                raise LandmarkError(_nothing_to_compare(database, model))
            size = query.features.descriptors.shape[1]
            if size != table.local_dimensions is not None:
                raise LandmarkError(
                    f"{query.path}: its descriptors have {size} numbers, those of the table "
                    f"{table.local_dimensions}; clear the run, and they are made anew"
                )
            chosen = _choose_mode(table, mode, shortlist, others.images)
            # More than the result may list: what finds other images of the place.
            wanted = TopK(max(top_k, SEEDS), min_inliers)  # copies share a rank
            if by_graph and chosen == "shortlist":
                wanted = TopK(max(top_k, SEEDS, shortlist), 0)  # as it was compared with these
            elif by_graph:
                wanted = TopK(max(top_k, SEEDS), min(min_inliers, EDGE_INLIERS))
            elif chosen == "shortlist":
                wanted = TopK(max(top_k, EXPANDED_BY), min(min_inliers, MIN_INLIERS))
            search = RunningSearch(query, others.has_path, others.newest, chosen, wanted)
            if chosen == "shortlist":
                search.nearest = Shortlist(
                    database,
                    model,
                    query.features,
                    query.path,
                    shortlist,
                    table.aggregations,
                    table.sketches,
                    query.said,
                )
            begun.append(search)
        except LandmarkError as error:
            begun.append(error)
    return begun


def _choose_mode(table: Table, asked: str, shortlist: int, images: int) -> str:
    """With every image or by shortlist.

    What nothing has described yet is on no list, and compared as well if it is little enough.
    """
    if asked == "exhaustive" or images <= shortlist:  # the same images
        return "exhaustive"
    if asked == "auto" and (images <= EXHAUSTIVE_UP_TO or not table.aggregations):
        return "exhaustive"
    if len(table.undescribed_ids) <= EXHAUSTIVE_UP_TO:
        return "shortlist"
    if asked == "auto":
        return "exhaustive"
    raise LandmarkError(
        f"most images of the model {table.model} have no global descriptor yet; run "
        f"landmark_index, or search with mode=exhaustive"
    )


def _nothing_to_compare(database: Database, model: str) -> str:
    known = [known for known in known_models(database) if known.images]
    others = ", ".join(f"{known.model} ({known.images} images)" for known in known)
    if not others:
        return "the table landmarks is empty; run landmark_index first"
    return (
        f"no image to compare with for the model {model}; the table has {others}; "
        f"run landmark_index with this model, or set LANDMARK_MODEL to one of those"
    )
