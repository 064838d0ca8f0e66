"""What people say of two photographs: what stands, what was said before, and by whom."""

import threading

import pytest
from graphs import MODEL, edges

from landmark.errors import LandmarkError
from landmark.index.registry import remove_model
from landmark.storage import corrections
from landmark.storage.corrections import (
    all_corrections,
    find_correction,
    latest_corrections,
    said_of,
    say,
    standing_among,
    take_back,
)
from landmark.storage.database import Database
from landmark.storage.edges import Edge, edges_of, save_edges, versions_of
from landmark.storage.images import record_failure, save_image

A, B, C = (f"s3://b/{name}.jpg" for name in "abc")
UPLOAD = "s3://b/uploads/0/query.jpg"


def ids_of(database, model=MODEL):
    rows = versions_of(database, model, [A, B, C])
    return [rows[path][0] for path in (A, B, C) if path in rows]


@pytest.fixture
def three(database, make_view):
    """A database with three images, the first two of which agree."""
    for view, path in enumerate((A, B, C)):
        save_image(database, path, MODEL, "1", make_view(1, view))
    rows = versions_of(database, MODEL, [A, B, C])
    a, b, c = ids_of(database)
    save_edges(database, [Edge(a, b, 30, 60)], dict(rows.values()), [a, b, c])
    return database


def undo(database, one, other, person):
    """Take back what stands of two photographs."""
    ((_, standing),) = standing_among(database, [one, other]).items()
    take_back(database, standing.number, person)


def told(found):
    return [(one.first, one.second, one.is_same, one.said_by, one.ended_by) for one in found]


# ---- what stands --------------------------------------------------------------------------------


def test_the_latest_word_stands_and_all_are_kept(database):
    say(database, B, A, True, "ada")
    say(database, A, B, False, "bob")
    assert told(standing_among(database, [A, B]).values()) == [(A, B, False, "bob", None)]
    undo(database, B, A, "eve")
    assert standing_among(database, [A, B]) == {}
    found = latest_corrections(database, 10)
    assert told(found) == [(A, B, False, "bob", "eve"), (A, B, True, "ada", "bob")]
    assert found[1].said_at <= found[1].ended_at <= found[0].said_at <= found[0].ended_at
    assert [one.stands for one in found] == [False, False]
    say(database, A, B, True, "ada")
    assert told(latest_corrections(database, 1)) == [(A, B, True, "ada", None)]


def test_what_stands_is_not_said_twice(database):
    say(database, A, B, True, "ada")
    say(database, B, A, True, "bob")
    assert told(latest_corrections(database, 10)) == [(A, B, True, "ada", None)]


def test_only_what_stands_is_taken_back(database):
    """Who looks at an old page does not take back what another has said since."""
    say(database, A, B, True, "ada")
    (old,) = latest_corrections(database, 10)
    say(database, A, B, False, "bob")
    take_back(database, old.number, "ada")
    take_back(database, 999, "ada")
    assert told(standing_among(database, [A, B]).values()) == [(A, B, False, "bob", None)]
    assert latest_corrections(database, 10)[1].ended_by == "bob"


def test_a_photograph_is_no_pair(database):
    with pytest.raises(LandmarkError, match=r"a\.jpg: .*name another"):
        say(database, A, A, False, "ada")


