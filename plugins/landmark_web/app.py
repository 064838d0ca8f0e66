"""The pages and pictures: every address needs Airflow's login and the right to read its DAG."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache, lru_cache, partial, wraps
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, ParamSpec, TypeVar
from urllib.parse import quote, urlsplit

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, get_user, requires_access_dag
from anyio import CapacityLimiter, to_thread
from botocore.exceptions import BotoCoreError, ClientError
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as StarletteHTTPException

from landmark import overview
from landmark.bucket import ObjectMissing, read_etag, read_object
from landmark.errors import LandmarkError, UnusableImage
from landmark.ranking import FAILED, Match
from landmark.report import CONTACT_SHEET, JSON, PICTURE, TEXT, SearchResult, read_result
from landmark.searches import (
    OVERVIEW_JSON,
    OVERVIEW_TEXT,
    Search,
    Searches,
    read_overview,
)
from landmark.thumbnails import thumbnail
from landmark_airflow import Landmark, connect
from landmark_web import searching
from landmark_web.runs import INDEX, SEARCH, STEPS, Run, find_run, recent_runs, trigger
from landmark_web.templates import render

STATIC = Path(__file__).resolve().parents[2] / "include" / "web" / "static"
STATIC_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

SIDES_PX = {"small": 400, "large": 1600}
PAIR_SIDE_PX, PAIR_HEIGHT_PX = 2048, 1000
RESULTS_A_PAGE, SEARCHES_A_PAGE, QUERIES_A_PAGE = 1000, 24, 200
NEWEST, SWEEPS = 24, 10

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'self'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
#: What has no address of its own version is asked for again after this time, by its etag.
FRESH_S = 600

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

DECODING_AT_ONCE = 3
#: The index page asks for all of the table; so long its answer is kept.
OVERVIEW_S = 20

read_searches = Depends(requires_access_dag("GET", DagAccessEntity.RUN, SEARCH))
read_index = Depends(requires_access_dag("GET", DagAccessEntity.RUN, INDEX))
read_any = Depends(requires_access_dag("GET", DagAccessEntity.RUN))
may_search = requires_access_dag("POST", DagAccessEntity.RUN, SEARCH)
may_index = requires_access_dag("POST", DagAccessEntity.RUN, INDEX)


class Asked(NamedTuple):
    """One photograph of a run.

    Parameters
    ----------
    run : Run
    number : int
        From 1 on.
    search : Search
    """

    run: Run
    number: int
    search: Search

    @property
    def where(self) -> dict[str, int]:
        """What its addresses have besides the run; nothing if it is the only one."""
        return {} if self.run.is_one else {"query": self.number}


def asked(run_id: str, query: Annotated[int, Query(ge=1)] = 1) -> Asked:
    """The photograph of a run that an address names by its number."""
    run = _known(SEARCH, run_id)
    searches = _searches_of(run).searches
    if query > len(searches):
        raise HTTPException(404, f"The run has {len(searches)} searches; there is no {query}.")
    return Asked(run, query, searches[query - 1])


OneSearch = Annotated[Asked, Depends(asked)]


def same_origin(request: Request) -> None:
    """Refuse a form that another site sends with our user's cookie.

    Clients with a token of their own send neither header.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        ours = site in ("same-origin", "none")
    else:
        ours = origin is None or urlsplit(origin).netloc == request.headers.get("host")
    if not ours:
        raise HTTPException(403, "The form came from another site; open it in Airflow.")


def decoding(function: Callable[P, R]) -> Callable[P, Awaitable[R]]:
    """Run it in a thread, a few at a time: a decoded photograph takes up to 300 MB.

    Those that wait hold no thread, of which Airflow's other pages have only some.
    """

    @wraps(function)
    async def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        return await to_thread.run_sync(partial(function, *args, **kwargs), limiter=_limiter())

    return limited


@cache
def _limiter() -> CapacityLimiter:
    return CapacityLimiter(DECODING_AT_ONCE)


