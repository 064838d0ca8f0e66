"""What our programs share: one JSON of figures, errors in one line, progress on stderr."""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from landmark.errors import LandmarkError


def figures_parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """A parser for ``python -m module`` with the option ``--json FILE``."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_json_option(parser)
    return parser


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Let a program write its figures to a file."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")


def print_figures(measure: Callable[[], dict[str, Any]], file: Path | None) -> int:
    """Measure, print the figures and write them to `file`; return the program's exit status.

    The figures get ``measured``: the day, the processor, its cores, and our commit.
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("landmark").setLevel(logging.INFO)
    try:
        figures = {**measure(), "measured": _circumstances()}
    except LandmarkError as error:
        print(error, file=sys.stderr)
        return 1
    text = json.dumps(figures, indent=1)
    print(text)
    if file:
        file.write_text(text + "\n")
    return 0


def _circumstances() -> dict[str, Any]:
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "commit": _output(
            "git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"
        ),
    }


def _processor() -> str:
    for line in _output("lscpu").splitlines():
        if line.startswith("Model name:"):
            return line.partition(":")[2].strip()
    return os.uname().machine


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:  # no such program here
        return ""
