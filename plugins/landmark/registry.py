"""The models that the table knows, and which of them searches use.

    python -m landmark.registry list [postgresql://…]
    python -m landmark.registry use MODEL [postgresql://…]
    python -m landmark.registry remove [--dry-run] MODEL [postgresql://…]

Searches use the model whose sweep was completed last, so a new model is extracted beside the old
one and takes over when nothing is left to extract (`switch_after`). `use` switches at once, to any
model that has images. `remove` deletes all that the table has of a model that searches do not use,
in small steps; killed, it goes on where it stopped when it is run again.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from landmark.errors import LandmarkError
from landmark.models import ModelConfig, resolve_model
from landmark.progress import Progress
from landmark.settings import Settings
from landmark.store import Store

logger = logging.getLogger(__name__)

# Rows deleted in one transaction: a fraction of a second, with their blobs.
ROWS_AT_ONCE = 500
# Of the old model's images; a new one that fails on more is not switched to unasked.
MOST_LOST = 0.1
COMMAND = "python -m landmark.registry"


class KnownModel(NamedTuple):
    """What the table holds of one model.

    Parameters
    ----------
    model : str
        Its fingerprint.
    images, features : int
    newest : datetime or None
        When an image was indexed last.
    searched : bool
        Whether searches use it.
    """

    model: str
    images: int
    features: int
    newest: datetime | None
    searched: bool


def known_models(store: Store) -> list[KnownModel]:
    """Each model that has images or was planned for a sweep, most images first."""
    with store.connect() as connection:
        return (
            connection.cursor(row_factory=class_row(KnownModel))
            .execute(
                "WITH counted AS (SELECT model, sum(images)::bigint AS images,"
                "   sum(features)::bigint AS features FROM landmark_counts GROUP BY model)"
                " SELECT model, coalesce(images, 0) AS images, coalesce(features, 0) AS features,"
                "  (SELECT max(indexed_at) FROM landmarks WHERE landmarks.model = known.model)"
                "   AS newest,"
                "  coalesce(images > 0 AND searched_since = max(searched_since)"
                "   FILTER (WHERE images > 0) OVER (), false) AS searched"
                " FROM (SELECT * FROM landmark_models FULL JOIN counted USING (model)) AS known"
                " WHERE images > 0 OR config IS NOT NULL ORDER BY images DESC, model"
            )
            .fetchall()
        )


def known_model(store: Store, model: str) -> KnownModel:
    """What the table holds of this model.

    Raises
    ------
    LandmarkError
        If it has no image of it; names the models that it has.
    """
    known = [known for known in known_models(store) if known.images]
    for one in known:
        if one.model == model:
            return one
    others = ", ".join(one.model for one in known) or "none"
    raise LandmarkError(f"{model}: the table has no such model; it has {others}")


def register(store: Store, model: ModelConfig) -> None:
    """Note how a model is loaded, for as long as the table has images of it."""
    with store.connect() as connection:
        connection.execute(
            "INSERT INTO landmark_models (model, config) VALUES (%s, %s)"
            " ON CONFLICT (model) DO UPDATE SET config = excluded.config",
            [model.fingerprint, Jsonb(model.record())],
        )


def searched_model(store: Store, settings: Settings) -> ModelConfig:
    """The model that searches use: the one completed last; before the first, that of the settings.

    Raises
    ------
    LandmarkError
        If the model of the settings cannot be read, or it is not known how to load the other one.
    """
    wanted = resolve_model(settings)
    with store.connect() as connection:
        row = connection.execute(
            "SELECT model, config FROM landmark_models AS known WHERE searched_since IS NOT NULL"
            " AND EXISTS (SELECT FROM landmarks WHERE landmarks.model = known.model)"
            " ORDER BY searched_since DESC LIMIT 1"
        ).fetchone()
    if row is None or row[0] == wanted.fingerprint:
        return wanted
    model, record = row
    if record is None:
        raise LandmarkError(
            f"searches use the model {model} until {wanted.fingerprint} is complete, but it was "
            f"indexed before the table noted how to load it; set LANDMARK_MODEL back to it and run "
            f"landmark_index, which notes it, or `{COMMAND} use {wanted.fingerprint}`"
        )
    logger.info("searches use %s until %s is complete", model, wanted.fingerprint)
    return ModelConfig.from_record(record, model)


def sweep_model(store: Store, settings: Settings, sweep: str) -> ModelConfig:
    """The model that a sweep was planned for, even if it is not that of the settings any more.

    Raises
    ------
    LandmarkError
        If there is no such sweep, its model was removed, or that of the settings cannot be read.
    """
    wanted = resolve_model(settings)
    with store.connect() as connection:
        row = connection.execute(
            "SELECT model, config FROM landmark_sweeps JOIN landmark_models USING (model)"
            " WHERE sweep = %s AND config IS NOT NULL",
            [sweep],
        ).fetchone()
    if row is None:
        raise LandmarkError(
            f"sweep {sweep!r} was never planned, or its model was removed; run landmark_index again"
        )
    model, record = row
    # The settings' own may lie elsewhere on this machine than where the sweep was planned.
    return wanted if wanted.fingerprint == model else ModelConfig.from_record(record, model)


def switch_after(store: Store, sweep: str) -> bool:
    """Let searches use a sweep's model, if it has all that the sweep was to extract.

    Returns
    -------
    bool
        Whether searches switch to it now.
    """
    with store.connect() as connection:
        row = connection.execute(
            "SELECT model, postponed, new + changed + retried - postponed"
            "  - coalesce(indexed + failed + gone, 0) AS left"
            " FROM landmark_sweeps WHERE sweep = %s",
            [sweep],
        ).fetchone()
    if row is None:
        raise LandmarkError(f"sweep {sweep!r} was never planned; run landmark_index again")
    model, postponed, left = row
    known = {one.model: one for one in known_models(store)}
    used = next((one.model for one in known.values() if one.searched), None)
    images = known[model].images if model in known else 0
    if used == model or not images:
        return False
    if postponed or left:
        logger.info(
            "%s lacks %d images yet; searches use %s until it has them",
            model, postponed + left, used or "it all the same",
        )  # fmt: skip
        return False
    if used is not None:
        lost = _lost_images(store, used, model)
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
    use_model(store, model)
    if used is not None:
        logger.info("`%s remove %s` deletes what is left of the old model", COMMAND, used)
    return True


def _lost_images(store: Store, old: str, new: str) -> int:
    """How many of the old model's images have failed with the new one."""
    with store.connect() as connection:
        row = connection.execute(
            "SELECT count(*) FROM landmark_failures AS failure WHERE model = %s AND EXISTS"
            " (SELECT FROM landmarks AS landmark"
            "  WHERE landmark.image_path = failure.image_path AND landmark.model = %s)",
            [new, old],
        ).fetchone()
    assert row is not None
    return int(row[0])


