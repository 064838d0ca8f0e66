"""The settings, the database and S3 of the pages."""

from __future__ import annotations

from landmark.errors import LandmarkError
from landmark.storage.models import known_models
from landmark_airflow import Landmark, connect
from landmark_web.limits import KEPT_S, kept


@kept(KEPT_S)
def connected() -> Landmark:
    """As Airflow's Variables and connections say; thumbnails need not wait for them."""
    return connect()


def current_model() -> str:
    """Fingerprint of what searches use; empty if there is none.

    The model completed last, or that of the settings before the first is complete.
    """
    from landmark.index.registry import searched_model

    settings, database, _ = connected()
    try:
        return searched_model(database, settings).fingerprint
    except LandmarkError:
        models = known_models(database)
        return max(models, key=lambda one: (one.searched, one.images)).model if models else ""
