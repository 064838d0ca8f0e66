"""The runtimes of a model side by side: the first answer of a fresh process, speed, memory.

A part of `benchmarks.extract`. This module is also the program of the processes that it measures.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks.memory import peak_mb
from landmark.extraction.decoding import decode_image
from landmark.extraction.extractor import load_extractor
from landmark.extraction.models import LITERT, TENSORFLOW, ModelConfig

ROUNDS = 3


def measure_runtimes(model: ModelConfig, files: Sequence[Path]) -> dict[str, Any]:
    """A model by LiteRT and by TensorFlow in turn, without decoding.

    Returns
    -------
    dict
        ``ratio``: images a second of LiteRT over those of TensorFlow, ``two_cores``.
        ``first_answer_ratio``: seconds of TensorFlow over those of LiteRT. A dict for each runtime:
        ``first_answer``, seconds from the start of a process to the features of its first image,
        its parts, and the ``processor``'s seconds, which other load on the machine hardly changes;
        ``images_per_second`` of one process and of two with a thread each, as sweeps have them,
        and of one with ``two_threads``, as searches have: medians of `ROUNDS`. Of a process of one
        thread, ``processor_s_per_image``, and megabytes: ``pss_mb`` afterwards, ``peak_mb``.
    """
    both = {runtime: replace(model, runtime=runtime) for runtime in (LITERT, TENSORFLOW)}
    first: dict[str, list[dict[str, float]]] = {runtime: [] for runtime in both}
    for _ in range(ROUNDS):
        for runtime, config in both.items():
            with _Process(config, 1, files[:1]) as process:
                first[runtime].append(process.answer())
    speeds: dict[str, dict[str, list[float]]] = {runtime: {} for runtime in both}
    rest = {}
    with ExitStack() as stack:
        measured = {}
        for runtime, config in both.items():
            one, other, wide = (
                stack.enter_context(_Process(config, threads, files)) for threads in (1, 1, 2)
            )
            measured[runtime] = {
                "one_core": [one],
                "two_cores": [one, other],
                "two_threads": [wide],
            }
            for process in (one, other, wide):
                process.answer()
                _seconds([process])  # so that nothing timed is a first time
        for _ in range(ROUNDS):
            for runtime, cases in measured.items():
                for case, processes in cases.items():
                    speed = len(processes) * len(files) / _seconds(processes)
                    speeds[runtime].setdefault(case, []).append(speed)
        for runtime, cases in measured.items():
            (process,) = cases["one_core"]
            process.ask("extract")
            of_processor = process.answer()["processor"] / len(files)
            process.ask("memory")
            rest[runtime] = {"processor_s_per_image": of_processor, **process.answer()}
    figures: dict[str, Any] = {
        runtime: {
            "first_answer": {part: median(one[part] for one in first[runtime]) for part in answer},
            "images_per_second": {case: median(all_) for case, all_ in speeds[runtime].items()},
            **rest[runtime],
        }
        for runtime, (answer, *_) in first.items()
    }
    of_litert, of_tensorflow = figures[LITERT], figures[TENSORFLOW]
    return {
        "ratio": _ratio(of_litert, of_tensorflow, lambda of: of["images_per_second"]["two_cores"]),
        "first_answer_ratio": _ratio(
            of_tensorflow, of_litert, lambda of: of["first_answer"]["all"]
        ),
        "images": len(files),
        "rounds": ROUNDS,
        "image_scales": list(model.image_scales),
        "max_image_size_px": model.max_image_size_px,
        **figures,
    }


def _ratio(over: Any, under: Any, figure: Callable[[Any], float]) -> float:
    return figure(over) / figure(under)


def _seconds(processes: Sequence[_Process]) -> float:
    """Until each, all at once, has extracted its images."""
    started = time.perf_counter()
    for process in processes:
        process.ask("extract")
    for process in processes:
        process.answer()
    return time.perf_counter() - started


class _Process:
    """A process of one runtime; it answers once when its first image is extracted."""

    def __init__(self, model: ModelConfig, threads: int, files: Sequence[Path]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.runtimes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ask(
            json.dumps(
                {
                    "model": model.record(),
                    "fingerprint": model.fingerprint,
                    "threads": threads,
                    "files": [str(file) for file in files],
                    "started": time.time(),
                }
            )
        )

    def ask(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # its input ends, and so does it


def _serve() -> None:
    """What the processes do, in a line of JSON for each line."""
    asked = json.loads(sys.stdin.readline())
    model = ModelConfig.from_record(asked["model"], asked["fingerprint"])
    side_px = model.max_image_size_px
    images = [decode_image(Path(f).read_bytes(), f, side_px).pixels for f in asked["files"][:1]]
    moments = [asked["started"], time.time()]
    extractor = load_extractor(model, asked["threads"])
    moments.append(time.time())
    extractor.extract_pixels(images[0], "first")
    moments.append(time.time())
    start, load, image = (after - before for before, after in pairwise(moments))
    whole = start + load + image
    _say(all=whole, start=start, load=load, image=image, processor=time.process_time())
    images += [decode_image(Path(f).read_bytes(), f, side_px).pixels for f in asked["files"][1:]]
    for line in sys.stdin:
        if line.strip() == "memory":
            _say(pss_mb=psutil.Process().memory_full_info().pss / 1e6, peak_mb=peak_mb())
            continue
        before = time.process_time()
        for pixels in images:
            extractor.extract_pixels(pixels, "image")
        _say(processor=time.process_time() - before)


def _say(**figures: float) -> None:
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    _serve()
