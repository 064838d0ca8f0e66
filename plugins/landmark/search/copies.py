"""Copies of one photograph stand as one match in a result."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from landmark.matching.ranking import Match
from landmark.storage.database import Database
from landmark.storage.edges import copies_among


def grouped(database: Database, model: str, matches: Sequence[Match]) -> list[Match]:
    """Matches in their order, each followed by nothing that is a copy of it: it holds these.

    What the match graph knows to be copies counts; of images that wait to be linked nothing does.
    Only copies of the first of a group join it: of pictures that change little by little, as of a
    camera that stands, the last is no copy of the first.
    """
    places = {match.image_path: place for place, match in enumerate(matches)}
    alike = defaultdict(list)
    for one, two in copies_among(database, model, list(places)):
        first, second = sorted((places[one], places[two]))
        alike[first].append(second)
    taken: set[int] = set()
    groups = []
    for place, match in enumerate(matches):
        if place in taken:
            continue
        copies = sorted(copy for copy in alike[place] if copy not in taken)
        taken.update(copies)
        groups.append(match._replace(copies=tuple(matches[copy] for copy in copies)))
    return groups


def ungrouped(matches: Sequence[Match]) -> list[Match]:
    """Every match and every copy on its own, a copy after what it is a copy of."""
    return [one for match in matches for one in (match._replace(copies=()), *match.copies)]
