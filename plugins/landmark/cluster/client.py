"""A Dask client: of one worker per CPU of this machine, of workers at an address, or of pods."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from dask.distributed import Client, LocalCluster
from dask.system import CPU_COUNT

from landmark.cluster.workers import prepare_workers
from landmark.errors import LandmarkError
from landmark.settings import Settings, load_settings

# A scheduler or workers that were restarted are back by then.
CONNECT_TIMEOUT_S = 60


@contextmanager
def open_client(address: str, settings: Settings | None = None) -> Iterator[Client]:
    """A client, closed at the end, with the workers if they were started here.

    Parameters
    ----------
    address : str
        ``local``: one single-threaded worker process per CPU, for as long as the client lives.
        ``tcp://host:port`` or ``tls://…``: an existing scheduler. It and its workers need the
        packages of `requirements.txt`; our code they are sent.
        ``kubernetes``: pods made for as long as the client lives.
    settings : Settings, optional
        What else there is to set of Dask; by default from the environment.

    Raises
    ------
    LandmarkError
        If no scheduler answers at the address, it has no workers, or some of them have other
        packages or other code; if Kubernetes refuses.
    """
    settings = settings or load_settings()
    if address == "local":
        with _without_main_file():
            cluster = LocalCluster(
                n_workers=CPU_COUNT,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                worker_dashboard_address="127.0.0.1:0",
            )
        with cluster, Client(cluster) as client:
            yield client
        return
    if address == "kubernetes":
        try:
            from landmark.cluster.pods import open_pods
        except ModuleNotFoundError as error:
            raise LandmarkError(
                f"LANDMARK_DASK=kubernetes: {error}; pip install -r requirements-kubernetes.txt"
            ) from None
        with open_pods(settings) as client:
            prepare_workers(client, address, cache_mb=0)
            yield client
        return
    try:
        client = Client(address, timeout=CONNECT_TIMEOUT_S)
    except (OSError, TimeoutError, ValueError) as error:
        raise LandmarkError(
            f"LANDMARK_DASK={address}: no Dask scheduler answers there ({type(error).__name__}); "
            f"start it, or set LANDMARK_DASK=local"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_TIMEOUT_S)
        except TimeoutError:
            raise LandmarkError(
                f"LANDMARK_DASK={address}: the scheduler has no workers; start some there"
            ) from None
        prepare_workers(client, address, settings.dask_cache_mb)
        yield client


@contextmanager
def _without_main_file() -> Iterator[None]:
    """Hide `__main__.__file__` while processes spawn.

    A spawned process runs the main file again. In a task that is Airflow's own, which then finds
    its database blocked; workers need only our modules.
    """
    main = sys.modules["__main__"]
    missing = object()
    path = main.__dict__.pop("__file__", missing)
    try:
        yield
    finally:
        if path is not missing:
            main.__dict__["__file__"] = path
