"""The faults, each in the middle of an index run or of a search, and the verdict afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import psutil
import psycopg

from benchmarks.faults.bench import SEARCHED, Bench, wait_until
from benchmarks.faults.proxy import Fault
from landmark.cluster.warm_models import carriers_of
from stack.s3 import BUCKET

#: An index run is in its middle when so many images are committed.
MIDDLE_ROWS = 10
REFUSED_S = 30
#: Room on the full disk, for what goes there before it is full.
DISK_BYTES = 8 << 20


@dataclass(frozen=True)
class Run:
    """A run of a DAG that is in its middle."""

    dag_id: str
    run_id: str
    task_id: str
    #: Of what the search writes.
    folder: str = ""


#: Causes a fault; what the block's end undoes lasts as long as the run.
Cause = Callable[[Bench, Run], AbstractContextManager[None]]


@dataclass(frozen=True)
class Case:
    """A fault and when it comes.

    Parameters
    ----------
    during : {'index', 'search'}
    cause : Cause
    middle : bool
        In the middle; else from the run's beginning on.
    """

    during: str
    cause: Cause
    middle: bool = True


# ---- causes -------------------------------------------------------------------------------------


def kill_part(name: str) -> Cause:
    def cause(bench: Bench, run: Run) -> AbstractContextManager[None]:
        os.kill(bench.pid(name), signal.SIGKILL)
        return nullcontext()

    return cause


def kill_task(bench: Bench, run: Run) -> AbstractContextManager[None]:
    os.kill(bench.task_pid(run.dag_id, run.run_id, run.task_id), signal.SIGKILL)
    return nullcontext()


def kill_task_and_supervisor(bench: Bench, run: Run) -> AbstractContextManager[None]:
    """Nobody is left to tell Airflow that the task has ended."""
    task = psutil.Process(bench.task_pid(run.dag_id, run.run_id, run.task_id))
    for process in (task.parent(), task):
        if process is not None:
            process.kill()
    return nullcontext()


def kill_dask_worker(bench: Bench, run: Run) -> AbstractContextManager[None]:
    with bench.dask() as client:
        os.kill(min(client.run(os.getpid).values()), signal.SIGKILL)
    return nullcontext()


def kill_carrier(bench: Bench, run: Run) -> AbstractContextManager[None]:
    """A worker that holds models: all that extract, where the model is TensorFlow's."""
    with bench.dask() as client:
        pids = client.run(os.getpid, workers=carriers_of(client))
        os.kill(next(iter(pids.values())), signal.SIGKILL)
    return nullcontext()


def kill_dask(bench: Bench, run: Run) -> AbstractContextManager[None]:
    """A worker and the scheduler."""
    kill_dask_worker(bench, run)
    return kill_part("dask-scheduler")(bench, run)


def stop_postgres(bench: Bench, run: Run) -> AbstractContextManager[None]:
    """Every connection ends, new ones are refused for a while: Airflow's as well."""
    supervisor = bench.supervisor
    supervisor.stop(["postgres"])
    time.sleep(REFUSED_S)
    supervisor.start(bench.parts["postgres"])
    return nullcontext()


def close_database(bench: Bench, run: Run) -> AbstractContextManager[None]:
    """The same for Landmark's database alone."""
    with psycopg.connect(bench.session.addresses.postgres.admin_dsn, autocommit=True) as connection:
        connection.execute("ALTER DATABASE landmark ALLOW_CONNECTIONS false")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'landmark'"
        )
        time.sleep(REFUSED_S)
        connection.execute("ALTER DATABASE landmark ALLOW_CONNECTIONS true")
    return nullcontext()


def answer(fault: Fault, seconds: float | None = None) -> Cause:
    """S3 answers so until the run's end, or for some seconds."""

    @contextmanager
    def cause(bench: Bench, run: Run) -> Iterator[None]:
        bench.proxy.begin(fault)
        try:
            if seconds is not None:
                time.sleep(seconds)
                bench.proxy.begin(None)
            yield
        finally:
            bench.proxy.begin(None)

    return cause


@contextmanager
def fill_disk(bench: Bench, run: Run) -> Iterator[None]:
    """The folder of the results is full until a task has failed for it."""
    filler = bench.state.s3 / BUCKET / "results" / "full" / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    wait_until(
        "a task fails",
        lambda: any(
            task["state"] in ("up_for_retry", "failed")
            for task in bench.tasks(run.dag_id, run.run_id)
        ),
        300,
        0.5,
    )
    before = {f"{run.folder}{name}" for name in ("query.npz", "searches.json", "searches.txt")}
    halves = set(bench.keys(run.folder)) - before
    filler.unlink()
    assert not halves, f"half a result: {halves}"
    yield


# ---- cases --------------------------------------------------------------------------------------

EVERYWHERE: dict[str, Cause] = {
    "task killed": kill_task,
    "task and its supervisor killed": kill_task_and_supervisor,
    "Airflow scheduler killed": kill_part("airflow-scheduler"),
    "Airflow API server killed": kill_part("airflow-api"),
    "Postgres killed": kill_part("postgres"),
    "S3 server killed": kill_part("s3"),
    "Postgres stopped for 30 s": stop_postgres,
    "Landmark's database closed for 30 s": close_database,
    "S3 answers 503 to all for 30 s": answer(Fault(status=503), 30),
}
# Indexing does without Dask, but with a model of TensorFlow's.
ONCE = {
    "index: worker that holds models killed": Case("index", kill_carrier),
    "index: Dask worker and scheduler killed": Case("index", kill_dask),
    "search: Dask worker killed": Case("search", kill_dask_worker),
    "search: Dask scheduler killed": Case("search", kill_part("dask-scheduler")),
}
THROUGHOUT: dict[str, Cause] = {
    "S3 answers 500 to every third": answer(Fault(status=500, every=3)),
    "S3 takes 4 s for each answer": answer(Fault(delay_s=4)),
    "S3 cuts every fourth answer off": answer(Fault(cut=True, every=4)),
}
CASES: dict[str, Case] = {
    **{
        f"{during}: {name}": Case(during, cause)
        for during in ("index", "search")
        for name, cause in EVERYWHERE.items()
    },
    **{
        f"{during}: {name}": Case(during, cause, middle=False)
        for during in ("index", "search")
        for name, cause in THROUGHOUT.items()
    },
    **ONCE,
    "search: disk full": Case("search", fill_disk),
}


