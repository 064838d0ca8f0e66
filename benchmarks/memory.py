"""The most memory that processes take together, for the benchmarks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

# Between two looks. A look takes some milliseconds of one core.
INTERVAL_S = 0.2
# Programs that `stack.servers` starts below this process, and what counts as their own.
SERVERS = {"postgres": "postgres", "rclone": "s3"}


def reset_peak() -> None:
    """Let this process's peak memory count from now on."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_mb() -> float:
    """The most memory of this process since it started or `reset_peak`."""
    status = Path("/proc/self/status").read_text()
    peak_kb = next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]
    return int(peak_kb) / 1000


@contextmanager
def watched_memory() -> Iterator[dict[str, float]]:
    """Watch this process and those below it; what is shared counts once.

    Yields
    ------
    dict
        The most megabytes at a time: ``process``, of this process and what it started;
        ``postgres`` and ``s3``, of the servers of `stack.servers`. Complete after the `with` block.
    """
    most: dict[str, float] = {}
    done = threading.Event()

    def watch() -> None:
        while True:
            for part, megabytes in _memory_now().items():
                most[part] = max(most.get(part, 0.0), megabytes)
            if done.wait(INTERVAL_S):
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield most
    finally:
        done.set()
        watcher.join()


def _memory_now() -> dict[str, float]:
    now: dict[str, float] = {}
    own = psutil.Process()
    for process in (own, *own.children(recursive=True)):
        with suppress(psutil.Error):  # it has ended meanwhile
            part = SERVERS.get(process.name(), "process")
            # Proportional: a page shared by n processes counts 1/n in each.
            now[part] = now.get(part, 0.0) + process.memory_full_info().pss / 1e6
    return now
