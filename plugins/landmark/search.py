"""A query's features -> the ranked matches of the whole table, fanned out over Dask."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from itertools import islice, pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from dask.distributed import Client, Future, as_completed
from numpy.typing import NDArray

from landmark.bucket import read_object, write_object
from landmark.errors import LandmarkError
from landmark.features import LocalFeatures
from landmark.images import decode_image, shrink
from landmark.matching import QueryDescriptors, putative_matches
from landmark.models import DELF_DEFAULTS
from landmark.progress import Progress
from landmark.ranking import CERTAIN_INLIERS, MIN_INLIERS, Match, TopK, verdict
from landmark.report import (
    CELL_PX,
    CONTACT_SHEET,
    PICTURE,
    SearchResult,
    draw_contact_sheet,
    draw_matches,
    read_query,
    read_result,
)
from landmark.row_cache import ROWS
from landmark.shortlist import EXHAUSTIVE_UP_TO, EXPANDED_BY, ROUNDS, Shortlist
from landmark.store import Partition, Store, StoredImage
from landmark.verification import Verification, VerificationParameters, verify
from landmark.workers import CODE_VERSION, preferred_workers

logger = logging.getLogger(__name__)

# A Dask task costs 2-3 ms and a pair about as much, so fewer images a task waste time; more leave
# workers idle at the end.
IMAGES_PER_TASK = 64
# Within a task: matched first, then verified in the order of their putatives.
IMAGES_PER_CHUNK = 64

# Pictures drawn of a result's best matches, and the detail they are drawn from.
PICTURES = 20
PICTURE_SIDE_PX = 1024

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
    pairs = putative_matches(descriptors, image.descriptors, parameters.max_distance)
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


class Ranking(NamedTuple):
    """The best of some images.

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
    query: LocalFeatures,
    images: Iterable[StoredImage],
    top_k: int,
    min_inliers: int,
    parameters: MatchingParameters = MatchingParameters(),
) -> Ranking:
    """The best `top_k` matches of a stream of images, exactly as if every one had been verified."""
    best = TopK(top_k, min_inliers)
    compared = verified = 0
    descriptors = QueryDescriptors.of(query.descriptors)
    stream = iter(images)
    while chunk := list(islice(stream, IMAGES_PER_CHUNK)):
        compared += len(chunk)
        matched = [
            (putative_matches(descriptors, image.descriptors, parameters.max_distance), image)
            for image in chunk
        ]
        matched.sort(key=lambda candidate: (-len(candidate[0]), candidate[1].image_path))
        for pairs, image in matched:
            if not best.can_enter(len(pairs), image.image_path):
                break
            verified += 1
            inliers = verify_pairs(query, image, pairs, parameters).inliers
            best.add(Match(len(inliers), len(pairs), image.image_path))
    return Ranking(best.matches, compared, verified)


def rank_table(
    store: Store,
    client: Client,
    model: str,
    query: LocalFeatures,
    query_path: str,
    top_k: int,
    min_inliers: int = MIN_INLIERS,
    mode: str = "auto",
    shortlist: int = 1_000,
    parameters: MatchingParameters = MatchingParameters(),
    tell: Callable[[Progress], None] = lambda progress: None,
) -> SearchResult:
    """Compare a query with the images of its model in the table.

    Dask tasks carry ranges of ids; the workers read the features from Postgres themselves, all of
    them as the table was at one time, which the result names.

    Parameters
    ----------
    model : str
        Fingerprint; only images with features of the same model are compared.
    query_path : str
        The query's own path, which is left out of the ranking.
    mode : {'auto', 'exhaustive', 'shortlist'}
        With every image, or with the nearest by global descriptor, or one of them by table size.
    shortlist : int
        How many are the nearest.
    tell : callable
        Told now and then how far it is.

    Raises
    ------
    LandmarkError
        If the model has no other image in the table; says which models have. If a shortlist is
        asked for and the images have no global descriptors yet.
    """
    with store.at_one_time() as (frozen, now):
        return _rank_frozen_table(
            frozen, now, client, model, query, query_path, top_k, min_inliers, mode, shortlist,
            parameters, tell,
        )  # fmt: skip


