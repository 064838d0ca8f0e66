"""The photographs that a search is asked for: found in S3, and read to features."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from landmark.errors import LandmarkError, UnusableImage
from landmark.extraction.extractor import Extractor, load_extractor
from landmark.extraction.models import ModelConfig
from landmark.features import LocalFeatures
from landmark.index.extract import ImageReader, at_once
from landmark.index.listing import Listing
from landmark.index.registry import COMMAND
from landmark.progress import Progress
from landmark.settings import EXCLUDE
from landmark.storage.aggregations import current_aggregation
from landmark.storage.bucket import S3Object, read_etag
from landmark.storage.database import Database
from landmark.storage.images import find_image, save_image

logger = logging.getLogger(__name__)


def find_queries(
    client: Any,
    asked: str | Sequence[str],
    results: str,
    most: int,
    exclude: Sequence[str] = EXCLUDE,
) -> list[tuple[str, str | None]]:
    """The photographs that a search is asked for, each once, in the order of asking.

    Parameters
    ----------
    asked : str or sequence of str
        ``s3://bucket/key`` each; what ends in ``/`` is a prefix, and means every photograph below.
    results : str
        `LANDMARK_RESULTS`, where no photographs are.
    most : int
    exclude : sequence of str
        Patterns of what is no photograph below a prefix; what is asked for by its path is searched
        for all the same.

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
    listed: list[str] = []  # what lies below one of these need not be listed again
    for entry in dict.fromkeys([asked] if isinstance(asked, str) else asked):
        if not entry.endswith("/"):
            found.setdefault(entry)
        else:
            try:
                if not entry.startswith(tuple(listed)):
                    for below in Listing(client, entry, results, exclude).photographs():
                        found.setdefault(below.path)
                        if len(found) > most:
                            break
                    listed.append(entry)
                if not any(path.startswith(entry) for path in found):
                    found[entry] = f"{entry}: no photograph lies below; check the prefix"
            except LandmarkError as error:
                found[entry] = str(error)
        if len(found) > most:
            raise LandmarkError(
                f"image_path: more than the {most:,} photographs that one run may search for; "
                f"search for them in several runs, or raise LANDMARK_MAX_QUERIES"
            )
    return list(found.items())


def extract_queries(
    database: Database,
    client: Any,
    model: ModelConfig,
    paths: Sequence[str],
    add_to_index: bool,
    coordinates: bool = True,
) -> Iterator[tuple[str, LocalFeatures | LandmarkError]]:
    """The features of query images, or why there are none; in any order.

    From the table if an image is indexed as it lies in S3, else new. If all are, the model's load
    is spared; else it is loaded once.

    Parameters
    ----------
    coordinates : bool
        Add to the index also where photographs say that they were taken.

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
    for path, found in _query_features(database, client, model, paths, add_to_index, coordinates):
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
    database: Database,
    client: Any,
    model: ModelConfig,
    paths: Sequence[str],
    add_to_index: bool,
    coordinates: bool,
) -> Iterator[tuple[str, LocalFeatures | LandmarkError]]:
    new = []
    for path in paths:
        try:
            etag = read_etag(client, path)
        except LandmarkError as error:
            yield path, error
            continue
        indexed = find_image(database, path, model.fingerprint)
        if indexed is not None and etag in indexed[0]:
            logger.info("%s is indexed already", path)
            yield path, indexed[1]
        else:
            new.append(S3Object(path, etag, 0))
    if not new:
        return
    reader = ImageReader(client, _load_for_search(model))
    aggregation = current_aggregation(database, model.fingerprint) if add_to_index else None

    def read(entry: S3Object) -> tuple[str, LocalFeatures | LandmarkError]:
        found = reader.read(entry)
        if isinstance(found, LandmarkError):
            return entry.path, found
        if add_to_index:
            save_image(
                database, entry.path, model.fingerprint, entry.etag, found.features,
                aggregation=aggregation, read_etag=found.etag,
                shot=found.shot if coordinates else found.shot.without_place(),
            )  # fmt: skip
        return entry.path, found.features

    yield from at_once(read, new)


def _load_for_search(model: ModelConfig) -> Extractor:
    try:
        return load_extractor(model)
    except LandmarkError as error:
        raise LandmarkError(
            f"{error}; or let searches use another model: `{COMMAND} use MODEL`"
        ) from error
