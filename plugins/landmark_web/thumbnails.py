"""Small pictures: decoded in another process, always encoded anew, and kept for a while."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

from cachetools import LRUCache
from PIL import Image

from landmark.extraction.sandbox import decode_isolated
from landmark.search.drawing import to_jpeg
from landmark.search.framing import WHOLE, Framing
from landmark.search.seen import framed_picture
from landmark.storage.bucket import read_object
from landmark_web.limits import PICTURES_KEPT_BYTES

#: By the etag that a browser is told; the least used go first.
_kept: LRUCache[str, bytes] = LRUCache(PICTURES_KEPT_BYTES, getsizeof=len)
_lock = Lock()


def thumbnail(client: Any, path: str, side_px: int, framing: Framing = WHOLE) -> tuple[bytes, str]:
    """A photograph in S3 as a JPEG of our own, and the etag of the photograph.

    Nothing of the file itself is passed on: no metadata, no hidden content, no foreign format.

    Parameters
    ----------
    side_px : int
        Longest side of the picture.
    framing : Framing
        How it is turned, and the box that is drawn on it.

    Raises
    ------
    LandmarkError
        If it is missing, may not be read, or is no photograph.
    """
    data, etag = read_object(client, path)
    pixels = framed_picture(decode_isolated(data, path, side_px), framing)
    return to_jpeg(Image.fromarray(pixels)), etag


def kept_picture(etag: str) -> bytes | None:
    """A picture that was drawn before."""
    with _lock:
        return _kept.get(etag)


def keep_picture(etag: str, draw: Callable[[], tuple[bytes, str]]) -> tuple[bytes, str]:
    """A picture and its etag: drawn, unless somebody else has waited for the same.

    Parameters
    ----------
    etag : str
        Of what is wanted.
    draw : callable
        Gives the picture and its etag, another one if what it shows has changed since.
    """
    body = kept_picture(etag)
    if body is None:
        body, etag = draw()
        if len(body) <= PICTURES_KEPT_BYTES:
            with _lock:
                _kept[etag] = body
    return body, etag
