"""Queries' features -> the ranked matches of the whole table, fanned out over Dask."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from functools import cached_property
from itertools import islice, pairwise
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from dask.distributed import Client, Future, as_completed
from numpy.typing import NDArray

from landmark import registry
from landmark.errors import LandmarkError
from landmark.features import LocalFeatures
from landmark.matching import QueryDescriptors, putative_matches, whole_numbers
from landmark.models import DELF_DEFAULTS
from landmark.progress import Progress
from landmark.ranking import MIN_INLIERS, Match, TopK, verdict
from landmark.report import SearchResult, read_query
from landmark.row_cache import ROWS
from landmark.searches import Search
from landmark.shortlist import EXHAUSTIVE_UP_TO, EXPANDED_BY, ROUNDS, Shortlist, SketchCache
from landmark.store import NumberedAggregation, Partition, Store, StoredImage
from landmark.verification import Verification, VerificationParameters, verify
from landmark.workers import CODE_VERSION, keep_freed_memory, preferred_workers

logger = logging.getLogger(__name__)

# A Dask task costs 2-3 ms and a pair about as much, so fewer images a task waste time; more leave
# workers idle at the end.
IMAGES_PER_TASK = 64
# Within a task: matched first, then verified in the order of their putatives.
IMAGES_PER_CHUNK = 64
# Of the queries of one pass, with their matches; a worker holds up to three times as much of them.
GROUP_BYTES = 64_000_000
MATCH_BYTES = 300

# Each holds up to 50 MB of candidates.
SHORTLISTS_AT_ONCE = 4

# For each worker; more go to whichever is free.
FEW_TASKS = 4
# The home of tasks that any worker may take.
ANYWHERE = ""

# Between two looks for results of tasks.
POLL_S = 0.01


# An image as it comes from the table in bulk, or whole.
AnyFeatures: TypeAlias = StoredImage | LocalFeatures


@dataclass(frozen=True)
class MatchingParameters:
    """How two images are compared.

    Parameters
    ----------
    max_distance : float
        Between the descriptors of a putative match, 0 to 2: the model's own.
    verification : VerificationParameters
    """

    max_distance: float = DELF_DEFAULTS["max_distance"]
    verification: VerificationParameters = field(default_factory=VerificationParameters)


def compare(
    query: LocalFeatures, image: AnyFeatures, parameters: MatchingParameters = MatchingParameters()
) -> tuple[NDArray[np.intp], Verification]:
    """The putative matches [k, 2] (query, image) of two images, and which of them are inliers."""
    descriptors = QueryDescriptors.of(query.descriptors)
    rows = whole_numbers(image.descriptors)
    pairs = putative_matches(descriptors, rows, parameters.max_distance)
    return pairs, verify_pairs(query, image, pairs, parameters)


def verify_pairs(
    query: LocalFeatures,
    image: AnyFeatures,
    pairs: NDArray[np.intp],
    parameters: MatchingParameters,
) -> Verification:
    """Which of the putative matches [k, 2] (query, image) of two images are inliers."""
    return verify(
        query.locations[pairs[:, 0]],
        image.locations[pairs[:, 1]],
        query.side_px,
        image.side_px,
        query.scales[pairs[:, 0]] / image.scales[pairs[:, 1]],
        parameters.verification,
    )


@dataclass(frozen=True, eq=False)
class Query:
    """A photograph to search for.

    Parameters
    ----------
    path : str
        ``s3://bucket/key``: the one image of the table that it is not compared with.
    features : LocalFeatures
    """

    path: str
    features: LocalFeatures

    @cached_property
    def descriptors(self) -> QueryDescriptors:
        """Arranged once a process, however many images are compared there."""
        return QueryDescriptors.of(self.features.descriptors)

    def __reduce__(self) -> tuple[Any, ...]:
        return Query, (self.path, self.features)  # what was arranged stays in its process


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
            yield Query(search.query, read_query(self.client, search.folder))


class Ranking(NamedTuple):
    """The best of some images for one query.

    Parameters
    ----------
    matches : list of Match
        Best first.
    compared, verified : int
        How many images there were, and how many of them had to be verified to know these.
    """

    matches: list[Match]
    compared: int
    verified: int


def rank_images(
    queries: Sequence[Query],
    images: Iterable[StoredImage],
    top_k: int,
    min_inliers: int,
    parameters: MatchingParameters = MatchingParameters(),
    ids: Sequence[Container[int]] | None = None,
) -> list[Ranking]:
    """For each query the best `top_k` matches of a stream of images, which is read once.

    Exactly as if every pair had been verified.

    Parameters
    ----------
    ids : sequence of container of int, optional
        For each query the rows that it is compared with; by default all.
    """
    best = [TopK(top_k, min_inliers) for _ in queries]
    compared, verified = [0] * len(queries), [0] * len(queries)
    stream = iter(images)
    while chunk := [
        (image, whole_numbers(image.descriptors)) for image in islice(stream, IMAGES_PER_CHUNK)
    ]:
        for number, query in enumerate(queries):
            matched = [
                (putative_matches(query.descriptors, rows, parameters.max_distance), image)
                for image, rows in chunk
                if image.image_path != query.path and (ids is None or image.id in ids[number])
            ]
            compared[number] += len(matched)
            matched.sort(key=lambda candidate: (-len(candidate[0]), candidate[1].image_path))
            for pairs, image in matched:
                if not best[number].can_enter(len(pairs), image.image_path):
                    break
                verified[number] += 1
                inliers = verify_pairs(query.features, image, pairs, parameters).inliers
                best[number].add(Match(len(inliers), len(pairs), image.image_path))
    return [
        Ranking(top.matches, *counts) for top, *counts in zip(best, compared, verified, strict=True)
    ]


def rank_table(
    store: Store,
    client: Client,
    model: str,
    queries: Queries,
    top_k: int,
    min_inliers: int = MIN_INLIERS,
    mode: str = "auto",
    shortlist: int = 300,
    parameters: MatchingParameters = MatchingParameters(),
    tell: Callable[[Progress], None] = lambda progress: None,
    worker_store: Store | None = None,
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
    worker_store : Store, optional
        The same database as the workers reach it, such as by a role that may only read.

    Yields
    ------
    SearchResult or LandmarkError
        One for each query, in their order: what a search for it alone would give. The error says
        why there is none: if the model has no other image in the table (and which models have), or
        a shortlist is asked for and the images or the query have no global descriptor.
    """
    left, progress = len(queries), None
    for group in _groups(queries, top_k):
        if left > len(group) or progress is not None:
            logger.info("%d queries left: %d of them in this pass", left, len(group))
        with store.at_one_time() as frozen:
            table = _Table(frozen, model, worker_store)
            begun = _begin(table, group, mode, shortlist, top_k, min_inliers)
            searches = [search for search in begun if isinstance(search, _Search)]
            exhaustive = [search for search in searches if search.mode == "exhaustive"]
            short = [search for search in searches if search.mode == "shortlist"]
            partitions = frozen.partitions(model, IMAGES_PER_TASK) if exhaustive else []
            images = sum(part.images for part in partitions)
            pairs = len(exhaustive) * images - sum(search.is_indexed for search in exhaustive)
            pairs = (pairs + len(short) * shortlist) * left // len(group)
            left -= len(group)
            if progress is None:
                progress = Progress(pairs, "comparisons", tell)
            progress.total = progress.done + pairs
            if exhaustive:
                _Tasks(table, client, exhaustive, parameters, progress).rank_all(partitions)
            if short:
                tasks = _Tasks(table, client, short, parameters, progress)
                _rank_shortlists(tasks, table, short, shortlist)
                del tasks  # and with it the queries that the workers hold
        for search in begun:
            if isinstance(search, LandmarkError):
                yield search
                continue
            matches = [match for match in search.best.matches if match.inliers >= min_inliers]
            yield SearchResult(
                query=search.query.path,
                model=model,
                images_compared=search.compared,
                index_time=search.newest.astimezone(timezone.utc).isoformat(timespec="seconds"),
                mode=search.mode,
                parameters={
                    "top_k": top_k,
                    "min_inliers": min_inliers,
                    **({"shortlist": shortlist} if search.mode == "shortlist" else {}),
                    "max_distance": parameters.max_distance,
                    **asdict(parameters.verification),
                },
                verdict=verdict(matches),
                matches=matches[:top_k],
            )


