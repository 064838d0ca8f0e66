"""Queries' features -> the ranked matches of the whole table."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timezone
from itertools import islice
from typing import Any, Protocol

from dask.distributed import Client

from landmark.cluster.tasks import shares
from landmark.errors import LandmarkError
from landmark.matching.chance import ChanceHistogram
from landmark.matching.pair import MatchingParameters
from landmark.matching.ranking import MIN_INLIERS, verdict
from landmark.progress import Progress
from landmark.search import fanout
from landmark.search.comparison import Query
from landmark.search.copies import ungrouped
from landmark.search.neighbourhood import own_edges
from landmark.search.place import find_place_of, find_whereabouts
from landmark.search.planning import RunningSearch, Table, begin_searches, group_queries
from landmark.search.result import SearchResult, read_query
from landmark.search.shortlist import ROUNDS
from landmark.search.single import Search
from landmark.storage.database import Database
from landmark.storage.edges import save_edges
from landmark.storage.partitions import list_partitions

logger = logging.getLogger(__name__)

# Each holds up to 50 MB of candidates.
SHORTLISTS_AT_ONCE = 4


class Queries(Protocol):
    """Queries that need not be in memory all at once: a list, or `WrittenQueries`."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Query]: ...


@dataclass(frozen=True)
class WrittenQueries:
    """The queries of a run, whose features are read when they are needed.

    Parameters
    ----------
    client : boto3 client
    searches : sequence of Search
    """

    client: Any
    searches: Sequence[Search]

    def __len__(self) -> int:
        return len(self.searches)

    def __iter__(self) -> Iterator[Query]:
        for search in self.searches:
            features = read_query(self.client, search.folder)
            yield Query(search.query, features, framing=search.framing.asked)


def rank_table(
    database: Database,
    client: Client,
    model: str,
    queries: Queries,
    top_k: int,
    min_inliers: int = MIN_INLIERS,
    mode: str = "auto",
    shortlist: int = 300,
    parameters: MatchingParameters = MatchingParameters(),
    tell: Callable[[Progress], None] = lambda progress: None,
    worker_database: Database | None = None,
    ranking: str = "graph",
    keep_edges: bool = False,
    chance_of_model: ChanceHistogram = ChanceHistogram(),
) -> Iterator[SearchResult | LandmarkError]:
    """Compare queries with the images of their model in the table, in one pass for all of them.

    Dask tasks carry ranges of ids; the workers read the features from Postgres themselves, all of
    them as the table was at one time, and compare each image with every query. More queries than
    `GROUP_BYTES` holds go in groups, each a pass and a time of its own.

    Parameters
    ----------
    model : str
        Fingerprint; only images with features of the same model are compared.
    mode : {'auto', 'exhaustive', 'shortlist'}
        With every image, or with the nearest by global descriptor, or one of them by table size.
    shortlist : int
        How many are the nearest.
    tell : callable
        Told now and then how far it is.
    worker_database : Database, optional
        The same database as the workers reach it, such as by a role that may only read.
    ranking : {'graph', 'inliers'}
        By inliers and what the match graph says together, or by inliers alone.
    keep_edges : bool
        Add what a query that is indexed itself was found to match to the graph; not of a part, or
        turned, whose features are not those of its row.
    chance_of_model : ChanceHistogram
        What is known of the model besides what was measured on the table.

    Yields
    ------
    SearchResult or LandmarkError
        One for each query, in their order: what a search for it alone would give. The error says
        why there is none: if the model has no other image in the table (and which models have), or
        a shortlist is asked for and the images or the query have no global descriptor.
    """
    left, progress = len(queries), None
    for group in group_queries(queries, top_k):
        if left > len(group) or progress is not None:
            logger.info("%d queries left: %d of them in this pass", left, len(group))
        with database.at_one_time() as frozen:
            table = Table(frozen, model, worker_database, chance_of_model)
            begun = begin_searches(
                table, group, mode, shortlist, top_k, min_inliers, ranking == "graph"
            )
            searches = [search for search in begun if isinstance(search, RunningSearch)]
            exhaustive = [search for search in searches if search.mode == "exhaustive"]
            short = [search for search in searches if search.mode == "shortlist"]
            partitions = (
                list_partitions(frozen, model, fanout.IMAGES_PER_TASK) if exhaustive else []
            )
            images = sum(part.images for part in partitions)
            pairs = len(exhaustive) * images - sum(search.left_out for search in exhaustive)
            pairs = (pairs + len(short) * shortlist) * left // len(group)
            left -= len(group)
            if progress is None:
                progress = Progress(pairs, "comparisons", tell)
            progress.total = progress.done + pairs
            if exhaustive:
                fanout.FanOut(table, client, exhaustive, parameters, progress).rank_all(partitions)
            if short:
                tasks = fanout.FanOut(table, client, short, parameters, progress)
                _rank_shortlists(tasks, table, short, shortlist)
                del tasks  # and with it the queries that the workers hold
            if ranking == "graph" and searches:
                _compare_around(table, client, searches, parameters, progress)
            own = [
                own_edges(frozen, model, search.query, search.best.matches)
                for search in searches
                if keep_edges and search.query.framing.is_whole
            ]
            listed = [search.listed(table, top_k, min_inliers) for search in searches]
            places = [
                (find_place_of(frozen, model, found), find_whereabouts(frozen, model, found))
                for found in listed
            ]
            figures = table.chance  # read now: afterwards the snapshot is gone
        for edges, versions in own:
            save_edges(database, edges, versions)
        found = zip(listed, places, strict=True)
        for search in begun:
            if isinstance(search, LandmarkError):
                yield search
                continue
            matches, (place, where) = next(found)
            yield SearchResult(
                query=search.query.path,
                model=model,
                images_compared=search.compared,
                index_time=search.newest.astimezone(timezone.utc).isoformat(timespec="seconds"),
                mode=search.mode,
                parameters={
                    "top_k": top_k,
                    "min_inliers": min_inliers,
                    "ranking": ranking,
                    **({"shortlist": shortlist} if search.mode == "shortlist" else {}),
                    "max_distance": parameters.max_distance,
                    **asdict(parameters.verification),
                },
                verdict=verdict(ungrouped(matches)),
                matches=matches,
                chance=figures.source,
                place=place,
                whereabouts=where,
                framing=search.query.framing,
            )


