"""A place's photographs, their features, and the pairs of these that agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark.errors import LandmarkError
from landmark.extraction.models import ModelConfig
from landmark.features import LocalFeatures
from landmark.matching.match_graph import EDGE_INLIERS
from landmark.matching.pair import MatchingParameters, compare
from landmark.progress import Progress
from landmark.storage.database import Database
from landmark.storage.images import find_image
from landmark.storage.models import model_record
from landmark.storage.places import edges_among, find_place, place_images

# Of a place so many are exported: their features, some 150 KB each, lie in memory.
MOST_IMAGES = 10_000
S3 = "s3://"


class ComparedPair(NamedTuple):
    """Two of a scene's photographs that agree.

    Parameters
    ----------
    first, second : int
        Their places in the scene, the smaller first.
    putative : intp array [k, 2]
        Features of the first and of the second.
    inliers : intp array [m]
        Which of these agree with one transformation.
    """

    first: int
    second: int
    putative: NDArray[np.intp]
    inliers: NDArray[np.intp]


@dataclass(frozen=True)
class Scene:
    """What is exported.

    Parameters
    ----------
    names : list of str
        Of the photographs: their keys, and before these their bucket where there are several.
    features : list of LocalFeatures
    edges : list of (int, int)
        The pairs that agree, by places in `names`.
    parameters : MatchingParameters
        By which they were found to.
    """

    names: list[str]
    features: list[LocalFeatures]
    edges: list[tuple[int, int]]
    parameters: MatchingParameters

    def pairs(self) -> Iterator[ComparedPair]:
        """Compare each pair anew: the index keeps how many inliers there are, not which."""
        progress = Progress(len(self.edges), "pairs compared")
        for first, second in self.edges:
            pairs, found = compare(self.features[first], self.features[second], self.parameters)
            yield ComparedPair(first, second, pairs, found.inliers)
            progress.add()


def read_scene(database: Database, number: int) -> Scene:
    """The photographs of a place, by its id or that of one that is part of it by now.

    Raises
    ------
    LandmarkError
        If there is no such place, it has no photographs, or more than `MOST_IMAGES`.
    """
    place = find_place(database, number)
    if place is None or not place.images:
        raise LandmarkError(
            f"place {number}: there is none with photographs; the page Places lists those there are"
        )
    if place.images > MOST_IMAGES:
        raise LandmarkError(
            f"place {number}: {place.images} photographs, more than the {MOST_IMAGES} that are "
            f"exported at once; export the graph instead"
        )
    record = model_record(database, place.model)
    parameters = MatchingParameters()
    if record is not None:
        max_distance = ModelConfig.from_record(record, place.model).max_distance
        parameters = MatchingParameters(max_distance)
    ids, paths, features = [], [], []
    for image, path in place_images(database, place.id, MOST_IMAGES):
        found = find_image(database, path, place.model)
        if found is not None:  # else it has gone, or its row is damaged and named in the log
            ids.append(image)
            paths.append(path)
            features.append(found[1])
    places = {image: place for place, image in enumerate(ids)}
    edges = [
        (places[edge.first], places[edge.second])
        for edge in edges_among(database, ids, EDGE_INLIERS)
    ]
    return Scene(names(paths), features, edges, parameters)


def names(paths: list[str]) -> list[str]:
    """What photographs are called below the folder that their bucket was copied to."""
    buckets = Counter(path.removeprefix(S3).partition("/")[0] for path in paths)
    rest = [path.removeprefix(S3) for path in paths]
    return rest if len(buckets) > 1 else [path.partition("/")[2] for path in rest]
