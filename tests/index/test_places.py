"""Places as images come, change and go, on a real Postgres."""

import logging
from itertools import combinations

import pytest
from graphs import MODEL

from landmark.index import places
from landmark.index.places import continued, update_places
from landmark.index.registry import remove_model
from landmark.matching.chance import ChanceHistogram
from landmark.storage.corrections import latest_corrections, say, take_back
from landmark.storage.edges import Edge, save_edges, versions_of
from landmark.storage.images import save_image
from landmark.storage.models import register_model
from landmark.storage.places import (
    find_place,
    list_places,
    name_place,
    place_images,
    places_of_paths,
)

CHANCE = ChanceHistogram((99_000, *(1 + round(500 * 0.5**n) for n in range(9))))
MUCH = ChanceHistogram((*[0] * 29, 97_000, *(round(90 * 0.97**n) for n in range(150))))


def path(name):
    return f"s3://b/{name}.jpg"


@pytest.fixture
def table(database, make_view):
    register_model(database, MODEL, {})
    return database


def add(database, make_view, names):
    for name in names:
        save_image(database, path(name), MODEL, "1", make_view(1))


def link(database, pairs, inliers=60):
    """Write pairs of named images as the linking would."""
    pairs = list(pairs)
    names = sorted({name for pair in pairs for name in pair})
    rows = versions_of(database, MODEL, [path(name) for name in names])
    ids = {name: rows[path(name)][0] for name in names}
    edges = [Edge(*sorted((ids[one], ids[two])), inliers, 2 * inliers) for one, two in pairs]
    save_edges(database, edges, dict(rows.values()))


def grouped(database):
    """Names of each place's images, by its id."""
    return {
        place.id: "".join(sorted(one[7:-4] for _, one in place_images(database, place.id, 100)))
        for place in list_places(database, MODEL)
    }


@pytest.fixture
def two(table, make_view):
    """Places of the images a to d, and w to z; and the image n that agrees with none."""
    add(table, make_view, "abcdwxyzn")
    link(table, [*combinations("abcd", 2), *combinations("wxyz", 2)])
    assert update_places(table, MODEL, CHANCE) == 8
    return table


def test_images_that_agree_are_a_place(two):
    found = grouped(two)
    assert sorted(found.values()) == ["abcd", "wxyz"]
    assert places_of_paths(two, MODEL, [path("a"), path("n")]) == {
        path("a"): min(found)  # numbered in the order of their images
    }
    (first, _) = list_places(two, MODEL)
    assert first.images == 4 and first.representative == path("a") and first.newest


def test_nothing_is_grouped_twice(two):
    assert update_places(two, MODEL, CHANCE) == 0


def test_a_place_keeps_its_id_and_name_while_it_grows(two, make_view):
    before = grouped(two)
    name_place(two, min(before), "Lighthouse", "white")
    add(two, make_view, "e")
    link(two, [("a", "e"), ("b", "e")])
    assert update_places(two, MODEL, CHANCE) == 5  # the other place is left alone
    assert grouped(two) == {**before, min(before): "abcde"}
    place = find_place(two, min(before))
    assert (place.name, place.note, place.images) == ("Lighthouse", "white", 5)
    assert [one.name for one in list_places(two, MODEL, name="light")] == ["Lighthouse"]
    assert list_places(two, MODEL, name="dark") == []


def test_a_place_all_of_whose_images_have_gone_has_none(two):
    first, second = sorted(grouped(two))
    name_place(two, first, "Lighthouse", "")
    with two.connect() as connection:
        connection.execute("DELETE FROM landmarks")
    update_places(two, MODEL, CHANCE)
    assert (find_place(two, first).images, find_place(two, second)) == (0, None)


def test_what_joins_is_found_by_either_id(two, caplog):
    caplog.set_level(logging.INFO)
    before = grouped(two)
    link(two, [(one, other) for one in "abcd" for other in "wxyz"])
    update_places(two, MODEL, CHANCE)
    assert grouped(two) == {min(before): "abcdwxyz"}
    assert find_place(two, max(before)) == find_place(two, min(before))
    assert f"place {max(before)} is part of place {min(before)} by now" in caplog.text


