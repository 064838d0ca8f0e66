"""Searches of an S3 that answers wrong, two runs in one place, and a Postgres that is not ours."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.faults.answers import refused, slow_listing
from benchmarks.faults.bench import SEARCHED, Bench
from benchmarks.faults.cases import Undisturbed, differences, remove_searched
from benchmarks.faults.proxy import Fault
from benchmarks.faults.together import put_copies, remove_copies
from stack.s3 import BUCKET

DAG = "landmark_search"
QUERY, OTHER = f"s3://{BUCKET}/{SEARCHED}", f"s3://{BUCKET}/images/lighthouse/03.jpg"
#: A role's defaults that would break a search, a listing, and every text.
ROLE_SETTINGS = {
    "datestyle": "German, DMY",
    "statement_timeout": "1s",
    "idle_in_transaction_session_timeout": "1s",
    "client_encoding": "LATIN1",
}
#: Longer than the role's time-outs: a statement that takes the listing in as it comes.
LISTING_S = 4.0
RESTARTS = 2
#: Committed of new photographs before each restart.
STEP = 4


def refused_query(bench: Bench, before: Undisturbed) -> dict[str, Any]:
    """The keys are refused when the photograph is read; then they are accepted again."""
    _as_indexed(bench, before)
    bench.proxy.begin(Fault(bend=refused(SEARCHED, 403, "InvalidAccessKeyId")))
    try:
        folder = _folder()
        run_id = bench.trigger(DAG, image_path=QUERY, results_path=f"s3://{BUCKET}/{folder}")
        bench.wait_for_retry(DAG, run_id)
        told = bench.reasons(DAG, run_id)
    finally:
        bench.proxy.begin(None)
    state = bench.wait(DAG, run_id)
    different = differences(before.result, bench.result(folder))
    if not re.search("InvalidAccessKeyId; check the connection's keys", "\n".join(told)):
        different.append(f"told: {told}")
    return _figures(bench, [run_id], [state], different, told=told)


def refused_of_many(bench: Bench, before: Undisturbed) -> dict[str, Any]:
    """One photograph of a list answers 400; the other is searched for as if it were alone."""
    _as_indexed(bench, before)
    bench.proxy.begin(Fault(bend=refused("images/lighthouse/03.jpg", 400, "InvalidRequest")))
    try:
        folder = _folder()
        conf = {"image_path": [OTHER, QUERY], "results_path": f"s3://{BUCKET}/{folder}"}
        run_id = bench.trigger(DAG, **conf)
        state = bench.wait(DAG, run_id)
    finally:
        bench.proxy.begin(None)
    refusal, search = _overview(bench, folder)["searches"]
    own = search["folder"].removeprefix(f"s3://{BUCKET}/")
    wanted = {name: file for name, file in before.result.items() if "searches." not in name}
    different = differences(wanted, bench.result(own))
    if refusal["outcome"] != "failed" or "400 InvalidRequest" not in refusal["reason"]:
        different.append(f"told: {refusal}")
    return _figures(bench, [run_id], [state], different, told=[refusal["reason"]])


def one_folder(bench: Bench, before: Undisturbed) -> dict[str, Any]:
    """A run writes into the folder of another that is in the middle of its search."""
    _as_indexed(bench, before)
    folder = _folder()
    with bench.held_search() as let_go:
        place = f"s3://{BUCKET}/{folder}"
        first = bench.trigger(DAG, image_path=QUERY, results_path=place)
        bench.wait_until_held()
        second = bench.trigger(DAG, image_path=OTHER, results_path=place)
        refusal = bench.wait(DAG, second)
        told = bench.reasons(DAG, second)
        let_go()
        state = bench.wait(DAG, first)
    different = differences(before.result, bench.result(folder))
    if _overview(bench, folder)["run_id"] != first:
        different.append("the folder is not the first run's")
    if refusal != "failed" or f"belongs to the run {first}" not in "\n".join(told):
        different.append(f"the second run: {refusal}, {told}")
    return _figures(bench, [first], [state], different, told=told)


def damaged_row(bench: Bench, before: Undisturbed) -> dict[str, Any]:
    """A blob is too short: the search does without it; without the row, a sweep reads it anew."""
    _as_indexed(bench, before)
    with bench.connect() as connection:
        connection.execute(
            "UPDATE landmarks SET descriptors = substr(descriptors, 3) WHERE image_path = %s",
            [OTHER],
        )
    states, run_ids = [], []
    for _ in range(2):
        folder = _folder()
        run_ids.append(bench.trigger(DAG, image_path=QUERY, results_path=f"s3://{BUCKET}/{folder}"))
        states.append(bench.wait(DAG, run_ids[-1]))
        with bench.connect() as connection:
            connection.execute("DELETE FROM landmarks WHERE image_path = %s", [OTHER])
        states.append(bench.index())
        remove_searched(bench)
    different = differences(before.result, bench.result(folder))
    different += differences(before.table, bench.table())
    return _figures(bench, run_ids, states, different)


def role_settings(bench: Bench, before: Undisturbed) -> dict[str, Any]:
    """The role's own time-outs, date style and encoding, for a sweep and a search."""
    bench.fresh()
    folder = _folder()
    with _role_settings(bench):
        bench.proxy.begin(Fault(bend=slow_listing(LISTING_S)))
        try:
            states = [bench.index()]
        finally:
            bench.proxy.begin(None)
        run_id = bench.trigger(DAG, image_path=QUERY, results_path=f"s3://{BUCKET}/{folder}")
        states.append(bench.wait(DAG, run_id))
    remove_searched(bench)
    different = differences(before.result, bench.result(folder))
    different += differences(before.table, bench.table())
    return _figures(bench, [run_id], states, different)


