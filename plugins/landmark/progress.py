"""Progress of long work, in the log of the task and for who asks: counts, rate, time left."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta

logger = logging.getLogger(__name__)

UNTOLD_S = 1.0


class Progress:
    """Counts what is done and logs a line now and then.

    Parameters
    ----------
    total : int
        How much there is to do.
    what : str
        Plural noun for the log, such as ``images compared``.
    tell : callable
        Called with this object when a second has passed, and from then on beside each line: what is
        over at once is not worth the telling.
    interval_s : float
        Seconds between two lines; the last one always comes.
    """

    def __init__(
        self,
        total: int,
        what: str,
        tell: Callable[[Progress], None] = lambda progress: None,
        interval_s: float = 10.0,
    ) -> None:
        self.total = total
        self.what = what
        self.done = 0
        self._tell = tell
        self._interval_s = interval_s
        self._started = self._logged = time.monotonic()
        self._told = False

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    @property
    def rate(self) -> float:
        """So many a second."""
        return self.done / max(self.seconds, 1e-9)

    @property
    def figures(self) -> dict[str, float]:
        """How far it is: `done` of `total`, and `rate` a second."""
        return {"done": self.done, "total": self.total, "rate": round(self.rate, 2)}

    def add(self, n: int = 1) -> None:
        """Count `n` more."""
        self.done += n
        if not self.done:
            return
        now = time.monotonic()
        due = self.done == self.total or now - self._logged >= self._interval_s
        if due:
            self._logged = now
            left = timedelta(seconds=round(max(0, self.total - self.done) / self.rate))
            logger.info(
                "%d of %d %s, %.1f/s, %s left", self.done, self.total, self.what, self.rate, left
            )
        if now - self._started >= UNTOLD_S and (due or not self._told):
            self._told = True
            self._tell(self)
