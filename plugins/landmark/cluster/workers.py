"""What the workers of a cluster need before a search: the same packages, our code, limits.

Code reaches the workers in one of two ways. A worker that finds `landmark` on its own path
(PYTHONPATH, an image) uses that; it must be the very version of the client. Any other worker, and
a scheduler without it, is sent the client's, and keeps it until a client of another version comes.
"""

from __future__ import annotations

import ctypes
import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from dask.distributed import Client, WorkerPlugin

from landmark.errors import LandmarkError

CODE = Path(__file__).resolve().parents[1]

# Of another version, these could give other bytes, or not understand what they are sent.
PROTOCOL = ("dask", "distributed", "cloudpickle", "msgpack")
PACKAGES = (*PROTOCOL, "numpy", "numkong", "psycopg", "threadpoolctl")

# Dask pauses a worker at 80 % of its limit; what it computes with needs room, too.
CACHE_SHARE = 0.25

#: Of the workers that hold models (`landmark.cluster.warm_models`).
MODEL_RESOURCE = "landmark_model"

# Parameters of glibc's mallopt(3), and what to set them to, for each arena.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT_BYTES, LARGEST_KEPT_BYTES = 2**27, 2**25


def _portable() -> tuple[Callable[[Path], str], Callable[[bytes, str, Path, bool], str]]:
    """Two functions that run where `landmark` is missing.

    They refer to nothing of this module, and being local they are pickled with their code.
    """
    prefix = "landmark-code-"

    def version(folder: Path) -> str:
        import hashlib

        digest = hashlib.sha256()
        for path in sorted(folder.rglob("*.py")):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(folder).as_posix()} {len(content)} ".encode())
            digest.update(content)
        return digest.hexdigest()[:12]

    def install(archive: bytes, wanted: str, scratch: Path, busy: bool) -> str:
        """Make version `wanted` importable, unless another is; return the one that is."""
        import importlib
        import importlib.util
        import io
        import sys
        import zipfile
        from pathlib import Path

        importlib.invalidate_caches()
        spec = importlib.util.find_spec("landmark")
        if spec is not None and spec.submodule_search_locations:
            folder = Path(next(iter(spec.submodule_search_locations)))
            # A process runs what it has loaded, whatever lies on the disk by now.
            loaded = sys.modules.get("landmark.cluster.workers")
            found: str = loaded.CODE_VERSION if loaded is not None else version(folder)
            sent = folder.parent.name.startswith(prefix)
            if found == wanted or not sent or busy:
                return found
            if "landmark.storage.row_cache" in sys.modules:
                sys.modules["landmark.storage.row_cache"].ROWS.limit_bytes = 0
            sys.path.remove(str(folder.parent))
            for name in [name for name in sys.modules if name.partition(".")[0] == "landmark"]:
                del sys.modules[name]
        target = scratch / (prefix + wanted)
        zipfile.ZipFile(io.BytesIO(archive)).extractall(target)
        sys.path.insert(0, str(target))
        importlib.invalidate_caches()
        return wanted

    return version, install


_version, _install = _portable()

#: Names the code of this package as this process has loaded it.
CODE_VERSION = _version(CODE)


