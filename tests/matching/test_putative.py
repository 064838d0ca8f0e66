"""Descriptors -> putative matches."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from landmark.matching import putative as matching
from landmark.matching.putative import QueryDescriptors, whole_numbers


def putative_matches(query, image, max_distance):
    rows = whole_numbers(image)
    return matching.putative_matches(QueryDescriptors.of(query), rows, max_distance)


@pytest.fixture(params=[True, False], ids=["int8 tiles", "float32"], autouse=True)
def products(request, monkeypatch):
    """Each way of multiplying, where the processor has it."""
    if request.param and not matching.INT8_TILES:
        pytest.skip("this processor has no matrix tiles")
    monkeypatch.setattr(matching, "INT8_TILES", request.param)


def unit(values):
    values = np.asarray(values, np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def brute_force(query, image, max_distance):
    """The definition, in plain Python: mutual nearest neighbours below a distance."""
    query, image = (whole_numbers(values) / matching.LEVELS for values in (query, image))
    distances = np.sqrt(np.maximum(0, 2 - 2 * (query @ image.T).round(9)))
    pairs = []
    for i in range(len(query)):
        j = int(np.argmin(distances[i]))
        if int(np.argmin(distances[:, j])) == i and distances[i, j] < max_distance:
            pairs.append((i, j))
    return pairs


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_pairs_are_the_mutual_nearest_neighbours_of_brute_force(n, m, seed):
    rng = np.random.default_rng(seed)
    query, image = unit(rng.normal(size=(n, 8))), unit(rng.normal(size=(m, 8)))
    assert putative_matches(query, image, 0.9).tolist() == [
        list(pair) for pair in brute_force(query, image, 0.9)
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
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


def test_what_is_not_a_number_matches_nothing():
    query = unit(np.random.default_rng(0).normal(size=(5, 8)))
    image = query.copy()
    image[2] = np.nan
    assert putative_matches(query, image, 0.8)[:, 0].tolist() == [0, 1, 3, 4]


def test_blocks_of_rows_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    query, image = unit(rng.normal(size=(50, 8))), unit(rng.normal(size=(70, 8)))
    expected = putative_matches(query, image, 1.2).tolist()
    for rows in (1, 7, 70):
        monkeypatch.setattr(matching, "ROWS_PER_BLOCK", rows)
        assert putative_matches(query, image, 1.2).tolist() == expected


def test_the_order_of_the_features_does_not_matter():
    rng = np.random.default_rng(2)
    query, image = unit(rng.normal(size=(50, 16))), unit(rng.normal(size=(60, 16)))
    shuffled = rng.permutation(60)
    plain = putative_matches(query, image, 1.2)
    pairs = putative_matches(query, image[shuffled], 1.2)
    assert [[i, shuffled[j]] for i, j in pairs] == plain.tolist()


def test_the_same_bits_whatever_the_threads_and_the_way_of_multiplying():
    """All similarities, not only who is nearest: as few bits off would show up somewhere."""
    script = (
        "import hashlib, numpy as np; from landmark.matching import putative as m;"
        f"m.INT8_TILES = {matching.INT8_TILES};"
        "rng = np.random.default_rng(3); a = rng.normal(size=(2, 1003, 64));"
        "a /= np.linalg.norm(a, axis=2, keepdims=True); q = m.QueryDescriptors.of(a[0]);"
        "p = [x.astype('<i4') for _, x in m._products(q, m.whole_numbers(a[1]))];"
        "print(hashlib.sha256(np.concatenate(p).tobytes()).hexdigest())"
    )
    rng = np.random.default_rng(3)
    values = rng.normal(size=(2, 1003, 64))
    values /= np.linalg.norm(values, axis=2, keepdims=True)
    rows, columns = (whole_numbers(half).astype("<i4") for half in values)
    expected = hashlib.sha256((columns @ rows.T).tobytes()).hexdigest()
    for threads in ("1", "2"):
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "PYTHONPATH": "plugins"}
        environment["OMP_NUM_THREADS"] = threads
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True
        )
        assert done.stdout.strip() == expected, done.stderr
