"""What people take from the index goes and stays out, until somebody lets it in again."""

from __future__ import annotations

import threading

import psycopg
import pytest
from tables import MODEL, PREFIX, paths, plan, rows

from landmark.storage.edges import Edge, save_edges, versions_of
from landmark.storage.images import find_image, is_known_image, record_failure, save_image
from landmark.storage.removals import (
    delete_removed,
    find_removal,
    latest_removals,
    removals_of,
    remove,
    restore,
)
from landmark.storage.sweeps import find_sweep

NAMES = ("a.jpg", "trip/1.jpg", "trip/2.jpg", "trip/day/3.jpg", "trip.jpg", "trip-2/4.jpg")
MOST = 100


@pytest.fixture
def indexed(database, make_view):
    for number, name in enumerate(NAMES):
        save_image(database, PREFIX + name, MODEL, "1", make_view(number))
    return database


def kept(*names):
    return [PREFIX + name for name in sorted(names)]


def test_a_photograph_goes_alone(indexed):
    remove(indexed, PREFIX + "trip/1.jpg", "ada")
    assert delete_removed(indexed, PREFIX + "trip/1.jpg", MOST) == 1
    assert paths(indexed) == kept(*(name for name in NAMES if name != "trip/1.jpg"))


def test_a_folder_goes_with_all_below_and_nothing_that_is_called_alike(indexed):
    record_failure(indexed, PREFIX + "trip/broken.jpg", MODEL, "1", "no image")
    remove(indexed, PREFIX + "trip/", "ada")
    assert delete_removed(indexed, PREFIX + "trip/", MOST) == 4
    assert paths(indexed) == kept("a.jpg", "trip.jpg", "trip-2/4.jpg")
    assert not is_known_image(indexed, PREFIX + "trip/broken.jpg")


def test_sweeps_and_searches_do_not_bring_it_back(indexed, make_view):
    remove(indexed, PREFIX + "trip/", "ada")
    delete_removed(indexed, PREFIX + "trip/", MOST)
    assert plan(indexed, *NAMES) == []
    found = find_sweep(indexed, "sweep")
    assert (found.seen, found.new, found.removed, found.passed_over) == (3, 0, 0, {"removed": 3})
    # Also one whose batch has begun before, a search's query, and one that fails.
    save_image(indexed, PREFIX + "trip/1.jpg", MODEL, "1", make_view(1))
    record_failure(indexed, PREFIX + "trip/2.jpg", MODEL, "1", "no image")
    assert not is_known_image(indexed, PREFIX + "trip/1.jpg")
    assert not is_known_image(indexed, PREFIX + "trip/2.jpg")


def test_it_is_settled_in_a_sweep_that_was_planned_before(indexed, make_view):
    plan(indexed, *NAMES, "trip/new.jpg")
    remove(indexed, PREFIX + "trip/", "ada")
    save_image(indexed, PREFIX + "trip/new.jpg", MODEL, "1", make_view(1), sweep="sweep")
    assert rows(indexed, "SELECT outcome FROM landmark_sweep_images") == [("gone",)]


def test_what_is_let_in_again_is_new_to_the_next_sweep(indexed):
    remove(indexed, PREFIX + "trip/", "ada")
    delete_removed(indexed, PREFIX + "trip/", MOST)
    remove(indexed, PREFIX + "trip/1.jpg", "ada")
    own, folder = latest_removals(indexed, 9)
    assert [one.path for one in removals_of(indexed, own.path)] == [folder.path, own.path]
    restore(indexed, folder.number, "eve")
    assert plan(indexed, *NAMES) == [2]  # not the one that was removed by itself
    restore(indexed, own.number, "eve")
    assert plan(indexed, *NAMES) == [3]
    ended = find_removal(indexed, folder.number)
    assert (ended.stands, ended.removed_by, ended.ended_by) == (False, "ada", "eve")
    assert removals_of(indexed, own.path) == []


def test_what_stays_out_already_is_not_noted_again(indexed):
    for person in ("ada", "eve"):
        remove(indexed, PREFIX + "a.jpg", person)
    (one,) = latest_removals(indexed, 9)
    assert one.removed_by == "ada" and one.stands
    restore(indexed, one.number, "ada")
    remove(indexed, PREFIX + "a.jpg", "eve")
    assert [one.removed_by for one in latest_removals(indexed, 9)] == ["eve", "ada"]


def test_what_is_not_deleted_at_once_goes_with_the_next_sweep(indexed):
    remove(indexed, PREFIX + "trip/", "ada")
    assert delete_removed(indexed, PREFIX + "trip/", 2) == 2
    assert len(paths(indexed)) == 4
    plan(indexed, *NAMES)
    assert paths(indexed) == kept("a.jpg", "trip.jpg", "trip-2/4.jpg")


def test_pairs_go_along_and_their_others_are_grouped_anew(indexed):
    versions = versions_of(indexed, MODEL, [PREFIX + "a.jpg", PREFIX + "trip/1.jpg"])
    ids = sorted(row for row, _ in versions.values())
    save_edges(indexed, [Edge(*ids, 60, 120)], dict(versions.values()))
    with indexed.connect() as connection:
        connection.execute("DELETE FROM landmark_ungrouped")
    remove(indexed, PREFIX + "trip/1.jpg", "ada")
    delete_removed(indexed, PREFIX + "trip/1.jpg", MOST)
    assert rows(indexed, "SELECT count(*) FROM landmark_matches") == [(0,)]
    assert (versions[PREFIX + "a.jpg"][0],) in rows(indexed, "SELECT image FROM landmark_ungrouped")


def test_who_writes_at_the_same_moment_is_waited_for(indexed, make_view, monkeypatch):
    """An image whose writer has looked before the removal is written before, and deleted by it."""
    from landmark.storage import images

    is_in, go_on = threading.Event(), threading.Event()
    settle = images.settle

    def slow(*arguments):
        is_in.set()
        assert go_on.wait(30)
        settle(*arguments)

    monkeypatch.setattr(images, "settle", slow)
    path = PREFIX + "trip/late.jpg"
    writer = threading.Thread(
        target=save_image, args=(indexed, path, MODEL, "1", make_view(1)), daemon=True
    )
    writer.start()
    assert is_in.wait(30)
    remover = threading.Thread(target=remove, args=(indexed, PREFIX + "trip/", "ada"), daemon=True)
    remover.start()
    with psycopg.connect(indexed.conninfo, autocommit=True) as connection:
        waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while connection.execute(waits).fetchone() == (0,):
            assert remover.is_alive()
    go_on.set()
    writer.join(30)
    remover.join(30)
    assert delete_removed(indexed, PREFIX + "trip/", MOST) == 4
    assert find_image(indexed, path, MODEL) is None
