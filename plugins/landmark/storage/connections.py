"""Connections to Postgres, kept for a while: making one costs as much as reading thirty images.

psycopg's pool is for servers: where Postgres refuses, its users wait and are told of a time-out
instead of the reason.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import psycopg

# Of this process, one for each thread that extracts; more at once are made and closed again.
MOST_IDLE = 8
# Beyond it a firewall may have forgotten the connection without telling.
LONGEST_IDLE_S = 60.0


class _Idle(NamedTuple):
    process: int
    conninfo: str
    since: float
    connection: psycopg.Connection[Any]


_idle: list[_Idle] = []
_lock = threading.Lock()


@contextmanager
def connect(conninfo: str) -> Iterator[psycopg.Connection[Any]]:
    """One connection, one transaction: committed at the end, rolled back on an error."""
    connection = _take(conninfo) or psycopg.connect(conninfo, application_name="landmark")
    try:
        with connection.transaction():
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
            with suppress(psycopg.OperationalError):
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
