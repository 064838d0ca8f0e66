"""Chance measured on a real table."""

import pytest
from graphs import MODEL, joined

from landmark.index import chance
from landmark.index.chance import connected, measure_chance
from landmark.index.describe import describe_table
from landmark.index.link import link_table
from landmark.index.registry import remove_model
from landmark.matching.chance import ChanceHistogram
from landmark.storage.chance import MeasuredChance, measured_chance, save_chance
from landmark.storage.corrections import say
from landmark.storage.edges import Edge, save_edges, versions_of
from landmark.storage.images import save_image

PLACES, VIEWS = 8, 3
IMAGES = PLACES * VIEWS


@pytest.fixture
def places(database, make_view, dask_client):
    for view in range(VIEWS):
        for place in range(PLACES):
            save_image(database, f"s3://b/{place}/{view}.jpg", MODEL, "1", make_view(place, view))
    describe_table(database, MODEL)
    link_table(database, dask_client, MODEL, 5)
    return database


def test_pairs_of_one_place_are_no_chance(places, monkeypatch):
    monkeypatch.setattr(chance, "GROUP", IMAGES)
    same_place = PLACES * VIEWS * (VIEWS - 1) // 2
    assert measure_chance(places, MODEL) == IMAGES * (IMAGES - 1) // 2 - same_place
    nights, histogram = measured_chance(places, MODEL)
    assert nights == 1 and sum(histogram.counts[12:]) == 0
    with places.connect() as connection:  # without the graph nobody knows
        connection.execute("DELETE FROM landmark_matches")
        connection.execute("DELETE FROM landmark_chance")
    assert measure_chance(places, MODEL) == IMAGES * (IMAGES - 1) // 2
    assert sum(measured_chance(places, MODEL).histogram.counts[12:]) == same_place


def test_what_a_chain_of_sure_edges_leads_to_is_one_place(database, make_view):
    for place in range(6):
        save_image(database, f"s3://b/{place}.jpg", MODEL, "1", make_view(place))
    rows = versions_of(database, MODEL, [f"s3://b/{place}.jpg" for place in range(6)])
    ids = sorted(number for number, _ in rows.values())
    sure, unsure = chance.SURE_INLIERS, chance.SURE_INLIERS - 1
    edges = [Edge(ids[n], ids[n + 1], sure if n < 3 else unsure, 90) for n in range(5)]
    save_edges(database, edges, dict(rows.values()))
    found = connected(database, [ids[0], ids[3], ids[4], ids[5]])
    assert found[ids[0]] == found[ids[3]]  # by way of two that are not asked about
    assert len(set(found.values())) == 3


def test_what_people_say_to_be_one_place_is_no_chance(places, monkeypatch):
    monkeypatch.setattr(chance, "GROUP", IMAGES)
    say(places, "s3://b/0/0.jpg", "s3://b/1/0.jpg", True, "ada")
    say(places, "s3://b/2/0.jpg", "s3://b/3/0.jpg", False, "ada")
    of_one_place = (PLACES - 2) * VIEWS * (VIEWS - 1) // 2 + 2 * VIEWS * (2 * VIEWS - 1) // 2
    assert measure_chance(places, MODEL) == IMAGES * (IMAGES - 1) // 2 - of_one_place


def test_the_same_table_gives_the_same_pairs_and_each_night_others(places, monkeypatch):
    monkeypatch.setattr(chance, "IMAGES", 12)
    monkeypatch.setattr(chance, "GROUP", 4)
    compared = []
    original = chance.compare_pair

    def compare_pair(one, two, *options, **named):
        compared.append((one.image.id, two.image.id))
        return original(one, two, *options, **named)

    monkeypatch.setattr(chance, "compare_pair", compare_pair)
    nights = []
    for _ in range(2):
        measure_chance(places, MODEL)
        nights.append(compared[:])
        compared.clear()
    assert nights[0] != nights[1]
    total = measured_chance(places, MODEL)
    assert total.nights == 2 and 0 < total.histogram.pairs <= sum(map(len, nights))
    with places.connect() as connection:
        connection.execute("DELETE FROM landmark_chance")
    measure_chance(places, MODEL)
    assert compared == nights[0]


def test_the_pairs_of_a_small_table_are_soon_used_up(places):
    pairs = [measure_chance(places, MODEL) for _ in range(10)]
    assert pairs[0] > 0 and pairs[-1] == 0
    assert sum(pairs) <= IMAGES * (IMAGES - 1) // 2
    assert measured_chance(places, MODEL).histogram.pairs == sum(pairs)


def test_of_many_nights_the_old_ones_fade(places, monkeypatch):
    monkeypatch.setattr(chance, "IMAGES", IMAGES)
    old = ChanceHistogram((chance.MOST_PAIRS, 10))
    save_chance(places, MODEL, MeasuredChance(50, old))
    new = measure_chance(places, MODEL)
    nights, histogram = measured_chance(places, MODEL)
    assert new > 0 and nights == 51 and histogram.pairs == chance.MOST_PAIRS // 2 + 5 + new


def test_what_is_not_linked_waits(places):
    """Else pictures of one place would be counted as chance, and nothing be a match any more."""
    with places.connect() as connection:
        connection.execute("INSERT INTO landmark_unlinked SELECT id FROM landmarks WHERE id > 3")
    assert measure_chance(places, MODEL) <= 3
    with places.connect() as connection:
        connection.execute("INSERT INTO landmark_unlinked SELECT id FROM landmarks WHERE id <= 3")
        connection.execute("DELETE FROM landmark_chance")
    assert measure_chance(places, MODEL) == 0


def test_nothing_to_compare(database, make_view):
    assert measure_chance(database, MODEL) == 0
    save_image(database, "s3://b/alone.jpg", MODEL, "1", make_view(0))
    assert measure_chance(database, MODEL) == 0
    assert measured_chance(database, MODEL) == MeasuredChance(0, ChanceHistogram())


def test_it_goes_with_its_model(places):
    measure_chance(places, MODEL)
    save_chance(places, "other", MeasuredChance(1, ChanceHistogram((3,))))
    remove_model(places, MODEL)
    assert measured_chance(places, MODEL).nights == 0
    assert measured_chance(places, "other").nights == 1


def test_in_a_table_of_another_kind_more_is_asked_of_what_is_sure(
    database, make_view, dask_client, monkeypatch
):
    """Many show the same little things, some more: what a model promises is far off."""
    monkeypatch.setattr(chance, "GROUP", 32)
    alike = 6
    for place in range(32):
        features = joined(make_view(place), make_view(100 + place % 3, 0, n=12 + place % 3 * 3))
        if place < alike:
            features = joined(features, make_view(200, 0, n=28))
        save_image(database, f"s3://b/{place}.jpg", MODEL, "1", features)
    describe_table(database, MODEL)
    link_table(database, dask_client, MODEL, 31)
    pairs, hidden = 32 * 31 // 2, alike * (alike - 1) // 2
    measure_chance(database, MODEL)  # nobody knows better
    assert measured_chance(database, MODEL).histogram.pairs == pairs - hidden
    with database.connect() as connection:
        connection.execute("DELETE FROM landmark_chance")
    promised = ChanceHistogram((90_000, 9_000, *(round(900 * 0.5**n) for n in range(12))))
    measure_chance(database, MODEL, chance_of_model=promised)
    histogram = measured_chance(database, MODEL).histogram
    assert histogram.pairs == pairs and sum(histogram.counts[24:]) == hidden
