"""Dask's workers, one a core: ``python -m stack workers``, run by `up`.

``dask worker --nworkers`` goes on as long as one of them is left. Those that end with a scheduler
that is lost would be missed from then on; here the first ends all, and the supervisor starts anew.
"""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from dask.system import CPU_COUNT
from distributed import Nanny
from distributed.system import MEMORY_LIMIT

from landmark.cluster.workers import MODEL_RESOURCE
from stack.net import HOST
from stack.state import State

#: The rest of the memory is for Airflow, Postgres and the system.
MEMORY_SHARE = 0.75
#: So many hold models of TensorFlow's, where a worker's share of the memory is enough for one: DELF
#: takes 2.2 GB beside what the worker keeps of the table.
CARRIERS, CARRIER_BYTES = 1, 4_000_000_000


def run_workers(scheduler: str, state: State) -> int:
    """Run the workers until one of them has ended for good, or a signal comes.

    Parameters
    ----------
    scheduler : str
        Its address. The certificate that goes with it is in Dask's configuration.
    state : State
        Where they keep what does not fit into memory.

    Returns
    -------
    int
        The program's exit status.
    """
    return asyncio.run(_run(scheduler, state))


async def _run(scheduler: str, state: State) -> int:
    asked = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, asked.set)
    carriers = CARRIERS if MEMORY_LIMIT * MEMORY_SHARE / CPU_COUNT >= CARRIER_BYTES else 0
    nannies = [
        Nanny(
            scheduler,
            nthreads=1,
            host=HOST,
            dashboard=False,
            memory_limit=MEMORY_SHARE / CPU_COUNT,
            local_directory=str(state.dask),
            resources={MODEL_RESOURCE: 1} if number < carriers else {},
        )
        for number in range(CPU_COUNT)
    ]
    stopping = asyncio.create_task(asked.wait())
    try:
        started: asyncio.Future[Any] = asyncio.gather(*nannies)
        await asyncio.wait({stopping, started}, return_when=asyncio.FIRST_COMPLETED)
        if started.done():
            started.result()
            ends = [asyncio.create_task(nanny.finished()) for nanny in nannies]
            await asyncio.wait([stopping, *ends], return_when=asyncio.FIRST_COMPLETED)
    finally:
        await asyncio.gather(*(nanny.close(timeout=5) for nanny in nannies), return_exceptions=True)
    return 0 if asked.is_set() else 1
