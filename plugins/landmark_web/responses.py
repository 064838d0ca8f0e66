"""What the pages answer with: HTML, messages, pictures, files, and that nothing has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from landmark.storage.bucket import read_etag, read_object
from landmark_web.connection import connected
from landmark_web.limits import FRESH_S, SIDES_PX
from landmark_web.templates import address, render
from landmark_web.thumbnails import thumbnail


def html(request: Request, template: str, status_code: int = 200, **values: Any) -> HTMLResponse:
    """A page."""
    return HTMLResponse(render(request, template, **values), status_code)


def message(
    request: Request,
    title: str,
    detail: str,
    status_code: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """A page that says no more than this; with the way to the login for who is nobody yet."""
    known = status_code != 401
    text = render(request, "error.html", title=title, detail=detail, known=known)
    return HTMLResponse(text, status_code, headers)


def see_other(request: Request, *parts: str) -> RedirectResponse:
    """Lead a browser that has sent a form to one of our pages."""
    return RedirectResponse(address(request, *parts), 303)


def picture(request: Request, path: str, size: str) -> Response:
    """A photograph of S3, encoded anew; nothing if the browser has it."""
    s3, held = connected().s3, request.headers.get("if-none-match")
    if held and held == etag_of(read_etag(s3, path), size):
        return unchanged(held)
    body, etag = thumbnail(s3, path, SIDES_PX[size])
    return jpeg(body, etag_of(etag, size))


def jpeg(body: bytes, etag: str) -> Response:
    """A picture, to be kept by the browser for a while."""
    return Response(body, media_type="image/jpeg", headers=_fresh(etag))


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


def _fresh(etag: str) -> dict[str, str]:
    return {"ETag": etag, "Cache-Control": f"private, max-age={FRESH_S}"}
