"""The tables `landmark_models` and `landmark_counts`: each model, and how much there is of it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from landmark.errors import LandmarkError
from landmark.storage.database import Database


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


class Day(NamedTuple):
    """A day, and how many images had been indexed at its end."""

    day: date
    images: int


def known_models(database: Database) -> list[KnownModel]:
    """Each model that has images or was planned for a sweep, most images first."""
    return database.rows(
        KnownModel,
        "WITH counted AS (SELECT model, sum(images)::bigint AS images,"
        "   sum(features)::bigint AS features FROM landmark_counts GROUP BY model)"
        " SELECT model, coalesce(images, 0) AS images, coalesce(features, 0) AS features,"
        "  (SELECT max(indexed_at) FROM landmarks WHERE landmarks.model = known.model)"
        "   AS newest,"
        "  coalesce(images > 0 AND searched_since = max(searched_since)"
        "   FILTER (WHERE images > 0) OVER (), false) AS searched"
        " FROM (SELECT * FROM landmark_models FULL JOIN counted USING (model)) AS known"
        " WHERE images > 0 OR config IS NOT NULL ORDER BY images DESC, model",
    )


def known_model(database: Database, model: str) -> KnownModel:
    """What the table holds of this model.

    Raises
    ------
    LandmarkError
        If it has no image of it; names the models that it has.
    """
    known = [known for known in known_models(database) if known.images]
    for one in known:
        if one.model == model:
            return one
    others = ", ".join(one.model for one in known) or "none"
    raise LandmarkError(f"{model}: the table has no such model; it has {others}")


def model_in_use(database: Database) -> str:
    """Fingerprint of the model that searches use.

    Raises
    ------
    LandmarkError
        If they use none yet.
    """
    for one in known_models(database):
        if one.searched:
            return one.model
    raise LandmarkError("searches use no model yet; run landmark_index, or name a MODEL")


def count_all_images(database: Database, model: str) -> int:
    """How many there are of a model, however many that is."""
    with database.connect() as connection:
        row = connection.execute(
            "SELECT coalesce(sum(images), 0)::bigint FROM landmark_counts WHERE model = %s", [model]
        ).fetchone()
    assert row is not None
    return int(row[0])


def register_model(database: Database, model: str, config: dict[str, Any]) -> None:
    """Note how a model is loaded, for as long as the table has images of it."""
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO landmark_models (model, config) VALUES (%s, %s)"
            " ON CONFLICT (model) DO UPDATE SET config = excluded.config",
            [model, Jsonb(config)],
        )


def completed_model(database: Database) -> tuple[str, dict[str, Any] | None] | None:
    """The model that searches were switched to last, and how it is loaded, where that was noted.

    None before the first is complete.
    """
    with database.connect() as connection:
        row: Any = connection.execute(
            "SELECT model, config FROM landmark_models AS known WHERE searched_since IS NOT NULL"
            " AND EXISTS (SELECT FROM landmarks WHERE landmarks.model = known.model)"
            " ORDER BY searched_since DESC LIMIT 1"
        ).fetchone()
    return row


def planned_model(database: Database, sweep: str) -> tuple[str, dict[str, Any]] | None:
    """The model that a sweep was planned for, and how it is loaded; None if either is not known."""
    with database.connect() as connection:
        row: Any = connection.execute(
            "SELECT model, config FROM landmark_sweeps JOIN landmark_models USING (model)"
            " WHERE sweep = %s AND config IS NOT NULL",
            [sweep],
        ).fetchone()
    return row


def model_record(database: Database, model: str) -> dict[str, Any] | None:
    """How a model is loaded; None where that is not known."""
    with database.connect() as connection:
        row: Any = connection.execute(
            "SELECT config FROM landmark_models WHERE model = %s", [model]
        ).fetchone()
    return row[0] if row else None


def mark_searched(database: Database, model: str) -> None:
    """Let searches use a model from now on."""
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO landmark_models (model, searched_since) VALUES (%s, clock_timestamp())"
            " ON CONFLICT (model) DO UPDATE SET searched_since = excluded.searched_since",
            [model],
        )


def count_lost(database: Database, old: str, new: str) -> int:
    """How many of the old model's images have failed with the new one."""
    with database.connect() as connection:
        row = connection.execute(
            "SELECT count(*) FROM landmark_failures AS failure WHERE model = %s AND EXISTS"
            " (SELECT FROM landmarks AS landmark"
            "  WHERE landmark.image_path = failure.image_path AND landmark.model = %s)",
            [new, old],
        ).fetchone()
    assert row is not None
    return int(row[0])


def delete_images(database: Database, model: str, after_id: int, images: int) -> list[int]:
    """Delete the next of a model's images by id; return their ids."""
    with database.connect() as connection:
        rows = connection.execute(
            "DELETE FROM landmarks WHERE id IN (SELECT id FROM landmarks"
            "  WHERE model = %s AND id > %s ORDER BY id LIMIT %s) RETURNING id",
            [model, after_id, images],
        )
        return [number for (number,) in rows]


def forget_model(database: Database, model: str) -> None:
    """Delete a model's failures, and what is known of itself and of its chance."""
    with database.connect() as connection:
        connection.execute("DELETE FROM landmark_failures WHERE model = %s", [model])
        connection.execute("DELETE FROM landmark_chance WHERE model = %s", [model])
        connection.execute("DELETE FROM landmark_places WHERE model = %s", [model])
        connection.execute("DELETE FROM landmark_models WHERE model = %s", [model])


def growth(database: Database, model: str) -> list[Day]:
    """The model's images at the end of each day that brought some, oldest first."""
    return database.rows(
        Day,
        "SELECT day, sum(sum(images)) OVER (ORDER BY day)::bigint AS images FROM landmark_counts"
        " WHERE model = %s GROUP BY day HAVING sum(images) > 0 ORDER BY day",
        [model],
    )


def fold_counts(connection: psycopg.Connection[Any]) -> None:
    """One row for each model and day instead of one for each change."""
    connection.execute(
        "WITH folded AS (DELETE FROM landmark_counts RETURNING *)"
        " INSERT INTO landmark_counts SELECT model, day, sum(images), sum(features) FROM folded"
        " GROUP BY model, day HAVING sum(images) <> 0 OR sum(features) <> 0"
    )
