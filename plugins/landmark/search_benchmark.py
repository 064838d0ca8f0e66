"""What a search costs as the table grows, on a Postgres of its own that goes afterwards."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from dask.distributed import Client
from PIL import Image, ImageDraw

from landmark import bulk
from landmark.cluster import open_client
from landmark.connections import close_idle
from landmark.errors import LandmarkError
from landmark.features import LocalFeatures
from landmark.memory import peak_mb, reset_peak
from landmark.ranking import MIN_INLIERS
from landmark.report import SearchResult
from landmark.search import MatchingParameters, Query, rank_alone, rank_images
from landmark.shortlist import INDEX_MEMORY_MB, describe_table
from landmark.store import Store
from landmark.workers import keep_freed_memory

TOP_K = 100
# Rows that this process compares alone, from memory: what the workers together should reach.
COMPARED_ALONE = 500
PAGE_BYTES = 8192
# Postgres counts what a connection has read as it ends.
COUNTED_AFTER_S = 0.5

PLOT_PX, MARGIN_PX = (760, 480), 60
GRID = (220, 220, 220)
COLOURS = [(31, 90, 160), (200, 80, 30), (60, 140, 60), (130, 70, 150)]


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
        for each size and mode. ``views``, ``view_noise``, ``place_noise``: how the table is made
        (`landmark.bulk`).

    Raises
    ------
    LandmarkError
        If the servers of include/stack cannot be imported.
    """
    try:
        from stack.servers import start_postgres
    except ImportError:
        raise LandmarkError(
            "the embedded Postgres is not to be imported; run with PYTHONPATH=plugins:include"
        ) from None
    searches: list[dict[str, Any]] = []
    with start_postgres() as postgres:
        store = Store(postgres.dsn)
        store.migrate()
        filled = 0
        for size in plan.sizes:
            bulk.fill_table(store, photographs, filled, size)
            filled = size
            describe_table(store, bulk.MODEL)
            for mode in ("exhaustive", "shortlist"):
                searches.append(_measure_mode(store, photographs, plan, size, mode))
        nearest = _measure_nearest(store, photographs, plan)
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
    store: Store, photographs: Sequence[LocalFeatures], plan: Plan, size: int, mode: str
) -> dict[str, Any]:
    """One mode at one size, on fresh workers, so that their peak memory is this mode's own."""
    queries = photographs[: plan.queries]
    reset_peak()
    with open_client("local") as client:
        _search(store, client, queries[0], mode, plan)  # workers import, pages warm up
        client.run(close_idle)
        before = _pages(store)
        seconds: list[float] = []
        found = wanted = compared = 0
        for number, query in enumerate(queries):
            started = time.perf_counter()
            result = _search(store, client, query, mode, plan)
            seconds.append(time.perf_counter() - started)
            compared = result.images_compared
            views = bulk.view_paths(number, len(photographs), size)
            found += len(views & {match.image_path for match in result.matches})
            wanted += len(views)
        client.run(close_idle)
        pages = _pages(store) - before
        workers = client.run(peak_mb)
    figures = {
        "images": size,
        "mode": mode,
        "seconds": statistics.median(seconds),
        "rows_read": compared,
        "bytes_read": pages * PAGE_BYTES // len(queries),
        "views_found": found / wanted,
        "task_and_scheduler_mb": peak_mb(),
        "worker_mb": max(workers.values()),
    }
    if mode == "exhaustive":
        alone = _seconds_alone(store, queries[0], plan.parameters)
        figures["predicted_seconds"] = alone * size / len(workers)
        figures["of_prediction"] = figures["predicted_seconds"] / figures["seconds"]
    return figures


def _search(
    store: Store, client: Client, query: LocalFeatures, mode: str, plan: Plan
) -> SearchResult:
    return rank_alone(
        store,
        client,
        bulk.MODEL,
        Query("", query),
        TOP_K,
        mode=mode,
        shortlist=plan.shortlist,
        parameters=plan.parameters,
    )


def _seconds_alone(store: Store, query: LocalFeatures, parameters: MatchingParameters) -> float:
    """Seconds an image on this core alone, from memory: nothing but comparing."""
    keep_freed_memory()  # as workers do
    partitions = store.partitions(bulk.MODEL, COMPARED_ALONE)
    # The last rows: other places, as nearly all are.
    images = list(store.read_partition(bulk.MODEL, partitions[-1].ids))
    started = time.perf_counter()
    rank_images([Query("", query)], images, TOP_K, MIN_INLIERS, parameters)
    return (time.perf_counter() - started) / len(images)


