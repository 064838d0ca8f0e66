"""The places of the index: listed, looked at, named, parted and joined here."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Annotated, Any

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import ImmutableMultiDict

from landmark.index.place_corrections import (
    Word,
    said_of_places,
    words_to_join,
    words_to_part,
)
from landmark.index.places import update_places_of
from landmark.matching.match_graph import EDGE_INLIERS
from landmark.matching.whereabouts import whereabouts
from landmark.search.result import CONTROL_CHARACTERS
from landmark.storage.corrections import say
from landmark.storage.place_photographs import (
    Visible,
    best_connected,
    coordinates_in_place,
    count_photographs,
    first_photographs,
    is_waiting,
    photographs_of_place,
)
from landmark.storage.places import (
    Place,
    count_places,
    edges_among,
    find_place,
    list_places,
    name_place,
    places_of_paths,
)
from landmark.storage.watches import find_watch
from landmark_web.connection import connected, current_model
from landmark_web.graph_picture import LINES, graph_picture
from landmark_web.limits import (
    GRAPH_PHOTOGRAPHS,
    HELD_TOGETHER,
    LOCATED_PHOTOGRAPHS,
    LOOKING,
    MAX_NAME,
    MAX_NOTE,
    PHOTOGRAPHS_A_PAGE,
    PLACE_PICTURES,
    PLACES_A_PAGE,
    Page,
    pages_of,
)
from landmark_web.permissions import allowed, may_read_index, may_search, same_origin
from landmark_web.responses import check_shown, html, is_shown, see_other
from landmark_web.small_form import read_fields, whole_number

router = APIRouter(prefix="/places", dependencies=[Depends(may_read_index)])
forms = APIRouter(prefix="/places", dependencies=[Depends(same_origin), Depends(may_search)])

Number = Annotated[int, Path(ge=1, lt=2**63)]
# Of what people write; a note may have lines.
_NO_CONTROLS = dict.fromkeys(code for code in CONTROL_CHARACTERS if code != ord("\n"))


@router.get("")
def show_places(
    request: Request,
    name: Annotated[str, Query(max_length=MAX_NAME)] = "",
    page: Page = 1,
) -> Response:
    """The model's places, the biggest first, or those with a part of a name."""
    database, model = connected().database, current_model()
    name = name.strip()
    skipped = (page - 1) * PLACES_A_PAGE
    found = list_places(database, model, name, PLACES_A_PAGE + 1, skipped)
    if not found and page > 1:
        last = pages_of(count_places(database, model, name), PLACES_A_PAGE)
        named: dict[str, Any] = {"name": name} if name else {}
        return see_other(request, "places", page=last, **named)
    listed = found[:PLACES_A_PAGE]
    ids = [place.id for place in listed]
    counts = count_photographs(database, ids, _visible())
    first = first_photographs(database, ids, _visible(), PLACE_PICTURES)
    shown = [place for place in listed if place.id in counts]
    return html(
        request,
        "places.html",
        places=shown,
        counts=counts,
        pictures={place.id: _pictures(place, first[place.id]) for place in shown},
        hidden=len(listed) - len(shown),
        wanted=name,
        page=page,
        more=len(found) > len(listed),
    )


@router.get("/{number}")
def show_place(request: Request, user: GetUserDep, number: Number, page: Page = 1) -> Response:
    """A place; of one that has joined another, the way there."""
    place = _find(number)
    if place.id != number:
        return see_other(request, "places", place.id)
    database = connected().database
    count = count_photographs(database, [place.id], _visible()).get(place.id, 0)
    pages = pages_of(count, PHOTOGRAPHS_A_PAGE)
    if page > pages:
        return see_other(request, "places", number, page=pages)
    skipped = (page - 1) * PHOTOGRAPHS_A_PAGE
    photographs = photographs_of_place(database, place.id, _visible(), PHOTOGRAPHS_A_PAGE, skipped)
    best = best_connected(database, place.id, _visible(), GRAPH_PHOTOGRAPHS)
    best = [photograph for photograph in best if is_shown(photograph.path)]
    pairs = edges_among(database, [photograph.id for photograph in best], EDGE_INLIERS)
    return html(
        request,
        "place.html",
        place=place,
        count=count,
        photographs=[one for one in photographs if is_shown(one.path)],
        cover=next(iter(_pictures(place, [one.path for one in best])), None),
        graph=graph_picture(best, pairs) if len(best) > 1 else None,
        pairs_drawn=LINES,
        waits=is_waiting(database, place.id),
        whereabouts=whereabouts(
            coordinates_in_place(database, place.id, _visible(), LOCATED_PHOTOGRAPHS)
        ),
        watched=find_watch(database, place=place.id),
        page=page,
        pages=pages,
        allowed=allowed(request, user, may_search),
        limits={"name": MAX_NAME, "note": MAX_NOTE},
    )


