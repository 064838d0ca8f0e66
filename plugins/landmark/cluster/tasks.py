"""Tasks on the workers: their results as they come, and whether they run our code."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from dask.distributed import Client, Future, as_completed

from landmark.cluster.workers import CODE_VERSION
from landmark.errors import LandmarkError
from landmark.storage.database import Database

# Between two looks for results of tasks.
POLL_S = 0.01


def completed(tasks: Sequence[Future], given: Future) -> Iterator[tuple[Future, Any]]:
    """Each task and its result, once it is done.

    When the scheduler is lost, the client cancels what it knows; of tasks that it was just about to
    submit it would never hear again. So it is what they are given, submitted before them all, that
    tells.

    Raises
    ------
    ConnectionError
        If the scheduler was lost.
    """
    # By itself it takes the loop of whatever client was made last, which may be another's: what is
    # told there from outside wakes nobody.
    done = as_completed(tasks, loop=given.client.loop, with_results=True)
    while not done.is_empty():
        if done.has_ready():
            task, result = next(done)
            if not isinstance(result, BaseException):
                yield task, result
                continue
        elif not given.cancelled():
            time.sleep(POLL_S)
            continue
        raise ConnectionError("Dask's scheduler was lost in the middle of the work")


def check_code(code: str) -> None:
    """Refuse, on a worker, to work for a client of another version than this process runs."""
    if code != CODE_VERSION:
        raise LandmarkError(
            f"a worker that joined meanwhile runs Landmark {CODE_VERSION} instead of "
            f"{code}; bring its plugins/ up to date and restart it"
        )


def shares(total: int, parts: int) -> list[int]:
    """`total` in so many parts of about one size, none of them empty."""
    bounds = [total * part // parts for part in range(parts + 1)]
    return [last - first for first, last in pairwise(bounds) if last > first]


def database_of_workers(client: Client, database: Database) -> Database:
    """The database as a task names it: pods have its address and password of their own."""
    if getattr(client.cluster, "has_postgres_secret", False):
        return Database("", database.snapshot)
    return database.logged_in()
