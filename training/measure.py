"""Choose between models: ``python -m training.measure --places DIR MODEL [MODEL …]``.

On the places that are held out of training and, with ``--also DIR``, on other labelled folders: how
inliers with the query alone rank (`direct` of `landmark.evaluation`), and how many pairs of
different places reach as many inliers as are needed to find as many pairs of one place as the first
model finds with `SURE_INLIERS`. Every model in the same run, at several distances of descriptors.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.photographs import extract_folder
from benchmarks.variants import Variant, rank_all
from landmark.evaluation.labels import (
    LEAVE_ONE_OUT,
    LabelledFolder,
    LabelledQuery,
    read_labelled_folder,
)
from landmark.evaluation.scores import matches_by_place, score
from landmark.evaluation.searching import read_box
from landmark.extraction.extractor import Extractor, load_extractor
from landmark.extraction.models import resolve_model
from landmark.features import LocalFeatures
from landmark.matching.pair import MatchingParameters
from landmark.settings import load_settings
from training.pairs import SURE_INLIERS
from training.places import family, photograph_paths, split

HELD_OUT = "held out"


def held_out(places: Path) -> LabelledFolder:
    """The places kept out of training, each photograph a query; neighbours are neither right
    nor wrong."""
    files = {
        f"{place.name}/{photograph.name}": photograph
        for place in split(places)[1]
        for photograph in photograph_paths(place)
    }
    place_of = {name: name.partition("/")[0] for name in files}
    queries = []
    for query, place in place_of.items():
        same = frozenset(n for n, other in place_of.items() if other == place) - {query}
        near = frozenset(n for n, other in place_of.items() if family(other) == family(place))
        if same:
            queries.append(LabelledQuery(query, None, same, frozenset(), near - same))
    return LabelledFolder(files, files, queries, LEAVE_ONE_OUT)


def turn(pixels: NDArray[np.uint8], degrees: float) -> NDArray[np.uint8]:
    """Pixels [h, w, 3] turned about their centre, of the same shape, without empty corners."""
    height, width = pixels.shape[:2]
    across, along = math.sin(math.radians(abs(degrees))), math.cos(math.radians(degrees))
    kept = min(
        width / (width * along + height * across), height / (width * across + height * along)
    )
    image = Image.fromarray(pixels).rotate(degrees, Image.Resampling.BICUBIC)
    left, top = width * (1 - kept) / 2, height * (1 - kept) / 2
    return np.array(image.crop((round(left), round(top), round(width - left), round(height - top))))


def turned_queries(
    extractor: Extractor, folder: LabelledFolder, degrees: float
) -> dict[str, LocalFeatures]:
    """The features of a folder's queries, each turned."""
    found = {}
    for query in folder.queries:
        pixels = read_box(folder.query_files[query.image], query.image, query.box)
        found[query.image] = extractor.extract_pixels(turn(pixels, degrees), query.image)
    return found


def measure(
    folder: LabelledFolder, handles: list[str], distances: list[float], degrees: float = 0
) -> Iterator[dict[str, Any]]:
    """The figures of each model at each distance, as soon as they are known.

    Parameters
    ----------
    degrees : float
        How far queries are turned.

    Yields
    ------
    dict
        ``model``, ``max_distance``, the protocols' mean average precision, ``found``: the share of
        pairs of one place with `SURE_INLIERS`; ``false``: pairs of different places that have so
        many; ``false_at_equal``: those that have as many as leave the first model's ``found``.
    """
    recall = None
    for handle in handles:
        settings = load_settings(lambda name: handle if name == "LANDMARK_MODEL" else None)  # noqa: B023
        model = resolve_model(settings)
        started = time.perf_counter()
        extractor = load_extractor(model, threads=2)
        images, queries = extract_folder(extractor, folder)
        seconds = (time.perf_counter() - started) / (len(images) + len(queries))
        if degrees:
            queries = turned_queries(extractor, folder, degrees)
        for distance in distances or [model.max_distance]:
            variant = Variant(f"distance below {distance}", max_distance=distance)
            ranked, _ = rank_all(images, queries, variant, MatchingParameters())
            scores = score(
                {name: [match.image_path for match in found] for name, found in ranked.items()},
                folder.queries,
                folder.protocols,
            )
            same, different = (
                np.array([match.inliers for matches in kind for match in matches])
                for kind in matches_by_place(ranked, folder.queries)
            )
            found_share = float(np.mean(same >= SURE_INLIERS))
            recall = found_share if recall is None else recall
            equal = max(n for n in range(int(same.max()) + 1) if np.mean(same >= n) >= recall)
            yield {
                "model": model.fingerprint,
                "max_distance": distance,
                **scores,
                "found": found_share,
                "false": int(np.sum(different >= SURE_INLIERS)),
                "equal_inliers": equal,
                "false_at_equal": int(np.sum(different >= equal)),
                "pairs_of_different_places": len(different),
                "extract_seconds_per_image": seconds,
            }


def main() -> None:
    """Print a line of JSON for each folder, model and distance."""
    parser = argparse.ArgumentParser(prog="training.measure", description=__doc__)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="a model's folder")
    parser.add_argument("--places", type=Path, required=True, help="one folder for each place")
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="labelled folders")
    parser.add_argument("--distances", type=float, nargs="*", default=[], help="default: its own")
    parser.add_argument("--turned", type=float, default=0, metavar="DEGREES", help="turn queries")
    arguments = parser.parse_args()
    folders = {HELD_OUT: held_out(arguments.places)}
    folders |= {path.name: read_labelled_folder(path) for path in arguments.also}
    for name, folder in folders.items():
        for figures in measure(folder, arguments.models, arguments.distances, arguments.turned):
            line = {"folder": name, "turned": arguments.turned, **figures}
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