def rank_alone(
    store: Store, client: Client, model: str, query: Query, top_k: int, **options: Any
) -> SearchResult:
    """`rank_table` for one query.

    Raises
    ------
    LandmarkError
        If there is no result.
    """
    (found,) = rank_table(store, client, model, [query], top_k, **options)
    if isinstance(found, LandmarkError):
        raise found
    return found


def _groups(queries: Iterable[Query], top_k: int) -> Iterator[list[Query]]:
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


class _Table:
    """What a pass asks of the table, once for all of its queries."""

    def __init__(self, store: Store, model: str, worker_store: Store | None) -> None:
        self.store, self.model = store, model
        self.worker_store = replace(worker_store or store, snapshot=store.snapshot)
        self.sketches = SketchCache(store)

    @cached_property
    def aggregations(self) -> list[NumberedAggregation]:
        """What global descriptors are made by."""
        return self.store.aggregations(self.model)

    @cached_property
    def undescribed_ids(self) -> list[int]:
        """Images without one; more than `EXHAUSTIVE_UP_TO` are not told apart."""
        return self.store.undescribed_ids(self.model, EXHAUSTIVE_UP_TO + 1)


@dataclass
class _Search:
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
    """

    query: Query
    is_indexed: bool
    newest: datetime
    mode: str
    best: TopK
    nearest: Shortlist | None = None
    compared: int = 0


def _begin(
    table: _Table,
    queries: Sequence[Query],
    mode: str,
    shortlist: int,
    top_k: int,
    min_inliers: int,
) -> list[_Search | LandmarkError]:
    """Look at the table, and choose for each query how it is searched for."""
    store, model = table.store, table.model
    contents = store.contents_besides(
        model, [query.path for query in queries], max(shortlist, EXHAUSTIVE_UP_TO) + 1
    )
    begun: list[_Search | LandmarkError] = []
    for query, others in zip(queries, contents, strict=True):
        try:
            if others.newest is None:
                raise LandmarkError(_nothing_to_compare(store, model))
            chosen = _choose_mode(table, mode, shortlist, others.images)
            search = _Search(
                query, others.has_path, others.newest, chosen, TopK(top_k, min_inliers)
            )
            if chosen == "shortlist":
                # It wants to know of the place's surest images, whatever the result may list.
                search.best = TopK(max(top_k, EXPANDED_BY), min(min_inliers, MIN_INLIERS))
                search.nearest = Shortlist(
                    store,
                    model,
                    query.features,
                    query.path,
                    shortlist,
                    table.aggregations,
                    table.sketches,
                )
            begun.append(search)
        except LandmarkError as error:
            begun.append(error)
    return begun


def _choose_mode(table: _Table, asked: str, shortlist: int, images: int) -> str:
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


class _Tasks:
    """Compares some queries with parts of the table, on the workers."""

    def __init__(
        self,
        table: _Table,
        client: Client,
        searches: Sequence[_Search],
        parameters: MatchingParameters,
        progress: Progress,
    ) -> None:
        self._client, self._searches, self._progress = client, searches, progress
        self._given = 0  # tasks so far, each to the next worker
        # A task for each, which the scheduler can do again: scattered data go with their workers.
        # A worker gets them once, whatever the number of its tasks.
        queries = [client.submit(_itself, search.query, pure=False) for search in searches]
        self._options: dict[str, Any] = {
            # Pods have the database's address and password of their own; Dask carries neither.
            "store": replace(
                table.worker_store, **({"conninfo": ""} if _has_postgres_secret(client) else {})
            ),
            "model": table.model,
            "queries": client.submit(list, queries, pure=False),
            "top_k": searches[0].best.k,
            "min_inliers": searches[0].best.min_inliers,
            "parameters": parameters,
            "code": CODE_VERSION,
        }

    def rank_all(self, partitions: Sequence[Partition]) -> None:
        """Compare every query with every image; workers that stay get the same ones each time.

        Another worker takes a part only if it would idle.
        """
        client, options = self._client, self._options
        if client.cluster is not None:  # made for this task, and gone with it
            self._take_in(client.map(_rank_partition, partitions, pure=False, **options))
            return
        workers = sorted(client.scheduler_info()["workers"])
        blocks = [partition.block for partition in partitions]
        homes = preferred_workers(blocks, workers) if workers else [ANYWHERE] * len(blocks)
        self._take_in(self._at_home(homes, partitions))

    def rank_some(self, wanted: Mapping[int, Sequence[int]]) -> None:
        """Compare images of some ids with those queries that want them, each image read once.

        Parameters
        ----------
        wanted : mapping
            Of each id the numbers of the queries.
        """
        if not wanted:
            return
        pairs = sum(len(numbers) for numbers in wanted.values())
        self._progress.total = max(self._progress.total, self._progress.done + pairs)
        workers = sorted(self._client.scheduler_info()["workers"])
        partitions = _partitioned(sorted(wanted), len(workers))
        lists = [{row: wanted[row] for row in part.ids} for part in partitions]
        # Left to itself, Dask gives all of a few tasks to the worker that holds the queries; many
        # it shares out, also among workers that come meanwhile.
        few = len(partitions) <= FEW_TASKS * len(workers)
        homes = [ANYWHERE] * len(partitions)
        if few:
            homes = [workers[(self._given + i) % len(workers)] for i in range(len(partitions))]
            self._given += len(partitions)
        self._take_in(self._at_home(homes, partitions, lists))

    def _at_home(self, homes: Sequence[str], *parts: Sequence[Any]) -> list[Future]:
        """Submit a task for each of `homes`; another worker takes it only if it would idle."""
        tasks: list[Future] = []
        for worker in sorted(set(homes)):
            own = [part for home, *part in zip(homes, *parts, strict=True) if home == worker]
            tasks += self._client.map(
                _rank_partition,
                *zip(*own, strict=True),
                workers=None if worker == ANYWHERE else [worker],
                allow_other_workers=worker != ANYWHERE,
                pure=False,
                **self._options,
            )
        return tasks

    def _take_in(self, tasks: Sequence[Future]) -> None:
        compared = verified = 0
        for task, parts in _completed(tasks, self._options["queries"]):
            for number, part in parts.items():
                search = self._searches[number]
                search.best.merge(part.matches)
                search.compared += part.compared
                verified += part.verified
            done = sum(part.compared for part in parts.values())
            compared += done
            self._progress.add(done)
            task.release()
        logger.info("%d of %d comparisons had to be verified", verified, compared)


def _completed(
    tasks: Sequence[Future], queries: Future
) -> Iterator[tuple[Future, dict[int, Ranking]]]:
    """Each task and its result, once it is done.

    When the scheduler is lost, the client cancels what it knows; of tasks that it was just about to
    submit it would never hear again. So it is the queries, submitted before them all, that tell.

    Raises
    ------
    ConnectionError
        If the scheduler was lost.
    """
    completed = as_completed(tasks, with_results=True)
    while not completed.is_empty():
        if completed.has_ready():
            task, parts = next(completed)
            if not isinstance(parts, BaseException):
                yield task, parts
                continue
        elif not queries.cancelled():
            time.sleep(POLL_S)
            continue
        raise ConnectionError("Dask's scheduler was lost in the middle of the search")


def _rank_shortlists(
    tasks: _Tasks, table: _Table, searches: Sequence[_Search], shortlist: int
) -> None:
    """Round by round, and first what nothing has described yet, which is on no list."""
    tasks.rank_some(dict.fromkeys(table.undescribed_ids, range(len(searches))))
    numbered = iter(enumerate(searches))
    while some := list(islice(numbered, SHORTLISTS_AT_ONCE)):
        for images in _shares(shortlist, ROUNDS):
            wanted: dict[int, list[int]] = {}
            for number, search in some:
                assert search.nearest is not None
                sure = [match for match in search.best.matches if match.inliers >= MIN_INLIERS]
                for row in search.nearest.take(images, sure):
                    wanted.setdefault(row, []).append(number)
            tasks.rank_some(wanted)
        for _, search in some:
            search.nearest = None


def _has_postgres_secret(client: Client) -> bool:
    return getattr(client.cluster, "has_postgres_secret", False)


def _partitioned(ids: list[int], workers: int) -> list[Partition]:
    """Slices for tasks: enough that no worker idles."""
    tasks = max(-(-len(ids) // IMAGES_PER_TASK), workers)
    slices = iter(ids)
    return [Partition([*islice(slices, size)], size) for size in _shares(len(ids), tasks)]


def _shares(total: int, parts: int) -> list[int]:
    """`total` in so many parts of about one size, none of them empty."""
    bounds = [total * part // parts for part in range(parts + 1)]
    return [last - first for first, last in pairwise(bounds) if last > first]


def _itself(query: Query) -> Query:
    return query


def _rank_partition(
    partition: Partition,
    wanted: Mapping[int, Sequence[int]] | None = None,
    *,
    store: Store,
    model: str,
    queries: Sequence[Query],
    top_k: int,
    min_inliers: int,
    parameters: MatchingParameters,
    code: str,
) -> dict[int, Ranking]:
    """Runs on a Dask worker; gives the rankings by the queries' numbers.

    Parameters
    ----------
    wanted : mapping, optional
        Of each id the numbers of the queries that it is compared with; by default all.
    """
    keep_freed_memory()
    if code != CODE_VERSION:
        raise LandmarkError(
            f"a worker that joined during the search runs Landmark {CODE_VERSION} instead of "
            f"{code}; bring its plugins/ up to date and restart it"
        )
    # A shortlist's rows come again in no other search; those of the whole table do in each.
    cache = ROWS if ROWS.limit_bytes and wanted is None else None
    images = store.read_partition(model, partition.ids, cache)
    ids: dict[int, Container[int]]
    if wanted is None:
        ids = dict.fromkeys(range(len(queries)), partition.ids)
    else:
        lists: dict[int, set[int]] = {}
        for row, numbers in wanted.items():
            for number in numbers:
                lists.setdefault(number, set()).add(row)
        ids = dict(sorted(lists.items()))
    chosen = [queries[number] for number in ids]
    rankings = rank_images(chosen, images, top_k, min_inliers, parameters, list(ids.values()))
    return dict(zip(ids, rankings, strict=True))


def _nothing_to_compare(store: Store, model: str) -> str:
    known = [known for known in registry.known_models(store) if known.images]
    others = ", ".join(f"{known.model} ({known.images} images)" for known in known)
    if not others:
        return "the table landmarks is empty; run landmark_index first"
    return (
        f"no image to compare with for the model {model}; the table has {others}; "
        f"run landmark_index with this model, or set LANDMARK_MODEL to one of those"
    )
