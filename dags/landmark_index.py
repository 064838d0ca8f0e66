"""
### Sweep new photographs into the index

Brings the table `landmarks` in line with the bucket prefix `LANDMARK_IMAGES`: photographs that are
**new** or **changed** get their DELF features extracted, rows of **deleted** ones go.

1. `plan_sweep` streams the listing into Postgres and compares it there by etag.
2. `extract_batch`, mapped over batches of up to 256 images, extracts and commits image by image.
3. `summarise` says what the sweep did and updates the asset `landmarks`.
4. `describe_images` gives every image that has none what puts it on a shortlist: a global
   descriptor and a sketch, made of its local features in the table. When the table has grown
   tenfold, what these are made by is measured anew.
5. `link_images` compares every image that waits for it with those most alike, over Dask: what
   agrees makes the match graph, by which searches find what the query itself does not match. For
   four hours at most; the rest is linked the next night.
6. `measure_chance` compares 2,000 random pairs of images of different places: how many inliers they
   have by chance decides the verdicts of searches.
7. `group_places` finds out which images show one place, where pairs that agree have changed.
8. `tell_watches` reports to `LANDMARK_RESULTS/watches/` what places that somebody watches have got,
   and updates the asset `landmark_watch`.
9. `switch_model` lets searches use the model, if it is another than before and nothing is left to
   extract.
10. `remove_old` deletes results older than `LANDMARK_RESULTS_DAYS`, and uploads older than
    `LANDMARK_UPLOADS_DAYS` that are not in the index. Unset, they stay.

What people have removed from the index, on Landmark's page *Index*, stays out.

Where more than `LANDMARK_MAX_REMOVED_SHARE` of the indexed photographs are not listed any more, or
none of them, nothing is removed and the summary fails: trigger with *allow removals* if they are
really gone.

An image that cannot be used ends in `landmark_failures` with its reason; it is tried again once it
changes, or with *retry failures*. A sweep that was killed goes on where it stopped when it is run
again.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import Asset, AssetAlias, Param, TriggerRule, dag, task

from landmark_airflow import RunLink, batches_at_once

LANDMARKS = Asset("landmarks")
# Updated by runs that report something, and only then: DAGs of your own can be scheduled on it.
WATCH, REPORTS = Asset("landmark_watch"), AssetAlias("landmark_watch_reports")

# They share the cores: one on each is faster than one on all of them. `make up` sets how many.
BATCHES_AT_ONCE = batches_at_once()


@dag(
    schedule="@daily",
    start_date=datetime(2024, 1, 1),
    catchup=False,
    max_active_runs=1,
    # No limit for the run: each task has its own, and the first sweep of a large bucket by DELF
    # itself takes days.
    default_args={
        "owner": "landmark",
        "retries": 3,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=15),
    },
    params={
        "retry_failures": Param(
            False,
            type="boolean",
            title="Retry failures",
            description="Also try the images again that failed earlier and have not changed.",
        ),
        "allow_removals": Param(
            False,
            type="boolean",
            title="Allow removals",
            description="Remove what is not in the bucket any more, however much that is.",
        ),
    },
    doc_md=__doc__,
    tags=["landmark", "ingestion"],
)
def landmark_index() -> None:
    @task(execution_timeout=timedelta(hours=6))
    def plan_sweep(run_id: str, params: dict[str, Any]) -> list[dict[str, int]]:
        """Compare the bucket with the table; return the batches to extract."""
        from airflow.sdk.configuration import conf
        from dask.system import CPU_COUNT

        from landmark.extraction.models import resolve_model
        from landmark.index import registry, sweep
        from landmark_airflow import landmark

        with landmark() as (settings, database, s3):
            database.migrate()
            model = resolve_model(settings)
            registry.register(database, model)
            batches = sweep.plan_sweep(
                database,
                s3,
                sweep=run_id,
                model=model.fingerprint,
                images=settings.images,
                results=settings.results,
                max_batches=conf.getint("core", "max_map_length"),
                retry_failures=params["retry_failures"],
                max_removed_share=1 if params["allow_removals"] else settings.max_removed_share,
                exclude=settings.exclude,
                at_once=BATCHES_AT_ONCE,
            )
            threads = sweep.threads_per_batch(len(batches), BATCHES_AT_ONCE, CPU_COUNT)
            return [
                {"batch": batch, "images": images, "threads": threads}
                for batch, images in enumerate(batches)
            ]

    @task(
        execution_timeout=timedelta(hours=6),  # for 256 images at most: 84 s each
        max_active_tis_per_dagrun=BATCHES_AT_ONCE,
        map_index_template="{{ batch_name }}",
    )
    def extract_batch(batch: int, images: int, threads: int, run_id: str) -> int:
        """Extract the features of one batch; every image is committed by itself."""
        from airflow.sdk import get_current_context

        from landmark.cluster.warm_models import IN_NO_HURRY, warm_models
        from landmark.index import extract, registry
        from landmark_airflow import landmark
        from landmark_metrics import send_batch

        get_current_context()["batch_name"] = f"batch {batch + 1}, {images} images"
        with (
            landmark() as (settings, database, s3),
            warm_models(settings, IN_NO_HURRY) as load,
        ):
            model = registry.sweep_model(database, settings, run_id)
            extractor = load(model, threads)
            started = time.monotonic()
            settled = extract.extract_batch(
                database, s3, extractor, run_id, batch, settings.coordinates
            )
            send_batch(settled, time.monotonic() - started)
            return settled

    @task(
        trigger_rule=TriggerRule.ALL_DONE,
        execution_timeout=timedelta(minutes=10),
        outlets=[LANDMARKS],
    )
    def summarise(run_id: str) -> dict[str, float]:
        """Say what the sweep did; fail if it left something undone, or too many images failed."""
        from landmark.index.sweep import finish_sweep
        from landmark_airflow import landmark
        from landmark_metrics import send_sweep

        with landmark() as (settings, database, _):
            try:
                return finish_sweep(database, run_id, settings.max_failed_share)._asdict()
            finally:
                send_sweep(database, run_id)

    @task(trigger_rule=TriggerRule.NONE_FAILED, execution_timeout=timedelta(hours=6))
    def describe_images(run_id: str) -> int:
        """Describe what the table has and a shortlist would miss; return how many images."""
        from landmark.index import registry
        from landmark.index.describe import describe_table
        from landmark_airflow import landmark

        with landmark() as (settings, database, _):
            model = registry.sweep_model(database, settings, run_id)
            return describe_table(database, model.fingerprint)

    @task(execution_timeout=timedelta(hours=6))
    def link_images(run_id: str) -> int:
        """Compare what is not linked yet with what is most alike; return how many images."""
        from landmark.index import registry
        from landmark.index.link import link_new_images
        from landmark_airflow import landmark, worker_database

        with landmark() as (settings, database, _):
            model = registry.sweep_model(database, settings, run_id)
            return link_new_images(database, settings, model, worker_database(settings))

    @task(execution_timeout=timedelta(hours=1))
    def measure_chance(run_id: str) -> int:
        """Compare random images of different places; return how many pairs."""
        from landmark.extraction.models import read_chance
        from landmark.index import registry
        from landmark.index.chance import measure_chance
        from landmark.matching.pair import MatchingParameters
        from landmark_airflow import landmark

        with landmark() as (settings, database, _):
            model = registry.sweep_model(database, settings, run_id)
            return measure_chance(
                database,
                model.fingerprint,
                MatchingParameters(model.max_distance),
                read_chance(model),
            )

    @task(execution_timeout=timedelta(hours=6))
    def group_places(run_id: str) -> int:
        """Bring the places up to date; return how many images were grouped."""
        from landmark.extraction.models import read_chance
        from landmark.index import registry
        from landmark.index.places import update_places
        from landmark_airflow import landmark

        with landmark() as (settings, database, _):
            model = registry.sweep_model(database, settings, run_id)
            return update_places(database, model.fingerprint, read_chance(model))

    @task(execution_timeout=timedelta(hours=1), outlets=[REPORTS])
    def tell_watches(run_id: str, outlet_events: Any) -> int:
        """Report what watched places have got; return how many reports."""
        from landmark.index import registry
        from landmark.watching import watches
        from landmark_airflow import landmark

        with landmark() as (settings, database, s3):
            model = registry.searched_model(database, settings)
            reports = watches.tell_watches(
                database, s3, settings.results, model.fingerprint, run_id
            )
            if reports:  # one event: of several at once a scheduled DAG would get the first
                told = [report.to_event() for report in reports]
                outlet_events[REPORTS].add(WATCH, extra={"reports": told})
            return len(reports)

    @task(execution_timeout=timedelta(minutes=10))
    def switch_model(run_id: str) -> bool:
        """Let searches use the model if it lacks nothing; return whether they do from now on."""
        from landmark.index import registry
        from landmark_airflow import landmark

        with landmark() as (_, database, _):
            return registry.switch_after(database, run_id)

    @task(execution_timeout=timedelta(hours=6))
    def remove_old() -> dict[str, int]:
        """Delete results and uploads that have had their time; return how many."""
        from landmark.search import lifetimes
        from landmark_airflow import landmark

        with landmark() as (settings, database, s3):
            removed = {"results": 0, "uploads": 0}
            if settings.results_days is not None:
                removed["results"] = lifetimes.remove_old_results(
                    s3, settings.results, lifetimes.days_ago(settings.results_days)
                )
            if settings.uploads is not None and settings.uploads_days is not None:
                removed["uploads"] = lifetimes.remove_old_uploads(
                    database, s3, settings.uploads, lifetimes.days_ago(settings.uploads_days)
                )
            return removed

    plan, summary, described, linked, measured, grouped, told, switched, removed = (
        plan_sweep(), summarise(), describe_images(), link_images(), measure_chance(),
        group_places(), tell_watches(), switch_model(), remove_old(),
    )  # fmt: skip
    extract_batch.expand_kwargs(plan) >> [summary, described] >> switched
    plan >> removed
    described >> linked >> measured >> grouped >> told
    for step in (plan, summary, described, linked, measured, grouped, told, switched, removed):
        step.operator.operator_extra_links = (RunLink(),)  # type: ignore[attr-defined]


landmark_index()
