"""Results as a table for spreadsheets: CSV of RFC 4180, a row for each match."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from landmark.errors import LandmarkError
from landmark.matching.ranking import FAILED, Match, verdict
from landmark.search.result import COLUMNS, CONTROL_CHARACTERS, SearchResult
from landmark.search.searches import Search

HEADER = ("query", "outcome", *COLUMNS, "verdict", "reason")
#: A cell that begins so is computed by spreadsheets, whatever a key in S3 is called.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "＝", "＋", "－", "＠")  # noqa: RUF001
HARMLESS = "'"


def csv_rows(
    searches: Iterable[Search], result_of: Callable[[int, Search], SearchResult]
) -> Iterator[bytes]:
    """A header row, then a row for each match of each search; one without match has one row.

    Parameters
    ----------
    searches : iterable of Search
    result_of : callable
        Reads the result of a search, given its number from 1 on as well; what it raises as
        `LandmarkError` is the reason in that search's row.

    Yields
    ------
    bytes
        UTF-8, some lines each.
    """
    yield _lines([HEADER])
    for number, search in enumerate(searches, 1):
        outcome, reason = search.outcome or "", search.reason or ""
        rows: list[list[Any]] = []
        if outcome not in ("", FAILED):
            try:
                rows = list(_rows(search.query, result_of(number, search)))
            except LandmarkError as error:
                outcome, reason = FAILED, str(error)
        yield _lines(rows or [[search.query, outcome, *[""] * len(COLUMNS), "", reason]])


def _rows(query: str, result: SearchResult) -> Iterator[list[Any]]:
    said = [_says(one) for match in result.matches for one in (match, *match.copies)]
    for columns, word in zip(result.rows(), said, strict=True):
        yield [query, result.verdict, *columns, word, ""]


def _says(match: Match) -> str:
    return "by way of" if match.via else verdict([match])


def _lines(rows: Iterable[Iterable[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows([_cell(cell) for cell in row] for row in rows)
    return text.getvalue().encode(errors="replace")


def _cell(value: Any) -> Any:
    """A number as it is; a text in one line, and never a formula."""
    if not isinstance(value, str):
        return value
    is_formula = value.lstrip(" ").startswith(FORMULA)
    text = value.translate(CONTROL_CHARACTERS)
    return HARMLESS + text if is_formula else text
