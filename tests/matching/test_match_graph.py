"""Support and chains in small graphs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmark.matching.match_graph import (
    EDGE_INLIERS,
    chains,
    scores,
    support,
    sureness,
)
from landmark.matching.ranking import SAID_INLIERS


def graph(*edges):
    """Edges (image, image, inliers) as arrays."""
    table = np.array(edges, np.int64).reshape(-1, 3)
    return table[:, :2], table[:, 2]


def direct(n, **inliers):
    found = np.zeros(n, np.int64)
    for image, count in inliers.items():
        found[int(image[1:])] = count
    return found


def test_a_pair_is_as_sure_as_its_inliers():
    sure = sureness(np.array([0, 12, 18, 24, 100]))
    assert sure[0] < 0.001 and sure[1] < 0.05 and sure[2] == 0.5 and sure[3] > 0.95
    assert (np.diff(sure) > 0).all()


def test_what_people_say_is_as_sure_as_can_be():
    assert sureness(np.array([SAID_INLIERS])).tolist() == [1]
    edges, inliers = graph((0, 2, 500), (1, 2, SAID_INLIERS))
    weakest, previous = chains(edges, inliers, direct(3, i0=90, i1=SAID_INLIERS), 3)
    assert previous.tolist() == [2, -1, 1] and weakest.tolist() == [500, SAID_INLIERS, SAID_INLIERS]
    found = support(edges, inliers, direct(3, i0=90, i1=SAID_INLIERS))
    assert found.max() == 1 and np.isfinite(scores(direct(3, i1=SAID_INLIERS), found)).all()


def test_what_the_query_matches_vouches_for_what_it_does_not():
    edges, inliers = graph((0, 1, 60), (1, 2, 60), (3, 4, 60))
    found = support(edges, inliers, direct(5, i0=40))
    assert found.max() == 1 and found[1] > found[2] > 0
    assert not found[3] and not found[4]


def test_who_matches_nothing_gets_no_support():
    edges, inliers = graph((0, 1, 60))
    assert not support(edges, inliers, direct(2, i0=EDGE_INLIERS - 1)).any()
    nothing = np.empty((0, 2), np.int64), np.empty(0, np.int64)
    assert support(*nothing, direct(3, i1=50)).tolist() == [0, 1, 0]
    assert support(*nothing, direct(0)).shape == (0,)


def place(first, images, inliers=50):
    """Every two images of a place match."""
    ids = range(first, first + images)
    return [(a, b, inliers) for a in ids for b in ids if a < b]


@pytest.mark.parametrize("false", [EDGE_INLIERS, 18, 24])
def test_one_false_edge_drags_no_other_place_in(false):
    """The query's place comes first; of the other place hardly anything is vouched for."""
    edges, inliers = graph(*place(0, 6), *place(6, 6), (5, 6, false))
    query = direct(12, i0=30, i1=25)
    vouched = support(edges, inliers, query)
    assert vouched[:6].min() > 10 * vouched[7:].max()
    ranked = np.argsort(-scores(query, vouched), kind="stable")
    assert set(ranked[:6]) == set(range(6))


def test_a_hub_passes_little_on():
    """An image that agrees with everything, as by a watermark, vouches for nothing much."""
    hub = [(0, other, 40) for other in range(8, 60)]
    edges, inliers = graph(*place(1, 6), (0, 1, 40), *hub)
    vouched = support(edges, inliers, direct(60, i1=40))
    assert vouched[1:7].min() > 5 * vouched[8:].max()


def test_inliers_and_support_count_together():
    vouched = np.array([1.0, 0.0, 0.5])
    assert (np.argsort(-scores(np.array([40, 40, 0]), vouched)) == [0, 2, 1]).all()
    # Chance inliers do not outrank what is vouched for.
    assert scores(np.array([0]), np.array([0.25])) > scores(np.array([17]), np.array([0.0]))


def test_the_strongest_chain_is_taken():
    edges, inliers = graph((0, 1, 20), (0, 2, 50), (2, 1, 40), (1, 3, 60))
    weakest, previous = chains(edges, inliers, direct(5, i0=45), 3)
    assert weakest.tolist() == [45, 40, 45, 40, 0]
    assert previous.tolist() == [-1, 2, 0, 1, -1]


def test_a_direct_match_that_is_stronger_needs_no_chain():
    edges, inliers = graph((0, 1, 30))
    weakest, previous = chains(edges, inliers, direct(2, i0=50, i1=35), 3)
    assert weakest.tolist() == [50, 35] and previous.tolist() == [-1, -1]


def test_chains_have_so_many_steps_and_no_more():
    edges, inliers = graph(*[(image, image + 1, 50) for image in range(6)])
    weakest, _ = chains(edges, inliers, direct(7, i0=50), 3)
    assert (weakest > 0).tolist() == [True] * 4 + [False] * 3


random_graphs = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(EDGE_INLIERS, 90)).filter(
        lambda edge: edge[0] < edge[1]
    ),
    unique_by=lambda edge: edge[:2],
)


@given(random_graphs, st.lists(st.integers(0, 60), min_size=8, max_size=8))
def test_support_stays_where_chains_lead(edges, inliers):
    query = np.array(inliers)
    vouched = support(*graph(*edges), query)
    weakest, previous = chains(*graph(*edges), query, 8)
    assert ((vouched >= 0) & (vouched <= 1)).all()
    assert ((vouched > 0) <= (weakest > 0)).all()
    for image in np.flatnonzero(previous >= 0):  # each chain ends at the query
        seen = set()
        while image >= 0:
            assert image not in seen
            seen.add(image)
            image = previous[image]
