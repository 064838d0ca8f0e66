"""Several searches at once: a run of many photographs does not hold up one of a single one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from dask.distributed import Client, LocalCluster

from landmark.cluster.client import open_client
from landmark.search.comparison import Query
from landmark.search.rank import rank_table
from landmark.storage.database import Database
from landmark.storage.images import save_image

MODEL = "model-1"
IMAGES, MANY = 40, 20


@pytest.fixture(scope="module")
def table(postgres, make_view):
    database = Database(postgres.create_database("test_together"))
    database.migrate()
    for place in range(IMAGES):
        save_image(database, f"s3://b/{place:02d}.jpg", MODEL, "1", make_view(place))
    return database


def hold(go: str):
    """Has a worker's tasks wait for the file `go`."""

    def on_worker() -> None:
        import time
        from pathlib import Path

        from landmark.search import fanout

        rank = fanout.rank_images

        def held(*arguments):
            while not Path(go).exists():
                time.sleep(0.01)
            return rank(*arguments)

        fanout.rank_images = held

    return on_worker


def priorities(dask_scheduler) -> dict[str, tuple]:
    """Of the tasks that compare; the least has its turn first."""
    return {
        str(key): task.priority
        for key, task in dask_scheduler.tasks.items()
        if "_rank_partition" in str(key)
    }


def test_one_photograph_does_not_wait_for_many(table, make_view, monkeypatch, tmp_path):
    monkeypatch.setattr("landmark.search.fanout.PAIRS_PER_TASK", 2 * MANY)
    many = [Query(f"s3://q/{number}.jpg", make_view(number, 1)) for number in range(MANY)]
    one = [Query("s3://q/one.jpg", make_view(3, 2))]
    go = tmp_path / "go"
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
        open_client(cluster.scheduler_address) as first,
        open_client(cluster.scheduler_address) as second,
        Client(cluster) as looker,
        ThreadPoolExecutor(2) as pool,
    ):
        expected = [list(rank_table(table, first, MODEL, asked, 100)) for asked in (many, one)]
        looker.run(hold(str(go)))

        def given() -> dict[str, tuple]:
            return looker.run_on_scheduler(priorities)

        while given():  # released, and forgotten a moment later
            pass
        runs = [pool.submit(lambda: list(rank_table(table, first, MODEL, many, 100)))]
        while len(before := given()) < IMAGES // 2:
            assert not runs[0].done()
        runs.append(pool.submit(lambda: list(rank_table(table, second, MODEL, one, 100))))
        while len(both := given()) == len(before):
            assert not runs[1].done()
        go.touch()
        assert [run.result(60) for run in runs] == expected
    later = [priority for key, priority in both.items() if key not in before]
    assert max(later) < min(before.values())
