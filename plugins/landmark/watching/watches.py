"""Watches: begun for a photograph or a place, and told of what new photographs have come in."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from landmark.errors import LandmarkError
from landmark.storage import watches
from landmark.storage.database import Database
from landmark.storage.edges import Edge, edges_of, paths_of, versions_of
from landmark.storage.places import Place, find_place, images_of, places_of_paths
from landmark.storage.watches import Watch, WatchReport
from landmark.watching.report import NewPhotograph, Report, write_report

logger = logging.getLogger(__name__)

#: Below LANDMARK_RESULTS.
FOLDER = "watches/"
# More come in the next report.
MOST_PHOTOGRAPHS = 10_000


def start(
    database: Database, model: str, person: str,
    photograph: str | None = None, place: int | None = None,
) -> int:  # fmt: skip
    """Watch a photograph's place, or a place, from now on; return the number of the watch.

    Raises
    ------
    LandmarkError
        If it is neither or both, or the index does not have it.
    """
    if (photograph is None) == (place is None):
        raise LandmarkError("watch: name a photograph or a place; one of the two")
    if photograph is not None:
        if not versions_of(database, model, [photograph]):
            raise LandmarkError(
                f"{photograph}: not in the index, so nothing is known of its place; "
                "search for it with add_to_index, or wait for the next sweep"
            )
        shown = places_of_paths(database, model, [photograph]).get(photograph)
        return watches.start_watch(database, person, photograph, None, shown)
    found = find_place(database, place or 0)
    if found is None:
        raise LandmarkError(f"place {place}: there is none; look it up among the places")
    return watches.start_watch(database, person, None, found.id, found.id)


def tell_watches(
    database: Database, client: Any, results: str, model: str, run_id: str
) -> list[WatchReport]:
    """Report to each watch the photographs that its place has got since it was told last.

    A report lies below ``watches/<watch>/<number>/`` of the results before it is noted that it was
    made: killed in between, the next try writes the same files again. Nothing is told twice.

    Parameters
    ----------
    client
        Of S3.
    results : str
        ``s3://bucket/…/``.
    model : str
        Fingerprint of the one that searches use.
    run_id : str
        Of ``landmark_index``.

    Returns
    -------
    list of WatchReport
        All of this run, those of an earlier try too.
    """
    with database.alone("telling watches"):
        for one in watches.standing_watches(database):
            place = watched_place(database, one, model)
            if place is not None:
                _tell(database, client, results, run_id, one, place)
    reports = watches.reports_of_run(database, run_id)
    for report in reports:
        logger.info(
            "watch %d: %d new photographs of place %d, %s",
            report.watch, report.photographs, report.place, report.folder,
        )  # fmt: skip
    return reports


def watched_place(database: Database, one: Watch, model: str) -> Place | None:
    """What a watch is told of by now; None while its photograph is in no place."""
    number = one.place
    if one.photograph is not None:
        number = places_of_paths(database, model, [one.photograph]).get(one.photograph)
    return None if number is None else find_place(database, number)


def _tell(
    database: Database, client: Any, results: str, run_id: str, one: Watch, place: Place
) -> None:
    new = watches.unreported(database, one.number, place.id, MOST_PHOTOGRAPHS)
    if not new:
        return
    number = watches.next_report(database, one.number)
    folder = f"{results}{FOLDER}{one.number}/{number}/"
    photographs = _with_what_they_agree(database, place.id, new)
    report = Report(one.number, run_id, one.photograph, place.id, place.name, photographs)
    write_report(client, folder, report, one.photograph or place.representative)
    paths = [path for _, path in new]
    watches.save_report(database, one.number, number, run_id, folder, place.id, paths)


def _with_what_they_agree(
    database: Database, place: int, new: Sequence[tuple[int, str]]
) -> list[NewPhotograph]:
    """Of each new photograph the surest edge within the place."""
    ids, inside = [image for image, _ in new], images_of(database, [place])
    surest: dict[int, tuple[int, Edge]] = {}
    for edge in edges_of(database, ids):
        if {edge.first, edge.second} <= inside:
            for image, other in ((edge.first, edge.second), (edge.second, edge.first)):
                if image not in surest or edge.strength > surest[image][1].strength:
                    surest[image] = other, edge
    paths = paths_of(database, [other for other, _ in surest.values()])
    found = []
    for image, path in new:
        if image in surest:
            other, edge = surest[image]
            found.append(NewPhotograph(path, paths.get(other), edge.inliers, edge.said_same))
        else:
            found.append(NewPhotograph(path, None, 0, False))
    return found
