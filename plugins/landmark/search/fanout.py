"""Comparison on the workers of Dask: tasks carry ids, the workers read the images themselves."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from dask.distributed import Client, Future

from landmark.cluster.tasks import check_code, completed, database_of_workers, shares
from landmark.cluster.workers import CODE_VERSION, keep_freed_memory, preferred_workers
from landmark.matching.pair import MatchingParameters
from landmark.progress import Progress
from landmark.search.comparison import Query, Ranking, rank_images
from landmark.search.planning import RunningSearch, Table
from landmark.storage.database import Database
from landmark.storage.partitions import Partition, read_partition
from landmark.storage.row_cache import ROWS

logger = logging.getLogger(__name__)

# A Dask task costs 2-3 ms and a pair about as much, so fewer images a task waste time; more leave
# workers idle at the end.
IMAGES_PER_TASK = 64
# With many queries fewer: a task goes on for about a second before a more urgent one has its turn.
PAIRS_PER_TASK = 1024
# For each worker; more go to whichever is free.
FEW_TASKS = 4
# The home of tasks that any worker may take.
ANYWHERE = ""


class FanOut:
    """Compares some queries with parts of the table, on the workers."""

    def __init__(
        self,
        table: Table,
        client: Client,
        searches: Sequence[RunningSearch],
        parameters: MatchingParameters,
        progress: Progress,
    ) -> None:
        self._client, self._searches, self._progress = client, searches, progress
        self._given = 0  # tasks so far, each to the next worker
        # A task for each, which the scheduler can do again: scattered data go with their workers.
        # A worker gets them once, whatever the number of its tasks.
        queries = [client.submit(_itself, search.query, pure=False) for search in searches]
        self._options: dict[str, Any] = {
            # One photograph's search does not wait for a run of a thousand.
            "priority": -len(searches),
            "database": database_of_workers(client, table.worker_database),
            "model": table.model,
            "queries": client.submit(list, queries, pure=False),
            "top_k": max(search.best.k for search in searches),
            "min_inliers": min(search.best.min_inliers for search in searches),
            "parameters": parameters,
            "code": CODE_VERSION,
        }

    def rank_all(self, partitions: Sequence[Partition]) -> None:
        """Compare every query with every image; workers that stay get the same ones each time.

        Another worker takes a part only if it would idle.
        """
        client, options = self._client, self._options
        images = max(1, PAIRS_PER_TASK // len(self._searches))
        partitions = [part for whole in partitions for part in _cut(whole, images)]
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
        for task, parts in completed(tasks, self._options["queries"]):
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


def _partitioned(ids: list[int], workers: int) -> list[Partition]:
    """Slices for tasks: enough that no worker idles."""
    tasks = max(-(-len(ids) // IMAGES_PER_TASK), workers)
    slices = iter(ids)
    return [Partition([*islice(slices, size)], size) for size in shares(len(ids), tasks)]


def _cut(partition: Partition, images: int) -> Iterator[Partition]:
    """Its rows in ranges of about so many; by their block workers know them as before."""
    parts = -(-partition.images // images)
    ids = partition.ids
    for size in shares(len(ids), parts):
        yield Partition(ids[:size], -(-partition.images // parts), partition.block)
        ids = ids[size:]


def _itself(query: Query) -> Query:
    return query


def _rank_partition(
    partition: Partition,
    wanted: Mapping[int, Sequence[int]] | None = None,
    *,
    database: Database,
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
    check_code(code)
    # A shortlist's rows come again in no other search; those of the whole table do in each.
    cache = ROWS if ROWS.limit_bytes and wanted is None else None
    images = read_partition(database, model, partition.ids, cache)
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
