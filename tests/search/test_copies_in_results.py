"""Copies of one photograph are one match, over real Dask workers and a real Postgres."""

import json
from dataclasses import replace

import pytest
from graphs import MODEL

from landmark.index.describe import describe_table
from landmark.index.link import link_table
from landmark.matching.ranking import Match
from landmark.search.comparison import Query
from landmark.search.copies import grouped, ungrouped
from landmark.search.rank import rank_alone
from landmark.storage.database import Database
from landmark.storage.edges import copies_among
from landmark.storage.images import save_image

ORIGINAL, OTHER = "s3://b/1/original.jpg", "s3://b/1/other.jpg"
COPIES = [f"s3://b/1/copy-{number}.jpg" for number in range(3)]


def resized(features, zoom):
    return replace(
        features,
        locations=zoom * features.locations,
        scales=features.scales / zoom,
        width=round(zoom * features.width),
        height=round(zoom * features.height),
    )


@pytest.fixture(scope="module")
def table(postgres, make_view, dask_client):
    """Two views of a place, and copies of one of them; another place. Only read by the tests."""
    database = Database(postgres.create_database("test_copies_in_results"))
    database.migrate()
    original = make_view(1, 0)
    save_image(database, ORIGINAL, MODEL, "1", original)
    save_image(database, OTHER, MODEL, "1", make_view(1, 1))
    for path, zoom in zip(COPIES, (1, 0.5, 1.25), strict=True):
        save_image(database, path, MODEL, "1", resized(original, zoom))
    for place in range(2, 6):
        save_image(database, f"s3://b/{place}/0.jpg", MODEL, "1", make_view(place))
    describe_table(database, MODEL)
    link_table(database, dask_client, MODEL, 10)
    return database


@pytest.mark.parametrize("mode", ["exhaustive", "shortlist"])
@pytest.mark.parametrize("ranking", ["graph", "inliers"])
def test_four_copies_are_one_match(table, dask_client, make_view, mode, ranking):
    query = Query("s3://b/q.jpg", make_view(1, 7))
    options = {"mode": mode, "shortlist": 8, "ranking": ranking}
    result = rank_alone(table, dask_client, MODEL, query, 100, **options)
    assert len(result.matches) == 2 and result.verdict == "match"
    (group,) = [match for match in result.matches if match.copies]
    assert {group.image_path, *(copy.image_path for copy in group.copies)} == {ORIGINAL, *COPIES}
    assert all(copy.inliers >= 12 and copy.expected is not None for copy in group.copies)
    # Each of them can still be found.
    text = result.to_text().decode()
    assert all(path in text for path in (ORIGINAL, OTHER, *COPIES))
    ranks = [line.split("\t")[0] for line in text.splitlines() if not line.startswith("#")]
    assert sorted(ranks) == sorted(["1", "1", "1", "1", "2"]) or ranks.count("2") == 4
    assert json.loads(result.to_json())["matches"][0].keys() >= {"copies", "overlay", "is_copy"}
    # What counts is the ranks.
    (first,) = rank_alone(table, dask_client, MODEL, query, 1, **options).matches
    assert first == result.matches[0]


def test_a_copy_of_the_query_says_so(table, dask_client, make_view):
    query = Query("s3://b/q.jpg", resized(make_view(1, 0), 0.8))
    result = rank_alone(table, dask_client, MODEL, query, 100)
    assert {one.image_path for one in ungrouped(result.matches) if one.is_copy} == {
        ORIGINAL,
        *COPIES,
    }
    assert len(result.matches) == 2


def test_only_what_was_linked_is_known_to_be_a_copy(database, make_view, dask_client):
    for path in (ORIGINAL, *COPIES):
        save_image(database, path, MODEL, "1", make_view(1))
    query = Query("s3://b/q.jpg", make_view(1, 7))
    assert copies_among(database, MODEL, [ORIGINAL, *COPIES]) == []
    assert len(rank_alone(database, dask_client, MODEL, query, 100).matches) == 4
    describe_table(database, MODEL)
    link_table(database, dask_client, MODEL, 10)
    assert len(copies_among(database, MODEL, [ORIGINAL, *COPIES])) == 6
    assert copies_among(database, "another model", [ORIGINAL, *COPIES]) == []
    assert len(rank_alone(database, dask_client, MODEL, query, 100).matches) == 1


def test_a_copy_of_a_copy_is_not_one_of_the_first(monkeypatch):
    """As of a camera that stands: what changes little by little is another picture in the end."""
    pairs = [("a", "b"), ("b", "c"), ("c", "d"), ("e", "a")]
    monkeypatch.setattr("landmark.search.copies.copies_among", lambda *_: pairs)
    matches = [Match(30 - n, 60, path) for n, path in enumerate("abxcde")]
    groups = grouped(None, MODEL, matches)
    found = [(one.image_path, [copy.image_path for copy in one.copies]) for one in groups]
    assert found == [("a", ["b", "e"]), ("x", []), ("c", ["d"])]
    assert [one.image_path for one in ungrouped(groups)] == ["a", "b", "e", "x", "c", "d"]
