"""Servers of Postgres beside the tests' one (a replica, one to restart); sessions ended."""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from stack.net import free_port
from stack.postgres import BARE_ENVIRONMENT, ROLES, Postgres, PostgresFiles, postgres_files
from stack.servers import _running


def end_other_sessions(connection: psycopg.Connection[Any]) -> None:
    """End what this user has open in the database of `connection`.

    Not a worker of autovacuum: it is the superuser's, and may look at any table meanwhile.
    """
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_user"
        " AND datname = current_database() AND pid <> pg_backend_pid()"
    )


@contextmanager
def standby_of(primary: Postgres) -> Iterator[Postgres]:
    """Give a hot standby that holds what was committed before, and follows."""
    server = Postgres(free_port(), primary.passwords)
    with _files() as files:
        copy = ["--pgdata", files.data, "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        subprocess.run(
            [files.programs / "pg_basebackup", "--dbname", primary.admin_dsn, *copy],
            env=BARE_ENVIRONMENT,
            cwd=files.data.parent,
            check=True,
            **files.identity(),
        )
        # It would first have the disk take in all of the copy, however busy the disk is.
        with files.data.joinpath("postgresql.auto.conf").open("a") as settings:
            settings.write("fsync = off\n")
        with _started(server, files):
            yield server


@contextmanager
def restartable() -> Iterator[tuple[Postgres, Callable[[], None]]]:
    """Give a server, and what restarts it: sessions are ended, as by ``pg_ctl restart``."""
    server = Postgres(free_port(), {role: secrets.token_hex(16) for role in ROLES})
    # A server ends with the thread that started it, and it may be one of an extraction that asks.
    with _files() as files, ThreadPoolExecutor(1) as starter, ExitStack() as running:
        files.initialise(server.passwords["postgres"])

        def start() -> None:
            running.close()
            running.enter_context(_started(server, files))

        def restart() -> None:
            starter.submit(start).result()

        restart()
        yield server, restart


@contextmanager
def _files() -> Iterator[PostgresFiles]:
    with tempfile.TemporaryDirectory(prefix="landmark-postgres-") as scratch:
        Path(scratch).chmod(0o711)
        files = postgres_files(Path(scratch, "postgres"))
        try:
            yield files
        finally:
            shutil.rmtree(files.data.parent, ignore_errors=True)


@contextmanager
def _started(server: Postgres, files: PostgresFiles) -> Iterator[None]:
    with _running(
        "Postgres",
        files.command(server.port),
        BARE_ENVIRONMENT,
        server.answers,
        stop_signal=signal.SIGINT,
        **files.identity(),
    ):
        yield
