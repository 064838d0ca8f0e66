"""Who may reach what: paths that may be searched for, rights in Postgres, rights in S3."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import psycopg
import pytest
from queries import query_features
from s3_policy import Policy, keep_to

from landmark.errors import LandmarkError
from landmark.index.describe import describe_table
from landmark.index.extract import extract_batch
from landmark.index.sweep import finish_sweep, plan_sweep
from landmark.search import pictures
from landmark.search import result as results_of
from landmark.search.comparison import Query
from landmark.search.lifetimes import remove_old_results, remove_old_uploads
from landmark.search.rank import rank_alone
from landmark.search.searches import Searches
from landmark.search.uploads import keep_upload
from landmark.settings import Settings, load_settings
from landmark.storage.aggregations import current_aggregation, known_aggregations
from landmark.storage.bucket import delete_object, list_objects, read_object, write_object
from landmark.storage.database import Database
from landmark.storage.descriptions import count_described
from landmark.storage.images import find_image, is_known_image, record_failure, save_image
from landmark.storage.listings import compare_listing
from landmark.storage.partitions import read_partition
from stack.s3 import S3
from stack.state import REPOSITORY

# ---- what may be searched for -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefixes", "path"),
    [
        (None, "s3://photos/images/a.jpg"),
        (None, "s3://photos/elsewhere/a b é+%20.jpg"),
        (None, "s3://other/uploads/a.jpg"),
        ("s3://b/images/", "s3://b/images/a.jpg"),
        ("s3://b/images/", "s3://b/images/..a/b..jpg"),
        ("s3://x/, s3://b/images/", "s3://b/images/a//b.jpg"),
        ("s3://", "s3://wherever/a.jpg"),
    ],
)
def test_a_path_inside_may_be_searched_for(prefixes, path):
    settings = Settings(
        images="s3://photos/images/", uploads="s3://other/uploads/", queries=prefixes
    )
    settings.check_queries(path)


@pytest.mark.parametrize(
    ("prefixes", "path"),
    [
        (None, "s3://elsewhere/a.jpg"),
        (None, "s3://photos-private/a.jpg"),
        (None, "s3://photos.evil/a.jpg"),
        (None, "s3://Photos/a.jpg"),
        (None, "s3:///photos/a.jpg"),
        (None, "/etc/passwd"),
        (None, "file:///etc/passwd"),
        (None, ""),
        ("s3://b/images/", "s3://b/images-private/a.jpg"),
        ("s3://b/images/", "s3://b/images"),
        ("s3://b/images/", "s3://b/a.jpg"),
        ("s3://b/images/", "s3://b/images/../private/a.jpg"),
        ("s3://b/images/", "s3://b/images/./a.jpg"),
        ("s3://b/images/", "s3://b/images/x/.."),
        ("s3://", "s3://b/../c/a.jpg"),
        ("s3://", "/etc/passwd"),
    ],
)
def test_a_path_outside_is_refused_with_the_setting_named(prefixes, path):
    settings = Settings(
        images="s3://photos/images/", uploads="s3://photos/uploads/", queries=prefixes
    )
    with pytest.raises(LandmarkError, match=r"LANDMARK_QUERIES|a part `\.` or") as refused:
        settings.check_queries(path)
    assert "\n" not in str(refused.value) and str(refused.value).startswith(path)


@pytest.mark.parametrize("prefixes", [None, "s3://", "s3://b/", "s3://b/results/"])
def test_what_a_search_has_written_is_no_query(prefixes):
    settings = Settings(images="s3://b/images/", results="s3://b/results/", queries=prefixes)
    for path in ("s3://b/results/run/contact-sheet.jpg", "s3://b/results/run/", settings.results):
        for asked in (path, ["s3://b/a.jpg", path]):
            with pytest.raises(LandmarkError, match=r"LANDMARK_RESULTS|LANDMARK_QUERIES"):
                settings.check_queries(asked)
        with pytest.raises(LandmarkError, match="LANDMARK_RESULTS"):
            settings.check_shown(path)


def test_the_pages_show_what_may_be_searched_for_and_what_is_indexed():
    settings = Settings(images="s3://b/images/", results="s3://b/results/", queries="s3://q/")
    settings.check_shown("s3://b/images/a.jpg")
    settings.check_shown("s3://q/a.jpg")
    for path in ("s3://b/a.jpg", "s3://b/images/../a.jpg", "s3://q-private/a.jpg"):
        with pytest.raises(LandmarkError):
            settings.check_shown(path)


@pytest.mark.parametrize(
    "prefixes", ["s3://b/images", "s3://b", "b/images/", "s3:///x/", "/etc/", ","]
)
def test_what_is_no_prefix_is_no_setting(prefixes):
    with pytest.raises(LandmarkError, match="LANDMARK_QUERIES="):
        load_settings({"LANDMARK_QUERIES": prefixes}.get)


# ---- what a path cannot do ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "'; DROP TABLE landmarks; --.jpg",
        "%s %(path)s %.jpg",
        "$(touch x) `touch x` | touch x.jpg",
        "\\'\"\n\t.jpg",
        "_%.jpg",
    ],
)
def test_a_path_is_nothing_but_a_path(database, make_view, dask_client, name):
    path = "s3://b/" + name
    save_image(database, "s3://b/other.jpg", "m", "e", make_view(1, 1))
    save_image(database, path, "m", "e", make_view(1))
    record_failure(database, path + ".x", "m", "e", "no image")
    assert is_known_image(database, path) and is_known_image(database, path + ".x")
    assert find_image(database, path, "m")[1].to_bytes() == make_view(1).to_bytes()
    for query, other in (("s3://b/other.jpg", path), (path, "s3://b/other.jpg")):
        result = rank_alone(database, dask_client, "m", Query(query, make_view(1, 2)), 10)
        assert [match.image_path for match in result.matches] == [other]
    # A prefix is one too: only what begins with it is removed.
    compare_listing(database, path, "m", path, [], 9)
    assert (
        find_image(database, path, "m") is None
        and find_image(database, "s3://b/other.jpg", "m") is not None
    )
    assert not is_known_image(database, path + ".x")


# ---- rights in Postgres -------------------------------------------------------------------------


@pytest.fixture
def running(database, with_role):
    """The database of this test as the DAGs' tasks see it."""
    return Database(with_role(database.conninfo, "landmark_tasks"))


