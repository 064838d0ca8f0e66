"""Features, matching and ranking measured on a labelled folder."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from functools import partial
from typing import Any

from dask.distributed import Client

from landmark.cluster.client import open_client
from landmark.evaluation.labels import LabelledFolder
from landmark.evaluation.reference import reference_match
from landmark.evaluation.reliability import reliability, to_table
from landmark.evaluation.scores import BY_EXPECTED, BY_INLIERS, score, verdict_shares
from landmark.evaluation.scratch import scratch_database
from landmark.evaluation.searching import (
    AS_BY_DEFAULT,
    MODEL,
    FilledTable,
    LabelledQueries,
    SearchOptions,
    fill_table,
    search_folder,
    seconds_per_pair,
)
from landmark.features import FeatureExtractor, LocalFeatures
from landmark.matching.pair import MatchingParameters
from landmark.matching.ranking import Match
from landmark.progress import Progress
from landmark.storage.images import find_image

logger = logging.getLogger(__name__)


def evaluate(
    folder: LabelledFolder,
    extractor: FeatureExtractor,
    parameters: MatchingParameters = MatchingParameters(),
    with_reference: bool = False,
    options: SearchOptions = AS_BY_DEFAULT,
) -> dict[str, Any]:
    """Measure on a labelled folder what searches give, in a table of its own.

    Parameters
    ----------
    folder : LabelledFolder
    extractor : FeatureExtractor
    parameters : MatchingParameters
    with_reference : bool
        Also rank with the reference method; hundreds of times slower.
    options : SearchOptions

    Returns
    -------
    dict
        The scores of what searches list, with ``direct`` those of inliers alone;
        ``match_ms_per_pair`` (on one core); ``verdicts``: of the pairs that show different places,
        and of those that show the same, the share that gets each verdict, in a table of this
        size; ``chance``: by which figures; ``by_inliers`` the same by fixed numbers of them;
        ``reliability``: as of `reliability`.
    """
    logger.info("%d images, %d queries", len(folder.images), len(folder.queries))
    with scratch_database() as database, open_client("local") as client:
        table = fill_table(database, client, folder, extractor, parameters, options)
        listed = search_folder(table, client, folder, parameters, options)
        direct = listed
        if options.ranking == "graph":
            by_inliers = replace(options, ranking="inliers")
            direct = search_folder(table, client, folder, parameters, by_inliers)
        levels = reliability(direct, folder.queries)
        logger.info("%s", to_table(levels))
        figures = {
            "images": table.images,
            "queries": len(folder.queries),
            "ranking": options.ranking,
            "extract_seconds_per_image": table.extract_seconds,
            "link_seconds_per_image": table.link_seconds,
            **_scores(listed, folder),
            "direct": _scores(direct, folder),
            "match_ms_per_pair": 1000 * seconds_per_pair(table, folder, parameters),
            "chance": table.chance,
            "verdicts": verdict_shares(direct, folder.queries, BY_EXPECTED),
            "by_inliers": verdict_shares(direct, folder.queries, BY_INLIERS),
            "reliability": levels,
        }
        if with_reference:
            figures["reference"] = _evaluate_reference(table, client, folder)
    return figures


def _scores(ranked: dict[str, list[Match]], folder: LabelledFolder) -> dict[str, float | None]:
    rankings = {name: [match.image_path for match in found] for name, found in ranked.items()}
    return score(rankings, folder.queries, folder.protocols)


def _evaluate_reference(
    table: FilledTable, client: Client, folder: LabelledFolder
) -> dict[str, Any]:
    """Every image ranked for every query by DELF's own matching."""
    images = {}
    for name in folder.images:
        found = find_image(table.database, name, MODEL)
        assert found is not None
        images[name] = found[1]
    shared: Any = client.submit(dict, images, pure=False)
    tasks = [
        client.submit(_rank_by_reference, query.features, shared, pure=False)
        for query in LabelledQueries(table, folder)
    ]
    progress = Progress(len(tasks), "queries ranked by the reference")
    ranked, seconds = {}, 0.0
    for query, task in zip(folder.queries, tasks, strict=True):
        ranked[query.image], seconds_per_pair = task.result()
        seconds += seconds_per_pair
        progress.add()
    return {
        **_scores(ranked, folder),
        "match_ms_per_pair": 1000 * seconds / len(tasks),
        "by_inliers": verdict_shares(ranked, folder.queries, BY_INLIERS),
    }


def _rank_by_reference(
    query: LocalFeatures, images: dict[str, LocalFeatures]
) -> tuple[list[Match], float]:
    started = time.perf_counter()
    match = partial(reference_match, query)
    matches = [Match(*match(image), path) for path, image in images.items()]
    seconds = time.perf_counter() - started
    return sorted(matches, key=lambda ranked: ranked.rank_key), seconds / max(len(images), 1)
