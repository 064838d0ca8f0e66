"""A Dask client: of one worker per CPU of this machine, of workers at an address, or of pods."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dask
from dask.distributed import Client, LocalCluster, Security
from dask.system import CPU_COUNT

from landmark.cluster.workers import prepare_workers
from landmark.errors import LandmarkError
from landmark.settings import Settings, load_settings

# A scheduler or workers that were restarted are back by then.
CONNECT_TIMEOUT_S = 60

# They would show every user of this machine what is searched for.
NO_PAGES: dict[str, object] = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}

CERTIFICATES = (
    "set DASK_DISTRIBUTED__COMM__TLS__CA_FILE and DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT to "
    "files of this host (docs/scaling.md)"
)


@contextmanager
def open_client(address: str, settings: Settings | None = None) -> Iterator[Client]:
    """A client, closed at the end, with the workers if they were started here.

    Parameters
    ----------
    address : str
        ``local``: one single-threaded worker process per CPU, for as long as the client lives,
        closed to whoever else is on this machine.
        ``tls://host:port`` or ``tcp://…``: an existing scheduler. It and its workers need the
        packages of `requirements.txt`; our code they are sent.
        ``kubernetes``: pods made for as long as the client lives.
    settings : Settings, optional
        What else there is to set of Dask; by default from the environment.

    Raises
    ------
    LandmarkError
        If no scheduler answers at the address, its certificates are missing, it has no workers, or
        some of them have other packages or other code; if no worker can be started here; if
        Kubernetes refuses.
    """
    settings = settings or load_settings()
    if address == "local":
        with _local_cluster() as cluster, Client(cluster) as client:
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
    security = _security(address)
    try:
        client = Client(address, timeout=CONNECT_TIMEOUT_S, security=security)
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


def _local_cluster() -> LocalCluster:
    """Start workers that only this process can reach, though others have users here, too.

    Raises
    ------
    LandmarkError
        If none starts, as where Dask's own settings preload what is not there.
    """
    scratch = {"temporary-directory": str(_scratch_folder())}
    try:
        with _without_main_file(), dask.config.set({**NO_PAGES, **scratch}):
            return LocalCluster(
                n_workers=CPU_COUNT,
                threads_per_worker=1,
                host="127.0.0.1",
                security=Security.temporary(),
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False},
            )
    except (RuntimeError, ImportError, OSError, TypeError, ValueError) as error:
        raise LandmarkError(
            f"LANDMARK_DASK=local: no workers can be started ({_innermost(error)}); "
            f"look at Dask's own settings ({_dask_settings()})"
        ) from error


def _scratch_folder() -> Path:
    """Make the folder in which workers keep what does not fit into memory, closed to others.

    Dask itself would take one of another user's, who could then put code into it.

    Raises
    ------
    LandmarkError
        If it is somebody else's already.
    """
    above = dask.config.get("temporary-directory") or tempfile.gettempdir()
    folder = Path(above, f"landmark-dask-{os.geteuid()}")
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o077 or not stat.S_ISDIR(found.st_mode):
        raise LandmarkError(
            f"LANDMARK_DASK=local: {folder} is open to others; remove it, or set TMPDIR to a "
            f"folder of your own"
        )
    return folder


def _security(address: str) -> Security:
    """Return the certificates of a client, from Dask's own configuration.

    Raises
    ------
    LandmarkError
        If they are missing or cannot be read, or are wanted where the address has none.
    """
    encrypted = address.startswith("tls://")
    try:
        security = Security(require_encryption=True if encrypted else None)
        context = security.get_connection_args("client")["ssl_context"]
    except (OSError, ValueError) as error:
        raise LandmarkError(
            f"LANDMARK_DASK={address}: its certificates cannot be used ({error}); {CERTIFICATES}"
        ) from error
    if encrypted and context is None:
        raise LandmarkError(f"LANDMARK_DASK={address}: no certificates are set; {CERTIFICATES}")
    if security.require_encryption and not encrypted:
        raise LandmarkError(
            f"LANDMARK_DASK={address}: Dask's own settings require encryption "
            f"({_dask_settings()}); make it tls://, or take distributed.comm.require-encryption off"
        )
    return security


def _dask_settings() -> str:
    """Name where Dask's settings come from, but not what they are."""
    names = sorted(name for name in os.environ if name.startswith("DASK_"))
    return ", ".join([*names, *(path for path in dask.config.paths if Path(path).exists())])


def _innermost(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(f"{type(error).__name__}: {error}".split())


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
