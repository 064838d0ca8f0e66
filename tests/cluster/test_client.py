"""Dask workers of a task: none stays when the task ends, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from landmark.cluster.client import open_client

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
PROGRAM = """
import signal, sys, time
from landmark.cluster.client import open_client
# A shell starts its background jobs, such as these tests, with SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
if __name__ == "__main__":
    with open_client("local") as client:
        print(*client.run(__import__("os").getpid).values(), flush=True)
        if sys.argv[1] == "raise":
            raise RuntimeError("the task failed")
        time.sleep(600)
"""


def alive(pids):
    return [pid for pid in pids if psutil.pid_exists(pid)]


@pytest.mark.parametrize("end", ["raise", signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_its_task(tmp_path, end):
    program = tmp_path / "task.py"
    program.write_text(PROGRAM)
    with subprocess.Popen(
        [sys.executable, str(program), str(end)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PLUGINS)},
    ) as task:
        workers = [int(pid) for pid in task.stdout.readline().split()]
        everything = [child.pid for child in psutil.Process(task.pid).children(recursive=True)]
        assert workers and set(workers) <= set(everything)
        if end != "raise":
            task.send_signal(end)
        task.wait(60)
    deadline = time.monotonic() + 60
    while alive(everything) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert alive(everything) == []


def test_one_single_threaded_worker_a_core_on_the_loopback(dask_client):
    workers = dask_client.scheduler_info()["workers"]
    assert len(workers) == psutil.cpu_count()
    assert {worker["nthreads"] for worker in workers.values()} == {1}
    pids = [*dask_client.run(lambda: __import__("os").getpid()).values(), psutil.Process().pid]
    listening = [
        connection.laddr.ip
        for pid in pids
        for connection in psutil.Process(pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening and set(listening) == {"127.0.0.1"}


def test_workers_use_one_thread_for_their_products(dask_client):
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    found = dask_client.run(lambda: [__import__("os").environ.get(name) for name in names])
    assert all(values == ["1"] * 3 for values in found.values())


def test_an_existing_cluster_is_used_by_its_address_and_left_running(dask_client):
    address = dask_client.scheduler_info()["address"]
    with open_client(address) as client:
        assert client.submit(sum, [1, 2]).result() == 3
    assert dask_client.submit(sum, [2, 2]).result() == 4
