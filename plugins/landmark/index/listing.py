"""Which objects of a bucket are photographs."""

from __future__ import annotations

from collections import Counter
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

# Of what is passed over; a bucket may hold any number of suffixes.
REASONS_KEPT, SUFFIX_CHARACTERS = 50, 20


def is_image(path: str) -> bool:
    """Whether an object is taken for a photograph, by its key.

    Keys without a suffix are: they are common, and the decoder decides. A suffix that says
    otherwise (`.txt`, `.json`) is passed over, rather than recorded as a failure every night.
    """
    name = path.rsplit("/", 1)[-1]
    stem, dot, suffix = name.rpartition(".")
    return bool(name) and (not dot or not stem or suffix.lower() in IMAGE_SUFFIXES)


class Listing:
    """The photographs below a prefix, streamed, without our own results.

    Parameters
    ----------
    client : boto3 client
    images : str
        ``s3://bucket/prefix/``
    results : str
        `LANDMARK_RESULTS`, where no photographs are.

    Attributes
    ----------
    passed_over : Counter of str
        What was listed and is no photograph, so far: by suffix, or ``results``, or ``key``, by
        which nothing can be asked for.
    """

    def __init__(self, client: Any, images: str, results: str) -> None:
        self._client, self._images, self._results = client, images, results
        self.passed_over: Counter[str] = Counter()

    def __iter__(self) -> Iterator[S3Object]:
        for entry in list_objects(self._client, self._images, lambda key: self._pass_over("key")):
            if entry.path.startswith(self._results):
                self._pass_over("results")
            elif is_image(entry.path):
                yield entry
            elif not entry.path.endswith("/"):  # else a folder, as consoles make them
                self._pass_over(_suffix(entry.path))

    def _pass_over(self, reason: str) -> None:
        known = reason in self.passed_over or len(self.passed_over) < REASONS_KEPT
        self.passed_over[reason if known else "others"] += 1


def _suffix(path: str) -> str:
    """Of a key, in lower case, as people tell files apart."""
    name = path.rsplit("/", 1)[-1].lower()
    return "." + name.rpartition(".")[2][:SUFFIX_CHARACTERS]
