"""A run of several photographs: all its searches, those of one outcome, in an order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import Request, Response

from landmark.matching.ranking import FAILED
from landmark.search.single import Search
from landmark_web.limits import QUERIES_A_PAGE, pages_of
from landmark_web.overview import SORTS, View, common_folder, counts_of, in_view
from landmark_web.permissions import allowed, may_cancel, may_search
from landmark_web.responses import html, see_other
from landmark_web.runs import STEPS, Run


def several_page(
    request: Request, user: Any, run: Run, searches: Sequence[Search], page: int, view: View
) -> Response:
    """A page of a run's searches."""
    shown = in_view(searches, view)
    pages = pages_of(len(shown), QUERIES_A_PAGE)
    if page > pages:
        return see_other(request, "searches", run.run_id, page=pages, **view.words)
    first = (page - 1) * QUERIES_A_PAGE
    return html(
        request,
        "several.html",
        run=run,
        searches=len(searches),
        failed=sum(search.outcome == FAILED for search in searches),
        steps=STEPS,
        prefix=common_folder([search.query for search in searches]),
        counts=counts_of(searches),
        view=view,
        sorts=SORTS,
        shown=shown[first : first + QUERIES_A_PAGE],
        allowed=allowed(request, user, may_search),
        may_cancel=allowed(request, user, may_cancel),
        page=page,
        pages=pages,
    )
