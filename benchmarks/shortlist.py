"""What a shortlist loses against comparing with every image, on a labelled folder.

    python -m benchmarks.shortlist DIR [--shortlist 100] [--distractors DIR]
        [--features KIND] [--json FILE]

The folder is indexed and searched as `landmark.evaluation` does it, in both modes and by both
rankings. Mean average precision of what a search lists: all that was compared, and by inliers alone
what has the least inliers of a search.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.features import load_features
from landmark.cluster.client import open_client
from landmark.evaluation.figures import figures_parser, print_figures
from landmark.evaluation.labels import read_labelled_folder
from landmark.evaluation.scores import score
from landmark.evaluation.scratch import scratch_database
from landmark.evaluation.searching import SearchOptions, fill_table, search_folder
from landmark.matching.ranking import MIN_INLIERS, Match

CASES = (("graph", 0), ("inliers", 0), ("inliers", MIN_INLIERS))


def measure(folder_path: Path, kind: str, asked: SearchOptions) -> dict[str, Any]:
    """Scores of both modes, and what the shortlist keeps of the exhaustive one's."""
    folder = read_labelled_folder(folder_path)
    name, extractor, parameters = load_features(kind, list(folder.images.values()))
    found: dict[tuple[str, str], dict[str, list[Match]]] = {}
    with scratch_database() as database, open_client("local") as client:
        table = fill_table(database, client, folder, extractor, parameters, asked)
        for ranking in ("graph", "inliers"):
            for mode in ("exhaustive", "shortlist"):
                options = replace(asked, ranking=ranking, mode=mode)
                found[ranking, mode] = search_folder(table, client, folder, parameters, options)

    def scores(ranking: str, mode: str, least: int) -> dict[str, float | None]:
        rankings = {
            query: [match.image_path for match in matches if match.inliers >= least]
            for query, matches in found[ranking, mode].items()
        }
        return score(rankings, folder.queries, folder.protocols)

    figures: dict[str, Any] = {
        "features": name,
        "images": table.images,
        "shortlist": asked.shortlist,
    }
    for ranking, least in CASES:
        exhaustive, short = (scores(ranking, mode, least) for mode in ("exhaustive", "shortlist"))
        figures[f"{ranking}_from_{least}_inliers"] = {
            protocol: {
                "exhaustive": full,
                "shortlist": short[protocol],
                "kept": (short[protocol] or 0.0) / full if full else None,
            }
            for protocol, full in exhaustive.items()
        }
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    parser = figures_parser("benchmarks.shortlist", __doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--shortlist", type=int, default=100, metavar="N")
    parser.add_argument("--distractors", type=Path, metavar="DIR")
    parser.add_argument("--features", default="model", metavar="KIND", help="see features.py")
    options = parser.parse_args(arguments)
    asked = SearchOptions(shortlist=options.shortlist, distractors=options.distractors)
    return print_figures(lambda: measure(options.folder, options.features, asked), options.json)


if __name__ == "__main__":
    sys.exit(main())
