"""The folder that outlives `down`: ``.stack`` in the repository, or `LANDMARK_STATE`."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stack.net import StackError

REPOSITORY = Path(__file__).resolve().parents[2]
#: The kernel takes 107 bytes for a unix socket's path; supervisord appends its process id.
MAX_SOCKET_PATH_BYTES = 90


@dataclass(frozen=True)
class State:
    """The state folder.

    Nobody else can list it; root leaves it open to walk through, for the user of Postgres.
    """

    folder: Path

    @classmethod
    def of_environment(cls) -> State:
        """Return the state folder that `LANDMARK_STATE` names, by default ``.stack``."""
        return cls(Path(os.environ.get("LANDMARK_STATE") or REPOSITORY / ".stack").resolve())

    def make(self) -> None:
        """Make the folder and its rooms."""
        if os.geteuid() == 0:
            make_open(self.folder)
            self.folder.chmod(0o711)
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.folder.chmod(0o700)
        for room in (self.run, self.logs, self.airflow, self.s3, self.dask):
            room.mkdir(mode=0o700, exist_ok=True)

    @property
    def run(self) -> Path:
        """What belongs to the running stack; also the working folder of its processes."""
        return self.folder / "run"

    @property
    def logs(self) -> Path:
        """One log a part."""
        return self.folder / "logs"

    @property
    def airflow(self) -> Path:
        """`AIRFLOW_HOME`."""
        return self.folder / "airflow"

    @property
    def postgres(self) -> Path:
        """Postgres' home, unless its user cannot walk to it (`stack.postgres`)."""
        return self.folder / "postgres"

    @property
    def s3(self) -> Path:
        """Buckets as folders, objects as files."""
        return self.folder / "s3"

    @property
    def dask(self) -> Path:
        """Scratch space of the Dask workers."""
        return self.folder / "dask"

    @property
    def dask_certificate(self) -> Path:
        """What Dask's scheduler, workers and clients know each other by; its key is in it."""
        return self.folder / "dask.pem"

    @property
    def socket(self) -> Path:
        """The supervisor's socket; in a short folder where this one's path is too long."""
        socket = self.run / "supervisor.sock"
        if len(os.fsencode(socket)) <= MAX_SOCKET_PATH_BYTES:
            return socket
        key = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]
        short = Path(tempfile.gettempdir(), f"landmark-{os.geteuid()}-{key}")
        short.mkdir(mode=0o700, exist_ok=True)
        if short.stat().st_uid != os.geteuid():
            raise StackError(f"{short} belongs to somebody else; remove it or set TMPDIR")
        return short / "supervisor.sock"

    def secret(self, name: str, generate: Callable[[], str] = lambda: secrets.token_hex(32)) -> str:
        """Return a secret of this state, generated when first asked for."""
        file = self.folder / "secrets.json"
        known: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
        if name not in known:
            known[name] = generate()
            write_private(file, known)
        return known[name]

    def save_session(self, session: dict[str, Any]) -> None:
        """Keep what the running stack was started with."""
        write_private(self.run / "session.json", session)

    def load_session(self) -> dict[str, Any] | None:
        """Return what the running stack was started with; None if there is none."""
        try:
            session: dict[str, Any] = json.loads((self.run / "session.json").read_text())
        except FileNotFoundError:
            return None
        return session

    def forget_session(self) -> None:
        """Say that the stack runs no more."""
        (self.run / "session.json").unlink(missing_ok=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Let one `up` or `down` at a time work on this folder; the second waits."""
        with (self.folder / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("  waiting for another `up` or `down` to end", flush=True)
                fcntl.flock(file, fcntl.LOCK_EX)
            yield


def make_open(folder: Path) -> None:
    """Make a folder that others can walk to and through but not list, whatever the umask."""
    for place in (*reversed(folder.parents), folder):
        if not place.exists():
            place.mkdir(exist_ok=True)  # another `up` may be doing the same
            place.chmod(0o711)


def write_private(file: Path, content: Any) -> None:
    """Write JSON that only its owner can read; whoever reads meanwhile sees all or nothing."""
    write_private_text(file, json.dumps(content, indent=1))


def write_private_text(file: Path, text: str) -> None:
    """Write text that only its owner can read; whoever reads meanwhile sees all or nothing."""
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.replace(file)
