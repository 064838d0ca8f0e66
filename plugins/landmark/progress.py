"""Progress of long work, in the log of the task: counts, rate, time left."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

logger = logging.getLogger(__name__)


class Progress:
    """Counts what is done and logs a line now and then.

    Parameters
    ----------
    total : int
        How much there is to do.
    what : str
        Plural noun for the log, such as ``images compared``.
    interval_s : float
        Seconds between two lines; the last one always comes.
    """

    def __init__(self, total: int, what: str, interval_s: float = 10.0) -> None:
        self.total = total
        self.what = what
        self.done = 0
        self._interval_s = interval_s
        self._started = self._logged = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def add(self, n: int = 1) -> None:
        """Count `n` more."""
        self.done += n
        now = time.monotonic()
        if self.done < self.total and now - self._logged < self._interval_s:
            return
        self._logged = now
        rate = self.done / max(now - self._started, 1e-9)
        left = timedelta(seconds=round((self.total - self.done) / rate))
        logger.info("%d of %d %s, %.1f/s, %s left", self.done, self.total, self.what, rate, left)
