"""Which objects of a bucket are photographs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from landmark.storage.bucket import S3Object, list_objects

IMAGE_SUFFIXES = frozenset(
    [
        "jpg",
        "jpeg",
        "jpe",
        "png",
        "webp",
        "tif",
        "tiff",
        "bmp",
        "gif",
        "jp2",
        "avif",
        "heic",
        "heif",
    ]
)


def is_image(path: str) -> bool:
    """Whether an object is taken for a photograph, by its key.

    Keys without a suffix are: they are common, and the decoder decides. A suffix that says
    otherwise (`.txt`, `.json`) is passed over, rather than recorded as a failure every night.
    """
    name = path.rsplit("/", 1)[-1]
    stem, dot, suffix = name.rpartition(".")
    return bool(name) and (not dot or not stem or suffix.lower() in IMAGE_SUFFIXES)


def list_images(client: Any, images: str, results: str) -> Iterator[S3Object]:
    """Stream the photographs below the prefix `images`, without our own results."""
    for entry in list_objects(client, images):
        if is_image(entry.path) and not entry.path.startswith(results):
            yield entry
