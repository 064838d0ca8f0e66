"""Airflow's scheduler, which wakes when there is work: ``python -m stack.waking scheduler``.

Airflow's own sleeps for a fixed time whenever it has found nothing to do. Short, that costs a look
at many tables several times a second for nothing; long, each search waits for it, twice. Here the
sleep is long, and ends as soon as somebody has triggered a run or a task has ended: each is known
by a glance at a number or two.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from itertools import count
from typing import Any

import psycopg

#: Between two glances at whether a task has ended, while one runs.
GLANCE_S = 0.05
#: Between two looks at the runs, which are a question to Postgres.
GLANCES_A_LOOK = 4
LOOK_S = GLANCES_A_LOOK * GLANCE_S
#: Between two looks at a process that is about to end.
ENDING_S = 0.01
#: A look passes over what another process has locked for a moment; so for a while after work naps
#: are short.
ALERT_S, SHORT_S = 1.0, 0.25
#: The newest run, and how many wait to begin, which are also those that somebody has cleared; and
#: whether a task runs; by indexes of Airflow's. Its sequence of ids would tell of a run before
#: others can see it.
RUNS = (
    "SELECT max(id), (SELECT count(*) FROM dag_run WHERE state = 'queued'),"
    " EXISTS (SELECT FROM task_instance WHERE state IN ('queued', 'running')) FROM dag_run"
)


class Nap:
    """A sleep that ends when there is work.

    Parameters
    ----------
    conninfo : str
        Airflow's own database, for libpq.
    executors : sequence of LocalExecutor
        What has ended lies in its `result_queue` until a look.
    """

    def __init__(self, conninfo: str, executors: Sequence[Any]) -> None:
        self._conninfo, self._executors = conninfo, executors
        self._connection: psycopg.Connection[Any] | None = None
        self._runs: tuple[Any, ...] | None = None
        self._busy = False
        self._worked = time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleep so long, or until there is a new run, or a task has ended."""
        now = time.monotonic()
        end = now + (min(seconds, SHORT_S) if now < self._worked + ALERT_S else seconds)
        for glance in count():
            left = end - time.monotonic()
            if left <= 0:
                break
            looks = not self._busy or glance % GLANCES_A_LOOK == 0
            if self._has_ended() or (looks and self._has_new()):
                self._worked = time.monotonic()
                break
            time.sleep(min(GLANCE_S if self._busy else LOOK_S, left))

    def _has_ended(self) -> bool:
        return any(not executor.result_queue.empty() for executor in self._executors)

    def _has_new(self) -> bool:
        before, self._runs = self._runs, self._look()
        return None not in (before, self._runs) and before != self._runs

    def _look(self) -> tuple[Any, ...] | None:
        """None while the database is away, which Airflow will tell of."""
        try:
            if self._connection is None:
                self._connection = psycopg.connect(self._conninfo, autocommit=True)
            *runs, self._busy = self._connection.execute(RUNS).fetchone() or (False,)
            return tuple(runs)
        except psycopg.Error:
            self._connection = None
            return None


class Clock:
    """The module `time`, with a sleep of ours."""

    def __init__(self, nap: Nap) -> None:
        self.sleep = nap.sleep

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


def install() -> None:
    """Give Airflow's scheduler naps to sleep."""
    from airflow.configuration import conf
    from airflow.jobs import scheduler_job_runner as runner

    url = conf.get("database", "sql_alchemy_conn").replace("+psycopg2", "")
    loop = runner.SchedulerJobRunner._run_scheduler_loop

    def run_scheduler_loop(self: Any) -> None:
        executors = [one for one in self.executors if hasattr(one, "result_queue")]
        runner.time = Clock(Nap(url, executors))  # type: ignore[assignment,attr-defined]
        loop(self)

    runner.SchedulerJobRunner._run_scheduler_loop = run_scheduler_loop  # type: ignore[method-assign]
    notice_ends()


def notice_ends() -> None:
    """Have the end of a task's process noticed at once.

    Airflow waits for what the process writes. Where that is closed a moment before the process has
    ended, it would wait for nothing until the next heartbeat, 5 s later, and the task's place with
    it.
    """
    from airflow.sdk.execution_time.supervisor import WatchedSubprocess

    service = WatchedSubprocess._service_subprocess

    def service_subprocess(self: Any, max_wait_time: float, *options: Any, **named: Any) -> Any:
        wait_s = max_wait_time if self._open_sockets else min(ENDING_S, max_wait_time)
        return service(self, wait_s, *options, **named)

    WatchedSubprocess._service_subprocess = service_subprocess  # type: ignore[method-assign]


def main() -> None:
    """What ``python -m airflow`` does, with `install`."""
    install()
    from airflow.__main__ import main as airflow

    sys.argv[0] = "airflow"
    airflow()


if __name__ == "__main__":
    main()