def test_of_two_who_speak_at_once_one_is_the_later(database):
    barrier = threading.Barrier(8)

    def speak(number):
        barrier.wait()
        say(database, *((A, B) if number % 2 else (B, A)), bool(number % 2), str(number))

    threads = [threading.Thread(target=speak, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = latest_corrections(database, 10)
    assert [one.stands for one in found] == [True, *[False] * (len(found) - 1)]
    # Each ended by whoever spoke next.
    assert [one.ended_by for one in found[1:]] == [one.said_by for one in found[:-1]]


def test_only_pairs_among_the_photographs_asked_for(database):
    say(database, A, B, True, "ada")
    say(database, B, C, False, "ada")
    assert set(standing_among(database, [C, B, A])) == {(A, B), (B, C)}
    assert set(standing_among(database, [A, C])) == set()
    assert standing_among(database, []) == {}


def test_they_are_listed_page_by_page_and_of_one_photograph(database, monkeypatch):
    for other in (B, C, UPLOAD):
        say(database, A, other, True, "ada")
    say(database, B, C, False, "ada")
    first = latest_corrections(database, 3)
    rest = latest_corrections(database, 3, before=first[-1].number)
    assert told(first + rest) == told(latest_corrections(database, 10))
    assert {(one.first, one.second) for one in latest_corrections(database, 10, path=C)} == {
        (A, C), (B, C),
    }  # fmt: skip
    assert find_correction(database, rest[0].number) == rest[0]
    assert find_correction(database, 999) is None
    monkeypatch.setattr(corrections, "CHUNK", 3)
    assert told(all_corrections(database)) == told(first + rest)


# ---- what it means for the graph ----------------------------------------------------------------


def test_two_places_are_no_edge_and_one_place_is_the_surest(three):
    a, b, c = ids_of(three)
    say(three, B, A, False, "ada")
    say(three, C, A, True, "ada")
    expected = [Edge(a, c, 0, 0, said_same=True)]
    assert edges_of(three, [a, b, c]) == expected
    assert edges_of(three, [c]) == expected and edges_of(three, [b]) == []
    assert expected[0].strength > 10_000
    assert edges(three) == [(A, B, 30, 60)]  # as measured
    say(three, A, B, True, "bob")
    assert edges_of(three, [b]) == [Edge(a, b, 30, 60, said_same=True)]
    for other in (B, C):
        undo(three, A, other, "ada")
    assert edges_of(three, [a, b, c]) == [Edge(a, b, 30, 60)]


def test_what_is_measured_later_lies_below(three):
    a, b, c = ids_of(three)
    say(three, A, B, False, "ada")
    rows = versions_of(three, MODEL, [A, B, C])
    save_edges(three, [Edge(a, b, 31, 60), Edge(b, c, 20, 50)], dict(rows.values()))
    assert edges_of(three, [a, b]) == [Edge(b, c, 20, 50)]
    undo(three, A, B, "ada")
    assert edges_of(three, [a]) == [Edge(a, b, 31, 60)]


def test_a_famous_image_keeps_what_people_say(three, monkeypatch):
    from landmark.storage import edges as module

    monkeypatch.setattr(module, "EDGES_PER_IMAGE", 1)
    a, b, c = ids_of(three)
    rows = versions_of(three, MODEL, [A, B, C])
    save_edges(three, [Edge(a, c, 12, 60)], dict(rows.values()))
    assert edges_of(three, [a]) == [Edge(a, b, 30, 60)]
    say(three, A, B, False, "ada")  # and it takes no other's place
    assert edges_of(three, [a]) == [Edge(a, c, 12, 60)]
    say(three, A, B, True, "ada")
    assert edges_of(three, [a]) == [Edge(a, b, 30, 60, said_same=True), Edge(a, c, 12, 60)]


def test_of_a_photograph_indexed_or_not_what_was_said_is_found(three):
    a, b, _ = ids_of(three)
    say(three, UPLOAD, A, False, "ada")
    say(three, B, UPLOAD, True, "ada")
    say(three, UPLOAD, "s3://b/nowhere.jpg", True, "ada")
    say(three, A, C, True, "ada")
    undo(three, A, C, "ada")
    assert said_of(three, MODEL, [UPLOAD, C, A]) == {UPLOAD: {a: False, b: True}}
    assert said_of(three, "model-2", [UPLOAD]) == {}
    assert edges_of(three, [a, b]) == [Edge(a, b, 30, 60)]  # no row, no node


# ---- what it outlives ---------------------------------------------------------------------------


def test_a_changed_image_and_another_model_keep_them(three, make_view):
    say(three, A, C, True, "ada")
    save_image(three, A, MODEL, "2", make_view(1, 7))
    a, _, c = ids_of(three)
    assert edges_of(three, [a]) == [Edge(a, c, 0, 0, said_same=True)]
    for path in (C, A):
        save_image(three, path, "model-2", "1", make_view(1))
    rows = versions_of(three, "model-2", [A, C])
    first, second = sorted(number for number, _ in rows.values())
    assert edges_of(three, [first, a]) == [
        Edge(a, c, 0, 0, said_same=True),
        Edge(first, second, 0, 0, said_same=True),
    ]
    remove_model(three, MODEL)
    assert edges_of(three, [first]) == [Edge(first, second, 0, 0, said_same=True)]


def test_an_image_that_goes_and_comes_back_keeps_them(three, make_view):
    say(three, A, C, True, "ada")
    a, *_ = ids_of(three)
    record_failure(three, C, MODEL, "2", "no photograph")
    assert edges_of(three, [a]) == [Edge(a, a + 1, 30, 60)]
    assert len(standing_among(three, [A, C])) == 1
    save_image(three, C, MODEL, "3", make_view(1, 2))
    *_, c = ids_of(three)
    assert Edge(a, c, 0, 0, said_same=True) in edges_of(three, [a])


# ---- who may -----------------------------------------------------------------------------------


def test_tasks_and_pages_need_no_more_than_their_role(three, with_role):
    tasks = Database(with_role(three.conninfo, "landmark_tasks"))
    say(tasks, A, B, False, "ada")
    assert edges_of(tasks, ids_of(tasks)) == []
    undo(tasks, A, B, "ada")
    assert len(latest_corrections(tasks, 10)) == 1
    reader = Database(with_role(three.conninfo, "landmark_reader"))
    with pytest.raises(LandmarkError, match="permission denied"):
        latest_corrections(reader, 10)
