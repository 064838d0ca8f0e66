"""Images from S3 to rows of `landmarks`: several at once, each committed by itself."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from typing import Any, TypeVar

from landmark.errors import LandmarkError
from landmark.extraction.extractor import Extractor
from landmark.features import LocalFeatures
from landmark.progress import Progress
from landmark.storage.aggregations import current_aggregation
from landmark.storage.bucket import ObjectMissing, S3Object, read_object
from landmark.storage.database import Database
from landmark.storage.images import record_failure, save_image
from landmark.storage.sweeps import settle_gone, unsettled

logger = logging.getLogger(__name__)

T = TypeVar("T")

# A thread takes an image from S3 to Postgres. With so many, some download, decode and write while
# the model computes, so that it never waits; each holds one image.
IMAGES_AT_ONCE = 8
# Larger files are in memory one at a time.
LARGE_BYTES = 20_000_000


def extract_batch(
    database: Database, client: Any, extractor: Extractor, sweep: str, batch: int
) -> int:
    """Extract what is left of a batch; every image is committed by itself, in no fixed order.

    An image that cannot be used is recorded with its reason. Faults of S3 or of the database
    raise; the batch then goes on where it stopped when it is run again.

    Returns
    -------
    int
        Images settled.
    """
    work = unsettled(database, sweep, batch)
    model = extractor.model.fingerprint
    aggregation = current_aggregation(database, model)
    reader = ImageReader(client, extractor)

    def settle(entry: S3Object) -> None:
        etag, found = reader.read(entry)
        if isinstance(found, ObjectMissing):
            logger.info("batch %d: %s", batch + 1, found)
            settle_gone(database, sweep, entry.path)
        elif isinstance(found, LandmarkError):
            logger.warning("batch %d: %s", batch + 1, found)
            record_failure(database, entry.path, model, etag, str(found), sweep)
        else:
            save_image(database, entry.path, model, etag, found, sweep, aggregation)

    progress = Progress(len(work), f"images of batch {batch + 1}")
    for _ in at_once(settle, work):
        progress.add()
    return progress.done


class ImageReader:
    """From S3 to features; several threads read at once, each an image of its own.

    Parameters
    ----------
    client : boto3 client
    extractor : Extractor
    """

    def __init__(self, client: Any, extractor: Extractor) -> None:
        self._client, self._extractor = client, extractor
        self._one_large = threading.Lock()

    def read(self, entry: S3Object) -> tuple[str, LocalFeatures | LandmarkError]:
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


def at_once(work: Callable[[S3Object], T], objects: Iterable[S3Object]) -> Iterator[T]:
    """What `work` gives for each object, in the order that it is done; the first error ends it."""
    with ThreadPoolExecutor(IMAGES_AT_ONCE, thread_name_prefix="extract") as pool:
        try:
            for done in as_completed([pool.submit(work, entry) for entry in objects]):
                yield done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # those that are begun are finished
            raise
