"""Connections that a process keeps, on a real Postgres."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import psycopg
import pytest

from landmark.storage import connections
from landmark.storage.connections import MOST_IDLE, connect, open_connection
from landmark.storage.database import Database

PID = "SELECT pg_backend_pid()"


@pytest.fixture
def conninfo(empty_database):
    return empty_database.conninfo


def backend(conninfo: str) -> int:
    with connect(conninfo) as connection:
        return connection.execute(PID).fetchone()[0]


def test_a_connection_is_used_again_each_time_in_a_transaction_of_its_own(conninfo):
    with connect(conninfo) as connection:
        first = connection.execute(PID).fetchone()[0]
        connection.execute("CREATE TABLE numbers (n integer)")
    with connect(conninfo) as connection:
        assert connection.execute(PID).fetchone()[0] == first
        assert connection.execute("SELECT count(*) FROM numbers").fetchone() == (0,)


def test_an_error_rolls_back(conninfo):
    def fail() -> None:
        with connect(conninfo) as connection:
            connection.execute("CREATE TABLE numbers (n integer)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with connect(conninfo) as connection:
        assert connection.execute("SELECT to_regclass('numbers')").fetchone() == (None,)


def test_two_at_once_are_two(conninfo):
    with connect(conninfo) as one, connect(conninfo) as other:
        assert one.execute(PID).fetchone() != other.execute(PID).fetchone()


def test_a_connection_that_postgres_has_ended_is_not_used_again(conninfo, postgres):
    first = backend(conninfo)
    with psycopg.connect(postgres.admin_dsn, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", [first])
    assert backend(conninfo) != first


def test_one_that_was_idle_for_long_is_not_used_again(conninfo, monkeypatch):
    first = backend(conninfo)
    monkeypatch.setattr(connections, "LONGEST_IDLE_S", 0.0)
    assert backend(conninfo) != first


# ---- a server that says nothing -----------------------------------------------------------------


@pytest.fixture
def silent():
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"postgresql://nobody@127.0.0.1:{server.getsockname()[1]}/none"


def test_a_server_that_does_not_answer_is_not_waited_for_without_end(silent, monkeypatch):
    monkeypatch.setitem(connections.SILENCE, "connect_timeout", 2)  # psycopg's least
    with pytest.raises(psycopg.errors.ConnectionTimeout), connect(silent):
        pass
    with pytest.raises(psycopg.errors.ConnectionTimeout), Database(silent).at_one_time():
        pass


def limits(connection: psycopg.Connection) -> dict[str, int]:
    """What the system does about a connection on which nothing comes, and libpq's own."""
    with socket.socket(fileno=os.dup(connection.fileno())) as own:
        asked = {
            name: own.getsockopt(socket.IPPROTO_TCP, option)
            for name, option in {
                "tcp_user_timeout": socket.TCP_USER_TIMEOUT,
                "keepalives_idle": socket.TCP_KEEPIDLE,
                "keepalives_interval": socket.TCP_KEEPINTVL,
                "keepalives_count": socket.TCP_KEEPCNT,
            }.items()
        }
        assert own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    timeout = connection.info.get_parameters().get("connect_timeout", 0)
    return {**asked, "connect_timeout": int(timeout)}


def test_every_connection_notices_that_its_server_is_silent(conninfo):
    with connect(conninfo) as connection:
        assert limits(connection) == connections.SILENCE
    with open_connection(conninfo, autocommit=True) as connection:
        assert limits(connection) == connections.SILENCE


def test_what_a_users_connection_says_of_it_holds(conninfo, monkeypatch):
    with connect(f"{conninfo}?connect_timeout=77&tcp_user_timeout=5000") as connection:
        assert limits(connection) == {
            **connections.SILENCE,
            "connect_timeout": 77,
            "tcp_user_timeout": 5000,
        }
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "78")
    with open_connection(conninfo) as connection:
        assert limits(connection)["connect_timeout"] == 78


def test_few_are_kept(conninfo, postgres):
    for number in range(MOST_IDLE + 3):
        backend(f"{conninfo}?application_name=kept{number}")
    with psycopg.connect(postgres.admin_dsn) as admin:
        kept = admin.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'kept%'"
        )
        assert kept.fetchone()[0] <= MOST_IDLE


def test_a_forked_process_leaves_its_parents_connections_alone(conninfo):
    program = (
        "import os, sys; from landmark.storage.connections import connect\n"
        "def pid():\n"
        "    with connect(sys.argv[1]) as connection:\n"
        "        return connection.execute('SELECT pg_backend_pid()').fetchone()\n"
        "first = pid()\n"
        "child = os.fork()\n"
        "if not child: os._exit(pid() == first)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "assert pid() == first\n"
    )
    environment = {**os.environ, "PYTHONPATH": "plugins"}
    subprocess.run([sys.executable, "-c", program, conninfo], env=environment, check=True)
