"""One picture by itself: large, with its name, and with the way back to where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import HTMLResponse

from landmark_web.findings import Asked, OneSearch, result_of
from landmark_web.order import in_order, page_of
from landmark_web.pages.corrections import find_shown
from landmark_web.pages.index import check_known
from landmark_web.pages.result import copy_path, photograph_path, step_path
from landmark_web.pages.watches import find_shown_report
from landmark_web.permissions import may_read_index, may_read_searches
from landmark_web.responses import html
from landmark_web.templates import address, name_of

_searches = APIRouter(prefix="/searches/{run_id}", dependencies=[Depends(may_read_searches)])
_corrections = APIRouter(prefix="/corrections", dependencies=[Depends(may_read_searches)])
_index = APIRouter(prefix="/index", dependencies=[Depends(may_read_index)])
_watches = APIRouter(prefix="/watches", dependencies=[Depends(may_read_index)])
routers = (_searches, _corrections, _index, _watches)

Number = Annotated[int, Path(ge=1, lt=2**63)]


@_searches.get("/look/{rank}")
def look_at_one(request: Request, one: OneSearch, rank: int) -> HTMLResponse:
    """The query, which is rank 0, or a match; and the way to its neighbours."""
    path = photograph_path(one, rank)
    parts = ("searches", one.run.run_id, "images", rank)
    if rank == 0:
        above = _above(request, one)
        return _look(request, f"Query: {name_of(path)}", parts, path, above, query=one.where)
    order = [ranked.rank for ranked in in_order(result_of(one).matches)]
    place = order.index(rank)

    def neighbour(place: int, words: str) -> tuple[str, str] | None:
        if not 0 <= place < len(order):
            return None
        there = ("searches", one.run.run_id, "look", order[place])
        return address(request, *there, **one.way), words

    return _look(
        request,
        f"Match {rank}: {name_of(path)}",
        parts,
        path,
        _above(request, one, rank),
        before=neighbour(place - 1, "Better"),
        after=neighbour(place + 1, "Next"),
        query=one.where,
    )


@_searches.get("/look/{rank}/via/{step}")
def look_at_step(request: Request, one: OneSearch, rank: int, step: int) -> HTMLResponse:
    """A photograph by way of which a match was found."""
    path = step_path(one, rank, step)
    parts = ("searches", one.run.run_id, "images", rank, "via", step)
    above = _pair(request, one, rank)
    return _look(request, f"By way of: {name_of(path)}", parts, path, above, query=one.where)


@_searches.get("/look/{rank}/copies/{number}")
def look_at_copy(request: Request, one: OneSearch, rank: int, number: int) -> HTMLResponse:
    """A copy of a match."""
    path = copy_path(one, rank, number)
    parts = ("searches", one.run.run_id, "images", rank, "copies", number)
    above = _pair(request, one, rank)
    return _look(request, f"Copy: {name_of(path)}", parts, path, above, query=one.where)


@_searches.get("/contact-sheet")
def look_at_contact_sheet(request: Request, one: OneSearch) -> HTMLResponse:
    """The query and its best matches on one sheet."""
    parts = ("searches", one.run.run_id, "contact-sheet.jpg")
    title = f"Contact sheet: {name_of(one.search.query)}"
    return _look(request, title, parts, None, _above(request, one), query=one.where)


@_corrections.get("/{number}/look/{which}")
def look_at_corrected(
    request: Request, number: Number, which: Literal["first", "second"]
) -> HTMLResponse:
    """One of two photographs of which something was said."""
    path = getattr(find_shown(number), which)
    above = (address(request, "corrections"), "Corrections")
    return _look(request, name_of(path), ("corrections", number, "images", which), path, above)


@_index.get("/look")
def look_at_indexed(
    request: Request,
    user: GetUserDep,
    path: str,
    place: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
) -> HTMLResponse:
    """An image of the index; the way back is to what is known of it, of a place to that."""
    check_known(path)
    if place is None:
        above = (address(request, "index", "photograph", path=path), "The photograph")
    else:
        above = (address(request, "places", place), "The place")
    return _look(request, name_of(path), ("index", "image"), path, above, query={"path": path})


@_watches.get("/{number}/reports/{report}/contact-sheet")
def look_at_report(request: Request, number: Number, report: Number) -> HTMLResponse:
    """The contact sheet of a report."""
    find_shown_report(number, report)
    parts = ("watches", number, "reports", report, "contact-sheet.jpg")
    above = (address(request, "watches"), "Watches")
    return _look(request, "Contact sheet of what is new", parts, None, above)


def _look(
    request: Request,
    title: str,
    parts: tuple[str | int, ...],
    shown: str | None,
    above: tuple[str, str],
    before: tuple[str, str] | None = None,
    after: tuple[str, str] | None = None,
    query: Mapping[str, str | int] = MappingProxyType({}),
) -> HTMLResponse:
    """A page with a picture of ours; of a photograph, its path is `shown`, in all its detail."""
    return html(
        request,
        "look.html",
        title=title,
        path=shown,
        above=above,
        before=before,
        after=after,
        large=address(request, *parts, **query, **({"size": "large"} if shown else {})),
        full=address(request, *parts, **query, size="full") if shown else None,
    )


def _above(request: Request, one: Asked, rank: int | None = None) -> tuple[str, str]:
    """The way back to a result, at a match of it."""
    there = ("searches", one.run.run_id)
    if rank is None:
        return address(request, *there, **one.way), "The search"
    page = page_of(result_of(one).matches, rank)
    return f"{address(request, *there, page=page, **one.way)}#match-{rank}", "The search"


def _pair(request: Request, one: Asked, rank: int) -> tuple[str, str]:
    there = ("searches", one.run.run_id, "pairs", rank)
    return address(request, *there, **one.way), f"Match {rank}"
