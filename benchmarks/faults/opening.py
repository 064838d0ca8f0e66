"""A bench is opened: a stack of its own, photographs in it, a proxy before its S3."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.faults.bench import SEARCHED, Bench, wait_until
from benchmarks.faults.proxy import fault_proxy
from stack import lifecycle
from stack.demo import GALLERY
from stack.s3 import BUCKET
from stack.state import State

CONNECTION = "s3_through_proxy"
QUERY = "courtyard/01.jpg"
IMAGES = 60


@contextmanager
def open_bench(folder: Path, images: int = IMAGES) -> Iterator[Bench]:
    """A running stack in `folder`, ended with the block, with photographs of the gallery.

    The folder is new; the nightly run has indexed them.
    """
    # Started in the background, a shell would have this ignore Ctrl-C.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith(("LANDMARK_", "AIRFLOW"))]:
        del os.environ[name]
    os.environ["LANDMARK_STATE"] = str(folder)
    state = State(folder)

    def fill(session: lifecycle.Session) -> None:
        fill_bucket(session.addresses.s3.client(), images)

    session = lifecycle.up(state, {"s3": fill})
    try:
        with fault_proxy(session.addresses.ports["s3"]) as proxy:
            scratch = folder / "scratch"
            scratch.mkdir(exist_ok=True)
            bench = Bench(session, proxy, scratch)
            for dag_id in ("landmark_index", "landmark_search"):
                bench.api.wait_for_dag(dag_id)
            # Airflow's first nightly run, which is due since last night.
            wait_until("the nightly run", lambda: bench.runs("landmark_index"), 180)
            for run in bench.api.runs("landmark_index"):
                bench.wait("landmark_index", run.run_id)
            _use_proxy(bench)
            yield bench
    finally:
        lifecycle.down(state)


def fill_bucket(client: Any, images: int) -> None:
    """Photographs of the gallery, something that is none, and one to search for."""
    folder = GALLERY / "images"
    content = {
        f"images/{path.relative_to(folder)}": path.read_bytes()
        for path in sorted(folder.rglob("*.jpg"))[:images]
    }
    if images:
        content["images/broken.jpg"] = b"no photograph"
        content[SEARCHED] = (folder / QUERY).read_bytes()
    for key, body in content.items():
        client.put_object(Bucket=BUCKET, Key=key, Body=body)


def _use_proxy(bench: Bench) -> None:
    """As a user points Landmark at another S3: a connection, and a Variable that names it."""
    connection = json.loads(bench.session.variables["AIRFLOW_CONN_LANDMARK_S3"])
    extra = {**connection["extra"], "endpoint_url": bench.proxy.url}
    body = {"connection_id": CONNECTION, **connection, "extra": json.dumps(extra)}
    path = f"/api/v2/connections/{CONNECTION}"
    with psycopg.connect(
        bench.session.addresses.postgres.url("postgres", "airflow"), autocommit=True
    ) as database:
        database.execute("DELETE FROM connection WHERE conn_id = %s", [CONNECTION])
        database.execute("DELETE FROM variable WHERE key = 'LANDMARK_AWS_CONN_ID'")
    bench.api.call("/api/v2/connections", body)
    bench.api.call("/api/v2/variables", {"key": "LANDMARK_AWS_CONN_ID", "value": CONNECTION})
    assert bench.api.call(path)["conn_type"] == "aws"
