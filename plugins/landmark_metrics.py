"""Figures of sweeps and searches, sent as Airflow's own metrics are: StatsD or OpenTelemetry."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.observability import stats

if TYPE_CHECKING:
    from landmark.storage.database import Database


def send_batch(images: int, seconds: float) -> None:
    """What an image took, of a batch that has been extracted."""
    if images:
        stats.timing("landmark.extract.image", timedelta(seconds=seconds / images))


def send_sweep(database: Database, sweep: str) -> None:
    """What a sweep did, its failures by reason, and how many images stand as failed after it."""
    from landmark.storage.failures import failures_by_reason
    from landmark.storage.sweeps import recent_sweeps

    for row in recent_sweeps(database, 1, sweep):
        stats.gauge("landmark.sweep.seen", row.seen)
        stats.gauge("landmark.sweep.postponed", row.postponed)
        stats.timing("landmark.sweep.duration", timedelta(seconds=row.seconds))
        for name in ("indexed", "failed", "removed"):
            stats.incr(f"landmark.sweep.{name}", getattr(row, name))
    for reason in failures_by_reason(database, sweep):
        stats.incr(f"landmark.sweep.failed.{slug(reason.reason)}", reason.images)
    stats.gauge("landmark.failures", sum(reason.images for reason in failures_by_reason(database)))


def send_search(answer: dict[str, Any], seconds: float) -> None:
    """What a search found, and how long comparing took."""
    stats.timing("landmark.search.duration", timedelta(seconds=seconds))
    stats.gauge("landmark.search.images_compared", answer["images_compared"])
    stats.gauge("landmark.search.best_inliers", answer["inliers"])
    stats.incr(f"landmark.search.{slug(answer['verdict'])}")


def slug(text: str) -> str:
    """The first words of a reason, up to its first comma or the like, as a metric's name."""
    return re.sub(r"[^a-z0-9]+", "_", re.split(r"[;:,(]", text.lower())[0]).strip("_") or "other"
