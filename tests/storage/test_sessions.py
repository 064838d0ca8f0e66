"""Sessions that servers, databases, roles and poolers set up otherwise than ours expect."""

from __future__ import annotations

import logging
import queue
import threading

import psycopg
import pytest
from pooler import PROGRAM, pooled
from psycopg.conninfo import conninfo_to_dict
from tables import MODEL

from landmark.errors import LandmarkError
from landmark.index.describe import describe_table
from landmark.storage.connections import close_idle
from landmark.storage.database import Database
from landmark.storage.images import find_image, save_image
from landmark.storage.partitions import read_partition

needs_pgbouncer = pytest.mark.skipif(PROGRAM is None, reason="needs Debian's pgbouncer")


@pytest.fixture
def admin(empty_database, postgres):
    """The test's database as the superuser."""
    name = conninfo_to_dict(empty_database.conninfo)["dbname"]
    with psycopg.connect(postgres.url("postgres", name), autocommit=True) as connection:
        yield connection
    close_idle()


def set_for_all(admin, **settings):
    for name, value in settings.items():
        admin.execute(f"ALTER DATABASE {admin.info.dbname} SET {name} = '{value}'")
    close_idle()


# ---- settings of the server ---------------------------------------------------------------------


def test_dates_and_letters_are_read_whatever_the_database_sets(database, admin, make_view):
    set_for_all(admin, DateStyle="German", client_encoding="LATIN1", bytea_output="escape")
    path = "s3://b/日本 ü.jpg"
    save_image(database, path, MODEL, "1", make_view(1))
    assert find_image(database, path, MODEL) is not None
    assert [image.image_path for image in read_partition(database, MODEL, range(9))] == [path]
    with database.at_one_time() as frozen, frozen.connect() as connection:
        assert connection.execute("SELECT indexed_at FROM landmarks").fetchone()[0].year > 2000


LIMITS = (
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "transaction_timeout",
)


def test_what_takes_long_is_not_cancelled(database, admin):
    set_for_all(admin, **dict.fromkeys(LIMITS, "5min"))
    with database.connect() as connection, database.as_owner() as owner:
        for limit in LIMITS:
            assert connection.execute(f"SHOW {limit}").fetchone() == ("0",)
            assert owner.execute(f"SHOW {limit}").fetchone() == ("0",)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_hold_every_path_is_refused_in_one_line(postgres, encoding):
    name = f"sessions_{encoding.lower()}"
    with psycopg.connect(postgres.admin_dsn, autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} OWNER landmark ENCODING '{encoding}' TEMPLATE template0"
            " LOCALE_PROVIDER libc LOCALE 'C'"
        )
    database = Database(postgres.create_database(name))
    for use in (database.migrate, lambda: find_image(database, "s3://b/a.jpg", MODEL)):
        with pytest.raises(LandmarkError, match=f"{name}: its encoding is {encoding}") as refused:
            use()
        assert "\n" not in str(refused.value) and "ENCODING 'UTF8'" in str(refused.value)


# ---- pgvector -----------------------------------------------------------------------------------


def test_an_old_pgvector_is_told_with_what_to_run(empty_database, admin):
    admin.execute("UPDATE pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'")
    with pytest.raises(
        LandmarkError, match=r"pgvector is 0.7.4, older than 0.8; run ALTER EXTENSION vector UPDATE"
    ):
        empty_database.migrate()


def test_a_pgvector_out_of_sight_is_told_and_the_remedy_helps(
    empty_database, admin, with_role, make_view
):
    admin.execute("CREATE SCHEMA extensions; ALTER EXTENSION vector SET SCHEMA extensions")
    with pytest.raises(
        LandmarkError,
        match=r"is in the schema extensions, which is not on the search_path; run ALTER",
    ) as told:
        empty_database.migrate()
    assert "\n" not in str(told.value)
    remedy = str(told.value).partition("; run ")[2].partition(" as its owner")[0]
    with empty_database.connect() as owner:
        owner.execute(remedy)
    close_idle()
    with pytest.raises(LandmarkError, match="closed to this role; run GRANT USAGE") as told:
        empty_database.migrate()
    admin.execute(str(told.value).partition("; run ")[2].removesuffix(" as its owner"))
    close_idle()
    assert empty_database.migrate()
    tasks = Database(with_role(empty_database.conninfo, "landmark_tasks"))
    assert tasks.migrate() == []
    save_image(tasks, "s3://b/a.jpg", MODEL, "1", make_view(1))
    assert find_image(tasks, "s3://b/a.jpg", MODEL) is not None


# ---- a pooler that deals out transactions -------------------------------------------------------


@pytest.fixture
def behind_pooler(database, postgres):
    with pooled(postgres, conninfo_to_dict(database.conninfo)["dbname"]) as address:
        yield Database(address)
        close_idle()


class Said(logging.Handler):
    def __init__(self, said: queue.Queue[str]) -> None:
        super().__init__()
        self.said = said

    def emit(self, record):
        self.said.put(record.getMessage())


@needs_pgbouncer
def test_behind_a_pooler_one_is_alone(behind_pooler, monkeypatch):
    monkeypatch.setattr("landmark.storage.database.LOCK_POLL_S", 0.05)
    happened: queue.Queue[str] = queue.Queue()
    handler, logger = Said(happened), logging.getLogger("landmark.storage.database")
    logger.addHandler(handler)
    monkeypatch.setattr(logger, "level", logging.INFO)

    def other():
        with behind_pooler.alone("work"):
            happened.put("entered")

    thread = threading.Thread(target=other)
    try:
        with behind_pooler.alone("work"):
            thread.start()
            assert happened.get(timeout=60) == "waiting for another process: work"
        while happened.get(timeout=60) != "entered":
            pass
    finally:
        logger.removeHandler(handler)
        thread.join()


@needs_pgbouncer
def test_behind_a_pooler_sweeps_searches_and_descriptions_work(behind_pooler, admin, make_view):
    set_for_all(admin, DateStyle="German", statement_timeout="5min")
    assert behind_pooler.migrate() == []
    for number in range(12):  # more often than psycopg sends a statement unprepared
        save_image(behind_pooler, f"s3://b/{number}.jpg", MODEL, "1", make_view(number))
    describe_table(behind_pooler, MODEL, measure=True)
    with behind_pooler.at_one_time() as frozen:
        save_image(behind_pooler, "s3://b/new.jpg", MODEL, "1", make_view(99))
        assert len(list(read_partition(frozen, MODEL, range(99)))) == 12
    for number in range(12):
        assert find_image(behind_pooler, f"s3://b/{number}.jpg", MODEL) is not None
