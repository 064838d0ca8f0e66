"""A run that has no answer yet: the photograph that it was asked for, and the way to cancel it."""

from __future__ import annotations

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from starlette.concurrency import run_in_threadpool

from landmark.search.framing import Framing, read_framing
from landmark_web import responses
from landmark_web.limits import LOOKING
from landmark_web.permissions import may_cancel, may_read_searches, same_origin
from landmark_web.runs import SEARCH, cancel, find_run

router = APIRouter(prefix="/searches/{run_id}", dependencies=[Depends(may_read_searches)])
forms = APIRouter(
    prefix="/searches/{run_id}", dependencies=[Depends(same_origin), Depends(may_cancel)]
)


@router.get("/asked.jpg")
async def asked_image(request: Request, user: GetUserDep, run_id: str) -> Response:
    """What a run was asked to look at of its photograph, or of the first, before it has done so."""
    path, framing = await LOOKING.run(user, _asked, run_id)
    return await responses.picture(request, user, path, "small", framing)


def _asked(run_id: str) -> tuple[str, Framing]:
    run = find_run(SEARCH, run_id)
    path = run.paths[0]
    if path.endswith("/"):
        raise HTTPException(404, "The run was given a folder.")
    responses.check_shown(path)
    return path, read_framing(run.conf.get("box"), run.conf.get("turn"))


@forms.post("/cancel")
async def cancel_search(request: Request, user: GetUserDep, run_id: str) -> Response:
    """End a run before its time; one that is over stays as it is."""
    await run_in_threadpool(cancel, user, SEARCH, run_id)
    return responses.see_other(request, "searches", run_id)
