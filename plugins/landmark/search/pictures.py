"""Pictures of written results: each match's inliers, found again, and a contact sheet.

Of a match that was found by way of others, the pairs of the chain stand one below the other.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark.errors import LandmarkError
from landmark.extraction.decoding import shrink
from landmark.extraction.sandbox import decode_isolated
from landmark.matching.pair import MatchingParameters, compare
from landmark.matching.ranking import Match
from landmark.progress import Progress
from landmark.search.drawing import CELL_PX, Pair, draw_chain, draw_contact_sheet
from landmark.search.result import CONTACT_SHEET, PICTURE, read_result
from landmark.search.searches import read_own
from landmark.search.seen import Seen, query_pictured, query_seen
from landmark.storage.bucket import read_etag, read_object, write_object
from landmark.storage.database import Database
from landmark.storage.images import find_image

logger = logging.getLogger(__name__)

# Pictures drawn of a result's best matches, and of all results of a run, of each at least one; the
# detail they are drawn from. The pages draw any other, and each finer, when it is looked at.
PICTURES = 20
PICTURES_A_RUN = 200
PICTURE_SIDE_PX = 1024


class Joined(NamedTuple):
    """Two photographs and what joins them, without their pixels.

    Parameters
    ----------
    query_size, image_size : (int, int)
        Width and height in pixels, upright.
    query_locations, image_locations : floating arrays [k, 2]
        As of `landmark.search.drawing.Pair`.
    """

    query_size: tuple[int, int]
    image_size: tuple[int, int]
    query_locations: NDArray[np.floating]
    image_locations: NDArray[np.floating]


class Photograph(NamedTuple):
    """One of a pair, as it lies in S3 now.

    Parameters
    ----------
    pixels : uint8 array [h, w, 3]
        RGB.
    seen : Seen
    """

    pixels: NDArray[np.uint8]
    seen: Seen


def read_pairs(
    database: Database,
    client: Any,
    folder: str,
    ranks: Sequence[int],
    side_px: int = PICTURE_SIDE_PX,
) -> Iterator[tuple[int, Match, list[Pair]]]:
    """A written result's pairs of these ranks, compared again to know which matches are inliers.

    Of each match the query and the image; or the pairs of the chain by way of which it was found.
    Matches of images that have gone or changed since are passed over.

    Parameters
    ----------
    side_px : int
        Longest side of the photographs.
    """
    if not ranks:
        return
    result = read_result(client, folder)
    query = Photograph(*query_pictured(client, folder, result, side_px))
    parameters = MatchingParameters(result.parameters["max_distance"])
    for rank in ranks:
        match = result.matches[rank - 1]
        paths = [step.image_path for step in match.via] or [match.image_path]
        try:
            images = [_read(database, client, path, result.model, side_px) for path in paths]
        except LandmarkError as error:
            logger.warning("no picture for rank %d: %s", rank, error)
            continue
        yield (
            rank,
            match,
            [_pair(*ends, parameters) for ends in pairwise([query, *images])],
        )


def _read(database: Database, client: Any, path: str, model: str, side_px: int) -> Photograph:
    """An indexed image; `LandmarkError` if it has gone or changed since."""
    found = find_image(database, path, model)
    data, etag = read_object(client, path)
    if found is None or etag not in found[0]:
        raise LandmarkError(f"{path}: changed since it was compared")
    return Photograph(decode_isolated(data, path, side_px).pixels, Seen.whole(found[1]))


def find_lines(database: Database, client: Any, folder: str, rank: int) -> list[Joined]:
    """What joins the photographs of one match of a written result, of a chain pair by pair.

    Raises
    ------
    LandmarkError
        If one of its images has gone or changed since.
    """
    result = read_result(client, folder)
    match = result.matches[rank - 1]
    paths = [step.image_path for step in match.via] or [match.image_path]
    images = [_seen(database, client, path, result.model) for path in paths]
    parameters = MatchingParameters(result.parameters["max_distance"])
    ends = pairwise([query_seen(client, folder, result), *images])
    return [_joined(*pair, parameters) for pair in ends]


def _seen(database: Database, client: Any, path: str, model: str) -> Seen:
    """An indexed image; `LandmarkError` if it has gone or changed since."""
    found = find_image(database, path, model)
    if found is None or read_etag(client, path) not in found[0]:
        raise LandmarkError(f"{path}: changed since it was compared")
    return Seen.whole(found[1])


def _joined(query: Seen, image: Seen, parameters: MatchingParameters) -> Joined:
    return Joined(query.size, image.size, *_inliers(query, image, parameters))


def _inliers(
    query: Seen, image: Seen, parameters: MatchingParameters
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the inliers of both lie, as of `Seen.at`."""
    pairs, verification = compare(query.features, image.features, parameters)
    inliers = pairs[verification.inliers]
    return query.at(inliers[:, 0]), image.at(inliers[:, 1])


def _pair(query: Photograph, image: Photograph, parameters: MatchingParameters) -> Pair:
    return Pair(query.pixels, image.pixels, *_inliers(query.seen, image.seen, parameters))


def draw_pair(
    database: Database, client: Any, folder: str, rank: int, side_px: int, height_px: int
) -> bytes:
    """Draw one pair of a written result.

    Raises
    ------
    LandmarkError
        If one of the two images has gone or changed since.
    """
    for _, _, pairs in read_pairs(database, client, folder, [rank], side_px):
        return draw_chain(pairs, height_px)
    raise LandmarkError(f"rank {rank}: the image has gone or changed since; search again")


def draw_all(database: Database, client: Any, folder: str, run_id: str) -> int:
    """Draw the best matches of each of a run's results: of many searches fewer of each.

    Pictures of an earlier try go.

    Returns
    -------
    int
        The pairs drawn.

    Raises
    ------
    LandmarkError
        If the folder is another run's.
    """
    searches = read_own(client, folder, run_id)
    found = [search for search in searches.read if search.matches]
    each = max(1, min(PICTURES, PICTURES_A_RUN // max(1, len(found))))
    progress = Progress(len(found), "results drawn")
    drawn, pictures = 0, []
    for search in found:
        ranks = draw_best(database, client, search.folder, each)
        drawn += len(ranks)
        pictures += [search.folder + PICTURE.format(rank=rank) for rank in ranks]
        pictures += [search.folder + CONTACT_SHEET] * bool(ranks)
        progress.add()
    searches.remove_leftovers(client, pictures)
    return drawn


def draw_best(database: Database, client: Any, folder: str, pictures: int = PICTURES) -> list[int]:
    """Draw a written result's best matches beside it: each pair's inliers, and a contact sheet.

    Returns
    -------
    list of int
        The ranks drawn.
    """
    result = read_result(client, folder)
    ranks = range(1, min(pictures, len(result.matches)) + 1)
    cells = []
    query = None
    try:
        for rank, match, pairs in read_pairs(database, client, folder, ranks):
            picture = draw_chain(pairs)
            write_object(client, folder + PICTURE.format(rank=rank), picture, "image/jpeg")
            query = pairs[0].query
            cells.append((rank, match, shrink(pairs[-1].image, max(CELL_PX))))
    except LandmarkError as error:  # the query has gone; the result stands without pictures
        logger.warning("no pictures: %s", error)
    if query is not None:
        write_object(client, folder + CONTACT_SHEET, draw_contact_sheet(query, cells), "image/jpeg")
    return [rank for rank, _, _ in cells]
