"""A search's result is removed here, once its reader is asked."""

from __future__ import annotations

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from landmark_web.findings import folder_of, remove_result_of, searches_of
from landmark_web.limits import LOOKING
from landmark_web.permissions import allowed, may_read_searches, may_search, same_origin
from landmark_web.responses import html, see_other
from landmark_web.runs import SEARCH, find_run

router = APIRouter(prefix="/searches/{run_id}/remove", dependencies=[Depends(may_read_searches)])
forms = APIRouter(
    prefix="/searches/{run_id}/remove", dependencies=[Depends(same_origin), Depends(may_search)]
)


@router.get("")
def ask_to_remove(request: Request, user: GetUserDep, run_id: str) -> HTMLResponse:
    """Say what would be deleted, and ask."""
    run = find_run(SEARCH, run_id)
    return html(
        request,
        "remove_result.html",
        run=run,
        searches=len(searches_of(run).searches),
        folder=folder_of(run),
        allowed=allowed(request, user, may_search),
    )


@forms.post("")
async def remove(request: Request, user: GetUserDep, run_id: str) -> RedirectResponse:
    """Delete a run's files below `LANDMARK_RESULTS`; the run itself stays in Airflow."""
    await LOOKING.run(user, _remove, run_id)
    return see_other(request)


def _remove(run_id: str) -> None:
    remove_result_of(find_run(SEARCH, run_id))
