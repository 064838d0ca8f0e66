"""The settings, the database and S3 of the pages."""

from __future__ import annotations

from landmark_airflow import Landmark, connect
from landmark_web.limits import KEPT_S, kept


@kept(KEPT_S)
def connected() -> Landmark:
    """As Airflow's Variables and connections say; thumbnails need not wait for them."""
    return connect()
