"""New S3 images -> rows of `landmarks`: the plan of a sweep, and the extraction of its batches."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from typing import Any

from landmark.bucket import ObjectMissing, S3Object, list_objects, read_etag, read_object
from landmark.errors import LandmarkError, UnusableImage
from landmark.extraction import Extractor, ModelConfig, load_extractor
from landmark.features import LocalFeatures
from landmark.progress import Progress
from landmark.store import Store, Sweep

logger = logging.getLogger(__name__)

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
# TensorFlow does not keep all cores busy with one image.
MODELS_AT_ONCE = 2
# Larger files are in memory one at a time.
LARGE_BYTES = 20_000_000


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
    return batches


def finish_sweep(store: Store, sweep: str) -> Sweep:
    """Say what a sweep did.

    Raises
    ------
    LandmarkError
        If some of its images are not settled: a batch failed.
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
    if result.postponed:
        logger.warning("%d images are left for the next sweep: too many for one", result.postponed)
    if result.left:
        raise LandmarkError(
            f"{result.left} images of this sweep are left, since a batch failed; see its log, "
            f"then run landmark_index again: it goes on with them"
        )
    return result


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
    one_large, models = threading.Lock(), threading.Semaphore(MODELS_AT_ONCE)

    def settle(entry: S3Object) -> None:
        etag = entry.etag
        try:
            with one_large if entry.size > LARGE_BYTES else nullcontext():
                data, etag = read_object(client, entry.path)
                image = extractor.decode(data, entry.path)
                del data
            with models:
                features = extractor.extract_decoded(image, entry.path)
        except ObjectMissing as error:
            logger.info("batch %d: %s", batch + 1, error)
            kept.settle_gone(sweep, entry.path)
        except LandmarkError as error:
            logger.warning("batch %d: %s", batch + 1, error)
            kept.record_failure(entry.path, model, etag, str(error), sweep)
        else:
            kept.save(entry.path, model, etag, features, sweep, aggregation)

    progress = Progress(len(work), "images")
    with (
        store.keep_connections() as kept,
        ThreadPoolExecutor(IMAGES_AT_ONCE, thread_name_prefix="extract") as pool,
    ):
        images = [pool.submit(settle, entry) for entry in work]
        try:
            for image in as_completed(images):
                image.result()
                progress.add()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # those that are begun are finished
            raise
    return progress.done


def query_features(
    store: Store, client: Any, model: ModelConfig, path: str, add_to_index: bool
) -> LocalFeatures:
    """The features of a query image: from the table if it is indexed as it lies in S3, else new.

    Reading them from the table spares TensorFlow's import and the model's load.

    Raises
    ------
    LandmarkError
        If the image is missing or unusable, or shows nothing that the model takes for a feature.
    """
    found = store.find(path, model.fingerprint)
    if found is not None and found[0] == read_etag(client, path):
        logger.info("%s is indexed already", path)
        features = found[1]
    else:
        data, etag = read_object(client, path)
        features = load_extractor(model).extract(data, path)
        if add_to_index:
            aggregation = store.current_aggregation(model.fingerprint)
            store.save(path, model.fingerprint, etag, features, aggregation=aggregation)
    if not len(features):
        raise UnusableImage(
            f"{path}: the model finds no feature in it; use a sharper or larger photograph, or "
            f"lower LANDMARK_SCORE_THRESHOLD"
        )
    logger.info("%d features of %s", len(features), path)
    return features
