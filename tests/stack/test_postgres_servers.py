"""What docs/operations.md says of replicas, restarts and collations, on servers of Postgres."""

from __future__ import annotations

from itertools import count

import numpy as np
import psycopg
import pytest
from postgres_servers import restartable, standby_of
from psycopg.conninfo import conninfo_to_dict
from s3_lookalike import lookalike

from landmark.errors import ServerFault
from landmark.extraction.decoding import DecodedImage
from landmark.index.describe import describe_table
from landmark.index.extract import extract_batch
from landmark.index.sweep import finish_sweep, plan_sweep
from landmark.search import rank
from landmark.search.comparison import Query
from landmark.search.rank import rank_alone
from landmark.storage.connections import close_idle
from landmark.storage.database import Database
from landmark.storage.images import count_images, save_image
from landmark.storage.partitions import list_partitions

MODEL, PREFIX, IMAGES = "m", "s3://b/images/", 40


def fill(database, make_view):
    for place in range(12):
        for view in range(3):
            save_image(database, f"s3://b/{place}/{view}.jpg", MODEL, "1", make_view(place, view))


def search(client, database, make_view, **options):
    query = Query("s3://b/q.jpg", make_view(3, 9))
    options = {"min_inliers": 3, "shortlist": 20, **options}
    found = rank_alone(database, client, MODEL, query, 100, **options)
    assert len(found.matches) >= 2
    return found.to_text()


# ---- a replica ----------------------------------------------------------------------------------


def test_a_replica_can_be_searched_and_refuses_the_rest_in_one_line(
    database, postgres, dask_client, make_view
):
    fill(database, make_view)
    describe_table(database, MODEL, measure=True)
    modes = ("exhaustive", "shortlist")
    expected = [search(dask_client, database, make_view, mode=mode) for mode in modes]
    with standby_of(postgres) as server:
        name = conninfo_to_dict(database.conninfo)["dbname"]
        replica = Database(server.url("landmark", name))
        found = [search(dask_client, replica, make_view, mode=mode) for mode in modes]
        assert found == expected
        assert replica.migrate() == []
        with pytest.raises(ServerFault, match="takes no writes.* name the primary") as refused:
            save_image(replica, "s3://b/new.jpg", MODEL, "1", make_view(1))
        assert "\n" not in str(refused.value)
        # A search that reads at one point in time reads one server.
        with pytest.raises(ServerFault, match="names another server.* name the same") as refused:
            search(dask_client, database, make_view, worker_database=replica)
        assert "\n" not in str(refused.value)
        # What an operator names instead of one host finds the one that takes writes.
        ports = f"{server.port},{postgres.port}"
        parts = {**conninfo_to_dict(database.conninfo), "host": "127.0.0.1,127.0.0.1"}
        both = {**parts, "port": ports, "target_session_attrs": "read-write"}
        save_image(
            Database(psycopg.conninfo.make_conninfo(**both)), "s3://b/new", MODEL, "1", make_view(1)
        )
        assert count_images(database, MODEL) == 37
        close_idle()


def test_an_older_replica_is_not_migrated(empty_database, postgres):
    empty_database.migrate(last=3)
    with standby_of(postgres) as server:
        name = conninfo_to_dict(empty_database.conninfo)["dbname"]
        with pytest.raises(ServerFault, match="takes no writes"):
            Database(server.url("landmark", name)).migrate()
        close_idle()


# ---- restarts -----------------------------------------------------------------------------------


class MadeUp:
    """Gives the features of a place for whatever is read; something happens in the middle."""

    def __init__(self, features, model, in_the_middle):
        self._features, self.model = features, model
        self._calls, self._in_the_middle = count(1), in_the_middle

    def decode(self, data, name):
        return DecodedImage(np.frombuffer(data, np.uint8), 1, 1)

    def extract_decoded(self, image, name):
        if next(self._calls) == IMAGES // 2:
            self._in_the_middle()
        return self._features


@pytest.fixture
def own_server():
    with restartable() as (server, restart):
        database = Database(server.create_database("landmark"))
        database.migrate()
        yield database, restart
        close_idle()


def test_a_restart_in_the_middle_of_a_sweep_loses_nothing(own_server, make_view, bundled_model):
    database, restart = own_server
    objects = {f"images/{number:02d}.jpg": b"%d" % number for number in range(IMAGES)}
    extractor = MadeUp(make_view(1, n=5), bundled_model, restart)
    with lookalike(objects) as (_, client):
        plan_sweep(
            database, client, "s", bundled_model.fingerprint, PREFIX, "s3://b/results/", 1024
        )
        for _ in range(2):  # as Airflow does, which tries again
            try:
                extract_batch(database, client, extractor, "s", 0)
                break
            except psycopg.OperationalError:
                close_idle()
    done = finish_sweep(database, "s")
    assert (done.indexed, done.failed, done.left) == (IMAGES, 0, 0)
    assert count_images(database, bundled_model.fingerprint) == IMAGES


def test_a_restart_in_the_middle_of_a_search_is_told_and_the_next_finds_the_same(
    own_server, make_view, dask_client, monkeypatch
):
    database, restart = own_server
    fill(database, make_view)
    expected = search(dask_client, database, make_view)

    def then_restart(*arguments):
        found = list_partitions(*arguments)
        restart()
        return found

    monkeypatch.setattr(rank, "list_partitions", then_restart)
    with pytest.raises(ServerFault, match=r"snapshot .*Postgres was restarted") as told:
        search(dask_client, database, make_view)
    assert "\n" not in str(told.value)
    monkeypatch.undo()
    assert search(dask_client, database, make_view) == expected


# ---- collations ---------------------------------------------------------------------------------


def test_no_index_depends_on_the_order_of_a_language(database):
    with database.connect() as connection:
        found = connection.execute(
            "SELECT indexrelid::regclass::text, collname FROM pg_index"
            " JOIN pg_class ON pg_class.oid = indrelid, unnest(indcollation) AS part(number)"
            " JOIN pg_collation ON pg_collation.oid = part.number"
            " WHERE starts_with(relname, 'landmark')"
        ).fetchall()
    assert found and {collation for _, collation in found} == {"C"}, found