@forms.post("/{number}")
async def describe(request: Request, user: GetUserDep, number: Number) -> RedirectResponse:
    """Write a place's name and note."""
    fields = await read_fields(request)
    place = await LOOKING.run(user, _describe, number, fields)
    return see_other(request, "places", place)


@forms.post("/{number}/part")
async def part(request: Request, user: GetUserDep, number: Number) -> RedirectResponse:
    """Say that some photographs show another place than the rest; it leads to the other place."""
    fields = await read_fields(request, PHOTOGRAPHS_A_PAGE + 10)
    place = await LOOKING.run(user, _part, number, fields, user.get_name())
    return see_other(request, "places", place)


@forms.post("/{number}/join")
async def join(request: Request, user: GetUserDep, number: Number) -> RedirectResponse:
    """Say that two places are one."""
    fields = await read_fields(request)
    place = await LOOKING.run(user, _join, number, fields, user.get_name())
    return see_other(request, "places", place)


def _find(number: int) -> Place:
    """A place by its number; 404 if there is none, or it has only what may not be shown."""
    database = connected().database
    place = find_place(database, number)
    if place is None:
        raise HTTPException(404, f"There is no place {number}.")
    if place.images and not count_photographs(database, [place.id], _visible()):
        raise HTTPException(404, f"Place {number} has only photographs that may not be shown.")
    return place


def _describe(number: int, fields: ImmutableMultiDict[str, str]) -> int:
    place = _find(number)
    lines = fields.get("note", "").replace("\r\n", "\n").translate(_NO_CONTROLS)
    name, note = " ".join(fields.get("name", "").translate(_NO_CONTROLS).split()), lines.strip()
    for what, text, most in (("name", name, MAX_NAME), ("note", note, MAX_NOTE)):
        if len(text) > most:
            raise HTTPException(422, f"{what}: {len(text)} characters; at most {most}.")
    name_place(connected().database, place.id, name, note)
    return place.id


def _part(number: int, fields: ImmutableMultiDict[str, str], person: str) -> int:
    place, database = _find(number), connected().database
    asked = {whole_number(value, "image") for value in fields.getlist("image")}
    if not asked:
        raise HTTPException(422, "Select the photographs of the second place.")
    second = photographs_of_place(database, place.id, _visible(), len(asked), among=asked)
    if len(second) < len(asked):
        raise HTTPException(404, "The place has no such photographs by now; look at it again.")
    others = best_connected(database, place.id, _visible(), HELD_TOGETHER, left_out=asked)
    if not others:
        raise HTTPException(422, "All of the place's photographs are selected; leave its own out.")
    paths, rest = ([one.path for one in side] for side in (second, others))
    if place.representative in rest:
        rest = list(dict.fromkeys([place.representative, *rest]))
    check_shown(*paths, *rest)
    _say_all(words_to_part(paths, rest, said_of_places(database, [place.id])), person)
    update_places_of(database, place.model, [*paths, *rest])
    return places_of_paths(database, place.model, paths[:1]).get(paths[0], place.id)


def _join(number: int, fields: ImmutableMultiDict[str, str], person: str) -> int:
    database, place = connected().database, _find(number)
    other = _find(whole_number(fields.get("other", ""), "other"))
    if place.id == other.id:
        raise HTTPException(422, f"Place {place.id} is one; name another.")
    if place.model != other.model:
        raise HTTPException(422, f"Place {other.id} is of another model.")
    covers = _cover(place), _cover(other)
    check_shown(*covers)
    words = words_to_join(*covers, said_of_places(database, [place.id, other.id]))
    _say_all(words, person)
    update_places_of(database, place.model, covers)
    return place.id


def _cover(place: Place) -> str:
    """The photograph that stands for a place."""
    first = first_photographs(connected().database, [place.id], _visible(), 1).get(place.id, [])
    shown = _pictures(place, first)
    if not shown:
        raise HTTPException(422, f"Place {place.id} has no photographs.")
    return shown[0]


def _say_all(words: Iterable[Word], person: str) -> None:
    for word in words:
        if is_shown(word.one, word.other):
            say(connected().database, word.one, word.other, word.is_same, person)


def _pictures(place: Place, paths: Collection[str]) -> list[str]:
    """The representative, and then others, of what may be shown."""
    wanted = [place.representative, *paths] if place.representative else paths
    return [path for path in dict.fromkeys(wanted) if is_shown(path)][:PLACE_PICTURES]


def _visible() -> Visible:
    settings = connected().settings
    return Visible(settings.shown_prefixes, settings.results)
