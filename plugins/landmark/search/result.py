"""A search's answer for people and programs, as files in S3: matches.txt and matches.json."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import from_json

from landmark.errors import LandmarkError
from landmark.features import LocalFeatures
from landmark.matching.ranking import Match
from landmark.matching.whereabouts import Whereabouts
from landmark.search.framing import WHOLE, Framing
from landmark.search.place import FoundPlace
from landmark.storage.bucket import read_object, write_object

logger = logging.getLogger(__name__)

# What lies in a result's folder.
TEXT = "matches.txt"
JSON = "matches.json"
QUERY = "query.npz"
TURNED_QUERY = "query-turned.npz"  # of what was found so; the other is what it was asked as
PICTURE = "matches/{rank:03d}.jpg"
CONTACT_SHEET = "contact-sheet.jpg"

# Of images, in `via`; the match graph is followed over a few.
LONGEST_CHAIN = 16
# Of matches.txt.
COLUMNS = (
    "rank", "inliers", "putative", "image_path", "expected", "via", "said", "overlay", "copy_of",
)  # fmt: skip
# What is written of it where people have said so, of a pair or of a chain's.
SAME_PLACE = "the same place"
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
        Best first. What the query itself does not reach has the chain by way of which it was found.
    chance : str
        Which figures `Match.expected` goes by; empty in a result of before there were any.
    place : FoundPlace or None
        That of the sure matches; None without any, or where these are in none.
    whereabouts : Whereabouts or None
        Where these say that they were taken; None where none does.
    framing : Framing
        What of the query was compared.
    """

    query: str
    model: str
    images_compared: int
    index_time: str
    mode: str
    parameters: dict[str, Any]
    verdict: str
    matches: list[Match]
    chance: str = ""
    place: FoundPlace | None = None
    whereabouts: Whereabouts | None = None
    framing: Framing = WHOLE

    def to_text(self) -> bytes:
        """matches.txt: a header, then a line of `COLUMNS` for each match, separated by tabs.

        Copies of a match follow it, with its rank.
        """
        parameters = " ".join(f"{name}={value}" for name, value in self.parameters.items())
        header = {
            "query": self.query.translate(CONTROL_CHARACTERS),
            **self.framing.told,
            "model": self.model,
            "images compared": self.images_compared,
            "index time": self.index_time,
            "mode": self.mode,
            "parameters": parameters,
            "chance": self.chance,
            "verdict": self.verdict,
        }
        if self.place is not None:
            name = f", {self.place.name.translate(CONTROL_CHARACTERS)}" if self.place.name else ""
            header["place"] = f"{self.place.id}{name}, {self.place.size}"
        if self.whereabouts is not None:
            header["whereabouts"] = self.whereabouts.told
        lines = [f"# {key}: {value}" for key, value in header.items()]
        lines.append("# columns: " + ", ".join(COLUMNS))
        for columns in self.rows():
            lines.append("\t".join(str(text).translate(CONTROL_CHARACTERS) for text in columns))
        return ("\n".join(lines) + "\n").encode()

    def rows(self) -> Iterator[list[Any]]:
        """The `COLUMNS` of each match, and of its copies after it."""
        for rank, match in enumerate(self.matches, 1):
            for one in (match, *match.copies):
                is_said = one.said_same or any(step.said_same for step in one.via)
                yield [
                    rank,
                    one.inliers,
                    one.putative,
                    one.image_path,
                    "" if one.expected is None else f"{one.expected:.4g}",
                    chain_text(one),
                    SAME_PLACE if is_said else "",
                    one.overlay,
                    match.image_path if one is not match else "query" if one.is_copy else "",
                ]

    def to_json(self) -> bytes:
        """matches.json: the same, for programs."""
        fields = asdict(self)
        fields["matches"] = [
            {"rank": rank, **_match_fields(match)} for rank, match in enumerate(self.matches, 1)
        ]
        if self.whereabouts is not None:
            fields["whereabouts"] = self.whereabouts.to_geojson()
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
        for match in fields["matches"]:
            _check_match(match, {*Match._fields, "rank"})
            for copy in match.get("copies", []):
                _check_match(copy, {*Match._fields} - {"copies"})
            del match["rank"]
        if fields.get("whereabouts") is not None:
            fields["whereabouts"] = Whereabouts.from_geojson(fields["whereabouts"])
        return _RESULT.validate_python(fields)


_RESULT = TypeAdapter(SearchResult)


def _match_fields(match: Match) -> dict[str, Any]:
    fields = {**match._asdict(), "via": [step._asdict() for step in match.via]}
    fields["copies"] = [_match_fields(copy) for copy in match.copies]
    for copy in fields["copies"]:
        del copy["copies"]  # it has none
    return fields


def _check_match(match: Any, names: set[str]) -> None:
    """`ValueError` if it is no match of a result, with fields of these names."""
    later = Match._field_defaults.keys() & names  # results of before have not all of these
    if not isinstance(match, dict) or match.keys() | later != names:
        raise ValueError("no result of a search")
    via, copies = match.get("via", []), match.get("copies", [])
    if not isinstance(via, list) or len(via) > LONGEST_CHAIN:  # each would be drawn
        raise ValueError("a chain that no search gives")
    if not isinstance(copies, list):
        raise ValueError("no result of a search")


def chain_text(match: Match) -> str:
    """By way of which images a match was found, each after the inliers that lead to it.

    ``41 s3://bucket/a.jpg 63``: the query has 41 inliers with a.jpg, and that 63 with the match.
    """
    steps = [f"{step.inliers} {step.image_path}" for step in match.via[:-1]]
    return " ".join([*steps, *(str(step.inliers) for step in match.via[-1:])])


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


def write_query(client: Any, folder: str, features: LocalFeatures, name: str = QUERY) -> None:
    """Keep the query's features beside the result, for the tasks to come."""
    write_object(client, folder + name, features.to_bytes(), "application/zip")


def read_query(client: Any, folder: str, name: str = QUERY) -> LocalFeatures:
    """Read what `write_query` wrote; `LandmarkError` if something else lies there."""
    with _refused(folder + name):
        return LocalFeatures.from_bytes(read_object(client, folder + name)[0])


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
        "inliers": max((match.inliers for match in result.matches), default=0),
        "result": folder + TEXT,
    }
    if result.place is not None:
        answer["place"] = asdict(result.place)
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
