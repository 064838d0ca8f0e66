"""What people say of two photographs: said at a result, listed, taken back and exported here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import chain, islice
from typing import Annotated, Literal
from urllib.parse import unquote

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse

from landmark.storage.corrections import (
    Correction,
    all_corrections,
    find_correction,
    latest_corrections,
    say,
    take_back,
)
from landmark_web.connection import connected
from landmark_web.findings import Asked, OneSearch, photographs_of, result_of, words_on
from landmark_web.limits import CORRECTIONS_A_PAGE, LOOKING, Size
from landmark_web.permissions import allowed, may_read_searches, may_search, same_origin
from landmark_web.responses import check_shown, html, is_shown, moment, picture, see_other
from landmark_web.small_form import read_fields

router = APIRouter(dependencies=[Depends(may_read_searches)])
forms = APIRouter(dependencies=[Depends(same_origin), Depends(may_search)])

Number = Annotated[int, Path(ge=1, lt=2**63)]
#: What the buttons of a pair send as `said`; besides ``undo``.
SAID = {"same": True, "different": False}


@router.get("/corrections")
def show_corrections(
    request: Request,
    user: GetUserDep,
    before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    image_path: Annotated[str | None, Query(max_length=2000)] = None,
) -> HTMLResponse:
    """All that was said, or of one photograph, the latest first."""
    database = connected().database
    found = latest_corrections(database, CORRECTIONS_A_PAGE + 1, before, image_path)
    page = found[:CORRECTIONS_A_PAGE]
    shown = [one for one in page if is_shown(one.first, one.second)]
    return html(
        request,
        "corrections.html",
        corrections=shown,
        hidden=len(page) - len(shown),
        image_path=image_path,
        before=before,
        after=page[-1].number if len(found) > len(page) else None,
        allowed=allowed(request, user, may_search),
    )


@router.get("/corrections.json")
def export_corrections() -> Response:
    """All that was said, for programs, so long as the photographs may be shown."""
    found = all_corrections(connected().database)
    first = list(islice(found, 1))  # what fails is told before the answer begins
    return StreamingResponse(
        _as_json(one for one in chain(first, found) if is_shown(one.first, one.second)),
        media_type="application/json",
        headers={"Content-Disposition": 'attachment; filename="corrections.json"'},
    )


@router.get("/corrections/{number}/images/{which}")
async def correction_image(
    request: Request,
    user: GetUserDep,
    number: Number,
    which: Literal["first", "second"],
    size: Size = "small",
) -> Response:
    """One of the two photographs of which something was said."""
    found = await LOOKING.run(user, find_shown, number)
    return await picture(request, user, getattr(found, which), size)


@forms.post("/searches/{run_id}/corrections")
async def correct(
    request: Request,
    user: GetUserDep,
    one: OneSearch,
    rank: Annotated[int, Query(ge=1)],
    page: Annotated[int | None, Query(ge=1)] = None,
) -> RedirectResponse:
    """Say of two photographs of a result what they show, or take that back.

    It leads to where the button is: the match of this rank, in the gallery's page or by itself.
    """
    fields = await read_fields(request)
    await LOOKING.run(user, _correct, one, fields, user.get_name())
    if page is None:
        return see_other(request, "searches", one.run.run_id, "pairs", rank, **one.way)
    return see_other(request, "searches", one.run.run_id, match=rank, page=page, **one.way)


@forms.post("/corrections/{number}/undo")
def undo(request: Request, user: GetUserDep, number: Number) -> RedirectResponse:
    """Take back what stands."""
    find_shown(number)
    take_back(connected().database, number, user.get_name())
    return see_other(request, "corrections")


def find_shown(number: int) -> Correction:
    """A correction; 404 if there is none, 403 if its photographs may not be shown."""
    found = find_correction(connected().database, number)
    if found is None:
        raise HTTPException(404, f"There is no correction {number}.")
    check_shown(found.first, found.second)
    return found


def _correct(search: Asked, fields: Mapping[str, str], person: str) -> None:
    # Escaped, since browsers send no line break as it is.
    one, other = (unquote(fields.get(name, "")) for name in ("one", "other"))
    if not {one, other} <= photographs_of(search.search.query, result_of(search).matches):
        raise HTTPException(404, "The result has no such photographs by now; look at it again.")
    if one == other:
        raise HTTPException(422, "It takes two photographs.")
    check_shown(one, other)
    database, said = connected().database, fields.get("said", "")
    if said in SAID:
        say(database, one, other, SAID[said], person)
        return
    if said != "undo":
        raise HTTPException(422, f"said: one of {', '.join([*SAID, 'undo'])}.")
    standing = words_on([one, other])(one, other)
    # Not what another has said since the page was looked at.
    if standing is not None and fields.get("number") == str(standing.number):
        take_back(database, standing.number, person)


def _as_json(corrections: Iterable[Correction]) -> Iterator[str]:
    separator = "[\n"
    for one in corrections:
        yield separator + json.dumps(asdict(one), ensure_ascii=False, default=moment)
        separator = ",\n"
    yield "[]\n" if separator.startswith("[") else "\n]\n"
