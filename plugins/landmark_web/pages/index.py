"""What the index holds, what could not be indexed, and the last sweeps."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from landmark.storage.edges import graph_counts
from landmark.storage.failures import failures_by_reason
from landmark.storage.images import is_known_image, newest_images
from landmark.storage.models import growth, known_models
from landmark.storage.sweeps import recent_sweeps
from landmark_web.connection import connected, current_model
from landmark_web.limits import LOOKING, NEWEST, OVERVIEW_S, SWEEPS, Size, kept
from landmark_web.permissions import allowed, may_index, may_read_index, same_origin
from landmark_web.responses import check_shown, html, picture, see_other
from landmark_web.runs import INDEX, recent_runs, trigger

router = APIRouter(prefix="/index", dependencies=[Depends(may_read_index)])
forms = APIRouter(prefix="/index", dependencies=[Depends(same_origin), Depends(may_index)])


@router.get("")
def show_index(request: Request, user: GetUserDep) -> HTMLResponse:
    """What the index holds, what could not be indexed, and the last sweeps."""
    known = _overview()
    latest = recent_runs(INDEX, 1)
    return html(
        request,
        "index.html",
        allowed=allowed(request, user, may_index),
        running=next((run for run in latest if not run.is_over), None),
        **known,
    )


@router.get("/image")
async def index_image(
    request: Request, user: GetUserDep, path: str, size: Size = "small"
) -> Response:
    """An image of the index, or one that failed; nothing else in S3."""
    await LOOKING.run(user, check_known, path)
    return await picture(request, user, path, size)


@forms.post("/run")
def index_now(request: Request, user: GetUserDep) -> RedirectResponse:
    """Trigger a sweep, unless one waits already."""
    waiting = [run for run in recent_runs(INDEX, 1) if run.state == "queued"]
    run_id = waiting[0].run_id if waiting else trigger(request, user, INDEX, {})
    return see_other(request, "dags", INDEX, "runs", run_id)


@forms.post("/retry")
def retry_failures(request: Request, user: GetUserDep) -> RedirectResponse:
    """Trigger a sweep that also tries the images again that failed."""
    run_id = trigger(request, user, INDEX, {"retry_failures": True})
    return see_other(request, "dags", INDEX, "runs", run_id)


def check_known(path: str) -> None:
    """Refuse with 404 what the index does not have, with 403 what may not be shown."""
    if not is_known_image(connected().database, path):
        raise HTTPException(404, "The index has no such image.")
    check_shown(path)


@kept(OVERVIEW_S)
def _overview() -> dict[str, Any]:
    settings, database, _ = connected()
    models, current = known_models(database), current_model()
    row = next((one for one in models if one.model == current and one.images), None)
    pairs, waiting = graph_counts(database, current)
    return {
        "settings": settings,
        "models": models,
        "current": current,
        "row": row,
        "pairs": pairs,
        "waiting": waiting,
        "newest": newest_images(database, current, NEWEST) if row else [],
        "growth": growth(database, current) if row else [],
        "failures": failures_by_reason(database),
        "sweeps": recent_sweeps(database, SWEEPS),
    }
