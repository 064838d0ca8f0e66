"""Photographs that users send: checked, and put below `LANDMARK_UPLOADS`."""

from __future__ import annotations

import hashlib
import re
from typing import BinaryIO

from landmark.errors import LandmarkError
from landmark.extraction.sandbox import decode_isolated
from landmark.storage.bucket import write_object
from landmark_airflow import Landmark
from landmark_web.limits import CHECK_SIDE_PX, MAX_NAME_BYTES


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


def upload(landmark: Landmark, file_name: str, photograph: BinaryIO) -> str:
    """Put a photograph there, and return its path; the same file twice is one object.

    Raises
    ------
    LandmarkError
        If there is no such place, or it is no photograph; with the reason.
    """
    uploads = landmark.settings.uploads
    if uploads is None:
        raise LandmarkError("LANDMARK_UPLOADS is not set, so nothing can be uploaded; give a path.")
    name = kept_name(file_name)
    data = photograph.read()
    decode_isolated(data, name, CHECK_SIDE_PX)
    path = f"{uploads}{hashlib.sha256(data).hexdigest()[:16]}/{name}"
    write_object(landmark.s3, path, data, "application/octet-stream")
    return path
