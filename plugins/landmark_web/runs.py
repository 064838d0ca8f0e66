"""What Airflow knows of our runs: parameters, state, what their tasks told; and how one starts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, cast

from airflow.api_fastapi.core_api.datamodels.dag_run import (
    DAGRunPatchBody,
    TriggerDAGRunPostBody,
)
from airflow.api_fastapi.core_api.routes.public.dag_run import patch_dag_run, trigger_dag_run
from airflow.models.dagbag import DBDagBag
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from fastapi import HTTPException, Request
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from landmark.errors import LandmarkError
from landmark.matching.ranking import OUTCOMES
from landmark.search.asking import entries, is_one
from landmark_web.told import CANCELLED, sound

logger = logging.getLogger(__name__)

SEARCH, INDEX = "landmark_search", "landmark_index"

ENDED = ("success", "failed")
#: What a reader may see of a running task, as the order of the DAG.
STEPS = ("extract_query", "rank_matches", "draw_matches")


@dataclass(frozen=True)
class Run:
    """One run of a DAG.

    Parameters
    ----------
    dag_id, run_id : str
    state : str
        ``queued``, ``running``, ``success`` or ``failed``.
    conf : dict
        What it was triggered with.
    started, ended, asked : datetime or None
    user : str or None
        Who triggered it.
    told : dict
        By (task, key) what the tasks have put into XCom, as far as it is sound.
    tasks : dict
        The state of each task that is not mapped.
    version : str
        Changes when the run is cleared and runs again.
    damage : str or None
        What of it cannot be shown, and why.
    """

    dag_id: str
    run_id: str
    state: str
    conf: dict[str, Any]
    asked: datetime
    started: datetime | None
    ended: datetime | None
    user: str | None
    version: str
    told: dict[tuple[str, str], Any] = field(default_factory=dict)
    tasks: dict[str, str | None] = field(default_factory=dict)
    damage: str | None = None

    @property
    def paths(self) -> list[str]:
        """The photographs, or prefixes, that a search was given."""
        return entries(self._asked) or [""]

    @property
    def is_one(self) -> bool:
        """Whether it searches for one photograph; else for a list, or what is below a prefix."""
        return is_one(self._asked)

    @property
    def _asked(self) -> str | list[str]:
        """What it was triggered with; whoever may trigger may write anything there."""
        asked = self.conf.get("image_path", "")
        return [str(path) for path in asked] if isinstance(asked, list) else str(asked)

    @property
    def folder(self) -> str | None:
        """Where a search writes, once its query has been read."""
        told = self.told.get(("extract_query", "return_value"))
        return told["folder"] if told else None

    @property
    def answer(self) -> dict[str, Any] | None:
        """A search's answer in short, once it is written; of several, that of the surest."""
        return self.told.get(("rank_matches", "return_value"))

    @property
    def counts(self) -> dict[str, int]:
        """How many of several searches came out how, once they have."""
        counts = (self.answer or {}).get("searches", {})
        return {name: counts[name] for name in OUTCOMES if name in counts}  # XCom sorts keys

    @property
    def progress(self) -> dict[str, Any] | None:
        """How far it is with comparing pairs, as `told.Progress` has it."""
        return self.told.get(("rank_matches", "progress"))

    @property
    def reason(self) -> str | None:
        """Why it failed, where that is something that a user can mend."""
        return self.damage or next(
            (value for (_, key), value in self.told.items() if key == "reason"), None
        )

    @property
    def cancelled_by(self) -> str | None:
        """Who has cancelled it on our pages; nobody of one that was cleared since."""
        told = self.told.get(CANCELLED)
        if not told or self.state != "failed" or str(told["clear_number"]) != self.version:
            return None
        return told["user"]

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ENDED

    @property
    def failed_task(self) -> str | None:
        """The first task that failed."""
        failed = [step for step in self.tasks if self.tasks[step] == "failed"]
        return min(failed, key=_place, default=None)


def find_run(dag_id: str, run_id: str) -> Run:
    """One run, with its tasks' states; 404 if there is none."""
    with create_session(scoped=False) as session:
        found = session.scalar(
            select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
        )
        if found is None:
            raise HTTPException(404, f"{dag_id} has no run {run_id}.")
        rows = session.execute(
            select(TaskInstance.task_id, TaskInstance.state).where(
                TaskInstance.dag_id == dag_id,
                TaskInstance.run_id == run_id,
                TaskInstance.map_index == -1,
            )
        )
        tasks = {task: state for task, state in sorted(rows, key=lambda row: _place(row[0]))}
        return _run(found, _told(session, dag_id, [run_id]).get(run_id, {}), tasks)


