"""Search for photographs by a running Airflow: of this machine, or in S3.

    landmark search PHOTO… [--box X0,Y0,X1,Y1] [--json]

What is local is uploaded to LANDMARK_UPLOADS; s3://bucket/key is searched for where it lies, and a
prefix that ends in / means every photograph below. With --box only this part of the one photograph,
in px of the picture as it is displayed, from its left and its top. Airflow's address and login are
those of `airflowctl`: AIRFLOW_CLI_TOKEN; or AIRFLOW_CLI_USERNAME and AIRFLOW_CLI_PASSWORD; or a
file of mode 0600, ~/airflow/production.json:
{"api_url": "http://…", "username": "…", "password": "…"}.

Ends with 0 if every photograph could be searched for, whatever was found; else with 1.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from landmark.errors import LandmarkError, in_one_line
from landmark.matching.ranking import FAILED
from landmark.remote.airflow import Airflow, Unreachable
from landmark.remote.login import find_login
from landmark.search.asking import SCHEME, check_form, check_framing, understood
from landmark.search.framing import read_framing
from landmark.search.result import SearchResult
from landmark.search.single import Search
from landmark.search.table import in_columns

POLL_S = 1.0
#: So long Airflow may be away while a search is followed: a restart.
AWAY_S = 120.0
BAR = 30
STEPS = {
    "extract_query": "looking at the photographs",
    "rank_matches": "comparing them with the index",
}
#: The task and key beside which the pages say who has cancelled a run.
CANCELLED = ("extract_query", "cancelled")
#: Of Airflow's states, those of a run or a task that nothing changes any more.
LOST = ("failed", "upstream_failed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is searched for, and how."""
    parser.add_argument(
        "photographs", nargs="+", metavar="PHOTO", help="a file, s3://bucket/key or s3://bucket/…/"
    )
    parser.add_argument(
        "--api-url", metavar="URL", help="Airflow's; default: http://localhost:8080"
    )
    parser.add_argument(
        "--box", type=_box, metavar="X0,Y0,X1,Y1", help="only this part of one photograph, in px"
    )
    parser.add_argument(
        "--turn",
        type=int,
        choices=[0, 90, 180, 270],
        help="degrees, clockwise; default: as it is and, where that finds no match, each quarter",
    )
    parser.add_argument("--top-k", type=int, metavar="N", help="at most so many matches of each")
    parser.add_argument("--min-inliers", type=int, metavar="N", help="leave out what has fewer")
    parser.add_argument("--mode", choices=["auto", "exhaustive", "shortlist"])
    parser.add_argument("--ranking", choices=["graph", "inliers"])
    parser.add_argument(
        "--add-to-index",
        action=argparse.BooleanOptionalAction,
        help="whether later searches find these; default: not if one of them is uploaded",
    )
    parser.add_argument("--json", action="store_true", help="print all of the answer as JSON")


def run(options: argparse.Namespace) -> int:
    """Search as told; return the program's exit status."""
    try:
        check_framing(options.photographs, options.box)
        read_framing(options.box, options.turn)
        with Airflow(find_login(os.environ, options.api_url)) as airflow:
            return search(airflow, options)
    except LandmarkError as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1


def search(airflow: Airflow, options: argparse.Namespace) -> int:
    """Ask one Airflow; return the program's exit status.

    Raises
    ------
    LandmarkError
        If nothing can be searched for.
    """
    named, refused = _put(airflow, options.photographs)
    for reason in refused.values():
        print(reason, file=sys.stderr)
    if not named:
        return 1
    run_id = airflow.trigger(_conf(options, named))
    page = airflow.page(run_id)
    print(page, file=sys.stderr)
    try:
        follow(airflow, run_id)
    except KeyboardInterrupt:
        print(f"the search goes on: {page}", file=sys.stderr)
        raise
    found = airflow.searches(run_id).searches
    results = [
        None if one.outcome in (None, FAILED) else airflow.result(run_id, number)
        for number, one in enumerate(found, 1)
    ]
    if options.json:
        print(_as_json(run_id, page, named, refused, found, results))
    else:
        for one, result in zip(found, results, strict=True):
            print(_table(named.get(one.query, one.query), one, result))
        print(page)
    return 1 if refused or None in results else 0


def follow(airflow: Airflow, run_id: str) -> None:
    """Wait until a run has its answer, and show how far it is.

    Raises
    ------
    LandmarkError
        If it fails, with its reason; or if Airflow stays away.
    """
    shown = _Line()
    away_since = None
    while True:
        try:
            state, tasks = airflow.state(run_id), airflow.tasks(run_id)
            away_since = None
            # Its pictures are drawn later, and need not be waited for.
            if state == "success" or tasks.get("rank_matches") == "success":
                shown.clear()
                return
            if state == "failed":
                shown.clear()
                raise LandmarkError(_why(airflow, run_id, tasks))
            shown.say(_progress(airflow, run_id, tasks) or state)
        except Unreachable:
            away_since = away_since or time.monotonic()
            if time.monotonic() - away_since > AWAY_S:
                shown.clear()
                raise
            shown.say("Airflow does not answer; asking again")
        time.sleep(POLL_S)


