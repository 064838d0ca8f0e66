"""A run of landmark_search: how far it is, what it found, its photographs, pairs and files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from airflow.api_fastapi.core_api.security import GetUserDep
from botocore.exceptions import BotoCoreError, ClientError
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse

from landmark.errors import LandmarkError, ServerFault
from landmark.matching.ranking import FAILED
from landmark.search.framing import WHOLE
from landmark.search.result import CONTACT_SHEET, JSON, PICTURE, TEXT
from landmark.search.searches import OVERVIEW_JSON, OVERVIEW_TEXT
from landmark.storage.bucket import ObjectMissing, read_etag
from landmark.storage.corrections import Correction
from landmark.storage.edges import versions_of
from landmark.storage.watches import find_watch
from landmark_web import begun, responses
from landmark_web.connection import connected
from landmark_web.findings import (
    Asked,
    OneSearch,
    folder_of,
    match_of,
    photographs_of,
    result_of,
    search_of,
    searches_of,
    words_on,
)
from landmark_web.limits import (
    LOOKING,
    PAIR_HEIGHT_PX,
    PAIR_SIDE_PX,
    RESULTS_A_PAGE,
    SIDES_PX,
    Page,
    Size,
    pages_of,
)
from landmark_web.order import Ranked, groups_of, in_order, page_of
from landmark_web.overview import AS_IT_IS, Outcome, Sort, View, neighbours
from landmark_web.pages.several import several_page
from landmark_web.pair_picture import PairPicture, place_pairs
from landmark_web.permissions import (
    allowed,
    may_cancel,
    may_read_index,
    may_read_searches,
    may_search,
)
from landmark_web.responses import html, see_other
from landmark_web.runs import SEARCH, STEPS, Run, find_run
from landmark_web.thumbnails import thumbnail

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/searches/{run_id}", dependencies=[Depends(may_read_searches)])


@router.get("")
def show_search(
    request: Request,
    user: GetUserDep,
    run_id: str,
    page: Page = 1,
    query: Annotated[int | None, Query(ge=1)] = None,
    outcome: Outcome | None = None,
    sort: Sort | None = None,
) -> Response:
    """A run: how far it is, or what it found; of several searches all, or the one of a number."""
    view = View(outcome, sort)
    return run_page(request, user, find_run(SEARCH, run_id), page, query, view)


@router.get("/searches.{kind}")
def download_overview(run_id: str, kind: Literal["txt", "json"]) -> Response:
    """The list of a run's searches as it lies in S3."""
    run = find_run(SEARCH, run_id)
    searches_of(run)  # it is this run's
    name = {"txt": OVERVIEW_TEXT, "json": OVERVIEW_JSON}[kind]
    return responses.download(folder_of(run) + name, kind)


@router.get("/matches.{kind}")
def download(one: OneSearch, kind: Literal["txt", "json"]) -> Response:
    """The result as it lies in S3."""
    result_of(one)  # it is this search's
    return responses.download(one.search.folder + {"txt": TEXT, "json": JSON}[kind], kind)


@router.get("/images/{rank}")
async def search_image(
    request: Request,
    user: GetUserDep,
    one: OneSearch,
    rank: int,
    size: Size = "small",
) -> Response:
    """A photograph of a result by its rank; the query is rank 0."""
    path = await LOOKING.run(user, photograph_path, one, rank)
    framing = one.search.framing if rank == 0 else WHOLE
    return await responses.picture(request, user, path, size, framing)


def photograph_path(one: Asked, rank: int) -> str:
    """Of a match, or of the query; 404 if there is none, 403 if it may not be shown."""
    if rank == 0 and not one.search.is_read:
        raise HTTPException(404, "This photograph could not be used.")
    path = one.search.query if rank == 0 else match_of(one, rank).image_path
    responses.check_shown(path)
    return path


@router.get("/images/{rank}/via/{step}")
async def chain_image(
    request: Request,
    user: GetUserDep,
    one: OneSearch,
    rank: int,
    step: int,
    size: Size = "small",
) -> Response:
    """A photograph by way of which a match was found, by its place in the chain from 1 on."""
    path = await LOOKING.run(user, step_path, one, rank, step)
    return await responses.picture(request, user, path, size)


def step_path(one: Asked, rank: int, step: int) -> str:
    """Of a photograph of a chain, likewise."""
    via = match_of(one, rank).via
    if not 1 <= step <= len(via):
        raise HTTPException(404, f"The chain has {len(via)} photographs; there is no {step}.")
    path = via[step - 1].image_path
    responses.check_shown(path)
    return path


@router.get("/images/{rank}/copies/{number}")
async def copy_image(
    request: Request,
    user: GetUserDep,
    one: OneSearch,
    rank: int,
    number: int,
    size: Size = "small",
) -> Response:
    """A photograph that is a copy of a match, by its number from 1 on."""
    path = await LOOKING.run(user, copy_path, one, rank, number)
    return await responses.picture(request, user, path, size)


def copy_path(one: Asked, rank: int, number: int) -> str:
    """Of a copy, likewise."""
    copies = match_of(one, rank).copies
    if not 1 <= number <= len(copies):
        raise HTTPException(404, f"The match has {len(copies)} copies; there is no {number}.")
    path = copies[number - 1].image_path
    responses.check_shown(path)
    return path


@router.get("/contact-sheet.jpg")
async def contact_sheet(request: Request, user: GetUserDep, one: OneSearch) -> Response:
    """The contact sheet that the DAG has drawn."""
    return await responses.picture(request, user, one.search.folder + CONTACT_SHEET, "large")


