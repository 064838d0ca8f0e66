"""A stack of its own to break: fresh tables, runs of the DAGs, processes, final states."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg
from dask.distributed import Client, Security

from benchmarks.faults.proxy import FaultProxy
from stack import lifecycle
from stack.airflow_api import ENDED, AirflowApi
from stack.net import StackError
from stack.parts import Part, stack_parts
from stack.postgres import postgres_files
from stack.s3 import BUCKET
from stack.state import State
from stack.supervisor import Supervisor, remaining_processes

SEARCHED = "queries/courtyard.jpg"
POLL_S = 0.05
SETTLE_S = 60.0
#: What differs between two runs of one search.
VARYING = re.compile(rb'^# index time: .*$|^ "(index_time|run_id)": .*$', re.M)
TABLES = "landmarks, landmark_failures, landmark_sweeps, landmark_sweep_images"
#: Locks that a finished run may have left, and sessions that hold them.
LEFT_LOCKS = """
SELECT count(*) FROM pg_locks LEFT JOIN pg_database ON pg_database.oid = database
WHERE pid <> pg_backend_pid() AND (datname = 'landmark' OR pid IN (
    SELECT pid FROM pg_stat_activity WHERE datname = 'landmark'))
"""
LEFT_SESSIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = 'landmark' AND pid <> pg_backend_pid() AND backend_type = 'client backend'
    AND state <> 'idle'
"""


class Unsettled(Exception):
    """Something did not come about in its time."""


def wait_until(
    what: str, condition: Callable[[], Any], timeout_s: float, poll_s: float = POLL_S
) -> Any:
    """The first true answer of `condition`; servers may be away meanwhile."""
    deadline, last = time.monotonic() + timeout_s, None
    while time.monotonic() < deadline:
        try:
            if found := condition():
                return found
        except (StackError, OSError, psycopg.Error, KeyError, TypeError) as error:
            last = error
        time.sleep(poll_s)
    raise Unsettled(f"{what}: not within {timeout_s:.0f} s" + (f" ({last})" if last else ""))


