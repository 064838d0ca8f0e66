"""Style, script and icon."""

from __future__ import annotations

from fastapi import APIRouter, Depends, HTTPException, Request, Response

from landmark_web.permissions import logged_in
from landmark_web.responses import etag_of, unchanged
from landmark_web.templates import WEB

STATIC = WEB / "static"
STATIC_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

router = APIRouter(dependencies=[Depends(logged_in)])


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
