"""What indexing costs: plans of sweeps, a sweep from S3 into Postgres, linking; on own servers.

    python -m benchmarks.ingest [--images DIR] [--json FILE.json] [--count 500] [--keys 1000000]
        [--link-sizes 1000,10000]

Plans sweeps of --keys made-up keys against as many rows (1 KB each); then sweeps --count images,
those of DIR over again where it has fewer, in turn with the bare model on the decoded images; then
links images as `benchmarks.link` does. With --json it also writes the figures as a table, FILE.md.
"""

from __future__ import annotations

import gc
import hashlib
import itertools
import logging
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
from dask.system import CPU_COUNT

from benchmarks import link
from benchmarks.link import measure_linking
from benchmarks.memory import watched_memory
from benchmarks.photographs import choose_images, images_parser
from landmark.evaluation.figures import print_figures
from landmark.extraction.decoding import decode_image
from landmark.extraction.extractor import Extractor, load_extractor
from landmark.extraction.models import ModelConfig, resolve_model
from landmark.index.extract import extract_batch
from landmark.index.sweep import finish_sweep, plan_sweep, threads_per_batch
from landmark.settings import load_settings
from landmark.storage.database import Database
from landmark.storage.sweeps import close_sweep, unsettled
from stack.servers import start_postgres, start_s3

if TYPE_CHECKING:
    from stack.s3 import S3

logger = logging.getLogger(__name__)

# Airflow's default of core.max_map_length.
MAX_BATCHES = 1024
SWEEP = "measured"
# For another process to load its model, or to decode its images.
LONGEST_WAIT_S = 600
MODEL, OTHER_MODEL = "planned-1", "planned-2"
BUCKET, KEYS_A_PAGE = "planned", 1000
# Of these parts of a bucket one is new, one has changed, one is gone.
PARTS = 100


def measure_ingest(model: ModelConfig, files: Sequence[Path], keys: int) -> dict[str, Any]:
    """Plan sweeps of `keys` images, and extract a sweep of `files` end to end, on own servers.

    Returns
    -------
    dict
        ``ratio``: images a second from S3 into Postgres, batches at once sharing the cores,
        over those of the bare model on decoded images, which uses all cores by itself.
        ``ratio_to_models_at_once``: over those of as many bare models as batches. ``peak_mb``: the
        most memory of a process that extracts, with its decoders. ``plans``: a dict for each case.
    """
    with start_postgres() as postgres:
        # First, as the task that plans has no TensorFlow in its memory.
        plans = _measure_plans(Database(postgres.create_database("planned")), keys)
        with start_s3() as s3:
            database = Database(postgres.create_database("extracted"))
            throughput = _measure_throughput(database, s3, model, files)
    return {**throughput, "keys": keys, "plans": plans}


def _measure_throughput(
    database: Database, s3: S3, model: ModelConfig, files: Sequence[Path]
) -> dict[str, Any]:
    """Batches at once as `landmark_index` has them, and the bare model, in turn.

    So that all meet the same machine: a round of batches, then their images once more.
    """
    database.migrate()
    prefix = "s3://landmark/images/"
    paths = {}
    for number, file in enumerate(files):
        key = f"{number:06d}{file.suffix.lower()}"
        s3.client().put_object(Bucket="landmark", Key=f"images/{key}", Body=file.read_bytes())
        paths[prefix + key] = file
    batches = plan_sweep(
        database, s3.client(), SWEEP, model.fingerprint, prefix, "s3://none/", MAX_BATCHES,
        at_once=CPU_COUNT,
    )  # fmt: skip
    at_once = min(CPU_COUNT, len(batches))
    threads = threads_per_batch(len(batches), at_once, CPU_COUNT)
    seconds = dict.fromkeys(["model", "models", "batches"], 0.0)
    peaks: list[float] = []
    with _processes(1) as whole, _processes(at_once) as each, watched_memory() as most:
        list(whole.map(_load, [model], [None]))
        list(each.map(_load, [model] * at_once, [threads] * at_once))

        def run_model(images: list[Path]) -> None:
            seconds["model"] += max(whole.map(_seconds_bare, [images]))
            parts = [images[first::at_once] for first in range(at_once)]
            seconds["models"] += max(each.map(_seconds_bare, parts))

        def run_batches(numbers: Sequence[int]) -> None:
            started = time.perf_counter()
            peaks.extend(each.map(partial(_extract_batch, database, s3), numbers))
            seconds["batches"] += time.perf_counter() - started

        for first in range(0, len(batches), at_once):
            numbers = range(first, min(first + at_once, len(batches)))
            left = [one for number in numbers for one in unsettled(database, SWEEP, number)]
            images = [paths[one.path] for one in left]
            # Every second time it is the batches that meet images which were read just now.
            turns = [partial(run_model, images), partial(run_batches, numbers)]
            for turn in turns if first // at_once % 2 else reversed(turns):
                turn()
            logger.info("batch %d of %d measured", numbers[-1] + 1, len(batches))
    return {
        "ratio": seconds["model"] / seconds["batches"],
        "ratio_to_models_at_once": seconds["models"] / seconds["batches"],
        "images": len(files),
        "indexed": finish_sweep(database, SWEEP).indexed,
        "batches_at_once": at_once,
        "threads_per_batch": threads,
        "model_images_per_second": len(files) / seconds["model"],
        "models_at_once_images_per_second": len(files) / seconds["models"],
        "images_per_second": len(files) / seconds["batches"],
        "peak_mb": max(peaks),
        "peak_postgres_mb": most["postgres"],
    }


