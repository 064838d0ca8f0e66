"""Images from S3 to rows of `landmarks`: several at once, each committed by itself."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from typing import Any, NamedTuple, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from landmark.errors import LandmarkError, ServerFault, UnusableImage
from landmark.extraction.decoding import DecodedImage
from landmark.extraction.extractor import Extractor
from landmark.extraction.shot import Shot
from landmark.features import LocalFeatures
from landmark.progress import Progress
from landmark.storage.aggregations import current_aggregation
from landmark.storage.bucket import (
    BodyFault,
    ObjectMissing,
    ObjectRefused,
    S3Object,
    read_object,
)
from landmark.storage.database import Database
from landmark.storage.images import record_failure, save_image
from landmark.storage.sweeps import read_image, settle_gone, unsettled

logger = logging.getLogger(__name__)

T = TypeVar("T")

# A thread takes an image from S3 to Postgres. With so many, some download, decode and write while
# the model computes, so that it never waits; each holds one image.
IMAGES_AT_ONCE = 8
# Larger files are in memory one at a time.
LARGE_BYTES = 20_000_000

# What S3 may say of one object or of all; a look at another object tells, at the first that is not
# given and now and then.
ONE_OR_ALL = (BodyFault, BotoCoreError, ClientError)
LOOK_AFTER = 16
# Instead of an etag: the image has not been read, and is tried again by each sweep.
EACH_SWEEP = ""


def extract_batch(
    database: Database,
    client: Any,
    extractor: Extractor,
    sweep: str,
    batch: int,
    coordinates: bool = True,
) -> int:
    """Extract what is left of a batch; every image is committed by itself, in no fixed order.

    An image that cannot be used is recorded with its reason. So is one that S3 does not give while
    it gives others: its row stays, and each sweep tries it again. Faults of S3 as a whole or of the
    database raise; the batch then goes on where it stopped when it is run again.

    Parameters
    ----------
    coordinates : bool
        Keep where photographs say that they were taken.

    Returns
    -------
    int
        Images settled.

    Raises
    ------
    ServerFault
        If S3 refuses the account or the bucket, or gives nothing.
    """
    work = unsettled(database, sweep, batch)
    model = extractor.model.fingerprint
    aggregation = current_aggregation(database, model)
    reader = ImageReader(client, extractor)
    progress = Progress(len(work), f"images of batch {batch + 1}")

    def settle(entry: S3Object) -> NotGiven | None:
        try:
            found = reader.read(entry)
        except ONE_OR_ALL as error:
            return NotGiven(entry, error)
        if isinstance(found, ObjectMissing):
            logger.info("batch %d: %s", batch + 1, found)
            settle_gone(database, sweep, entry.path)
        elif isinstance(found, ObjectRefused):
            return NotGiven(entry, found)
        elif isinstance(found, LandmarkError):
            logger.warning("batch %d: %s", batch + 1, found)
            record_failure(database, entry.path, model, entry.etag, str(found), sweep)
        else:
            save_image(
                database, entry.path, model, entry.etag, found.features, sweep, aggregation,
                entry.size, found.etag, found.shot if coordinates else found.shot.without_place(),
            )  # fmt: skip
        return None

    def settle_all(objects: Sequence[S3Object]) -> list[NotGiven]:
        """What S3 has not given, while a look at another object says that it gives others."""
        left: list[NotGiven] = []
        for one in at_once(settle, objects):
            if one is None:
                progress.add()
                continue
            left.append(one)
            if len(left) % LOOK_AFTER == 1:
                _look_at_another(database, client, sweep, one)
        return left

    for one in settle_all([one.entry for one in settle_all(work)]):
        reason = str(one.error)
        logger.warning("batch %d: %s", batch + 1, reason)
        record_failure(database, one.entry.path, model, EACH_SWEEP, reason, sweep, was_read=False)
        progress.add()
    return progress.done


class NotGiven(NamedTuple):
    """An object that S3 has not given, for a reason that may be its own or that of all."""

    entry: S3Object
    error: Exception


def _look_at_another(database: Database, client: Any, sweep: str, one: NotGiven) -> None:
    """Raise what happened to one object, unless S3 gives another that it has given before."""
    known = read_image(database, sweep)
    try:
        if known is not None and known != one.entry.path:
            read_object(client, known)
            return
    except (*ONE_OR_ALL, LandmarkError) as error:
        raise ServerFault(f"{one.error}; nor does S3 give {known}: {error}") from one.error
    raise ServerFault(str(one.error)) from one.error


class Extracted(NamedTuple):
    """What an image gave, the etag that its object was read with, and what it says of itself."""

    features: LocalFeatures
    etag: str
    shot: Shot


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

    def read(
        self, entry: S3Object, decode: Callable[[bytes, str], DecodedImage] | None = None
    ) -> Extracted | LandmarkError:
        """An image's features, or why it has none.

        Parameters
        ----------
        decode : callable, optional
            Makes of a file, and what messages call it, the picture that the model sees; by default
            all of the image.

        Raises
        ------
        Exception
            What is no fault of the image: of S3, or of this machine.
        """
        try:
            with self._one_large if entry.size > LARGE_BYTES else nullcontext():
                data, etag = read_object(self._client, entry.path)
                image = (decode or self._extractor.decode)(data, entry.path)
                del data
            return Extracted(self._extract(image, entry.path), etag, image.shot)
        except LandmarkError as error:
            return error

    def _extract(self, image: DecodedImage, path: str) -> LocalFeatures:
        try:
            return self._extractor.extract_decoded(image, path)
        except (LandmarkError, OSError, MemoryError):
            raise
        except Exception as error:  # whatever it is, the other images are well
            logger.exception("%s", path)
            reason = f"{type(error).__name__}: {error}"
            raise UnusableImage(f"{path}: cannot be extracted ({reason}); report it") from error


def at_once(work: Callable[[S3Object], T], objects: Iterable[S3Object]) -> Iterator[T]:
    """What `work` gives for each object, in the order that it is done; the first error ends it."""
    with ThreadPoolExecutor(IMAGES_AT_ONCE, thread_name_prefix="extract") as pool:
        try:
            for done in as_completed([pool.submit(work, entry) for entry in objects]):
                yield done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # those that are begun are finished
            raise
