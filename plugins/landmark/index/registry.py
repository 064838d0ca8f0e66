"""Which model searches use.

Searches use the model whose sweep was completed last, so a new model is extracted beside the old
one and takes over when nothing is left to extract (`switch_after`). `use_model` switches at once,
to any model that has images. `remove_model` deletes all that the table has of a model that searches
do not use, in small steps; killed, it goes on where it stopped when it is run again.
"""

from __future__ import annotations

import logging

from landmark.errors import LandmarkError
from landmark.extraction.models import ModelConfig, resolve_model
from landmark.progress import Progress
from landmark.settings import Settings
from landmark.storage import models
from landmark.storage.aggregations import drop_aggregation, known_aggregations
from landmark.storage.database import Database
from landmark.storage.nearest import drop_index
from landmark.storage.sweeps import find_sweep

logger = logging.getLogger(__name__)

# Rows deleted in one transaction: a fraction of a second, with their blobs.
ROWS_AT_ONCE = 500
# Of the old model's images; a new one that fails on more is not switched to unasked.
MOST_LOST = 0.1
COMMAND = "landmark models"


def register(database: Database, model: ModelConfig) -> None:
    """Note how a model is loaded, for as long as the table has images of it."""
    models.register_model(database, model.fingerprint, model.record())


def searched_model(database: Database, settings: Settings) -> ModelConfig:
    """The model that searches use: the one completed last; before the first, that of the settings.

    Raises
    ------
    LandmarkError
        If the model of the settings cannot be read, or it is not known how to load the other one.
    """
    wanted = resolve_model(settings)
    found = models.completed_model(database)
    if found is None or found[0] == wanted.fingerprint:
        return wanted
    model, record = found
    if record is None:
        raise LandmarkError(
            f"searches use the model {model} until {wanted.fingerprint} is complete, but it was "
            f"indexed before the table noted how to load it; set LANDMARK_MODEL back to it and run "
            f"landmark_index, which notes it, or `{COMMAND} use {wanted.fingerprint}`"
        )
    logger.info("searches use %s until %s is complete", model, wanted.fingerprint)
    return ModelConfig.from_record(record, model)


def sweep_model(database: Database, settings: Settings, sweep: str) -> ModelConfig:
    """The model that a sweep was planned for, even if it is not that of the settings any more.

    Raises
    ------
    LandmarkError
        If there is no such sweep, its model was removed, or that of the settings cannot be read.
    """
    wanted = resolve_model(settings)
    found = models.planned_model(database, sweep)
    if found is None:
        raise LandmarkError(
            f"sweep {sweep!r} was never planned, or its model was removed; run landmark_index again"
        )
    model, record = found
    # The settings' own may lie elsewhere on this machine than where the sweep was planned.
    return wanted if wanted.fingerprint == model else ModelConfig.from_record(record, model)


def switch_after(database: Database, sweep: str) -> bool:
    """Let searches use a sweep's model, if it has all that the sweep was to extract.

    Returns
    -------
    bool
        Whether searches switch to it now.
    """
    planned = find_sweep(database, sweep)
    model, lacking = planned.model, planned.postponed + planned.left
    known = {one.model: one for one in models.known_models(database)}
    used = next((one.model for one in known.values() if one.searched), None)
    images = known[model].images if model in known else 0
    if used == model or not images:
        return False
    if lacking:
        logger.info(
            "%s lacks %d images yet; searches use %s until it has them",
            model, lacking, used or "it all the same",
        )  # fmt: skip
        return False
    if used is not None:
        lost = models.count_lost(database, used, model)
        logger.log(
            logging.WARNING if lost else logging.INFO,
            "%s has %d images, %s has %d; %d of these failed with the new one",
            model, images, used, known[used].images, lost,
        )  # fmt: skip
        if lost > MOST_LOST * known[used].images:
            logger.warning(
                "searches go on with %s: look at the failures and run landmark_index with retry "
                "failures, or `%s use %s`", used, COMMAND, model,
            )  # fmt: skip
            return False
    use_model(database, model)
    if used is not None:
        logger.info("`%s remove %s` deletes what is left of the old model", COMMAND, used)
    return True


def use_model(database: Database, model: str) -> None:
    """Let searches use a model from now on.

    Raises
    ------
    LandmarkError
        If the table has no image of it.
    """
    images = models.known_model(database, model).images
    models.mark_searched(database, model)
    logger.info("searches use %s (%d images) from now on", model, images)


def remove_model(database: Database, model: str, dry_run: bool = False) -> None:
    """Delete a model's features, failures, aggregations and indexes, in small steps.

    Searches and sweeps of other models go on meanwhile.

    Parameters
    ----------
    dry_run : bool
        Only say what there is to delete.

    Raises
    ------
    LandmarkError
        If the table does not know the model, or searches use it.
    """
    known = {one.model: one for one in models.known_models(database)}
    if model not in known:
        models.known_model(database, model)
    if known[model].searched:
        raise LandmarkError(
            f"{model}: searches use it; let them use another model first: `{COMMAND} use MODEL`"
        )
    numbers = [one.number for one in known_aggregations(database, model, whole=False)]
    logger.info(
        "%s: %d images and %d aggregations %s",
        model, known[model].images, len(numbers), "would go" if dry_run else "go",
    )  # fmt: skip
    if dry_run:
        return
    for number in numbers:
        drop_index(database, number)  # sooner than it is emptied row by row
    progress = Progress(known[model].images, "images deleted")
    last = 0
    while deleted := models.delete_images(database, model, last, ROWS_AT_ONCE):
        last = max(deleted)
        progress.add(len(deleted))
    for number in numbers:
        drop_aggregation(database, number)
    models.forget_model(database, model)
    logger.info("%s is removed", model)
