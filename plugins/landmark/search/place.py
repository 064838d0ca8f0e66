"""Which place a search has found, and where that is: the one of its sure matches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from landmark.matching.ranking import Match, verdict
from landmark.matching.whereabouts import Whereabouts, whereabouts
from landmark.search.copies import ungrouped
from landmark.storage.database import Database
from landmark.storage.images import coordinates_of
from landmark.storage.places import find_place, places_of_paths


@dataclass(frozen=True)
class FoundPlace:
    """The place that a query shows, as it was when the search ran.

    Parameters
    ----------
    id : int
    name : str or None
        What people call it.
    photographs : int
        How many of the index show it.
    """

    id: int
    name: str | None
    photographs: int

    @property
    def title(self) -> str:
        """How it is called: by its name, or by its number where nobody has named it."""
        return self.name or f"place {self.id}"

    @property
    def size(self) -> str:
        """Its photographs, as people read it."""
        return f"{self.photographs} photograph{'' if self.photographs == 1 else 's'}"


def sure_matches(matches: Sequence[Match]) -> list[Match]:
    """Those that the query itself matches, each sure enough for the verdict ``match``."""
    return [match for match in matches if verdict([match]) == "match"]


def place_of(matches: Sequence[Match], places: Mapping[str, int]) -> int | None:
    """The place that most of the sure matches show; of several that of the better ranked.

    Parameters
    ----------
    matches : sequence of Match
        Best first.
    places : mapping of str to int
        Of images that are in a place, by path, its id.

    Returns
    -------
    int or None
        None if nothing sure was found, or it is in no place.
    """
    found = Counter(
        places[match.image_path] for match in sure_matches(matches) if match.image_path in places
    )
    return next((place for place, _ in found.most_common(1)), None)  # the first of as many


def find_place_of(database: Database, model: str, matches: Sequence[Match]) -> FoundPlace | None:
    """`place_of` by the table, with its name."""
    paths = [match.image_path for match in sure_matches(matches)]
    number = place_of(matches, places_of_paths(database, model, paths)) if paths else None
    place = None if number is None else find_place(database, number)
    return place and FoundPlace(place.id, place.name, place.images)


def find_whereabouts(
    database: Database, model: str, matches: Sequence[Match]
) -> Whereabouts | None:
    """Where the sure matches say that they were taken; None where none does."""
    paths = [match.image_path for match in sure_matches(ungrouped(matches))]
    return whereabouts(coordinates_of(database, model, paths)) if paths else None
