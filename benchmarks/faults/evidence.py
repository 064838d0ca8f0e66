"""Sweeps of an S3 that answers wrong: what the rule says becomes of them, and nothing is lost."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.faults import answers
from benchmarks.faults.answers import HTML, listing, photographs, refused
from benchmarks.faults.bench import Bench
from benchmarks.faults.cases import Undisturbed, differences
from benchmarks.faults.proxy import Bend, Fault
from stack.s3 import BUCKET

DAG = "landmark_index"
#: The middle of a sweep: so many photographs are given before none is any more.
GIVEN = 10
DRIP_S, DRIPPING = 20.0, 3
ONE, ANOTHER = "images/bridge/02.jpg", "images/castle_gate/03.jpg"
QUIET = "SELECT new + changed + retried FROM landmark_sweeps ORDER BY planned_at DESC LIMIT 1"


@dataclass(frozen=True)
class WrongSweep:
    """A sweep, S3's answers, and what the rule says of both.

    Parameters
    ----------
    bend : callable
        Makes what S3 answers.
    told : str
        Pattern of what the run tells of it: of a failed task, of an image, or what is passed over.
        Empty: nothing is to be told.
    from_nothing : bool
        The table is empty before; else everything is indexed.
    new : str
        A photograph that is not indexed before.
    passes : bool
        S3 answers well again once a task has failed; else all through the run.
    fails : bool
        The run must fail.
    left : tuple of str
        Photographs that this run may not have indexed.
    quiet : bool
        A second sweep, with the same answers, has nothing to do.
    """

    bend: Callable[[], Bend]
    told: str = ""
    from_nothing: bool = True
    new: str = ""
    passes: bool = False
    fails: bool = False
    left: tuple[str, ...] = ()
    quiet: bool = False


def _of_listing(change: Callable[[bytes], bytes], told: str, **more: Any) -> WrongSweep:
    return WrongSweep(lambda: listing(change), told, from_nothing=False, **more)


def _of_account(status: int, code: str, told: str) -> WrongSweep:
    return WrongSweep(lambda: answers.refused_after(GIVEN, status, code), told, passes=True)


def _etags(of_listing: bytes | None, of_object: str | None) -> WrongSweep:
    return WrongSweep(lambda: answers.etags(of_listing, of_object), quiet=True)


WITHHELD = r"images that were indexed are not listed any more, and nothing was removed.*"
NO_LISTING = r"(answer is no listing|what answers does not speak S3).*"

WRONG_SWEEPS: dict[str, WrongSweep] = {
    "an empty listing": _of_listing(
        answers.without_entries, WITHHELD + "allow_removals", fails=True
    ),
    "a listing of half, one of it new": _of_listing(
        answers.first_half, WITHHELD + "allow_removals", fails=True, new="images/bridge/01.jpg"
    ),
    "an HTML page as listing": _of_listing(lambda _: HTML, NO_LISTING, passes=True),
    "a listing that goes on nowhere": _of_listing(
        answers.going_on_nowhere, "its listing goes on, and not where", passes=True
    ),
    "a bucket that is elsewhere (301)": WrongSweep(
        lambda: answers.listing_refused(301, "PermanentRedirect"),
        "set the region and endpoint of the connection",
        from_nothing=False,
        passes=True,
    ),
    "keys twice, with NUL, not UTF-8": WrongSweep(
        lambda: listing(answers.with_odd_keys), r"'key': 3\b", quiet=True
    ),
    "no etags": _etags(None, None),
    "weak etags in the listing": _etags(b"W/{}", "{}"),
    "other etags in GET": _etags(b"{}", '"of another kind"'),
    "keys refused from the middle on": _of_account(
        403, "InvalidAccessKeyId", "InvalidAccessKeyId; check the connection's keys and clock"
    ),
    "all denied from the middle on": _of_account(403, "AccessDenied", "AccessDenied"),
    "all elsewhere (301) from the middle on": _of_account(
        301, "PermanentRedirect", "the bucket is elsewhere"
    ),
    "one photograph answers 400 for ever": WrongSweep(
        lambda: refused(ONE, 400, "InvalidRequest"), f"{ONE}: S3 refuses it", left=(ONE,)
    ),
    "one photograph answers 403 for ever": WrongSweep(
        lambda: refused(ONE, 403, "AccessDenied"), f"{ONE}: AccessDenied", left=(ONE,)
    ),
    "one answers 500 for ever, one breaks off": WrongSweep(
        lambda: answers.all_of(refused(ONE, 500, "InternalError"), answers.cut_off(ANOTHER)),
        f"{ANOTHER}: breaks off each time",
        left=(ONE, ANOTHER),
    ),
    "bodies in chunks, of no told length": WrongSweep(lambda: photographs(answers.in_chunks)),
    "bodies packed by gzip": WrongSweep(lambda: photographs(answers.packed)),
    f"{DRIPPING} bodies that drip for {DRIP_S:.0f} s": WrongSweep(
        lambda: answers.dripping(DRIP_S, DRIPPING)
    ),
}


def run_wrong_sweep(bench: Bench, before: Undisturbed, case: WrongSweep) -> dict[str, Any]:
    """Sweep with these answers and compare with the rule, then with good ones and with before."""
    known = before.failures
    if case.from_nothing:
        bench.fresh()
    elif differences(before.table, _photographs(bench)):
        assert bench.index() == "success"
    if case.new:
        with bench.connect() as connection:
            connection.execute("DELETE FROM landmarks WHERE image_path = %s", [_path(case.new)])

    bench.proxy.begin(Fault(bend=case.bend()))
    try:
        run_id = bench.trigger(DAG)
        told = []
        if case.passes:
            bench.wait_for_retry(DAG, run_id)
            told = bench.reasons(DAG, run_id)
            bench.proxy.begin(None)
        state = bench.wait(DAG, run_id)
        told += bench.reasons(DAG, run_id) + _told_of_images(bench, known)
        different = _compare_with_rule(bench, case, before, state, told)
        if case.quiet and (bench.index() != "success" or bench.one(QUIET)):
            different.append(f"{bench.one(QUIET)} images once more")
    finally:
        bench.proxy.begin(None)

    if not bench.proxy.bent:
        different.append("no answer was wrong")
    figures = {"state": state, "tries": bench.tries(DAG, run_id), "told": told}
    figures["wrong answers"] = bench.proxy.bent
    figures["triggered again"] = 0
    if not case.passes:  # else this run has ended with good answers
        figures["swept afterwards"] = figures["state"] = bench.index()
    different += differences(before.table, _photographs(bench))
    if bench.failures() != known:
        different.append("landmark_failures")
    return {**figures, "different": different}


def _compare_with_rule(
    bench: Bench, case: WrongSweep, before: Undisturbed, state: str, told: list[str]
) -> list[str]:
    different = []
    if state != ("failed" if case.fails else "success"):
        different.append(f"the run ended as {state}")
    if bool(case.told) != bool(told) or not re.search(case.told, "\n".join(told)):
        different.append(f"told: {told}")
    left = {_path(key) for key in case.left}
    wanted = {path: digest for path, (_, digest) in before.table.items() if path not in left}
    found = {path: digest for path, (_, digest) in _photographs(bench).items()}
    return different + [f"after the fault {one}" for one in differences(wanted, found)]


def _told_of_images(bench: Bench, known: set[tuple[str, str]]) -> list[str]:
    """Reasons of images that have failed anew, and what was passed over."""
    with bench.connect() as connection:
        failed = connection.execute(
            "SELECT image_path, reason FROM landmark_failures ORDER BY image_path"
        ).fetchall()
        passed_over = connection.execute(
            "SELECT passed_over FROM landmark_sweeps ORDER BY planned_at DESC LIMIT 1"
        ).fetchone()
    paths = {path for path, _ in known}
    told = [reason for path, reason in failed if path not in paths]
    return told + [str(one) for one in passed_over or () if one]


def _photographs(bench: Bench) -> dict[str, tuple[str, str]]:
    """The table below the prefix, without what searches have added."""
    prefix = _path("images/")
    return {path: row for path, row in bench.table().items() if path.startswith(prefix)}


def _path(key: str) -> str:
    return f"s3://{BUCKET}/{key}"
