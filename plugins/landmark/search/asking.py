"""What people write as the photographs to search for: taken apart, understood, or refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from landmark.errors import LandmarkError, in_one_line

SCHEME = "s3://"
REASONS_TOLD = 3
#: What programs and people put around a path that they copy; none begins an S3 path.
QUOTES = {'"': '"', "'": "'", "`": "`", "“": "”", "„": "“", "«": "»", "<": ">"}


def entries(asked: str | Sequence[str]) -> list[str]:
    """Each photograph or prefix once, in the order of asking.

    Parameters
    ----------
    asked : str or sequence of str
        A text of one or more lines; or a list, of which each is one, whatever its key holds.
    """
    if isinstance(asked, str):
        lines = [line.strip() for line in re.split(r"[\r\n]+", asked)]
        asked = [line for line in lines if line]
    return list(dict.fromkeys(understood(entry) for entry in asked))


def is_one(asked: str | Sequence[str]) -> bool:
    """Whether a search is for one photograph; else for a list, or what is below a prefix."""
    if not isinstance(asked, str):
        return False
    found = entries(asked)
    return len(found) <= 1 and not "".join(found).endswith("/")


def check_framing(asked: str | Sequence[str], box: object) -> None:
    """Refuse a box that goes with anything but one photograph.

    Raises
    ------
    LandmarkError
    """
    found = entries(asked)
    if box is not None and (len(found) != 1 or found[0].endswith("/")):
        raise LandmarkError("box: goes with exactly one photograph; name one, and no folder")


def understood(entry: str) -> str:
    """A path without the quotes around it, its scheme in small letters."""
    bare = entry.strip()
    if bare and bare[0] in QUOTES:
        bare = bare[1:].rstrip(",; ").removesuffix(QUOTES[bare[0]]).strip()
        entry = bare
    scheme = entry.lstrip()[: len(SCHEME)]
    return SCHEME + entry.lstrip()[len(SCHEME) :] if scheme.lower() == SCHEME else entry


def check_form(entry: str) -> None:
    """Refuse what is no path in S3, whatever lies there.

    Raises
    ------
    LandmarkError
        With the remedy.
    """
    from landmark.storage.bucket import MAX_KEY_BYTES  # every process of Airflow imports this file

    shown = in_one_line(entry)
    try:
        size = len(entry.encode())
    except UnicodeEncodeError:
        size = -1
    if size < 0 or "\0" in entry:
        raise LandmarkError(f"{shown}: holds a character that is no text; type it anew")
    bucket, slash, _ = entry.removeprefix(SCHEME).partition("/")
    if not entry.startswith(SCHEME) or not bucket:
        raise LandmarkError(f"{shown}: not a path in S3; write s3://bucket/key")
    if not slash:
        raise LandmarkError(f"{shown}: names a bucket; write {shown}/ for all that is in it")
    if size - len(f"{SCHEME}{bucket}/".encode()) > MAX_KEY_BYTES:
        raise LandmarkError(f"{shown[:100]}…: longer than a key of S3 can be; check the path")


def refusal(entry: str, check: Callable[[str], None]) -> str | None:
    """Why an entry is no path or, by `check`, may not be searched for; None if it may."""
    try:
        check_form(entry)
        check(entry)
    except LandmarkError as error:
        return str(error)
    return None


def check_any(asked: str | Sequence[str], check: Callable[[str], None]) -> None:
    """Refuse what holds nothing that may be searched for, before anything at all is read.

    Raises
    ------
    LandmarkError
        With the first reasons.
    """
    reasons = [refusal(entry, check) for entry in entries(asked)]
    told = [reason for reason in reasons if reason is not None]
    if len(told) == len(reasons):
        raise LandmarkError("; ".join(told[:REASONS_TOLD]) or "image_path: names no photograph")
