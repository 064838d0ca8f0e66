"""The photographs of the index: by folder, by name, one by one; removed, let in and tried again."""

from __future__ import annotations

from typing import Annotated, NamedTuple
from urllib.parse import unquote

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from landmark.errors import LandmarkError
from landmark.search.asking import SCHEME, check_form
from landmark.storage.browsing import (
    Entry,
    count_below,
    entries_below,
    entries_named,
    indexed_image,
)
from landmark.storage.failures import failures_of, list_failures, try_again
from landmark.storage.places import places_of_paths
from landmark.storage.removals import (
    delete_removed,
    find_removal,
    latest_removals,
    removals_of,
    remove,
    restore,
)
from landmark_web.connection import connected, current_model
from landmark_web.limits import (
    ENTRIES_A_PAGE,
    LOOKING,
    REMOVALS_A_PAGE,
    REMOVED_AT_ONCE,
)
from landmark_web.permissions import allowed, may_index, may_read_index, same_origin
from landmark_web.responses import check_shown, html, is_shown, see_other
from landmark_web.runs import INDEX, trigger
from landmark_web.small_form import read_fields

router = APIRouter(prefix="/index", dependencies=[Depends(may_read_index)])
forms = APIRouter(prefix="/index", dependencies=[Depends(same_origin), Depends(may_index)])

Number = Annotated[int, Path(ge=1, lt=2**63)]
Before = Annotated[int | None, Query(ge=1, lt=2**63)]
Text = Annotated[str, Query(max_length=2000)]


class Crumb(NamedTuple):
    """A folder above another, and what it is called there."""

    folder: str
    name: str


@router.get("/photographs")
def show_photographs(
    request: Request, user: GetUserDep, folder: Text = "", name: Text = "", after: Text = ""
) -> Response:
    """What lies in a folder of the index; or the photographs whose name begins so, in any folder.

    A path that is written as a name leads to what it names.
    """
    if name.startswith(SCHEME):
        if name.endswith("/"):
            return see_other(request, "index", "photographs", folder=name)
        return see_other(request, "index", "photograph", path=name)
    settings, database, _ = connected()
    folder = folder or settings.images
    if not name and not _may_hold(folder):
        raise HTTPException(403, f"{folder}: lies outside of what these pages may show.")
    if name:
        found = entries_named(database, current_model(), name, ENTRIES_A_PAGE + 1, after)
    else:
        found = entries_below(database, current_model(), folder, ENTRIES_A_PAGE + 1, after)
    page = found[:ENTRIES_A_PAGE]
    shown = [entry for entry in page if _is_visible(entry)]
    return html(
        request,
        "photographs.html",
        folder=folder,
        crumbs=_crumbs(folder),
        wanted=name,
        after=after,
        folders=[entry.path for entry in shown if entry.is_folder],
        photographs=[entry for entry in shown if not entry.is_folder],
        hidden=len(page) - len(shown),
        further=page[-1].path if len(found) > len(page) else None,
        removals=removals_of(database, folder) if not name else [],
        allowed=allowed(request, user, may_index) and is_shown(folder),
    )


@router.get("/photograph")
def show_photograph(request: Request, user: GetUserDep, path: Text) -> HTMLResponse:
    """One photograph: what the index knows of it, or why it is not there."""
    check_shown(path)
    database, model = connected().database, current_model()
    image, failures = indexed_image(database, model, path), failures_of(database, path)
    removals = removals_of(database, path)
    if image is None and not failures and not removals:
        raise HTTPException(404, f"{path}: the index has no such photograph.")
    return html(
        request,
        "photograph.html",
        path=path,
        model=model,
        image=image,
        failures=failures,
        removals=removals,
        place=places_of_paths(database, model, [path]).get(path),
        folder=path[: path.rindex("/") + 1],
        allowed=allowed(request, user, may_index),
    )


@router.get("/failures")
def show_failures(request: Request, user: GetUserDep, after: Text = "") -> HTMLResponse:
    """The images that could not be used, each with its own reason."""
    found = list_failures(connected().database, ENTRIES_A_PAGE + 1, after)
    page = found[:ENTRIES_A_PAGE]
    shown = [failure for failure in page if is_shown(failure.image_path)]
    return html(
        request,
        "failures.html",
        failures=shown,
        hidden=len(page) - len(shown),
        after=after,
        further=page[-1].image_path if len(found) > len(page) else None,
        allowed=allowed(request, user, may_index),
    )


