"""Read by each of Airflow's processes as it starts: the scheduler imports what our tasks need.

LocalExecutor's processes are forked from it, and each task's from one of these. So a task begins
with its imports done and shares their memory; without, a search waits seconds for them.
"""

import importlib
import logging
import sys
from functools import cache

logger = logging.getLogger(__name__)

# What tasks import when they run; a DAG file itself imports next to nothing.
OF_TASKS = (
    "airflow.providers.amazon.aws.hooks.s3",
    "airflow.providers.postgres.hooks.postgres",
    "airflow.providers.standard.decorators.python",
    "airflow.sdk.definitions.decorators",
    "boto3.s3.inject",
    "landmark.cluster.client",
    "landmark.cluster.warm_models",
    "landmark.extraction.extractor",
    "landmark.extraction.litert",
    "landmark.index.extract",
    "landmark.index.registry",
    "landmark.search.pictures",
    "landmark.search.queries",
    "landmark.search.rank",
    "landmark.search.searches",
    "landmark.search.turning",
    "landmark_metrics",
    "scipy.special",
)


def preload() -> None:
    """Import what tasks need; what cannot be imported is told by the task that needs it."""
    for name in OF_TASKS:
        try:
            importlib.import_module(name)
        except Exception:
            logger.exception("%s is not preloaded", name)


def share_descriptions() -> None:
    """Have sessions of boto3 share what describes S3, which each else reads and parses anew."""
    try:
        import boto3
        import botocore.session

        botocore.session.create_loader = cache(botocore.session.create_loader)
        # Read now, by a client that asks for nothing.
        boto3.session.Session("nobody", "nothing", region_name="us-east-1").client("s3")
    except Exception:
        logger.exception("each task reads what describes S3 for itself")


if "scheduler" in sys.argv[1:2]:
    preload()
    share_descriptions()