@dataclass
class Undisturbed:
    """What runs without a fault leave.

    Parameters
    ----------
    table, failures
        As of `Bench`, after the index run.
    result : dict
        Of a search.
    searched : tuple
        Of the row that the search adds.
    """

    table: dict[str, tuple[str, str]]
    failures: set[tuple[str, str]]
    result: dict[str, str]
    searched: tuple[str, str]


def undisturbed(bench: Bench) -> Undisturbed:
    """What the nightly run has left, and a search."""
    table, failures = bench.table(), bench.failures()
    assert len(failures) == 1, failures
    run_id = bench.trigger("landmark_search", image_path=f"s3://{BUCKET}/{SEARCHED}")
    assert bench.wait("landmark_search", run_id) == "success"
    searched = bench.table()[f"s3://{BUCKET}/{SEARCHED}"]
    return Undisturbed(table, failures, bench.result(f"results/{run_id}/"), searched)


def run_case(bench: Bench, before: Undisturbed, case: Case) -> dict[str, Any]:
    """Cause the fault, wait for the recovery, compare; the figures of it."""
    disturb = _disturb_index if case.during == "index" else _disturb_search
    return disturb(bench, case, before)


def checked(bench: Bench, run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The figures of `run`, between two moments at which all is well, and what it left over."""
    bench.wait_until_well()
    begin = time.monotonic()
    figures = run()
    figures["seconds"] = round(time.monotonic() - begin)
    bench.wait_until_well()
    figures["left over"] = bench.leftovers()
    return figures


def _disturb_index(bench: Bench, case: Case, before: Undisturbed) -> dict[str, Any]:
    bench.fresh()
    dag_id = "landmark_index"
    with nullcontext() if case.middle else case.cause(bench, Run(dag_id, "", "")):
        run = Run(dag_id, bench.trigger(dag_id), "extract_batch")
        bench.wait_for_rows(MIDDLE_ROWS)
        at = bench.rows()
        with case.cause(bench, run) if case.middle else nullcontext():
            figures = _wait(bench, run)
    while figures["state"] != "success" and figures["triggered again"] < 2:
        figures["triggered again"] += 1
        figures["state"] = bench.index()
    figures["rows at the fault"] = at
    figures["different"] = differences(before.table, bench.table())
    if bench.failures() != before.failures:
        figures["different"].append("landmark_failures")
    return figures


def _disturb_search(bench: Bench, case: Case, before: Undisturbed) -> dict[str, Any]:
    path, dag_id = f"s3://{BUCKET}/{SEARCHED}", "landmark_search"
    remove_searched(bench)
    if differences(before.table, bench.table()):
        assert bench.index() == "success"
    full = case.cause is fill_disk
    folder = f"results/{'full/it' if full else time.monotonic_ns()}/"
    conf = {"image_path": path, "results_path": f"s3://{BUCKET}/{folder}"}
    with small_disk(bench) if full else nullcontext():
        if case.middle:
            with bench.held_search() as let_go:
                run = Run(dag_id, bench.trigger(dag_id, **conf), "rank_matches", folder)
                bench.wait_until_held()
                if full:
                    let_go()  # writing is what fails
                with case.cause(bench, run):
                    let_go()
                    figures = _wait(bench, run)
        else:
            with case.cause(bench, Run(dag_id, "", "")):
                figures = _wait(bench, Run(dag_id, bench.trigger(dag_id, **conf), "", folder))
        while figures["state"] != "success" and figures["triggered again"] < 2:
            figures["triggered again"] += 1
            figures["state"] = bench.wait(dag_id, bench.trigger(dag_id, **conf))
        figures["different"] = differences(before.result, bench.result(folder))
    table = {**before.table, path: before.searched}
    figures["different"] += differences(table, bench.table())
    return figures


def _wait(bench: Bench, run: Run) -> dict[str, Any]:
    state = bench.wait(run.dag_id, run.run_id)
    return {"state": state, "triggered again": 0, "tries": bench.tries(run.dag_id, run.run_id)}


def remove_searched(bench: Bench) -> None:
    """Take the row off that a search adds."""
    with bench.connect() as connection:
        connection.execute(
            "DELETE FROM landmarks WHERE image_path = %s", [f"s3://{BUCKET}/{SEARCHED}"]
        )


def differences(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """What is missing, too many or other."""
    return (
        [f"missing: {name}" for name in sorted(wanted.keys() - found.keys())]
        + [f"too many: {name}" for name in sorted(found.keys() - wanted.keys())]
        + [
            f"other: {name}"
            for name in sorted(wanted)
            if found.get(name, wanted[name]) != wanted[name]
        ]
    )


@contextmanager
def small_disk(bench: Bench) -> Iterator[None]:
    """A file system of its own below the results, so small that it can be filled; needs root."""
    folder = bench.state.s3 / BUCKET / "results" / "full"
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={DISK_BYTES},mode=0755"
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["/bin/umount", "-l", folder], check=True)
        folder.rmdir()
