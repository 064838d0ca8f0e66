"""Searches that respect what people say, over real Dask workers and a real Postgres."""

import pytest
from graphs import MODEL, both, edges

from landmark.index.describe import describe_table
from landmark.index.link import link_table
from landmark.matching.ranking import Match, Step
from landmark.search.comparison import Query
from landmark.search.neighbourhood import Neighbourhood, rank_by_graph
from landmark.search.rank import rank_alone
from landmark.storage.corrections import latest_corrections, say, take_back
from landmark.storage.edges import Edge
from landmark.storage.images import save_image

LINKS, PLACES = 10, 6
BRIDGE = "s3://b/1-and-2/0.jpg"
QUERY = "s3://b/uploads/0/query.jpg"


def path(place, view):
    return f"s3://b/{place}/{view}.jpg"


@pytest.fixture
def table(database, make_view, dask_client):
    """Views of places; one photograph shows the first two of them."""
    for place in range(1, PLACES + 1):
        for view in range(2):
            save_image(database, path(place, view), MODEL, "1", make_view(place, view))
    save_image(database, BRIDGE, MODEL, "1", both(make_view, 1, 2, view=5))
    describe_table(database, MODEL)
    link_table(database, dask_client, MODEL, LINKS)
    return database


@pytest.fixture
def search(table, dask_client, make_view):
    """Searches for place 1, by an upload that is not indexed unless another path is given."""

    def ask(name=QUERY, view=7, **options):
        query = Query(name, make_view(1, view))
        return rank_alone(table, dask_client, MODEL, query, options.pop("top_k", 100), **options)

    return ask


def paths(result):
    return [match.image_path for match in result.matches]


EVERY_WAY = [
    {"ranking": ranking, **mode}
    for ranking in ("graph", "inliers")
    for mode in ({}, {"mode": "shortlist", "shortlist": 4})
]


@pytest.mark.parametrize("way", EVERY_WAY, ids=lambda way: "-".join(map(str, way.values())))
def test_another_place_is_not_listed_and_the_same_place_is(table, search, way):
    before = search(**way)
    assert path(1, 0) in paths(before)
    say(table, QUERY, path(1, 0), False, "ada")
    say(table, path(5, 1), QUERY, True, "ada")  # which nothing measured would find
    result = search(**way)
    assert path(1, 0) not in paths(result) and path(1, 1) in paths(result)
    first = result.matches[0]
    assert first.image_path == path(5, 1) and first.said_same and first.via == ()
    assert first.inliers < 12 and first.putative > 0
    assert not any(match.said_same for match in result.matches[1:])
    assert "\tthe same place\t" in result.to_text().decode()
    for correction in latest_corrections(table, 10):
        take_back(table, correction.number, "bob")
    assert search(**way).to_text() == before.to_text()


def test_what_is_left_out_takes_no_place(table, search):
    (best,) = paths(search(top_k=1))
    say(table, QUERY, best, False, "ada")
    (next_best,) = paths(search(top_k=1))
    assert next_best != best
    images = PLACES * 2 + 1
    assert search().images_compared == images - 1


def test_the_word_of_people_is_the_verdict(table, search, dask_client, make_view):
    def ask():
        return rank_alone(table, dask_client, MODEL, Query(QUERY, make_view(99, 0)), 100)

    assert (ask().verdict, ask().matches) == ("no match", [])
    say(table, QUERY, path(3, 0), True, "ada")
    result = ask()
    assert result.verdict == "match" and paths(result)[0] == path(3, 0)
    # And what that one matches is found by way of it.
    assert result.matches[0].said_same and result.matches[0].via == ()
    (other,) = result.matches[1:]
    assert other.image_path == path(3, 1)
    assert other.via[0] == Step(result.matches[0].inliers, path(3, 0), True)
    assert other.via[1].image_path == path(3, 1) and not other.via[1].said_same


@pytest.mark.parametrize("mode", ["exhaustive", "shortlist"])
def test_an_indexed_query_is_corrected_from_either_end(table, search, mode):
    options = {"mode": mode, "shortlist": 4}
    say(table, path(1, 0), path(1, 1), False, "ada")
    one = search(path(1, 0), view=0, **options)
    other = search(path(1, 1), view=1, **options)
    assert path(1, 1) not in paths(one) and path(1, 0) not in paths(other)
    assert BRIDGE in paths(one) and BRIDGE in paths(other)


