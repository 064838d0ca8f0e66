"""Which objects of a bucket are photographs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from landmark.errors import LandmarkError, ServerFault
from landmark.index.photographs import HEAD_BYTES, Exclusions, is_by_head, is_by_name, kind_of
from landmark.settings import EXCLUDE
from landmark.storage.bucket import S3Object, list_objects, read_head

# Of what is passed over; a bucket may hold any number of suffixes.
REASONS_KEPT = 50
LOOKS_AT_ONCE = 8
# Objects that are held while the first bytes of some are asked for.
LOOKED_AT = 256


def is_image(path: str) -> bool:
    """Whether an object may be a photograph by its key: it is, or its first bytes tell.

    A suffix that says otherwise (`.txt`, `.json`) is passed over, rather than asked every night.
    """
    return bool(path.rpartition("/")[2]) and is_by_name(path) is not False


class Listing:
    """The photographs below a prefix, streamed, without our own results.

    Iterated over, it gives what may be one by its key, and asks for nothing but the listing.

    Parameters
    ----------
    client : boto3 client
    images : str
        ``s3://bucket/prefix/``
    results : str
        `LANDMARK_RESULTS`, where no photographs are.
    exclude : sequence of str
        Patterns of what is none, whatever it holds; see `Exclusions`.

    Attributes
    ----------
    passed_over : Counter of str
        What was listed and is no photograph, so far: by the pattern that excludes it, by suffix, or
        ``results``, or ``key``, by which nothing can be asked for.
    """

    def __init__(
        self, client: Any, images: str, results: str, exclude: Sequence[str] = EXCLUDE
    ) -> None:
        self._client, self._images, self._results = client, images, results
        self._exclusions = Exclusions(exclude)
        self.passed_over: Counter[str] = Counter()

    def __iter__(self) -> Iterator[S3Object]:
        for entry in list_objects(self._client, self._images, lambda key: self._pass_over("key")):
            pattern = self._exclusions.pattern_of(entry.path.removeprefix(self._images))
            if entry.path.startswith(self._results):
                self._pass_over("results")
            elif pattern is not None:
                self._pass_over(pattern)
            elif is_image(entry.path):
                yield entry
            elif not entry.path.endswith("/"):  # else a folder, as consoles make them
                self._pass_over(kind_of(entry.path))

    def photographs(self) -> Iterator[S3Object]:
        """What is one by its key, or by its first bytes."""
        for entry, is_one in self._looked_at(self):
            if is_one:
                yield entry

    def others(self, objects: Iterable[S3Object]) -> Iterator[S3Object]:
        """Of some of what was listed, what is no photograph by its first bytes."""
        for entry, is_one in self._looked_at(objects):
            if not is_one:
                yield entry

    def _looked_at(self, objects: Iterable[S3Object]) -> Iterator[tuple[S3Object, bool]]:
        rest = iter(objects)
        with ThreadPoolExecutor(LOOKS_AT_ONCE, thread_name_prefix="look") as pool:
            while some := list(islice(rest, LOOKED_AT)):
                asked = [entry for entry in some if is_by_name(entry.path) is None]
                looked = iter(list(pool.map(self._is_by_head, asked)))
                for entry in some:
                    is_one = is_by_name(entry.path)
                    is_one = next(looked) if is_one is None else is_one
                    if not is_one:
                        self._pass_over(kind_of(entry.path))
                    yield entry, is_one

    def _is_by_head(self, entry: S3Object) -> bool:
        if not entry.size:
            return False
        try:
            head = read_head(self._client, entry.path, HEAD_BYTES)
        except (LandmarkError, ServerFault, BotoCoreError, ClientError):
            return True  # who reads it whole says what is wrong
        return head is None or is_by_head(head)

    def _pass_over(self, reason: str) -> None:
        known = reason in self.passed_over or len(self.passed_over) < REASONS_KEPT
        self.passed_over[reason if known else "others"] += 1