def _rank_frozen_table(
    store: Store,
    now: datetime,
    client: Client,
    model: str,
    query: LocalFeatures,
    query_path: str,
    top_k: int,
    min_inliers: int,
    mode: str,
    shortlist: int,
    parameters: MatchingParameters,
    tell: Callable[[Progress], None],
) -> SearchResult:
    """`rank_table` of a store as it was at one time."""
    contents = store.contents(model, query_path, up_to=max(shortlist, EXHAUSTIVE_UP_TO) + 1)
    if contents.newest is None:
        raise LandmarkError(_nothing_to_compare(store, model))
    mode, undescribed = _choose_mode(store, model, query_path, mode, shortlist, contents.images)
    # A shortlist wants to know of the place's surest images, whatever the result may list.
    expanding = mode == "shortlist"
    best = TopK(
        max(top_k, EXPANDED_BY) if expanding else top_k,
        min(min_inliers, CERTAIN_INLIERS) if expanding else min_inliers,
    )
    common = {
        # Pods have the database's address and password of their own; Dask does not carry them.
        "store": replace(store, conninfo="")
        if getattr(client.cluster, "has_postgres_secret", False)
        else store,
        "model": model,
        # A task of its own, which the scheduler can do again: scattered data go with their workers.
        "query": client.submit(_itself, query, pure=False),
        "query_path": query_path,
        "top_k": best.k,
        "min_inliers": best.min_inliers,
        "parameters": parameters,
        "code": CODE_VERSION,
    }
    if mode == "exhaustive":
        partitions = store.partitions(model, IMAGES_PER_TASK, query_path)
        progress = Progress(sum(part.images for part in partitions), "images compared", tell)
        _rank_partitions(client, partitions, best, common, progress)
    else:
        nearest = Shortlist(store, model, query, query_path)
        workers = len(client.scheduler_info()["workers"])
        progress = Progress(shortlist + len(undescribed), "images compared", tell)
        _rank_partitions(client, _partitioned(undescribed, workers), best, common, progress)
        for images in _shares(shortlist, ROUNDS):
            sure = [match for match in best.matches if match.inliers >= CERTAIN_INLIERS]
            ids = nearest.take(images, sure)
            progress.total = max(progress.total, progress.done + len(ids))
            _rank_partitions(client, _partitioned(ids, workers), best, common, progress)
    matches = [match for match in best.matches if match.inliers >= min_inliers][:top_k]
    return SearchResult(
        query=query_path,
        model=model,
        images_compared=progress.done,
        index_time=now.astimezone(timezone.utc).isoformat(timespec="seconds"),
        mode=mode,
        parameters={
            "top_k": top_k,
            "min_inliers": min_inliers,
            **({"shortlist": shortlist} if mode == "shortlist" else {}),
            "max_distance": parameters.max_distance,
            **asdict(parameters.verification),
        },
        verdict=verdict(matches),
        matches=matches,
    )


def _choose_mode(
    store: Store, model: str, query_path: str, asked: str, shortlist: int, images: int
) -> tuple[str, list[int]]:
    """With every image or by shortlist, and the ids of what nothing has described yet.

    These are on no list, and compared as well if they are few enough.
    """
    if asked == "exhaustive" or images <= shortlist:  # the same images
        return "exhaustive", []
    if asked == "auto" and (images <= EXHAUSTIVE_UP_TO or not store.aggregations(model)):
        return "exhaustive", []
    undescribed = store.undescribed_ids(model, EXHAUSTIVE_UP_TO + 1, query_path)
    if len(undescribed) <= EXHAUSTIVE_UP_TO:
        return "shortlist", undescribed
    if asked == "auto":
        return "exhaustive", []
    raise LandmarkError(
        f"most images of the model {model} have no global descriptor yet; run landmark_index, "
        f"or search with mode=exhaustive"
    )


def _rank_partitions(
    client: Client,
    partitions: Sequence[Partition],
    best: TopK,
    common: dict[str, Any],
    progress: Progress,
) -> None:
    """Rank partitions on the workers, and take their best in."""
    compared = verified = 0
    tasks = _submit(client, partitions, common)
    for task, part in _completed(tasks, common["query"]):
        best.merge(part.matches)
        progress.add(part.compared)
        compared += part.compared
        verified += part.verified
        task.release()
    logger.info("%d of %d images had to be verified", verified, compared)


def _completed(tasks: Sequence[Future], query: Future) -> Iterator[tuple[Future, Ranking]]:
    """Each task and its result, once it is done.

    When the scheduler is lost, the client cancels what it knows; of tasks that it was just about to
    submit it would never hear again. So it is the query, submitted before them all, that tells.

    Raises
    ------
    ConnectionError
        If the scheduler was lost.
    """
    completed = as_completed(tasks, with_results=True)
    while not completed.is_empty():
        if completed.has_ready():
            task, part = next(completed)
            if not isinstance(part, BaseException):
                yield task, part
                continue
        elif not query.cancelled():
            time.sleep(POLL_S)
            continue
        raise ConnectionError("Dask's scheduler was lost in the middle of the search")


