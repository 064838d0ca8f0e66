"""Watches: begun and ended here, and what was reported to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Literal
from urllib.parse import unquote

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from landmark.errors import LandmarkError
from landmark.storage.places import Place
from landmark.storage.watches import (
    Watch,
    WatchReport,
    end_watch,
    find_report,
    find_watch,
    latest_watches,
    reports_of,
)
from landmark.watching.report import CONTACT_SHEET, JSON, TEXT
from landmark.watching.watches import start, watched_place
from landmark_web.connection import connected, current_model
from landmark_web.limits import LOOKING, REPORTS_SHOWN, WATCHES_A_PAGE
from landmark_web.permissions import allowed, may_read_index, may_search, same_origin
from landmark_web.responses import check_shown, download, html, is_shown, moment, picture, see_other
from landmark_web.small_form import read_fields, whole_number

router = APIRouter(prefix="/watches", dependencies=[Depends(may_read_index)])
forms = APIRouter(prefix="/watches", dependencies=[Depends(same_origin), Depends(may_search)])

Number = Annotated[int, Path(ge=1, lt=2**63)]
REPORTS = {"txt": TEXT, "json": JSON}
Before = Annotated[int | None, Query(ge=1, lt=2**63)]


@router.get("")
def show_watches(request: Request, user: GetUserDep, before: Before = None) -> HTMLResponse:
    """All that are and were watched, the latest first, each with its latest reports."""
    listed, hidden, after = _watches(before)
    return html(
        request,
        "watches.html",
        watches=listed,
        hidden=hidden,
        before=before,
        after=after,
        allowed=allowed(request, user, may_search),
    )


@router.get(".json")
def export_watches(before: Before = None) -> Response:
    """The same for programs, in pages of as many."""
    listed, _, after = _watches(before)
    watches = [
        {
            **asdict(watch),
            "shows": None if place is None else place.id,
            "reports": [asdict(report) for report in reports],
        }
        for watch, place, _, reports in listed
    ]
    body = json.dumps({"watches": watches, "before": after}, default=moment, ensure_ascii=False)
    return Response(body, media_type="application/json")


@forms.post("")
async def begin(request: Request, user: GetUserDep) -> RedirectResponse:
    """Watch a photograph or a place; it leads to the list."""
    fields = await read_fields(request)
    await LOOKING.run(user, _begin, fields, user.get_name())
    return see_other(request, "watches")


@forms.post("/{number}/end")
def end(request: Request, user: GetUserDep, number: Number) -> RedirectResponse:
    """Report nothing of it any more."""
    _find(number)
    end_watch(connected().database, number, user.get_name())
    return see_other(request, "watches")


@router.get("/{number}/reports/{report}/report.{kind}")
def report_text(number: Number, report: Number, kind: Literal["txt", "json"]) -> Response:
    """A report as it lies in S3."""
    return download(f"{find_shown_report(number, report).folder}{REPORTS[kind]}", kind)


@router.get("/{number}/reports/{report}/contact-sheet.jpg")
async def report_picture(
    request: Request, user: GetUserDep, number: Number, report: Number
) -> Response:
    """The contact sheet of a report."""
    found = await LOOKING.run(user, find_shown_report, number, report)
    return await picture(request, user, found.folder + CONTACT_SHEET, "large")


def _begin(fields: Mapping[str, str], person: str) -> int:
    photograph = unquote(fields.get("photograph", "")) or None
    place = whole_number(fields["place"], "place") if fields.get("place") else None
    if photograph is not None:
        check_shown(photograph)
    try:
        return start(connected().database, current_model(), person, photograph, place)
    except LandmarkError as error:
        raise HTTPException(422, f"{error}.") from None


def _watches(
    before: int | None,
) -> tuple[list[tuple[Watch, Place | None, str | None, list[WatchReport]]], int, int | None]:
    """Watches that may be shown, each with its place, a photograph and its latest reports.

    Then how many may not be shown, and what the next page is before.
    """
    database, model = connected().database, current_model()
    found = latest_watches(database, WATCHES_A_PAGE + 1, before)
    page = found[:WATCHES_A_PAGE]
    reports = reports_of(database, [watch.number for watch in page], REPORTS_SHOWN)
    listed = []
    for watch in page:
        place = watched_place(database, watch, model)
        cover = watch.photograph or (place.representative if place else None)
        if cover is None or is_shown(cover):
            listed.append((watch, place, cover, reports.get(watch.number, [])))
    return listed, len(page) - len(listed), page[-1].number if len(found) > len(page) else None


def _find(number: int) -> Watch:
    found = find_watch(connected().database, number=number)
    if found is None:
        raise HTTPException(404, f"There is no watch {number}.")
    if found.photograph is not None:
        check_shown(found.photograph)
    return found


def find_shown_report(number: int, report: int) -> WatchReport:
    """A report; 404 if there is none, 403 if its watch may not be shown."""
    _find(number)
    found = find_report(connected().database, number, report)
    # Written by us, but below the results of then.
    if found is None or not found.folder.startswith(connected().settings.results):
        raise HTTPException(404, f"There is no report {report} of watch {number}.")
    return found
