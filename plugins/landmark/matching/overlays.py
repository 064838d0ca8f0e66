"""Inliers that an overlay explains: a watermark, caption, time stamp, logo, frame or screen's bar.

An overlay lies where its maker put it, whatever is behind: at the same place of both pictures,
counted from a corner, a border or the centre, in pixels or in proportion to the picture. Pictures
of one place agree so exactly only if one camera took them from one spot, or one is the other's
copy; then all of the picture agrees. So inliers are an overlay's if they lie at the same place and
the rest of the two pictures has nothing in common there (after Weyand, Tsai and Leibe, "Fixing
WTFs: Detecting image matches caused by watermarks, timestamps, and frames in internet photos",
WACV 2015, who look at where the inliers lie).

The rest is asked by its features, matched or not: those at the same place of both pictures look
alike where the scene is the same, by day and by night, and no more than any two where it is not.
What any two are like, the same pictures tell, one of them mirrored.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from landmark.matching.placement import Pictured, fitted_zoom, sizes_of
from landmark.matching.putative import LEVELS, whole_numbers

#: Fewer inliers are not looked at: nothing is made of them.
LEAST_INLIERS = 8
# Of a set of inliers this share must lie at the same place, within this distance (of the image's
# longest side): an affine transformation of two viewpoints brings hardly half of them there.
SHARE, SAME_PLACE = 0.6, 0.008
# Of a mark that is there again and again fewer: the detector leaves some out. So many features at a
# place are looked at; so much alike (cosine) are those of two marks, and no more evenly they lie.
SHARE_REPEATED, NEAREST = 0.4, 4
SAME_MARK, UNEVEN = 0.8, 0.3
# Of the picture from its border on: where bars are.
BAR = 0.15
# Cosine from which on two features at the same place may both be the overlay's. What lies that near
# to these (of the longest side) is no part of the rest: it shows some of the overlay.
LIKE_OVERLAY, PART_OF_OVERLAY = 0.6, 0.03
# How much more alike (mean cosine) the rest must be than by chance, with a tenth of how evenly the
# inliers lie over the picture's features, to be of one camera: fitted to fixed cameras by day and
# night and to overlays that we drew (benchmarks.overlays). With less of a rest, evenness alone.
LIKENESS, EVENNESS_WEIGHT = 0.21, 0.1
LEAST_REST, EVEN = 20, 0.5
# So many inliers that lie so evenly are of one camera, or of a copy that may be cropped.
MANY_INLIERS, MANY_EVEN = 60, 0.55
# Cells of a picture, along each side.
CELLS = 8


def explained_by_overlay(
    query: Pictured,
    image: Pictured,
    pairs: NDArray[np.intp],
    inliers: NDArray[np.intp],
) -> NDArray[np.bool_] | None:
    """Which putative matches are an overlay's, if the inliers are.

    Parameters
    ----------
    query, image : Pictured
    pairs : intp array [k, 2]
        Putative matches, as (query, image).
    inliers : intp array [i]
        Indices into `pairs` of those that agree with one transformation.

    Returns
    -------
    bool array [k] or None
        None if the inliers are of the scene: they lie at different places of the two pictures, or
        all of the pictures agrees.
    """
    if len(inliers) < LEAST_INLIERS:
        return None
    one = query.locations[pairs[:, 0]].astype(np.float64) + 0.5
    two = image.locations[pairs[:, 1]].astype(np.float64) + 0.5
    sizes = sizes_of(query, image)
    distance = SAME_PLACE * sizes[1].max()
    for zoom, is_known in _zooms(one[inliers], two[inliers], sizes):
        shifts, room = two - zoom * one, sizes[1] - zoom * sizes[0]
        explained = _anchored(shifts, room, distance)
        if (zoom == 1).all():
            explained |= _in_a_bar(one, sizes[0], shifts, room, distance)
        if explained[inliers].sum() >= SHARE * len(inliers):
            break
        if is_known and _is_shifted(shifts[inliers], distance):
            explained |= _repeated(query, image, pairs, zoom, room, distance)
            if explained[inliers].sum() >= SHARE_REPEATED * len(inliers) or (
                (zoom == 1).all() and _are_marks(query, image, pairs[inliers])
            ):
                explained[inliers] = True  # what repeats none that the detector found is no scene
                break
    else:
        return None
    matches = pairs[inliers[explained[inliers]]]
    evenness = min(_evenness(query, matches[:, 0]), _evenness(image, matches[:, 1]))
    if len(matches) >= MANY_INLIERS and evenness >= MANY_EVEN:
        return None
    if not is_known and evenness >= UNEVEN:  # two views with the same in the middle
        return None
    if (np.abs(sizes[1] - sizes[1, 0] / sizes[0, 0] * sizes[0]) <= distance).all():
        # Of one shape, as the pictures of one camera are.
        likeness, rest = _likeness(query, image, matches, sizes, distance)
        agreement = likeness + EVENNESS_WEIGHT * evenness
        if agreement >= LIKENESS if rest >= LEAST_REST else evenness >= EVEN:
            return None
    return explained


def _zooms(
    one: NDArray[np.floating], two: NDArray[np.floating], sizes: NDArray[np.float64]
) -> Iterator[tuple[NDArray[np.float64], bool]]:
    """How much larger (y, x) an overlay can be on the second picture, and if that is known.

    In proportion to the picture or one of its sides; of as many pixels; or as much as the matches
    [k, 2] are, when one of the pictures was resized afterwards.
    """
    sides = sizes[1] / sizes[0]
    yield sides, True
    ratios = {1.0, *sides, sizes[1].min() / sizes[0].min(), sizes[1].max() / sizes[0].max()}
    for ratio in sorted(ratios):
        yield np.full(2, ratio), True
    fitted = fitted_zoom(one, two)
    if fitted is not None:
        yield np.full(2, fitted), False


def _anchored(
    shifts: NDArray[np.float64], room: NDArray[np.float64], distance: float
) -> NDArray[np.bool_]:
    """Which shifts [k, 2] keep what they move where it is, counted from both axes' anchors.

    A corner, the middle of a border, or the centre.

    Parameters
    ----------
    room : float64 array [2]
        How much larger (y, x) the second picture is than the first, zoomed.
    """
    anchors = room * np.array([[[0.0]], [[0.5]], [[1.0]]])
    return (np.abs(shifts - anchors) <= distance).any(axis=0).all(axis=1)


def _in_a_bar(
    one: NDArray[np.float64],
    size: NDArray[np.float64],
    shifts: NDArray[np.float64],
    room: NDArray[np.float64],
    distance: float,
) -> NDArray[np.bool_]:
    """Which locations [k, 2] near a border keep their distance from it when shifted.

    The words of a bar move apart along it as a picture gets wider.
    """
    within = (shifts >= np.minimum(room, 0) - distance) & (shifts <= np.maximum(room, 0) + distance)
    first = (np.abs(shifts) <= distance) & (one <= BAR * size)
    last = (np.abs(shifts - room) <= distance) & (one >= (1 - BAR) * size)
    return np.any((first | last) & within[:, ::-1], axis=1)


def _is_shifted(shifts: NDArray[np.float64], distance: float) -> bool:
    """Whether one shift [k, 2] does for most matches, and they are neither turned nor bent."""
    near = np.square(shifts - np.median(shifts, axis=0)).sum(axis=1) <= distance**2
    return bool(near.sum() >= SHARE * len(shifts))


def _repeated(
    query: Pictured,
    image: Pictured,
    pairs: NDArray[np.intp],
    zoom: NDArray[np.float64],
    room: NDArray[np.float64],
    distance: float,
) -> NDArray[np.bool_]:
    """Which matches [k, 2] are of a mark that is there again and again.

    They join one to another; but what the one picture has also lies at the same place of the other.
    """
    one, two = query.locations + 0.5, image.locations + 0.5
    trees, found = (KDTree(zoom * one), KDTree(two)), np.zeros(len(pairs), bool)
    for y in (0, 0.5, 1):
        for x in (0, 0.5, 1):
            shift = room * (y, x)
            there = _alike(
                query, image, pairs[:, 0], zoom * one[pairs[:, 0]] + shift, trees[1], distance
            )
            here = _alike(image, query, pairs[:, 1], two[pairs[:, 1]] - shift, trees[0], distance)
            found |= there | here
    return found


def _are_marks(query: Pictured, image: Pictured, matches: NDArray[np.intp]) -> bool:
    """Whether most matches [i, 2] look like another of them, and all lie in a few cells."""
    columns = (query, matches[:, 0]), (image, matches[:, 1])
    for picture, features in columns:
        rows = whole_numbers(picture.descriptors[features]).astype(np.float32)
        cosines = rows @ rows.T / LEVELS**2  # whole numbers below 2**24: exact
        np.fill_diagonal(cosines, -1)
        if (cosines.max(axis=1) >= SAME_MARK).mean() < SHARE:
            return False
    return min(_evenness(*column) for column in columns) < UNEVEN


def _alike(
    picture: Pictured,
    other: Pictured,
    features: NDArray[np.intp],
    places: NDArray[np.float64],
    tree: KDTree,
    distance: float,
) -> NDArray[np.bool_]:
    """Which features [k] of a picture look like one of the other's at these places [k, 2]."""
    far, near = tree.query(places, NEAREST, distance_upper_bound=distance)
    which, rank = np.nonzero(np.isfinite(far))
    alike = _cosines(picture, other, features[which], near[which, rank]) >= LIKE_OVERLAY
    found = np.zeros(len(features), bool)
    found[which[alike]] = True
    return found