def test_a_role_that_may_not_create_finds_nothing_to_migrate(running):
    assert running.migrate() == []


def test_a_role_that_may_not_create_says_who_must_migrate(empty_database, with_role):
    empty_database.migrate(last=1)
    running = Database(with_role(empty_database.conninfo, "landmark_tasks"))
    with pytest.raises(LandmarkError, match=r"permission denied.*as their owner$"):
        running.migrate()
    # Tables that the owner adds later need no new grant.
    assert len(empty_database.migrate()) >= 3 and running.migrate() == []
    record_failure(running, "s3://b/a.jpg", "m", "e", "no image")
    assert known_aggregations(running, "m") == []


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE own (id integer)",
        "DROP TABLE landmarks",
        "TRUNCATE landmarks",
        "ALTER TABLE landmarks ADD COLUMN own integer",
        "DELETE FROM landmark_migrations",
        "CREATE ROLE own",
        "COPY landmarks TO PROGRAM 'cat'",
    ],
)
def test_the_tasks_may_not(running, statement):
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        psycopg.connect(running.conninfo) as connection,
    ):
        connection.execute(statement)


def test_a_worker_may_read_features_and_nothing_else(database, with_role, make_view):
    save_image(database, "s3://b/a.jpg", "m", "e", make_view(1))
    reader = Database(with_role(database.conninfo, "landmark_reader"))
    (image,) = read_partition(reader, "m", range(10))
    assert image.image_path == "s3://b/a.jpg"
    for table in ("landmark_failures", "landmark_sweeps", "landmark_migrations"):
        with (
            pytest.raises(LandmarkError, match=f"{table}; connect as a role"),
            reader.connect() as connection,
        ):
            connection.execute(f"SELECT FROM {table}")
    with pytest.raises(LandmarkError, match="permission denied for table landmark"):
        save_image(reader, "s3://b/a.jpg", "m", "e", make_view(2))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT lo_create(0)",
        "SELECT lo_creat(-1)",
        r"SELECT lo_from_bytea(0, '\\x00')",
        "CREATE TEMPORARY TABLE own (id integer)",
        "CREATE TABLE own (id integer)",
    ],
)
def test_a_worker_leaves_nothing_in_the_database(database, with_role, statement):
    reader = with_role(database.conninfo, "landmark_reader")
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        psycopg.connect(reader) as connection,
    ):
        connection.execute(statement)