# Where a process meets the others, and what it has loaded.
_meeting: Barrier
_extractor: Extractor


def _processes(count: int) -> ProcessPoolExecutor:
    """Processes that begin together: each has one task of a `map` over as many."""
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, spawn, _set_meeting, (spawn.Barrier(count),))


def _set_meeting(meeting: Barrier) -> None:
    global _meeting
    _meeting = meeting


@contextmanager
def _met_afterwards() -> Iterator[None]:
    """Wait for the others at the end; an error here is one there, too."""
    try:
        yield
    except BaseException:
        _meeting.abort()
        raise
    _meeting.wait(LONGEST_WAIT_S)


def _load(model: ModelConfig, threads: int | None) -> None:
    global _extractor
    with _met_afterwards():
        _extractor = load_extractor(model, threads)
        grey = np.full((256, 256, 3), 128, np.uint8)
        _extractor.network(grey, model)  # the first takes longest


def _seconds_bare(files: Sequence[Path]) -> float:
    """Seconds that the model takes for images that are decoded already."""
    side_px = _extractor.model.max_image_size_px
    with _met_afterwards():
        decoded = [decode_image(f.read_bytes(), str(f), side_px).pixels for f in files]
    started = time.perf_counter()
    for pixels in decoded:
        _extractor.network(pixels, _extractor.model)
    return time.perf_counter() - started


def _extract_batch(database: Database, s3: S3, batch: int) -> float:
    """Extract a batch; return the most megabytes that this process and its decoders took."""
    with watched_memory() as most:
        extract_batch(database, s3.client(), _extractor, SWEEP, batch)
    return most["process"]


class SyntheticBucket:
    """Lists made-up keys like a boto3 client; there are no objects behind them.

    Parameters
    ----------
    keys : int
    moved : bool
        One of `PARTS` has other etags, one is gone, and as many are new as one part has.
    """

    def __init__(self, keys: int, moved: bool = False) -> None:
        self._keys, self._moved = keys, moved
        self._left: Iterator[dict[str, Any]] = iter(())

    def list_objects_v2(self, **chosen: str) -> dict[str, Any]:
        """A page of the listing, as of boto3; asked for one after the other."""
        if "ContinuationToken" not in chosen:
            self._left = self._entries()
        page = list(itertools.islice(self._left, KEYS_A_PAGE))
        more = len(page) == KEYS_A_PAGE
        token = {"NextContinuationToken": page[-1]["Key"]} if more else {}
        return {"IsTruncated": more, "Contents": page, **token}

    def _entries(self) -> Iterator[dict[str, Any]]:
        last = self._keys + (self._keys // PARTS if self._moved else 0)
        for number in range(last):
            if self._moved and number % PARTS == 0 and number < self._keys:
                continue
            changed = self._moved and number % PARTS == 1
            etag = hashlib.md5(
                f"{number}{'!' if changed else ''}".encode(), usedforsecurity=False
            ).hexdigest()
            yield {"Key": made_up_key(number), "ETag": f'"{etag}"', "Size": 2_000_000}


def made_up_key(number: int) -> str:
    """Of an image's usual length; in the order of numbers."""
    return f"images/{number // 10_000:05d}/photograph-{number:09d}.jpg"


def fill_rows(database: Database, model: str, images: int) -> None:
    """Add rows that a `SyntheticBucket` lists.

    A row of the table itself is as wide as a real one: a global descriptor of 256 halves, and
    blobs of one feature instead of a real row's pointers to blobs elsewhere, which no plan reads.
    """
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO landmark_aggregations (model, dimensions, images) VALUES (%s, 256, %s)",
            [model, images],
        )
        connection.execute(
            "INSERT INTO landmarks (image_path, model, etag, width, height, n_features,"
            " locations, descriptors, scales, attention, global_descriptor, aggregation)"
            " SELECT format('s3://%%s/images/%%s/photograph-%%s.jpg', %(bucket)s::text,"
            "   lpad((number / 10000)::text, 5, '0'), lpad(number::text, 9, '0')),"
            "  %(model)s, md5(number::text), 4000, 3000, 1, decode(repeat('00', 8), 'hex'),"
            "  decode(repeat('00', 128), 'hex'), decode(repeat('00', 4), 'hex'),"
            "  decode(repeat('00', 4), 'hex'), array_fill(0.0625::float4, ARRAY[256])::halfvec,"
            "  (SELECT number FROM landmark_aggregations WHERE model = %(model)s)"
            " FROM generate_series(0, %(images)s - 1) AS number",
            {"bucket": BUCKET, "model": model, "images": images},
        )
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE landmarks")  # as autovacuum some minutes later


