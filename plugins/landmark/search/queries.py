"""The photographs that a search is asked for: found in S3, and read to features."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Any

from landmark.errors import LandmarkError, ServerFault, UnusableImage, in_one_line
from landmark.extraction.extractor import Extractor, load_extractor
from landmark.extraction.models import ModelConfig
from landmark.features import LocalFeatures
from landmark.index.extract import ImageReader, at_once
from landmark.index.listing import Listing
from landmark.index.registry import COMMAND
from landmark.progress import Progress
from landmark.search.asking import entries, refusal
from landmark.search.framing import WHOLE, Framing, decode_framed
from landmark.settings import EXCLUDE
from landmark.storage.aggregations import current_aggregation
from landmark.storage.bucket import (
    BodyFault,
    ObjectMissing,
    S3Object,
    list_objects,
    read_etag,
)
from landmark.storage.database import Database
from landmark.storage.images import find_image, save_image

logger = logging.getLogger(__name__)

LOOKS_AT_ONCE = 8


def find_queries(
    client: Any,
    asked: str | Sequence[str],
    results: str,
    most: int,
    exclude: Sequence[str] = EXCLUDE,
    check: Callable[[str], None] = lambda path: None,
) -> list[tuple[str, str | None]]:
    """The photographs that a search is asked for, each once, in the order of asking.

    Parameters
    ----------
    asked : str or sequence of str
        ``s3://bucket/key`` each, of a text one a line; what ends in ``/`` is a prefix, and means
        every photograph below.
    results : str
        `LANDMARK_RESULTS`, where no photographs are.
    most : int
    exclude : sequence of str
        Patterns of what is no photograph below a prefix; what is asked for by its path is searched
        for all the same.
    check : callable
        Raises `LandmarkError` of what may not be searched for, before anything of it is read.

    Returns
    -------
    list of (str, str or None)
        Paths; of what is no path, may not be searched for, or is a prefix that has no photograph or
        cannot be listed, the reason.

    Raises
    ------
    LandmarkError
        If there are more than `most`.
    """
    found: dict[str, str | None] = {}
    listed: list[str] = []  # what lies below one of these need not be listed again
    for entry in entries(asked):
        refused = refusal(entry, check)
        if refused is not None:
            found[in_one_line(entry)] = refused
            continue
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


def look_at(client: Any, paths: Sequence[str]) -> Iterator[str | LandmarkError]:
    """Of each path what to search for: itself, or the prefix that it names without a slash.

    Yields
    ------
    str or LandmarkError
        In the order of the paths; why nothing can be searched for.
    """

    def look(path: str) -> str | LandmarkError:
        try:
            read_etag(client, path)
        except ObjectMissing as error:
            return path + "/" if _is_folder(client, path) else error
        except LandmarkError as error:
            return error
        except ServerFault as error:
            return LandmarkError(str(error))
        return path

    with ThreadPoolExecutor(LOOKS_AT_ONCE, thread_name_prefix="look") as pool:
        yield from pool.map(look, paths)


def _is_folder(client: Any, path: str) -> bool:
    """Whether anything lies below what has no slash at its end."""
    try:
        return any(islice(list_objects(client, path + "/"), 1))
    except (LandmarkError, ServerFault):
        return False


def extract_queries(
    database: Database,
    client: Any,
    model: ModelConfig,
    paths: Sequence[str],
    add_to_index: bool,
    coordinates: bool = True,
    load: Callable[[ModelConfig], Extractor] = load_extractor,
    framing: Framing = WHOLE,
) -> Iterator[tuple[str, LocalFeatures | LandmarkError]]:
    """The features of query images, or why there are none; in any order.

    From the table if an image is indexed as it lies in S3, else new. If all are, the model's load
    is spared; else it is loaded once.

    Parameters
    ----------
    coordinates : bool
        Add to the index also where photographs say that they were taken.
    load : callable
        Gives the model.
    framing : Framing
        What of each is compared; what is added to the index is all of it, upright.

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
    features = _query_features(
        database, client, model, paths, add_to_index, coordinates, load, framing
    )
    for path, found in features:
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
    load: Callable[[ModelConfig], Extractor],
    framing: Framing,
) -> Iterator[tuple[str, LocalFeatures | LandmarkError]]:
    new = []
    kept: set[str] = set()  # in the table, as they lie in S3
    for path in paths:
        try:
            etag = read_etag(client, path)
        except LandmarkError as error:
            if isinstance(error, ObjectMissing) and _is_folder(client, path):
                error = ObjectMissing(f"{path}: a folder; write {path}/ for all that is below")
            yield path, error
            continue
        indexed = find_image(database, path, model.fingerprint)
        if indexed is not None and etag in indexed[0]:
            logger.info("%s is indexed already", path)
            kept.add(path)
            if framing.is_whole:
                yield path, indexed[1]
                continue
        new.append(S3Object(path, etag, 0))
    if not new:
        return
    reader = ImageReader(client, load_for_search(load, model))
    aggregation = current_aggregation(database, model.fingerprint) if add_to_index else None
    framed = (
        None
        if framing.is_whole
        else partial(decode_framed, framing=framing, max_size_px=model.max_image_size_px)
    )

    def read(entry: S3Object) -> tuple[str, LocalFeatures | LandmarkError | BodyFault]:
        is_added = add_to_index and entry.path not in kept
        try:
            found = reader.read(entry, framed)
            whole = reader.read(entry) if framed and is_added else found
        except BodyFault as error:
            return entry.path, error
        if isinstance(found, LandmarkError):
            return entry.path, found
        if is_added and not isinstance(whole, LandmarkError):
            save_image(
                database, entry.path, model.fingerprint, entry.etag, whole.features,
                aggregation=aggregation, read_etag=whole.etag,
                shot=whole.shot if coordinates else whole.shot.without_place(),
            )  # fmt: skip
        return entry.path, found.features

    broken: list[tuple[str, BodyFault]] = []
    for path, features in at_once(read, new):
        if isinstance(features, BodyFault):
            broken.append((path, features))
        else:
            yield path, features
    if len(broken) == len(new):  # nothing says that S3 gives anything: to be tried again
        raise broken[0][1]
    for path, fault in broken:
        yield path, LandmarkError(str(fault))


def load_for_search(load: Callable[[ModelConfig], Extractor], model: ModelConfig) -> Extractor:
    """The model of a search; a refusal says how searches go on without it."""
    try:
        return load(model)
    except LandmarkError as error:
        raise LandmarkError(
            f"{error}; or let searches use another model: `{COMMAND} use MODEL`"
        ) from error
