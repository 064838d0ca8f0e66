"""What a search costs as the table grows, on a Postgres of its own that goes afterwards.

    OMP_NUM_THREADS=1 python -m benchmarks.search [--images DIR] [--json FILE.json]
        [--sizes 1000,10000] [--nearest-sizes 10000,100000,1000000] [--shortlist N] [--queries N]

Its rows are made of the images' features (`benchmarks.bulk`; 150 KB each). With --json it also
writes the figures as a table, FILE.md, and draws a plot, FILE.png.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from dask.distributed import Client

from benchmarks import bulk
from benchmarks.memory import peak_mb, reset_peak
from benchmarks.photographs import choose_images, extract_all, images_parser
from landmark.cluster.client import open_client
from landmark.cluster.workers import keep_freed_memory
from landmark.evaluation.chart import draw_chart
from landmark.evaluation.figures import print_figures
from landmark.extraction.extractor import load_extractor
from landmark.extraction.models import resolve_model
from landmark.features import LocalFeatures
from landmark.index.describe import INDEX_MEMORY_MB, describe_table
from landmark.matching.pair import MatchingParameters
from landmark.matching.ranking import MIN_INLIERS
from landmark.search.comparison import Query, rank_images
from landmark.search.rank import rank_alone
from landmark.search.result import SearchResult
from landmark.settings import load_settings
from landmark.storage.aggregations import current_aggregation
from landmark.storage.connections import close_idle
from landmark.storage.database import Database
from landmark.storage.nearest import build_index, drop_index, nearest
from landmark.storage.partitions import list_partitions, read_partition
from stack.servers import start_postgres

TOP_K = 100
# Rows that this process compares alone, from memory: what the workers together should reach.
COMPARED_ALONE = 500
PAGE_BYTES = 8192
# Postgres counts what a connection has read as it ends.
COUNTED_AFTER_S = 0.5


class Plan(NamedTuple):
    """What to measure.

    Parameters
    ----------
    sizes : tuple of int
        Images in the table for whole searches, ascending.
    nearest_sizes : tuple of int
        Images for the shortlist alone, ascending.
    queries : int
    shortlist : int
    parameters : MatchingParameters
    """

    sizes: tuple[int, ...]
    nearest_sizes: tuple[int, ...]
    queries: int
    shortlist: int
    parameters: MatchingParameters


def measure_search(photographs: Sequence[LocalFeatures], plan: Plan) -> dict[str, Any]:
    """Fill a table, search it at every size, and take it down.

    Parameters
    ----------
    photographs : sequence of LocalFeatures
        Real ones; the first `plan.queries` are what is searched for.

    Returns
    -------
    dict
        ``ratio``: of the largest exhaustive search, the speed of the workers together over that of
        one core that compares from memory, times their number. ``searches``, ``nearest``: a dict
        for each size and mode; ``graph_ratio`` there: of the time with the match graph to that by
        inliers alone, in turn. ``views``, ``view_noise``, ``place_noise``: how the table is made
        (`benchmarks.bulk`).
    """
    searches: list[dict[str, Any]] = []
    with start_postgres() as postgres:
        database = Database(postgres.dsn)
        database.migrate()
        filled = 0
        for size in plan.sizes:
            bulk.fill_table(database, photographs, filled, size)
            filled = size
            describe_table(database, bulk.MODEL)
            bulk.link_views(database, len(photographs), size)
            for mode in ("exhaustive", "shortlist"):
                searches.append(_measure_mode(database, photographs, plan, size, mode))
        nearest = _measure_nearest(database, photographs, plan)
    whole = [one for one in searches if "of_prediction" in one]
    return {
        "ratio": whole[-1]["of_prediction"],
        "features_per_image": float(np.mean([len(found) for found in photographs])),
        "photographs": len(photographs),
        "views": bulk.VIEWS,
        "view_noise": bulk.VIEW_NOISE,
        "place_noise": bulk.PLACE_NOISE,
        "searches": searches,
        "nearest": nearest,
    }


def _measure_mode(
    database: Database, photographs: Sequence[LocalFeatures], plan: Plan, size: int, mode: str
) -> dict[str, Any]:
    """One mode at one size, on fresh workers, so that their peak memory is this mode's own."""
    queries = photographs[: plan.queries]
    reset_peak()
    with open_client("local") as client:
        _search(database, client, queries[0], mode, plan)  # workers import, pages warm up
        client.run(close_idle)
        before = _pages(database)
        seconds: list[float] = []
        without_graph: list[float] = []
        found = wanted = compared = 0
        for number, query in enumerate(queries):
            started = time.perf_counter()
            result = _search(database, client, query, mode, plan)
            seconds.append(time.perf_counter() - started)
            started = time.perf_counter()
            _search(database, client, query, mode, plan, ranking="inliers")
            without_graph.append(time.perf_counter() - started)
            compared = result.images_compared
            views = bulk.view_paths(number, len(photographs), size)
            found += len(views & {match.image_path for match in result.matches})
            wanted += len(views)
        client.run(close_idle)
        pages = _pages(database) - before
        workers = client.run(peak_mb)
    figures = {
        "images": size,
        "mode": mode,
        "seconds": statistics.median(seconds),
        "rows_read": compared,
        "bytes_read": pages * PAGE_BYTES // (2 * len(queries)),
        "graph_ratio": sum(seconds) / sum(without_graph),
        "views_found": found / wanted,
        "task_and_scheduler_mb": peak_mb(),
        "worker_mb": max(workers.values()),
    }
    if mode == "exhaustive":
        alone = _seconds_alone(database, queries[0], plan.parameters)
        figures["predicted_seconds"] = alone * size / len(workers)
        figures["of_prediction"] = figures["predicted_seconds"] / figures["seconds"]
    return figures


