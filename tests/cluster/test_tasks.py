"""The results of tasks, as they come."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from dask.distributed import Client, LocalCluster

from landmark.cluster.tasks import completed


def test_results_come_though_another_client_was_made_since(dask_client):
    """One in the same process, whose loop is busy or hangs."""
    hold = threading.Event()
    with (
        LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        assert other.loop is not dask_client.loop
        other.loop.add_callback(hold.wait)
        try:
            given = dask_client.submit(int, 1, pure=False)
            tasks = dask_client.map(abs, [-1, -2, -3], pure=False)
            found = pool.submit(lambda: {result for _, result in completed(tasks, given)})
            assert found.result(60) == {1, 2, 3}
        finally:
            hold.set()
