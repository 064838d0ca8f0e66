"""Which place a search has found."""

from itertools import combinations

from dask.distributed import Client
from graphs import MODEL

from landmark.extraction.shot import Shot
from landmark.index.places import update_places
from landmark.matching.chance import ChanceHistogram
from landmark.matching.ranking import Match, Step
from landmark.matching.whereabouts import Whereabouts
from landmark.search.comparison import Query
from landmark.search.place import FoundPlace, place_of
from landmark.search.rank import rank_alone
from landmark.storage.edges import Edge, save_edges, versions_of
from landmark.storage.images import save_image
from landmark.storage.models import register_model
from landmark.storage.places import list_places, name_place


def sure(path):
    return Match(60, 90, path, (), 1e-9)


def test_it_is_the_one_of_most_sure_matches():
    matches = [sure("a"), sure("b"), sure("c"), sure("d")]
    assert place_of(matches, {"a": 1, "b": 2, "c": 2}) == 2
    assert place_of(matches, {"a": 2, "b": 1}) == 2  # as many: the better ranked
    assert place_of(matches, {}) is None
    assert place_of([], {"a": 1}) is None


def test_what_is_not_sure_has_no_say():
    uncertain = Match(14, 40, "a", (), 0.2)
    reached = Match(4, 20, "b", (Step(60, "c"), Step(60, "b")), 1e-9)
    said = Match(0, 3, "d", (), 50.0, said_same=True)
    places = {"a": 1, "b": 2, "d": 3}
    assert place_of([uncertain, reached], places) is None
    assert place_of([uncertain, reached, said], places) == 3


def test_a_search_answers_with_it(database, make_view):
    register_model(database, MODEL, {})
    names = [f"s3://b/{place}-{view}.jpg" for place in (1, 2) for view in range(3)]
    for name in names:
        place, view = int(name[7]), int(name[9])
        # Of the second place, one photograph says nothing of where it was taken.
        shot = Shot(40.0 + place, 12.0) if (place, view) != (2, 0) else Shot()
        save_image(database, name, MODEL, "1", make_view(place, view), shot=shot)
    rows = versions_of(database, MODEL, names)
    ids = [rows[name][0] for name in names]
    pairs = [*combinations(ids[:3], 2), *combinations(ids[3:], 2)]
    save_edges(database, [Edge(*pair, 60, 90) for pair in pairs], dict(rows.values()))
    chance = ChanceHistogram((99_000, *[1] * 9))
    update_places(database, MODEL, chance)
    places = {place.representative[7]: place.id for place in list_places(database, MODEL)}
    name_place(database, places["2"], "Lighthouse", "")
    with Client(processes=False, n_workers=1, dashboard_address=None) as client:

        def search(query):
            return rank_alone(database, client, MODEL, query, 10, chance_of_model=chance)

        def found(query):
            return search(query).place

        one = Query("s3://b/q.jpg", make_view(2, 7))
        assert found(one) == FoundPlace(places["2"], "Lighthouse", 3)
        assert found(Query("s3://b/q.jpg", make_view(1, 7))) == FoundPlace(places["1"], None, 3)
        assert found(Query("s3://b/q.jpg", make_view(9, 7))) is None
        assert search(one).whereabouts == Whereabouts(42.0, 12.0, 0, 2)
        assert search(Query("s3://b/q.jpg", make_view(9, 7))).whereabouts is None
