"""Photographs that users send: checked, and put below `LANDMARK_UPLOADS`."""

from __future__ import annotations

from typing import BinaryIO

from landmark.errors import LandmarkError
from landmark.extraction.sandbox import decode_isolated
from landmark.search.uploads import keep_upload, kept_name
from landmark_airflow import Landmark
from landmark_web.limits import CHECK_SIDE_PX


def upload(landmark: Landmark, file_name: str, photograph: BinaryIO) -> str:
    """Put a photograph there, and return its path; the same bytes twice are one object.

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
    return keep_upload(landmark.s3, uploads, name, data)
