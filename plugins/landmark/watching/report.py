"""A report of new photographs of a place, as files in S3: report.txt, report.json and a picture."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark.errors import LandmarkError
from landmark.extraction.sandbox import decode_isolated
from landmark.matching.ranking import Match
from landmark.search.drawing import CELL_PX, draw_contact_sheet
from landmark.search.result import CONTROL_CHARACTERS, SAME_PLACE
from landmark.storage.bucket import read_object, write_object

logger = logging.getLogger(__name__)

# What lies in a report's folder.
TEXT, JSON, CONTACT_SHEET = "report.txt", "report.json", "contact-sheet.jpg"
# Of report.txt.
COLUMNS = ("inliers", "image_path", "agrees_with", "said")
# The first so many are drawn.
PICTURES = 20


class NewPhotograph(NamedTuple):
    """A photograph that shows a place since lately.

    Parameters
    ----------
    image_path : str
    agrees_with : str or None
        The other photograph of the place with which it has most inliers; None if it has an edge
        with none by now.
    inliers : int
        With that one.
    said_same : bool
        Whether people say that these two show one place.
    """

    image_path: str
    agrees_with: str | None
    inliers: int
    said_same: bool


@dataclass(frozen=True)
class Report:
    """What is new of a place that is watched.

    Parameters
    ----------
    watch : int
        Number of the watch.
    run_id : str
        Of ``landmark_index``.
    watched : str or None
        The photograph that is watched; None where a place is.
    place : int
    name : str or None
        What people call the place.
    photographs : list of NewPhotograph
        The first indexed first.
    """

    watch: int
    run_id: str
    watched: str | None
    place: int
    name: str | None
    photographs: list[NewPhotograph]

    def to_text(self) -> bytes:
        """report.txt: a header, then a line of `COLUMNS` for each photograph, tabs between them."""
        name = f", {self.name}" if self.name else ""
        header = {
            "watch": self.watch,
            **({"photograph": self.watched} if self.watched else {}),
            "place": f"{self.place}{name}",
            "run": self.run_id,
            "new photographs": len(self.photographs),
            "columns": ", ".join(COLUMNS),
        }
        lines = [
            f"# {key}: {str(value).translate(CONTROL_CHARACTERS)}" for key, value in header.items()
        ]
        for one in self.photographs:
            columns = [
                one.inliers,
                one.image_path,
                one.agrees_with or "",
                SAME_PLACE * one.said_same,
            ]
            lines.append("\t".join(str(text).translate(CONTROL_CHARACTERS) for text in columns))
        return ("\n".join(lines) + "\n").encode()

    def to_json(self) -> bytes:
        """report.json: the same, for programs."""
        fields = asdict(self)
        fields["photographs"] = [one._asdict() for one in self.photographs]
        return json.dumps(fields, indent=1, ensure_ascii=False).encode()


def write_report(client: Any, folder: str, report: Report, cover: str | None) -> None:
    """Write a report's files; the text last, so that who sees it finds all.

    Parameters
    ----------
    folder : str
        ``s3://bucket/…/``.
    cover : str or None
        The photograph that stands for the place on the contact sheet.
    """
    sheet = _contact_sheet(client, cover, report.photographs[:PICTURES])
    if sheet is not None:
        write_object(client, folder + CONTACT_SHEET, sheet, "image/jpeg")
    write_object(client, folder + JSON, report.to_json(), "application/json")
    write_object(client, folder + TEXT, report.to_text(), "text/plain; charset=utf-8")


def _contact_sheet(
    client: Any, cover: str | None, photographs: Sequence[NewPhotograph]
) -> bytes | None:
    """The cover and what is new; None where nothing of it can be drawn any more."""
    first = None if cover is None else _pixels(client, cover)
    cells = []
    for number, one in enumerate(photographs, 1):
        pixels = _pixels(client, one.image_path)
        if pixels is not None:
            match = Match(one.inliers, one.inliers, one.image_path, said_same=one.said_same)
            cells.append((number, match, pixels))
    if not cells:
        return None
    if first is None:
        first = np.full((*CELL_PX[::-1], 3), 220, np.uint8)
    return draw_contact_sheet(first, cells, "the place")


def _pixels(client: Any, path: str) -> NDArray[np.uint8] | None:
    try:
        return decode_isolated(read_object(client, path)[0], path, max(CELL_PX)).pixels
    except LandmarkError as error:
        logger.warning("no picture: %s", error)
        return None
