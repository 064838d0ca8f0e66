"""Putative matches -> inliers."""

import numpy as np
import pytest
from skimage.measure import ransac
from skimage.transform import AffineTransform

from landmark.matching.verification import (
    Correspondences,
    VerificationParameters,
    affine_fits,
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


def upright_views(seed):
    """Two upright photographs' matches: turned to 15 degrees, zoomed to 1.5, sheared, squeezed.

    Returns the locations (y, x), the zoom that the features' scales tell, and how many of them,
    the first, are true.
    """
    rng = np.random.default_rng(seed)
    true, false = int(rng.integers(12, 60)), int(rng.integers(0, 150))
    query, image = (rng.uniform([0, 0], [600, 800], (true + false, 2)) for _ in range(2))
    angle, zoom = np.radians(rng.uniform(-15, 15)), np.exp(rng.uniform(-0.4, 0.4))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    slant = np.array([[1, rng.uniform(-0.25, 0.25)], [0, np.exp(rng.uniform(-0.2, 0.2))]])
    linear = zoom * turn @ slant
    image[:true] = query[:true] @ linear.T + rng.uniform(-60, 60, 2) + rng.normal(0, 2, (true, 2))
    zooms = np.exp(rng.normal(0, 0.6, true + false))
    zooms[:true] = np.sqrt(np.linalg.det(linear)) * np.exp(rng.normal(0, 0.2, true))
    return query.astype(np.float32), image.astype(np.float32), zooms, true


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


@pytest.mark.parametrize("knows_scales", [True, False])
def test_at_least_as_many_true_inliers_as_scikit_image_with_many_trials(knows_scales):
    ours, theirs, behind = 0, 0, []
    for seed in range(20):
        query, image, zooms, true = upright_views(seed)
        found = verify(query, image, SIDE, SIDE, zooms if knows_scales else 1.0).inliers
        _, agree = ransac(
            (query, image),
            AffineTransform,
            min_samples=3,
            residual_threshold=VerificationParameters().residual_threshold * SIDE,
            max_trials=3000,
            rng=0,
        )
        ours += (found < true).sum()
        theirs += agree[:true].sum()
        if (found < true).sum() < agree[:true].sum():
            behind.append(seed)
    assert ours >= theirs and not behind


def test_resolution_of_either_image_does_not_matter():
    query, image = pair_of_views(inliers=25, outliers=50, seed=3)
    at_once = verify(query, image, SIDE, SIDE).inliers
    enlarged = verify(query * 4, image / 2, SIDE * 4, SIDE // 2, 1 / 8).inliers
    assert at_once.tolist() == enlarged.tolist()


def test_the_same_matches_give_the_same_inliers():
    query, image = pair_of_views(inliers=15, outliers=100, seed=4)
    first, second = (verify(query, image, SIDE, SIDE) for _ in range(2))
    assert first.inliers.tolist() == second.inliers.tolist()
    assert first.transform.tobytes() == second.transform.tobytes()


@pytest.mark.parametrize("n", [0, 1, 2, 4])
def test_fewer_matches_than_chance_gives_are_nothing(n):
    result = verify(np.zeros((n, 2), np.float32), np.zeros((n, 2), np.float32), SIDE, SIDE)
    assert len(result.inliers) == 0 and result.transform is None


def collinear(rng):
    return np.column_stack([np.arange(50.0), 2 * np.arange(50.0)]), rng.uniform(0, SIDE, (50, 2))


def one_line_onto_another(rng):
    along = rng.uniform(0, SIDE, 50)
    return np.column_stack([along, along]), np.column_stack([along, along])


def one_point(rng):
    return np.full((50, 2), 7.0), np.full((50, 2), 9.0)


def a_thousand_onto_one(rng):
    return rng.uniform(0, SIDE, (1000, 2)), np.full((1000, 2), 400.0)


def all_onto_nearly_one(rng):
    return rng.uniform(0, SIDE, (50, 2)), np.full((50, 2), 400.0) + rng.normal(0, 0.5, (50, 2))


def mirrored(rng):
    query = rng.uniform(0, SIDE, (50, 2))
    return query, query * [1, -1] + [0, SIDE]


def squeezed_to_a_line(rng):
    query = rng.uniform(0, SIDE, (50, 2))
    return query, query * [1, 0.02] + [0, 300]


def a_facade_of_equal_windows(rng):
    """Ten by ten windows that look alike, each matched with any of another such facade."""
    windows = np.stack(np.mgrid[:10, :10], axis=-1).reshape(-1, 2) * 60.0 + 100
    return windows, rng.permutation(windows)


@pytest.mark.parametrize(
    "degenerate",
    [
        collinear,
        one_line_onto_another,
        one_point,
        a_thousand_onto_one,
        all_onto_nearly_one,
        mirrored,
        squeezed_to_a_line,
        a_facade_of_equal_windows,
    ],
)
def test_what_does_not_show_one_place_does_not_verify(degenerate):
    query, image = degenerate(np.random.default_rng(6))
    found = verify(query.astype(np.float32), image.astype(np.float32), SIDE, SIDE).inliers
    assert len(found) < 10


def test_a_facade_of_equal_windows_verifies_against_its_own_view():
    windows = np.stack(np.mgrid[:10, :10], axis=-1).reshape(-1, 2) * 60.0 + 100
    rng = np.random.default_rng(9)
    view = windows * [1.1, 0.9] + 20
    confused = rng.random(100) < 0.4  # these are matched with any other window
    view[confused] = view[rng.permutation(np.flatnonzero(confused))]
    found = verify(windows, view, SIDE, SIDE).inliers
    assert set(np.flatnonzero(~confused)) <= set(found.tolist())


def test_a_location_or_scale_that_is_not_a_number_is_no_inlier():
    query, image = pair_of_views(inliers=30, outliers=10, seed=1)
    zoom = np.ones(40)
    query[3, 0], image[4, 1], zoom[5] = np.nan, np.inf, np.nan
    found = verify(query, image, SIDE, SIDE, zoom).inliers
    assert {3, 4, 5}.isdisjoint(found.tolist()) and len(found) >= 27


def test_features_of_another_size_do_not_agree():
    query, image = pair_of_views(inliers=40, outliers=0, seed=2)
    zoom = np.ones(40)
    zoom[::4] = 5.0  # a window matched with a window frame's corner
    found = verify(query, image, SIDE, SIDE, zoom).inliers
    assert found.tolist() == [index for index in range(40) if index % 4]


def test_chance_stays_below_the_floor():
    """Unrelated matches: DESIGN measured 7 of 100 by chance."""
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


def test_the_fit_is_that_of_least_squares():
    rng = np.random.default_rng(8)
    source, target = rng.integers(0, 8192, (2, 2, 30)).astype(float)
    members = rng.random((10, 30)) < 0.5
    fits = affine_fits(members, Correspondences(source, target, np.ones(30)))
    for fit, member in zip(fits, members, strict=True):
        homogeneous = np.column_stack([source.T[member], np.ones(member.sum())])
        expected = np.linalg.lstsq(homogeneous, target.T[member], rcond=None)[0].T
        np.testing.assert_allclose(fit, expected, rtol=1e-6, atol=1e-5)


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