@router.get("/pairs/{rank}")
def show_pair(request: Request, user: GetUserDep, one: OneSearch, rank: int) -> HTMLResponse:
    """The query beside one match, or the chain that leads there, the inliers drawn."""
    match = match_of(one, rank)
    order = [ranked.rank for ranked in in_order(result_of(one).matches)]
    place = order.index(rank)
    return html(
        request,
        "pair.html",
        run=one.run,
        search=one.search,
        where=one.where,
        way=one.way,
        rank=rank,
        match=match,
        ranked=len(order),
        page=page_of(result_of(one).matches, rank),
        before=order[place - 1] if place else None,
        after=order[place + 1] if place + 1 < len(order) else None,
        picture=_placed(one, rank),
        large_px=SIDES_PX["large"],
        gone=_gone(one.search.query, match.image_path, *(step.image_path for step in match.via)),
        said=words_on(photographs_of(one.search.query, [match])),
        allowed=allowed(request, user, may_search),
    )


def _placed(one: Asked, rank: int) -> PairPicture | None:
    """Where all of a pair stands; None where one of its photographs cannot be had any more."""
    from landmark.search.pictures import find_lines

    _, database, s3 = connected()
    try:
        return place_pairs(find_lines(database, s3, one.search.folder, rank))
    except (LandmarkError, ServerFault, BotoCoreError, ClientError) as error:
        logger.info("pair %d of %s: %s", rank, one.search.folder, error)
        return None


def _gone(*paths: str) -> set[str]:
    """Photographs that are not in S3 any more, of a few."""
    gone = set()
    for path in paths:
        try:
            read_etag(connected().s3, path)
        except ObjectMissing:
            gone.add(path)
        except (LandmarkError, ServerFault, BotoCoreError, ClientError):
            continue  # nobody knows
    return gone


@router.get("/pairs/{rank}/picture.jpg")
async def pair_picture(request: Request, user: GetUserDep, one: OneSearch, rank: int) -> Response:
    """The photographs with a line for each inlier, finer than the DAG draws them."""
    await LOOKING.run(user, _check_pair, one, rank)
    folder = one.search.folder
    etag = responses.etag_of(one.run.run_id, str(rank), one.run.version, folder)
    return await responses.drawn(request, user, etag, lambda: (_drawn_pair(folder, rank), etag))


def _check_pair(one: Asked, rank: int) -> None:
    match = match_of(one, rank)
    between = (step.image_path for step in match.via)
    responses.check_shown(one.search.query, match.image_path, *between)


def _drawn_pair(folder: str, rank: int) -> bytes:
    from landmark.search.pictures import draw_pair

    _, database, s3 = connected()
    try:
        return draw_pair(database, s3, folder, rank, PAIR_SIDE_PX, PAIR_HEIGHT_PX)
    except LandmarkError as error:
        # An image has gone or changed since; the DAG may have drawn it in time.
        try:
            return thumbnail(s3, folder + PICTURE.format(rank=rank), PAIR_SIDE_PX)[0]
        except LandmarkError:
            raise error from None


def run_page(
    request: Request,
    user: Any,
    run: Run,
    page: int = 1,
    query: int | None = None,
    view: View = AS_IT_IS,
) -> Response:
    """All of a run's searches, or one of them; or what is damaged of it."""
    try:
        return _run_page(request, user, run, page, query, view)
    except ObjectMissing:
        raise
    except LandmarkError as error:
        damaged = replace(run, told={}, damage=str(error))
        return _run_page(request, user, damaged, page, query, view)


def _run_page(
    request: Request, user: Any, run: Run, page: int, query: int | None, view: View
) -> Response:
    if run.folder is None:
        one = None
    elif run.is_one or query is not None:
        one = search_of(run, query or 1, view)
    else:
        return several_page(request, user, run, searches_of(run).searches, page, view)
    result = result_of(one) if one and run.answer and one.search.outcome != FAILED else None
    ranked = in_order(result.matches) if result else []
    pages = pages_of(len(ranked), RESULTS_A_PAGE)
    if page > pages:
        way = one.way if one else {}
        return see_other(request, "searches", run.run_id, page=pages, **way)
    first = (page - 1) * RESULTS_A_PAGE
    shown = ranked[first : first + RESULTS_A_PAGE]
    return html(
        request,
        "search.html",
        run=run,
        path=one.search.query if one else run.paths[0],
        search=one.search if one else None,
        where=one.where if one else {},
        way=one.way if one else {},
        view=view.words,
        around=_around(one, view),
        steps=STEPS,
        result=result,
        groups=groups_of(shown),
        said=_said(one.search.query, shown) if one and shown else None,
        allowed=allowed(request, user, may_search),
        may_cancel=allowed(request, user, may_cancel),
        begun=begun.begun_at(request, run),
        places=allowed(request, user, may_read_index),
        watched=find_watch(connected().database, photograph=result.query) if result else None,
        is_indexed=bool(result and versions_of(connected().database, result.model, [result.query])),
        page=page,
        pages=pages,
    )


def _around(one: Asked | None, view: View) -> tuple[int | None, int | None]:
    """The searches before and after one of several, as the reader has them listed."""
    if one is None or one.run.is_one:
        return None, None
    return neighbours(searches_of(one.run).searches, view, one.number)


def _said(query: str, shown: Sequence[Ranked]) -> Callable[[str, str], Correction | None]:
    return words_on(photographs_of(query, [one.match for one in shown]))