@dataclass
class Bench:
    """A running stack whose DAGs reach S3 through a proxy.

    Parameters
    ----------
    session : Session
    proxy : FaultProxy
    scratch : Path
        For files that workers wait for.
    """

    session: lifecycle.Session
    proxy: FaultProxy
    scratch: Path
    _api: AirflowApi | None = None
    _seen: set[str] = field(default_factory=set)

    # ---- servers --------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        return self.session.addresses.state

    @property
    def api(self) -> AirflowApi:
        if self._api is None:
            self._api = AirflowApi(self.session.addresses)
        return self._api

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(self.state)

    @property
    def s3(self) -> Any:
        """The server itself, past the proxy."""
        return self.session.addresses.s3.client()

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.session.addresses.postgres.url("postgres", "landmark"),
                               autocommit=True, connect_timeout=5)  # fmt: skip

    def one(self, query: str) -> Any:
        with self.connect() as connection:
            row = connection.execute(query).fetchone()
        assert row is not None
        return row[0]

    def pid(self, part: str) -> int:
        return self.supervisor.processes()[part]["pid"]

    @property
    def parts(self) -> dict[str, Part]:
        files = postgres_files(self.state.postgres)
        parts = stack_parts(self.session.addresses, self.session.variables, files)
        return {part.name: part for part in parts}

    def wait_until_well(self) -> None:
        """Every part runs and does its work, as ``make status`` would say."""
        for part in self.parts.values():
            if part.ready is not None:
                wait_until(part.name, part.ready, 180, 0.5)

    def dask(self) -> Client:
        certificate = str(self.state.dask_certificate)
        security = Security(
            require_encryption=True, tls_ca_file=certificate, tls_client_cert=certificate
        )
        address = self.session.addresses.dask
        return Client(address, timeout=30, set_as_default=False, security=security)

    # ---- runs -----------------------------------------------------------------------------------

    def fresh(self) -> None:
        """Empty tables and no results; the photographs stay."""
        with self.connect() as connection:
            connection.execute(f"TRUNCATE {TABLES}, landmark_aggregations RESTART IDENTITY CASCADE")
        for key in self.keys("results/"):
            self.s3.delete_object(Bucket=BUCKET, Key=key)

    def trigger(self, dag_id: str, **conf: Any) -> str:
        return self.api.trigger(dag_id, conf)

    def run_state(self, dag_id: str, run_id: str) -> str:
        return self.api.call(f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}")["state"]

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        run = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"
        return self.api.call(f"{run}/taskInstances?limit=1000")["task_instances"]

    def task_pid(self, dag_id: str, run_id: str, task_id: str) -> int:
        """Of a running task (the first of a mapped one), once it runs."""
        return wait_until(
            f"{task_id} runs",
            lambda: next(
                task["pid"]
                for task in self.tasks(dag_id, run_id)
                if task["task_id"] == task_id and task["state"] == "running" and task["pid"]
            ),
            120,
        )

    def wait(self, dag_id: str, run_id: str, timeout_s: float = 900) -> str:
        """How a run has ended; Airflow may be away for a while."""

        def ended() -> str | None:
            state = self.run_state(dag_id, run_id)
            return state if state in ENDED else None

        return wait_until(f"{dag_id} {run_id}", ended, timeout_s, 0.5)

    def wait_for_retry(self, dag_id: str, run_id: str) -> None:
        """A task has failed, and is to be tried again."""
        wait_until(
            f"a task of {run_id} fails",
            lambda: any(t["state"] == "up_for_retry" for t in self.tasks(dag_id, run_id)),
            300,
        )

    def reasons(self, dag_id: str, run_id: str) -> list[str]:
        """What the tasks that have failed tell."""
        run = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances"
        found = []
        for task in self.tasks(dag_id, run_id):
            if task["state"] in ("up_for_retry", "failed"):
                entry = f"{task['task_id']}/xcomEntries/reason?map_index={task['map_index']}"
                with suppress(StackError):  # it was killed, and tells nothing
                    found.append(self.api.call(f"{run}/{entry}")["value"])
        return found

    def tries(self, dag_id: str, run_id: str) -> int:
        """Tries of all its tasks beyond the first of each."""
        return sum(max(0, task["try_number"] - 1) for task in self.tasks(dag_id, run_id))

    def runs(self, dag_id: str) -> int:
        return self.api.call(f"/api/v2/dags/{dag_id}/dagRuns")["total_entries"]

    def index(self) -> str:
        return self.wait("landmark_index", self.trigger("landmark_index"))

    # ---- the middle of a run --------------------------------------------------------------------

    def rows(self) -> int:
        return self.one("SELECT count(*) FROM landmarks")

    def wait_for_rows(self, rows: int) -> None:
        wait_until(f"{rows} rows", lambda: self.rows() >= rows, 300, 0.02)

    @contextmanager
    def held_search(self) -> Iterator[Callable[[], None]]:
        """Workers stop in the middle of reading rows until the block ends, or a call lets them go.

        A worker that is started meanwhile does not.
        """
        hold = self.scratch / "hold"
        for file in self.scratch.glob("hold-*"):
            file.unlink()
        hold.touch()
        with self.dask() as client:
            client.run(_holding(str(hold)))
        try:
            yield lambda: hold.unlink(missing_ok=True)
        finally:
            hold.unlink(missing_ok=True)

    def wait_until_held(self) -> None:
        """A worker has read a row, and Dask says that it computes."""
        wait_until("a worker reads", lambda: list(self.scratch.glob("hold-*")), 180)
        with self.dask() as client:
            wait_until("tasks are processed", lambda: any(client.processing().values()), 30)

    # ---- what is there afterwards ---------------------------------------------------------------

    def keys(self, prefix: str) -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def table(self) -> dict[str, tuple[str, str]]:
        """Of each image path the etag, and a digest of all that was extracted."""
        with self.connect() as connection:
            rows = connection.execute(
                "SELECT image_path, etag, md5(width::text || ' ' || height || ' ' || n_features"
                " || ' ' || encode(locations, 'hex') || encode(descriptors, 'hex')"
                " || encode(scales, 'hex') || encode(attention, 'hex')) FROM landmarks"
            ).fetchall()
        assert len({row[0] for row in rows}) == len(rows), "an image twice"
        return {path: (etag, digest) for path, etag, digest in rows}

    def failures(self) -> set[tuple[str, str]]:
        with self.connect() as connection:
            return set(connection.execute("SELECT image_path, etag FROM landmark_failures"))

    def result(self, folder: str) -> dict[str, str]:
        """Of each file of a result a digest, without what says when and where it was made."""
        files = {
            key.removeprefix(folder): self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            for key in self.keys(folder)
        }
        return {
            name: hashlib.sha256(
                VARYING.sub(b"", content.replace(folder.rstrip("/").encode(), b""))
            ).hexdigest()
            for name, content in files.items()
        }

    def leftovers(self) -> list[str]:
        """What should not be there once everything has ended; waits a little for it to go."""
        left: list[str] = []

        def nothing() -> bool:
            left[:] = self._leftovers()
            return not left

        with suppress(Unsettled):
            wait_until("nothing is left", nothing, SETTLE_S, 1)
        return left

    def _leftovers(self) -> list[str]:
        left = []
        supervisord = psutil.Process(int((self.state.run / "supervisord.pid").read_text()))
        known = {process.pid for process in supervisord.children(recursive=True)}
        for process in remaining_processes(self.state, postgres_files(self.state.postgres).data):
            if process.pid not in known | {supervisord.pid}:
                left.append(f"process {' '.join(process.cmdline())[:60]}")
        left += [f"{n} locks" for n in [self.one(LEFT_LOCKS)] if n]
        left += [f"{n} sessions" for n in [self.one(LEFT_SESSIONS)] if n]
        left += [
            f"{n} images of a sweep unsettled"
            for n in [self.one("SELECT count(*) FROM landmark_sweep_images WHERE outcome IS NULL")]
            if n
        ]
        files = [path for path in (self.state.s3 / BUCKET).rglob("*") if path.is_file()]
        left += [f"file {path.name}" for path in files if ".partial" in path.name]
        return left


def _holding(hold: str) -> Callable[[], None]:
    """What has a worker stop after a partition's first row while the file `hold` is there.

    A local function: it is pickled with its code, since workers know nothing of this module.
    """

    def hold_reading() -> None:
        import os
        import time
        from pathlib import Path

        from landmark.search import fanout

        file, names = Path(hold), vars(fanout)
        if "read_at_once" in names:
            return
        names["read_at_once"] = read = names["read_partition"]

        def read_held(*arguments: Any, **options: Any) -> Iterator[Any]:
            for image in read(*arguments, **options):
                while file.exists():
                    Path(f"{hold}-{os.getpid()}").touch()
                    time.sleep(0.02)
                yield image

        names["read_partition"] = read_held

    return hold_reading
