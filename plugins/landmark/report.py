"""A search's answer for people and programs: matches.txt, matches.json, pictures of the matches."""

from __future__ import annotations

import colorsys
import io
import json
import logging
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

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

PICTURE_HEIGHT_PX = 480
GAP_PX = 8

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
        ISO 8601, UTC: when the newest image compared was indexed.
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
        """Read what `to_json` wrote."""
        fields = json.loads(data)
        fields["matches"] = [
            Match(match["inliers"], match["putative"], match["image_path"])
            for match in fields["matches"]
        ]
        return cls(**fields)


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
    """Read what `write_query` wrote."""
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
        "matches": len(result.matches),
        "images_compared": result.images_compared,
        "best": result.matches[0].image_path if result.matches else None,
        "result": folder + TEXT,
    }
    logger.info("%s", answer)
    return answer


def read_result(client: Any, folder: str) -> SearchResult:
    """Read what `write_result` wrote."""
    return SearchResult.from_json(read_object(client, folder + JSON)[0])


def draw_matches(
    query: NDArray[np.uint8],
    image: NDArray[np.uint8],
    query_locations: NDArray[np.floating],
    image_locations: NDArray[np.floating],
) -> bytes:
    """Two photographs side by side, each inlier a line between them.

    Parameters
    ----------
    query, image : uint8 arrays [h, w, 3]
        RGB.
    query_locations, image_locations : floating arrays [k, 2]
        (y, x) of the inliers as fractions of each photograph's height and width.

    Returns
    -------
    bytes
        A JPEG of `PICTURE_HEIGHT_PX`.
    """
    left, right = (_at_height(pixels) for pixels in (query, image))
    picture = Image.new("RGB", (left.width + GAP_PX + right.width, PICTURE_HEIGHT_PX), "white")
    picture.paste(left, (0, 0))
    picture.paste(right, (left.width + GAP_PX, 0))
    pen = ImageDraw.Draw(picture)
    starts = query_locations[:, ::-1] * [left.width, left.height]
    ends = image_locations[:, ::-1] * [right.width, right.height] + [left.width + GAP_PX, 0]
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        # The hue tells lines apart by where they start: neighbours look alike, crossings stand out.
        red, green, blue = colorsys.hsv_to_rgb(start[1] / PICTURE_HEIGHT_PX * 0.8, 0.9, 1.0)
        colour = (round(255 * red), round(255 * green), round(255 * blue))
        pen.line([*start, *end], fill=colour, width=1)
        for x, y in (start, end):
            pen.ellipse([x - 3, y - 3, x + 3, y + 3], outline=colour, width=2)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _at_height(pixels: NDArray[np.uint8]) -> Image.Image:
    image = Image.fromarray(pixels)
    width = max(1, round(image.width * PICTURE_HEIGHT_PX / image.height))
    return image.resize((width, PICTURE_HEIGHT_PX), Image.Resampling.LANCZOS)
