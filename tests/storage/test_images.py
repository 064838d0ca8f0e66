"""Rows and failures, on a real Postgres."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from tables import MODEL, PREFIX, paths, plan, rows

from landmark.storage.bucket import S3Object
from landmark.storage.images import (
    contents_besides,
    count_images,
    find_image,
    record_failure,
    save_image,
)
from landmark.storage.listings import compare_listing
from landmark.storage.partitions import list_partitions, read_partition
from landmark.storage.sweeps import unsettled


def test_features_come_back_as_they_were_saved(database, make_view):

    saved = make_view(1)
    save_image(database, "s3://b/a", MODEL, "1", saved)
    etags, read = find_image(database, "s3://b/a", MODEL)
    assert etags == {"1"} and (read.width, read.height) == (600, 600)
    for name in ("locations", "descriptors", "scales", "attention"):
        np.testing.assert_array_equal(getattr(read, name), getattr(saved, name))
        assert getattr(read, name).dtype == getattr(saved, name).dtype


def test_no_features_are_features(database, make_view):
    save_image(database, "s3://b/a", MODEL, "1", make_view(1, n=0))
    assert len(find_image(database, "s3://b/a", MODEL)[1]) == 0
    assert [len(image.descriptors) for image in read_partition(database, MODEL, range(0, 99))] == [
        0
    ]


def test_saving_again_replaces_and_keeps_the_id(database, make_view):
    save_image(database, "s3://b/a", MODEL, "1", make_view(1))
    before = rows(database, "SELECT id FROM landmarks")
    save_image(database, "s3://b/a", MODEL, "2", make_view(2, n=10))
    assert rows(database, "SELECT id FROM landmarks") == before
    assert find_image(database, "s3://b/a", MODEL)[0] == {"2"}


def test_models_do_not_mix(database, make_view):
    save_image(database, "s3://b/a", MODEL, "1", make_view(1))
    save_image(database, "s3://b/a", "other", "1", make_view(1, d=4))
    save_image(database, "s3://b/b", "other", "1", make_view(2, d=4))
    assert count_images(database, MODEL) == 1
    own, other = contents_besides(database, MODEL, ["s3://b/a", "s3://b/b"], up_to=10)
    assert own == (True, 0, None) and other[:2] == (False, 1) and other.newest is not None
    assert [p.images for p in list_partitions(database, MODEL, 10)] == [1]
    assert [image.descriptors.shape[1] for image in read_partition(database, MODEL, range(99))] == [
        16
    ]


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_partitions_hold_every_image_once(database, make_view, size):
    for number in range(7):
        save_image(database, f"s3://b/{number}", MODEL, "1", make_view(number, n=3))
        save_image(database, f"s3://b/{number}", "other", "1", make_view(number, n=3))
    partitions = list_partitions(database, MODEL, size)
    assert all(partition.images <= size for partition in partitions)
    found = [
        image.image_path
        for partition in partitions
        for image in read_partition(database, MODEL, partition.ids)
    ]
    assert found == [f"s3://b/{number}" for number in range(7)]


def test_failures_count_attempts_on_the_same_object(database):
    for etag in ("1", "1", "2"):
        record_failure(database, "s3://b/a", MODEL, etag, f"reason {etag}")
        (row,) = rows(database, "SELECT etag, attempts, reason FROM landmark_failures")
    assert row == ("2", 1, "reason 2")
    record_failure(database, "s3://b/a", MODEL, "2", "again")
    assert rows(database, "SELECT attempts FROM landmark_failures") == [(2,)]


def test_success_clears_a_failure_and_failure_clears_stale_features(database, make_view):
    record_failure(database, "s3://b/a", MODEL, "1", "why")
    save_image(database, "s3://b/a", MODEL, "2", make_view(1))
    assert rows(database, "SELECT * FROM landmark_failures") == []
    record_failure(database, "s3://b/a", MODEL, "3", "why")
    assert paths(database) == []


def test_paths_sort_bytewise(database):
    plan(database, "b", "B", "ä", "a")
    found = [entry.path.removeprefix(PREFIX) for entry in unsettled(database, "sweep", 0)]
    assert found == ["B", "a", "b", "ä"]


def test_hostile_paths_are_values_not_sql(database, make_view):
    path = "s3://b/images/'; DROP TABLE landmarks; --\n%s\\"
    save_image(database, path, MODEL, "1", make_view(1))
    assert find_image(database, path, MODEL) is not None
    compare_listing(database, "s", MODEL, PREFIX, [S3Object(path, "1", 1)], max_batches=5)
    assert paths(database) == [path]


def test_an_image_written_by_two_at_once_is_a_row_or_a_failure_never_both(database, make_view):
    images, writers = 3, 2
    start = Barrier(writers)
    with database.connect() as connection:  # so that they surely meet
        connection.execute(
            "CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END'"
        )
        for table in ("landmarks", "landmark_failures"):
            connection.execute(
                f"CREATE TRIGGER pause AFTER INSERT OR UPDATE ON {table}"
                " FOR EACH ROW EXECUTE FUNCTION pause()"
            )

    def write(number):
        for image in range(images):
            start.wait(60)
            if number % 2:
                save_image(database, f"s3://b/{image}", MODEL, str(number), make_view(1))
            else:
                record_failure(database, f"s3://b/{image}", MODEL, str(number), "broken")

    with ThreadPoolExecutor(writers) as pool:
        for done in [pool.submit(write, number) for number in range(writers)]:
            done.result()
    written = rows(database, "SELECT image_path FROM landmarks") + rows(
        database, "SELECT image_path FROM landmark_failures"
    )
    assert len(written) == len(set(written)) == images
