"""The few calls of Airflow's REST API that the demo and the tests need."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import quote

from stack.environment import UI_USER, Addresses
from stack.net import NoAnswer, StackError, request

ENDED = ("success", "failed")
POLL_S = 0.5


class DagRun(NamedTuple):
    """A run of a DAG.

    Parameters
    ----------
    run_id, state : str
    started : datetime or None
        None while it is queued.
    """

    run_id: str
    state: str
    started: datetime | None


class AirflowApi:
    """Airflow's REST API, as the UI's user.

    Parameters
    ----------
    addresses : Addresses
        Of the running stack.
    """

    def __init__(self, addresses: Addresses) -> None:
        self.url = addresses.ui
        login = {"username": UI_USER, "password": addresses.ui_password}
        self._token: str | None = None
        self._token = self.call("/auth/token", login)["access_token"]

    def call(self, path: str, body: Any = None) -> Any:
        """GET `path`, or POST `body` to it, and return the answer.

        Raises
        ------
        StackError
            If Airflow refuses; with its reason. `NoAnswer` if it does not answer.
        """
        try:
            status, answer = request(self.url + path, body, self._token)
        except OSError as error:
            raise NoAnswer(
                f"Airflow at {self.url} does not answer to {path}: {error}; "
                f"once the machine is less busy, the same command goes on"
            ) from error
        if status >= 400:
            detail = answer.get("detail") if isinstance(answer, dict) else answer
            raise StackError(f"Airflow answers {status} to {path}: {detail}")
        return answer

    def wait_for_dag(self, dag_id: str, timeout_s: float = 120) -> None:
        """Wait until a DAG's file has been read.

        Raises
        ------
        StackError
            If it is not there in time; with the file's error, if it has one.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if request(f"{self.url}/api/v2/dags/{dag_id}", token=self._token)[0] == 200:
                return
            errors = self.call("/api/v2/importErrors")["import_errors"]
            for error in errors:
                if dag_id in error["filename"]:
                    last = error["stack_trace"].strip().splitlines()[-1]
                    raise StackError(f"{error['filename']} cannot be read: {last}")
            time.sleep(POLL_S)
        raise StackError(f"the DAG {dag_id} did not appear within {timeout_s:.0f} s")

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Start a run of a DAG and return its id."""
        body = {"logical_date": None, "conf": conf or {}}
        run: dict[str, str] = self.call(f"/api/v2/dags/{dag_id}/dagRuns", body)
        return run["dag_run_id"]

    def runs(self, dag_id: str) -> list[DagRun]:
        """Return the latest hundred runs of a DAG, oldest first."""
        path = f"/api/v2/dags/{dag_id}/dagRuns?order_by=-run_after&limit=100"
        found = [
            DagRun(
                run["dag_run_id"],
                run["state"],
                run["start_date"] and datetime.fromisoformat(run["start_date"]),
            )
            for run in self.call(path)["dag_runs"]
        ]
        return found[::-1]

    def wait(
        self,
        dag_id: str,
        run_id: str,
        timeout_s: float = 3600,
        on_change: Callable[[str], None] = lambda progress: None,
    ) -> None:
        """Wait until a run has succeeded.

        Parameters
        ----------
        on_change : callable
            Told in a few words what runs, whenever that changes.

        Raises
        ------
        StackError
            If the run fails or takes too long; with the failed tasks' names.
        """
        run = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"
        deadline, last = time.monotonic() + timeout_s, ""
        while time.monotonic() < deadline:
            try:
                state = self.call(run)["state"]
                tasks = self.call(f"{run}/taskInstances?limit=1000")["task_instances"]
            except NoAnswer:  # the run takes what there is of the machine
                time.sleep(POLL_S)
                continue
            progress = _progress(tasks) or last or state
            if progress != last and state not in ENDED:
                on_change(progress)
                last = progress
            if state == "success":
                return
            if state == "failed":
                failed = {task["task_id"] for task in tasks if task["state"] == "failed"}
                raise StackError(
                    f"{dag_id} failed in {', '.join(sorted(failed)) or 'no task'}; "
                    f"its log: {self.url}/dags/{dag_id}/runs/{quote(run_id, safe='')}"
                )
            time.sleep(POLL_S)
        raise StackError(f"{dag_id} ({run_id}) has not ended after {timeout_s:.0f} s")


def _progress(tasks: list[dict[str, Any]]) -> str:
    """Say what runs: ``extract_batch 3 of 8``, or ``draw_matches``."""
    words = []
    for name in sorted({task["task_id"] for task in tasks if task["state"] == "running"}):
        same = [task for task in tasks if task["task_id"] == name]
        done = sum(task["state"] == "success" for task in same)
        words.append(f"{name} {done + 1} of {len(same)}" if len(same) > 1 else name)
    return ", ".join(words)