def _search(
    database: Database,
    client: Client,
    query: LocalFeatures,
    mode: str,
    plan: Plan,
    ranking: str = "graph",
) -> SearchResult:
    return rank_alone(
        database,
        client,
        bulk.MODEL,
        Query("", query),
        TOP_K,
        mode=mode,
        shortlist=plan.shortlist,
        parameters=plan.parameters,
        ranking=ranking,
    )


def _seconds_alone(
    database: Database, query: LocalFeatures, parameters: MatchingParameters
) -> float:
    """Seconds an image on this core alone, from memory: nothing but comparing."""
    keep_freed_memory()  # as workers do
    partitions = list_partitions(database, bulk.MODEL, COMPARED_ALONE)
    # The last rows: other places, as nearly all are.
    images = list(read_partition(database, bulk.MODEL, partitions[-1].ids))
    started = time.perf_counter()
    rank_images([Query("", query)], images, TOP_K, MIN_INLIERS, parameters)
    return (time.perf_counter() - started) / len(images)


def _measure_nearest(
    database: Database, photographs: Sequence[LocalFeatures], plan: Plan
) -> list[dict[str, Any]]:
    """The shortlist alone, in a table of nothing but global descriptors."""
    described = current_aggregation(database, bulk.MODEL)
    assert described is not None and described.parameters is not None
    describe = described.parameters.describe
    real = np.stack([describe(found.descriptors) for found in photographs]).astype(np.float32)
    with database.connect() as connection:
        connection.execute("TRUNCATE landmarks CASCADE")
    measured, filled = [], 0
    for size in plan.nearest_sizes:
        # A large index is built faster than it is filled row by row.
        drop_index(database, described.number)
        bulk.fill_global_descriptors(database, real, filled, size)
        filled = size
        started = time.perf_counter()
        build_index(database, described, INDEX_MEMORY_MB)
        build_seconds = time.perf_counter() - started
        seconds, exact_seconds, recalls, pages = [], [], [], 0
        for vector in [*real[:1], *real[: plan.queries]]:  # the first warms the pages up
            before = _pages(database)
            started = time.perf_counter()
            found = nearest(database, described, vector, plan.shortlist)
            seconds.append(time.perf_counter() - started)
            pages = _pages(database) - before
            started = time.perf_counter()
            exact = nearest(database, described, vector, plan.shortlist, exact=True)
            exact_seconds.append(time.perf_counter() - started)
            recalls.append(len(set(found) & set(exact)) / len(exact))
        measured.append(
            {
                "images": size,
                "seconds": statistics.median(seconds[1:]),
                "exact_seconds": statistics.median(exact_seconds[1:]),
                "recall": float(np.mean(recalls[1:])),
                "rows": min(size, plan.shortlist),
                "bytes_read": pages * PAGE_BYTES,
                "index_build_seconds": build_seconds,
                "index_bytes": _index_bytes(database),
            }
        )
    return measured


