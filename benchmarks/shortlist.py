"""What a shortlist loses against comparing with every image, on a labelled folder.

    python -m benchmarks.shortlist DIR [--shortlist 100]
        [--features KIND] [--json FILE]

The folder's features go into a Postgres of its own, which describes them as `landmark_index` does;
then each query is searched for in both modes. Mean average precision of the lists that a search
gives, with its least inliers and with three: an image that is not listed is not found.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.features import load_features
from landmark.cluster.client import open_client
from landmark.evaluation.evaluate import extract_folder
from landmark.evaluation.figures import figures_parser, print_figures
from landmark.evaluation.labels import read_labelled_folder
from landmark.evaluation.scores import score
from landmark.index.describe import describe_table
from landmark.matching.ranking import MIN_INLIERS
from landmark.progress import Progress
from landmark.search.comparison import Query
from landmark.search.rank import rank_alone
from landmark.storage.database import Database
from landmark.storage.images import save_image
from stack.servers import start_postgres

LEAST = (3, MIN_INLIERS)


def measure(folder_path: Path, kind: str, shortlist: int) -> dict[str, Any]:
    """Scores of both modes, and what the shortlist keeps of the exhaustive one's."""
    folder = read_labelled_folder(folder_path)
    name, extractor, parameters = load_features(kind, list(folder.images.values()))
    images, queries, _ = extract_folder(extractor, folder)
    rankings: dict[tuple[str, int], dict[str, list[str]]] = {
        (mode, least): {} for mode in ("exhaustive", "shortlist") for least in LEAST
    }
    with start_postgres() as postgres, open_client("local") as client:
        database = Database(postgres.dsn)
        database.migrate()
        for path, features in images.items():
            save_image(database, path, name, "1", features)
        describe_table(database, name)
        progress = Progress(len(queries), "queries searched for")
        for path, query in queries.items():
            for (mode, least), lists in rankings.items():
                result = rank_alone(
                    database,
                    client,
                    name,
                    Query("", query),
                    len(images),
                    min_inliers=least,
                    mode=mode,
                    shortlist=shortlist,
                    parameters=parameters,
                )
                lists[path] = [match.image_path for match in result.matches]
            progress.add()
    scores = {
        key: score(lists, folder.queries, folder.protocols) for key, lists in rankings.items()
    }
    figures: dict[str, Any] = {"features": name, "images": len(images), "shortlist": shortlist}
    for least in LEAST:
        exhaustive, short = scores["exhaustive", least], scores["shortlist", least]
        figures[f"from_{least}_inliers"] = {
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
    parser.add_argument("--features", default="model", metavar="KIND", help="see features.py")
    options = parser.parse_args(arguments)

    def measured() -> dict[str, Any]:
        return measure(options.folder, options.features, options.shortlist)

    return print_figures(measured, options.json)


if __name__ == "__main__":
    sys.exit(main())