def _likeness(
    query: Pictured,
    image: Pictured,
    matches: NDArray[np.intp],
    sizes: NDArray[np.float64],
    distance: float,
) -> tuple[float, int]:
    """How much more alike the rest is at the same places than by chance, and how much there is.

    Parameters
    ----------
    matches : intp array [i, 2]
        Of the overlay.
    sizes : float64 array [2, 2]
        Of the query and the image: height, width.
    """
    side = sizes[1].max()
    placed = (query.locations + 0.5) * (sizes[1] / sizes[0]) - 0.5
    far, near = KDTree(image.locations).query(placed, distance_upper_bound=distance)
    both = np.flatnonzero(np.isfinite(far))
    alike = near[both[_cosines(query, image, both, near[both]) > LIKE_OVERLAY]]
    overlay = KDTree(image.locations[np.concatenate([matches[:, 1], alike])])
    one, two = (
        np.flatnonzero(overlay.query(at)[0] > PART_OF_OVERLAY * side)
        for at in (placed, image.locations)
    )
    if not len(one) or not len(two):
        return 0.0, 0
    tree, found = KDTree(image.locations[two]), []
    for mirrored in ((False, False), (True, True), (True, False), (False, True)):
        at = np.where(mirrored, sizes[1] - 1 - placed[one], placed[one])
        far, near = tree.query(at, distance_upper_bound=distance)
        there = np.isfinite(far)
        cosines = _cosines(query, image, one[there], two[near[there]])
        found.append(cosines[cosines <= LIKE_OVERLAY])
    same, chance = found[0], np.concatenate(found[1:])
    if not len(same) or not len(chance):
        return 0.0, 0
    return float(same.mean() - chance.mean()), len(same)


def _evenness(picture: Pictured, chosen: NDArray[np.intp]) -> float:
    """How many cells hold some chosen features, beside how many as many drawn at random would."""
    size = np.array([picture.height, picture.width])
    y, x = np.clip((picture.locations + 0.5) / size * CELLS, 0, CELLS - 1).astype(np.intp).T
    cells = CELLS * y + x
    shares = np.bincount(cells) / len(cells)
    return float(len(np.unique(cells[chosen])) / (1 - (1 - shares) ** len(chosen)).sum())


def _cosines(
    query: Pictured, image: Pictured, one: NDArray[np.intp], two: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Of pairs of features [k]: multiples of 1 / `LEVELS` squared, exact."""
    products = whole_numbers(query.descriptors[one]).astype(np.int32)
    products *= whole_numbers(image.descriptors[two])
    return products.sum(axis=1) / LEVELS**2
