"""Small pictures: decoded in another process, and always encoded anew."""

from __future__ import annotations

from typing import Any

from PIL import Image

from landmark.extraction.sandbox import decode_isolated
from landmark.search.drawing import to_jpeg
from landmark.storage.bucket import read_object


def thumbnail(client: Any, path: str, side_px: int) -> tuple[bytes, str]:
    """A photograph in S3 as a JPEG of our own, and the etag of the photograph.

    Nothing of the file itself is passed on: no metadata, no hidden content, no foreign format.

    Parameters
    ----------
    side_px : int
        Longest side of the picture.

    Raises
    ------
    LandmarkError
        If it is missing, may not be read, or is no photograph.
    """
    data, etag = read_object(client, path)
    return to_jpeg(Image.fromarray(decode_isolated(data, path, side_px).pixels)), etag
