"""The folder of a run: those of its photographs below, and what an earlier try has left there."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Collection
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from landmark.errors import LandmarkError, ServerFault, in_one_line
from landmark.search.result import CONTACT_SHEET, JSON, QUERY, TEXT, TURNED_QUERY
from landmark.storage.bucket import delete_object, list_objects

logger = logging.getLogger(__name__)

NAME_CHARACTERS = 50
# The files of one result, and the folder of one photograph of several: as this software writes
# them. What has another name is somebody else's.
FILE = re.compile("|".join([*map(re.escape, (TEXT, JSON, QUERY, TURNED_QUERY, CONTACT_SHEET)),
                            r"matches/[0-9]{3,}\.jpg"]))  # fmt: skip
FOLDER = re.compile(r"[\w.-]+-[0-9a-f]{16}/")


def query_folder(folder: str, path: str) -> str:
    """The folder of one photograph of several: readable, its own, and always the same.

    Nothing of the path but letters, digits, dots, dashes is in it, so it cannot lead elsewhere.
    """
    key = path.removeprefix("s3://").partition("/")[2]  # of what is no path, too: it fails alone
    name = re.sub(r"[^\w.-]+", "-", "/".join(key.rstrip("/").split("/")[-2:]))
    name = name[-NAME_CHARACTERS:].strip(".-") or "photograph"
    return f"{folder}{name}-{hashlib.sha256(path.encode()).hexdigest()[:16]}/"


def remove_leftovers(client: Any, folder: str, claim: str, kept: Collection[str]) -> None:
    """Delete the files of results in a run's folder that are not among those to be kept.

    What cannot be deleted is told in one line: the new result stands all the same.

    Parameters
    ----------
    folder : str
        ``s3://bucket/…/`` of the run.
    claim : str
        Name of the file that makes a folder a run's own. Such a folder below is another run's.
    kept : collection of str
        ``s3://bucket/key`` each.
    """
    try:
        delete_files(client, folder, claim, kept)
    except (LandmarkError, ServerFault, ClientError, BotoCoreError) as error:
        logger.warning(
            "%s: what an earlier try has left stays beside the new result: %s",
            folder,
            in_one_line(str(error)),
        )


def delete_files(client: Any, folder: str, claim: str, kept: Collection[str] = ()) -> int:
    """Delete the files of results in a run's folder, as `remove_leftovers`; return how many.

    Raises
    ------
    LandmarkError, ServerFault, ClientError, BotoCoreError
        If one cannot be deleted.
    """
    names = [found.path.removeprefix(folder) for found in list_objects(client, folder)]
    others = {name.removesuffix(claim) for name in names if name.endswith("/" + claim)}
    deleted = 0
    for name in names:
        path, below = folder + name, FOLDER.match(name)
        file = name[below.end() :] if below else name
        is_others = below is not None and below[0] in others
        if FILE.fullmatch(file) and path not in kept and not is_others:
            delete_object(client, path)
            deleted += 1
    return deleted
