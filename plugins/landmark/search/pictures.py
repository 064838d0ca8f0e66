"""Pictures of written results: each pair's inliers, found again, and a contact sheet."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark.errors import LandmarkError
from landmark.extraction.decoding import shrink
from landmark.extraction.sandbox import decode_isolated
from landmark.matching.pair import MatchingParameters, compare
from landmark.matching.ranking import Match
from landmark.progress import Progress
from landmark.search.drawing import CELL_PX, draw_contact_sheet, draw_matches
from landmark.search.result import CONTACT_SHEET, PICTURE, read_query, read_result
from landmark.search.searches import read_own
from landmark.storage.bucket import read_object, write_object
from landmark.storage.database import Database
from landmark.storage.images import find_image

logger = logging.getLogger(__name__)

# Pictures drawn of a result's best matches, and of all results of a run; the detail they are drawn
# from. The pages draw any other when it is looked at.
PICTURES = 20
PICTURES_A_RUN = 1_000
PICTURE_SIDE_PX = 1024


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
    database: Database,
    client: Any,
    folder: str,
    ranks: Sequence[int],
    side_px: int = PICTURE_SIDE_PX,
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
    query_picture = decode_isolated(query_data, result.query, side_px).pixels
    parameters = MatchingParameters(result.parameters["max_distance"])
    for rank in ranks:
        match = result.matches[rank - 1]
        found = find_image(database, match.image_path, result.model)
        try:
            data, etag = read_object(client, match.image_path)
            if found is None or etag not in found[0]:
                raise LandmarkError(f"{match.image_path}: changed since it was compared")
            picture = decode_isolated(data, match.image_path, side_px).pixels
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
    database: Database, client: Any, folder: str, rank: int, side_px: int, height_px: int
) -> bytes:
    """Draw one pair of a written result.

    Raises
    ------
    LandmarkError
        If one of the two images has gone or changed since.
    """
    for _, _, pair in read_pairs(database, client, folder, [rank], side_px):
        return draw_matches(*pair, height_px=height_px)
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
        for rank, match, pair in read_pairs(database, client, folder, ranks):
            picture = draw_matches(*pair)
            write_object(client, folder + PICTURE.format(rank=rank), picture, "image/jpeg")
            query = pair.query
            cells.append((rank, match, shrink(pair.image, max(CELL_PX))))
    except LandmarkError as error:  # the query has gone; the result stands without pictures
        logger.warning("no pictures: %s", error)
    if query is not None:
        write_object(client, folder + CONTACT_SHEET, draw_contact_sheet(query, cells), "image/jpeg")
    return [rank for rank, _, _ in cells]
