"""A search that one press of a button on a result has begun: where that was, for its undo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from fastapi import Request

from landmark_web.runs import Run

#: A run's id, the number of a search of it, and the rank of a match: as an address has them.
WORDS = ("begun_at", "at_query", "at_match")


class Begun(NamedTuple):
    """Where a search was begun.

    Parameters
    ----------
    run_id : str
    query : str
        Of several searches its number; else empty.
    match : str
        The rank of the match beside which the button is; else empty.
    """

    run_id: str
    query: str
    match: str

    @property
    def words(self) -> dict[str, Any]:
        """What an address of the new run says of it."""
        return {word: value for word, value in zip(WORDS, self, strict=True) if value}


def read_begun(fields: Mapping[str, str]) -> Begun | None:
    """What an address or a form says of it; None if nothing that can be right."""
    run_id, query, match = (fields.get(word, "") for word in WORDS)
    is_right = run_id and len(run_id) <= 250 and all(n.isdecimal() for n in (query, match) if n)
    return Begun(run_id, query[:9], match[:9]) if is_right else None


def begun_at(request: Request, run: Run) -> Begun | None:
    """Where a run was begun that has no answer yet."""
    return None if run.is_over or run.answer else read_begun(request.query_params)
