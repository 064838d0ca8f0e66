"""Photographs that people send to be searched for: where each lies below `LANDMARK_UPLOADS`."""

from __future__ import annotations

import hashlib
import re
from itertools import islice
from typing import Any

from landmark.storage.bucket import ObjectRefused, list_objects, write_object

#: Of a file's name; a key has up to 1,024 with all that stands before it.
MAX_NAME_BYTES = 255
# Of the content's SHA-256, as hex digits: nobody makes a photograph that is taken for another.
HASH_DIGITS = 32
# Those of before were shorter.
_KEY = re.compile(r"([0-9a-f]{16}|[0-9a-f]{32})/[^/]+")


def kept_name(file_name: str) -> str:
    """What a file is called, in whatever letters; a part of a key, and one line of text."""
    name = re.split(r"[/\\]", file_name)[-1]
    name = "".join(letter for letter in name if letter.isprintable()).strip()
    if name in ("", ".", ".."):
        return "photograph"
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix) > 10:
        stem, dot, suffix = name, "", ""
    end = (dot + suffix).encode()
    return (stem.encode()[: MAX_NAME_BYTES - len(end)] + end).decode(errors="ignore")


def keep_upload(client: Any, uploads: str, name: str, data: bytes) -> str:
    """Put a photograph below `uploads`, and return its path; the same bytes are one object.

    It keeps the name that it came by first. It is written again each time: so its lifetime begins
    anew.
    """
    folder = f"{uploads}{_digits(data)[:HASH_DIGITS]}/"
    try:
        known = [found.path for found in islice(list_objects(client, folder), 1)]
    except ObjectRefused:  # who may not list has an object for each name
        known = []
    path = known[0] if known else folder + name
    write_object(client, path, data, "application/octet-stream")
    return path


def may_be_upload(path: str, uploads: str) -> bool:
    """Whether a path has the form that `keep_upload` gives."""
    return path.startswith(uploads) and bool(_KEY.fullmatch(path.removeprefix(uploads)))


def is_upload(path: str, uploads: str, data: bytes) -> bool:
    """Whether `keep_upload` has put these bytes there."""
    found = _KEY.fullmatch(path.removeprefix(uploads))
    return found is not None and _digits(data).startswith(found[1])


def _digits(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
