"""What the pages answer with: HTML, messages, pictures, files, and that nothing has changed."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from anyio import CapacityLimiter, to_thread
from fastapi import HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse

from landmark.errors import LandmarkError
from landmark.search.framing import WHOLE, Framing
from landmark.storage.bucket import ObjectMissing, read_etag, read_object
from landmark_web.connection import connected
from landmark_web.limits import DECODING, FRESH_S, IN_FULL, LOOKING, SENDING, SIDES_PX, Slots
from landmark_web.templates import address, render
from landmark_web.thumbnails import keep_picture, kept_picture, thumbnail

#: By user and etag. Not one for all users: nobody waits until it is another's turn.
_drawing: WeakValueDictionary[tuple[str, str], CapacityLimiter] = WeakValueDictionary()


def html(request: Request, template: str, status_code: int = 200, **values: Any) -> HTMLResponse:
    """A page."""
    return HTMLResponse(_encoded(render(request, template, **values)), status_code)


def message(
    request: Request,
    title: str,
    detail: str,
    status_code: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """A page that says no more than this; who is nobody yet is led to the login, and back here."""
    back = _back_to(request) if status_code == 401 else None
    text = render(request, "error.html", title=title, detail=detail, back=back)
    return HTMLResponse(_encoded(text), status_code, headers)


def _back_to(request: Request) -> str:
    """Where a reader was: this address, or that of the page with the form that was sent."""
    if request.method in ("GET", "HEAD"):
        here = request.scope.get("raw_path", b"").decode("ascii", "replace") or request.url.path
        return here + (f"?{request.url.query}" if request.url.query else "")
    page = urlsplit(request.headers.get("referer", ""))
    if page.netloc == request.headers.get("host") and page.path.startswith("/"):
        return page.path + (f"?{page.query}" if page.query else "")
    return address(request)


def see_other(
    request: Request, *parts: str | int, match: int | None = None, **query: str | int
) -> RedirectResponse:
    """Lead a browser that has sent a form to one of our pages, and there to a match of a rank."""
    there = f"#match-{match}" if match else ""
    return RedirectResponse(address(request, *parts, **query) + there, 303)


def check_shown(*paths: str) -> None:
    """Refuse with 403 what the settings of now do not let us show, whatever a run says of it."""
    try:
        for path in paths:
            connected().settings.check_shown(path)
    except LandmarkError as error:
        raise HTTPException(403, str(error)) from None


def is_shown(*paths: str) -> bool:
    """Whether the settings of now let us show photographs."""
    try:
        check_shown(*paths)
    except HTTPException:
        return False
    return True


async def picture(
    request: Request, user: Any, path: str, size: str, framing: Framing = WHOLE
) -> Response:
    """A photograph or picture of S3, encoded anew; nothing if the browser has it."""
    as_asked = (size, *framing.told.values())

    def look() -> str:
        return etag_of(path, read_etag(connected().s3, path), *as_asked)

    def draw() -> tuple[bytes, str]:
        body, etag = thumbnail(connected().s3, path, SIDES_PX[size], framing)
        return body, etag_of(path, etag, *as_asked)

    with _gone():
        etag = await LOOKING.run(user, look)
    return await drawn(request, user, etag, draw, IN_FULL if size == "full" else DECODING)


async def drawn(
    request: Request,
    user: Any,
    etag: str,
    draw: Callable[[], tuple[bytes, str]],
    slots: Slots = DECODING,
) -> Response:
    """A picture, which is drawn unless the browser has it or we have kept it."""
    if request.headers.get("if-none-match") == etag:
        return unchanged(etag)
    # Who asks a second time for what he is having drawn waits, and takes no slot for it.
    turn = _drawing.setdefault((user.get_id(), etag), CapacityLimiter(1))
    async with turn:
        body = kept_picture(etag)
        if body is None:
            with _gone():
                body, etag = await slots.run(user, keep_picture, etag, draw)
    return Response(body, media_type="image/jpeg", headers=_fresh(etag))


@contextmanager
def _gone() -> Iterator[None]:
    """Of what was indexed or searched for and is not there: that it has been deleted since."""
    try:
        yield
    except ObjectMissing as error:
        path = str(error).partition(": there is no such object")[0]
        raise HTTPException(410, f"{path}: it was deleted, or moved, since.") from None


def unchanged(etag: str) -> Response:
    """What the browser has is right."""
    return Response(status_code=304, headers=_fresh(etag))


def etag_of(*parts: str) -> str:
    """An etag that changes with each of the parts."""
    return '"' + hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24] + '"'


def download(path: str, kind: str) -> Response:
    """A text of S3 as it lies there, `kind` being ``txt`` or ``json``."""
    body, _ = read_object(connected().s3, path)
    media = {"txt": "text/plain", "json": "application/json"}[kind]
    name = path.rsplit("/", 1)[1]
    return Response(
        body,
        media_type=f"{media}; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def attached(user: Any, pieces: Iterator[bytes], name: str, media_type: str) -> StreamingResponse:
    """A file that is made while it is sent."""
    return StreamingResponse(
        _sent(user, pieces),
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _sent(user: Any, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    async with SENDING.held(user):
        while (piece := await to_thread.run_sync(next, pieces, None)) is not None:
            yield piece


def moment(value: datetime) -> str:
    """A time as json has it: ISO 8601, UTC."""
    return value.astimezone(timezone.utc).isoformat()


def _encoded(text: str) -> bytes:
    """UTF-8, whatever a name in S3 or in a run's parameters has of lone surrogates."""
    return text.encode(errors="replace")


def _fresh(etag: str) -> dict[str, str]:
    return {"ETag": etag, "Cache-Control": f"private, max-age={FRESH_S}"}
