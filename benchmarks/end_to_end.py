"""How long a user waits for searches, from the trigger by REST to `matches.txt` in S3.

    python -m benchmarks.end_to_end [--sizes 1000,100000] [--queries 10] [--beside CHECKOUT]
        [--json FILE]

Starts an embedded stack of its own, fills its table with rows made of the demo gallery's real
features (`benchmarks.bulk`), and searches for photographs that nothing knows yet: each is
extracted. One after the other; several triggered at once; many in one run; one right after the
stack has started anew. What the tasks themselves take stands apart from what lies between them,
which is Airflow's. The folder of the stack goes afterwards.

With ``--beside`` the program of another checkout of this project runs afterwards, in this Python
and with the model bundled there, and the ratio of its seconds to these is given for each size.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from benchmarks import bulk
from benchmarks.photographs import choose_images
from landmark.evaluation.figures import figures_parser, print_figures
from landmark.extraction.extractor import load_extractor
from landmark.extraction.models import BUNDLED_MODEL, resolve_model
from landmark.features import LocalFeatures
from landmark.index.describe import describe_table
from landmark.search.result import TEXT
from landmark.search.searches import OVERVIEW_TEXT
from landmark.settings import load_settings
from landmark.storage.database import Database
from stack import lifecycle
from stack.airflow_api import AirflowApi
from stack.demo import GALLERY
from stack.environment import landmark_s3_client
from stack.s3 import BUCKET
from stack.state import State

TOGETHER, MANY = 6, 30
# Where a search's time goes, in its order.
PHASES = (
    "until_extract_query",
    "extract_query",
    "until_rank_matches",
    "rank_matches",
    "until_draw_matches",
    "draw_matches",
    "until_success",
)
POLL_S, LOOKS = 0.05, 40


class Photograph(NamedTuple):
    """What is searched for, and the number of its place in the table."""

    file: Path
    number: int


def measure(sizes: Sequence[int], queries: int) -> dict[str, Any]:
    """Seconds of searches, a dict for each size of the table."""
    files = choose_images(GALLERY / "images")
    model = resolve_model(load_settings())
    extractor = load_extractor(model)
    photographs = [extractor.extract(file.read_bytes(), file.name) for file in files]
    asked = cycle([Photograph(file, number) for number, file in enumerate(files)])
    with tempfile.TemporaryDirectory(prefix="landmark-") as folder:
        state = State(Path(folder))
        user = User(lifecycle.up(state), len(photographs))
        try:
            user.api.wait("landmark_index", user.api.trigger("landmark_index"))  # makes the tables
            filled, found = 0, []
            for size in sizes:
                _fill(user.database, photographs, filled, size, model.fingerprint)
                filled = user.images = size
                found.append(_measure_size(user, asked, queries))
                lifecycle.down(state)
                user = User(lifecycle.up(state), len(photographs), size)
                found[-1]["first_after_start"] = user.search([next(asked)])["seconds"]
        finally:
            lifecycle.down(state)
    return {
        "model": model.fingerprint,
        "features_per_image": statistics.mean(len(found) for found in photographs),
        "sizes": found,
    }


def _measure_size(user: User, asked: Iterator[Photograph], queries: int) -> dict[str, Any]:
    user.search([next(asked)])  # a table that was just filled
    alone = [user.search([next(asked)]) for _ in range(queries)]
    together = user.search_together(list(islice(asked, TOGETHER)))
    many = user.search(list(islice(asked, MANY)))
    times = ("seconds", *PHASES, "with_pictures")
    figures = {
        "images": user.images,
        **{key: alone[0][key] for key in ("mode", "compared")},
        **{key: statistics.median(one[key] for one in alone) for key in times},
        "slowest": max(one["seconds"] for one in alone),
        "views_found": statistics.mean(one["views_found"] for one in alone),
        f"last_of_{TOGETHER}_together": max(together),
        f"{MANY}_in_one_run": many["seconds"],
        "searches": alone,
    }
    print(figures, file=sys.stderr, flush=True)
    return figures


class User:
    """Who searches, by REST and S3.

    Parameters
    ----------
    session : Session
    places : int
        Photographs of which the table's images are made.
    images : int
        Of the table.
    """

    def __init__(self, session: lifecycle.Session, places: int, images: int = 0) -> None:
        self.images, self._places, self._uploads = images, places, 0
        self._results = session.variables["LANDMARK_RESULTS"]
        self._s3 = landmark_s3_client(session.variables)
        self.database = Database(session.addresses.postgres.url("landmark", "landmark"))
        self.api = AirflowApi(session.addresses)
        for dag in ("landmark_index", "landmark_search"):
            self.api.wait_for_dag(dag)

    def search(self, asked: Sequence[Photograph]) -> dict[str, Any]:
        """Search for photographs in one run; seconds, and of a single one what it found."""
        paths = [self._upload(photograph.file) for photograph in asked]
        begin = time.time()
        run = self._trigger(paths)
        name = TEXT if len(asked) == 1 else OVERVIEW_TEXT
        written, text = self._wait_for(run, name)
        self.api.wait("landmark_search", run)
        found = {"seconds": written - begin, "with_pictures": time.time() - begin}
        if len(asked) > 1:
            return found
        views = bulk.view_paths(asked[0].number, self._places, self.images)
        return {**found, **self._phases(run, begin), **_told(text, views)}

    def search_together(self, asked: Sequence[Photograph]) -> list[float]:
        """Trigger a run for each photograph at once; the seconds of each."""
        paths = [self._upload(photograph.file) for photograph in asked]
        begin = time.time()
        runs = [self._trigger([path]) for path in paths]
        written = [self._wait_for(run, TEXT)[0] - begin for run in runs]
        for run in runs:
            self.api.wait("landmark_search", run)
        return written

    def _upload(self, file: Path) -> str:
        # Bytes of its own, which the table has not.
        self._uploads += 1
        key = f"uploads/{self.images}-{time.time_ns()}-{self._uploads}.jpg"
        self._s3.put_object(Bucket=BUCKET, Key=key, Body=file.read_bytes())
        return f"s3://{BUCKET}/{key}"

    def _trigger(self, paths: list[str]) -> str:
        return self.api.trigger(
            "landmark_search", {"image_path": paths[0] if len(paths) == 1 else paths}
        )

    def _wait_for(self, run: str, name: str) -> tuple[float, str]:
        """When S3 says that the file was written, to the poll; and its text."""
        prefix = (self._results + run + "/" + name).removeprefix(f"s3://{BUCKET}/")
        looks = count(1)
        while not self._s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("KeyCount"):
            # Airflow is asked rarely: its answers take the searches' own processors.
            if next(looks) % LOOKS == 0 and self.api.call(_run(run))["state"] == "failed":
                self.api.wait("landmark_search", run)  # says which task
            time.sleep(POLL_S)
        written = time.time()
        return written, self._s3.get_object(Bucket=BUCKET, Key=prefix)["Body"].read().decode()

    def _phases(self, run: str, begin: float) -> dict[str, float]:
        """Seconds of each of `PHASES`."""
        tasks = {
            task["task_id"]: [
                datetime.fromisoformat(task[key]).timestamp() for key in ("start_date", "end_date")
            ]
            for task in self.api.call(f"{_run(run)}/taskInstances")["task_instances"]
        }
        ended = datetime.fromisoformat(self.api.call(_run(run))["end_date"]).timestamp()
        moments = [
            begin,
            *tasks["extract_query"],
            *tasks["rank_matches"],
            *tasks["draw_matches"],
            ended,
        ]
        return {
            name: later - earlier
            for name, earlier, later in zip(PHASES, moments, moments[1:], strict=False)
        }


def _told(text: str, views: set[str]) -> dict[str, Any]:
    """What `matches.txt` says of the search, and which of the place's views it has."""
    lines = text.splitlines()
    header = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# "))
    found = {field for line in lines if line[:1] != "#" for field in line.split("\t")}
    return {
        "mode": header["mode"],
        "compared": int(header["images compared"]),
        "views_found": len(found & views) / len(views),
    }


