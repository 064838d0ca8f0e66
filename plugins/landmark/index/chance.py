"""What chance gives on the table itself: inliers of random pairs of images of different places.

Some more pairs each night, so that searches know the table's own photographs: all of one city match
each other more by chance than those of a whole world do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from landmark.index.link import Arranged, compare_pair
from landmark.matching.chance import (
    HALF_SURE,
    ChanceFigures,
    ChanceHistogram,
    chance_figures,
)
from landmark.matching.pair import MatchingParameters
from landmark.progress import Progress
from landmark.storage.chance import MeasuredChance, measured_chance, save_chance
from landmark.storage.database import Database
from landmark.storage.edges import edges_of, sample_linked
from landmark.storage.models import count_all_images
from landmark.storage.partitions import read_partition

logger = logging.getLogger(__name__)

# A night: 2,000 pairs, of groups of images that are compared with each other; an image is read once
# and in few pairs, so that none says too much. Some seconds, so this process does it itself.
IMAGES, GROUP = 576, 8
# More are not kept: then the older ones count half, so that the figures follow the table.
MOST_PAIRS = 100_000
# What such edges connect, in so many steps from either image, is most likely one place; also what
# people say to be one. With 18 also towers before a sky are one place, and what is left has a third
# of the chance. Where a table's photographs are clearly of another kind than the model's, 24 may
# connect different places, too, and hide them: there as many are asked for as are half sure.
SURE_INLIERS = 24
STEPS, MOST_REACHED = 4, 50_000


def measure_chance(
    database: Database,
    model: str,
    parameters: MatchingParameters = MatchingParameters(),
    chance_of_model: ChanceHistogram = ChanceHistogram(),
) -> int:
    """Compare some more random pairs of a model's images, and keep how many inliers they have.

    Of linked images only: of others nobody knows which show one place. Which ones follows from the
    table and from how often it was done. Of a small table only half of all pairs are drawn, since
    some would come again. One process at a time.

    Parameters
    ----------
    model : str
        Fingerprint.
    parameters : MatchingParameters
    chance_of_model : ChanceHistogram
        What is known of the model besides what was measured on the table.

    Returns
    -------
    int
        The pairs of different places that this call has added.
    """
    with database.alone(f"measuring chance of {model}"):
        nights, known = measured_chance(database, model)
        linked = sample_linked(database, model, IMAGES, nights)
        if len(linked) < IMAGES and known.pairs > len(linked) * (len(linked) - 1) // 4:
            return 0
        rng = np.random.default_rng(nights)
        groups = []
        for _ in range(_rounds(len(linked))):
            ids = rng.permutation(linked)
            groups += [ids[first : first + GROUP].tolist() for first in range(0, len(ids), GROUP)]
        inliers = dict(_compared(database, model, groups, parameters))
        images = count_all_images(database, model)

        def figures(counted: ChanceHistogram) -> ChanceFigures:
            return chance_figures(known + counted, chance_of_model)

        found = _of_different_places(database, inliers, figures, images)
        if not found.pairs:
            return 0
        if known.pairs > MOST_PAIRS:
            known = known.halved()
        save_chance(database, model, MeasuredChance(nights + 1, known + found))
        logger.info("chance: %d pairs compared, %d in all", found.pairs, known.pairs + found.pairs)
        return found.pairs


def _rounds(images: int) -> int:
    """How often a table's images are drawn a night: of a small one several times.

    As many pairs as of a large one, but no more than half of all that there are.
    """
    pairs = max(1, images * (GROUP - 1) // 2)
    most = min(IMAGES * (GROUP - 1) // 2, images * (images - 1) // 4)
    return max(1, most // pairs)


def _compared(
    database: Database,
    model: str,
    groups: Sequence[Sequence[int]],
    parameters: MatchingParameters,
) -> Iterator[tuple[tuple[int, int], int]]:
    """Ids and inliers of the pairs within each group, but of those surely of one place."""
    places = connected(database, [image for group in groups for image in group], HALF_SURE[1])
    progress = Progress(sum(map(len, groups)), "images compared by chance")
    for group in groups:
        images = [Arranged(image) for image in read_partition(database, model, sorted(group))]
        for one, two in combinations(images, 2):
            if places[one.image.id] != places[two.image.id]:
                compared = compare_pair(one, two, parameters, least=1)
                yield (one.image.id, two.image.id), compared.inliers
        progress.add(len(group))


def _of_different_places(
    database: Database,
    inliers: Mapping[tuple[int, int], int],
    figures: Callable[[ChanceHistogram], ChanceFigures],
    images: int,
) -> ChanceHistogram:
    """The pairs of different places, as far as is known, counted.

    Of a table like the model's photographs those that no chain of `SURE_INLIERS` connects. Of
    another, more inliers are sure; how many follows from what is counted, until it does not grow.
    """
    sure, ids = SURE_INLIERS, sorted({image for pair in inliers for image in pair})
    while True:
        places = connected(database, ids, sure)
        found = ChanceHistogram.of(
            [count for (one, two), count in inliers.items() if places[one] != places[two]]
        )
        told = figures(found)
        wanted = told.chance.half_sure(images) if told.is_unlike else SURE_INLIERS
        if wanted <= sure:
            return found
        sure = wanted


def connected(database: Database, ids: Sequence[int], sure: int = SURE_INLIERS) -> dict[int, int]:
    """Of each image a number that it shares with those that chains of sure edges lead to."""
    parents = {image: image for image in ids}

    def root(image: int) -> int:
        while parents[image] != image:
            parents[image] = parents[parents[image]]
            image = parents[image]
        return image

    ends = sorted(parents)
    for _ in range(STEPS):
        if not ends or len(parents) > MOST_REACHED:
            break
        found = set()
        for edge in edges_of(database, ends):
            if edge.strength >= sure:
                for image in (edge.first, edge.second):
                    if image not in parents:
                        parents[image] = image
                        found.add(image)
                parents[root(edge.second)] = root(edge.first)
        ends = sorted(found)
    return {image: root(image) for image in ids}
