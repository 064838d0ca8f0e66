"""One embedded stack for all tests that need Airflow's processes.

`tests/conftest.py` takes the fixture in with ``pytest_plugins = ["stack_fixture"]``. A test that
stops the stack, or a part of it, leaves it running again: others go on with it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from stack.airflow_api import AirflowApi
from stack.lifecycle import Session, running_session
from stack.postgres import postgres_files
from stack.state import REPOSITORY, State
from stack.supervisor import remaining_processes


class StatsdServer:
    """Takes what Airflow's processes send to StatsD, inside its `with` block.

    Attributes
    ----------
    metrics : dict
        By name without Airflow's prefix, each value as it was sent.
    """

    def __init__(self) -> None:
        self.metrics: dict[str, list[str]] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))

    @property
    def airflow_variables(self) -> dict[str, str]:
        """What tells Airflow to send here."""
        return {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(self._socket.getsockname()[1]),
        }

    def _read(self) -> None:
        while packet := self._socket.recv(65536):
            for line in packet.decode().splitlines():
                name, _, value = line.partition(":")
                self.metrics.setdefault(name.removeprefix("airflow."), []).append(value)

    def __enter__(self) -> StatsdServer:
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.sendto(b"", self._socket.getsockname())  # ends `_read`


@dataclass(frozen=True)
class Stack:
    """A stack in a folder of its own, driven as a user drives it.

    Parameters
    ----------
    folder : Path
        Its `LANDMARK_STATE`.
    prefix : sequence of str
        Put before each command: to run it as somebody else.
    variables : dict
        Added to the environment of each command.
    program : sequence of str
        What the interpreter runs with the command's arguments.
    statsd : StatsdServer, optional
        Where its metrics go.
    """

    folder: Path
    prefix: Sequence[str] = ()
    variables: dict[str, str] = field(default_factory=dict)
    program: Sequence[str] = ("-m", "stack")
    statsd: StatsdServer | None = None

    def run(self, *arguments: str, timeout_s: float = 600) -> subprocess.CompletedProcess[str]:
        """Run ``python -m stack`` with these arguments."""
        with self.popen(*arguments) as process:
            stdout, stderr = process.communicate(timeout=timeout_s)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        """Start ``python -m stack`` with these arguments."""
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("LANDMARK_", "AIRFLOW"))
        }
        return subprocess.Popen(
            [*self.prefix, sys.executable, *self.program, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            env={
                **clean,
                "PYTHONPATH": str(REPOSITORY / "include"),
                "LANDMARK_STATE": str(self.folder),
                **self.variables,
            },
        )

    @property
    def state(self) -> State:
        """Its state folder."""
        return State(self.folder)

    @property
    def session(self) -> Session:
        """Its addresses and the environment of its processes, as they are now."""
        session = running_session(self.state)
        assert session is not None, "the stack does not run"
        return session

    @property
    def api(self) -> AirflowApi:
        """Its Airflow, logged in."""
        return AirflowApi(self.session.addresses)

    def processes(self) -> list[psutil.Process]:
        """All of its processes."""
        home = self.state.postgres
        # Of somebody else's stack root would be told, and make, the place that its own would have.
        data = home / "data" if self.prefix else postgres_files(home).data
        return remaining_processes(self.state, data)


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that root's Postgres, which is not root, can walk to (pytest's is not)."""
    with tempfile.TemporaryDirectory(prefix="landmark-stack-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A running stack, of this session of tests."""
    with open_folder() as folder, StatsdServer() as statsd:
        yield from _run_stack(Stack(folder, variables=statsd.airflow_variables, statsd=statsd))


def _run_stack(stack: Stack) -> Iterator[Stack]:
    result = stack.run("up")
    try:
        assert result.returncode == 0, result.stdout + result.stderr
        yield stack
    finally:
        result = stack.run("down")
        left = stack.processes()
        for process in left:
            process.kill()
        assert result.returncode == 0, result.stdout + result.stderr
        assert not left
