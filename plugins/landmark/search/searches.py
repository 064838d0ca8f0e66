"""The photographs that one run searches for: each with a result of its own, and all in one list.

A run that was given one photograph writes its result into the run's own folder. Of a list or a
prefix each photograph has a folder below it. `searches.txt` and `searches.json` lie beside.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import TypeAdapter

from landmark.errors import LandmarkError
from landmark.features import LocalFeatures
from landmark.matching.ranking import FAILED, OUTCOMES
from landmark.search.asking import is_one
from landmark.search.folders import query_folder, remove_leftovers
from landmark.search.framing import WHOLE, Framing
from landmark.search.result import (
    CONTROL_CHARACTERS,
    TEXT,
    SearchResult,
    write_query,
    write_result,
)
from landmark.search.single import Search
from landmark.storage.bucket import (
    ObjectMissing,
    ObjectRefused,
    read_object,
    write_object,
)

OVERVIEW_TEXT = "searches.txt"
OVERVIEW_JSON = "searches.json"

#: Of all reasons why a run has nothing to show.
REASONS_TOLD = 3


@dataclass(frozen=True)
class Searches:
    """All searches of one run, in the order that they were asked for.

    Parameters
    ----------
    run_id : str
    folder : str
        ``s3://bucket/…/`` of the run.
    searches : tuple of Search
    """

    run_id: str
    folder: str
    searches: tuple[Search, ...]

    @classmethod
    def plan(
        cls,
        run_id: str,
        folder: str,
        asked: str | Sequence[str],
        found: Iterable[tuple[str, str | None]],
        framing: Framing = WHOLE,
    ) -> Searches:
        """Give each photograph its folder.

        Parameters
        ----------
        asked : str or sequence of str
            What the run was given.
        found : iterable of (str, str or None)
            Of `landmark.search.queries.find_queries`: paths, and why one cannot be searched for.
        framing : Framing
            What of each is compared.
        """
        alone = is_one(asked)
        searches = []
        for path, reason in found:
            below = folder if alone else query_folder(folder, path)
            search = Search(path, below, framing=framing)
            searches.append(search.failed(reason) if reason else search)
        return cls(run_id, folder, tuple(searches))

    @property
    def counts(self) -> dict[str, int]:
        """How many came out how; only what there is."""
        outcomes = [search.outcome for search in self.searches]
        return {name: outcomes.count(name) for name in OUTCOMES if name in outcomes}

    @property
    def paths(self) -> list[str]:
        """Photographs to read."""
        return [search.query for search in self.searches if search.outcome != FAILED]

    @property
    def read(self) -> list[Search]:
        """Those whose photograph could be used."""
        return [search for search in self.searches if search.is_read]

    def claim(self, client: Any) -> Searches:
        """Make the folder this run's, before anything else is written there.

        A run that is tried again, or cleared, has it already.

        Raises
        ------
        LandmarkError
            If it is another run's, also of one that claims it at the same moment.
        """
        is_new = False
        try:
            self._check_owner(client)
        except ObjectRefused:
            # So S3 answers who may not list, of what is not there; else the writing is refused.
            is_new = True
        path, data = self.folder + OVERVIEW_JSON, self.to_json()
        write_object(client, path, data, "application/json", is_new=is_new)
        self._check_owner(client)
        return self

    def _check_owner(self, client: Any) -> None:
        with suppress(ObjectMissing):
            read_own(client, self.folder, self.run_id)

    def keep_queries(
        self, client: Any, extracted: Iterable[tuple[str, LocalFeatures | LandmarkError]]
    ) -> Searches:
        """Write each query's features into its folder, and down what could not be used.

        Raises
        ------
        LandmarkError
            If none is left to search for.
        """
        searches = {search.query: search for search in self.searches}
        for path, found in extracted:
            if isinstance(found, LandmarkError):
                searches[path] = searches[path].failed(str(found))
            else:
                write_query(client, searches[path].folder, found)
                searches[path] = replace(searches[path], is_read=True)
        return self._with(searches.values()).write(client)

    def keep_results(
        self,
        client: Any,
        results: Iterable[SearchResult | LandmarkError],
        again: Callable[[list[Search]], Iterable[SearchResult]] = lambda unmatched: (),
    ) -> dict[str, Any]:
        """Write each result into its query's folder as it comes, then the overview.

        Parameters
        ----------
        results : iterable of SearchResult or LandmarkError
            One for each photograph that was `read`, in that order.
        again : callable
            Looks again for those without a sure match; what it finds takes the place of the first
            result.

        Returns
        -------
        dict
            The answer in short: of the search whose best match is surest, and under ``searches``
            how many came out how.

        Raises
        ------
        LandmarkError
            If there is no result, or the folder is another run's by now.
        """
        done: dict[str, Search] = {}
        answers: dict[str, dict[str, Any]] = {}

        def keep(search: Search, result: SearchResult) -> None:
            self._check_owner(client)
            answers[search.query] = write_result(client, search.folder, result)
            done[search.query] = search.found(result)

        for search, result in zip(self.read, results, strict=True):
            if isinstance(result, LandmarkError):
                done[search.query] = search.failed(str(result))
            else:
                keep(search, result)
        for result in again([search for search in done.values() if search.is_unmatched]):
            keep(done[result.query], result)
        self._check_owner(client)
        finished = self._with(done.values()).write(client)
        finished.remove_leftovers(client)  # all pictures, too: of what an earlier try found
        answer = max(answers.values(), key=lambda answer: int(answer["inliers"]))
        if len(self.searches) > 1:
            answer["result"] = self.folder + OVERVIEW_TEXT
        return {**answer, "searches": finished.counts}

    def remove_leftovers(self, client: Any, pictures: Iterable[str] = ()) -> None:
        """Delete what an earlier try has left in the folder and this one has not written anew.

        Parameters
        ----------
        pictures : iterable of str
            Paths of those that go with the results.

        Raises
        ------
        LandmarkError
            If the folder is another run's by now.
        """
        self._check_owner(client)
        kept = {path for search in self.searches for path in search.files}
        remove_leftovers(client, self.folder, OVERVIEW_JSON, kept.union(pictures))

    def write(self, client: Any) -> Searches:
        """Write searches.json, then searches.txt.

        Raises
        ------
        LandmarkError
            If every search has failed, and why.
        """
        json_type, text_type = "application/json", "text/plain; charset=utf-8"
        write_object(client, self.folder + OVERVIEW_JSON, self.to_json(), json_type)
        write_object(client, self.folder + OVERVIEW_TEXT, self.to_text(), text_type)
        if all(search.outcome == FAILED for search in self.searches):
            raise LandmarkError(self._reasons())
        return self

    def to_text(self) -> bytes:
        """searches.txt: how many came out how, then a line for each search."""
        header = {"searches": len(self.searches), **self.counts}
        lines = [f"# {key}: {value}" for key, value in header.items()]
        lines.append("# columns: outcome, inliers, query, best match, result, reason")
        for search in self.searches:
            result = "" if search.outcome in (None, FAILED) else search.folder + TEXT
            columns = [
                search.outcome or "",
                str(search.inliers),
                search.query,
                search.best or "",
                result,
                search.reason or "",
            ]
            lines.append("\t".join(text.translate(CONTROL_CHARACTERS) for text in columns))
        return ("\n".join(lines) + "\n").encode()

    def to_json(self) -> bytes:
        """searches.json: the same, for programs."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Searches:
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            If it is no such file.
        """
        return _SEARCHES.validate_json(data)

    def _with(self, searches: Iterable[Search]) -> Searches:
        """The same with some of the searches in a new state."""
        new = {search.query: search for search in searches}
        return replace(
            self, searches=tuple(new.get(search.query, search) for search in self.searches)
        )

    def _reasons(self) -> str:
        reasons = list(dict.fromkeys(search.reason or "" for search in self.searches))
        if len(reasons) == 1:
            return reasons[0]
        told = "; ".join(reasons[:REASONS_TOLD])
        return (
            f"none of {len(self.searches)} photographs can be searched for: {told}; "
            f"all reasons are in {self.folder}{OVERVIEW_TEXT}"
        )


_SEARCHES = TypeAdapter(Searches)


def read_own(client: Any, folder: str, run_id: str) -> Searches:
    """What a run has written there; `LandmarkError` if the folder is another run's by now."""
    searches = read_overview(client, folder)
    if searches.run_id != run_id:
        raise LandmarkError(
            f"results_path {folder}: belongs to the run {searches.run_id}; choose another folder"
        )
    if searches.folder != folder:
        raise LandmarkError(
            f"{folder}{OVERVIEW_JSON}: was written for {searches.folder}; search again"
        )
    return searches


def read_overview(client: Any, folder: str) -> Searches:
    """Read what `Searches.write` wrote; `LandmarkError` if something else lies there."""
    path = folder + OVERVIEW_JSON
    data, _ = read_object(client, path)
    try:
        return Searches.from_json(data)
    except ValueError as error:
        reason = " ".join(str(error).split("\n")[:3])
        raise LandmarkError(f"{path}: damaged ({reason}); search again") from error
