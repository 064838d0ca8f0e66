"""Style, script and icon: of no photograph, so that who is not logged in is told so legibly."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request, Response

from landmark_web.responses import etag_of, unchanged
from landmark_web.templates import WEB

STATIC = WEB / "static"
STATIC_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

router = APIRouter()


@router.get("/static/{name}")
def static(request: Request, name: str) -> Response:
    """Style, script and icon."""
    files = {file.name: file for file in STATIC.iterdir()}
    if name not in files:
        raise HTTPException(404)
    body = files[name].read_bytes()
    etag = etag_of(body.hex())
    if request.headers.get("if-none-match") == etag:
        return unchanged(etag)
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    return Response(body, media_type=STATIC_TYPES[files[name].suffix], headers=headers)
