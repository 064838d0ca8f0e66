"""Results to take along: tables of matches; of those selected the originals, and their paths."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

from airflow.api_fastapi.core_api.security import GetUserDep
from botocore.exceptions import BotoCoreError, ClientError
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import StreamingResponse

from landmark.errors import LandmarkError, ServerFault
from landmark.search.result import CONTROL_CHARACTERS, SearchResult
from landmark.search.single import Search
from landmark.search.table import csv_rows
from landmark.search.uploads import kept_name
from landmark.storage.bucket import CHUNK_BYTES, read_object
from landmark_web.connection import connected
from landmark_web.findings import (
    Asked,
    OneSearch,
    match_of,
    result_of,
    search_of,
    searches_of,
)
from landmark_web.limits import LOOKING, MAX_ORIGINALS, MAX_ORIGINALS_BYTES, RESULTS_A_PAGE
from landmark_web.permissions import may_read_searches, may_search, same_origin
from landmark_web.responses import attached, check_shown
from landmark_web.runs import SEARCH, find_run
from landmark_web.small_form import read_fields

router = APIRouter(prefix="/searches/{run_id}", dependencies=[Depends(may_read_searches)])
#: Originals hold what the pages never show of a photograph, such as where it was taken.
forms = APIRouter(
    prefix="/searches/{run_id}", dependencies=[Depends(same_origin), Depends(may_search)]
)

CSV = "text/csv; charset=utf-8; header=present"
LEFT_OUT = "left-out.txt"


@router.get("/matches.csv")
def matches_csv(user: GetUserDep, one: OneSearch) -> StreamingResponse:
    """One photograph's matches, a row each."""
    result = result_of(one)
    rows = csv_rows([one.search], lambda number, search: result)
    return attached(user, rows, "matches.csv", CSV)


@router.get("/searches.csv")
def searches_csv(user: GetUserDep, run_id: str) -> StreamingResponse:
    """The matches of all photographs of a run, a row each."""
    run = find_run(SEARCH, run_id)

    def result(number: int, search: Search) -> SearchResult:
        try:
            return result_of(search_of(run, number))
        except HTTPException as error:
            raise LandmarkError(str(error.detail)) from None
        except (ServerFault, BotoCoreError, ClientError) as error:
            raise LandmarkError(f"S3 does not give it: {error}") from None

    rows = csv_rows(searches_of(run).searches, result)
    return attached(user, rows, "searches.csv", CSV)


@forms.post("/paths.txt")
async def selected_paths(request: Request, user: GetUserDep, one: OneSearch) -> Response:
    """Paths of what is selected, one a line."""
    paths = await LOOKING.run(user, _paths, one, await _ranks(request))
    text = "".join(f"{path.translate(CONTROL_CHARACTERS)}\n" for path in paths)
    return Response(
        text.encode(errors="replace"),
        media_type="text/plain; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="paths.txt"'},
    )


@forms.post("/originals.zip")
async def selected_originals(
    request: Request, user: GetUserDep, one: OneSearch
) -> StreamingResponse:
    """The files of what is selected, as they lie in S3; what is left out is told in a text."""
    ranks = await _ranks(request)
    if len(ranks) > MAX_ORIGINALS:
        raise HTTPException(
            422, f"{len(ranks)} photographs are selected; take at most {MAX_ORIGINALS} at once."
        )
    paths = await LOOKING.run(user, _paths, one, ranks)
    named = list(zip(ranks, paths, strict=True))
    return attached(user, _zipped(connected().s3, named), "photographs.zip", "application/zip")


async def _ranks(request: Request) -> list[int]:
    """What is selected, each once, in the order of the page."""
    fields = await read_fields(request, RESULTS_A_PAGE + 10)
    texts = fields.getlist("rank")
    if not all(text.isascii() and text.isdigit() and len(text) <= 6 for text in texts):
        raise HTTPException(422, "rank: a number is wanted.")
    ranks = list(dict.fromkeys(map(int, texts)))
    if not ranks:
        raise HTTPException(422, "No photograph is selected; tick some of the matches.")
    return ranks


def _paths(one: Asked, ranks: Sequence[int]) -> list[str]:
    paths = [match_of(one, rank).image_path for rank in ranks]
    check_shown(*paths)
    return paths


class _Sink:
    """Takes what is written, until it is fetched; it cannot be gone back in."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        """Nothing is open."""

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _zipped(client: Any, named: Sequence[tuple[int, str]]) -> Iterator[bytes]:
    """A zip of objects, one of them in memory at a time; stored, since photographs are packed."""
    sink, size, left_out = _Sink(), 0, []
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for rank, path in named:
            try:
                if size >= MAX_ORIGINALS_BYTES:
                    raise LandmarkError(f"{path}: the zip is full; take it in another one")
                body, _ = read_object(client, path)
            except (LandmarkError, ServerFault, BotoCoreError, ClientError) as error:
                left_out.append(" ".join(str(error).split()))
                continue
            size += len(body)
            with archive.open(f"{rank:03d} {kept_name(path)}", "w", force_zip64=True) as entry:
                for first in range(0, len(body), CHUNK_BYTES):
                    entry.write(body[first : first + CHUNK_BYTES])
                    yield sink.taken()
            del body
        if left_out:
            archive.writestr(LEFT_OUT, "".join(f"{reason}\n" for reason in left_out))
    yield sink.taken()
