"""Connections to Postgres, kept for a while: making one costs as much as reading thirty images.

psycopg's pool is for servers: where Postgres refuses, its users wait and are told of a time-out
instead of the reason.

Each transaction says what it relies on, for its own length: what the server, the database or the
role set differs, and a pooler may give each transaction another session.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Literal, NamedTuple

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from landmark.errors import LandmarkError

# Of this process, one for each thread that extracts; more at once are made and closed again.
MOST_IDLE = 8
# Beyond it a firewall may have forgotten the connection without telling.
LONGEST_IDLE_S = 60.0

# Dates as psycopg reads them. Each of our tasks has a time limit of its own: a listing may take
# longer than a server lets others' statements or transactions take.
SETTINGS = {
    "DateStyle": "ISO, MDY",
    "bytea_output": "hex",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
# A server that says nothing, or a firewall that has forgotten a connection, as it does with one
# that only holds a snapshot or a lock while others work: noticed within a minute,
# where the system's own limits are minutes to connect and hours to wait. Work that takes long is
# none of that: the server's system answers for it.
SILENCE: dict[str, int] = {
    "connect_timeout": 10,  # s, for each address
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # ms
}
SINCE_17 = {"transaction_timeout": "0"}


class _Idle(NamedTuple):
    process: int
    conninfo: str
    since: float
    connection: psycopg.Connection[Any]


# What a new connection says of itself beside its conninfo: a password that is good for minutes.
Login = Callable[[], Mapping[str, Any]]

_idle: list[_Idle] = []
_lock = threading.Lock()


def open_connection(conninfo: str, **options: Any) -> psycopg.Connection[Any]:
    """A new connection, which speaks UTF-8 and keeps no statements in the server.

    What is kept there is another client's behind a pooler that deals out transactions. What
    `conninfo` says of time-outs holds, or libpq's environment; else `SILENCE`.

    Raises
    ------
    LandmarkError
        If the database cannot hold every path.
    """
    said = conninfo_to_dict(conninfo).keys() | _from_environment()
    options = {"application_name": "landmark", "prepare_threshold": None, **options}
    options |= {name: value for name, value in SILENCE.items() if name not in said}
    connection = psycopg.connect(conninfo, client_encoding="UTF8", **options)
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        name = connection.info.dbname
        connection.close()
        raise LandmarkError(
            f"database {name}: its encoding is {encoding}, which cannot hold every path; make "
            f"another by CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, and name that one"
        )
    return connection


def _from_environment() -> set[str]:
    """What libpq takes from its variables, such as `PGCONNECT_TIMEOUT`."""
    return {
        option.keyword.decode()
        for option in Conninfo.get_defaults()
        if option.envvar and option.envvar.decode() in os.environ
    }


def pin(connection: psycopg.Connection[Any], scope: Literal["LOCAL", "SESSION"] = "LOCAL") -> None:
    """Let a transaction that has begun, or a session, not depend on the server's settings."""
    known = {**SETTINGS, **(SINCE_17 if connection.info.server_version >= 170_000 else {})}
    # One message; and no SELECT, after which a transaction takes no snapshot of another's.
    connection.execute(
        sql.SQL("; ").join(
            sql.SQL("SET {} {} TO {}").format(sql.SQL(scope), sql.Identifier(name), value)
            for name, value in known.items()
        )
    )


@contextmanager
def connect(conninfo: str, login: Login = dict) -> Iterator[psycopg.Connection[Any]]:
    """One connection, one transaction: committed at the end, rolled back on an error."""
    connection = _take(conninfo) or open_connection(conninfo, **login())
    try:
        with connection.transaction():
            pin(connection)
            yield connection
    except BaseException:
        connection.close()
        raise
    _keep(conninfo, connection)


def close_idle() -> None:
    """Close what this process keeps; Postgres then counts what these connections have read."""
    with _lock:
        ours = [one for one in _idle if one.process == os.getpid()]
        _idle[:] = [one for one in _idle if one not in ours]
    for one in ours:
        one.connection.close()


def _take(conninfo: str) -> psycopg.Connection[Any] | None:
    """An idle connection that is alive still."""
    process, now = os.getpid(), time.monotonic()
    while True:
        with _lock:
            # Those of the process that this one was forked from are not ours to use or close.
            ours = [one for one in _idle if one.process == process and one.conninfo == conninfo]
            if not ours:
                return None
            found = ours[-1]
            _idle.remove(found)
        if now - found.since < LONGEST_IDLE_S:
            with suppress(psycopg.Error):  # whatever a server, or its role's settings, ends it by
                found.connection.execute("SELECT")
                found.connection.rollback()
                return found.connection
        found.connection.close()


def _keep(conninfo: str, connection: psycopg.Connection[Any]) -> None:
    with _lock:
        _idle.append(_Idle(os.getpid(), conninfo, time.monotonic(), connection))
        surplus = _idle.pop(0).connection if len(_idle) > MOST_IDLE else None
    if surplus is not None:
        surplus.close()
