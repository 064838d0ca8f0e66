"""Descriptors -> putative matches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmark.matching import putative_matches


def unit(values):
    values = np.asarray(values, np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def brute_force(query, image, max_distance):
    """The definition, in plain Python: mutual nearest neighbours below a distance."""
    distances = np.linalg.norm(query[:, None] - image[None], axis=2)
    pairs = []
    for i in range(len(query)):
        j = int(np.argmin(distances[i]))
        if int(np.argmin(distances[:, j])) == i and distances[i, j] < max_distance:
            pairs.append((i, j))
    return pairs


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_pairs_are_the_mutual_nearest_neighbours_of_brute_force(n, m, seed):
    rng = np.random.default_rng(seed)
    query, image = unit(rng.normal(size=(n, 8))), unit(rng.normal(size=(m, 8)))
    assert putative_matches(query, image, 0.9).tolist() == [
        list(pair) for pair in brute_force(query, image, 0.9)
    ]


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 2**32 - 1))
def test_pairs_are_one_to_one_even_among_equal_descriptors(n, m, seed):
    rng = np.random.default_rng(seed)
    choices = unit(rng.normal(size=(3, 4)))
    query, image = choices[rng.integers(0, 3, n)], choices[rng.integers(0, 3, m)]
    pairs = putative_matches(query, image, 0.5)
    assert len(set(pairs[:, 0])) == len(set(pairs[:, 1])) == len(pairs)


def test_swapping_the_images_swaps_the_pairs():
    rng = np.random.default_rng(5)
    query, image = unit(rng.normal(size=(40, 16))), unit(rng.normal(size=(50, 16)))
    forward = {tuple(pair) for pair in putative_matches(query, image, 1.2)}
    backward = {(j, i) for i, j in putative_matches(image, query, 1.2)}
    assert forward == backward and forward


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 3), (3, 0)])
def test_no_features_give_no_pairs(n, m):
    pairs = putative_matches(np.zeros((n, 4)), np.zeros((m, 4)), 0.8)
    assert pairs.shape == (0, 2)


def test_a_distance_at_the_limit_is_dropped():
    query = unit([[1.0, 0.0]])
    image = unit([[0.0, 1.0]])  # distance: the square root of 2
    assert len(putative_matches(query, image, 1.42)) == 1
    assert len(putative_matches(query, image, 1.41)) == 0


def test_descriptors_of_different_models_are_refused():
    with pytest.raises(ValueError, match="40 and 64 dimensions"):
        putative_matches(np.zeros((1, 40)), np.zeros((1, 64)), 0.8)