def _box(text: str) -> list[float]:
    try:
        return [float(side) for side in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no box; write X0,Y0,X1,Y1") from None


class _Line:
    """One line of a terminal that is written over; in a log one line each time it changes."""

    def __init__(self) -> None:
        self._written = ""

    def say(self, words: str) -> None:
        if words == self._written:
            return
        if sys.stderr.isatty():
            self.clear()
            print(words, end="", file=sys.stderr, flush=True)
        elif words.split(":")[0] != self._written.split(":")[0]:  # not each step of the bar
            print(words.split(":")[0], file=sys.stderr, flush=True)
        self._written = words

    def clear(self) -> None:
        if sys.stderr.isatty() and self._written:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _put(airflow: Airflow, photographs: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """By path in S3, what the user called it; and by that name, why one cannot be searched for."""
    named: dict[str, str] = {}
    refused: dict[str, str] = {}
    for photograph in photographs:
        path = understood(photograph)
        if path.startswith(SCHEME):
            try:
                check_form(path)
                named.setdefault(path, path)
            except LandmarkError as error:
                refused[photograph] = str(error)
            continue
        file = Path(photograph).expanduser()
        if file.is_dir():
            refused[photograph] = f"{in_one_line(photograph)}: a folder; name its photographs"
            continue
        try:
            named.setdefault(airflow.upload(file), photograph)
        except Unreachable:
            raise
        except LandmarkError as error:
            reason = str(error).removeprefix(f"{airflow.url}: ")
            name = in_one_line(photograph)
            refused[photograph] = reason if reason.startswith(name) else f"{name}: {reason}"
    return named, refused


def _conf(options: argparse.Namespace, named: dict[str, str]) -> dict[str, Any]:
    """What the run is triggered with; what is not said is the DAG's own default."""
    paths = list(named)
    add_to_index = options.add_to_index
    if add_to_index is None and any(path != name for path, name in named.items()):
        add_to_index = False  # it is of no collection
    asked = {
        "top_k": options.top_k,
        "min_inliers": options.min_inliers,
        "mode": options.mode,
        "ranking": options.ranking,
        "box": options.box,
        "turn": options.turn,
        "add_to_index": add_to_index,
    }
    told = {name: value for name, value in asked.items() if value is not None}
    return {"image_path": paths[0] if len(paths) == 1 else paths, **told}


def _progress(airflow: Airflow, run_id: str, tasks: dict[str, str | None]) -> str:
    """What runs, and how far it is; nothing before the first task."""
    step = next((step for step in STEPS if tasks.get(step) in ("running", "up_for_retry")), None)
    if step is None:
        return ""
    words = STEPS[step]
    if tasks[step] == "up_for_retry":
        return f"{words} failed, and is tried again soon"
    told = airflow.told(run_id, step, "progress") if step == "rank_matches" else None
    if not isinstance(told, dict) or not told.get("total"):
        return words
    done, total = float(told["done"]), float(told["total"])
    filled = round(BAR * min(1.0, done / total))
    return f"{words}: {'█' * filled}{'░' * (BAR - filled)} {done:,.0f} of {total:,.0f}"


def _why(airflow: Airflow, run_id: str, tasks: dict[str, str | None]) -> str:
    """Why a run has failed, where that is something that a user can mend; or who cancelled it."""
    cancelled = airflow.told(run_id, *CANCELLED)
    if isinstance(cancelled, dict) and isinstance(cancelled.get("user"), str):
        return f"the search was cancelled by {in_one_line(cancelled['user'])}"
    for task in sorted(task for task, state in tasks.items() if state in LOST):
        reason = airflow.told(run_id, task, "reason")
        if isinstance(reason, str):
            return reason
    failed = ", ".join(task for task, state in tasks.items() if state == "failed")
    return f"the search failed in {failed or 'no task'}; its log says why: {airflow.page(run_id)}"


def _table(name: str, one: Search, result: SearchResult | None) -> str:
    """One photograph's matches, for people."""
    name = in_one_line(name)
    if result is None:
        reason = in_one_line((one.reason or "not compared").replace(f"{one.query}: ", ""))
        return f"{name}: failed: {reason}\n"
    matches, images = len(result.matches), result.images_compared
    told = ", ".join([f"{matches:,} of {images:,} images ranked", *result.framing.in_words])
    lines = [f"{name}: {result.verdict}, {told}"]
    if matches:
        lines += in_columns(result.matches)
    return "\n".join(lines) + "\n"


def _as_json(
    run_id: str,
    page: str,
    named: dict[str, str],
    refused: dict[str, str],
    found: Sequence[Search],
    results: Sequence[SearchResult | None],
) -> str:
    """All of it, for programs: each photograph as `searches.json` has it, with its `result`."""
    searches: list[dict[str, Any]] = [
        {
            "photograph": in_one_line(named.get(one.query, one.query)),
            **asdict(one),
            "result": None if result is None else json.loads(result.to_json()),
        }
        for one, result in zip(found, results, strict=True)
    ]
    searches += [
        {"photograph": in_one_line(photograph), "outcome": FAILED, "reason": reason, "result": None}
        for photograph, reason in refused.items()
    ]
    return json.dumps(
        {"run_id": run_id, "page": page, "searches": searches}, indent=1, ensure_ascii=False
    )