def _fill(
    database: Database, photographs: Sequence[LocalFeatures], filled: int, size: int, model: str
) -> None:
    print(f"filling the table up to {size:,} images", file=sys.stderr, flush=True)
    bulk.fill_table(database, photographs, filled, size, model)
    describe_table(database, model)


def _run(run: str) -> str:
    return f"/api/v2/dags/landmark_search/dagRuns/{quote(run, safe='')}"


def _measure_beside(checkout: Path, options: Sequence[str]) -> list[dict[str, Any]]:
    """What the program of another checkout measures, by sizes."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "figures.json")
        folders = (checkout / "plugins", checkout / "include", checkout)
        subprocess.run(
            [sys.executable, "-m", "benchmarks.end_to_end", *options, "--json", str(file)],
            cwd=checkout,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(map(str, folders)),
                "LANDMARK_MODEL": str(checkout / BUNDLED_MODEL),
            },
            stdout=subprocess.DEVNULL,
            check=True,
        )
        sizes: list[dict[str, Any]] = json.loads(file.read_text())["sizes"]
        return sizes


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    parser = figures_parser("benchmarks.end_to_end", __doc__)
    parser.add_argument("--sizes", default="1000,100000", metavar="N,N")
    parser.add_argument("--queries", type=int, default=10, metavar="N")
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT")
    options = parser.parse_args(arguments)
    sizes = sorted(int(size) for size in options.sizes.split(","))

    def measured() -> dict[str, Any]:
        figures = measure(sizes, options.queries)
        if options.beside:
            given = [f"--sizes={options.sizes}", f"--queries={options.queries}"]
            figures["beside"] = _measure_beside(options.beside.resolve(), given)
            pairs = zip(figures["beside"], figures["sizes"], strict=True)
            figures["ratios"] = [theirs["seconds"] / ours["seconds"] for theirs, ours in pairs]
        return figures

    return print_figures(measured, options.json)


if __name__ == "__main__":
    sys.exit(main())
