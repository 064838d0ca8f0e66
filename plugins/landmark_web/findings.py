"""What the searches of a run have found, as it lies in S3; 404 where that is nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, HTTPException, Query

from landmark.errors import LandmarkError
from landmark.matching.ranking import FAILED, Match
from landmark.search.lifetimes import remove_result
from landmark.search.result import SearchResult, read_result, result_folder
from landmark.search.searches import Searches, read_overview, read_own
from landmark.search.single import Search
from landmark.storage.bucket import ObjectMissing
from landmark.storage.corrections import Correction, pair_of, standing_among
from landmark_web.connection import connected
from landmark_web.limits import KEPT_S, RESULTS_KEPT, SEARCHES_KEPT, forget, kept
from landmark_web.overview import AS_IT_IS, Outcome, Sort, View
from landmark_web.runs import SEARCH, Run, find_run

#: So that a picture's place can tell a removed result from a deleted photograph.
RESULT_GONE = {"Landmark-Gone": "result"}


class Asked(NamedTuple):
    """One photograph of a run.

    Parameters
    ----------
    run : Run
    number : int
        From 1 on.
    search : Search
    view : View
        What its reader has chosen of the list that it was opened from.
    """

    run: Run
    number: int
    search: Search
    view: View = AS_IT_IS

    @property
    def where(self) -> dict[str, int]:
        """What its addresses have besides the run; nothing if it is the only one."""
        return {} if self.run.is_one else {"query": self.number}

    @property
    def way(self) -> dict[str, Any]:
        """The same for its pages, which lead back to the list as its reader had it."""
        return {} if self.run.is_one else {**self.where, **self.view.words}


def asked(
    run_id: str,
    query: Annotated[int, Query(ge=1)] = 1,
    outcome: Outcome | None = None,
    sort: Sort | None = None,
) -> Asked:
    """The photograph of a run that an address names by its number."""
    return search_of(find_run(SEARCH, run_id), query, View(outcome, sort))


OneSearch = Annotated[Asked, Depends(asked)]


def search_of(run: Run, number: int, view: View = AS_IT_IS) -> Asked:
    """One of a run's searches, by its number from 1 on."""
    searches = searches_of(run).searches
    if number > len(searches):
        raise HTTPException(404, f"The run has {len(searches)} searches; there is no {number}.")
    found = searches[number - 1]
    if not found.folder.startswith(folder_of(run)):
        raise LandmarkError(f"{found.folder}: not a folder of {run.run_id}; search again")
    _below_results(found.folder, run)
    return Asked(run, number, found, view)


def searches_of(run: Run) -> Searches:
    """All of a run's searches."""
    folder = folder_of(run)
    try:
        searches = _read_overview(folder, run.version, bool(run.answer))
    except ObjectMissing:
        raise HTTPException(
            410,
            f"The result of {run.run_id} was removed, or has had its time (LANDMARK_RESULTS_DAYS); "
            f"search again.",
            headers=RESULT_GONE,
        ) from None
    if searches.run_id != run.run_id:
        raise HTTPException(404, f"Another run has written its searches to {folder} since.")
    return searches


def folder_of(run: Run) -> str:
    """Where a run writes; not what else its XCom may name."""
    if run.folder is None:
        raise HTTPException(404, "The search has not read its photograph yet.")
    return _below_results(run.folder, run)


def result_of(one: Asked) -> SearchResult:
    """What a search has found."""
    if one.run.answer is None or one.search.outcome == FAILED:
        raise HTTPException(404, "The search has no result.")
    folder = one.search.folder
    result = _read_result(folder, one.run.version)
    if result.query != one.search.query:
        raise HTTPException(404, f"Another search has written its result to {folder} since.")
    return result


def match_of(one: Asked, rank: int) -> Match:
    """One match of a search, by its rank from 1 on."""
    matches = result_of(one).matches
    if not 1 <= rank <= len(matches):
        raise HTTPException(404, f"The result has {len(matches)} matches; there is no {rank}.")
    return matches[rank - 1]


def photographs_of(query: str, matches: Sequence[Match]) -> set[str]:
    """Paths of a query, of some of its matches, and of those by way of which they were found."""
    steps = (step.image_path for match in matches for step in match.via)
    return {query, *(match.image_path for match in matches), *steps}


def words_on(paths: Iterable[str]) -> Callable[[str, str], Correction | None]:
    """Look up what people say of pairs among some photographs by now, whatever a result says."""
    standing = standing_among(connected().database, sorted(paths))
    return lambda one, other: standing.get(pair_of(one, other))


def remove_result_of(run: Run) -> None:
    """Delete what a run has written, if it still is this run's.

    Raises
    ------
    HTTPException
        409 if the run goes on; 410 if there is nothing any more.
    """
    if not run.is_over:
        raise HTTPException(409, "The search goes on; remove its result once it has ended.")
    searches_of(run)
    remove_result(connected().s3, read_own(connected().s3, folder_of(run), run.run_id))
    forget(_read_overview)
    forget(_read_result)


def _below_results(folder: str, run: Run) -> str:
    return result_folder(connected().settings.results, run.run_id, folder)


@kept(KEPT_S, SEARCHES_KEPT)
def _read_overview(folder: str, version: str, is_done: bool) -> Searches:
    """Read anew when the run runs again, and once it has its answer."""
    return read_overview(connected().s3, folder)


@kept(KEPT_S, RESULTS_KEPT)
def _read_result(folder: str, version: str) -> SearchResult:
    """Read anew when the run runs again."""
    return read_result(connected().s3, folder)
