"""Putative matches -> inliers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import ransac
from skimage.transform import AffineTransform

from landmark.verification import (
    VerificationParameters,
    affine_of_samples,
    minimal_samples,
    plausible,
    verify,
)

SIDE = 800


def pair_of_views(inliers, outliers, seed, noise_px=1.0):
    """Matched (y, x) of two views of a place: the first `inliers` rows agree."""
    rng = np.random.default_rng(seed)
    query = rng.uniform(0, SIDE, (inliers + outliers, 2)).astype(np.float32)
    image = rng.uniform(0, SIDE, (inliers + outliers, 2)).astype(np.float32)
    linear = np.array([[0.9, 0.25], [-0.15, 1.1]])
    image[:inliers] = query[:inliers] @ linear.T + [30, -20]
    image[:inliers] += rng.normal(0, noise_px, (inliers, 2))
    return query, image


def test_the_true_inliers_are_found_among_outliers():
    query, image = pair_of_views(inliers=30, outliers=60, seed=1)
    found = verify(query, image, SIDE, SIDE).inliers
    assert set(range(30)) <= set(found.tolist())
    assert len(found) <= 33


def test_the_transform_maps_the_inliers_onto_their_matches():
    query, image = pair_of_views(inliers=40, outliers=20, seed=2)
    result = verify(query, image, SIDE, SIDE)
    mapped = query[:40] @ result.transform[:, :2].T + result.transform[:, 2]
    assert np.abs(mapped - image[:40]).max() < 8


@settings(deadline=None, max_examples=30)
@given(st.integers(8, 40), st.integers(0, 60), st.integers(0, 10_000))
def test_at_least_as_many_true_inliers_as_scikit_image(inliers, outliers, seed):
    query, image = pair_of_views(inliers, outliers, seed)
    ours = verify(query, image, SIDE, SIDE).inliers
    _, theirs = ransac(
        (query, image),
        AffineTransform,
        min_samples=3,
        residual_threshold=0.02 * SIDE,
        max_trials=1000,
        rng=0,
    )
    assert (ours < inliers).sum() >= np.flatnonzero(theirs[:inliers]).size - 1


def test_resolution_of_either_image_does_not_matter():
    query, image = pair_of_views(inliers=25, outliers=50, seed=3)
    at_once = verify(query, image, SIDE, SIDE).inliers
    enlarged = verify(query * 4, image / 2, SIDE * 4, SIDE // 2).inliers
    assert at_once.tolist() == enlarged.tolist()


def test_the_same_matches_give_the_same_inliers():
    query, image = pair_of_views(inliers=15, outliers=100, seed=4)
    first, second = (verify(query, image, SIDE, SIDE) for _ in range(2))
    assert first.inliers.tolist() == second.inliers.tolist()
    assert first.transform.tobytes() == second.transform.tobytes()


@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_matches_than_a_sample_give_nothing(n):
    result = verify(np.zeros((n, 2), np.float32), np.zeros((n, 2), np.float32), SIDE, SIDE)
    assert len(result.inliers) == 0 and result.transform is None


def collinear(rng):
    return np.column_stack([np.arange(50.0), 2 * np.arange(50.0)]), rng.uniform(0, SIDE, (50, 2))


def one_point(rng):
    return np.full((50, 2), 7.0), np.full((50, 2), 9.0)


def all_onto_one(rng):
    return rng.uniform(0, SIDE, (50, 2)), np.full((50, 2), 400.0) + rng.normal(0, 0.5, (50, 2))


def mirrored(rng):
    query = rng.uniform(0, SIDE, (50, 2))
    return query, query * [1, -1] + [0, SIDE]


def squeezed_to_a_line(rng):
    query = rng.uniform(0, SIDE, (50, 2))
    return query, query * [1, 0.02] + [0, 300]


@pytest.mark.parametrize(
    "degenerate", [collinear, one_point, all_onto_one, mirrored, squeezed_to_a_line]
)
def test_what_no_two_photographs_show_does_not_verify(degenerate):
    query, image = degenerate(np.random.default_rng(6))
    found = verify(query.astype(np.float32), image.astype(np.float32), SIDE, SIDE).inliers
    assert len(found) < 12


def test_chance_stays_below_the_floor():
    """Unrelated matches: about what DESIGN measured, 7 of 100."""
    rng = np.random.default_rng(7)
    counts = [
        len(
            verify(
                rng.uniform(0, SIDE, (100, 2)).astype(np.float32),
                rng.uniform(0, SIDE, (100, 2)).astype(np.float32),
                SIDE,
                SIDE,
            ).inliers
        )
        for _ in range(50)
    ]
    assert max(counts) <= 9


@given(st.integers(3, 60), st.integers(1, 300), st.integers(0, 1000))
def test_samples_are_three_different_matches(n, trials, seed):
    samples = minimal_samples(n, trials, seed)
    assert samples.min() >= 0 and samples.max() < n
    assert (np.diff(np.sort(samples, axis=1), axis=1) > 0).all()
    assert 1 <= len(samples) <= trials


def test_every_sample_is_taken_where_there_are_few():
    assert minimal_samples(5, 1000, 0).tolist() == [
        [i, j, k] for i in range(5) for j in range(i + 1, 5) for k in range(j + 1, 5)
    ]


def test_three_pairs_define_the_affine():
    rng = np.random.default_rng(8)
    transform = rng.normal(size=(2, 3))
    source = rng.normal(size=(10, 3, 2))
    target = source @ transform[:, :2].T + transform[:, 2]
    found = affine_of_samples(source, target)
    np.testing.assert_allclose(found, np.broadcast_to(transform, (10, 2, 3)), atol=1e-8)


@pytest.mark.parametrize(
    ("linear", "possible"),
    [
        ([[1, 0], [0, 1]], True),
        ([[0, -1], [1, 0]], True),  # turned by a right angle
        ([[5.9, 0], [0, 5.9]], True),
        ([[6.1, 0], [0, 6.1]], False),
        ([[1 / 6.1, 0], [0, 1 / 6.1]], False),
        ([[3.9, 0], [0, 1]], True),
        ([[4.1, 0], [0, 1]], False),
        ([[-1, 0], [0, 1]], False),
        ([[0, 0], [0, 0]], False),
        ([[np.nan, 0], [0, 1]], False),
    ],
)
def test_plausible_transformations(linear, possible):
    transform = np.column_stack([np.array(linear, float), [0, 0]])[None]
    assert plausible(transform, VerificationParameters()).tolist() == [possible]