app = FastAPI(title="Landmark", docs_url=None, redoc_url=None, openapi_url=None)


@app.middleware("http")
async def _harden(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    response = await call_next(request)
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


@app.exception_handler(StarletteHTTPException)
def _refuse(request: Request, error: StarletteHTTPException) -> HTMLResponse:
    words = {
        401: "You are not logged in.",
        403: "You may not see this.",
        404: "There is no such page.",
    }
    detail = error.detail if isinstance(error.detail, str) else ""
    title = words.get(error.status_code, "This did not work.")
    return HTMLResponse(
        render(request, "error.html", title=title, detail=detail, known=error.status_code != 401),
        error.status_code,
        headers=error.headers,
    )


@app.exception_handler(LandmarkError)
def _explain(request: Request, error: LandmarkError) -> HTMLResponse:
    missing = isinstance(error, (ObjectMissing, UnusableImage))
    title = "There is no picture of this." if missing else "Landmark cannot show this."
    html = render(request, "error.html", title=title, detail=str(error), known=True)
    return HTMLResponse(html, 404 if missing else 503)


@app.exception_handler(BotoCoreError)
@app.exception_handler(ClientError)
def _say_that_s3_fails(request: Request, error: Exception) -> HTMLResponse:
    logger.warning("S3: %s", error)
    title, detail = "S3 does not answer as it should.", f"{type(error).__name__}; try again later."
    return HTMLResponse(render(request, "error.html", title=title, detail=detail, known=True), 503)


# ---- searches -----------------------------------------------------------------------------------


@app.get("/", dependencies=[read_searches])
def show_searches(
    request: Request,
    user: GetUserDep,
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
    image_path: Annotated[str, Query(max_length=2000)] = "",
) -> HTMLResponse:
    """The search form and the last searches."""
    return _searches(request, user, page, {"image_path": image_path})


@app.post("/searches", dependencies=[Depends(same_origin), Depends(may_search)])
async def start_search(request: Request, user: GetUserDep) -> Response:
    """Trigger a search with a path, or with a photograph that is uploaded."""
    # Read here, not by FastAPI, which would take in the whole body before it asks who sends it.
    form = searching.Form({})
    try:
        form = await searching.read_form(request)
        start = decoding(searching.start)
        run_id = await start(request, user, form, await run_in_threadpool(_landmark))
    except LandmarkError as error:
        return await run_in_threadpool(_searches, request, user, 1, form.fields, str(error))
    address = f"{request.scope['root_path']}/searches/{quote(run_id, safe='')}"
    return RedirectResponse(address, 303)


@app.get("/searches", dependencies=[read_searches])
def lead_to_searches(request: Request) -> RedirectResponse:
    """A form that was refused leaves this address in the browser."""
    return RedirectResponse(f"{request.scope['root_path']}/", 303)


@app.get("/searches/{run_id}", dependencies=[read_searches])
def show_search(
    request: Request,
    run_id: str,
    page: Annotated[int, Query(ge=1, le=100)] = 1,
    query: Annotated[int | None, Query(ge=1)] = None,
) -> HTMLResponse:
    """A run: how far it is, or what it found; of several searches all, or the one of a number."""
    return _run(request, _known(SEARCH, run_id), page, query)


@app.get("/searches/{run_id}/searches.{kind}", dependencies=[read_searches])
def download_overview(run_id: str, kind: Literal["txt", "json"]) -> Response:
    """The list of a run's searches as it lies in S3."""
    run = _known(SEARCH, run_id)
    _searches_of(run)  # it is this run's
    return _download(_folder(run) + {"txt": OVERVIEW_TEXT, "json": OVERVIEW_JSON}[kind], kind)


@app.get("/searches/{run_id}/matches.{kind}", dependencies=[read_searches])
def download(one: OneSearch, kind: Literal["txt", "json"]) -> Response:
    """The result as it lies in S3."""
    _result_of(one)
    return _download(one.search.folder + {"txt": TEXT, "json": JSON}[kind], kind)


@app.get("/searches/{run_id}/images/{rank}", dependencies=[read_searches])
@decoding
def search_image(
    request: Request, one: OneSearch, rank: int, size: Literal["small", "large"] = "small"
) -> Response:
    """A photograph of a result by its rank; the query is rank 0."""
    if rank == 0 and not one.search.is_read:
        raise HTTPException(404, "This photograph could not be used.")
    path = one.search.query if rank == 0 else _match(one, rank).image_path
    return _picture(request, path, size)


@app.get("/searches/{run_id}/contact-sheet.jpg", dependencies=[read_searches])
@decoding
def contact_sheet(request: Request, one: OneSearch) -> Response:
    """The contact sheet that the DAG has drawn."""
    return _picture(request, one.search.folder + CONTACT_SHEET, "large")


@app.get("/searches/{run_id}/pairs/{rank}", dependencies=[read_searches])
def show_pair(request: Request, one: OneSearch, rank: int) -> HTMLResponse:
    """The query beside one match, the inliers drawn."""
    match, result = _match(one, rank), _result_of(one)
    html = render(
        request,
        "pair.html",
        run=one.run,
        search=one.search,
        where=one.where,
        rank=rank,
        match=match,
        ranked=len(result.matches),
    )
    return HTMLResponse(html)


@app.get("/searches/{run_id}/pairs/{rank}/picture.jpg", dependencies=[read_searches])
@decoding
def pair_picture(request: Request, one: OneSearch, rank: int) -> Response:
    """The two photographs with a line for each inlier, finer than the DAG draws them."""
    from landmark.pictures import draw_pair

    _match(one, rank)
    folder = one.search.folder
    etag = _etag(one.run.run_id, str(rank), one.run.version, folder)
    if request.headers.get("if-none-match") == etag:
        return _unchanged(etag)
    _, store, s3 = _landmark()
    try:
        body = draw_pair(store, s3, folder, rank, PAIR_SIDE_PX, PAIR_HEIGHT_PX)
    except LandmarkError as error:
        # An image has gone or changed since; the DAG may have drawn it in time.
        try:
            body, _ = thumbnail(s3, folder + PICTURE.format(rank=rank), PAIR_SIDE_PX)
        except LandmarkError:
            raise error from None
    return _jpeg(body, etag)


# ---- index --------------------------------------------------------------------------------------


@app.get("/index", dependencies=[read_index])
def show_index(request: Request, user: GetUserDep) -> HTMLResponse:
    """What the index holds, what could not be indexed, and the last sweeps."""
    known = _overview(int(time.monotonic() // OVERVIEW_S))
    allowed = _allowed(request, user, may_index)
    return HTMLResponse(render(request, "index.html", allowed=allowed, **known))


@app.post("/index/retry", dependencies=[Depends(same_origin), Depends(may_index)])
def retry_failures(request: Request, user: GetUserDep) -> RedirectResponse:
    """Trigger a sweep that also tries the images again that failed."""
    run_id = trigger(request, user, INDEX, {"retry_failures": True})
    root = request.scope["root_path"]
    return RedirectResponse(f"{root}/dags/{INDEX}/runs/{quote(run_id, safe='')}", 303)


@app.get("/index/image", dependencies=[read_index])
@decoding
def index_image(request: Request, path: str, size: Literal["small", "large"] = "small") -> Response:
    """An image of the index, or one that failed; nothing else in S3."""
    if not overview.knows(_landmark().store, path):
        raise HTTPException(404, "The index has no such image.")
    return _picture(request, path, size)


# ---- the tab of a run ---------------------------------------------------------------------------


@app.get("/dags/{dag_id}/runs/{run_id}", dependencies=[read_any])
def show_run(request: Request, dag_id: str, run_id: str) -> HTMLResponse:
    """What stands in the tab of a run's page in Airflow."""
    if dag_id == SEARCH:
        return _run(request, _known(SEARCH, run_id))
    if dag_id != INDEX:
        detail = f"This run is of {dag_id}. Only those of {SEARCH} and {INDEX} have results here."
        title = "There is nothing to see."
        return HTMLResponse(render(request, "error.html", title=title, detail=detail, known=True))
    run = _known(INDEX, run_id)
    sweeps = overview.sweeps(_landmark().store, 1, run_id)
    return HTMLResponse(render(request, "sweep.html", run=run, sweep=sweeps[0] if sweeps else None))


@app.get("/static/{name}", dependencies=[Depends(get_user)])
def static(request: Request, name: str) -> Response:
    """Style, script and icon."""
    files = {file.name: file for file in STATIC.iterdir()}
    if name not in files:
        raise HTTPException(404)
    body = files[name].read_bytes()
    etag = _etag(body.hex())
    if request.headers.get("if-none-match") == etag:
        return _unchanged(etag)
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    return Response(body, media_type=STATIC_TYPES[files[name].suffix], headers=headers)


# ---- what the above share -----------------------------------------------------------------------


def _searches(
    request: Request,
    user: Any,
    page: int,
    fields: Mapping[str, str],
    error: str = "",
) -> HTMLResponse:
    skipped = (page - 1) * SEARCHES_A_PAGE
    runs = recent_runs(SEARCH, SEARCHES_A_PAGE + 1, skipped)
    html = render(
        request,
        "searches.html",
        runs=runs[:SEARCHES_A_PAGE],
        page=page,
        more=len(runs) > SEARCHES_A_PAGE,
        value={**searching.defaults(), **fields},
        error=error,
        allowed=_allowed(request, user, may_search),
        uploads=_landmark().settings.uploads,
        upload_limit=searching.MAX_UPLOAD_BYTES,
        text_limit=searching.MAX_TEXT,
    )
    return HTMLResponse(html, 400 if error else 200)


def _allowed(request: Request, user: Any, right: Callable[[Request, Any], None]) -> bool:
    try:
        right(request, user)
    except HTTPException:
        return False
    return True


def _run(request: Request, run: Run, page: int = 1, query: int | None = None) -> HTMLResponse:
    """All of a run's searches, or one of them."""
    if run.folder is None:
        one = None
    elif run.is_one or query is not None:
        one = asked(run.run_id, query or 1)
    else:
        return _several(request, run, _searches_of(run).searches, page)
    result = _result_of(one) if one and run.answer and one.search.outcome != FAILED else None
    first = (page - 1) * RESULTS_A_PAGE
    html = render(
        request,
        "search.html",
        run=run,
        path=one.search.query if one else run.paths[0],
        search=one.search if one else None,
        where=one.where if one else {},
        steps=STEPS,
        result=result,
        first=first,
        shown=result.matches[first : first + RESULTS_A_PAGE] if result else [],
        page=page,
        pages=-(-len(result.matches) // RESULTS_A_PAGE) if result else 1,
    )
    return HTMLResponse(html)


def _several(request: Request, run: Run, searches: Sequence[Search], page: int) -> HTMLResponse:
    first = (page - 1) * QUERIES_A_PAGE
    html = render(
        request,
        "several.html",
        run=run,
        searches=len(searches),
        failed=sum(search.outcome == FAILED for search in searches),
        steps=STEPS,
        first=first,
        shown=searches[first : first + QUERIES_A_PAGE],
        page=page,
        pages=-(-len(searches) // QUERIES_A_PAGE),
    )
    return HTMLResponse(html)


def _known(dag_id: str, run_id: str) -> Run:
    run = find_run(dag_id, run_id)
    if run is None:
        raise HTTPException(404, f"{dag_id} has no run {run_id}.")
    return run


def _folder(run: Run) -> str:
    if run.folder is None:
        raise HTTPException(404, "The search has not read its photograph yet.")
    return run.folder


def _searches_of(run: Run) -> Searches:
    folder = _folder(run)
    searches = _read_overview(folder, run.version, bool(run.answer), int(time.monotonic() // 60))
    if searches is None and run.is_one:  # written before runs had several searches
        found = Search(run.paths[0], folder, is_read=True)
        return Searches(run.run_id, folder, (found,))
    if searches is None or searches.run_id != run.run_id:
        raise HTTPException(404, f"Another run has written its searches to {folder} since.")
    return searches


@lru_cache(maxsize=16)
def _read_overview(folder: str, version: str, is_done: bool, minute: int) -> Searches | None:
    """Kept like a result."""
    try:
        return read_overview(_landmark().s3, folder)
    except ObjectMissing:
        return None


def _result_of(one: Asked) -> SearchResult:
    if one.run.answer is None or one.search.outcome == FAILED:
        raise HTTPException(404, "The search has no result.")
    folder = one.search.folder
    result = _read_result(folder, one.run.version, int(time.monotonic() // 60))
    if result.query != one.search.query:
        raise HTTPException(404, f"Another search has written its result to {folder} since.")
    return result


@lru_cache(maxsize=32)
def _read_result(folder: str, version: str, minute: int) -> SearchResult:
    """Kept for a minute at most: a page of a thousand thumbnails asks for it as often."""
    return read_result(_landmark().s3, folder)


def _match(one: Asked, rank: int) -> Match:
    matches = _result_of(one).matches
    if not 1 <= rank <= len(matches):
        raise HTTPException(404, f"The result has {len(matches)} matches; there is no {rank}.")
    return matches[rank - 1]


def _download(path: str, kind: str) -> Response:
    body, _ = read_object(_landmark().s3, path)
    media = {"txt": "text/plain", "json": "application/json"}[kind]
    name = path.rsplit("/", 1)[1]
    return Response(
        body,
        media_type=f"{media}; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@lru_cache(maxsize=1)
def _overview(moment: int) -> dict[str, Any]:
    from landmark import registry

    settings, store, _ = _landmark()
    models = registry.known_models(store)
    # As searches: the model completed last, or that of the settings before the first is complete.
    try:
        current = registry.searched_model(store, settings).fingerprint
    except LandmarkError:
        current = max(models, key=lambda one: (one.searched, one.images)).model if models else ""
    row = next((one for one in models if one.model == current and one.images), None)
    return {
        "settings": settings,
        "models": models,
        "current": current,
        "row": row,
        "newest": overview.newest(store, current, NEWEST) if row else [],
        "growth": overview.growth(store, current) if row else [],
        "failures": overview.failures(store),
        "sweeps": overview.sweeps(store, SWEEPS),
    }


def _landmark() -> Landmark:
    return _connect(int(time.monotonic() // 60))


@lru_cache(maxsize=1)
def _connect(minute: int) -> Landmark:
    """Kept for a minute: changed settings show soon, and thumbnails need not wait for them."""
    return connect()


def _picture(request: Request, path: str, size: str) -> Response:
    s3, asked = _landmark().s3, request.headers.get("if-none-match")
    if asked and asked == _etag(read_etag(s3, path), size):
        return _unchanged(asked)
    body, etag = thumbnail(s3, path, SIDES_PX[size])
    return _jpeg(body, _etag(etag, size))


def _jpeg(body: bytes, etag: str) -> Response:
    headers = {"ETag": etag, "Cache-Control": f"private, max-age={FRESH_S}"}
    return Response(body, media_type="image/jpeg", headers=headers)


def _unchanged(etag: str) -> Response:
    headers = {"ETag": etag, "Cache-Control": f"private, max-age={FRESH_S}"}
    return Response(status_code=304, headers=headers)


def _etag(*parts: str) -> str:
    return '"' + hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24] + '"'
