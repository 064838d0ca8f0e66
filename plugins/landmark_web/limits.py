"""How much a page shows, takes in and does at once, and how long an answer is kept."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import cache, lru_cache, partial, wraps
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from typing_extensions import TypeVarTuple, Unpack

P = ParamSpec("P")
R = TypeVar("R")
Arguments = TypeVarTuple("Arguments")

# Pictures.
DECODING_AT_ONCE = 3
SIDES_PX = {"small": 400, "large": 1600}
PAIR_SIDE_PX, PAIR_HEIGHT_PX = 2048, 1000

# Entries of a page.
RESULTS_A_PAGE, SEARCHES_A_PAGE, QUERIES_A_PAGE = 1000, 24, 200
NEWEST, SWEEPS = 24, 10

# Uploads.
MAX_UPLOAD_BYTES = 50_000_000
#: Characters of the paths, as Starlette limits a field.
MAX_TEXT = 1_000_000
#: Of the other fields and the form's own words.
REST_BYTES = 2 * MAX_TEXT
#: Enough to see that it can be decoded.
CHECK_SIDE_PX = 256

# Caches.
#: What has no address of its own version is asked for again after this time, by its etag.
FRESH_S = 600
#: Changed settings show soon, and a page of a thousand thumbnails asks for its result as often.
KEPT_S = 60
RESULTS_KEPT, SEARCHES_KEPT = 32, 16
#: The index page asks for all of the table.
OVERVIEW_S = 20


def kept(
    seconds: float, answers: int = 1
) -> Callable[[Callable[[Unpack[Arguments]], R]], Callable[[Unpack[Arguments]], R]]:
    """Keep the last answers of a function, for so many seconds at most."""

    def decorate(function: Callable[[Unpack[Arguments]], R]) -> Callable[[Unpack[Arguments]], R]:
        @lru_cache(maxsize=answers)
        def answer(moment: int, *arguments: Unpack[Arguments]) -> R:
            return function(*arguments)

        @wraps(function)
        def kept_answer(*arguments: Unpack[Arguments]) -> R:
            return answer(int(time.monotonic() // seconds), *arguments)

        return kept_answer

    return decorate


def decoding(function: Callable[P, R]) -> Callable[P, Awaitable[R]]:
    """Run it in a thread, a few at a time: a decoded photograph takes up to 300 MB.

    Those that wait hold no thread, of which Airflow's other pages have only some.
    """

    @wraps(function)
    async def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        return await to_thread.run_sync(partial(function, *args, **kwargs), limiter=_limiter())

    return limited


@cache
def _limiter() -> CapacityLimiter:
    return CapacityLimiter(DECODING_AT_ONCE)
