"""New S3 images -> rows of `landmarks`: the plan of a sweep, and the extraction of its batches."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from typing import Any, TypeVar

from landmark import overview, registry
from landmark.bucket import ObjectMissing, S3Object, list_objects, read_etag, read_object
from landmark.errors import LandmarkError, UnusableImage
from landmark.extraction import Extractor, ModelConfig, load_extractor
from landmark.features import LocalFeatures
from landmark.progress import Progress
from landmark.store import Store, Sweep

logger = logging.getLogger(__name__)

T = TypeVar("T")

IMAGE_SUFFIXES = frozenset(
    [
        "jpg",
        "jpeg",
        "jpe",
        "png",
        "webp",
        "tif",
        "tiff",
        "bmp",
        "gif",
        "jp2",
        "avif",
        "heic",
        "heif",
    ]
)

# A thread takes an image from S3 to Postgres. With so many, some download, decode and write while
# the model computes, so that it never waits; each holds one image.
IMAGES_AT_ONCE = 8
# Larger files are in memory one at a time.
LARGE_BYTES = 20_000_000

# Fewer never fail a sweep, whatever their share: of one new image, one may be broken.
FAILURES_TO_TELL = 20
REASONS_TOLD = 3


def is_image(path: str) -> bool:
    """Whether an object is taken for a photograph, by its key.

    Keys without a suffix are: they are common, and the decoder decides. A suffix that says
    otherwise (`.txt`, `.json`) is passed over, rather than recorded as a failure every night.
    """
    name = path.rsplit("/", 1)[-1]
    stem, dot, suffix = name.rpartition(".")
    return bool(name) and (not dot or not stem or suffix.lower() in IMAGE_SUFFIXES)


def list_images(client: Any, images: str, results: str) -> Iterator[S3Object]:
    """Stream the photographs below the prefix `images`, without our own results."""
    for entry in list_objects(client, images):
        if is_image(entry.path) and not entry.path.startswith(results):
            yield entry


def plan_sweep(
    store: Store,
    client: Any,
    sweep: str,
    model: str,
    images: str,
    results: str,
    max_batches: int,
    retry_failures: bool = False,
) -> list[int]:
    """Compare the bucket with the table, drop what is gone, and note what is to be extracted.

    Returns
    -------
    list of int
        Images in each batch.

    Raises
    ------
    LandmarkError
        If the images lie among the results, which are no photographs to find.
    """
    if images.startswith(results):
        raise LandmarkError(
            f"LANDMARK_IMAGES {images} lies inside LANDMARK_RESULTS {results}; move one of them"
        )
    listing = list_images(client, images, results)
    batches = store.plan_sweep(sweep, model, images, listing, max_batches, retry_failures)
    logger.info("%d images to extract in %d batches", sum(batches), len(batches))
    _warn_of_postponed(store.sweep(sweep))
    return batches


def finish_sweep(store: Store, sweep: str, max_failed_share: float = 1) -> Sweep:
    """Say what a sweep did.

    Parameters
    ----------
    max_failed_share : float
        Of the images tried, 0 to 1.

    Raises
    ------
    LandmarkError
        If some of its images are not settled: a batch failed. If more failed than may, and at
        least `FAILURES_TO_TELL`; counts their reasons.
    """
    result = store.finish_sweep(sweep)
    settled = result.indexed + result.failed + result.gone
    logger.info(
        "%d images seen: %d new, %d changed, %d tried again, %d removed;"
        " %d indexed and %d failed in %.0f s (%.2f images/s)",
        result.seen, result.new, result.changed, result.retried, result.removed,
        result.indexed, result.failed, result.seconds, settled / max(result.seconds, 1e-9),
    )  # fmt: skip
    if result.gone:
        logger.info("%d images were deleted after they were listed", result.gone)
    _warn_of_postponed(result)
    if result.left:
        raise LandmarkError(
            f"{result.left} images of this sweep are left, since a batch failed; see its log, "
            f"then run landmark_index again: it goes on with them"
        )
    tried = result.indexed + result.failed
    if result.failed >= FAILURES_TO_TELL and result.failed > max_failed_share * tried:
        reasons = overview.failures(store, sweep)
        told = [f"{reason.images} {reason.reason}" for reason in reasons[:REASONS_TOLD]]
        if others := sum(reason.images for reason in reasons[REASONS_TOLD:]):
            told.append(f"{others} for other reasons")
        raise LandmarkError(
            f"{result.failed} of {tried} images failed, more than LANDMARK_MAX_FAILED_SHARE "
            f"{max_failed_share:g}: {' | '.join(told)}; mend the cause, then run landmark_index "
            f"with retry failures"
        )
    return result


def threads_per_batch(batches: int, at_once: int, cores: int) -> int:
    """Threads that compute in each of some batches, so that those at once share the cores."""
    return -(-cores // max(1, min(at_once, batches)))


def extract_batch(store: Store, client: Any, extractor: Extractor, sweep: str, batch: int) -> int:
    """Extract what is left of a batch; every image is committed by itself, in no fixed order.

    An image that cannot be used is recorded with its reason. Faults of S3 or of the database
    raise; the batch then goes on where it stopped when it is run again.

    Returns
    -------
    int
        Images settled.
    """
    work = store.unsettled(sweep, batch)
    model = extractor.model.fingerprint
    aggregation = store.current_aggregation(model)
    steps = _Steps(client, extractor)

    def settle(entry: S3Object) -> None:
        etag, found = steps.extract(entry)
        if isinstance(found, ObjectMissing):
            logger.info("batch %d: %s", batch + 1, found)
            store.settle_gone(sweep, entry.path)
        elif isinstance(found, LandmarkError):
            logger.warning("batch %d: %s", batch + 1, found)
            store.record_failure(entry.path, model, etag, str(found), sweep)
        else:
            store.save(entry.path, model, etag, found, sweep, aggregation)

    progress = Progress(len(work), f"images of batch {batch + 1}")
    for _ in _at_once(settle, work):
        progress.add()
    return progress.done


def find_queries(
    client: Any, asked: str | Sequence[str], results: str, most: int
) -> list[tuple[str, str | None]]:
    """The photographs that a search is asked for, each once, in the order of asking.

    Parameters
    ----------
    asked : str or sequence of str
        ``s3://bucket/key`` each; what ends in ``/`` is a prefix, and means every photograph below.
    results : str
        `LANDMARK_RESULTS`, where no photographs are.
    most : int

    Returns
    -------
    list of (str, str or None)
        Paths; of a prefix that has no photograph or cannot be listed, the reason.

    Raises
    ------
    LandmarkError
        If there are more than `most`.
    """
    found: dict[str, str | None] = {}
    for entry in [asked] if isinstance(asked, str) else asked:
        if entry.endswith("/"):
            listed = False
            try:
                for below in list_images(client, entry, results):
                    listed = True
                    found.setdefault(below.path)
                    if len(found) > most:
                        break
                if not listed:
                    found[entry] = f"{entry}: no photograph lies below; check the prefix"
            except LandmarkError as error:
                found[entry] = str(error)
        else:
            found.setdefault(entry)
        if len(found) > most:
            raise LandmarkError(
                f"image_path: more than the {most:,} photographs that one run may search for; "
                f"search for them in several runs, or raise LANDMARK_MAX_QUERIES"
            )
    return list(found.items())


def extract_queries(
    store: Store, client: Any, model: ModelConfig, paths: Sequence[str], add_to_index: bool
) -> Iterator[tuple[str, LocalFeatures | LandmarkError]]:
    """The features of query images, or why there are none; in any order.

    From the table if an image is indexed as it lies in S3, else new. If all are, TensorFlow's
    import and the model's load are spared; else the model is loaded once.

    Yields
    ------
    (str, LocalFeatures or LandmarkError)
        An error if the image is missing or unusable, or shows nothing that the model takes for a
        feature.

    Raises
    ------
    LandmarkError
        If the model cannot be used.
    """
    progress = Progress(len(paths), "photographs read")
    for path, found in _query_features(store, client, model, paths, add_to_index):
        progress.add()
        if isinstance(found, LocalFeatures) and not len(found):
            found = UnusableImage(
                f"{path}: the model finds no feature in it; use a sharper or larger photograph, "
                f"or lower LANDMARK_SCORE_THRESHOLD"
            )
        if isinstance(found, LandmarkError):
            logger.warning("%s", found)
        else:
            logger.info("%d features of %s", len(found), path)
        yield path, found


def _query_features(
    store: Store, client: Any, model: ModelConfig, paths: Sequence[str], add_to_index: bool
) -> Iterator[tuple[str, LocalFeatures | LandmarkError]]:
    new = []
    for path in paths:
        try:
            etag = read_etag(client, path)
        except LandmarkError as error:
            yield path, error
            continue
        indexed = store.find(path, model.fingerprint)
        if indexed is not None and indexed[0] == etag:
            logger.info("%s is indexed already", path)
            yield path, indexed[1]
        else:
            new.append(S3Object(path, etag, 0))
    if not new:
        return
    steps = _Steps(client, _load_for_search(model))
    aggregation = store.current_aggregation(model.fingerprint) if add_to_index else None

    def read(entry: S3Object) -> tuple[str, LocalFeatures | LandmarkError]:
        etag, found = steps.extract(entry)
        if add_to_index and isinstance(found, LocalFeatures):
            store.save(entry.path, model.fingerprint, etag, found, aggregation=aggregation)
        return entry.path, found

    yield from _at_once(read, new)


class _Steps:
    """From S3 to features: what several threads do at once, each with an image of its own."""

    def __init__(self, client: Any, extractor: Extractor) -> None:
        self._client, self._extractor = client, extractor
        self._one_large = threading.Lock()

    def extract(self, entry: S3Object) -> tuple[str, LocalFeatures | LandmarkError]:
        """The etag of what was read, and its features or why it has none."""
        etag = entry.etag
        try:
            with self._one_large if entry.size > LARGE_BYTES else nullcontext():
                data, etag = read_object(self._client, entry.path)
                image = self._extractor.decode(data, entry.path)
                del data
            return etag, self._extractor.extract_decoded(image, entry.path)
        except LandmarkError as error:
            return etag, error


def _at_once(work: Callable[[S3Object], T], objects: Iterable[S3Object]) -> Iterator[T]:
    """What `work` gives for each object, in the order that it is done; the first error ends it."""
    with ThreadPoolExecutor(IMAGES_AT_ONCE, thread_name_prefix="extract") as pool:
        try:
            for done in as_completed([pool.submit(work, entry) for entry in objects]):
                yield done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # those that are begun are finished
            raise


def _load_for_search(model: ModelConfig) -> Extractor:
    try:
        return load_extractor(model)
    except LandmarkError as error:
        raise LandmarkError(
            f"{error}; or let searches use another model: `{registry.COMMAND} use MODEL`"
        ) from error


def _warn_of_postponed(sweep: Sweep) -> None:
    if sweep.postponed:
        logger.warning(
            "%d images are left for the next sweep, as Airflow maps no more batches: it takes them "
            "tonight, or at once if you trigger landmark_index again",
            sweep.postponed,
        )
