"""Photographs that lie on their side without saying so: what finds nothing is looked at turned.

The same place turned by a quarter has hardly a feature in common with itself, and in the table all
stand upright. So each quarter turn is a query of its own, compared in one pass with all others; and
only of photographs without a sure match, since it costs three searches more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any

from landmark.errors import LandmarkError, in_one_line
from landmark.extraction.extractor import Extractor
from landmark.extraction.models import ModelConfig
from landmark.features import LocalFeatures
from landmark.index.extract import ImageReader
from landmark.search.comparison import Query
from landmark.search.framing import QUARTER_TURNS, decode_framed
from landmark.search.queries import load_for_search
from landmark.search.rank import Queries
from landmark.search.result import TURNED_QUERY, SearchResult, write_query
from landmark.search.single import Search
from landmark.storage.bucket import S3Object, read_etag

logger = logging.getLogger(__name__)


class TurnedQueries:
    """Photographs turned by each quarter, extracted when they are needed.

    Parameters
    ----------
    client : boto3 client
    load : callable
        Gives the model.
    model : ModelConfig
    searches : sequence of Search
        Their results as they were asked for.
    """

    def __init__(
        self,
        client: Any,
        load: Callable[[ModelConfig], Extractor],
        model: ModelConfig,
        searches: Sequence[Search],
    ) -> None:
        self._client, self._load, self._model, self._searches = client, load, model, searches
        self._features: dict[tuple[str, int], LocalFeatures] = {}

    def __len__(self) -> int:
        return len(self._searches) * len(QUARTER_TURNS)

    def __iter__(self) -> Iterator[Query]:
        reader = ImageReader(self._client, load_for_search(self._load, self._model))
        for search in self._searches:
            try:
                entry = S3Object(search.query, read_etag(self._client, search.query), 0)
            except LandmarkError as error:  # it has gone since
                logger.warning("not looked at turned: %s", error)
                continue
            for turn in QUARTER_TURNS:
                framing = replace(search.framing, turn=turn, is_found=True)
                decode = partial(
                    decode_framed, framing=framing, max_size_px=self._model.max_image_size_px
                )
                found = reader.read(entry, decode)
                if isinstance(found, LandmarkError) or not len(found.features):
                    logger.warning("%s: of no use turned by %d degrees", search.query, turn)
                    continue
                self._features[search.query, turn] = found.features
                yield Query(search.query, found.features, framing=framing)

    def taken(self, path: str, turn: int) -> LocalFeatures:
        """The features of one of them, which are kept until then."""
        return self._features.pop((path, turn))


def rank_turned(
    client: Any,
    load: Callable[[ModelConfig], Extractor],
    find_model: Callable[[], ModelConfig],
    fingerprint: str,
    rank: Callable[[Queries], Iterable[SearchResult | LandmarkError]],
    unmatched: Sequence[Search],
) -> Iterator[SearchResult]:
    """Look again, turned, for photographs without a sure match; write the features of the found.

    A turn counts if it leads to a match, for which chance had as many more tries (`Framing.looks`);
    of several that with the most inliers.

    Parameters
    ----------
    client : boto3 client
    load : callable
        Gives a model.
    find_model : callable
        Gives the model of searches now.
    fingerprint : str
        Of the model that they were compared by; after another has taken over none is looked at.
    rank : callable
        `rank_table` for some queries.
    unmatched : sequence of Search

    Yields
    ------
    SearchResult
        Of each photograph that is found when turned; in their order.
    """
    if not unmatched:
        return
    model = find_model()
    if model.fingerprint != fingerprint:
        logger.warning("not looked at turned: the model %s has taken over", model.fingerprint)
        return
    logger.info("%d photographs have no sure match: looking at them turned", len(unmatched))
    folders = {search.query: search.folder for search in unmatched}
    queries = TurnedQueries(client, load, model, unmatched)
    results = (_told(result) for result in rank(queries))
    for path, turned in groupby(filter(None, results), key=lambda result: result.query):
        best: tuple[int, SearchResult, LocalFeatures] | None = None
        for result in turned:
            features = queries.taken(path, result.framing.turn)
            inliers = max((match.inliers for match in result.matches if not match.via), default=0)
            if result.verdict == "match" and (best is None or inliers > best[0]):
                best = inliers, result, features
        if best is not None:
            logger.info("%s: %s", in_one_line(path), best[1].framing.told["turn"])
            write_query(client, folders[path], best[2], TURNED_QUERY)
            yield best[1]


def _told(result: SearchResult | LandmarkError) -> SearchResult | None:
    if isinstance(result, LandmarkError):
        logger.warning("not looked at turned: %s", result)
        return None
    return result
