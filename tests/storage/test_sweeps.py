"""A listing compared with the table, on a real Postgres."""

import pytest
from tables import MODEL, PREFIX, listing, paths, plan, rows

from landmark.errors import LandmarkError
from landmark.storage.images import (
    record_failure,
    save_image,
)
from landmark.storage.listings import batch_size, compare_listing
from landmark.storage.sweeps import close_sweep, settle_gone, unsettled


def test_a_first_sweep_takes_everything(database):
    assert plan(database, "a", "b") == [2]
    assert [entry.path for entry in unsettled(database, "sweep", 0)] == [PREFIX + "a", PREFIX + "b"]
    sweep = close_sweep(database, "sweep")
    assert (sweep.seen, sweep.new, sweep.changed, sweep.left) == (2, 2, 0, 2)


def test_an_unchanged_image_is_not_taken_again(database, make_view):
    plan(database, "a")
    save_image(database, PREFIX + "a", MODEL, "1", make_view(1), "sweep")
    assert close_sweep(database, "sweep").indexed == 1
    assert plan(database, "a") == []


def test_a_changed_image_is(database, make_view):
    save_image(database, PREFIX + "a", MODEL, "1", make_view(1))
    assert plan(database, "a", etag="2") == [1]
    assert close_sweep(database, "sweep").changed == 1


def test_an_image_of_another_model_only_is_new(database, make_view):
    save_image(database, PREFIX + "a", "other", "1", make_view(1))
    plan(database, "a")
    assert close_sweep(database, "sweep").new == 1


def test_rows_of_deleted_objects_go_and_others_stay(database, make_view):
    for path in (PREFIX + "kept", PREFIX + "deleted", "s3://b/images-of-others/x", "s3://c/x"):
        save_image(database, path, MODEL, "1", make_view(1, n=3))
    record_failure(database, PREFIX + "broken", MODEL, "1", "why")
    plan(database, "kept")
    assert close_sweep(database, "sweep").removed == 1
    assert paths(database) == ["s3://b/images-of-others/x", PREFIX + "kept", "s3://c/x"]
    assert rows(database, "SELECT * FROM landmark_failures") == []


def test_what_is_indexed_while_the_listing_runs_stays(database, make_view):
    def slow_listing():
        yield from listing("a")
        save_image(database, PREFIX + "uploaded-meanwhile", MODEL, "1", make_view(1))

    compare_listing(database, "sweep", MODEL, PREFIX, slow_listing(), max_batches=10)
    assert paths(database) == [PREFIX + "uploaded-meanwhile"]


def test_a_listing_that_breaks_off_changes_nothing(database, make_view):
    def broken_listing():
        yield from listing("a")
        raise ConnectionError("S3 went away")

    save_image(database, PREFIX + "b", MODEL, "1", make_view(1))
    with pytest.raises(ConnectionError):
        compare_listing(database, "sweep", MODEL, PREFIX, broken_listing(), max_batches=10)
    assert paths(database) == [PREFIX + "b"]
    with pytest.raises(LandmarkError, match="never planned"):
        close_sweep(database, "sweep")


def test_a_failed_image_waits_until_it_changes_or_is_asked_for(database):
    plan(database, "a")
    record_failure(database, PREFIX + "a", MODEL, "1", "not an image", "sweep")
    assert close_sweep(database, "sweep").failed == 1
    assert plan(database, "a") == []
    assert plan(database, "a", retry_failures=True) == [1]
    assert close_sweep(database, "sweep").retried == 1
    assert plan(database, "a", etag="2") == [1]
    assert close_sweep(database, "sweep").changed == 1


def test_a_batch_run_again_finds_what_is_left(database, make_view):
    plan(database, "a", "b", "c", "d")
    save_image(database, PREFIX + "a", MODEL, "1", make_view(1), "sweep")
    record_failure(database, PREFIX + "b", MODEL, "1", "why", "sweep")
    settle_gone(database, "sweep", PREFIX + "c")
    assert [entry.path for entry in unsettled(database, "sweep", 0)] == [PREFIX + "d"]
    sweep = close_sweep(database, "sweep")
    assert (sweep.indexed, sweep.failed, sweep.gone, sweep.left) == (1, 1, 1, 1)


def test_never_more_batches_than_airflow_maps(database):
    names = [f"{number:04d}" for number in range(700)]
    assert plan(database, *names, max_batches=2) == [256, 256]
    sweep = close_sweep(database, "sweep")
    assert (sweep.new, sweep.postponed, sweep.left) == (700, 188, 512)


def test_what_one_sweep_leaves_the_next_takes(database, make_view):
    names = [f"{number:04d}" for number in range(700)]
    taken = []
    for _ in range(3):
        plan(database, *names, max_batches=1)
        batch = unsettled(database, "sweep", 0)
        for entry in batch:
            save_image(database, entry.path, MODEL, entry.etag, make_view(1, n=1), "sweep")
        sweep = close_sweep(database, "sweep")
        taken.append((len(batch), sweep.postponed, sweep.left))
    assert taken == [(256, 444, 0), (256, 188, 0), (188, 0, 0)]
    assert plan(database, *names, max_batches=1) == [] and len(paths(database)) == 700


def test_a_plan_that_is_repeated_replaces_itself(database, make_view):
    assert plan(database, "a", "b", "c") == [3]
    save_image(database, PREFIX + "a", MODEL, "1", make_view(1), "sweep")
    assert plan(database, "a", "b", "d") == [2]
    assert [entry.path for entry in unsettled(database, "sweep", 0)] == [PREFIX + "b", PREFIX + "d"]
    sweep = close_sweep(database, "sweep")
    assert (sweep.seen, sweep.new, sweep.left) == (3, 2, 2)


def test_a_sweep_of_one_model_leaves_the_other_but_for_what_is_gone(database, make_view):
    for name in ("a", "gone"):
        save_image(database, PREFIX + name, "other", "1", make_view(1))
    record_failure(database, PREFIX + "b", "other", "1", "why")
    assert plan(database, "a", "b") == [2]
    assert close_sweep(database, "sweep").removed == 1
    assert rows(database, "SELECT image_path, model FROM landmarks") == [(PREFIX + "a", "other")]
    assert rows(database, "SELECT model FROM landmark_failures") == [("other",)]


@pytest.mark.parametrize(
    ("images", "at_once", "batches"),
    [(0, 2, 1), (10, 2, 1), (40, 2, 2), (300, 2, 2), (600, 2, 4), (600, 16, 16), (10**6, 2, 1024)],
)
def test_batches_come_in_rounds_that_end_together(images, at_once, batches):
    size = batch_size(images, 1024, at_once)
    assert min(1024, max(1, -(-images // size))) == batches
    assert size <= 256
