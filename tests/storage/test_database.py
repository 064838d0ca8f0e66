"""Connections, one point in time, and the schema, on a real Postgres."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psycopg
import pytest
from tables import MODEL, paths, rows

from landmark.errors import LandmarkError, ServerFault
from landmark.storage.database import SQL, Database
from landmark.storage.images import (
    count_images,
    find_image,
    record_failure,
    save_image,
)
from landmark.storage.partitions import read_partition
from landmark.storage.row_cache import RowCache


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

    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(lambda _: empty_database.migrate(), range(4)))
    assert sorted(map(len, applied)) == [0, 0, 0, len(list(SQL.glob("*.sql")))]


def test_a_migration_that_fails_leaves_nothing(empty_database, monkeypatch, tmp_path):
    (tmp_path / "001_fine.sql").write_text("CREATE TABLE fine (a int)")
    (tmp_path / "002_broken.sql").write_text("CREATE TABLE broken (a nonsense)")
    monkeypatch.setattr("landmark.storage.database.SQL", tmp_path)
    with pytest.raises(psycopg.errors.UndefinedObject):
        empty_database.migrate()
    tables = "SELECT 1 FROM pg_tables WHERE tablename IN ('fine', 'landmark_migrations')"
    assert rows(empty_database, tables) == []


def test_without_tables_the_remedy_is_named(empty_database):
    with pytest.raises(LandmarkError, match="run landmark_index once"):
        count_images(empty_database, MODEL)


def test_the_password_is_not_shown():
    database = Database("postgresql://me:secret@host/db")  # pragma: allowlist secret
    assert "secret" not in repr(database)


def test_a_store_at_one_time_sees_nothing_of_what_is_written_meanwhile(database, make_view):
    for name in "abc":
        save_image(database, f"s3://b/{name}", MODEL, "1", make_view(1))
    with database.at_one_time() as frozen:
        save_image(database, "s3://b/a", MODEL, "2", make_view(2))
        record_failure(database, "s3://b/b", MODEL, "2", "broken")
        save_image(database, "s3://b/d", MODEL, "1", make_view(3))
        with pickle.loads(pickle.dumps(frozen)).connect() as connection:
            rows = connection.execute("SELECT image_path, etag FROM landmarks ORDER BY 1")
            assert rows.fetchall() == [(f"s3://b/{name}", "1") for name in "abc"]
        images = [image.image_path for image in read_partition(frozen, MODEL, range(100))]
        assert images == ["s3://b/a", "s3://b/b", "s3://b/c"]
        assert (
            count_images(frozen, MODEL) == 3 and find_image(frozen, "s3://b/b", MODEL) is not None
        )
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            save_image(frozen, "s3://b/e", MODEL, "1", make_view(1))
    with pytest.raises(ServerFault, match="snapshot"):
        count_images(frozen, MODEL)


def test_a_row_kept_from_a_later_time_is_not_taken_for_the_earlier(database, make_view):
    save_image(database, "s3://b/a", MODEL, "1", make_view(1))
    cache = RowCache(10**9)
    with database.at_one_time() as frozen:
        save_image(database, "s3://b/a", MODEL, "2", make_view(2))
        ids = range(100)
        (new,) = read_partition(database, MODEL, ids, cache=cache)
        (old,) = read_partition(frozen, MODEL, ids, cache=cache)
        (kept,) = read_partition(frozen, MODEL, ids, cache=cache)
    assert np.array_equal(new.locations, make_view(2).locations)
    assert np.array_equal(old.locations, make_view(1).locations)
    assert np.array_equal(kept.locations, make_view(1).locations)


def test_a_database_that_went_away_meanwhile_is_told_at_the_end(database):
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
    with (
        pytest.raises(psycopg.OperationalError),
        database.at_one_time(),
        database.connect() as connection,
    ):
        connection.execute(end, ["landmark snapshot"])
