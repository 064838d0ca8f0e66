"""What a query finds by way of others, over real Dask workers and a real Postgres."""

from dataclasses import replace

import pytest
from dask.distributed import Client, LocalCluster
from graphs import MODEL, both, edges

from landmark.index.describe import describe_table
from landmark.index.link import link_table
from landmark.matching.ranking import Step
from landmark.search.comparison import Query
from landmark.search.rank import rank_alone, rank_table
from landmark.storage.database import Database
from landmark.storage.images import save_image

LINKS = 10
BRIDGE = "s3://b/1-and-2/0.jpg"


def path(place, view):
    return f"s3://b/{place}/{view}.jpg"


@pytest.fixture(scope="module")
def table(postgres, make_view, dask_client):
    """Views of places; one photograph shows the first two of them. Only read by the tests."""
    database = Database(postgres.create_database("test_neighbourhood"))
    database.migrate()
    for place in range(1, 8):
        for view in range(2):
            save_image(database, path(place, view), MODEL, "1", make_view(place, view))
    save_image(database, BRIDGE, MODEL, "1", both(make_view, 1, 2, view=5))
    describe_table(database, MODEL)
    link_table(database, dask_client, MODEL, LINKS)
    return database


def search(table, client, make_view, place=1, view=7, name="s3://b/query.jpg", **options):
    return rank_alone(
        table, client, MODEL, Query(name, make_view(place, view)), options.pop("top_k", 100),
        **options,
    )  # fmt: skip


@pytest.mark.parametrize("mode", ["exhaustive", "shortlist"])
def test_the_other_side_is_found_by_way_of_who_shows_both(table, dask_client, make_view, mode):
    result = search(table, dask_client, make_view, mode=mode, shortlist=8)
    assert result.mode == mode
    paths = [match.image_path for match in result.matches]
    assert set(paths[:3]) == {path(1, 0), path(1, 1), BRIDGE}
    assert set(paths[3:]) == {path(2, 0), path(2, 1)}
    for match in result.matches[:3]:
        assert match.via == () and match.inliers >= 12
    for match in result.matches[3:]:
        assert match.inliers < 12
        assert match.via[0] == Step(
            next(one.inliers for one in result.matches if one.image_path == BRIDGE), BRIDGE
        )
        assert match.via[-1].image_path == match.image_path
        assert min(step.inliers for step in match.via) >= 30


def test_inliers_alone_find_what_the_query_matches(table, dask_client, make_view):
    result = search(table, dask_client, make_view, ranking="inliers")
    assert {match.image_path for match in result.matches} == {path(1, 0), path(1, 1), BRIDGE}
    assert [match.inliers for match in result.matches] == sorted(
        (match.inliers for match in result.matches), reverse=True
    )
    assert result.parameters["ranking"] == "inliers"


def test_each_image_is_compared_once(table, dask_client, make_view):
    images = 7 * 2 + 1
    assert search(table, dask_client, make_view).images_compared == images
    own = search(table, dask_client, make_view, view=0, name=path(1, 0))
    assert own.images_compared == images - 1
    assert path(1, 0) not in {match.image_path for match in own.matches}
    short = search(table, dask_client, make_view, mode="shortlist", shortlist=4)
    assert 4 <= short.images_compared < images


def test_a_small_shortlist_reaches_what_it_did_not_hold(table, dask_client, make_view):
    """Two images are on it; what these agree with is compared as well."""
    result = search(table, dask_client, make_view, mode="shortlist", shortlist=2)
    assert {path(1, 0), path(1, 1), BRIDGE} <= {match.image_path for match in result.matches}


def test_the_query_does_not_vouch_for_itself(table, dask_client, make_view):
    """Its own image leads on to all that it agrees with: that would count each of them twice."""
    indexed = search(table, dask_client, make_view, view=0, name=path(1, 0))
    assert all(path(1, 0) not in step.image_path for one in indexed.matches for step in one.via)


def test_a_place_that_is_not_there_has_no_match(table, dask_client, make_view):
    result = search(table, dask_client, make_view, place=99)
    assert result.matches == [] and result.verdict == "no match"


def test_what_is_listed_by_way_of_others_is_no_verdict(table, dask_client, make_view):
    result = search(table, dask_client, make_view)
    assert result.verdict == "match"
    strict = search(table, dask_client, make_view, min_inliers=1000)
    assert {match.image_path for match in strict.matches if not match.via} == set()


def test_the_workers_number_changes_nothing(table, dask_client, make_view):
    queries = [
        Query("s3://b/query.jpg", make_view(1, 7)),
        Query("s3://b/other.jpg", make_view(2, 7)),
        Query(path(3, 0), make_view(3, 0)),
    ]
    options = {"mode": "shortlist", "shortlist": 5}

    def found(client):
        results = rank_table(table, client, MODEL, queries, 100, **options)
        return [result.to_text() for result in results]

    expected = found(dask_client)
    assert [found(dask_client), *([] for _ in ())] == [expected]
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as alone,
    ):
        assert found(alone) == expected
    each = [rank_alone(table, dask_client, MODEL, query, 100, **options) for query in queries]
    assert [result.to_text() for result in each] == expected


def test_a_table_without_a_graph_is_searched_as_ever(database, dask_client, make_view):
    for place in (1, 2):
        for view in range(2):
            save_image(database, path(place, view), MODEL, "1", make_view(place, view))
    by_graph, by_inliers = (
        search(database, dask_client, make_view, ranking=ranking)
        for ranking in ("graph", "inliers")
    )
    same = {**by_graph.parameters, "ranking": "inliers"}
    assert replace(by_graph, parameters=same) == by_inliers


@pytest.fixture
def indexed_query(database, make_view):
    for view in range(3):
        save_image(database, path(1, view), MODEL, "1", make_view(1, view))
    save_image(database, "s3://b/query.jpg", MODEL, "1", make_view(1, 7))
    return database


def test_a_query_that_is_indexed_keeps_the_pairs_it_was_found_to_match(
    indexed_query, dask_client, make_view
):
    search(indexed_query, dask_client, make_view)
    assert edges(indexed_query) == []
    result = search(indexed_query, dask_client, make_view, keep_edges=True)
    kept = {first: (inliers, putative) for first, _, inliers, putative in edges(indexed_query)}
    assert kept == {match.image_path: (match.inliers, match.putative) for match in result.matches}
    assert len(kept) == 3


def test_of_a_query_that_has_changed_since_nothing_is_kept(indexed_query, dask_client, make_view):
    save_image(indexed_query, "s3://b/query.jpg", MODEL, "2", make_view(5, 0))
    search(indexed_query, dask_client, make_view, keep_edges=True)
    assert edges(indexed_query) == []
