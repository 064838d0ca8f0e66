"""Results and uploads that have had their time, or that somebody removes.

Only what is ours is deleted: a result whose folder a run has claimed, by names that a search gives;
an upload whose key has the hash of its content.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from landmark.errors import LandmarkError, ServerFault, in_one_line
from landmark.search.folders import delete_files
from landmark.search.searches import OVERVIEW_JSON, OVERVIEW_TEXT, Searches, read_overview
from landmark.search.uploads import is_upload, may_be_upload
from landmark.storage.bucket import delete_object, list_with_times, read_etag, read_object
from landmark.storage.database import Database
from landmark.storage.images import indexed_among

logger = logging.getLogger(__name__)

# Uploads that are looked up in the index at a time.
LOOKED_UP = 1_000
FAULTS = (LandmarkError, ServerFault, ClientError, BotoCoreError)


def remove_result(client: Any, searches: Searches) -> int:
    """Delete what a run has written into its folder, the file by which it is its own at the end.

    Parameters
    ----------
    searches : Searches
        As `landmark.search.searches.read_own` or `read_overview` has read them there.

    Returns
    -------
    int
        Files deleted.

    Raises
    ------
    LandmarkError
        If the run has begun to write anew, or S3 refuses; what is left is removed by the next try.
    """
    claim = searches.folder + OVERVIEW_JSON
    version = read_etag(client, claim)
    deleted = delete_files(client, searches.folder, OVERVIEW_JSON)
    delete_object(client, searches.folder + OVERVIEW_TEXT)
    if read_etag(client, claim) != version:
        raise LandmarkError(f"{claim}: its run writes again; remove it once that has ended")
    delete_object(client, claim)
    return deleted + 2


def days_ago(days: int) -> datetime:
    """The moment so long before now."""
    return datetime.now(timezone.utc) - timedelta(days=days)


def remove_old_results(client: Any, results: str, before: datetime) -> int:
    """Delete results that were written before a moment; return how many runs'.

    A result that cannot be removed stays, with a line in the log, and so does what is no result.
    """
    claims = [
        path
        for path in _written_before(client, results, before)
        if path.endswith("/" + OVERVIEW_JSON) and path != results + OVERVIEW_JSON
    ]
    removed = 0
    for claim in claims:
        folder = claim.removesuffix(OVERVIEW_JSON)
        try:
            searches = read_overview(client, folder)
            if searches.folder != folder:
                raise LandmarkError(f"{claim}: was written for {searches.folder}")
            remove_result(client, searches)
        except FAULTS as error:
            logger.warning("%s is not removed: %s", folder, in_one_line(str(error)))
            continue
        logger.info("%s: result of the run %s removed", folder, in_one_line(searches.run_id))
        removed += 1
    return removed


def remove_old_uploads(database: Database, client: Any, uploads: str, before: datetime) -> int:
    """Delete uploads that came before a moment and are not in the index; return how many."""
    old = (
        path for path in _written_before(client, uploads, before) if may_be_upload(path, uploads)
    )
    removed = 0
    while paths := list(islice(old, LOOKED_UP)):
        indexed = indexed_among(database, paths)
        for path in paths:
            if path in indexed:
                continue
            try:
                data, _ = read_object(client, path)
                if not is_upload(path, uploads, data):
                    logger.warning("%s stays: its key is not that of its content", path)
                    continue
                delete_object(client, path)
            except FAULTS as error:
                logger.warning("%s is not removed: %s", path, in_one_line(str(error)))
                continue
            removed += 1
    return removed


def _written_before(client: Any, prefix: str, before: datetime) -> Iterator[str]:
    """What nobody has written since; what S3 tells no time of is not among it."""
    for entry, modified in list_with_times(client, prefix):
        if modified is not None and modified < before:
            yield entry.path