def _measure_plans(database: Database, keys: int) -> list[dict[str, Any]]:
    database.migrate()
    fill_rows(database, MODEL, keys)
    logger.info("%d rows written", keys)
    cases = [
        ("nothing new", MODEL, SyntheticBucket(keys)),
        ("1 % new, 1 % changed, 1 % gone", MODEL, SyntheticBucket(keys, moved=True)),
        ("everything new: another model", OTHER_MODEL, SyntheticBucket(keys, moved=True)),
    ]
    plans = []
    for number, (case, model, bucket) in enumerate(cases):
        gc.collect()
        with watched_memory() as most:
            started = time.perf_counter()
            batches = plan_sweep(
                database, bucket, str(number), model, f"s3://{BUCKET}/images/", "s3://none/",
                MAX_BATCHES,
            )  # fmt: skip
            seconds = time.perf_counter() - started
        sweep = close_sweep(database, str(number))
        plans.append(
            {
                "case": case,
                "seen": sweep.seen,
                "new": sweep.new,
                "changed": sweep.changed,
                "removed": sweep.removed,
                "postponed": sweep.postponed,
                "batches": len(batches),
                "seconds": seconds,
                "process_mb": most["process"],
                "postgres_mb": most["postgres"],
            }
        )
        logger.info("%s: planned in %.1f s", case, seconds)
    return plans


def to_table(figures: dict[str, Any]) -> str:
    """The figures as tables in Markdown."""
    lines = [
        "| images | bare model, images/s | as many as batches | S3 to Postgres |"
        " of the model | of as many | process, MB | Postgres, MB |",
        "|---" * 8 + "|",
        f"| {figures['images']:,} | {figures['model_images_per_second']:.2f} |"
        f" {figures['models_at_once_images_per_second']:.2f} | {figures['images_per_second']:.2f} |"
        f" {figures['ratio']:.2f} | {figures['ratio_to_models_at_once']:.2f} |"
        f" {figures['peak_mb']:.0f} | {figures['peak_postgres_mb']:.0f} |",
        "",
        f"Plans against {figures['keys']:,} rows:",
        "",
        "| listed | | seconds | process, MB | Postgres, MB | batches | left for the next |",
        "|---" * 7 + "|",
    ]
    for plan in figures["plans"]:
        lines.append(
            f"| {plan['seen']:,} | {plan['case']} | {plan['seconds']:.1f} |"
            f" {plan['process_mb']:.0f} | {plan['postgres_mb']:.0f} | {plan['batches']:,} |"
            f" {plan['postponed']:,} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    parser = images_parser("benchmarks.ingest", __doc__)
    parser.add_argument("--count", type=int, default=500, metavar="N")
    parser.add_argument("--keys", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--link-sizes", default="1000,10000", metavar="N,…")
    options = parser.parse_args(arguments)

    def measure() -> dict[str, Any]:
        model = resolve_model(load_settings())
        chosen = choose_images(options.images, options.count)
        files = list(itertools.islice(itertools.cycle(chosen), options.count))
        figures = measure_ingest(model, files, options.keys)
        sizes = [int(size) for size in options.link_sizes.split(",")]
        figures["linking"] = measure_linking(model, choose_images(options.images), sizes)
        if options.json:
            tables = to_table(figures) + "\n" + link.to_table(figures["linking"])
            options.json.with_suffix(".md").write_text(tables)
        return {"model": model.fingerprint, **figures}

    return print_figures(measure, options.json)


if __name__ == "__main__":
    sys.exit(main())