def _index_bytes(database: Database) -> int:
    """Of the index of global descriptors."""
    with database.connect() as connection:
        row = connection.execute(
            "SELECT coalesce(sum(pg_relation_size(pg_class.oid)), 0)::bigint FROM pg_class"
            " JOIN pg_am ON pg_am.oid = relam WHERE amname = 'hnsw'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def _pages(database: Database) -> int:
    """Pages of the table, its blobs and its indexes that were read so far, cached or not."""
    close_idle()
    time.sleep(COUNTED_AFTER_S)
    with database.connect() as connection:
        row = connection.execute(
            "SELECT coalesce(heap_blks_read, 0) + coalesce(heap_blks_hit, 0)"
            " + coalesce(idx_blks_read, 0) + coalesce(idx_blks_hit, 0)"
            " + coalesce(toast_blks_read, 0) + coalesce(toast_blks_hit, 0)"
            " + coalesce(tidx_blks_read, 0) + coalesce(tidx_blks_hit, 0)"
            " FROM pg_statio_user_tables WHERE relname = 'landmarks'"
        ).fetchone()
    assert row is not None
    return int(row[0])


# ---- table and plot -----------------------------------------------------------------------------


def to_table(figures: dict[str, Any]) -> str:
    """The figures as tables in Markdown."""
    lines = [
        "| images | mode | seconds | rows read | MB read | task and scheduler, MB | worker, MB |"
        " views found | of the prediction | of the time without the graph |",
        "|---" * 10 + "|",
    ]
    for one in figures["searches"]:
        share = f"{one['of_prediction']:.0%}" if "of_prediction" in one else ""
        lines.append(
            f"| {one['images']:,} | {one['mode']} | {one['seconds']:.2f} | {one['rows_read']:,} |"
            f" {one['bytes_read'] / 1e6:,.0f} | {one['task_and_scheduler_mb']:.0f} |"
            f" {one['worker_mb']:.0f} | {one['views_found']:.0%} | {share} |"
            f" {one['graph_ratio']:.2f} |"
        )
    lines += [
        "",
        "| global descriptors | nearest | seconds by index | by exact scan | recall | MB read |"
        " index built in, s | index, MB |",
        "|---" * 8 + "|",
    ]
    for one in figures["nearest"]:
        lines.append(
            f"| {one['images']:,} | {one['rows']:,} | {one['seconds']:.4f} |"
            f" {one['exact_seconds']:.4f} | {one['recall']:.1%} | {one['bytes_read'] / 1e6:.1f} |"
            f" {one['index_build_seconds']:.1f} | {one['index_bytes'] / 1e6:,.0f} |"
        )
    return "\n".join(lines) + "\n"


def draw_plot(figures: dict[str, Any], file: Path) -> None:
    """Seconds over images, both logarithmic, a line for each way of searching."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for one in figures["searches"]:
        lines.setdefault(one["mode"], []).append((one["images"], one["seconds"]))
    for one in figures["nearest"]:
        lines.setdefault("nearest by index", []).append((one["images"], one["seconds"]))
        lines.setdefault("nearest by exact scan", []).append((one["images"], one["exact_seconds"]))
    draw_chart("seconds a search, by images in the table", lines, file, "s")


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    parser = images_parser("benchmarks.search", __doc__)
    parser.add_argument("--sizes", type=_sizes, default=(1_000, 10_000), metavar="N,N")
    parser.add_argument("--nearest-sizes", type=_sizes, default=(10_000, 100_000), metavar="N,N")
    parser.add_argument("--shortlist", type=int, metavar="N")
    parser.add_argument("--queries", type=int, default=5, metavar="N")
    options = parser.parse_args(arguments)

    def measure() -> dict[str, Any]:
        settings = load_settings()
        model = resolve_model(settings)
        plan = Plan(
            options.sizes,
            options.nearest_sizes,
            options.queries,
            options.shortlist or settings.shortlist,
            MatchingParameters(model.max_distance),
        )
        photographs = extract_all(load_extractor(model), choose_images(options.images))
        figures = measure_search(photographs, plan)
        if options.json:
            options.json.with_suffix(".md").write_text(to_table(figures))
            draw_plot(figures, options.json.with_suffix(".png"))
        return {"model": model.fingerprint, **figures}

    return print_figures(measure, options.json)


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(sorted(int(size) for size in text.split(",")))


if __name__ == "__main__":
    sys.exit(main())
