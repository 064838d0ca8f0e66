"""The scheduler's naps end when there is work, and only then."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from multiprocessing import SimpleQueue
from types import SimpleNamespace

import psycopg
import pytest
from postgres_servers import end_other_sessions

from stack import waking
from stack.waking import Clock, Nap

LONG_S = 60


@pytest.fixture(scope="module")
def airflow_database(postgres) -> str:
    """A database with what a nap looks at of Airflow's."""
    dsn = postgres.create_database("test_waking")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE dag_run (id serial PRIMARY KEY, state text)")
        connection.execute("CREATE TABLE task_instance (state text)")
    return dsn


@pytest.fixture
def glances(monkeypatch) -> threading.Semaphore:
    """Counts the glances of naps; they follow each other at once."""
    seen = threading.Semaphore(0)
    sleep = time.sleep

    def glance(seconds: float) -> None:
        seen.release()
        sleep(0.001)

    monkeypatch.setattr(waking, "time", SimpleNamespace(sleep=glance, monotonic=time.monotonic))
    return seen


def sleeping(nap: Nap, seconds: float = LONG_S) -> threading.Thread:
    thread = threading.Thread(target=Clock(nap).sleep, args=(seconds,), daemon=True)
    thread.start()
    return thread


def wait_for_glances(glances: threading.Semaphore) -> None:
    for _ in range(5):
        assert glances.acquire(timeout=30)


def new_run(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("INSERT INTO dag_run (state) VALUES ('queued')")


def assert_ends(thread: threading.Thread) -> None:
    thread.join(30)
    assert not thread.is_alive()


def test_a_new_run_ends_the_nap(airflow_database, glances):
    thread = sleeping(Nap(airflow_database, []))
    wait_for_glances(glances)
    assert thread.is_alive()
    new_run(airflow_database)
    assert_ends(thread)


def test_a_run_that_is_cleared_ends_the_nap(airflow_database, glances):
    with psycopg.connect(airflow_database, autocommit=True) as connection:
        connection.execute("INSERT INTO dag_run (state) VALUES ('failed')")
        thread = sleeping(Nap(airflow_database, []))
        wait_for_glances(glances)
        connection.execute("UPDATE dag_run SET state = 'queued' WHERE state = 'failed'")
    assert_ends(thread)


def test_a_run_is_told_of_when_it_can_be_seen(airflow_database, glances):
    """A look for work that comes sooner finds none, and the next would be long after."""
    thread = sleeping(Nap(airflow_database, []))
    with psycopg.connect(airflow_database) as connection:
        connection.execute("INSERT INTO dag_run (state) VALUES ('queued')")
        wait_for_glances(glances)
        assert thread.is_alive()
    assert_ends(thread)


def test_what_came_before_the_nap_is_not_forgotten(airflow_database, glances):
    nap = Nap(airflow_database, [])
    nap.sleep(0.01)
    new_run(airflow_database)
    thread = sleeping(nap)
    assert_ends(thread)


def test_a_task_that_has_ended_ends_the_nap(airflow_database, glances):
    executor = SimpleNamespace(result_queue=SimpleQueue())
    thread = sleeping(Nap(airflow_database, [executor]))
    wait_for_glances(glances)
    assert thread.is_alive()
    executor.result_queue.put("ended")
    assert_ends(thread)


def test_a_database_that_is_away_is_no_work_and_no_fault(airflow_database, glances):
    nap = Nap(airflow_database, [])
    nap.sleep(0.01)
    with psycopg.connect(airflow_database, autocommit=True) as connection:
        end_other_sessions(connection)
    thread = sleeping(nap)
    wait_for_glances(glances)
    assert thread.is_alive()
    new_run(airflow_database)
    assert_ends(thread)


def test_after_work_naps_are_short_for_a_while(airflow_database, monkeypatch):
    now, slept = [1000.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(waking, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: now[0]))
    nap = Nap(airflow_database, [])

    def length(seconds: float) -> float:
        begin = now[0]
        nap.sleep(seconds)
        return now[0] - begin

    lengths = [length(3) for _ in range(6)]
    assert lengths == pytest.approx([0.25, 0.25, 0.25, 0.25, 3, 3])
    new_run(airflow_database)
    assert [length(3) for _ in range(6)] == pytest.approx([0, 0.25, 0.25, 0.25, 0.25, 3])
    assert max(slept) == waking.LOOK_S
    slept.clear()
    with psycopg.connect(airflow_database, autocommit=True) as connection:
        connection.execute("INSERT INTO task_instance VALUES ('running')")
        assert length(3) == pytest.approx(3)
        connection.execute("DELETE FROM task_instance")
    assert max(slept[1:]) == waking.GLANCE_S


def test_a_nap_is_no_longer_than_asked(airflow_database):
    started = time.monotonic()
    Nap(airflow_database, []).sleep(0.05)
    Nap("host=127.0.0.1 port=1 connect_timeout=1", []).sleep(0.05)
    Nap(airflow_database, []).sleep(0)
    assert time.monotonic() - started < 30


def test_airflow_sleeps_and_ends_tasks_as_is_thought_here(tmp_path):
    program = (
        "from airflow.executors.local_executor import LocalExecutor\n"
        "from airflow.jobs.scheduler_job_runner import SchedulerJobRunner\n"
        "assert {'time', 'sleep'} <= {*SchedulerJobRunner._run_scheduler_loop.__code__.co_names}\n"
        "assert 'result_queue' in LocalExecutor.__annotations__\n"
    )
    subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path)},
        check=True,
    )
    assert Clock(Nap("", [])).monotonic is time.monotonic


def test_the_end_of_a_task_is_noticed_though_what_it_writes_to_was_closed_before(tmp_path):
    program = (
        "import os, time, uuid\n"
        "from airflow.sdk.execution_time.supervisor import WatchedSubprocess\n"
        "from stack.waking import notice_ends\n"
        "def child():\n"
        "    os.closerange(0, 256)\n"
        "    time.sleep(0.5)\n"
        "    os._exit(0)\n"
        "notice_ends()\n"
        "process = WatchedSubprocess.start(id=uuid.uuid4(), target=child)\n"
        "while process._service_subprocess(3600) is None:\n"
        "    pass\n"
    )
    subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": "include:plugins"},
        check=True,
        timeout=300,
    )
