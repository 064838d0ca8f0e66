"""Results as tables: in columns for a terminal, and as CSV of RFC 4180 for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from landmark.errors import LandmarkError, in_one_line
from landmark.matching.ranking import FAILED, Match, word_of
from landmark.search.result import COLUMNS, CONTROL_CHARACTERS, SearchResult
from landmark.search.single import Search

HEADER = ("query", "outcome", *COLUMNS, "verdict", "reason")
#: A cell that begins so is computed by spreadsheets, whatever a key in S3 is called.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "＝", "＋", "－", "＠")  # noqa: RUF001
HARMLESS = "'"


def in_columns(matches: Sequence[Match], below: str = "") -> list[str]:
    """The columns' names, then a line for each match, best first.

    Parameters
    ----------
    below : str
        What is left out of the paths that begin with it.
    """
    lines = [f"{'rank':>4}  {'inliers':>7}  {'expected':>8}  {'verdict':<9}  photograph"]
    for rank, match in enumerate(matches, 1):
        expected = "" if match.expected is None else f"{match.expected:.2g}"
        path = in_one_line(match.image_path.removeprefix(below))
        lines.append(f"{rank:>4}  {match.inliers:>7}  {expected:>8}  {word_of(match):<9}  {path}")
    return lines


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
    said = [word_of(one) for match in result.matches for one in (match, *match.copies)]
    for columns, word in zip(result.rows(), said, strict=True):
        yield [query, result.verdict, *columns, word, ""]


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
