"""What workers gain by the rows they keep: the same search three times over one table.

    python -m benchmarks.second_search [IMAGES [FEATURES]]

Two workers of a scheduler on this machine, a temporary Postgres, made-up features: reading and
comparing do not depend on what they show. What was read is Postgres' own count.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from dask.distributed import Client

from landmark.cluster.client import open_client
from landmark.features import LocalFeatures
from landmark.search.comparison import Query
from landmark.search.rank import rank_alone
from landmark.settings import Settings
from landmark.storage.connections import close_idle
from landmark.storage.database import Database
from landmark.storage.images import save_image
from stack.net import free_port
from stack.servers import start_postgres

MODEL, DIMENSIONS, WORKERS = "made-up", 64, 2


def made_up(number: int, features: int) -> LocalFeatures:
    rng = np.random.default_rng(number)
    descriptors = rng.normal(size=(features, DIMENSIONS))
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    return LocalFeatures(
        locations=rng.uniform(0, 1000, (features, 2)).astype(np.float32),
        descriptors=descriptors.astype(np.float16),
        scales=np.ones(features, np.float32),
        attention=np.ones(features, np.float32),
        width=1000,
        height=1000,
    )


def megabytes_read(database: Database) -> float:
    close_idle()
    with database.connect() as connection:
        row = connection.execute(
            "SELECT toast_blks_read + toast_blks_hit FROM pg_statio_user_tables"
            " WHERE relname = 'landmarks'"
        ).fetchone()
    assert row is not None
    return float(row[0]) * 8192 / 1e6


def main(images: int = 3000, features: int = 1000) -> None:
    with ExitStack() as stack:
        database = Database(stack.enter_context(start_postgres()).dsn)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        database.migrate()
        for number in range(images):
            save_image(database, f"s3://b/{number:06d}", MODEL, "1", made_up(number, features))
        address = f"tcp://127.0.0.1:{free_port()}"
        dask = [sys.executable, "-m", "dask"]
        for command in (
            ["scheduler", "--host=127.0.0.1", f"--port={address.rsplit(':', 1)[1]}"],
            ["worker", address, "--host=127.0.0.1", f"--nworkers={WORKERS}", "--nthreads=1"],
        ):
            log = stack.enter_context(Path(folder, f"{command[0]}.log").open("wb"))
            process = subprocess.Popen(
                [*dask, *command, "--no-dashboard"], cwd=folder, stdout=log, stderr=log
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
        with Client(address, timeout=120) as client:
            client.wait_for_workers(WORKERS, timeout=120)
        print(f"{images} images of {features} features, {WORKERS} workers")
        print("search      seconds  MB read  MB kept a worker")
        query = Query("s3://b/query", made_up(images, features))
        for name, cache_mb in (("without", 0), ("first", None), ("second", None), ("third", None)):
            with open_client(address, Settings(dask_cache_mb=cache_mb)) as client:
                before, start = megabytes_read(database), time.perf_counter()
                rank_alone(database, client, MODEL, query, 100, mode="exhaustive")
                seconds = time.perf_counter() - start
                client.run(close_idle)
                time.sleep(0.5)  # Postgres counts what a connection has read as it ends
                read = megabytes_read(database) - before
                kept = client.run(_kept_bytes).values()
            sizes = ", ".join(f"{size / 1e6:.0f}" for size in kept)
            print(f"{name:10} {seconds:8.2f} {read:8.1f}  {sizes}", flush=True)


def _kept_bytes() -> int:
    from landmark.storage.row_cache import ROWS

    return ROWS.bytes


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