def test_no_chain_leads_to_what_is_another_place_nor_on_from_there(table, search):
    """Place 2 is reached by way of the photograph that shows both."""
    assert {path(2, 0), path(2, 1)} <= set(paths(search()))
    say(table, QUERY, path(2, 0), False, "ada")
    assert path(2, 0) not in paths(search()) and path(2, 1) in paths(search())
    say(table, QUERY, BRIDGE, False, "ada")
    assert set(paths(search())) == {path(1, 0), path(1, 1)}


def test_a_pair_that_is_cut_leads_nowhere(table, search):
    for view in range(2):
        say(table, BRIDGE, path(2, view), False, "ada")
    assert set(paths(search())) == {path(1, 0), path(1, 1), BRIDGE}


def test_a_chain_whose_ends_are_two_places_is_none(table, search):
    """Nobody has spoken of this query, but of a photograph that it matches."""
    near = next(match.via[0].image_path for match in search().matches if match.via)
    assert near == BRIDGE
    say(table, path(1, 0), path(2, 0), False, "ada")
    assert path(2, 0) in paths(search())  # by way of the bridge alone, of which nobody has spoken
    assert path(2, 0) not in paths(search(path(1, 0), view=0))


def test_a_said_pair_leads_on_though_nothing_else_vouches(table, search):
    say(table, path(1, 1), path(4, 0), True, "ada")
    found = {match.image_path: match for match in search().matches}
    last = found[path(4, 0)].via[-1]
    assert found[path(4, 0)].via[0].image_path == path(1, 1)
    assert last.image_path == path(4, 0) and last.said_same and last.inliers < 10
    assert found[path(4, 0)].inliers < 12 and not found[path(4, 0)].said_same


def test_of_an_image_that_is_not_indexed_nothing_is_listed(table, search):
    expected = search().to_text()
    say(table, QUERY, "s3://b/gone.jpg", True, "ada")
    assert search().to_text() == expected


def test_what_was_measured_is_kept_as_measured(table, search, make_view):
    save_image(table, QUERY, MODEL, "1", make_view(1, 7))
    say(table, QUERY, path(5, 1), True, "ada")
    say(table, QUERY, path(1, 0), False, "ada")
    result = search(keep_edges=True)
    kept = {first: inliers for first, second, inliers, _ in edges(table) if second == QUERY}
    assert kept == {
        match.image_path: match.inliers
        for match in result.matches
        if match.inliers >= 10 and not match.said_same
    }
    assert path(1, 0) not in kept and len(kept) >= 2


# ---- a graph made by hand -----------------------------------------------------------------------


def ranked(edges, direct, apart=frozenset(), min_inliers=12):
    """Images a, b, … of so many inliers with the query, and pairs of them."""
    names = {number: chr(ord("a") + number) for number in range(len(direct))}
    matches = [Match(inliers, inliers, names[number]) for number, inliers in enumerate(direct)]
    around = Neighbourhood(names, [Edge(*edge) for edge in edges], apart)
    return {match.image_path: match for match in rank_by_graph(matches, around, min_inliers)}


def test_a_chain_with_two_that_are_apart_is_none_whatever_lies_between():
    pairs = [(0, 1, 60, 60), (1, 2, 60, 60)]
    assert [step.image_path for step in ranked(pairs, [60, 0, 0])["c"].via] == ["a", "b", "c"]
    cut = ranked(pairs, [60, 0, 0], {("a", "c")})
    assert "c" not in cut and "b" in cut
    direct = ranked(pairs, [60, 0, 20], {("a", "c")})  # the query itself matches it
    assert direct["c"].via == ()


def test_a_said_pair_is_surer_than_any_measured():
    chain = ranked([(0, 2, 900, 900), (1, 2, 3, 9, False, True)], [40, 41, 0])["c"].via
    assert chain == (Step(41, "b"), Step(3, "c", True))
