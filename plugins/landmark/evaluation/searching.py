"""A labelled folder in a table of its own: indexed, linked and searched by the product's code."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from dask.distributed import Client
from numpy.typing import NDArray

from landmark.errors import LandmarkError
from landmark.evaluation.labels import LabelledFolder
from landmark.extraction.decoding import decode_image
from landmark.features import FeatureExtractor, LocalFeatures
from landmark.index.chance import measure_chance
from landmark.index.describe import describe_table
from landmark.index.link import link_table
from landmark.index.photographs import is_photograph
from landmark.matching.chance import ENOUGH_PAIRS, ChanceHistogram
from landmark.matching.pair import MatchingParameters
from landmark.matching.ranking import Match
from landmark.progress import Progress
from landmark.search.comparison import Query, rank_images
from landmark.search.copies import ungrouped
from landmark.search.rank import rank_table
from landmark.storage.database import Database
from landmark.storage.images import find_image, save_image
from landmark.storage.partitions import read_partition, sample_ids

logger = logging.getLogger(__name__)

MODEL = "evaluated"
DISTRACTOR = "distractors/"
# Compared on one core, to know what a pair costs.
TIMED_IMAGES, TIMED_QUERIES = 500, 4


@dataclass(frozen=True)
class SearchOptions:
    """How the folder is searched.

    Parameters
    ----------
    ranking, mode, shortlist
        As of `rank_table`.
    links : int
        As of `link_table`.
    distractors : Path or None
        A folder whose photographs lie in the table, too, and show nothing that is searched for.
    chance_of_model
        As of `rank_table`.
    """

    ranking: str = "graph"
    mode: str = "auto"
    shortlist: int = 300
    links: int = 30
    distractors: Path | None = None
    chance_of_model: ChanceHistogram = ChanceHistogram()


AS_BY_DEFAULT = SearchOptions()


@dataclass
class FilledTable:
    """The table, and what filling it took.

    Parameters
    ----------
    database : Database
    boxed : dict of str to LocalFeatures
        Of queries that are cropped to their box, which are no images of the table.
    images : int
    extract_seconds, link_seconds : float
        An image.
    chance : str
        As of the results of its searches.
    """

    database: Database
    boxed: dict[str, LocalFeatures] = field(default_factory=dict)
    images: int = 0
    extract_seconds: float = 0.0
    link_seconds: float = 0.0
    chance: str = ""


class LabelledQueries:
    """A folder's queries, whose features are read when they are needed."""

    def __init__(self, table: FilledTable, folder: LabelledFolder) -> None:
        self._table, self._folder = table, folder

    def __len__(self) -> int:
        return len(self._folder.queries)

    def __iter__(self) -> Iterator[Query]:
        for query in self._folder.queries:
            if query.box is not None:
                yield Query("", self._table.boxed[query.image])
                continue
            found = find_image(self._table.database, query.image, MODEL)
            assert found is not None
            yield Query(query.image, found[1])


def fill_table(
    database: Database,
    client: Client,
    folder: LabelledFolder,
    extractor: FeatureExtractor,
    parameters: MatchingParameters,
    options: SearchOptions,
) -> FilledTable:
    """Extract images and queries, describe and link them, measure chance; memory stays flat."""
    others = _distractors(folder, options.distractors)
    boxed = [query for query in folder.queries if query.box is not None]
    table = FilledTable(database, images=len(folder.images) + len(others))
    progress = Progress(table.images + len(boxed), "images extracted")
    for name, file in folder.images.items():
        features = extractor.extract(file.read_bytes(), name)
        save_image(database, name, MODEL, "", features)
        progress.add()
    for name, file in others.items():
        try:
            save_image(database, name, MODEL, "", extractor.extract(file.read_bytes(), name))
        except LandmarkError as error:
            logger.warning("left out: %s", error)
            table.images -= 1
        progress.add()
    for query in boxed:
        table.boxed[query.image] = extract_box(
            extractor, folder.query_files[query.image], query.image, query.box or ()
        )
        progress.add()
    table.extract_seconds = progress.seconds / max(progress.done, 1)
    describe_table(database, MODEL)
    if options.ranking == "graph":
        started = time.perf_counter()
        linked = link_table(database, client, MODEL, options.links, parameters)
        table.link_seconds = (time.perf_counter() - started) / max(linked, 1)
        measured = 0
        while measured < ENOUGH_PAIRS and (
            pairs := measure_chance(database, MODEL, parameters, options.chance_of_model)
        ):
            measured += pairs  # of as many nights as a deployment needs
    return table


def search_folder(
    table: FilledTable,
    client: Client,
    folder: LabelledFolder,
    parameters: MatchingParameters,
    options: SearchOptions,
) -> dict[str, list[Match]]:
    """Each query's ranking of all that it was compared with, whatever its inliers."""
    found: dict[str, list[Match]] = {}
    results = rank_table(
        table.database,
        client,
        MODEL,
        LabelledQueries(table, folder),
        max(table.images, 1),
        min_inliers=0,
        mode=options.mode,
        shortlist=options.shortlist,
        parameters=parameters,
        ranking=options.ranking,
        chance_of_model=options.chance_of_model,
    )
    for query, result in zip(folder.queries, results, strict=True):
        if isinstance(result, LandmarkError):
            logger.warning("%s: %s", query.image, result)
            found[query.image] = []
            continue
        found[query.image], table.chance = ungrouped(result.matches), result.chance
    return found


def seconds_per_pair(
    table: FilledTable, folder: LabelledFolder, parameters: MatchingParameters
) -> float:
    """What it takes one core to compare a query with an image, both in memory."""
    ids = sample_ids(table.database, MODEL, TIMED_IMAGES)
    images = list(read_partition(table.database, MODEL, ids))
    queries = list(islice(LabelledQueries(table, folder), TIMED_QUERIES))
    started = time.perf_counter()
    rankings = rank_images(queries, images, len(images) + 1, 0, parameters)
    pairs = sum(ranking.compared for ranking in rankings)
    return (time.perf_counter() - started) / max(pairs, 1)


def extract_box(
    extractor: FeatureExtractor, file: Path, name: str, box: tuple[float, ...]
) -> LocalFeatures:
    """The features of the part of a photograph in a box: x0, y0, x1, y1 px."""
    return extractor.extract_pixels(read_box(file, name, box), name)


def read_box(file: Path, name: str, box: tuple[float, ...] | None) -> NDArray[np.uint8]:
    """The pixels [h, w, 3] of a photograph in its own size, or of the part in a box."""
    pixels = decode_image(file.read_bytes(), name, max_size_px=sys.maxsize).pixels
    if box is None:
        return pixels
    x0, y0, x1, y1 = (max(0, round(side)) for side in box)
    return pixels[y0:y1, x0:x1]


def _distractors(folder: LabelledFolder, below: Path | None) -> dict[str, Path]:
    """Photographs of another folder; what lies in the labelled one itself is none."""
    if below is None:
        return {}
    if not below.is_dir():
        raise LandmarkError(f"{below}: no folder of distractors")
    own = {file.resolve().parent for file in (folder.images | folder.query_files).values()}
    return {
        f"{DISTRACTOR}{file.relative_to(below)}": file
        for file in sorted(below.rglob("*"))
        if is_photograph(file) and file.resolve().parent not in own
    }
