"""The search form and the last searches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool

from landmark.errors import LandmarkError
from landmark_web import search_form
from landmark_web.connection import connected
from landmark_web.limits import MAX_TEXT, MAX_UPLOAD_BYTES, SEARCHES_A_PAGE, Page, pages_of
from landmark_web.permissions import allowed, may_read_searches, may_search, same_origin
from landmark_web.responses import html, see_other
from landmark_web.runs import SEARCH, count_runs, recent_runs

router = APIRouter(dependencies=[Depends(may_read_searches)])
forms = APIRouter(dependencies=[Depends(same_origin), Depends(may_search)])


@router.get("/")
def show_searches(
    request: Request,
    user: GetUserDep,
    page: Page = 1,
    image_path: Annotated[str, Query(max_length=2000)] = "",
) -> Response:
    """The search form and the last searches."""
    if page > 1 and page > (last := pages_of(count_runs(SEARCH), SEARCHES_A_PAGE)):
        return see_other(request, page=last)
    return _searches(request, user, page, {"image_path": image_path})


@forms.post("/searches")
async def start_search(request: Request, user: GetUserDep) -> Response:
    """Trigger a search with a path, or with a photograph that is uploaded."""
    # Read here, not by FastAPI, which would take in the whole body before it asks who sends it.
    fields: Mapping[str, str] = {}
    try:
        async with search_form.read_form(request) as form:
            fields = form.fields
            landmark = await run_in_threadpool(connected)
            run_id = await search_form.start(request, user, form, landmark)
    except LandmarkError as error:
        return await run_in_threadpool(_searches, request, user, 1, fields, error)
    return see_other(request, "searches", run_id)


@router.get("/searches")
def lead_to_searches(request: Request) -> RedirectResponse:
    """A form that was refused leaves this address in the browser."""
    return see_other(request)


def _searches(
    request: Request,
    user: Any,
    page: int,
    fields: Mapping[str, str],
    error: LandmarkError | None = None,
) -> HTMLResponse:
    skipped = (page - 1) * SEARCHES_A_PAGE
    runs = recent_runs(SEARCH, SEARCHES_A_PAGE + 1, skipped)
    return html(
        request,
        "searches.html",
        400 if error else 200,
        runs=runs[:SEARCHES_A_PAGE],
        page=page,
        more=len(runs) > SEARCHES_A_PAGE,
        value={**search_form.defaults(), **fields},
        modes=search_form.MODES,
        rankings=search_form.RANKINGS,
        sides=search_form.SIDES,
        turns=search_form.TURNS,
        error=str(error or ""),
        doubt=error if isinstance(error, search_form.Doubt) else None,
        allowed=allowed(request, user, may_search),
        uploads=connected().settings.uploads,
        most=connected().settings.max_queries,
        accept=search_form.ACCEPT,
        upload_limit=MAX_UPLOAD_BYTES,
        text_limit=MAX_TEXT,
    )
