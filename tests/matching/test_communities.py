"""Which images show one place, by the pairs that agree."""

from itertools import combinations

import numpy as np
import pytest

from landmark.matching.communities import RESOLUTION, communities, least_inliers, weights

A, B = list(range(5)), list(range(5, 11))


def group(pairs, **said):
    pairs = np.array([*pairs], np.int64).reshape(-1, 2)
    return communities(pairs, np.ones(len(pairs)), **said)


TWO_PLACES = [*combinations(A, 2), *combinations(B, 2)]


def test_images_that_agree_are_one_place_and_single_ones_none():
    assert group(TWO_PLACES) == [A, B]
    assert group([]) == []


def test_one_false_pair_joins_no_two_places():
    assert group([*TWO_PLACES, (0, 5)]) == [A, B]


def test_a_new_image_that_a_few_of_many_agree_with_is_of_their_place():
    big = list(range(20))
    assert group([*combinations(big, 2), (0, 20), (1, 20), (2, 20)]) == [[*big, 20]]


def test_the_order_of_pairs_and_their_ends_says_nothing():
    rng = np.random.default_rng(0)
    shuffled = [tuple(rng.permutation(pair)) for pair in rng.permutation([*TWO_PLACES, (0, 5)])]
    assert group(shuffled) == [A, B]


def test_some_places_alone_are_grouped_as_among_all():
    """So that what has changed can be grouped anew without the rest."""
    rng = np.random.default_rng(1)
    pairs = {
        tuple(sorted((int(one), int(other))))
        for one in range(300)
        for other in one // 6 * 6 + rng.integers(6, size=4)
        if one != other
    }
    pairs |= {tuple(sorted(pair)) for pair in rng.integers(300, size=(30, 2)).tolist()}
    pairs = sorted(pair for pair in pairs if pair[0] != pair[1])
    places = group(pairs)
    assert len(places) >= 40
    some = set().union(*places[:20])
    assert group([pair for pair in pairs if some.issuperset(pair)]) == places[:20]


def test_what_people_say_outweighs_what_was_measured():
    assert group(TWO_PLACES, together=[(1, 7)]) == [A + B]
    assert group(TWO_PLACES, together=[(11, 12)]) == [A, B, [11, 12]]
    assert group(combinations(A, 2), apart=[(1, 3)]) in ([[0, 1, 2, 4]], [[0, 2, 3, 4]])
    assert group([(0, 1)], apart=[(1, 0)]) == []


def test_what_is_apart_is_cut_where_it_costs_least():
    joined = [*TWO_PLACES, (0, 5)]
    assert group(joined, together=[(1, 7)], apart=[(3, 9)]) != [A + B]
    assert group(joined, together=[(0, 5)], apart=[(3, 9), (1, 8)]) in (
        [[0, *B], [1, 2, 3, 4]],
        [[*A, 5], B[1:]],
    )
    parts = group(joined, together=[(0, 5)], apart=[(0, 5)])  # whoever contradicts themselves
    assert parts == [A, B]


def test_a_weight_is_half_where_it_is_said_to_be_and_joins_nothing_far_below():
    assert weights(np.array([24]), 24) == pytest.approx(0.5)
    assert (np.diff(weights(np.arange(60), 24)) > 0).all()
    least = least_inliers(24)
    assert weights(np.array([least - 1]), 24) < RESOLUTION <= weights(np.array([least]), 24)
    for inliers, places in ((least - 1, []), (least, [[0, 1]])):
        assert communities(np.array([[0, 1]]), weights(np.array([inliers]), 24)) == places