def _measure_nearest(
    store: Store, photographs: Sequence[LocalFeatures], plan: Plan
) -> list[dict[str, Any]]:
    """The shortlist alone, in a table of nothing but global descriptors."""
    described = store.current_aggregation(bulk.MODEL)
    assert described is not None and described.parameters is not None
    describe = described.parameters.describe
    real = np.stack([describe(found.descriptors) for found in photographs]).astype(np.float32)
    with store.connect() as connection:
        connection.execute("TRUNCATE landmarks")
    measured, filled = [], 0
    for size in plan.nearest_sizes:
        # A large index is built faster than it is filled row by row.
        store.drop_index(described.number)
        bulk.fill_global_descriptors(store, real, filled, size)
        filled = size
        started = time.perf_counter()
        store.build_index(described, INDEX_MEMORY_MB)
        build_seconds = time.perf_counter() - started
        seconds, exact_seconds, recalls, pages = [], [], [], 0
        for vector in [*real[:1], *real[: plan.queries]]:  # the first warms the pages up
            before = _pages(store)
            started = time.perf_counter()
            found = store.nearest(described, vector, plan.shortlist)
            seconds.append(time.perf_counter() - started)
            pages = _pages(store) - before
            started = time.perf_counter()
            exact = store.nearest(described, vector, plan.shortlist, exact=True)
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
                "index_bytes": _index_bytes(store),
            }
        )
    return measured


def _index_bytes(store: Store) -> int:
    """Of the index of global descriptors."""
    with store.connect() as connection:
        row = connection.execute(
            "SELECT coalesce(sum(pg_relation_size(pg_class.oid)), 0)::bigint FROM pg_class"
            " JOIN pg_am ON pg_am.oid = relam WHERE amname = 'hnsw'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def _pages(store: Store) -> int:
    """Pages of the table, its blobs and its indexes that were read so far, cached or not."""
    close_idle()
    time.sleep(COUNTED_AFTER_S)
    with store.connect() as connection:
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
        " views found | of the prediction |",
        "|---" * 9 + "|",
    ]
    for one in figures["searches"]:
        share = f"{one['of_prediction']:.0%}" if "of_prediction" in one else ""
        lines.append(
            f"| {one['images']:,} | {one['mode']} | {one['seconds']:.2f} | {one['rows_read']:,} |"
            f" {one['bytes_read'] / 1e6:,.0f} | {one['task_and_scheduler_mb']:.0f} |"
            f" {one['worker_mb']:.0f} | {one['views_found']:.0%} | {share} |"
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
    points = np.log10(np.concatenate([np.array(line) for line in lines.values()]))
    low, high = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
    image = Image.new("RGB", PLOT_PX, "white")
    pen = ImageDraw.Draw(image)
    size = np.array(PLOT_PX) - 2 * MARGIN_PX

    def place(x: float, y: float) -> tuple[float, float]:
        right, up = (np.array([x, y]) - low) / np.maximum(high - low, 1) * size
        return MARGIN_PX + float(right), PLOT_PX[1] - MARGIN_PX - float(up)

    for x in range(int(low[0]), int(high[0]) + 1):
        pen.line([place(x, low[1]), place(x, high[1])], fill=GRID)
        pen.text(place(x, low[1]), f"{10**x:,}", fill="black", anchor="ma")
    for y in range(int(low[1]), int(high[1]) + 1):
        pen.line([place(low[0], y), place(high[0], y)], fill=GRID)
        pen.text(place(low[0], y), f"{10.0**y:g} s ", fill="black", anchor="rm")
    for (name, line), colour in zip(lines.items(), COLOURS, strict=False):
        dots = [place(*np.log10(point)) for point in line]
        pen.line(dots, fill=colour, width=2)
        for x_px, y_px in dots:
            pen.ellipse([x_px - 3, y_px - 3, x_px + 3, y_px + 3], fill=colour)
        pen.text(dots[-1], f"{name} ", fill=colour, anchor="rd")
    pen.text((PLOT_PX[0] / 2, 10), "seconds a search, by images in the table", fill="black")
    image.save(file)