def recent_runs(dag_id: str, number: int, skipped: int = 0) -> list[Run]:
    """The last runs of a DAG, newest first."""
    with create_session(scoped=False) as session:
        found = session.scalars(
            select(DagRun)
            .where(DagRun.dag_id == dag_id)
            .order_by(DagRun.run_after.desc(), DagRun.id.desc())
            .offset(skipped)
            .limit(number)
        ).all()
        told = _told(session, dag_id, [run.run_id for run in found])
        return [_run(run, told.get(run.run_id, {}), {}) for run in found]


def count_runs(dag_id: str) -> int:
    """How many runs a DAG has had."""
    with create_session(scoped=False) as session:
        query = select(func.count()).select_from(DagRun).where(DagRun.dag_id == dag_id)
        return session.scalar(query) or 0


def trigger(request: Request, user: Any, dag_id: str, conf: dict[str, Any]) -> str:
    """Start a run and return its id.

    Raises
    ------
    LandmarkError
        If Airflow does not allow it; the reason in one line.
    """
    body = TriggerDAGRunPostBody(logical_date=None, conf=conf)
    try:
        with create_session(scoped=False) as session:
            # What Airflow's REST API does, with its checks of the DAG and of the params.
            run = trigger_dag_run(dag_id, body, _dags(), user, session, request)
            return cast("DagRun", run).run_id
    except HTTPException as error:
        raise LandmarkError(str(error.detail).splitlines()[0]) from None


def cancel(user: Any, dag_id: str, run_id: str) -> bool:
    """End a run that is not over, and note who wanted it; False if it is over.

    What runs of it is stopped, as by Airflow's own button that marks a run as failed.
    """
    with create_session(scoped=False) as session:
        # Locked, or one that succeeds meanwhile would be marked as failed.
        run = session.scalar(
            select(DagRun)
            .where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
            .with_for_update(of=DagRun)
        )
        if run is None:
            raise HTTPException(404, f"{dag_id} has no run {run_id}.")
        if run.state in ENDED:
            return False
        task_id, key = CANCELLED
        value = {"user": user.get_name(), "clear_number": run.clear_number}
        XComModel.set(key, value, dag_id=dag_id, task_id=task_id, run_id=run_id, session=session)
        body = DAGRunPatchBody.model_validate({"state": "failed"})
        patch_dag_run(dag_id, run_id, body, session, _dags(), user, update_mask=None)
    return True


@cache
def _dags() -> DBDagBag:
    return DBDagBag()


def _told(
    session: Session, dag_id: str, run_ids: Sequence[str]
) -> dict[str, dict[tuple[str, str], Any]]:
    """By run, what the tasks of a search have put into XCom."""
    rows = session.scalars(
        select(XComModel).where(
            XComModel.dag_id == dag_id,
            XComModel.run_id.in_(run_ids),
            XComModel.key.in_(["reason", CANCELLED[1]])
            | (XComModel.task_id.in_(STEPS) & XComModel.key.in_(["return_value", "progress"])),
        )
    )
    told: dict[str, dict[tuple[str, str], Any]] = {}
    for row in rows:
        try:
            value = XComModel.deserialize_value(row)
        except (
            Exception
        ):  # Airflow's decoder says in many ways that it cannot; it is one run's fault
            logger.warning("XCom %s of %s of %s", row.key, row.task_id, row.run_id, exc_info=True)
            value = None
        told.setdefault(row.run_id, {})[row.task_id, row.key] = value
    return told


def _run(row: DagRun, told: dict[tuple[str, str], Any], tasks: dict[str, str | None]) -> Run:
    found, damage = sound(told)
    return Run(
        dag_id=row.dag_id,
        run_id=row.run_id,
        state=str(row.state),
        conf=row.conf if isinstance(row.conf, dict) else {},
        asked=row.run_after,
        started=row.start_date,
        ended=row.end_date,
        user=row.triggering_user_name,
        version=f"{row.clear_number}",
        told=found,
        tasks=tasks,
        damage=damage,
    )


def _place(task_id: str) -> int:
    return STEPS.index(task_id) if task_id in STEPS else len(STEPS)
