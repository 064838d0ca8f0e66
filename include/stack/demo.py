"""`make demo`: photographs in, an index run, searches, the ranked txt; the stack stays up."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from landmark.errors import LandmarkError
from landmark.index.photographs import Exclusions, why_left_out
from landmark.search.result import CONTROL_CHARACTERS, TEXT, SearchResult, read_result
from landmark.search.table import in_columns
from landmark.settings import load_settings
from landmark.storage.database import Database
from landmark.storage.failures import failures_below
from stack.airflow_api import ENDED, POLL_S, AirflowApi
from stack.environment import landmark_conninfo, landmark_s3_client
from stack.lifecycle import Session, describe, say, up
from stack.net import StackError
from stack.state import REPOSITORY, State

GALLERY = REPOSITORY / "include" / "gallery"
SHOWN = 10
# Of files that were left out, and of photographs that failed.
NAMED = 20
# Airflow begins the first nightly run so soon after it has read the DAG.
FIRST_RUN_S = 15
INDEX = "landmark_index"


@dataclass(frozen=True)
class Plan:
    """What the demo puts into the bucket and what it searches for.

    Parameters
    ----------
    folder : Path
    names : list of str
        The photographs, relative to `folder`.
    below : str
        Where they go below `LANDMARK_IMAGES`.
    queries : list of str
        The names to search for.
    places : dict
        Of each place, the names that show it; empty where nobody knows.
    left_out : dict of str to str
        Files of the folder that are no photographs, and why.
    asked : bool
        The user has said which to search for.
    """

    folder: Path
    names: list[str]
    below: str
    queries: list[str]
    places: dict[str, list[str]]
    left_out: dict[str, str] = field(default_factory=dict)
    asked: bool = True


def demo(state: State, photos: str | None = None, query: str | None = None) -> int:
    """Run the demo; return 1 if a search ranked something else above a view of its place.

    Parameters
    ----------
    state : State
    photos : str, optional
        A folder of the user's own photographs, instead of the gallery.
    query : str, optional
        Which of them to search for; by default the first.
    """
    begin = time.monotonic()
    plan = photos_plan(Path(photos), query) if photos else gallery_plan(GALLERY)

    uploaded: list[datetime] = []

    def put(session: Session) -> None:
        upload(session, plan)
        uploaded.append(datetime.now(timezone.utc))

    # The photographs go in while Airflow still starts, unless the S3 server is the user's own.
    session = up(state, {"s3": put})
    if not uploaded:
        put(session)

    api = AirflowApi(session.addresses)
    for dag_id in (INDEX, "landmark_search"):
        api.wait_for_dag(dag_id)
    base = session.variables["LANDMARK_IMAGES"] + plan.below
    try:
        _index(api, uploaded[0])
    finally:  # a sweep fails where most of its images do
        failed = _failures(session, base)
        tell_each(f"{len(failed)} of the photographs there failed:", failed)
    plan = without_failed(plan, failed)
    right = [_search(session, api, plan, name) for name in plan.queries]

    say("")
    if plan.places:
        say(
            f"{sum(right)} of {len(right)} searches ranked every other view of their place "
            "above everything else"
        )
    say(f"demo done in {time.monotonic() - begin:.0f} s; the stack stays up:")
    describe(session)
    return 0 if all(right) else 1


def gallery_plan(gallery: Path) -> Plan:
    """Plan for the gallery that comes with Landmark."""
    description = json.loads((gallery / "gallery.json").read_text())
    folder = gallery / "images"
    names, _ = _photographs(folder)
    return Plan(folder, names, "", description["queries"], description["places"])


def photos_plan(folder: Path, query: str | None) -> Plan:
    """Plan for a folder of the user's own.

    Raises
    ------
    StackError
        If there are no photographs, or the one to search for is not among them.
    """
    names, left_out = _photographs(folder)
    if not names:
        first = next((f": {name}, {reason}" for name, reason in left_out.items()), "")
        raise StackError(
            f"{folder} has no photographs ({len(left_out)} files left out{first}); "
            f"name another folder"
        )
    if query in left_out:
        raise StackError(f"{query} is left out: {left_out[query]}; search for another")
    if query and query not in names:
        raise StackError(f"{query} is not in {folder}; the first there is {names[0]}")
    below = f"{folder.resolve().name}/"
    return Plan(folder, names, below, [query or names[0]], {}, left_out, query is not None)


def without_failed(plan: Plan, failed: Mapping[str, str]) -> Plan:
    """The plan with another photograph to search for, where ours turns out to be none.

    Raises
    ------
    StackError
        If none of them can be used.
    """
    if plan.asked or plan.queries[0] not in failed:
        return plan
    sound = next((name for name in plan.names if name not in failed), None)
    if sound is None:
        raise StackError(f"none of the photographs in {plan.folder} can be used; see above")
    return replace(plan, queries=[sound])


def tell_each(title: str, reasons: Mapping[str, str]) -> None:
    """Say of each file in a line why it is not used; of many, of the first."""
    if not reasons:
        return
    say(f"  {title}")
    for name, reason in list(reasons.items())[:NAMED]:
        say(f"    {name}: {reason}")
    if len(reasons) > NAMED:
        say(f"    ... {len(reasons) - NAMED} more")


def upload(session: Session, plan: Plan) -> None:
    """Put the photographs that are not there yet below `LANDMARK_IMAGES`."""
    client = landmark_s3_client(session.variables)
    bucket, prefix = _split(session.variables["LANDMARK_IMAGES"])
    known = _etags(client, bucket, prefix)
    sent = 0
    for name in plan.names:
        content = (plan.folder / name).read_bytes()
        key = prefix + plan.below + name
        if known.get(key) != hashlib.md5(content, usedforsecurity=False).hexdigest():
            client.put_object(Bucket=bucket, Key=key, Body=content)
            sent += 1
    say(
        f"  {len(plan.names)} photographs in s3://{bucket}/{prefix}{plan.below}, {sent} of them new"
    )
    tell_each(f"{len(plan.left_out)} other files of the folder are left out:", plan.left_out)
    others = len(known.keys() - {prefix + plan.below + name for name in plan.names})
    if others:
        say(f"  {others} other photographs there stay and are searched too")


def judge(ranking: list[str], views: set[str]) -> bool:
    """Whether every one of `views` ranks above everything else."""
    return set(ranking[: len(views)]) == views


def _search(session: Session, api: AirflowApi, plan: Plan, name: str) -> bool:
    base = session.variables["LANDMARK_IMAGES"] + plan.below
    run_id = _run(api, "landmark_search", {"image_path": base + name})
    folder = f"{session.variables['LANDMARK_RESULTS']}{run_id}/"
    result = read_result(landmark_s3_client(session.variables), folder)
    say("")
    for line in table(result, base):
        say(f"    {line}")
    say(f"  the whole: {folder}{TEXT}")

    views = next((set(names) for names in plan.places.values() if name in names), None)
    if views is None:
        return True
    views.discard(name)
    # Nobody knows what the user's own photographs show, which may lie there too.
    ours = {base + name for name in plan.names}
    paths = [match.image_path for match in result.matches if match.image_path in ours]
    right = judge(paths, {base + view for view in views})
    say(
        f"  {'right' if right else 'WRONG'}: the {len(views)} other views of this place "
        f"{'rank' if right else 'do not rank'} above everything else"
    )
    return right


def table(result: SearchResult, base: str) -> list[str]:
    """A result as people read it: its verdict, and the best matches in columns with names.

    Parameters
    ----------
    base : str
        What the paths of most photographs begin with.
    """
    place = f", {result.place.title} of {result.place.size}" if result.place else ""
    lines = [
        f"verdict: {result.verdict}{place}; {result.images_compared} images compared",
        f"chance: {result.chance}",
        *in_columns(result.matches[:SHOWN], base),
    ]
    if not result.matches:
        lines.append("   -  nothing with as many inliers as is asked for")
    if len(result.matches) > SHOWN:
        lines.append(f"      {len(result.matches) - SHOWN} more")
    return [line.translate(CONTROL_CHARACTERS) for line in lines]


def _index(api: AirflowApi, uploaded: datetime) -> None:
    """Index what was uploaded until then, by the run that Airflow begins itself if there is one."""
    deadline = time.monotonic() + FIRST_RUN_S
    while not api.runs(INDEX) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    for run in api.runs(INDEX):
        if run.state in ENDED:
            continue
        say("")
        say(f"{INDEX} (a run that Airflow has begun itself, as it does every night)")
        _wait(api, INDEX, run.run_id)
    if not any(run.started and run.started >= uploaded for run in api.runs(INDEX)):
        _run(api, INDEX)


def _run(api: AirflowApi, dag_id: str, conf: dict[str, Any] | None = None) -> str:
    say("")
    say(f"{dag_id} {(conf or {}).get('image_path', '')}".rstrip())
    run_id = api.trigger(dag_id, conf)
    _wait(api, dag_id, run_id)
    return run_id


def _wait(api: AirflowApi, dag_id: str, run_id: str) -> None:
    begin = time.monotonic()
    api.wait(dag_id, run_id, on_change=_progress_line(begin))
    say(f"  done in {time.monotonic() - begin:.1f} s")


def _progress_line(begin: float) -> Callable[[str], None]:
    return lambda progress: say(f"  {time.monotonic() - begin:5.1f} s  {progress}")


def _photographs(folder: Path) -> tuple[list[str], dict[str, str]]:
    """The photographs of a folder by the rule of sweeps, and the other files with the reason."""
    if not folder.is_dir():
        raise StackError(f"{folder} is not a folder")
    try:
        exclusions = Exclusions(load_settings().exclude)
    except LandmarkError as error:
        raise StackError(str(error)) from error
    files = [file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()]
    reasons = {name: why_left_out(folder, name, exclusions) for name in sorted(files)}
    left_out = {name: reason for name, reason in reasons.items() if reason is not None}
    return [name for name in reasons if name not in left_out], left_out


def _failures(session: Session, base: str) -> dict[str, str]:
    """The photographs below a prefix that cannot be used, by their names, and why."""
    try:
        found = failures_below(Database(landmark_conninfo(session.variables)), base)
    except (psycopg.Error, LandmarkError, ValueError) as error:
        say(f"  which photographs failed stands under Landmark, Index; not here, since {error}")
        return {}
    return {path.removeprefix(base): reason.removeprefix(f"{path}: ") for path, reason in found}


def _etags(client: Any, bucket: str, prefix: str) -> dict[str, str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    # rclone lists ETags without the quotes that others put around them.
    return {
        entry["Key"]: entry["ETag"].strip('"')
        for page in pages
        for entry in page.get("Contents", ())
    }


def _split(path: str) -> tuple[str, str]:
    parts = urlsplit(path, allow_fragments=False)
    return parts.netloc, parts.path.lstrip("/")