def restarts(bench: Bench, before: Undisturbed) -> dict[str, Any]:
    """Postgres is restarted, twice, while a sweep of new photographs and three searches run."""
    _as_indexed(bench, before)
    rows = bench.rows()
    copies = put_copies(bench)
    sweep = bench.trigger("landmark_index")
    searches = [bench.trigger(DAG, image_path=path) for path in (QUERY, OTHER, OTHER)]
    for number in range(RESTARTS):
        bench.wait_for_rows(rows + STEP * (number + 1))
        bench.supervisor.stop(["postgres"])
        bench.supervisor.start(bench.parts["postgres"])
    states = [bench.wait("landmark_index", sweep)]
    states += [bench.wait(DAG, run_id) for run_id in searches]
    remove_searched(bench)
    table = bench.table()
    different = [f"not indexed: {path}" for path in copies if path not in table]
    remove_copies(bench)
    allowed = bench.trigger("landmark_index", allow_removals=True)
    states.append(bench.wait("landmark_index", allowed))
    different += differences(before.table, bench.table())
    folder = _folder()
    run_id = bench.trigger(DAG, image_path=QUERY, results_path=f"s3://{BUCKET}/{folder}")
    states.append(bench.wait(DAG, run_id))
    different += differences(before.result, bench.result(folder))
    figures = _figures(bench, searches, states, different)
    figures["tries"] += bench.tries("landmark_index", sweep)
    return figures


SHARING: dict[str, Callable[[Bench, Undisturbed], dict[str, Any]]] = {
    "search: keys refused at the query": refused_query,
    "search: one query of two answers 400": refused_of_many,
    "two searches with one results_path": one_folder,
    "a damaged row": damaged_row,
    "a role with other settings": role_settings,
    "Postgres restarted twice under load": restarts,
}


def _as_indexed(bench: Bench, before: Undisturbed) -> None:
    """The table as the undisturbed sweep has left it."""
    remove_searched(bench)
    if differences(before.table, bench.table()):
        assert bench.index() == "success"


def _folder() -> str:
    return f"results/{time.monotonic_ns()}/"


def _overview(bench: Bench, folder: str) -> dict[str, Any]:
    body = bench.s3.get_object(Bucket=BUCKET, Key=f"{folder}searches.json")["Body"]
    overview: dict[str, Any] = json.loads(body.read())
    return overview


def _figures(
    bench: Bench, run_ids: list[str], states: list[str], different: list[str], **more: Any
) -> dict[str, Any]:
    return {
        "state": "success" if set(states) == {"success"} else f"{states}",
        "triggered again": 0,
        "tries": sum(bench.tries(DAG, run_id) for run_id in run_ids),
        "different": different,
        **more,
    }


@contextmanager
def _role_settings(bench: Bench) -> Iterator[None]:
    with bench.connect() as connection:
        for name, value in ROLE_SETTINGS.items():
            connection.execute(f"ALTER ROLE landmark IN DATABASE landmark SET {name} = '{value}'")
    try:
        yield
    finally:
        with bench.connect() as connection:
            connection.execute("ALTER ROLE landmark IN DATABASE landmark RESET ALL")
