"""From a filled-in form to a run of landmark_search."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from landmark.errors import LandmarkError
from landmark.index.photographs import PHOTOGRAPHS
from landmark.matching.ranking import MIN_INLIERS
from landmark.search.asking import check_framing, entries, refusal
from landmark.search.framing import read_framing
from landmark.search.queries import find_queries, look_at
from landmark_airflow import Landmark
from landmark_web.limits import DECODING, LISTING, MAX_UPLOAD_BYTES, REST_BYTES
from landmark_web.runs import SEARCH, trigger
from landmark_web.uploads import upload

MODES = ("auto", "exhaustive", "shortlist")
RANKINGS = ("graph", "inliers")
#: Of a box, in px of the photograph as it is displayed.
SIDES = {"x0": "Left", "y0": "Top", "x1": "Right", "y1": "Bottom"}
TURNS = ("0", "90", "180", "270")
#: So many photographs below prefixes are searched for unasked.
UNASKED = 20
#: What a browser offers to choose: many count HEIC and JPEG 2000 among no images.
ACCEPT = ",".join(["image/*", *(f".{suffix}" for suffix in sorted(PHOTOGRAPHS))])


@dataclass(frozen=True)
class Form:
    """What a user has sent.

    Parameters
    ----------
    fields : mapping
    name : str
        Of the file; empty if there is none.
    photograph : file or None
        On disk: many may wait for their turn.
    """

    fields: Mapping[str, str]
    name: str = ""
    photograph: BinaryIO | None = None


class Doubt(LandmarkError):
    """What a user is asked before a search starts.

    Parameters
    ----------
    reasons : sequence of str
        Of each line that cannot be searched for.
    number : int
        Photographs that can.
    lines : int
    """

    def __init__(self, reasons: Sequence[str], number: int, lines: int) -> None:
        self.reasons, self.number = list(reasons), number
        if reasons:
            told = f"{len(reasons):,} of {lines:,} lines cannot be searched for:"
        else:
            told = f"That is {number:,} photographs."
        super().__init__(told)


def defaults() -> dict[str, str]:
    """What the form says until somebody changes it."""
    return {
        "image_path": "",
        "top_k": "100",
        "min_inliers": str(MIN_INLIERS),
        "mode": MODES[0],
        "ranking": RANKINGS[0],
        "shortlist": "",
        **dict.fromkeys([*SIDES, "turn"], ""),
    }


@asynccontextmanager
async def read_form(request: Request) -> AsyncIterator[Form]:
    """Read a form with at most one file, which is there until the end of the `with` block.

    Raises
    ------
    LandmarkError
        If it is too large, or holds what is no text.
    """
    too_large = LandmarkError(
        f"The photograph is larger than {MAX_UPLOAD_BYTES // 1_000_000} MB; reduce it, or put "
        f"it into S3 and give its path."
    )
    length = request.headers.get("content-length", "")
    if not length.isdigit() or int(length) > MAX_UPLOAD_BYTES + REST_BYTES:
        raise too_large
    async with request.form(max_files=1, max_fields=20) as form:
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        _check_text(fields)
        file = form.get("photograph")
        if isinstance(file, UploadFile) and file.filename:
            if (file.size or 0) > MAX_UPLOAD_BYTES:
                raise too_large
            yield Form(fields, file.filename, file.file)
        else:
            yield Form(fields)


async def start(request: Request, user: Any, form: Form, landmark: Landmark) -> str:
    """Trigger the search and return the run's id.

    Raises
    ------
    LandmarkError
        If the form, the photograph or Airflow does not allow it; the reason in one line.
    """
    lines = entries(form.fields.get("image_path", ""))
    if form.name and lines:
        raise LandmarkError("Give a path or a photograph to upload, not both.")
    if not form.name and not lines:
        raise LandmarkError("Give the path of a photograph, s3://bucket/key, or upload one.")
    conf: dict[str, Any] = {
        "top_k": _whole_number(form.fields, "top_k", "Matches"),
        "min_inliers": _whole_number(form.fields, "min_inliers", "Least inliers"),
        "mode": form.fields.get("mode", MODES[0]),
        "ranking": form.fields.get("ranking", RANKINGS[0]),
        **_framing(form.fields),
    }
    if form.fields.get("shortlist"):
        conf["shortlist"] = _whole_number(form.fields, "shortlist", "Shortlist")
    check_framing(lines or [form.name], conf.get("box"))
    if form.photograph is None:
        paths = await LISTING.run(user, _look_at, landmark, lines, form.fields.get("agreed", ""))
        conf["image_path"] = paths[0] if len(paths) == 1 else paths
        conf["add_to_index"] = _adds(form.fields, landmark, paths)
    else:
        uploaded = await DECODING.run(user, upload, landmark, form.name, form.photograph)
        conf["image_path"] = uploaded
        conf["add_to_index"] = _adds(form.fields, landmark, [uploaded])
    return await run_in_threadpool(trigger, request, user, SEARCH, conf)


def _adds(fields: Mapping[str, str], landmark: Landmark, paths: Sequence[str]) -> bool:
    """Whether a run adds what it searches for to the index: with an upload only if that is said."""
    if "add_to_index" not in fields or "add_uploads" in fields:
        return "add_to_index" in fields
    uploads = landmark.settings.uploads
    return uploads is None or not any(
        path.startswith(uploads) or (path.endswith("/") and uploads.startswith(path))
        for path in paths
    )


def _check_text(fields: Mapping[str, str]) -> None:
    """Refuse NUL and lone surrogates, which neither Postgres nor S3 takes."""
    for name, value in fields.items():
        try:
            is_text = b"\0" not in value.encode()
        except UnicodeEncodeError:
            is_text = False
        if not is_text:
            raise LandmarkError(f"{name}: holds a character that is no text; type it anew.")


def _look_at(landmark: Landmark, lines: Sequence[str], agreed: str) -> list[str]:
    """What of some lines is searched for, if the user agrees to it.

    Raises
    ------
    LandmarkError
        If it is nothing, or more than one run may search for.
    Doubt
        If lines cannot be searched for and others can, or a prefix means many photographs, unless
        the user has agreed to just this number.
    """
    settings = landmark.settings
    targets: dict[str, str] = {}  # of each line what is searched for
    why: dict[str, str] = {}  # or why not
    for line in lines:
        refused = refusal(line, settings.check_queries)
        if refused is None:
            targets[line] = line
        else:
            why[line] = refused
    files = [line for line in targets if not line.endswith("/")]
    if len(files) <= settings.max_queries:  # else none is looked at: it is said below
        for line, target in zip(files, look_at(landmark.s3, files), strict=True):
            if isinstance(target, LandmarkError):
                why[line] = str(target)
                del targets[line]
            else:
                targets[line] = target
    asked = list(dict.fromkeys(targets.values()))
    found = find_queries(
        landmark.s3, asked, settings.results, settings.max_queries, settings.exclude
    )
    empty = {path: reason for path, reason in found if reason is not None}
    why |= {line: empty[target] for line, target in targets.items() if target in empty}
    reasons = [why[line] for line in lines if line in why]
    good, number = [path for path in asked if path not in empty], len(found) - len(empty)
    if not good and len(reasons) == 1:
        raise LandmarkError(reasons[0])
    is_many = number > UNASKED and any(path.endswith("/") for path in good)
    if (reasons or is_many) and agreed != str(number):
        raise Doubt(reasons, number, len(lines))
    return good


def _framing(fields: Mapping[str, str]) -> dict[str, Any]:
    """The box and the turn of a form; nothing that it leaves empty."""
    found: dict[str, Any] = {}
    if any(fields.get(side) for side in SIDES):
        if not all(fields.get(side) for side in SIDES):
            raise LandmarkError("Box: give all of its four sides, or none.")
        found["box"] = [_whole_number(fields, side, title) for side, title in SIDES.items()]
    if fields.get("turn"):
        found["turn"] = _whole_number(fields, "turn", "Turn")
    read_framing(**found)
    return found


def _whole_number(fields: Mapping[str, str], name: str, title: str) -> int:
    text = fields.get(name) or defaults()[name]
    try:
        return int(text)
    except ValueError:
        raise LandmarkError(f"{title}: {text!r} is not a whole number.") from None