def test_what_is_torn_keeps_its_id_on_the_larger_side(two, make_view, caplog):
    caplog.set_level(logging.INFO)
    link(two, [(one, other) for one in "abcd" for other in "wxyz"])
    add(two, make_view, "e")
    link(two, [("a", "e"), ("b", "e"), ("c", "e")])
    update_places(two, MODEL, CHANCE)
    ((place, all_of_them),) = grouped(two).items()
    assert all_of_them == "abcdewxyz"
    with two.connect() as connection:
        connection.execute(
            "DELETE FROM landmark_matches USING landmarks AS one, landmarks AS two"
            " WHERE one.id = first AND two.id = second AND one.image_path < %(w)s"
            " AND two.image_path >= %(w)s AND two.image_path <= %(z)s"
            " AND one.image_path <> %(n)s",
            {"w": path("w"), "z": path("z"), "n": path("n")},
        )
    update_places(two, MODEL, CHANCE)
    found = grouped(two)
    assert found.pop(place) == "abcde" and list(found.values()) == ["wxyz"]
    assert "4 photographs of place" in caplog.text


def test_a_removed_or_changed_image_leaves_its_place(two, make_view):
    before = grouped(two)
    with two.connect() as connection:
        connection.execute("DELETE FROM landmarks WHERE image_path = %s", [path("d")])
    save_image(two, path("z"), MODEL, "2", make_view(9))
    update_places(two, MODEL, CHANCE)
    assert sorted(grouped(two).values()) == ["abc", "wxy"]
    assert grouped(two).keys() == before.keys()


def test_a_place_whose_images_have_gone_stays_only_if_it_is_named(two):
    first, second = sorted(grouped(two))
    name_place(two, first, "Lighthouse", "")
    with two.connect() as connection:
        connection.execute(
            "DELETE FROM landmarks WHERE image_path = ANY(%s)", [[path(name) for name in "bcdxyz"]]
        )
    update_places(two, MODEL, CHANCE)
    assert list_places(two, MODEL) == []
    assert find_place(two, first).name == "Lighthouse" and find_place(two, first).images == 0
    assert find_place(two, second) is None


def test_all_at_once_and_little_by_little_give_the_same(two, make_view, monkeypatch):
    add(two, make_view, "efghij")
    pairs = [("a", "e"), ("b", "e"), *combinations("fgh", 2), ("h", "w"), ("i", "j"), ("d", "j")]
    for pair in pairs:
        link(two, [pair])
        update_places(two, MODEL, CHANCE)
    little_by_little = sorted(grouped(two).values())
    with two.connect() as connection:
        connection.execute("DELETE FROM landmark_places")
        connection.execute("UPDATE landmark_models SET grouped_by = NULL")
    monkeypatch.setattr(places, "CHANGES", 1)
    update_places(two, MODEL, CHANCE)
    assert sorted(grouped(two).values()) == little_by_little


def test_everything_is_grouped_anew_where_chance_brings_further(two):
    link(two, combinations("abcd", 2), inliers=30)
    update_places(two, MODEL, CHANCE)
    assert sorted(grouped(two).values()) == ["abcd", "wxyz"]
    assert update_places(two, MODEL, MUCH) == 8  # half sure with 60 inliers now
    assert list(grouped(two).values()) == ["wxyz"]


def test_a_model_has_places_of_its_own_which_go_with_it(two, make_view):
    for name in "abc":
        save_image(two, path(name), "model-2", "1", make_view(1))
    update_places(two, "model-2", CHANCE)
    assert list_places(two, "model-2") == []
    remove_model(two, MODEL)
    with two.connect() as connection:
        for table in ("landmark_places", "landmark_place_images"):
            assert connection.execute(f"SELECT FROM {table}").fetchall() == []


def test_what_people_say_counts_before_what_was_measured(two):
    before = grouped(two)
    say(two, path("a"), path("w"), True, "ann")
    assert update_places(two, MODEL, CHANCE) == 8
    assert grouped(two) == {min(before): "abcdwxyz"}
    say(two, path("a"), path("w"), False, "ben")  # takes Ann's word back, too
    say(two, path("n"), path("w"), True, "ben")
    update_places(two, MODEL, CHANCE)
    assert sorted(grouped(two).values()) == ["abcd", "nwxyz"]
    say(two, path("a"), path("b"), False, "ben")
    update_places(two, MODEL, CHANCE)
    assert all(not {"a", "b"} <= set(place) for place in grouped(two).values())
    for one in latest_corrections(two, 10):
        take_back(two, one.number, "ann")
    update_places(two, MODEL, CHANCE)
    assert sorted(grouped(two).values()) == ["abcd", "wxyz"]


def test_a_place_goes_on_with_the_group_that_has_most_of_it():
    before = {1: 10, 2: 10, 3: 10, 4: 20, 5: 20, 6: 30}
    assert continued([[1, 2, 4], [3, 5], [6, 7], [8, 9]], before) == [10, 20, 30, None]
    assert continued([[1, 2, 3, 4, 5, 6]], before) == [10]
    assert continued([[1], [2]], {1: 10, 2: 10}) == [10, None]
