"""Inliers that an overlay explains do not count; what one camera or one photograph gives does."""

import numpy as np
import pytest

from landmark.features import LocalFeatures
from landmark.matching.pair import MatchingParameters, agreeing, compare

D = 32
WIDE, TALL, SMALL = (600, 800), (800, 600), (300, 400)
PARAMETERS = MatchingParameters()


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def scene(seed, size, n=300):
    """Locations (y, x) and descriptors of a picture of its own."""
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 1, (n, 2)) * (np.array(size) - 1), unit(rng.normal(size=(n, D)))


def picture(size, *parts):
    locations, descriptors = (np.concatenate(values) for values in zip(*parts, strict=True))
    inside = ((locations >= 0) & (locations < size)).all(axis=1)
    n = int(inside.sum())
    return LocalFeatures(
        locations=locations[inside].astype(np.float32),
        descriptors=descriptors[inside].astype(np.float16),
        scales=np.ones(n, np.float32),
        attention=np.ones(n, np.float32),
        width=size[1],
        height=size[0],
    )


def mark(seed=1, n=20, height=60, width=120):
    """A watermark or logo: where its features lie within its box, and what they look like."""
    rng = np.random.default_rng([seed, 99])
    return rng.uniform(0, 1, (n, 2)) * (height, width), unit(rng.normal(size=(n, D)))


def at(drawn, place, zoom=1.0, seed=0):
    """The same at some place, as a detector finds it: not quite the same each time."""
    rng = np.random.default_rng(seed)
    locations, descriptors = drawn
    noise = rng.normal(0, 0.05, descriptors.shape)
    return np.asarray(place) + zoom * locations, unit(descriptors + noise)


def found(query, image):
    """Inliers by one transformation alone, those that count, and those of an overlay."""
    pairs, verified = compare(query, image, PARAMETERS)
    return (
        len(agreeing(query, image, pairs, PARAMETERS).inliers),
        len(verified.inliers),
        verified.overlay,
    )


@pytest.mark.parametrize(
    "places",
    [
        pytest.param((WIDE, (520, 660), 1, WIDE, (520, 660), 1), id="same size"),
        pytest.param((WIDE, (520, 660), 1, TALL, (720, 460), 1), id="pixels from the lower right"),
        pytest.param((WIDE, (20, 340), 1, TALL, (20, 240), 1), id="pixels from the top's middle"),
        pytest.param((WIDE, (270, 340), 1, SMALL, (135, 170), 0.5), id="in proportion, centred"),
        pytest.param((WIDE, (520, 20), 1, (500, 700), (434, 17), 0.86), id="resized afterwards"),
    ],
)
def test_a_mark_at_the_same_place_of_two_unlike_pictures_does_not_count(places):
    size, place, zoom, other_size, other_place, other_zoom = places
    query = picture(size, scene(1, size), at(mark(), place, zoom, 1))
    image = picture(other_size, scene(2, other_size), at(mark(), other_place, other_zoom, 2))
    for one, two in ((query, image), (image, query)):
        alone, inliers, overlay = found(one, two)
        assert alone >= 18 and inliers < 8 and overlay >= 18


def test_words_along_a_bar_that_move_apart_as_it_gets_wider_do_not_count():
    def bar(size, seed):
        places = [(size[0] - 50, size[1] * (n + 0.5) / 4 - 30) for n in range(4)]
        words = [at(mark(n, 8, 40, 60), place, 1, seed + n) for n, place in enumerate(places)]
        return picture(size, scene(seed, size), *words)

    alone, inliers, overlay = found(bar((600, 800), 1), bar((620, 700), 2))
    assert alone >= 15 and inliers < 8 and overlay >= alone


def test_a_mark_in_rows_and_columns_that_matches_one_beside_it_does_not_count():
    """The mark that was found on the one picture is not the one that was found on the other."""
    rows = [(y, x) for y in (40, 240, 440) for x in (40, 300, 560)]

    def tiled(seed, blurred):
        marks = [at(mark(), place, 1, seed) for place in rows]
        for number, (_, descriptors) in enumerate(marks):
            rng = np.random.default_rng([seed, number])
            if number != blurred:
                descriptors += rng.normal(0, 0.09, descriptors.shape)
                descriptors[:] = unit(descriptors)
        return picture(WIDE, scene(seed, WIDE), *marks)

    alone, inliers, overlay = found(tiled(1, 0), tiled(2, 4))
    assert alone >= 15 and inliers < 8 and overlay >= 15


def test_the_place_behind_an_overlay_is_still_found():
    locations, descriptors = scene(1, WIDE, 60)
    moved = (0.8 * locations + (40, 90), unit(descriptors + 0.02))
    query = picture(
        WIDE, (locations, descriptors), scene(3, WIDE), at(mark(n=80), (500, 600), 1, 1)
    )
    image = picture(WIDE, moved, scene(4, WIDE), at(mark(n=80), (500, 600), 1, 2))
    alone, inliers, overlay = found(query, image)
    assert alone >= 70 and 50 <= inliers <= 60 and overlay >= 70


def test_a_patch_that_both_show_at_different_places_counts():
    """A tower before a sky: no overlay, as it is anchored nowhere."""
    query = picture(WIDE, scene(1, WIDE), at(mark(), (200, 300), 1, 1))
    image = picture(WIDE, scene(2, WIDE), at(mark(), (260, 390), 1, 2))
    alone, inliers, overlay = found(query, image)
    assert inliers == alone >= 18 and overlay == 0


def test_a_fixed_camera_by_day_and_night_counts():
    """Few features match, and in one corner; but the others are at their places and look alike."""
    locations, descriptors = scene(1, WIDE)
    rng = np.random.default_rng(5)
    likeness = np.full(len(locations), 0.35)
    corner = np.argsort(locations.sum(axis=1))[:20]
    likeness[corner] = 0.9
    other = unit(rng.normal(size=descriptors.shape))
    night = unit(likeness[:, None] * descriptors + (1 - likeness**2)[:, None] ** 0.5 * other)
    query = picture(WIDE, (locations, descriptors))
    image = picture(WIDE, (locations + rng.normal(0, 0.5, locations.shape), night))
    alone, inliers, overlay = found(query, image)
    assert 15 <= alone <= 40 and inliers == alone and overlay == 0
    # The same corner on another scene is an overlay.
    elsewhere = scene(6, WIDE)
    patch = (locations[corner], night[corner])
    alone, inliers, overlay = found(query, picture(WIDE, elsewhere, patch))
    assert alone >= 15 and inliers < 8 and overlay >= 15


@pytest.mark.parametrize("zoom", [1, 0.5])
def test_a_copy_counts_with_and_without_a_watermark(zoom):
    locations, descriptors = scene(1, WIDE)
    size = tuple(round(zoom * side) for side in WIDE)
    copied = (zoom * locations, unit(descriptors + 0.02))
    query = picture(WIDE, (locations, descriptors))
    for parts in ([], [at(mark(), (20, 20), 1, 1)]):
        alone, inliers, overlay = found(query, picture(size, copied, *parts))
        assert inliers == alone >= 250 and overlay == 0


def test_pictures_without_features_have_no_overlay():
    none = (np.empty((0, 2)), np.empty((0, D)))
    assert found(picture(WIDE, none), picture(WIDE, scene(1, WIDE))) == (0, 0, 0)
