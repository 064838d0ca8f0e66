"""The match graph: each image that waits for it is compared with those most alike.

Killed and run again, it goes on where it stopped. `landmark_index` does it every night, so long as
there is time; searches use what there is by then.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from dask.distributed import Client

from landmark.cluster.client import open_client
from landmark.cluster.tasks import check_code, completed, database_of_workers
from landmark.cluster.workers import CODE_VERSION, keep_freed_memory
from landmark.extraction.models import ModelConfig
from landmark.matching.candidates import Candidates
from landmark.matching.match_graph import EDGE_INLIERS
from landmark.matching.match_kernel import MatchKernel
from landmark.matching.pair import MatchingParameters, verify_pairs
from landmark.matching.putative import QueryDescriptors, putative_matches, whole_numbers
from landmark.matching.verification import NOTHING
from landmark.progress import Progress
from landmark.settings import Settings
from landmark.storage import edges
from landmark.storage.aggregations import NumberedAggregation, current_aggregation
from landmark.storage.database import Database
from landmark.storage.descriptions import SketchCache, describing
from landmark.storage.images import count_images
from landmark.storage.nearest import nearest
from landmark.storage.partitions import StoredImage, read_partition

logger = logging.getLogger(__name__)

# Of an image so many nearest by global descriptor are put in the order of the match kernel. Where
# the table has no more than the first number these are all; the kernel misses less than they do.
ALL_CANDIDATES, CANDIDATES = 2_000, 500
# Some 0.1 s each: a task is a second or two, and what is lost with it.
IMAGES_PER_TASK = 16
TASKS_PER_WORKER = 4
# Of a night; what is left is linked in the next.
MOST_S = 4 * 3600.0


class Linked(NamedTuple):
    """What a task has found.

    Parameters
    ----------
    images : list of int
        Ids of those that were compared with the most alike.
    edges : list of Edge
    versions : dict of int to datetime
        Of each image that was compared its `indexed_at`.
    """

    images: list[int]
    edges: list[edges.Edge]
    versions: dict[int, datetime]


def link_new_images(
    database: Database,
    settings: Settings,
    model: ModelConfig,
    worker_database: Database | None = None,
) -> int:
    """`link_table` as the settings say, with workers if any image waits."""
    aggregation = current_aggregation(database, model.fingerprint, whole=False)
    if (
        not settings.links
        or aggregation is None
        or not edges.count_unlinked(database, aggregation.number)
    ):
        return 0
    with open_client(settings.dask, settings) as client:
        return link_table(
            database,
            client,
            model.fingerprint,
            settings.links,
            MatchingParameters(model.max_distance),
            worker_database,
        )


def link_table(
    database: Database,
    client: Client,
    model: str,
    links: int,
    parameters: MatchingParameters = MatchingParameters(),
    worker_database: Database | None = None,
    most_s: float = MOST_S,
) -> int:
    """Compare every image of a model that waits for it with those most alike; keep what agrees.

    One process at a time; another waits.

    Parameters
    ----------
    model : str
        Fingerprint.
    links : int
        How many are the most alike; 0 links nothing.
    worker_database : Database, optional
        The same database as the workers reach it, such as by a role that may only read.
    most_s : float
        Begin nothing new after so many seconds.

    Returns
    -------
    int
        The images linked by this call.
    """
    with database.alone(f"linking images of {model}"):
        aggregation = current_aggregation(database, model, whole=False)
        if aggregation is None or not links:
            logger.info("no images to link")
            return 0
        progress = Progress(edges.count_unlinked(database, aggregation.number), "images linked")
        if not progress.total:
            return 0
        few = count_images(database, model, ALL_CANDIDATES + 1) <= ALL_CANDIDATES
        options: dict[str, Any] = {
            "model": model,
            # Of what it is made by a task needs the kernel alone.
            "aggregation": NumberedAggregation(
                aggregation.number, aggregation.dimensions, aggregation.images
            ),
            "kernel": client.submit(_itself, aggregation.kernel, pure=False),
            "candidates": ALL_CANDIDATES if few else CANDIDATES,
            "links": links,
            "parameters": parameters,
            "code": CODE_VERSION,
        }
        for ids in _batches(database, client, aggregation.number, most_s):
            # A login may be good for some minutes only.
            reached = database_of_workers(client, worker_database or database)
            tasks = client.map(link_images, ids, database=reached, pure=False, **options)
            for task, linked in completed(tasks, options["kernel"]):
                edges.save_edges(database, linked.edges, linked.versions, linked.images)
                progress.add(len(linked.images))
                task.release()
        left = progress.total - progress.done
        logger.info(
            "%d images linked, %.0f an hour; %d left for the next run",
            progress.done, 3600 * progress.done / max(progress.seconds, 1e-3), max(left, 0),
        )  # fmt: skip
        return progress.done


def _batches(
    database: Database, client: Client, aggregation: int, most_s: float
) -> Iterator[list[list[int]]]:
    """Ids for so many tasks at once as the workers have to do in some seconds."""
    started, last = time.monotonic(), 0
    while time.monotonic() - started < most_s:
        tasks = TASKS_PER_WORKER * max(1, len(client.scheduler_info()["workers"]))
        ids = edges.unlinked_ids(database, aggregation, last, tasks * IMAGES_PER_TASK)
        if not ids:
            return
        size = min(IMAGES_PER_TASK, -(-len(ids) * TASKS_PER_WORKER // tasks))
        yield [ids[first : first + size] for first in range(0, len(ids), size)]
        last = ids[-1]


def _itself(kernel: MatchKernel | None) -> MatchKernel | None:
    return kernel


def link_images(
    ids: list[int],
    *,
    database: Database,
    model: str,
    aggregation: NumberedAggregation,
    kernel: MatchKernel | None,
    candidates: int,
    links: int,
    parameters: MatchingParameters,
    code: str,
) -> Linked:
    """Runs on a Dask worker."""
    keep_freed_memory()
    check_code(code)
    wanted: dict[int, list[int]] = {}
    for number, alike in most_alike(database, aggregation, kernel, ids, candidates, links).items():
        for other in alike:
            wanted.setdefault(other, []).append(number)
    own = {image.id: Arranged(image) for image in read_partition(database, model, ids)}
    found: dict[tuple[int, int], edges.Edge] = {}
    versions = {number: one.image.indexed_at for number, one in own.items()}
    for image in read_partition(database, model, sorted(wanted)):
        one = own.get(image.id) or Arranged(image)
        versions[image.id] = image.indexed_at
        for number in wanted[image.id]:
            if number not in own:  # it has gone, or its row is damaged
                continue
            ends = sorted((own[number], one), key=lambda end: end.image.id)
            pair = (ends[0].image.id, ends[1].image.id)
            if pair not in found:
                found[pair] = compare_pair(ends[0], ends[1], parameters)
    sure = [edge for edge in found.values() if edge.inliers >= EDGE_INLIERS]
    return Linked(ids, sure, versions)


def most_alike(
    database: Database,
    aggregation: NumberedAggregation,
    kernel: MatchKernel | None,
    ids: Sequence[int],
    candidates: int,
    links: int,
) -> dict[int, list[int]]:
    """Of each image those `links` that are most alike, of the nearest by global descriptor."""
    sketches = SketchCache(database, candidates)
    found = {}
    for image, (path, own) in describing(database, aggregation.number, ids).items():
        near = nearest(database, aggregation, own.vector, candidates, path)
        if kernel is not None and own.sketch is not None:
            listed = Candidates(kernel)
            listed.know([own.sketch])
            listed.add(sketches.read(kernel, near))
            near = listed.in_order()
        found[image] = near[:links]
    return found


class Arranged:
    """An image, arranged to be compared with several."""

    def __init__(self, image: StoredImage) -> None:
        self.image = image
        self.rows = whole_numbers(image.descriptors)
        self._descriptors: QueryDescriptors | None = None

    @property
    def descriptors(self) -> QueryDescriptors:
        """As of the first of a pair."""
        if self._descriptors is None:
            self._descriptors = QueryDescriptors.of(self.image.descriptors)
        return self._descriptors


def compare_pair(
    first: Arranged,
    second: Arranged,
    parameters: MatchingParameters,
    least: int = EDGE_INLIERS,
) -> edges.Edge:
    """Compare two images; fewer inliers than `least` are not counted."""
    found, pairs = NOTHING, np.empty((0, 2), np.intp)
    try:
        pairs = putative_matches(first.descriptors, second.rows, parameters.max_distance)
        if len(pairs) >= least:
            found = verify_pairs(first.image, second.image, pairs, parameters)
    except Exception as error:  # of these two alone, whatever it is: the others are linked
        logger.warning(
            "%s and %s cannot be compared: %r",
            first.image.image_path, second.image.image_path, error,
        )  # fmt: skip
    ends = first.image.id, second.image.id
    return edges.Edge(*ends, len(found.inliers), len(pairs), found.is_copy)
