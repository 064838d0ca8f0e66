"""A search's answer for people and programs: matches.txt, matches.json, and pictures of them."""

from __future__ import annotations

import colorsys
import io
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydantic import TypeAdapter
from pydantic_core import from_json

from landmark.bucket import read_object, write_object
from landmark.errors import LandmarkError
from landmark.features import LocalFeatures
from landmark.ranking import Match

logger = logging.getLogger(__name__)

# What lies in a result's folder.
TEXT = "matches.txt"
JSON = "matches.json"
QUERY = "query.npz"
PICTURE = "matches/{rank:03d}.jpg"
CONTACT_SHEET = "contact-sheet.jpg"

PICTURE_HEIGHT_PX = 480
GAP_PX = 8

# The contact sheet: the query, then the best matches, each in a cell of its own.
SHEET_COLUMNS = 4
CELL_PX = (320, 240)
CAPTION_PX = 26
GROUND, INK, QUERY_INK = (250, 250, 250), (30, 30, 30), (0, 85, 170)

# A path must not break the columns; a percent sign alone is left as it is.
CONTROL_CHARACTERS = {code: f"%{code:02X}" for code in [*range(32), 127]}


@dataclass(frozen=True)
class SearchResult:
    """What a search found, as it is written to S3.

    Parameters
    ----------
    query : str
        ``s3://bucket/key`` of the query image.
    model : str
        Fingerprint of the model and its parameters.
    images_compared : int
    index_time : str
        ISO 8601, UTC: when the newest image was indexed that the search saw. It sees the table at
        one point in time.
    mode : str
        ``exhaustive`` or ``shortlist``.
    parameters : dict
        All that decides the ranking besides the table.
    verdict : str
        ``match``, ``uncertain`` or ``no match``.
    matches : list of Match
        Best first.
    """

    query: str
    model: str
    images_compared: int
    index_time: str
    mode: str
    parameters: dict[str, Any]
    verdict: str
    matches: list[Match]

    def to_text(self) -> bytes:
        """matches.txt: a header, then rank, inliers, putatives, path, separated by tabs."""
        parameters = " ".join(f"{name}={value}" for name, value in self.parameters.items())
        header = {
            "query": self.query.translate(CONTROL_CHARACTERS),
            "model": self.model,
            "images compared": self.images_compared,
            "index time": self.index_time,
            "mode": self.mode,
            "parameters": parameters,
            "verdict": self.verdict,
        }
        lines = [f"# {key}: {value}" for key, value in header.items()]
        lines += [
            f"{rank}\t{match.inliers}\t{match.putative}"
            f"\t{match.image_path.translate(CONTROL_CHARACTERS)}"
            for rank, match in enumerate(self.matches, 1)
        ]
        return ("\n".join(lines) + "\n").encode()

    def to_json(self) -> bytes:
        """matches.json: the same, for programs."""
        fields = asdict(self)
        fields["matches"] = [
            {"rank": rank, **match._asdict()} for rank, match in enumerate(self.matches, 1)
        ]
        return json.dumps(fields, indent=1, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> SearchResult:
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            If it is no such file.
        """
        fields = from_json(data)
        if not isinstance(fields, dict) or not isinstance(fields.get("matches"), list):
            raise ValueError("no result of a search")
        names = (*Match._fields, "rank")
        for match in fields["matches"]:
            if not isinstance(match, dict) or match.keys() != set(names):
                raise ValueError("no result of a search")
            del match["rank"]
        return _RESULT.validate_python(fields)


_RESULT = TypeAdapter(SearchResult)


def result_folder(results: str, run_id: str, results_path: str | None = None) -> str:
    """Where a search writes: ``s3://bucket/…/``, always inside the prefix `results`.

    Raises
    ------
    LandmarkError
        If the wanted path lies outside.
    """
    folder = (results_path or results + run_id).rstrip("/") + "/"
    parts = folder.removeprefix("s3://").split("/")[:-1]
    if not folder.startswith(results) or folder == results or {"", ".", ".."} & set(parts):
        raise LandmarkError(
            f"results_path {folder}: not a folder below LANDMARK_RESULTS {results}; "
            f"choose one there"
        )
    return folder


def write_query(client: Any, folder: str, features: LocalFeatures) -> None:
    """Keep the query's features beside the result, for the tasks to come."""
    write_object(client, folder + QUERY, features.to_bytes(), "application/zip")


def read_query(client: Any, folder: str) -> LocalFeatures:
    """Read what `write_query` wrote; `LandmarkError` if something else lies there."""
    with _refused(folder + QUERY):
        return LocalFeatures.from_bytes(read_object(client, folder + QUERY)[0])


def write_result(client: Any, folder: str, result: SearchResult) -> dict[str, Any]:
    """Write matches.json, then matches.txt: who sees the text finds everything.

    Returns
    -------
    dict
        The answer in short.
    """
    write_object(client, folder + JSON, result.to_json(), "application/json")
    write_object(client, folder + TEXT, result.to_text(), "text/plain; charset=utf-8")
    answer: dict[str, Any] = {
        "verdict": result.verdict,
        "query": result.query,
        "matches": len(result.matches),
        "images_compared": result.images_compared,
        "best": result.matches[0].image_path if result.matches else None,
        "inliers": result.matches[0].inliers if result.matches else 0,
        "result": folder + TEXT,
    }
    logger.info("%s", answer)
    return answer


def read_result(client: Any, folder: str) -> SearchResult:
    """Read what `write_result` wrote; `LandmarkError` if something else lies there."""
    with _refused(folder + JSON):
        return SearchResult.from_json(read_object(client, folder + JSON)[0])


@contextmanager
def _refused(path: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise LandmarkError(f"{path}: damaged ({reason}); search again") from error


def draw_matches(
    query: NDArray[np.uint8],
    image: NDArray[np.uint8],
    query_locations: NDArray[np.floating],
    image_locations: NDArray[np.floating],
    height_px: int = PICTURE_HEIGHT_PX,
) -> bytes:
    """Two photographs side by side, each inlier a line between them.

    Parameters
    ----------
    query, image : uint8 arrays [h, w, 3]
        RGB.
    query_locations, image_locations : floating arrays [k, 2]
        (y, x) of the inliers as fractions of each photograph's height and width.
    height_px : int
        Of the picture.

    Returns
    -------
    bytes
        A JPEG.
    """
    left, right = (_at_height(pixels, height_px) for pixels in (query, image))
    picture = Image.new("RGB", (left.width + GAP_PX + right.width, height_px), "white")
    picture.paste(left, (0, 0))
    picture.paste(right, (left.width + GAP_PX, 0))
    pen, width = ImageDraw.Draw(picture), max(1, height_px // PICTURE_HEIGHT_PX)
    starts = query_locations[:, ::-1] * [left.width, left.height]
    ends = image_locations[:, ::-1] * [right.width, right.height] + [left.width + GAP_PX, 0]
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        # The hue tells lines apart by where they start: neighbours look alike, crossings stand out.
        red, green, blue = colorsys.hsv_to_rgb(start[1] / height_px * 0.8, 0.9, 1.0)
        colour = (round(255 * red), round(255 * green), round(255 * blue))
        pen.line([*start, *end], fill=colour, width=width)
        for x, y in (start, end):
            r = 3 * width
            pen.ellipse([x - r, y - r, x + r, y + r], outline=colour, width=2 * width)
    return to_jpeg(picture)


def draw_contact_sheet(
    query: NDArray[np.uint8], matches: Sequence[tuple[int, Match, NDArray[np.uint8]]]
) -> bytes:
    """The query and its best matches on one sheet, each with its rank and inliers.

    Parameters
    ----------
    query : uint8 array [h, w, 3]
        RGB.
    matches : sequence of (rank, Match, uint8 array [h, w, 3])

    Returns
    -------
    bytes
        A JPEG; the query's cell is framed and comes first.
    """
    cells = [("query", QUERY_INK, query)]
    cells += [(f"{rank}   {match.inliers} inliers", INK, pixels) for rank, match, pixels in matches]
    width, height = CELL_PX[0] + GAP_PX, CELL_PX[1] + CAPTION_PX + GAP_PX
    columns = min(SHEET_COLUMNS, len(cells))
    rows = -(-len(cells) // columns)
    sheet = Image.new("RGB", (columns * width + GAP_PX, rows * height + GAP_PX), GROUND)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for number, (caption, ink, pixels) in enumerate(cells):
        x, y = number % columns * width + GAP_PX, number // columns * height + GAP_PX
        image = Image.fromarray(pixels)
        image.thumbnail(CELL_PX, Image.Resampling.LANCZOS)
        left, top = x + (CELL_PX[0] - image.width) // 2, y + (CELL_PX[1] - image.height) // 2
        sheet.paste(image, (left, top))
        if number == 0:
            box = [left - 4, top - 4, left + image.width + 3, top + image.height + 3]
            pen.rectangle(box, outline=ink, width=4)
        pen.text((x + CELL_PX[0] // 2, y + CELL_PX[1] + 4), caption, ink, font, anchor="ma")
    return to_jpeg(sheet)


def to_jpeg(image: Image.Image) -> bytes:
    """The file of a picture that people look at."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _at_height(pixels: NDArray[np.uint8], height_px: int) -> Image.Image:
    image = Image.fromarray(pixels)
    width = max(1, round(image.width * height_px / image.height))
    return image.resize((width, height_px), Image.Resampling.LANCZOS)
