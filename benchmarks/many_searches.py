"""What one pass for many queries saves against one search after the other, in the same run.

    OMP_NUM_THREADS=1 python -m benchmarks.many_searches
        [--images 3000] [--queries 1,4,16] [--shortlist 500] [--rounds 3] [--json FILE]

A table of `benchmarks.bulk`, made of the gallery's photographs, in a Postgres of its own; workers
of `LANDMARK_DASK=local`, which keep no rows. Both ways take turns, and give the same bytes; of each
the fastest turn counts. What was read is Postgres' own count. The seconds of computing, which other
load on the machine changes less, are those of the workers and of the task, without Postgres.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from dask.distributed import Client

from benchmarks import bulk
from benchmarks.photographs import GALLERY, choose_images
from benchmarks.second_search import megabytes_read
from landmark.cluster.client import open_client
from landmark.errors import LandmarkError
from landmark.evaluation.figures import figures_parser, print_figures
from landmark.extraction.extractor import load_extractor
from landmark.extraction.models import resolve_model
from landmark.index.describe import describe_table
from landmark.matching.pair import MatchingParameters
from landmark.search.comparison import Query
from landmark.search.rank import rank_table
from landmark.search.result import SearchResult
from landmark.settings import load_settings
from landmark.storage.connections import close_idle
from landmark.storage.database import Database
from stack.servers import start_postgres

TOP_K = 100


def measure(images: int, numbers: Sequence[int], shortlist: int, rounds: int) -> dict[str, Any]:
    """Seconds and megabytes of both ways, by mode and number of queries."""
    model = resolve_model(load_settings())
    extractor, parameters = load_extractor(model), MatchingParameters(model.max_distance)
    files = choose_images(GALLERY)
    photographs = [extractor.extract(file.read_bytes(), file.name) for file in files]
    queries = [
        Query(f"s3://queries/{number}", photographs[number % len(photographs)])
        for number in range(max(numbers))
    ]
    rows = []
    with start_postgres() as postgres, open_client("local") as client:
        database = Database(postgres.dsn)
        database.migrate()
        bulk.fill_table(database, photographs, 0, images)
        describe_table(database, bulk.MODEL)

        def search(asked: Sequence[Query], mode: str) -> list[bytes]:
            found = rank_table(
                database,
                client,
                bulk.MODEL,
                asked,
                TOP_K,
                mode=mode,
                shortlist=shortlist,
                parameters=parameters,
            )
            return [_text(result) for result in found]

        for mode in ("exhaustive", "shortlist"):
            search(queries[:1], mode)  # workers import, pages warm up
            for number in numbers:
                asked = queries[:number]
                ways: dict[str, Callable[[], list[bytes]]] = {
                    "together": lambda: search(asked, mode),  # noqa: B023
                    "in_turn": lambda: [text for one in asked for text in search([one], mode)],  # noqa: B023
                }
                turns: dict[str, list[tuple[float, float, float]]] = {way: [] for way in ways}
                texts = []
                for _ in range(rounds):
                    for way, run in ways.items():
                        before = _megabytes(database, client)
                        computed, started = _computed(client), time.perf_counter()
                        texts.append(run())
                        seconds = time.perf_counter() - started
                        computed = _computed(client) - computed
                        turns[way].append(
                            (seconds, computed, _megabytes(database, client) - before)
                        )
                assert all(text == texts[0] for text in texts)
                row: dict[str, Any] = {"mode": mode, "queries": number}
                for index, name in enumerate(("seconds", "computing_seconds", "mb_read")):
                    together, in_turn = (min(turn[index] for turn in turns[way]) for way in ways)
                    row[name] = {"together": together, "in_turn": in_turn}
                    row[f"{name}_ratio"] = in_turn / together
                rows.append(row)
                print(rows[-1], file=sys.stderr, flush=True)
        workers = len(client.scheduler_info()["workers"])
    return {
        "model": model.fingerprint,
        "images": images,
        "shortlist": shortlist,
        "workers": workers,
        "rounds": rounds,
        "ratio": max(row["seconds_ratio"] for row in rows if row["mode"] == "exhaustive"),
        "searches": rows,
    }


def _megabytes(database: Database, client: Client) -> float:
    client.run(close_idle)
    time.sleep(0.5)  # Postgres counts what a connection has read as it ends
    return megabytes_read(database)


def _computed(client: Client) -> float:
    """Seconds of processor time so far, of the workers and of this process."""
    return time.process_time() + sum(client.run(time.process_time).values())


def _text(result: SearchResult | LandmarkError) -> bytes:
    if isinstance(result, LandmarkError):
        raise result
    return result.to_text()


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    parser = figures_parser("benchmarks.many_searches", __doc__)
    parser.add_argument("--images", type=int, default=3000, metavar="N")
    parser.add_argument("--queries", default="1,4,16", metavar="N,N")
    parser.add_argument("--shortlist", type=int, default=500, metavar="N")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    options = parser.parse_args(arguments)
    numbers = [int(number) for number in options.queries.split(",")]

    def measured() -> dict[str, Any]:
        return measure(options.images, numbers, options.shortlist, options.rounds)

    return print_figures(measured, options.json)


if __name__ == "__main__":
    sys.exit(main())
