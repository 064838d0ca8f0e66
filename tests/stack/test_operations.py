"""What docs/operations.md promises: backup and restore, another bucket, an upgrade of tables."""

from __future__ import annotations

import os
import subprocess

import pytest
from psycopg.conninfo import conninfo_to_dict
from stack_fixture import open_folder

from landmark.index.extract import extract_batch
from landmark.index.sweep import finish_sweep, plan_sweep
from landmark.search.comparison import Query
from landmark.search.rank import rank_alone
from landmark.storage.corrections import latest_corrections, say
from landmark.storage.database import SQL, Database
from landmark.storage.images import count_images, find_image, record_failure, save_image
from landmark.storage.listings import compare_listing
from landmark.storage.sweeps import close_sweep
from landmark.storage.watches import standing_watches, start_watch
from stack.postgres import postgres_files


@pytest.fixture(scope="module")
def program():
    """Runs one of Postgres' own programs on a database."""
    with open_folder() as folder:  # for a closed one, root makes a place in /var/lib
        programs = postgres_files(folder / "postgres").programs

    def run(name, conninfo, *arguments):
        parts = conninfo_to_dict(conninfo)
        names = {"host": "HOST", "port": "PORT", "user": "USER", "dbname": "DATABASE"}
        environment = {f"PG{variable}": str(parts[key]) for key, variable in names.items()}
        environment["PGPASSWORD"] = str(parts["password"])
        done = subprocess.run(
            [str(programs / name), *map(str, arguments)],
            env={"PATH": os.defpath, **environment},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def filled(database, make_view):
    """A table of 12 places of three views, a failure, a sweep and an aggregation."""
    for place in range(12):
        for view in range(3):
            save_image(database, f"s3://b/{place}/{view}.jpg", "m", "etag", make_view(place, view))
    record_failure(database, "s3://b/broken.jpg", "m", "etag", "no image")
    compare_listing(database, "s", "m", "s3://b/none/", [], 9)
    close_sweep(database, "s")
    return database


def search(client, database, make_view, mode="exhaustive"):
    result = rank_alone(
        database, client, "m", Query("s3://b/q.jpg", make_view(3, 9)), 100,
        min_inliers=3, mode=mode, shortlist=20,
    )  # fmt: skip
    assert len(result.matches) >= 2
    return result.to_text() + result.to_json()


def test_a_restored_backup_gives_the_same_results(
    filled, postgres, program, tmp_path, dask_client, make_view, with_role
):
    from landmark.index.describe import describe_table

    describe_table(filled, "m", measure=True)
    with_role(filled.conninfo, "landmark_tasks")
    before = [search(dask_client, filled, make_view, mode) for mode in ("exhaustive", "shortlist")]
    dump = tmp_path / "landmark.dump"
    program("pg_dump", filled.conninfo, "-Fc", "-f", dump)
    name = conninfo_to_dict(filled.conninfo)["dbname"] + "_restored"
    restored = Database(postgres.create_database(name))
    program(
        "pg_restore", restored.conninfo, "--no-owner", "--no-acl", "--no-comments",
        "--exit-on-error", "-d", name, dump,
    )  # fmt: skip
    assert restored.migrate() == []
    after = [search(dask_client, restored, make_view, mode) for mode in ("exhaustive", "shortlist")]
    assert after == before
    # As before it takes new images, by the role of the tasks too.
    running = Database(with_role(restored.conninfo, "landmark_tasks"))
    save_image(running, "s3://b/new.jpg", "m", "etag", make_view(3, 5))
    assert count_images(running, "m") == 37
    path = "s3://b/3/1.jpg"
    moved, kept = (find_image(one, path, "m")[1] for one in (running, filled))
    assert moved.to_bytes() == kept.to_bytes()


def test_an_upgrade_keeps_the_rows(empty_database, make_view, dask_client):
    empty_database.migrate(last=3)
    with empty_database.connect() as connection:
        for place in range(12):
            for view in range(3):
                features = make_view(place, view)
                connection.execute(
                    "INSERT INTO landmarks (image_path, model, etag, width, height, n_features,"
                    " locations, descriptors, scales, attention)"
                    " VALUES (%s, 'm', 'e', 600, 600, %s, %b, %b, %b, %b)",
                    [
                        f"s3://b/{place}/{view}.jpg",
                        len(features),
                        features.locations.tobytes(),
                        features.descriptors.tobytes(),
                        features.scales.tobytes(),
                        features.attention.tobytes(),
                    ],
                )
    assert empty_database.migrate()
    assert count_images(empty_database, "m") == 36
    search(dask_client, empty_database, make_view)


def test_moved_photographs_are_not_extracted_anew(
    database, s3, prefix, photograph, extractor, program
):
    """Copied by the server, their content and etags are the same."""
    model = extractor.model.fingerprint
    base = prefix(
        {
            **{f"old/{place}/{view}.jpg": photograph(place, view) for place in (1, 2)
               for view in range(2)},
            "old/broken é'.jpg": b"no photograph",
            "old-other/x.jpg": photograph(5),
        }
    )  # fmt: skip
    old, new = base + "old/", base + "new/pictures/"

    def sweep(name, images):
        batches = plan_sweep(database, s3, name, model, images, base + "results/", 9)
        for batch in range(len(batches)):
            extract_batch(database, s3, extractor, name, batch)
        return finish_sweep(database, name)

    assert (sweep("first", old).indexed, sweep("other", base + "old-other/").indexed) == (4, 1)
    before = find_image(database, old + "1/0.jpg", model)
    for entry in s3.list_objects_v2(Bucket="landmark", Prefix=old[14:])["Contents"]:
        key = new[14:] + entry["Key"].removeprefix(old[14:])
        copied = {"Bucket": "landmark", "Key": entry["Key"]}
        s3.copy_object(Bucket="landmark", Key=key, CopySource=copied)
    # What people said, each of one that moves, and of one that does not.
    stays = base + "another/x.jpg"
    for one, other, is_same in [
        (old + "1/0.jpg", old + "1/1.jpg", True),
        (old + "1/0.jpg", stays, False),
        (new + "1/0.jpg", stays, True),
        (old + "1/0.jpg", new + "1/0.jpg", True),
        (stays, base + "old-other/x.jpg", True),
    ]:
        say(database, one, other, is_same, "ada")
    for watched in (old + "1/0.jpg", old + "2/1.jpg", new + "2/1.jpg"):
        start_watch(database, "ada", watched, None, None)
    # One that a sweep of the new place has met too early.
    save_image(database, new + "1/1.jpg", model, "other", before[1])

    program(
        "psql",
        database.conninfo,
        "-v",
        f"old={old}",
        "-v",
        f"new={new}",
        "-f",
        SQL / "admin" / "move.sql",
    )
    done = sweep("second", new)
    assert (done.seen, done.new, done.changed, done.removed) == (5, 0, 0, 0)
    after = find_image(database, new + "1/0.jpg", model)
    assert after[0] == before[0] and after[1].to_bytes() == before[1].to_bytes()
    assert find_image(database, old + "1/0.jpg", model) is None
    assert find_image(database, base + "old-other/x.jpg", model) is not None
    assert count_images(database, model) == 5
    said = {(one.first, one.second): one.is_same for one in latest_corrections(database, 9)
            if one.stands}  # fmt: skip
    assert said == {
        (new + "1/0.jpg", new + "1/1.jpg"): True,
        (stays, new + "1/0.jpg"): True,
        (stays, base + "old-other/x.jpg"): True,
    }
    watches = [one.photograph for one in standing_watches(database)]
    assert watches == [new + "1/0.jpg", new + "2/1.jpg"]