def _partitioned(ids: list[int], workers: int) -> list[Partition]:
    """Slices for tasks: enough that no worker idles."""
    size = max(1, min(IMAGES_PER_TASK, -(-len(ids) // max(workers, 1))))
    slices = [ids[i : i + size] for i in range(0, len(ids), size)]
    return [Partition(part, len(part)) for part in slices]


def _shares(total: int, parts: int) -> list[int]:
    """`total` in so many parts of about one size, none of them empty."""
    bounds = [total * part // parts for part in range(parts + 1)]
    return [last - first for first, last in pairwise(bounds) if last > first]


class Pair(NamedTuple):
    """A query and one of its matches, as they lie in S3 now.

    Parameters
    ----------
    query, image : uint8 arrays [h, w, 3]
        RGB.
    query_locations, image_locations : floating arrays [k, 2]
        (y, x) of the inliers as fractions of each photograph's height and width.
    """

    query: NDArray[np.uint8]
    image: NDArray[np.uint8]
    query_locations: NDArray[np.floating]
    image_locations: NDArray[np.floating]


def read_pairs(
    store: Store, client: Any, folder: str, ranks: Sequence[int], side_px: int = PICTURE_SIDE_PX
) -> Iterator[tuple[int, Match, Pair]]:
    """A written result's pairs of these ranks, compared again to know which matches are inliers.

    Images that have gone or changed since are passed over.

    Parameters
    ----------
    side_px : int
        Longest side of the photographs.
    """
    if not ranks:
        return
    result, query = read_result(client, folder), read_query(client, folder)
    query_data, _ = read_object(client, result.query)
    query_picture = decode_image(query_data, result.query, side_px).pixels
    parameters = MatchingParameters(result.parameters["max_distance"])
    for rank in ranks:
        match = result.matches[rank - 1]
        found = store.find(match.image_path, result.model)
        try:
            data, etag = read_object(client, match.image_path)
            if found is None or found[0] != etag:
                raise LandmarkError(f"{match.image_path}: changed since it was compared")
            picture = decode_image(data, match.image_path, side_px).pixels
        except LandmarkError as error:
            logger.warning("no picture for rank %d: %s", rank, error)
            continue
        features = found[1]
        pairs, verification = compare(query, features, parameters)
        inliers = pairs[verification.inliers]
        yield (
            rank,
            match,
            Pair(
                query_picture,
                picture,
                query.relative_locations[inliers[:, 0]],
                features.relative_locations[inliers[:, 1]],
            ),
        )


def draw_pair(
    store: Store, client: Any, folder: str, rank: int, side_px: int, height_px: int
) -> bytes:
    """Draw one pair of a written result.

    Raises
    ------
    LandmarkError
        If one of the two images has gone or changed since.
    """
    for _, _, pair in read_pairs(store, client, folder, [rank], side_px):
        return draw_matches(*pair, height_px=height_px)
    raise LandmarkError(f"rank {rank}: the image has gone or changed since; search again")


def draw_best(store: Store, client: Any, folder: str, pictures: int = PICTURES) -> int:
    """Draw a written result's best matches beside it: each pair's inliers, and a contact sheet.

    Returns
    -------
    int
        The pairs drawn.
    """
    result = read_result(client, folder)
    ranks = range(1, min(pictures, len(result.matches)) + 1)
    cells = []
    query = None
    try:
        for rank, match, pair in read_pairs(store, client, folder, ranks):
            picture = draw_matches(*pair)
            write_object(client, folder + PICTURE.format(rank=rank), picture, "image/jpeg")
            query = pair.query
            cells.append((rank, match, shrink(pair.image, max(CELL_PX))))
    except LandmarkError as error:  # the query has gone; the result stands without pictures
        logger.warning("no pictures: %s", error)
    if query is not None:
        write_object(client, folder + CONTACT_SHEET, draw_contact_sheet(query, cells), "image/jpeg")
    return len(cells)


def _submit(
    client: Client, partitions: Sequence[Partition], options: dict[str, Any]
) -> list[Future]:
    """A task for each partition; workers that stay get the same ones in each search.

    Another worker takes a task only if it would idle.
    """
    whole = all(isinstance(partition.ids, range) for partition in partitions)
    if client.cluster is not None or not whole:  # made for this task, and gone with it; not kept
        return client.map(_rank_partition, partitions, pure=False, **options)
    workers = sorted(client.scheduler_info()["workers"])
    homes = preferred_workers([partition.block for partition in partitions], workers)
    tasks = []
    for worker in workers:
        own = [part for part, home in zip(partitions, homes, strict=True) if home == worker]
        tasks += client.map(
            _rank_partition,
            own,
            workers=[worker],
            allow_other_workers=True,
            pure=False,
            **options,
        )
    return tasks


def _itself(query: LocalFeatures) -> LocalFeatures:
    return query


def _rank_partition(
    partition: Partition,
    *,
    store: Store,
    model: str,
    query: LocalFeatures,
    query_path: str,
    top_k: int,
    min_inliers: int,
    parameters: MatchingParameters,
    code: str,
) -> Ranking:
    """Runs on a Dask worker."""
    if code != CODE_VERSION:
        raise LandmarkError(
            f"a worker that joined during the search runs Landmark {CODE_VERSION} instead of "
            f"{code}; bring its plugins/ up to date and restart it"
        )
    # A shortlist's rows come again in no other search; those of the whole table do in each.
    cache = ROWS if ROWS.limit_bytes and isinstance(partition.ids, range) else None
    images = store.read_partition(model, partition.ids, query_path, cache)
    return rank_images(query, images, top_k, min_inliers, parameters)


def _nothing_to_compare(store: Store, model: str) -> str:
    others = ", ".join(f"{name} ({images} images)" for name, images in store.models())
    if not others:
        return "the table landmarks is empty; run landmark_index first"
    return (
        f"no image to compare with for the model {model}; the table has {others}; "
        f"run landmark_index with this model, or set LANDMARK_MODEL to one of those"
    )
