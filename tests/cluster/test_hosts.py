"""A search over a Dask scheduler and workers on several hosts, each with its own address."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dask
import pytest
from dask.distributed import Client
from hosts import CannotIsolate, Host, forwarded, loopback_hosts, namespace_hosts
from intruder import let_in
from psycopg.conninfo import make_conninfo

from landmark.cluster.client import open_client
from landmark.cluster.workers import CODE_VERSION
from landmark.errors import LandmarkError
from landmark.search.comparison import Query
from landmark.search.rank import rank_alone
from landmark.storage.database import Database
from landmark.storage.images import save_image
from stack.certificates import dask_variables, make_certificate

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
MODEL = "model-1"
PLACES, VIEWS = 60, 5


@pytest.fixture(scope="module")
def table(postgres, make_view) -> Database:
    database = Database(postgres.create_database("test_hosts"))
    database.migrate()
    for place in range(PLACES):
        for view in range(VIEWS):
            save_image(
                database, f"s3://b/{place:02d}/{view}.jpg", MODEL, "1", make_view(place, view)
            )
    return database


@pytest.fixture
def loopback(tmp_path) -> Iterator[list[Host]]:
    with loopback_hosts(tmp_path, 3, net=77) as hosts:
        yield hosts


@pytest.fixture(params=["loopback", "namespaces"])
def three_hosts(request, tmp_path, table, postgres) -> Iterator[tuple[list[Host], Database]]:
    """Three hosts, and the table as they reach it."""
    if request.param == "loopback":
        yield request.getfixturevalue("loopback"), table
        return
    try:
        with (
            namespace_hosts(tmp_path, 3) as (hosts, here),
            forwarded(here, postgres.port) as port,
        ):
            yield hosts, Database(make_conninfo(table.conninfo, host=here, port=port))
    except CannotIsolate as reason:
        pytest.skip(str(reason))


def wait_for_workers(address: str, count: int) -> None:
    with Client(address, timeout=60) as client:
        client.wait_for_workers(count, timeout=60)


def holding(folder: Path):
    """What has a worker of now, after three tasks, wait for the file `folder`/go."""

    def hold() -> None:
        import time

        from distributed import get_worker

        from landmark.search import fanout

        rank, begun = fanout.rank_images, []

        def held(*arguments):
            begun.append(None)
            while len(begun) > 3 and not (folder / "go").exists():
                (folder / get_worker().address.rpartition("/")[2]).touch()
                time.sleep(0.01)
            return rank(*arguments)

        fanout.rank_images = held

    return hold


def begin_and_hold(database, client, make_view, folder: Path) -> tuple[threading.Thread, list]:
    """Begin a search that is held, as `holding` says.

    Returns its thread, and the list that will have its result.
    """
    client.run(holding(folder))
    found: list = []
    thread = threading.Thread(
        target=lambda: found.append(search(database, client, make_view)), daemon=True
    )
    thread.start()
    return thread, found


def wait_until_held(host: Host, folder: Path) -> None:
    deadline = time.monotonic() + 60
    while not list(folder.glob(f"{host.address}:*")):
        assert time.monotonic() < deadline, f"{host.address} did nothing"
        time.sleep(0.02)


def search(database, client, make_view):
    query = Query("s3://b/07/0.jpg", make_view(7, 0))
    return rank_alone(database, client, MODEL, query, 100, min_inliers=3)


def test_each_host_has_its_address_and_gets_our_code(three_hosts, make_view, dask_client):
    hosts, database = three_hosts
    address = hosts[0].scheduler()
    for host in hosts:
        host.worker(address)
    wait_for_workers(address, 3)
    with open_client(address) as client:
        workers = client.scheduler_info()["workers"]
        assert {re.split("[/:]+", worker)[1] for worker in workers} == {
            host.address for host in hosts
        }
        where = client.run(lambda: __import__("landmark").__file__)
        assert len(set(where.values())) == 3
        assert all("landmark-code-" in path for path in where.values())
        assert search(database, client, make_view) == search(database, dask_client, make_view)


def test_hosts_with_a_certificate_let_in_who_has_it(
    loopback, table, make_view, dask_client, tmp_path
):
    certificate = tmp_path / "dask.pem"
    make_certificate(certificate)
    variables = dask_variables(certificate)
    address = loopback[0].scheduler(**variables).replace("tcp://", "tls://")
    for host in loopback:
        host.worker(address, **variables)
    names = ("distributed.comm.tls.ca-file", "distributed.comm.tls.client.cert")
    with dask.config.set(dict.fromkeys(names, str(certificate))), open_client(address) as client:
        client.wait_for_workers(3, timeout=60)
        assert search(table, client, make_view) == search(table, dask_client, make_view)
        workers = client.scheduler_info()["workers"].items()
        everybody = {address, *itertools.chain(*((at, worker["nanny"]) for at, worker in workers))}
        assert let_in(everybody) == set()
        assert let_in(everybody, certificate=certificate) == everybody


def test_a_host_that_is_lost_in_the_middle_changes_nothing(
    three_hosts, make_view, dask_client, monkeypatch, tmp_path
):
    hosts, database = three_hosts
    expected = search(database, dask_client, make_view)
    monkeypatch.setattr("landmark.search.fanout.IMAGES_PER_TASK", 1)
    address = hosts[0].scheduler()
    for host in hosts:
        host.worker(address)
    wait_for_workers(address, 3)
    with open_client(address) as client:
        thread, found = begin_and_hold(database, client, make_view, tmp_path)
        wait_until_held(hosts[2], tmp_path)
        hosts[2].lose_power()
        assert thread.is_alive() and not found
        (tmp_path / "go").touch()
        thread.join(120)
        assert len(client.scheduler_info()["workers"]) == 2
        assert [result.to_text() for result in found] == [expected.to_text()]


def test_the_search_goes_on_when_only_a_new_worker_is_left(
    loopback, table, make_view, dask_client, monkeypatch, tmp_path
):
    expected = search(table, dask_client, make_view)
    monkeypatch.setattr("landmark.search.fanout.IMAGES_PER_TASK", 1)
    address = loopback[0].scheduler()
    loopback[1].worker(address)
    wait_for_workers(address, 1)
    with open_client(address) as client:
        thread, found = begin_and_hold(table, client, make_view, tmp_path)
        wait_until_held(loopback[1], tmp_path)
        loopback[1].lose_power()
        assert thread.is_alive() and not found
        # It joins after the search has begun, without our code and without the query.
        loopback[2].worker(address)
        thread.join(120)
        assert [result.to_text() for result in found] == [expected.to_text()]


def test_a_scheduler_that_is_lost_in_the_middle_is_told_and_waited_for(
    loopback, table, make_view, dask_client, monkeypatch, tmp_path
):
    expected = search(table, dask_client, make_view)
    monkeypatch.setattr("landmark.search.fanout.IMAGES_PER_TASK", 1)
    address = loopback[0].scheduler()
    loopback[1].worker(address)
    wait_for_workers(address, 1)

    def lose_it() -> None:
        wait_until_held(loopback[1], tmp_path)
        loopback[0].lose_power()

    with open_client(address) as client:
        client.run(holding(tmp_path))
        threading.Thread(target=lose_it, daemon=True).start()
        with pytest.raises(ConnectionError, match="scheduler was lost in the middle"):
            search(table, client, make_view)
    (tmp_path / "go").touch()

    def start_again() -> None:
        loopback[0].scheduler()
        loopback[2].worker(address)

    later = threading.Timer(2, start_again)
    later.start()
    with open_client(address) as client:
        assert search(table, client, make_view) == expected
    later.join()


def test_workers_with_our_code_use_it(loopback, table, make_view):
    address = loopback[0].scheduler(python_path=PLUGINS)
    loopback[1].worker(address, python_path=PLUGINS)
    wait_for_workers(address, 1)
    with open_client(address) as client:
        where = client.run(lambda: __import__("landmark").__file__)
        assert set(where.values()) == {str(PLUGINS / "landmark" / "__init__.py")}
        assert search(table, client, make_view).verdict == "match"


def other_version(folder: Path) -> Path:
    """Our code with a change."""
    shutil.copytree(PLUGINS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "landmark" / "ranking.py").open("a") as file:
        file.write("\nMIN_INLIERS = 1\n")
    return folder


@pytest.mark.parametrize("where", ["scheduler", "worker"])
def test_another_version_of_our_code_is_refused_in_one_line(loopback, tmp_path, where):
    other = other_version(tmp_path / "other")
    address = loopback[0].scheduler(python_path=other if where == "scheduler" else None)
    loopback[1].worker(address)
    loopback[2].worker(address, python_path=other if where == "worker" else None)
    wait_for_workers(address, 2)
    with pytest.raises(LandmarkError) as refused, open_client(address):
        pass
    message = str(refused.value)
    assert "\n" not in message and CODE_VERSION in message
    assert ("the scheduler" if where == "scheduler" else loopback[2].address) in message


def test_code_that_was_sent_gives_way_to_a_newer_version(loopback, tmp_path, table, make_view):
    address = loopback[0].scheduler()
    loopback[1].worker(address)
    wait_for_workers(address, 1)
    program = (
        "import sys; from landmark.cluster.client import open_client\n"
        "from landmark.cluster.workers import CODE_VERSION\n"
        "with open_client(sys.argv[1]) as client:\n"
        "    from landmark.matching.ranking import verdict\n"
        "    client.submit(verdict, []).result()\n"
        "    print(CODE_VERSION)"
    )
    older = subprocess.run(
        [sys.executable, "-c", program, address],
        env={"PYTHONPATH": str(other_version(tmp_path / "other"))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert older.stdout.strip() not in ("", CODE_VERSION)
    with open_client(address) as client:
        assert search(table, client, make_view).verdict == "match"
        running = client.run(
            lambda: __import__("landmark.cluster.workers").cluster.workers.CODE_VERSION
        )
        assert set(running.values()) == {CODE_VERSION}


def test_other_packages_are_refused_in_one_line(loopback, tmp_path):
    # numpy as it would be found where another version is installed.
    metadata = tmp_path / "site" / "numpy-1.0.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 1.0.0\n")
    address = loopback[0].scheduler()
    loopback[1].worker(address, python_path=metadata.parent)
    wait_for_workers(address, 1)
    with (
        pytest.raises(LandmarkError, match=r"numpy 1\.0\.0 instead of .*requirements") as refused,
        open_client(address),
    ):
        pass
    assert loopback[1].address in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("nanny", ["--nanny", "--no-nanny"])
def test_a_worker_multiplies_with_one_thread_however_it_was_started(loopback, nanny):
    address = loopback[0].scheduler()
    loopback[1].start(
        "worker", address, f"--host={loopback[1].address}", "--nthreads=1", "--no-dashboard", nanny,
        OPENBLAS_NUM_THREADS="2", OMP_NUM_THREADS="2",
    )  # fmt: skip
    wait_for_workers(address, 1)

    def threads():
        from threadpoolctl import threadpool_info

        return {pool["num_threads"] for pool in threadpool_info()}

    with open_client(address) as client:
        assert set().union(*client.run(threads).values()) == {1}
