"""Which two images are one photograph."""

from dataclasses import replace

import numpy as np
import pytest

from landmark.matching.pair import compare


def copied(features, zoom=1.0, crop=0.0, seed=0):
    """The same photograph resized, or without a border of so much of it."""
    rng = np.random.default_rng(seed)
    size = np.array([features.height, features.width])
    locations = zoom * (features.locations - crop * size)
    height, width = (int(zoom * (1 - 2 * crop) * side) for side in size)
    inside = ((locations >= 0) & (locations < (height, width))).all(axis=1)
    noise = rng.normal(0, 0.01, features.descriptors.shape)
    return replace(
        features,
        locations=locations[inside].astype(np.float32),
        descriptors=(features.descriptors + noise)[inside].astype(np.float16),
        scales=(features.scales / zoom)[inside].astype(np.float32),
        attention=features.attention[inside],
        width=width,
        height=height,
    )


@pytest.mark.parametrize("zoom", [1, 0.75, 0.3, 2])
@pytest.mark.parametrize("crop", [0, 0.05])
def test_a_copy_is_one_whatever_its_size_and_cropped_a_little(make_view, zoom, crop):
    view = make_view(1, n=200)
    for pair in ((view, copied(view, zoom, crop)), (copied(view, zoom, crop), view)):
        assert compare(*pair)[1].is_copy


def test_a_detail_is_no_copy(make_view):
    view = make_view(1, n=400)
    assert len(compare(view, copied(view, 1, 0.2))[1].inliers) > 50
    assert not compare(view, copied(view, 1, 0.2))[1].is_copy


def test_another_view_is_no_copy(make_view):
    one, other = make_view(1, 0, n=200), make_view(1, 1, n=200)
    assert len(compare(one, other)[1].inliers) > 100  # turned
    assert not compare(one, other)[1].is_copy


def test_few_features_make_no_copy(make_view):
    view = make_view(1, n=25)
    assert len(compare(view, copied(view))[1].inliers) == 25
    assert not compare(view, copied(view))[1].is_copy


def test_where_most_features_are_others_it_is_no_copy(make_view):
    """A camera that stands, in another hour."""
    view = make_view(1, n=200)
    night = copied(view)
    night.descriptors[70:] = copied(make_view(2, n=200)).descriptors[70:]
    assert 60 <= len(compare(view, night)[1].inliers) <= 75
    assert not compare(view, night)[1].is_copy