def use_model(store: Store, model: str) -> None:
    """Let searches use a model from now on.

    Raises
    ------
    LandmarkError
        If the table has no image of it.
    """
    images = known_model(store, model).images
    with store.connect() as connection:
        connection.execute(
            "INSERT INTO landmark_models (model, searched_since) VALUES (%s, clock_timestamp())"
            " ON CONFLICT (model) DO UPDATE SET searched_since = excluded.searched_since",
            [model],
        )
    logger.info("searches use %s (%d images) from now on", model, images)


def remove_model(store: Store, model: str, dry_run: bool = False) -> None:
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
    known = {one.model: one for one in known_models(store)}
    if model not in known:
        known_model(store, model)
    if known[model].searched:
        raise LandmarkError(
            f"{model}: searches use it; let them use another model first: `{COMMAND} use MODEL`"
        )
    aggregations = store.aggregations(model)
    logger.info(
        "%s: %d images and %d aggregations %s",
        model, known[model].images, len(aggregations), "would go" if dry_run else "go",
    )  # fmt: skip
    if dry_run:
        return
    for aggregation in aggregations:
        store.drop_index(aggregation.number)  # sooner than it is emptied row by row
    progress = Progress(known[model].images, "images deleted")
    last = 0
    while True:
        with store.connect() as connection:
            deleted = connection.execute(
                "DELETE FROM landmarks WHERE id IN (SELECT id FROM landmarks"
                "  WHERE model = %s AND id > %s ORDER BY id LIMIT %s) RETURNING id",
                [model, last, ROWS_AT_ONCE],
            ).fetchall()
        if not deleted:
            break
        last = max(number for (number,) in deleted)
        progress.add(len(deleted))
    for aggregation in aggregations:
        store.drop_aggregation(aggregation.number)
    with store.connect() as connection:
        connection.execute("DELETE FROM landmark_failures WHERE model = %s", [model])
        connection.execute("DELETE FROM landmark_models WHERE model = %s", [model])
    logger.info("%s is removed", model)


def _print_models(store: Store) -> None:
    for one in known_models(store):
        newest = f"{one.newest:%Y-%m-%d %H:%M}" if one.newest else "never"
        used = "searches use it" if one.searched else ""
        print(f"{one.model}\t{one.images} images\tlast {newest}\t{used}".rstrip())


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog=COMMAND, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="what", required=True)
    for what in ("list", "use", "remove"):
        command = commands.add_parser(what)
        if what != "list":
            command.add_argument("model", metavar="MODEL")
        if what == "remove":
            command.add_argument("--dry-run", action="store_true", help="only say what would go")
        command.add_argument("database", nargs="?", default=os.environ.get("DATABASE_URL"))
    options = parser.parse_args(arguments)
    if options.database is None:
        parser.error("name the database, or set DATABASE_URL")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    store = Store(options.database)
    try:
        store.migrate()
        if options.what == "use":
            use_model(store, options.model)
        elif options.what == "remove":
            remove_model(store, options.model, options.dry_run)
        else:
            _print_models(store)
    except LandmarkError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
