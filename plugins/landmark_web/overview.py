"""The searches of a run as a reader wants them: of one outcome, in an order, with neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from landmark.search.single import Search

#: What needs a look first.
BY_NEED = ("uncertain", "match", "no match", "failed")
Outcome = Literal["uncertain", "match", "no match", "failed"]
Sort = Literal["uncertain", "asked", "name", "inliers"]
SORTS: dict[Sort, str] = {
    "uncertain": "uncertain first",
    "asked": "as asked",
    "name": "by name",
    "inliers": "by inliers",
}


class View(NamedTuple):
    """What a reader has chosen of a run's searches.

    Parameters
    ----------
    outcome : str or None
        Only those that came out so.
    sort : str or None
    """

    outcome: Outcome | None = None
    sort: Sort | None = None

    @property
    def words(self) -> dict[str, Any]:
        """What an address says of it."""
        return {name: value for name, value in self._asdict().items() if value}


#: As a page is opened.
AS_IT_IS = View()


class Numbered(NamedTuple):
    """A search and its number in the run, from 1 on."""

    number: int
    search: Search


def in_view(searches: Sequence[Search], view: View) -> list[Numbered]:
    """Those of an outcome, in the order of the view; without one, what is uncertain first."""
    numbered = [Numbered(number, search) for number, search in enumerate(searches, 1)]
    chosen = [one for one in numbered if view.outcome in (None, one.search.outcome)]
    if view.sort == "asked":
        return chosen
    if view.sort == "name":
        return sorted(chosen, key=lambda one: one.search.query)
    if view.sort == "inliers":
        return sorted(chosen, key=lambda one: -one.search.inliers)
    return sorted(chosen, key=lambda one: _need(one.search.outcome))


def neighbours(
    searches: Sequence[Search], view: View, number: int
) -> tuple[int | None, int | None]:
    """The numbers of the searches before and after one; None where there is none in view."""
    numbers = [one.number for one in in_view(searches, view)]
    if number not in numbers:
        return None, None
    place = numbers.index(number)
    before = numbers[place - 1] if place else None
    return before, numbers[place + 1] if place + 1 < len(numbers) else None


def counts_of(searches: Sequence[Search]) -> dict[str, int]:
    """How many searches came out how, what needs a look first; only what there is."""
    outcomes = [search.outcome for search in searches]
    return {name: outcomes.count(name) for name in BY_NEED if name in outcomes}


def common_folder(paths: Sequence[str]) -> str:
    """The folder that all paths lie below, ``s3://bucket/…/``; empty if they have none."""
    folders = [path.split("/")[:-1] for path in paths]
    common = []
    for parts in zip(*folders, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return "/".join(common) + "/" if len(common) > 2 else ""


def _need(outcome: str | None) -> int:
    return BY_NEED.index(outcome) if outcome in BY_NEED else -1  # it waits, and stays where it is
