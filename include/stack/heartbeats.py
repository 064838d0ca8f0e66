"""Workers tell Dask's scheduler seldom how they are: ``dask scheduler --preload=stack.heartbeats``.

By itself it has up to ten of them tell it twice a second each, over TLS, and no setting changes
that: a sixth of what the stack takes at rest. Nothing waits for it; the loss of a worker is known
by its connection.
"""

from __future__ import annotations

from typing import Any

HEARTBEAT_S = 5.0


def dask_setup(scheduler: Any) -> None:
    """Dask calls it in the scheduler's process, before there are workers."""
    from distributed import scheduler as module

    module.heartbeat_interval = lambda workers: HEARTBEAT_S  # type: ignore[assignment]
