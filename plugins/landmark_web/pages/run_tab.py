"""What stands in the tab of a run's page in Airflow."""

from __future__ import annotations

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, Request, Response

from landmark.storage.sweeps import recent_sweeps
from landmark_web.connection import connected
from landmark_web.pages.result import run_page
from landmark_web.permissions import may_read_run
from landmark_web.responses import html, message
from landmark_web.runs import INDEX, SEARCH, find_run

router = APIRouter(dependencies=[Depends(may_read_run)])


@router.get("/dags/{dag_id}/runs/{run_id}")
def show_run(request: Request, user: GetUserDep, dag_id: str, run_id: str) -> Response:
    """A search, or a sweep; Airflow shows the tab at the runs of all other DAGs, too."""
    if dag_id == SEARCH:
        return run_page(request, user, find_run(SEARCH, run_id))
    if dag_id != INDEX:
        detail = f"This run is of {dag_id}. Only those of {SEARCH} and {INDEX} have results here."
        return message(request, "There is nothing to see.", detail)
    run = find_run(INDEX, run_id)
    sweeps = recent_sweeps(connected().database, 1, run_id)
    return html(request, "sweep.html", run=run, sweep=sweeps[0] if sweeps else None)
