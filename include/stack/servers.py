"""One Postgres or one S3 server for a test: temporary, on a free port of 127.0.0.1.

The fixtures::

    @pytest.fixture(scope="session")
    def postgres():
        with start_postgres() as server:
            yield server   # .dsn, .port, .admin_dsn, .create_database("other") -> its DSN

    @pytest.fixture(scope="session")
    def s3():
        with start_s3() as server:
            yield server   # .endpoint_url, .access_key, .secret_key, .client(), bucket "landmark"

The server and its data go with the `with` block, and with the process that started it.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stack.net import StackError, free_port
from stack.postgres import BARE_ENVIRONMENT, ROLES, Postgres, postgres_files
from stack.s3 import S3, make_bucket

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0


@contextmanager
def start_postgres(port: int | None = None) -> Iterator[Postgres]:
    """Run a Postgres server with the databases `landmark` and `airflow`, both with pgvector.

    Parameters
    ----------
    port : int, optional
        Any free one by default.

    Raises
    ------
    StackError
        If it does not come up; the message has the log's end.
    """
    server = Postgres(port or free_port(), {role: secrets.token_hex(16) for role in ROLES})
    with tempfile.TemporaryDirectory(prefix="landmark-postgres-") as scratch:
        # Root's own temporary folder is closed to the user that Postgres runs as; walking through
        # is enough for it.
        Path(scratch).chmod(0o711)
        files = postgres_files(Path(scratch, "postgres"))
        try:
            files.initialise(server.passwords["postgres"])
            with _running(
                "Postgres",
                files.command(server.port),
                BARE_ENVIRONMENT,
                server.answers,
                stop_signal=signal.SIGINT,  # ends sessions; SIGTERM would wait for them
                **files.identity(),
            ):
                server.create_databases()
                yield server
        finally:
            shutil.rmtree(files.data.parent, ignore_errors=True)


@contextmanager
def start_s3(port: int | None = None) -> Iterator[S3]:
    """Run an S3 server with the bucket `landmark`.

    Parameters
    ----------
    port : int, optional
        Any free one by default.

    Raises
    ------
    StackError
        If it does not come up; the message has the log's end.
    """
    server = S3(port or free_port(), secrets.token_hex(10), secrets.token_hex(20))
    with tempfile.TemporaryDirectory(prefix="landmark-s3-") as scratch:
        make_bucket(Path(scratch))
        environment = {**os.environ, **server.environment()}
        with _running("S3", server.command(Path(scratch)), environment, server.answers):
            yield server


@contextmanager
def _running(
    name: str,
    command: list[str],
    environment: Mapping[str, str],
    ready: Callable[[], bool],
    stop_signal: signal.Signals = signal.SIGTERM,
    **identity: Any,
) -> Iterator[None]:
    """Run a server inside the `with` block; it ends with the thread that started it, too."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd="/",
            start_new_session=True,
            preexec_fn=lambda: _die_with_parent(stop_signal),
            **identity,
        )
        try:
            deadline = time.monotonic() + START_TIMEOUT_S
            while not ready():
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    tail = log.read().decode(errors="replace").splitlines()[-20:]
                    raise StackError("\n".join([f"{name} did not come up; its log ends:", *tail]))
                time.sleep(0.02)
            yield
        finally:
            process.send_signal(stop_signal)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _die_with_parent(stop_signal: signal.Signals) -> None:
    """Ask the kernel for `stop_signal` when the parent dies: a killed test leaves no server."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, stop_signal)  # 1: PR_SET_PDEATHSIG
