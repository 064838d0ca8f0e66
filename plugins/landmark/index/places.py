"""Places: which images show one, brought up to date where pairs of the match graph have changed.

What changed is grouped anew together with the places that it touches; all others stay as they are,
which is what grouping everything would give (`landmark.matching.communities`). Killed and run
again, it goes on where it stopped.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from landmark.matching.chance import ChanceHistogram, chance_figures
from landmark.matching.communities import communities, least_inliers, weights
from landmark.progress import Progress
from landmark.storage import places
from landmark.storage.carried_places import carry_places
from landmark.storage.chance import measured_chance
from landmark.storage.database import Database
from landmark.storage.edges import Edge, edges_of, versions_of
from landmark.storage.models import count_all_images, known_models

logger = logging.getLogger(__name__)

# So many changes are looked at at once, and so many images with what they touch: some 100 MB.
CHANGES, MOST_IMAGES = 20_000, 100_000
# So many may be touched by what is brought up to date while somebody waits: a second or two.
MOST_AT_ONCE = 5_000


class Region(NamedTuple):
    """Images to group anew.

    Parameters
    ----------
    images : set of int
        Ids, with those of the places that these touch.
    settled : list of int
        The changes that are dealt with by it, as of `ungrouped`.
    """

    images: set[int]
    settled: list[int]


def update_places(
    database: Database, model: str, chance_of_model: ChanceHistogram = ChanceHistogram()
) -> int:
    """Group what has changed since it was grouped last. One process at a time; another waits.

    Parameters
    ----------
    model : str
        Fingerprint.
    chance_of_model : ChanceHistogram
        What is known of the model besides what was measured on the table. A pair is half sure from
        so many inliers on as make a match; where that has changed, all images are grouped anew.

    Returns
    -------
    int
        How many images were grouped.
    """
    with database.alone(_work(model)):
        of_table = measured_chance(database, model).histogram
        chance = chance_figures(of_table, chance_of_model).chance
        half = chance.half_sure(count_all_images(database, model))
        places.begin_grouping(database, model, half)
        progress: Progress | None = None
        while changes := places.ungrouped(database, model, CHANGES):
            region = _region(database, changes, least_inliers(half))
            _group(database, model, region, half)
            if progress is None:
                progress = Progress(len(region.images), "images grouped by place")
            progress.total = max(progress.total, progress.done + len(region.images))
            progress.add(len(region.images))
        places.end_empty_places(database, model)
        if any(one.searched for one in known_models(database) if one.model == model):
            for earlier, place in carry_places(database, model):
                logger.info("place %d goes on as place %d of this model", earlier, place)
        return progress.done if progress else 0


def update_places_of(database: Database, model: str, paths: Sequence[str]) -> bool:
    """Group at once what has changed of a few images, as pairs were weighed last.

    Returns
    -------
    bool
        False if nothing is done, and `update_places` will do it: another process is at it, no image
        of the model was grouped yet, or more than `MOST_AT_ONCE` are touched.
    """
    with database.alone(_work(model), wait=False) as is_alone:
        half = places.grouped_by(database, model) if is_alone else None
        if half is None:
            return False
        images = {image for image, _ in versions_of(database, model, paths).values()}
        changes = places.also_ungrouped(database, images)
        if not changes:
            return True
        region = _region(database, changes, least_inliers(half))
        if len(region.images) > MOST_AT_ONCE:
            return False
        _group(database, model, region, half)
        return True


def _work(model: str) -> str:
    return f"grouping places of {model}"


def _region(database: Database, changes: Mapping[int, int], least: int) -> Region:
    """What has changed, the places that pairs lead to from there, and what waits beside them."""
    region: set[int] = set()
    settled: list[int] = []
    while changes and len(region) < MOST_IMAGES:
        settled += changes
        changed = set(changes.values())
        near = {
            end
            for edge in edges_of(database, sorted(changed))
            if edge.strength >= least
            for end in edge[:2]
        }
        touched = set(places.places_of(database, changed | near).values())
        found = (changed | near | places.images_of(database, touched)) - region
        region |= found
        changes = places.also_ungrouped(database, found - changed)
    return Region(region, settled)


def _group(database: Database, model: str, region: Region, half: int) -> None:
    ids = sorted(region.images)
    before = places.places_of(database, region.images)
    edges = places.edges_among(database, region.images, least_inliers(half))
    numbered = {image: number for number, image in enumerate(ids)}
    ends = np.array([[numbered[end] for end in edge[:2]] for edge in edges], np.int64).reshape(
        -1, 2
    )
    weighed = weights(np.array([edge.inliers for edge in edges], np.int64), half)
    said = places.said_among(database, region.images)
    together, apart = (
        [(numbered[one], numbered[two]) for (one, two), same in said.items() if same == wanted]
        for wanted in (True, False)
    )
    found = communities(ends, weighed, together, apart)
    groups = [[ids[place] for place in group] for group in found]
    kept = continued(groups, before)
    best = _best_connected(edges, weighed.tolist())
    grouped = [
        places.Grouped(place, group, min(group, key=lambda image: (-best[image], image)))
        for place, group in zip(kept, groups, strict=True)
    ]
    numbers = {image: number for number, group in enumerate(groups) for image in group}
    ended = {
        place: _majority(place, before, numbers)
        for place in sorted(set(before.values()) - set(kept))
    }
    written = places.save_places(database, model, grouped, ids, ended, region.settled)
    _tell(before, numbers, written, ended)


def continued(groups: Sequence[Sequence[int]], before: Mapping[int, int]) -> list[int | None]:
    """Of each group the place that it goes on with: each with the group that has most of it.

    Parameters
    ----------
    before : mapping of int to int
        Of images their places of before.
    """
    shared = Counter(
        (number, before[image])
        for number, group in enumerate(groups)
        for image in group
        if image in before
    )
    kept: list[int | None] = [None] * len(groups)
    taken: set[int] = set()
    for (number, place), _ in sorted(shared.items(), key=lambda one: (-one[1], one[0][1], one[0])):
        if kept[number] is None and place not in taken:
            kept[number] = place
            taken.add(place)
    return kept


def _best_connected(edges: Sequence[Edge], weighed: Sequence[float]) -> Counter[int]:
    found: Counter[int] = Counter()
    for edge, weight in zip(edges, weighed, strict=True):
        for end in edge[:2]:
            found[end] += weight  # type: ignore[assignment]
    return found


def _majority(place: int, before: Mapping[int, int], numbers: Mapping[int, int]) -> int:
    """The number of the group that has most of a place's images; -1 if none has any."""
    found = Counter(
        numbers[image] for image, old in before.items() if old == place and image in numbers
    )
    return min(found, key=lambda number: (-found[number], number), default=-1)


def _tell(
    before: Mapping[int, int],
    numbers: Mapping[int, int],
    written: Sequence[int],
    ended: Mapping[int, int],
) -> None:
    """Log what people may have named and looked at, and what is another place by now."""
    for place, number in ended.items():
        if number >= 0:
            logger.info("place %d is part of place %d by now", place, written[number])
        else:
            logger.info("place %d has no photographs that belong together any more", place)
    moved = Counter(
        (old, written[numbers[image]])
        for image, old in before.items()
        if image in numbers and old not in ended and written[numbers[image]] != old
    )
    for (old, new), images in sorted(moved.items()):
        logger.info("%d photographs of place %d are of place %d by now", images, old, new)
    new = len(set(written) - set(before.values()))
    logger.info("%d places brought up to date, %d of them new", len(written), new)
