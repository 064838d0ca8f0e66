"""Local features -> one global descriptor."""

import numpy as np
import pytest

from landmark.matching.aggregation import DIMENSIONS, IMAGES_PER_DIMENSION, Aggregation


@pytest.fixture(scope="module")
def views(make_view):
    return [make_view(place, view).descriptors for place in range(20) for view in range(3)]


@pytest.fixture(scope="module")
def aggregation(views):
    return Aggregation.fit(lambda: views)


def test_views_of_one_place_are_nearest(aggregation, views):
    vectors = np.stack([aggregation.describe(view) for view in views]).astype(np.float32)
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -1)
    places = np.arange(len(views)) // 3
    assert (places[similarity.argmax(axis=1)] == places).all()


def test_a_view_that_was_not_measured_is_near_its_place(aggregation, views, make_view):
    vectors = np.stack([aggregation.describe(view) for view in views]).astype(np.float32)
    for place in range(20):
        query = aggregation.describe(make_view(place, 9).descriptors).astype(np.float32)
        assert (vectors @ query).argmax() // 3 == place


def test_global_descriptors_are_halves_of_unit_length(aggregation, views):
    vector = aggregation.describe(views[0])
    assert vector.shape == (aggregation.dimensions,) and vector.dtype == np.float16
    assert np.linalg.norm(vector.astype(float)) == pytest.approx(1, abs=1e-3)


def test_the_order_of_features_does_not_matter(aggregation, views):
    reversed_view = aggregation.describe(views[0][::-1])
    np.testing.assert_allclose(reversed_view, aggregation.describe(views[0]), atol=2e-3)


def test_no_features_give_zeros_and_do_not_count(aggregation, views):
    empty = np.empty((0, 16), np.float16)
    assert not aggregation.describe(empty).any()
    assert Aggregation.fit(lambda: [empty, *views]).to_bytes() == aggregation.to_bytes()


@pytest.mark.parametrize("images", [0, 1])
def test_too_few_images_measure_nothing(views, images):
    assert Aggregation.fit(lambda: views[:images]) is None


def test_equal_images_measure_without_a_fault(views):
    aggregation = Aggregation.fit(lambda: [views[0]] * 5)
    assert np.isfinite(aggregation.describe(views[0])).all()


def test_dimensions_grow_with_the_sample_up_to_a_bound():
    def sample(images):
        rng = np.random.default_rng(0)
        return [rng.normal(size=(5, 8)).astype(np.float16) for _ in range(images)]

    assert Aggregation.fit(lambda: sample(20)).dimensions == 20 // IMAGES_PER_DIMENSION
    assert Aggregation.fit(lambda: sample(3 * DIMENSIONS)).dimensions == DIMENSIONS


def test_the_same_images_measure_the_same_bytes_which_read_back(aggregation, views):
    data = Aggregation.fit(lambda: iter(views)).to_bytes()
    assert data == aggregation.to_bytes()
    read = Aggregation.from_bytes(data)
    np.testing.assert_array_equal(read.describe(views[3]), aggregation.describe(views[3]))