def prepare_workers(client: Client, address: str, cache_mb: int | None) -> None:
    """Make the cluster fit for the tasks of this process; workers that join later, too.

    Parameters
    ----------
    client : Client
    address : str
        The setting, for messages.
    cache_mb : int, optional
        What each worker keeps of the table in memory, 10**6 bytes; by default `CACHE_SHARE` of its
        memory limit.

    Raises
    ------
    LandmarkError
        If the scheduler or a worker has other packages, or another version of our code.
    """
    _check_packages(client, address)
    archive, install, wanted, cache_share = _archive(), _install, CODE_VERSION, CACHE_SHARE

    def prepare_scheduler(dask_scheduler: Any) -> str:
        from pathlib import Path

        unfinished = {"waiting", "queued", "processing", "no-worker"}
        busy = any(task.state in unfinished for task in dask_scheduler.tasks.values())
        return install(archive, wanted, Path(dask_scheduler.local_directory), busy)

    class PrepareWorker(WorkerPlugin):
        name = "landmark"

        def setup(self, worker: Any) -> None:
            from pathlib import Path

            import numpy  # noqa: F401  # loads the BLAS that is to be limited
            from dask.system import CPU_COUNT
            from distributed.system import MEMORY_LIMIT
            from threadpoolctl import threadpool_limits

            threadpool_limits(1)
            if install(archive, wanted, Path(worker.local_directory), False) != wanted:
                return
            from landmark.storage.row_cache import ROWS

            limit = worker.memory_manager.memory_limit or MEMORY_LIMIT // CPU_COUNT
            ROWS.limit_bytes = int(
                limit * cache_share if cache_mb is None else cache_mb * 1_000_000
            )

    def prepared_version(dask_worker: Any) -> str:
        from pathlib import Path

        return install(archive, wanted, Path(dask_worker.local_directory), False)

    found = {"the scheduler": client.run_on_scheduler(prepare_scheduler)}
    _check_code(found, address)
    client.register_plugin(PrepareWorker())
    _check_code(client.run(prepared_version), address)


def keep_freed_memory() -> None:
    """Let this process use again what it has freed, up to `KEPT_BYTES`, rather than give it back.

    The kernel clears what it hands out, which takes up to half of the time of matching where all is
    given back at once, as Dask asks of its workers. Does nothing where malloc is not glibc's.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES)


def preferred_workers(blocks: Sequence[int], workers: Sequence[str]) -> list[str]:
    """Of each block of the table the worker that reads it, and may have kept it.

    Rendezvous hashing: of equal shares each, and when a worker comes or goes only its own move.

    Parameters
    ----------
    blocks : sequence of int
        `Partition.block`.
    workers : sequence of str
        Addresses, at least one.
    """
    names = [hashlib.blake2b(worker.encode(), digest_size=8).digest() for worker in workers]
    weights = np.array(blocks, np.uint64)[:, None] ^ np.frombuffer(b"".join(names), np.uint64)
    # The finalizer of splitmix64 (Steele et al. 2014): every bit depends on every bit.
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        weights = (weights ^ (weights >> np.uint64(shift))) * np.uint64(factor)
    weights ^= weights >> np.uint64(31)
    return [workers[index] for index in weights.argmax(axis=1)]


def differences(
    names: Sequence[str], theirs: Mapping[str, str | None], ours: Mapping[str, str | None]
) -> str:
    """Which packages somebody has in another version than this process; empty if none."""
    return ", ".join(
        f"{name} {theirs.get(name) or '(missing)'} instead of {ours[name]}"
        for name in names
        if theirs.get(name) != ours[name]
    )


def _check_code(found: dict[str, str], address: str) -> None:
    for where, version in sorted(found.items()):
        if version != CODE_VERSION:
            raise LandmarkError(
                f"LANDMARK_DASK={address}: {where} runs Landmark {version}, this task "
                f"{CODE_VERSION}; wait until other searches have ended there, bring its plugins/ "
                f"up to date or take them off its PYTHONPATH, and restart it"
            )


def _check_packages(client: Client, address: str) -> None:
    found: Any = client.get_versions(packages=list(PACKAGES))
    ours = _with_python(found["client"])
    others = {"the scheduler": found["scheduler"], **found["workers"]}
    for where, versions in sorted(others.items()):
        theirs = _with_python(versions)
        # Only workers compute and read the table.
        needed = PROTOCOL if where == "the scheduler" else PACKAGES
        if different := differences(("python", *needed), theirs, ours):
            raise LandmarkError(
                f"LANDMARK_DASK={address}: {where} has {different}; "
                f"install the same requirements.txt there, with the same Python"
            )


def _with_python(versions: dict[str, Any]) -> dict[str, str | None]:
    python = ".".join(versions["host"]["python"].split(".")[:2])
    return {**versions["packages"], "python": python}


def _archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(CODE.rglob("*.py")):
            archive.write(path, Path("landmark") / path.relative_to(CODE))
    return buffer.getvalue()
