"""What linking an image costs beside extracting it, on one core, as the table grows.

    OMP_NUM_THREADS=1 python -m benchmarks.link [--images DIR] [--json FILE]
        [--sizes 1000,10000] [--links 30] [--linked 128]

Fills a Postgres of its own with rows made of the images' features (`benchmarks.bulk`; 150 KB each),
then extracts photographs and links rows in turn, both in this process. Of the table's size only the
look for the nearest global descriptors depends; `benchmarks.search` measures that up to a million.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import bulk
from benchmarks.photographs import choose_images, extract_all, images_parser
from landmark.cluster.workers import CODE_VERSION, keep_freed_memory
from landmark.evaluation.figures import print_figures
from landmark.evaluation.scratch import scratch_database
from landmark.extraction.extractor import load_extractor
from landmark.extraction.models import ModelConfig, resolve_model
from landmark.features import FeatureExtractor
from landmark.index.describe import describe_table
from landmark.index.link import ALL_CANDIDATES, CANDIDATES, IMAGES_PER_TASK, link_images
from landmark.matching.pair import MatchingParameters
from landmark.settings import load_settings
from landmark.storage.aggregations import current_aggregation
from landmark.storage.database import Database
from landmark.storage.edges import save_edges, unlinked_ids
from landmark.storage.nearest import build_index

INDEX_MEMORY_MB = 512
LINKS, LINKED = 30, 128


def measure_linking(
    model: ModelConfig,
    files: Sequence[Path],
    sizes: Sequence[int],
    links: int = LINKS,
    linked: int = LINKED,
) -> dict[str, Any]:
    """Extract and link in turn, at each size of the table.

    Returns
    -------
    dict
        ``ratio``: seconds to link an image over those to extract one, in the largest table.
        ``tables``: a dict for each size; ``links``: candidates an image.
    """
    keep_freed_memory()  # as workers do
    extractor = load_extractor(model, threads=1)
    photographs = extract_all(extractor, files)
    tables = []
    with scratch_database() as database:
        filled = 0
        for size in sizes:
            bulk.fill_table(database, photographs, filled, size)
            filled = size
            describe_table(database, bulk.MODEL)
            tables.append(_measure_table(database, model, extractor, files, size, links, linked))
    return {
        "ratio": tables[-1]["ratio"],
        "links": links,
        "photographs": len(files),
        "tables": tables,
    }


def _measure_table(
    database: Database,
    model: ModelConfig,
    extractor: FeatureExtractor,
    files: Sequence[Path],
    size: int,
    links: int,
    linked: int,
) -> dict[str, Any]:
    aggregation = current_aggregation(database, bulk.MODEL)
    assert aggregation is not None
    if size > ALL_CANDIDATES:
        build_index(database, aggregation, INDEX_MEMORY_MB)
    ids = unlinked_ids(database, aggregation.number, 0, size)[-linked:]
    seconds: dict[str, list[float]] = {"extract": [], "link": []}
    for turn, first in enumerate(range(0, len(ids), IMAGES_PER_TASK)):
        some = ids[first : first + IMAGES_PER_TASK]
        photographs = [files[(first + place) % len(files)] for place in range(len(some))]
        started = time.perf_counter()
        for file in photographs:
            extractor.extract(file.read_bytes(), file.name)
        extracted = time.perf_counter()
        found = link_images(
            some,
            database=database,
            model=bulk.MODEL,
            aggregation=aggregation,
            kernel=aggregation.kernel,
            candidates=ALL_CANDIDATES if size <= ALL_CANDIDATES else CANDIDATES,
            links=links,
            parameters=MatchingParameters(model.max_distance),
            code=CODE_VERSION,
        )
        save_edges(database, found.edges, found.versions, found.images)
        if turn:  # the first warms both up
            seconds["extract"].append((extracted - started) / len(some))
            seconds["link"].append((time.perf_counter() - extracted) / len(some))
    extract, link = (statistics.median(seconds[what]) for what in ("extract", "link"))
    return {
        "images": size,
        "extract_seconds": extract,
        "link_seconds": link,
        "ratio": link / extract,
        "images_an_hour_and_core": 3600 / link,
    }


def to_table(figures: dict[str, Any]) -> str:
    """The figures as a table in Markdown."""
    lines = [
        "| images | extracting one, ms | linking one, ms | of it | linked an hour and core |",
        "|---" * 5 + "|",
    ]
    for one in figures["tables"]:
        lines.append(
            f"| {one['images']:,} | {1000 * one['extract_seconds']:.0f} |"
            f" {1000 * one['link_seconds']:.0f} | {one['ratio']:.2f} |"
            f" {one['images_an_hour_and_core']:,.0f} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    parser = images_parser("benchmarks.link", __doc__)
    parser.add_argument("--sizes", default="1000,10000", metavar="N,…")
    parser.add_argument("--links", type=int, default=LINKS, metavar="N")
    parser.add_argument("--linked", type=int, default=LINKED, metavar="N")
    options = parser.parse_args(arguments)

    def measure() -> dict[str, Any]:
        model = resolve_model(load_settings())
        sizes = [int(size) for size in options.sizes.split(",")]
        files = choose_images(options.images)
        figures = measure_linking(model, files, sizes, options.links, options.linked)
        return {"model": model.fingerprint, **figures}

    return print_figures(measure, options.json)


if __name__ == "__main__":
    sys.exit(main())
