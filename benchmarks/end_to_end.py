"""How long a user waits for a search, from the trigger by REST to `matches.txt` in S3.

    python -m benchmarks.end_to_end [--sizes 1000,100000]
        [--queries 3] [--json FILE]

Starts an embedded stack of its own, fills its table with rows made of the demo gallery's real
features (`benchmarks.bulk`), and searches for photographs that nothing knows yet: each is
extracted.
What the tasks themselves take stands apart from Airflow's share: to see the run, start a process
for each task, and go from one to the next. The folder of the stack goes afterwards.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks import bulk
from benchmarks.photographs import choose_images
from landmark.evaluation.figures import figures_parser, print_figures
from landmark.extraction.extractor import load_extractor
from landmark.extraction.models import resolve_model
from landmark.features import LocalFeatures
from landmark.index.describe import describe_table
from landmark.search.result import TEXT
from landmark.settings import load_settings
from landmark.storage.database import Database
from stack import lifecycle
from stack.airflow_api import AirflowApi
from stack.demo import GALLERY
from stack.environment import landmark_s3_client
from stack.s3 import BUCKET
from stack.state import State

TASKS = ("extract_query", "rank_matches")
POLL_S = 0.05


def measure(sizes: Sequence[int], queries: int) -> dict[str, Any]:
    """Seconds of searches, a dict for each size of the table."""
    files = choose_images(GALLERY / "images")
    model = resolve_model(load_settings())
    extractor = load_extractor(model)
    photographs = [extractor.extract(file.read_bytes(), file.name) for file in files]
    with tempfile.TemporaryDirectory(prefix="landmark-") as folder:
        state = State(Path(folder))
        session = lifecycle.up(state)
        try:
            database = Database(session.addresses.postgres.url("landmark", "landmark"))
            api = AirflowApi(session.addresses)
            for dag in ("landmark_index", "landmark_search"):
                api.wait_for_dag(dag)
            api.wait("landmark_index", api.trigger("landmark_index"))  # the tables, and a first run
            filled, searches = 0, []
            for size in sizes:
                _fill(database, photographs, filled, size, model.fingerprint)
                filled = size
                client = landmark_s3_client(session.variables)
                for number, file in enumerate(files[:queries]):
                    key = f"uploads/{size}-{number}.jpg"
                    client.put_object(Bucket=BUCKET, Key=key, Body=file.read_bytes())
                    views = bulk.view_paths(number, len(photographs), size)
                    searches.append({"images": size, **_search(session, api, client, key, views)})
                    print(searches[-1], file=sys.stderr, flush=True)
        finally:
            lifecycle.down(state)
    return {
        "model": model.fingerprint,
        "features_per_image": statistics.mean(len(found) for found in photographs),
        "sizes": [_summary(size, searches) for size in sizes],
        "searches": searches,
    }


def _fill(
    database: Database, photographs: Sequence[LocalFeatures], filled: int, size: int, model: str
) -> None:
    print(f"filling the table up to {size:,} images", file=sys.stderr, flush=True)
    bulk.fill_table(database, photographs, filled, size, model)
    describe_table(database, model)


def _search(
    session: lifecycle.Session, api: AirflowApi, client: Any, key: str, views: set[str]
) -> dict[str, Any]:
    begin = time.time()
    run = api.trigger("landmark_search", {"image_path": f"s3://{BUCKET}/{key}"})
    folder = session.variables["LANDMARK_RESULTS"] + run + "/"
    prefix = (folder + TEXT).removeprefix(f"s3://{BUCKET}/")
    while not client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("KeyCount"):
        if api.call(_run(run))["state"] == "failed":
            api.wait("landmark_search", run)  # says which task
        time.sleep(POLL_S)
    written = time.time()
    text = client.get_object(Bucket=BUCKET, Key=prefix)["Body"].read().decode()
    api.wait("landmark_search", run)
    ended = time.time()
    tasks = api.call(f"{_run(run)}/taskInstances")["task_instances"]
    took = {task["task_id"]: _seconds(task) for task in tasks}
    found = {line.rsplit("\t", 1)[-1] for line in text.splitlines() if line[:1] != "#"}
    header = dict(line[2:].split(": ", 1) for line in text.splitlines() if line[:2] == "# ")
    return {
        "mode": header["mode"],
        "compared": int(header["images compared"]),
        "seconds": written - begin,
        **{task: took[task] for task in TASKS},
        "airflow": written - begin - sum(took[task] for task in TASKS),
        "with_pictures": ended - begin,
        "views_found": len(found & views) / len(views),
    }


def _run(run: str) -> str:
    return f"/api/v2/dags/landmark_search/dagRuns/{quote(run, safe='')}"


def _seconds(task: dict[str, Any]) -> float:
    begin, end = (datetime.fromisoformat(task[key]) for key in ("start_date", "end_date"))
    return (end - begin).total_seconds()


def _summary(size: int, searches: list[dict[str, Any]]) -> dict[str, Any]:
    ours = [one for one in searches if one["images"] == size]
    times = ("seconds", *TASKS, "airflow", "with_pictures")
    return {
        "images": size,
        "mode": ours[0]["mode"],
        "compared": ours[0]["compared"],
        **{key: statistics.median(one[key] for one in ours) for key in times},
        "slowest": max(one["seconds"] for one in ours),
        "views_found": statistics.mean(one["views_found"] for one in ours),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    parser = figures_parser("benchmarks.end_to_end", __doc__)
    parser.add_argument("--sizes", default="1000,100000", metavar="N,N")
    parser.add_argument("--queries", type=int, default=3, metavar="N")
    options = parser.parse_args(arguments)
    sizes = sorted(int(size) for size in options.sizes.split(","))
    return print_figures(lambda: measure(sizes, options.queries), options.json)


if __name__ == "__main__":
    sys.exit(main())
