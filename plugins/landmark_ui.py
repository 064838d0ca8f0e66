"""Landmark in Airflow's UI: pages, a tab at every run, and notes that say what a run found.

Every Airflow process executes this file, so it imports little; the pages themselves are loaded by
the API server, at the first request.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

from landmark.errors import in_one_line
from landmark.matching.ranking import OUTCOMES
from landmark.search.asking import entries, is_one
from landmark_airflow import RUN_TAB, run_address

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.models.xcom import XComModel
    from starlette.types import ASGIApp, Receive, Scope, Send

logger = logging.getLogger(__name__)

MOUNT = "/landmark"
#: Where Airflow's own pages begin, behind a proxy that gives it a folder.
BASE = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")
#: Airflow's limit of a note.
NOTE_CHARACTERS = 1000


async def pages(scope: Scope, receive: Receive, send: Send) -> None:
    """The pages of `landmark_web`."""
    await _load_pages()(scope, receive, send)


@cache
def _load_pages() -> ASGIApp:
    from landmark_web.app import app

    return app


class RunNotes:
    """Writes into a run's note what it searched and found; runs in the scheduler."""

    @hookimpl
    def on_dag_run_success(self, dag_run: DagRun, msg: str) -> None:
        write_note(dag_run)

    @hookimpl
    def on_dag_run_failed(self, dag_run: DagRun, msg: str) -> None:
        write_note(dag_run)


def write_note(dag_run: DagRun) -> None:
    """Note a run's outcome, unless a person has noted something.

    The scheduler has the run in its session and commits it with the run's new state.
    """
    if dag_run.dag_id not in ("landmark_search", "landmark_index"):
        return
    written = dag_run.dag_run_note
    if written is not None and written.user_id is not None:
        return
    outcome = _outcomes(dag_run)
    if dag_run.dag_id == "landmark_index":
        text = sweep_note(outcome)
    else:
        conf = dag_run.conf if isinstance(dag_run.conf, dict) else {}
        text = search_note(conf.get("image_path", ""), outcome)
    link = f" [Look at it]({run_address(dag_run.dag_id, dag_run.run_id)})"
    text = text[:NOTE_CHARACTERS] if len(text + link) > NOTE_CHARACTERS else text + link
    if written is None:
        dag_run.note = text
    else:
        written.content = text


def search_note(asked: str | list[str], outcome: dict[str, Any]) -> str:
    """A search, or several, in one line of Markdown."""
    asked = [str(path) for path in asked] if isinstance(asked, list) else str(asked)
    paths = entries(asked)
    query = paths[0] if paths else ""
    answer = outcome.get("rank_matches")
    if answer is None and "cancelled" in outcome:
        return f"**cancelled** by {_code(outcome['cancelled']['user'])}: {_code(query)}."
    if answer is None:
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        return f"**failed**: {_code(query)}{more}; {_reason(outcome)}."
    counts = answer.get("searches") or {}
    if not is_one(asked):
        told = ", ".join(f"{counts[name]} {name}" for name in OUTCOMES if name in counts)
        text = f"**{sum(counts.values())} searches: {told}**."
        if answer["matches"]:
            text += f" Surest: {_code(answer.get('query', ''))}, {answer['inliers']} inliers."
        return text
    if not answer["matches"]:
        return f"**no match** among {answer['images_compared']} images: {_code(query)}."
    return (
        f"**{answer['verdict']}**: {_code(query)}; {_place(answer)}{answer['matches']} of "
        f"{answer['images_compared']} images ranked, first {_code(answer['best'])}; the surest has "
        f"{answer['inliers']} inliers."
    )


def _place(answer: dict[str, Any]) -> str:
    place = answer.get("place")
    if place is None:
        return ""
    title = _code(place["name"]) if place["name"] else f"place {place['id']}"
    several = "" if place["photographs"] == 1 else "s"
    return f"{title}, {place['photographs']} photograph{several}; "


def sweep_note(outcome: dict[str, Any]) -> str:
    """A sweep in one line of Markdown."""
    summary = outcome.get("summarise")
    if summary is None:
        return f"**failed**: {_reason(outcome)}."
    counts = ("new", "changed", "removed", "indexed", "failed")
    told = ", ".join(f"{summary[name]} {name}" for name in counts)
    return f"{summary['seen']} images seen: {told}, in {summary['seconds']:.0f} s."


def _reason(outcome: dict[str, Any]) -> str:
    reason = outcome.get("reason")
    return _code(reason) if reason else "the log of the failed task says why"


def _code(path: str) -> str:
    """A path as it is, whatever is in it; of a long one its end."""
    longest = NOTE_CHARACTERS // 5
    shown = path if len(path) <= longest else "…" + path[1 - longest :]
    return "`" + in_one_line(" ".join(shown.replace("`", "'").split())) + "`"


def _outcomes(dag_run: DagRun) -> dict[str, Any]:
    """What the tasks that sum up a run have returned, by name; the `reason` if one failed; who has
    `cancelled` it.

    What has not the form that our tasks give it is a reason, too.
    """
    from airflow.models.xcom import XComModel
    from sqlalchemy import select
    from sqlalchemy.orm import object_session

    from landmark_web.told import CANCELLED, sound

    session = object_session(dag_run)
    query = select(XComModel).where(
        XComModel.dag_id == dag_run.dag_id,
        XComModel.run_id == dag_run.run_id,
        XComModel.key.in_(["reason", CANCELLED[1]])
        | XComModel.task_id.in_(["rank_matches", "summarise"]),
        XComModel.key.in_(["reason", "return_value", CANCELLED[1]]),
    )
    found = session.scalars(query) if session is not None else ()
    told, damage = sound({(xcom.task_id, xcom.key): _value(xcom) for xcom in found})
    cancelled = told.pop(CANCELLED, None)
    outcome = {"reason" if key == "reason" else task: value for (task, key), value in told.items()}
    if cancelled and cancelled["clear_number"] == dag_run.clear_number:
        outcome["cancelled"] = cancelled
    return outcome | ({"reason": damage} if damage else {})


def _value(xcom: XComModel) -> Any:
    """None, which none of our tasks tells, where Airflow cannot decode it."""
    from airflow.models.xcom import XComModel

    try:
        return XComModel.deserialize_value(xcom)
    except Exception:  # says in many ways that it cannot; it is one run's fault
        logger.warning("XCom %s of %s of %s", xcom.key, xcom.task_id, xcom.run_id, exc_info=True)
        return None


def _view(destination: str, route: str, address: str) -> dict[str, str]:
    return {
        "name": "Landmark",
        "href": f"{BASE}{MOUNT}/{address}",
        "destination": destination,
        "url_route": route,
        "icon": f"{BASE}{MOUNT}/static/icon.svg",
    }


class LandmarkPlugin(AirflowPlugin):
    name = "landmark"
    fastapi_apps = [{"app": pages, "url_prefix": MOUNT, "name": "Landmark"}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {**_view("nav", "landmark", ""), "nav_top_level": True},
        _view("dag_run", RUN_TAB, "dags/{DAG_ID}/runs/{RUN_ID}"),
    ]
    listeners = [RunNotes()]  # noqa: RUF012