def rank_alone(
    database: Database, client: Client, model: str, query: Query, top_k: int, **options: Any
) -> SearchResult:
    """`rank_table` for one query.

    Raises
    ------
    LandmarkError
        If there is no result.
    """
    (found,) = rank_table(database, client, model, [query], top_k, **options)
    if isinstance(found, LandmarkError):
        raise found
    return found


def _rank_shortlists(
    tasks: fanout.FanOut, table: Table, searches: Sequence[RunningSearch], shortlist: int
) -> None:
    """Round by round, and first what is on no list: what nothing has described, or people have."""
    first = {row: list(range(len(searches))) for row in table.undescribed_ids}
    for number, search in enumerate(searches):
        for row, is_same in search.query.said.items():
            if is_same and row not in table.undescribed_ids:
                first.setdefault(row, []).append(number)
    tasks.rank_some(first)
    numbered = iter(enumerate(searches))
    while some := list(islice(numbered, SHORTLISTS_AT_ONCE)):
        for images in shares(shortlist, ROUNDS):
            wanted: dict[int, list[int]] = {}
            for number, search in some:
                assert search.nearest is not None
                for row in search.nearest.take(images, search.sure):
                    wanted.setdefault(row, []).append(number)
            tasks.rank_some(wanted)
        for _, search in some:
            search.nearest = None


def _compare_around(
    table: Table,
    client: Client,
    searches: Sequence[RunningSearch],
    parameters: MatchingParameters,
    progress: Progress,
) -> None:
    """Compare the queries with what the match graph leads to from what they matched."""
    wanted: dict[int, list[int]] = {}
    for number, search in enumerate(searches):
        for image in search.look_around(table):
            wanted.setdefault(image, []).append(number)
    compared = [search.compared for search in searches]
    if wanted:
        fanout.FanOut(table, client, searches, parameters, progress).rank_some(wanted)
    for search, before in zip(searches, compared, strict=True):
        if search.mode == "exhaustive":  # it was compared with all of them already
            search.compared = before
