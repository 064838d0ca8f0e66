"""Nights of new photographs with searches in between: nothing missing, every process' memory flat.

    python -m benchmarks.faults.soak [--images 2000] [--nights 20]
        [--state DIR] [--json FILE]

The photographs are made up, 320 px. After each night the memory of every part of the stack is
read, its children included, without what processes share (libraries, Postgres' buffers). "Growth"
is how much more the median of the last third of the nights is than that of the third before.
"""

from __future__ import annotations

import io
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image, ImageDraw

from benchmarks.faults.bench import Bench
from benchmarks.faults.opening import open_bench
from landmark.evaluation.figures import figures_parser, print_figures
from stack.s3 import BUCKET

SIDE_PX = 320
VIEWS = 4
#: So that the rows which Dask's workers keep are as many as they may be from early on.
CACHE_MB = 20
#: What counts as flat: growth below both of an average part's noise.
FLAT_MB, FLAT_SHARE = 15.0, 0.05


def photograph(number: int) -> bytes:
    """A JPEG of a made-up facade; `VIEWS` in a row show one of them."""
    rng = np.random.default_rng(number // VIEWS)
    image = Image.new("RGB", (SIDE_PX, SIDE_PX), (120, 130, 140))
    pen = ImageDraw.Draw(image)
    for _ in range(150):
        x, y = rng.uniform(0, SIDE_PX, 2)
        w, h = rng.uniform(6, 40, 2)
        shape = pen.rectangle if rng.random() < 0.6 else pen.ellipse
        shape([x, y, x + w, y + h], fill=tuple(rng.integers(0, 256, 3).tolist()))
    lean = 0.05 * (number % VIEWS)
    image = image.transform(
        image.size,
        Image.Transform.AFFINE,
        (1, lean, -lean * SIDE_PX / 2, 0, 1 + 0.02 * (number % VIEWS), 0),
        Image.Resampling.BICUBIC,
    )
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def memory_mb(bench: Bench) -> dict[str, float]:
    """Of each part of the stack and its children, without shared memory and mapped files."""
    found = {}
    for name, info in bench.supervisor.processes().items():
        if not info["pid"]:
            continue
        part = psutil.Process(info["pid"])
        total = 0
        for process in [part, *part.children(recursive=True)]:
            try:
                memory = process.memory_info()
                total += memory.rss - memory.shared
            except psutil.Error:
                continue
        found[name] = round(total / 1e6, 1)
    return found


def measure(images: int, nights: int, folder: Path) -> dict[str, Any]:
    """Run the nights."""
    with open_bench(folder, images=0) as bench:
        bench.fresh()
        variable = {"key": "LANDMARK_DASK_CACHE_MB", "value": str(CACHE_MB)}
        bench.api.call("/api/v2/variables", variable)
        begin = time.monotonic()
        log: list[dict[str, Any]] = []
        wrong: list[str] = []
        for night in range(nights):
            first, last = images * night // nights, images * (night + 1) // nights
            for number in range(first, last):
                key = f"images/{number // VIEWS:05d}/{number % VIEWS}.jpg"
                bench.s3.put_object(Bucket=BUCKET, Key=key, Body=photograph(number))
            state = bench.index()
            query = f"s3://{BUCKET}/images/{first // VIEWS:05d}/{first % VIEWS}.jpg"
            run_id = bench.trigger("landmark_search", image_path=query)
            searched = bench.wait("landmark_search", run_id)
            rows = bench.rows()
            if (state, searched, rows) != ("success", "success", last):
                wrong.append(f"night {night + 1}: {state}, {searched}, {rows} of {last} rows")
            log.append({"rows": rows, "seconds": round(time.monotonic() - begin),
                        "memory_mb": memory_mb(bench)})  # fmt: skip
            print(f"night {night + 1}: {log[-1]}", flush=True)
        memory = [entry["memory_mb"] for entry in log]
        names = memory[-1]
        third = max(1, nights // 3)
        growth = {
            name: round(
                statistics.median(entry[name] for entry in memory[-third:])
                - statistics.median(entry[name] for entry in memory[-2 * third : -third]),
                1,
            )
            for name in names
        }
        flat = {
            name: grown < max(FLAT_MB, FLAT_SHARE * names[name]) for name, grown in growth.items()
        }
        return {
            "images": images,
            "nights": nights,
            "rows at the end": bench.rows(),
            "wrong": wrong,
            "growth_mb": growth,
            "flat": all(flat.values()) and not wrong,
            "left over": bench.leftovers(),
            "log": log,
        }


def main() -> int:
    """The program; returns its exit status."""
    parser = figures_parser("benchmarks.faults.soak", __doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--nights", type=int, default=20)
    parser.add_argument("--state", type=Path, metavar="DIR", help="the stack's folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="landmark-soak-") as scratch:
        Path(scratch).chmod(0o711)
        folder = options.state or Path(scratch, "stack")
        return print_figures(lambda: measure(options.images, options.nights, folder), options.json)


if __name__ == "__main__":
    sys.exit(main())
