"""Dask workers of a task: none stays when the task ends, however it ends."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dask
import psutil
import pytest
from intruder import let_in, ordinary_user

from landmark.cluster.client import open_client
from landmark.errors import LandmarkError
from stack.net import request

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


def everybody(client):
    """The addresses of the scheduler, the workers and their nannies."""
    info = client.scheduler_info()
    workers = [(address, worker["nanny"]) for address, worker in info["workers"].items()]
    return {info["address"], *itertools.chain(*workers)}


@pytest.mark.parametrize("somebody", [list, ordinary_user], ids=["the user", "another"])
def test_the_workers_of_a_task_take_code_from_no_other_process(dask_client, somebody):
    assert let_in(everybody(dask_client), somebody()) == set()


def test_the_workers_of_a_task_show_no_pages(dask_client):
    pids = [*dask_client.run(lambda: __import__("os").getpid()).values(), psutil.Process().pid]
    listening = {
        connection.laddr.port
        for pid in pids
        for connection in psutil.Process(pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    pages = listening - {int(address.rpartition(":")[2]) for address in everybody(dask_client)}
    assert pages  # Dask listens for them, even if it has none
    for port, path in itertools.product(pages, ["/status", "/info/main/workers.html", "/health"]):
        with contextlib.suppress(OSError):  # another server of this process, not Dask's
            assert request(f"http://127.0.0.1:{port}{path}")[0] in (400, 403, 404)


def test_the_workers_of_a_task_write_where_no_other_user_can(dask_client):
    folders = [Path(worker) for worker in dask_client.run(worker_folder).values()]
    folders.append(Path(dask_client.cluster.scheduler.local_directory))
    for folder in folders:
        closed = [above for above in folder.parents if above.stat().st_mode & 0o077 == 0]
        assert closed and all(above.stat().st_uid == os.geteuid() for above in closed)
        # Nor could one have made the first of these before.
        assert closed[-1].name == f"landmark-dask-{os.geteuid()}"


def worker_folder(dask_worker):
    return dask_worker.local_directory


def test_a_folder_for_scratch_that_others_can_write_to_is_named(tmp_path):
    with dask.config.set({"temporary-directory": str(tmp_path)}):
        folder = tmp_path / f"landmark-dask-{os.geteuid()}"
        folder.mkdir()
        folder.chmod(0o777)
        with (
            pytest.raises(LandmarkError, match=f"{folder} is open to others"),
            open_client("local"),
        ):
            pass


def certificate_of(security):
    """Dask's own settings that name it."""
    return {
        "distributed.comm.tls.ca-file": security.tls_ca_file,
        "distributed.comm.tls.client.cert": security.tls_client_cert,
        "distributed.comm.tls.client.key": security.tls_client_key,
    }


def test_an_existing_cluster_is_used_by_its_address_and_left_running(dask_client):
    address = dask_client.scheduler_info()["address"]
    # What the address says is not what a setting takes away.
    off = {"distributed.comm.require-encryption": False}
    certificate = certificate_of(dask_client.security)
    with dask.config.set({**certificate, **off}), open_client(address) as client:
        assert client.submit(sum, [1, 2]).result() == 3
        assert client.security.require_encryption
    assert dask_client.submit(sum, [2, 2]).result() == 4


@pytest.mark.parametrize(
    ("address", "settings", "told"),
    [
        ("tls://127.0.0.1:1", {}, "no certificates are set; set DASK_DISTRIBUTED__COMM__TLS"),
        (
            "tls://127.0.0.1:1",
            {
                "distributed.comm.tls.ca-file": "/no/such/file.pem",
                "distributed.comm.tls.client.cert": "/no/such/file.pem",
            },
            "its certificates cannot be used .*No such file.*; set DASK_DISTRIBUTED__COMM__TLS",
        ),
        (
            "tcp://127.0.0.1:1",
            {"distributed.comm.require-encryption": True},
            "Dask's own settings require encryption .*; make it tls://",
        ),
        (
            "local",
            {"distributed.worker.preload": ["no_such_module"]},
            "no workers can be started .*no_such_module.*; look at Dask's own settings",
        ),
    ],
)
def test_settings_of_dask_that_cannot_work_are_told_in_one_line(address, settings, told):
    with (
        dask.config.set(settings),
        pytest.raises(LandmarkError, match=f"LANDMARK_DASK={address}: {told}") as refused,
        open_client(address),
    ):
        pass
    assert "\n" not in str(refused.value)


def test_dask_may_require_the_encryption_that_the_workers_of_a_task_have():
    required = {"distributed.comm.require-encryption": True}
    with dask.config.set(required), open_client("local") as client:
        assert client.submit(sum, [1, 2]).result() == 3