@router.get("/removals")
def show_removals(request: Request, user: GetUserDep, before: Before = None) -> HTMLResponse:
    """What was ever removed from the index, the latest first."""
    database, model = connected().database, current_model()
    found = latest_removals(database, REMOVALS_A_PAGE + 1, before)
    page = found[:REMOVALS_A_PAGE]
    shown = [removal for removal in page if is_shown(removal.path)]
    folders = [one for one in shown if one.stands and one.is_folder]
    return html(
        request,
        "removals.html",
        removals=shown,
        left={one.number for one in folders if count_below(database, model, one.path, 1)},
        hidden=len(page) - len(shown),
        before=before,
        further=page[-1].number if len(found) > len(page) else None,
        allowed=allowed(request, user, may_index),
    )


@router.get("/remove")
def ask_to_remove(request: Request, user: GetUserDep, path: Text) -> HTMLResponse:
    """Say what would be removed from the index, and ask."""
    _check_removable(path)
    most = REMOVED_AT_ONCE + 1
    return html(
        request,
        "remove.html",
        path=path,
        number=count_below(connected().database, current_model(), path, most),
        at_once=REMOVED_AT_ONCE,
        allowed=allowed(request, user, may_index),
    )


@forms.post("/remove")
async def remove_from_index(request: Request, user: GetUserDep) -> RedirectResponse:
    """Remove a photograph, or a folder, from the index; its files stay as they are."""
    fields = await read_fields(request)
    await LOOKING.run(user, _remove, _path_of(fields.get("path", "")), user.get_name())
    return see_other(request, "index", "removals")


@forms.post("/removals/{number}/undo")
def let_in_again(request: Request, user: GetUserDep, number: Number) -> RedirectResponse:
    """Let something in again, with the next sweep."""
    removal = find_removal(connected().database, number)
    if removal is None:
        raise HTTPException(404, f"There is no removal {number}.")
    check_shown(removal.path)
    restore(connected().database, number, user.get_name())
    return see_other(request, "index", "removals")


@forms.post("/try-again")
async def retry_one(request: Request, user: GetUserDep) -> RedirectResponse:
    """Trigger a sweep that also tries one image again that failed."""
    fields = await read_fields(request)
    run_id = await LOOKING.run(user, _retry, request, user, _path_of(fields.get("path", "")))
    return see_other(request, "dags", INDEX, "runs", run_id)


def _remove(path: str, person: str) -> None:
    _check_removable(path)
    remove(connected().database, path, person)
    delete_removed(connected().database, path, REMOVED_AT_ONCE)


def _retry(request: Request, user: GetUserDep, path: str) -> str:
    check_shown(path)
    if not try_again(connected().database, path):
        raise HTTPException(404, f"{path}: has not failed, or is known no more.")
    return trigger(request, user, INDEX, {})


def _path_of(text: str) -> str:
    """A path of a form: escaped there, since browsers send no line break as it is."""
    return unquote(text)


def _check_removable(path: str) -> None:
    try:
        check_form(path)
    except LandmarkError as error:
        raise HTTPException(422, f"{error}.") from None
    check_shown(path)


def _is_visible(entry: Entry) -> bool:
    return _may_hold(entry.path) if entry.is_folder else is_shown(entry.path)


def _may_hold(folder: str) -> bool:
    """Whether something may be shown that lies below a folder."""
    settings = connected().settings
    return folder.endswith("/") and (
        is_shown(folder) or any(home.startswith(folder) for home in settings.shown_prefixes)
    )


def _crumbs(folder: str) -> list[Crumb]:
    """The folders that one is in, the outermost first, and itself."""
    crumbs, above = [Crumb(SCHEME, "All")], SCHEME
    for part in folder.removeprefix(SCHEME).split("/")[:-1]:
        above += part + "/"
        crumbs.append(Crumb(above, part))
    return [crumb for crumb in crumbs if _may_hold(crumb.folder)]
