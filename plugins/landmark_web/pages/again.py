"""Searching again: with other options, for a part, turned; or at once, for what was found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import unquote

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from landmark.errors import LandmarkError, ServerFault
from landmark.extraction.sandbox import decode_isolated
from landmark.search.asking import entries, refusal
from landmark.search.framing import read_framing
from landmark.storage.bucket import read_object
from landmark_web import responses, search_form
from landmark_web.begun import Begun, read_begun
from landmark_web.connection import connected
from landmark_web.findings import search_of
from landmark_web.limits import CHECK_SIDE_PX, DECODING, LOOKING, MAX_TEXT
from landmark_web.permissions import (
    allowed,
    may_cancel,
    may_read_searches,
    may_search,
    same_origin,
)
from landmark_web.responses import html, see_other
from landmark_web.runs import SEARCH, Run, cancel, find_run, trigger
from landmark_web.small_form import read_fields

router = APIRouter(prefix="/again", dependencies=[Depends(may_search)])
forms = APIRouter(
    prefix="/searches/{run_id}", dependencies=[Depends(same_origin), Depends(may_search)]
)
undoing = APIRouter(
    prefix="/searches/{run_id}", dependencies=[Depends(same_origin), Depends(may_cancel)]
)

#: Of a run's parameters, those that a search for another photograph takes over.
TAKEN_OVER = ("top_k", "min_inliers", "mode", "ranking", "shortlist", "add_to_index")


@router.get("")
async def search_again(
    request: Request,
    user: GetUserDep,
    run: Annotated[str | None, Query(max_length=250)] = None,
    query: Annotated[int | None, Query(ge=1)] = None,
) -> Response:
    """The form, filled with a run's options, or with those of the address; and the photograph."""
    fields = dict(request.query_params)
    if run is not None:
        if not allowed(request, user, may_read_searches):
            raise HTTPException(403, "You may not see this search.")
        fields = await run_in_threadpool(_fields_of, run, query)
    value = {**search_form.defaults(), **fields}
    lines = entries(value["image_path"])
    if not lines:
        return see_other(request)
    path = lines[0] if len(lines) == 1 and not lines[0].endswith("/") else None
    size, reason = None, None
    if path is not None:
        try:
            size = await DECODING.run(user, _size_of, path)
        except (LandmarkError, ServerFault) as error:
            reason = str(error)
    return html(
        request,
        "again.html",
        path=path,
        size=size,
        reason=reason,
        value=value,
        added="add_to_index" in fields or not fields.keys() - {"image_path"},
        modes=search_form.MODES,
        rankings=search_form.RANKINGS,
        sides=search_form.SIDES,
        turns=search_form.TURNS,
        text_limit=MAX_TEXT,
    )


@router.get("/photograph.jpg")
async def photograph(
    request: Request, user: GetUserDep, image_path: Annotated[str, Query(max_length=2000)]
) -> Response:
    """A photograph that may be searched for, to draw a box on."""
    await LOOKING.run(user, _check, image_path)
    return await responses.picture(request, user, image_path, "large")


@forms.post("/at-once")
async def search_at_once(request: Request, user: GetUserDep, run_id: str) -> RedirectResponse:
    """Search for a photograph with a run's options; it leads to the new run, with an undo."""
    fields = await read_fields(request)
    begun = Begun(run_id, fields.get("query", ""), fields.get("match", ""))
    conf = await run_in_threadpool(_conf, run_id, fields)
    try:
        new = await run_in_threadpool(trigger, request, user, SEARCH, conf)
    except LandmarkError as error:
        raise HTTPException(422, f"{error}.") from None
    return see_other(request, "searches", new, **begun.words)


@undoing.post("/undo")
async def undo(request: Request, user: GetUserDep, run_id: str) -> RedirectResponse:
    """Cancel a run that was just begun, and lead back; one that is over stays, and is shown."""
    begun = read_begun(await read_fields(request))
    is_cancelled = await run_in_threadpool(cancel, user, SEARCH, run_id)
    if not is_cancelled or begun is None:
        return see_other(request, "searches", run_id)
    where: dict[str, Any] = {"query": begun.query} if begun.query else {}
    match = int(begun.match) if begun.match else None
    return see_other(request, "searches", begun.run_id, match=match, **where)


def _fields_of(run_id: str, query: int | None) -> dict[str, str]:
    """What the form says of a run's options; of several photographs all, or the one of a number."""
    run = find_run(SEARCH, run_id)
    fields = {
        name: str(run.conf[name])
        for name in TAKEN_OVER
        if run.conf.get(name) is not None and name != "add_to_index"
    }
    if run.conf.get("add_to_index", True):
        fields["add_to_index"] = "on"
    fields["image_path"] = "\n".join(run.paths)
    if query is not None:
        fields["image_path"] = search_of(run, query).search.query
    return fields | _sides(run)


def _sides(run: Run) -> dict[str, str]:
    """The box and the turn that it was asked with; whoever may trigger may write anything there."""
    try:
        framing = read_framing(run.conf.get("box"), run.conf.get("turn"))
    except LandmarkError:
        return {}
    fields = {}
    if framing.box is not None:
        fields = dict(zip(search_form.SIDES, map(str, framing.box), strict=True))
    if run.conf.get("turn") is not None:
        fields["turn"] = str(framing.turn)
    return fields


def _conf(run_id: str, fields: Mapping[str, str]) -> dict[str, Any]:
    """What a search is triggered with: a run's options, and the photograph of a form.

    With a turn it is the run's own photograph, and the same part of it.
    """
    run = find_run(SEARCH, run_id)
    path = unquote(fields.get("photograph", ""))
    _check(path)
    conf = {name: run.conf[name] for name in TAKEN_OVER if run.conf.get(name) is not None}
    conf["image_path"] = path
    if turn := fields.get("turn"):
        if turn not in search_form.TURNS:
            raise HTTPException(422, "turn: 0, 90, 180 or 270 degrees are wanted.")
        conf["turn"] = int(turn)
        if run.conf.get("box") is not None:
            conf["box"] = run.conf["box"]
    return conf


def _check(path: str) -> None:
    reason = _refusal(path)
    if reason is not None:
        raise HTTPException(403, f"{reason}.")


def _refusal(path: str) -> str | None:
    """Why a photograph may not be searched for."""
    return refusal(path, connected().settings.check_queries)


def _size_of(path: str) -> tuple[int, int]:
    """Width and height in px of a photograph as it is displayed."""
    reason = _refusal(path)
    if reason is not None:
        raise LandmarkError(reason)
    data, _ = read_object(connected().s3, path)
    image = decode_isolated(data, path, CHECK_SIDE_PX)
    return image.width, image.height
