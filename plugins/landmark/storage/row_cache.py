"""Rows of the table that a Dask worker keeps in memory from one search to the next.

Nothing here is believed: who reads asks Postgres for the versions of the rows there are, and takes
from here only what has that version still.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Any

# A table larger than the limit, read again and again from its beginning, would always find that
# what it needs next has just gone. So rows give way only once no search has used them this long.
IDLE_S = 3600.0


class RowCache:
    """Rows by key, within a limit.

    Parameters
    ----------
    limit_bytes : int
        Of all rows together; 0 keeps none.
    """

    def __init__(self, limit_bytes: int = 0) -> None:
        self._limit_bytes = limit_bytes
        self.bytes = 0
        # Of each key the version, row, size and last use; least recently used first.
        self._rows: OrderedDict[Hashable, tuple[Hashable, Any, int, float]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def limit_bytes(self) -> int:
        """The limit; lowering it drops rows at once."""
        return self._limit_bytes

    @limit_bytes.setter
    def limit_bytes(self, limit: int) -> None:
        with self._lock:
            self._limit_bytes = limit
            while self.bytes > limit:
                self._drop(next(iter(self._rows)))

    def __len__(self) -> int:
        return len(self._rows)

    def find(self, scope: Hashable, versions: Mapping[int, Hashable]) -> dict[int, Any]:
        """Those rows that are here in the very version asked for; any other version goes.

        Parameters
        ----------
        scope : hashable
            What the numbers are of.
        versions : mapping
            Of each row's number its version.
        """
        found = {}
        with self._lock:
            for number, version in versions.items():
                key = (scope, number)
                kept = self._rows.get(key)
                if kept is None:
                    continue
                if kept[0] != version:
                    self._drop(key)
                    continue
                self._rows[key] = (*kept[:3], time.monotonic())
                self._rows.move_to_end(key)
                found[number] = kept[1]
        return found

    def keep(
        self, scope: Hashable, number: int, version: Hashable, row: Any, size_bytes: int
    ) -> bool:
        """Keep a row if there is room; say whether there was."""
        key, now = (scope, number), time.monotonic()
        with self._lock:
            if key in self._rows:
                self._drop(key)
            while self._rows and self.bytes + size_bytes > self._limit_bytes:
                oldest, (*_, used) = next(iter(self._rows.items()))
                if now - used < IDLE_S:
                    break
                self._drop(oldest)
            if self.bytes + size_bytes > self._limit_bytes:
                return False
            self._rows[key] = (version, row, size_bytes, now)
            self.bytes += size_bytes
            return True

    def _drop(self, key: Hashable) -> None:
        self.bytes -= self._rows.pop(key)[2]


#: Of this process. Keeps nothing until `landmark.cluster.workers` gives it a limit.
ROWS = RowCache()
