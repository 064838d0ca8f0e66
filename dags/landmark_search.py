"""
### Find the other photographs of the same place

Trigger with the path of a photograph, or many. They need not be indexed yet.

1. `extract_query` reads each photograph, takes its DELF features from the index or extracts them,
   and adds them to `landmarks`.
2. `rank_matches` compares them with every image of the same model, which is read once for all of
   them: mutual nearest neighbours, then the inliers of one affine transformation, fanned out over
   Dask; then with what the match graph leads to. What finds no match is compared again, turned by
   each quarter. Writes `matches.txt` and `matches.json` to `LANDMARK_RESULTS/<run id>/`, for each
   of many photographs to a folder below; `searches.txt` tells all of them in short.
3. `draw_matches` draws the inliers of the best matches, and a contact sheet, beside them.

The tab **Landmark** of a run shows all of it.

The number of inliers is the score: the more, the likelier that both show the same place. The
verdict is by how many images of other places chance would bring as far in a table of this size.
No match is an answer, not an error; the verdict stands in the result's header.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import Param, dag, task

from landmark.matching.ranking import MIN_INLIERS
from landmark_airflow import RunLink

# Anywhere in it: in quotes, or in one of several lines, of which each is looked at by itself.
S3_PATH = r"[sS]3://[^/\s]+/"


@dag(
    schedule=None,
    start_date=datetime(2024, 1, 1),
    catchup=False,
    dagrun_timeout=timedelta(days=1),
    default_args={
        "owner": "landmark",
        # A database or S3 that is away for two minutes costs a search nothing but these.
        "retries": 3,
        "retry_delay": timedelta(seconds=15),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=5),
        "execution_timeout": timedelta(hours=6),
    },
    params={
        # With `examples`, Airflow's form would show a field for one line of text.
        "image_path": Param(
            type=["string", "array"],
            pattern=S3_PATH,
            items={"type": "string", "pattern": S3_PATH},
            minItems=1,
            title="Image",
            description="The photograph to search for, such as s3://bucket/courtyard/01.jpg, below "
            "one of LANDMARK_QUERIES; or a prefix that ends in /, for every photograph below; or "
            'several of both, one a line, or as a list: ["s3://…", "s3://…"].',
        ),
        "top_k": Param(
            100,
            type="integer",
            minimum=1,
            maximum=10_000,
            title="Matches",
            description="At most so many images are ranked.",
        ),
        "min_inliers": Param(
            MIN_INLIERS,
            type="integer",
            minimum=3,
            title="Least inliers",
            description="Images with fewer are left out. Chance hardly reaches the default.",
        ),
        "mode": Param(
            "auto",
            type="string",
            enum=["auto", "exhaustive", "shortlist"],
            title="Mode",
            description="Compare with every image, or with those most alike by their visual words; "
            "auto goes by the size of the table.",
        ),
        "ranking": Param(
            "graph",
            type="string",
            enum=["graph", "inliers"],
            title="Ranking",
            description="By inliers and what matching photographs of the index vouch for together, "
            "which also finds what the photograph itself does not match; or by inliers alone.",
        ),
        "shortlist": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            maximum=100_000,
            title="Shortlist",
            description="How many those are. Empty: LANDMARK_SHORTLIST.",
        ),
        "box": Param(
            None,
            type=["null", "array"],
            items={"type": "number"},
            minItems=4,
            maxItems=4,
            title="Box",
            description="Only this part of one photograph: [x0, y0, x1, y1] in px of the picture "
            "as it is displayed, from its left and its top.",
        ),
        "turn": Param(
            None,
            type=["null", "integer"],
            minimum=0,
            maximum=270,
            multipleOf=90,
            title="Turn",
            description="Degrees, clockwise, by which the photograph is turned. Empty: as it is "
            "and, where that finds no match, turned by each quarter.",
        ),
        "add_to_index": Param(
            True,
            type="boolean",
            title="Add to index",
            description="Later searches then find this photograph too.",
        ),
        "results_path": Param(
            None,
            type=["null", "string"],
            pattern="^s3://[^/]+/.+",
            title="Results folder",
            description="Below LANDMARK_RESULTS. Empty: a folder named after this run.",
            examples=["s3://landmark/results/my-search/"],
        ),
    },
    doc_md=__doc__,
    tags=["landmark", "search"],
)
def landmark_search() -> None:
    # What a task returns is one message to Airflow, not one for each key.
    @task(multiple_outputs=False)
    def extract_query(run_id: str, params: dict[str, Any]) -> dict[str, Any]:
        """Put the queries' features into the index, and beside the results to come."""
        from landmark.cluster.warm_models import WAITED_FOR, warm_models
        from landmark.extraction.models import read_chance
        from landmark.index import registry
        from landmark.search import asking, queries
        from landmark.search.framing import read_framing
        from landmark.search.result import result_folder
        from landmark.search.searches import Searches
        from landmark_airflow import landmark

        with (
            landmark() as (settings, database, s3),
            warm_models(settings, WAITED_FOR) as load,
        ):
            asked = params["image_path"]
            asking.check_framing(asked, params["box"])
            framing = read_framing(params["box"], params["turn"])
            asking.check_any(asked, settings.check_queries)
            database.migrate()
            folder = result_folder(settings.results, run_id, params["results_path"])
            model = registry.searched_model(database, settings)
            found = queries.find_queries(
                s3,
                asked,
                settings.results,
                settings.max_queries,
                settings.exclude,
                settings.check_queries,
            )
            searches = Searches.plan(run_id, folder, asked, found, framing).claim(s3)
            searches.keep_queries(
                s3,
                queries.extract_queries(
                    database,
                    s3,
                    model,
                    searches.paths,
                    params["add_to_index"],
                    settings.coordinates,
                    load,
                    framing,
                ),
            )
            return {
                "folder": folder,
                "model": model.fingerprint,
                "max_distance": model.max_distance,
                "chance": read_chance(model).counts,
            }

    @task(multiple_outputs=False)
    def rank_matches(query: dict[str, Any], params: dict[str, Any], run_id: str) -> dict[str, Any]:
        """Compare the queries with every image over Dask; write the ranked txt and json."""
        from functools import partial

        from airflow.sdk import get_current_context

        from landmark.cluster.client import open_client
        from landmark.cluster.warm_models import WAITED_FOR, warm_models
        from landmark.index import registry
        from landmark.matching.chance import ChanceHistogram
        from landmark.matching.pair import MatchingParameters
        from landmark.search import rank, turning
        from landmark.search.result import result_folder
        from landmark.search.searches import read_own
        from landmark_airflow import landmark, worker_database
        from landmark_metrics import send_search

        push = get_current_context()["ti"].xcom_push
        started = time.monotonic()

        with (
            landmark() as (settings, database, s3),
            open_client(settings.dask, settings) as client,
            warm_models(settings, WAITED_FOR, client) as load,
        ):
            folder = result_folder(settings.results, run_id, query["folder"])
            searches = read_own(s3, folder, run_id)
            ranked = partial(
                rank.rank_table,
                database,
                client,
                query["model"],
                top_k=params["top_k"],
                min_inliers=params["min_inliers"],
                mode=params["mode"],
                shortlist=params["shortlist"] or settings.shortlist,
                parameters=MatchingParameters(query["max_distance"]),
                tell=lambda progress: push("progress", progress.figures),
                worker_database=worker_database(settings),
                ranking=params["ranking"],
                keep_edges=params["add_to_index"] and settings.links > 0,
                chance_of_model=ChanceHistogram(tuple(query["chance"])),
            )
            results = ranked(rank.WrittenQueries(s3, searches.read))
            if params["turn"] is None:
                model = partial(registry.searched_model, database, settings)
                again = partial(
                    ranked,
                    tell=lambda progress: push("progress", {**progress.figures, "turned": True}),
                )
                turned = partial(turning.rank_turned, s3, load, model, query["model"], again)
                answer = searches.keep_results(s3, results, turned)
            else:
                answer = searches.keep_results(s3, results)
        send_search(answer, time.monotonic() - started)
        return answer

    @task
    def draw_matches(query: dict[str, Any], run_id: str) -> int:
        """Draw the inliers of the best matches; return the number of pictures."""
        from landmark.search import pictures
        from landmark.search.result import result_folder
        from landmark_airflow import give_way, landmark

        give_way()  # The answers of others go before pictures.
        with landmark() as (settings, database, s3):
            folder = result_folder(settings.results, run_id, query["folder"])
            return pictures.draw_all(database, s3, folder, run_id)

    query = extract_query()
    ranked, drawn = rank_matches(query), draw_matches(query)
    ranked >> drawn
    for step in (query, ranked, drawn):
        step.operator.operator_extra_links = (RunLink(),)  # type: ignore[attr-defined]


landmark_search()
