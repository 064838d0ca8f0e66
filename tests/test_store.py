"""The tables, on a real Postgres."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import psycopg
import pytest

from landmark.bucket import S3Object
from landmark.errors import LandmarkError
from landmark.row_cache import RowCache
from landmark.store import SQL, Store, batch_size

MODEL = "model-1"
PREFIX = "s3://b/images/"


def listing(*names, etag="1"):
    return [S3Object(f"{PREFIX}{name}", etag, 1000) for name in names]


def plan(store, *names, etag="1", **options):
    options = {"max_batches": 1024, **options}
    return store.plan_sweep("sweep", MODEL, PREFIX, listing(*names, etag=etag), **options)


def rows(store, query):
    with store.connect() as connection:
        return connection.execute(query).fetchall()


def paths(store):
    return [path for (path,) in rows(store, "SELECT image_path FROM landmarks ORDER BY 1")]


def test_migrations_apply_once(empty_database):
    numbers = [path.stem for path in sorted(SQL.glob("*.sql"))]
    assert empty_database.migrate() == numbers
    schema = rows(empty_database, "SELECT * FROM information_schema.columns ORDER BY 3, 4")
    assert empty_database.migrate() == []
    assert rows(empty_database, "SELECT * FROM information_schema.columns ORDER BY 3, 4") == schema


def test_an_older_table_is_brought_up_with_its_rows(empty_database, make_view):
    assert empty_database.migrate(last=1) == ["001_landmarks"]
    with empty_database.connect() as connection:
        connection.execute(
            "INSERT INTO landmarks (image_path, model, etag, width, height, n_features, locations,"
            " descriptors, scales, attention) VALUES ('s3://b/old', 'm', '1', 9, 9, 0,"
            " '', '', '', '')"
        )
    assert "002_failures" in empty_database.migrate()
    assert paths(empty_database) == ["s3://b/old"]


def test_two_processes_may_migrate_at_once(empty_database):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(lambda _: empty_database.migrate(), range(4)))
    assert sorted(map(len, applied)) == [0, 0, 0, len(list(SQL.glob("*.sql")))]


def test_a_migration_that_fails_leaves_nothing(empty_database, monkeypatch, tmp_path):
    (tmp_path / "001_fine.sql").write_text("CREATE TABLE fine (a int)")
    (tmp_path / "002_broken.sql").write_text("CREATE TABLE broken (a nonsense)")
    monkeypatch.setattr("landmark.store.SQL", tmp_path)
    with pytest.raises(psycopg.errors.UndefinedObject):
        empty_database.migrate()
    tables = "SELECT 1 FROM pg_tables WHERE tablename IN ('fine', 'landmark_migrations')"
    assert rows(empty_database, tables) == []


def test_without_tables_the_remedy_is_named(empty_database):
    with pytest.raises(LandmarkError, match="run landmark_index once"):
        empty_database.count(MODEL)


def test_features_come_back_as_they_were_saved(store, make_view):
    import numpy as np

    saved = make_view(1)
    store.save("s3://b/a", MODEL, "1", saved)
    etag, read = store.find("s3://b/a", MODEL)
    assert etag == "1" and (read.width, read.height) == (600, 600)
    for name in ("locations", "descriptors", "scales", "attention"):
        np.testing.assert_array_equal(getattr(read, name), getattr(saved, name))
        assert getattr(read, name).dtype == getattr(saved, name).dtype


def test_no_features_are_features(store, make_view):
    store.save("s3://b/a", MODEL, "1", make_view(1, n=0))
    assert len(store.find("s3://b/a", MODEL)[1]) == 0
    assert [len(image.descriptors) for image in store.read_partition(MODEL, range(0, 99))] == [0]


def test_saving_again_replaces_and_keeps_the_id(store, make_view):
    store.save("s3://b/a", MODEL, "1", make_view(1))
    before = rows(store, "SELECT id FROM landmarks")
    store.save("s3://b/a", MODEL, "2", make_view(2, n=10))
    assert rows(store, "SELECT id FROM landmarks") == before
    assert store.find("s3://b/a", MODEL)[0] == "2"


def test_models_do_not_mix(store, make_view):
    store.save("s3://b/a", MODEL, "1", make_view(1))
    store.save("s3://b/a", "other", "1", make_view(1, d=4))
    store.save("s3://b/b", "other", "1", make_view(2, d=4))
    assert store.count(MODEL) == 1
    own, other = store.contents_besides(MODEL, ["s3://b/a", "s3://b/b"], up_to=10)
    assert own == (True, 0, None) and other[:2] == (False, 1) and other.newest is not None
    assert [p.images for p in store.partitions(MODEL, 10)] == [1]
    assert [image.descriptors.shape[1] for image in store.read_partition(MODEL, range(99))] == [16]


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_partitions_hold_every_image_once(store, make_view, size):
    for number in range(7):
        store.save(f"s3://b/{number}", MODEL, "1", make_view(number, n=3))
        store.save(f"s3://b/{number}", "other", "1", make_view(number, n=3))
    partitions = store.partitions(MODEL, size)
    assert all(partition.images <= size for partition in partitions)
    found = [
        image.image_path
        for partition in partitions
        for image in store.read_partition(MODEL, partition.ids)
    ]
    assert found == [f"s3://b/{number}" for number in range(7)]


def test_the_password_is_not_shown():
    assert "secret" not in repr(Store("postgresql://me:secret@host/db"))  # pragma: allowlist secret


# ---- sweeps -------------------------------------------------------------------------------------


def test_a_first_sweep_takes_everything(store):
    assert plan(store, "a", "b") == [2]
    assert [entry.path for entry in store.unsettled("sweep", 0)] == [PREFIX + "a", PREFIX + "b"]
    sweep = store.finish_sweep("sweep")
    assert (sweep.seen, sweep.new, sweep.changed, sweep.left) == (2, 2, 0, 2)


def test_an_unchanged_image_is_not_taken_again(store, make_view):
    plan(store, "a")
    store.save(PREFIX + "a", MODEL, "1", make_view(1), "sweep")
    assert store.finish_sweep("sweep").indexed == 1
    assert plan(store, "a") == []


def test_a_changed_image_is(store, make_view):
    store.save(PREFIX + "a", MODEL, "1", make_view(1))
    assert plan(store, "a", etag="2") == [1]
    assert store.finish_sweep("sweep").changed == 1


def test_an_image_of_another_model_only_is_new(store, make_view):
    store.save(PREFIX + "a", "other", "1", make_view(1))
    plan(store, "a")
    assert store.finish_sweep("sweep").new == 1


def test_rows_of_deleted_objects_go_and_others_stay(store, make_view):
    for path in (PREFIX + "kept", PREFIX + "deleted", "s3://b/images-of-others/x", "s3://c/x"):
        store.save(path, MODEL, "1", make_view(1, n=3))
    store.record_failure(PREFIX + "broken", MODEL, "1", "why")
    plan(store, "kept")
    assert store.finish_sweep("sweep").removed == 1
    assert paths(store) == ["s3://b/images-of-others/x", PREFIX + "kept", "s3://c/x"]
    assert rows(store, "SELECT * FROM landmark_failures") == []


def test_what_is_indexed_while_the_listing_runs_stays(store, make_view):
    def slow_listing():
        yield from listing("a")
        store.save(PREFIX + "uploaded-meanwhile", MODEL, "1", make_view(1))

    store.plan_sweep("sweep", MODEL, PREFIX, slow_listing(), max_batches=10)
    assert paths(store) == [PREFIX + "uploaded-meanwhile"]


def test_a_listing_that_breaks_off_changes_nothing(store, make_view):
    def broken_listing():
        yield from listing("a")
        raise ConnectionError("S3 went away")

    store.save(PREFIX + "b", MODEL, "1", make_view(1))
    with pytest.raises(ConnectionError):
        store.plan_sweep("sweep", MODEL, PREFIX, broken_listing(), max_batches=10)
    assert paths(store) == [PREFIX + "b"]
    with pytest.raises(LandmarkError, match="never planned"):
        store.finish_sweep("sweep")


def test_a_failed_image_waits_until_it_changes_or_is_asked_for(store):
    plan(store, "a")
    store.record_failure(PREFIX + "a", MODEL, "1", "not an image", "sweep")
    assert store.finish_sweep("sweep").failed == 1
    assert plan(store, "a") == []
    assert plan(store, "a", retry_failures=True) == [1]
    assert store.finish_sweep("sweep").retried == 1
    assert plan(store, "a", etag="2") == [1]
    assert store.finish_sweep("sweep").changed == 1


def test_failures_count_attempts_on_the_same_object(store):
    for etag in ("1", "1", "2"):
        store.record_failure("s3://b/a", MODEL, etag, f"reason {etag}")
        (row,) = rows(store, "SELECT etag, attempts, reason FROM landmark_failures")
    assert row == ("2", 1, "reason 2")
    store.record_failure("s3://b/a", MODEL, "2", "again")
    assert rows(store, "SELECT attempts FROM landmark_failures") == [(2,)]


def test_success_clears_a_failure_and_failure_clears_stale_features(store, make_view):
    store.record_failure("s3://b/a", MODEL, "1", "why")
    store.save("s3://b/a", MODEL, "2", make_view(1))
    assert rows(store, "SELECT * FROM landmark_failures") == []
    store.record_failure("s3://b/a", MODEL, "3", "why")
    assert paths(store) == []


def test_a_batch_run_again_finds_what_is_left(store, make_view):
    plan(store, "a", "b", "c", "d")
    store.save(PREFIX + "a", MODEL, "1", make_view(1), "sweep")
    store.record_failure(PREFIX + "b", MODEL, "1", "why", "sweep")
    store.settle_gone("sweep", PREFIX + "c")
    assert [entry.path for entry in store.unsettled("sweep", 0)] == [PREFIX + "d"]
    sweep = store.finish_sweep("sweep")
    assert (sweep.indexed, sweep.failed, sweep.gone, sweep.left) == (1, 1, 1, 1)


def test_never_more_batches_than_airflow_maps(store):
    names = [f"{number:04d}" for number in range(700)]
    assert plan(store, *names, max_batches=2) == [256, 256]
    sweep = store.finish_sweep("sweep")
    assert (sweep.new, sweep.postponed, sweep.left) == (700, 188, 512)


def test_what_one_sweep_leaves_the_next_takes(store, make_view):
    names = [f"{number:04d}" for number in range(700)]
    taken = []
    for _ in range(3):
        plan(store, *names, max_batches=1)
        batch = store.unsettled("sweep", 0)
        for entry in batch:
            store.save(entry.path, MODEL, entry.etag, make_view(1, n=1), "sweep")
        sweep = store.finish_sweep("sweep")
        taken.append((len(batch), sweep.postponed, sweep.left))
    assert taken == [(256, 444, 0), (256, 188, 0), (188, 0, 0)]
    assert plan(store, *names, max_batches=1) == [] and len(paths(store)) == 700


def test_a_plan_that_is_repeated_replaces_itself(store, make_view):
    assert plan(store, "a", "b", "c") == [3]
    store.save(PREFIX + "a", MODEL, "1", make_view(1), "sweep")
    assert plan(store, "a", "b", "d") == [2]
    assert [entry.path for entry in store.unsettled("sweep", 0)] == [PREFIX + "b", PREFIX + "d"]
    sweep = store.finish_sweep("sweep")
    assert (sweep.seen, sweep.new, sweep.left) == (3, 2, 2)


def test_a_sweep_of_one_model_leaves_the_other_but_for_what_is_gone(store, make_view):
    for name in ("a", "gone"):
        store.save(PREFIX + name, "other", "1", make_view(1))
    store.record_failure(PREFIX + "b", "other", "1", "why")
    assert plan(store, "a", "b") == [2]
    assert store.finish_sweep("sweep").removed == 1
    assert rows(store, "SELECT image_path, model FROM landmarks") == [(PREFIX + "a", "other")]
    assert rows(store, "SELECT model FROM landmark_failures") == [("other",)]


@pytest.mark.parametrize(
    ("images", "max_batches", "size"),
    [(0, 1024, 1), (10, 1024, 10), (130, 1024, 65), (100_000, 1024, 128), (10**6, 1024, 256)],
)
def test_batch_size(images, max_batches, size):
    assert batch_size(images, max_batches) == size


def test_paths_sort_bytewise(store):
    plan(store, "b", "B", "ä", "a")
    found = [entry.path.removeprefix(PREFIX) for entry in store.unsettled("sweep", 0)]
    assert found == ["B", "a", "b", "ä"]


def test_hostile_paths_are_values_not_sql(store, make_view):
    path = "s3://b/images/'; DROP TABLE landmarks; --\n%s\\"
    store.save(path, MODEL, "1", make_view(1))
    assert store.find(path, MODEL) is not None
    store.plan_sweep("s", MODEL, PREFIX, [S3Object(path, "1", 1)], max_batches=5)
    assert paths(store) == [path]


# ---- one point in time --------------------------------------------------------------------------


def test_a_store_at_one_time_sees_nothing_of_what_is_written_meanwhile(store, make_view):
    for name in "abc":
        store.save(f"s3://b/{name}", MODEL, "1", make_view(1))
    with store.at_one_time() as frozen:
        store.save("s3://b/a", MODEL, "2", make_view(2))
        store.record_failure("s3://b/b", MODEL, "2", "broken")
        store.save("s3://b/d", MODEL, "1", make_view(3))
        with pickle_of(frozen).connect() as connection:
            rows = connection.execute("SELECT image_path, etag FROM landmarks ORDER BY 1")
            assert rows.fetchall() == [(f"s3://b/{name}", "1") for name in "abc"]
        images = [image.image_path for image in frozen.read_partition(MODEL, range(100))]
        assert images == ["s3://b/a", "s3://b/b", "s3://b/c"]
        assert frozen.count(MODEL) == 3 and frozen.find("s3://b/b", MODEL) is not None
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            frozen.save("s3://b/e", MODEL, "1", make_view(1))
    with pytest.raises(psycopg.Error, match="snapshot"):
        frozen.count(MODEL)


def test_a_row_kept_from_a_later_time_is_not_taken_for_the_earlier(store, make_view):
    store.save("s3://b/a", MODEL, "1", make_view(1))
    cache = RowCache(10**9)
    with store.at_one_time() as frozen:
        store.save("s3://b/a", MODEL, "2", make_view(2))
        ids = range(100)
        (new,) = store.read_partition(MODEL, ids, cache=cache)
        (old,) = frozen.read_partition(MODEL, ids, cache=cache)
        (kept,) = frozen.read_partition(MODEL, ids, cache=cache)
    assert np.array_equal(new.locations, make_view(2).locations)
    assert np.array_equal(old.locations, make_view(1).locations)
    assert np.array_equal(kept.locations, make_view(1).locations)


def test_a_database_that_went_away_meanwhile_is_told_at_the_end(store):
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
    with (
        pytest.raises(psycopg.OperationalError),
        store.at_one_time(),
        store.connect() as connection,
    ):
        connection.execute(end, ["landmark snapshot"])


# ---- at once ------------------------------------------------------------------------------------


def test_an_image_written_by_two_at_once_is_a_row_or_a_failure_never_both(store, make_view):
    images, writers = 3, 2
    start = Barrier(writers)
    with store.connect() as connection:  # so that they surely meet
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
                store.save(f"s3://b/{image}", MODEL, str(number), make_view(1))
            else:
                store.record_failure(f"s3://b/{image}", MODEL, str(number), "broken")

    with ThreadPoolExecutor(writers) as pool:
        for done in [pool.submit(write, number) for number in range(writers)]:
            done.result()
    written = rows(store, "SELECT image_path FROM landmarks") + rows(
        store, "SELECT image_path FROM landmark_failures"
    )
    assert len(written) == len(set(written)) == images


def pickle_of(store):
    return pickle.loads(pickle.dumps(store))