def test_only_the_owner_builds_the_index_of_a_large_table(
    running, database, make_view, monkeypatch
):
    for number in range(20):
        save_image(running, f"s3://b/{number}.jpg", "m", "e", make_view(number))
    monkeypatch.setattr("landmark.index.describe.EXHAUSTIVE_UP_TO", 5)
    with pytest.raises(LandmarkError, match=r"only the owner of the tables .* `landmark describe`"):
        describe_table(running, "m", measure=True)
    assert count_described(running, "m", current_aggregation(running, "m").number) == 20
    describe_table(database, "m")
    assert describe_table(running, "m") == 0  # nothing is left to build


# ---- rights in S3 -------------------------------------------------------------------------------


def test_indexing_and_searching_need_no_more_than_the_policy_and_all_of_it(
    database,
    running,
    with_role,
    s3_server,
    prefix,
    photograph,
    bundled_model,
    extractor,
    dask_client,
):
    base = prefix(
        {
            **{f"images/{place}/{view}.jpg": photograph(place, view) for place in (1, 2)
               for view in range(3)},
            "images/broken.jpg": b"no photograph",
            "private/a.jpg": photograph(9),
            "images-private/a.jpg": photograph(9),
        }
    )  # fmt: skip
    name = base.removeprefix("s3://")
    text = (REPOSITORY / "docs" / "s3-policy.json").read_text()
    for folder in ("images/", "results/", "uploads/"):
        text = text.replace(f'"{folder}', f'"{name.partition("/")[2]}{folder}')
    for bucket in ("PHOTOGRAPHS", "RESULTS"):
        text = text.replace(bucket + "/", name).replace(bucket, "landmark")
    policy = Policy(text)
    with keep_to(policy, s3_server.port) as address:
        restricted = S3(int(address.rsplit(":", 1)[1]), s3_server.access_key, s3_server.secret_key)
        client = restricted.client()
        images, results = base + "images/", base + "results/"
        batches = plan_sweep(running, client, "s", bundled_model.fingerprint, images, results, 9)
        for batch in range(len(batches)):
            extract_batch(running, client, extractor, "s", batch)
        swept = finish_sweep(running, "s")
        assert (swept.indexed, swept.failed, swept.gone) == (6, 1, 0)
        assert describe_table(running, bundled_model.fingerprint) == 6

        query = keep_upload(client, base + "uploads/", "query.jpg", photograph(2, -1))
        features = query_features(running, client, bundled_model, query, add_to_index=True)
        folder = results_of.result_folder(results, "run")
        leftover = folder + "matches/015.jpg"
        write_object(client, leftover, b"of an earlier try", "image/jpeg")
        searches = Searches.plan("run", folder, query, [(query, None)]).claim(client)
        searches = searches.keep_queries(client, [(query, features)])
        result = rank_alone(
            running, dask_client, bundled_model.fingerprint, Query(query, features), 10,
            worker_database=Database(with_role(database.conninfo, "landmark_reader")),
        )  # fmt: skip
        searches.keep_results(client, [result])
        assert pictures.draw_all(running, client, folder, "run") >= 3
        assert {match.image_path for match in result.matches[:3]} == {
            f"{images}2/{view}.jpg" for view in range(3)
        }
        assert leftover not in {found.path for found in list_objects(client, folder)}
        spare = keep_upload(client, base + "uploads/", "other.jpg", photograph(3))
        tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
        assert remove_old_results(client, results, tomorrow) == 1
        assert remove_old_uploads(running, client, base + "uploads/", tomorrow) == 1
        left = {found.path for found in list_objects(client, base + "uploads/")}
        assert left == {query} and spare != query
        assert policy.refused == [] and policy.used == policy.granted

        for path in (base + "private/a.jpg", base + "images-private/a.jpg", "s3://other/a.jpg"):
            with pytest.raises(LandmarkError, match="AccessDenied; give the connection's user"):
                read_object(client, path)
        for outside in (base, base + "images-private/", "s3://landmark/"):
            with pytest.raises(LandmarkError, match="AccessDenied"):
                list(list_objects(client, outside))
        with pytest.raises(LandmarkError, match="AccessDenied"):
            write_object(client, images + "new.jpg", b"", "image/jpeg")
        with pytest.raises(LandmarkError, match="AccessDenied"):
            delete_object(client, images + "1/0.jpg")
