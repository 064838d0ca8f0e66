"""How much a page shows, takes in and does at once, and how long an answer is kept."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import lru_cache, partial, wraps
from typing import Annotated, Any, Literal, TypeVar
from weakref import WeakValueDictionary

from anyio import CapacityLimiter, to_thread
from fastapi import Query
from typing_extensions import TypeVarTuple, Unpack

R = TypeVar("R")
Arguments = TypeVarTuple("Arguments")


class Slots:
    """Threads for what takes long: a few, and of these not all for one user.

    Who waits for one holds no thread, of which Airflow's other pages have only some.

    Parameters
    ----------
    at_once, of_one_user : int
        Calls that run at the same time.
    """

    def __init__(self, at_once: int, of_one_user: int) -> None:
        self._all = CapacityLimiter(at_once)
        self._of_one_user = of_one_user
        self._users: WeakValueDictionary[str, CapacityLimiter] = WeakValueDictionary()

    async def run(
        self, user: Any, function: Callable[[Unpack[Arguments]], R], *arguments: Unpack[Arguments]
    ) -> R:
        """Call a function in a thread, when it is this user's turn."""
        users = self._users.setdefault(user.get_id(), CapacityLimiter(self._of_one_user))
        async with users:
            return await to_thread.run_sync(partial(function, *arguments), limiter=self._all)

    @asynccontextmanager
    async def held(self, user: Any) -> AsyncIterator[None]:
        """Keep a slot for the time of a `with` block, when it is this user's turn."""
        users = self._users.setdefault(user.get_id(), CapacityLimiter(self._of_one_user))
        # Not the task's: where a reader hangs up, another task than this one ends the block.
        holder = object()
        await users.acquire_on_behalf_of(holder)
        try:
            await self._all.acquire_on_behalf_of(holder)
            try:
                yield
            finally:
                self._all.release_on_behalf_of(holder)
        finally:
            users.release_on_behalf_of(holder)


#: A decoded photograph takes up to 300 MB, an upload 50 MB more.
DECODING = Slots(3, of_one_user=2)
#: A photograph in full takes 450 MB while it is encoded.
IN_FULL = Slots(1, of_one_user=1)
#: A prefix of many thousand objects takes half a minute.
LISTING = Slots(2, of_one_user=1)
#: What is sent piece by piece, however slowly it is taken; each holds a photograph at most.
SENDING = Slots(4, of_one_user=1)
#: What says, in no time, that a picture need not be decoded must not wait for others that are.
LOOKING = Slots(8, of_one_user=6)

# Pictures.
SIDES_PX = {"small": 400, "large": 1600, "full": 8192}
Size = Literal["small", "large", "full"]
PAIR_SIDE_PX, PAIR_HEIGHT_PX = 2048, 1000

# Entries of a page, and its number in an address: beyond the last page it leads back to that.
Page = Annotated[int, Query(ge=1, lt=2**31)]
RESULTS_A_PAGE, SEARCHES_A_PAGE, QUERIES_A_PAGE = 1000, 24, 200
CORRECTIONS_A_PAGE = 50
PLACES_A_PAGE, PLACE_PICTURES = 24, 6
WATCHES_A_PAGE, REPORTS_SHOWN = 24, 10
PHOTOGRAPHS_A_PAGE = 60
ENTRIES_A_PAGE, REMOVALS_A_PAGE = 120, 50
#: Images that a page removes from the index while its reader waits: some seconds; the next sweep
#: removes the rest.
REMOVED_AT_ONCE = 5_000
#: Of a place the best connected photographs are drawn; of more nobody would see the lines.
GRAPH_PHOTOGRAPHS = 60
#: So many of its photographs say where a place is; more would hardly move the centre.
LOCATED_PHOTOGRAPHS = 1_000
#: Of the rest of a place that is parted so many are said to be one.
HELD_TOGETHER = 30
NEWEST, SWEEPS = 24, 10

#: What people write of a place, in characters; within `MAX_FIELDS_BYTES`, each in up to twelve.
MAX_NAME, MAX_NOTE = 100, 1000

# Of originals in one zip.
MAX_ORIGINALS, MAX_ORIGINALS_BYTES = 200, 2_000_000_000

# Uploads.
MAX_UPLOAD_BYTES = 50_000_000
#: Characters of the paths, as Starlette limits a field.
MAX_TEXT = 1_000_000
#: Of the other fields and the form's own words.
REST_BYTES = 2 * MAX_TEXT
#: Of a form without a file: two paths, each byte of them in three; or a note.
MAX_FIELDS_BYTES = 16_000
#: Enough to see that it can be decoded.
CHECK_SIDE_PX = 256

# Caches.
#: Of pictures encoded; a small one has 30 KB.
PICTURES_KEPT_BYTES = 64_000_000
#: What has no address of its own version is asked for again after this time, by its etag.
FRESH_S = 600
#: Changed settings show soon, and a page of a thousand thumbnails asks for its result as often.
KEPT_S = 60
RESULTS_KEPT, SEARCHES_KEPT = 32, 16
#: The index page asks for all of the table.
OVERVIEW_S = 20


def pages_of(entries: int, a_page: int) -> int:
    """How many pages so many entries fill; one has none."""
    return max(1, -(-entries // a_page))


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

        kept_answer.forget = answer.cache_clear  # type: ignore[attr-defined]
        return kept_answer

    return decorate


def forget(function: Callable[..., Any]) -> None:
    """Forget what is `kept` of a function's answers."""
    function.forget()  # type: ignore[attr-defined]
