"""The tables `landmarks` and `landmark_failures`: an image is written as the one or the other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from pgvector import HalfVector
from pgvector.psycopg import register_vector

from landmark.extraction.shot import NOTHING_SAID, Shot
from landmark.features import LocalFeatures
from landmark.storage.aggregations import NumberedAggregation, hold_aggregation
from landmark.storage.blobs import (
    as_array,
    as_scales,
    check_size,
    local_dimensions,
    warn_damaged,
)
from landmark.storage.database import Database
from landmark.storage.removals import is_kept_out
from landmark.storage.sweeps import settle


class Contents(NamedTuple):
    """What the table holds of one model besides the image of a path.

    Parameters
    ----------
    has_path : bool
        Whether it holds that image, too.
    images : int
        Others; counted only so far as was asked.
    newest : datetime or None
        When one of them was indexed last; None if there is none.
    """

    has_path: bool
    images: int
    newest: datetime | None


def find_image(database: Database, path: str, model: str) -> tuple[set[str], LocalFeatures] | None:
    """The etags, listed and read, and features of an image; None if the model has it not.

    A damaged row is none: who asks extracts the image anew.
    """
    with database.connect() as connection:
        register_vector(connection)
        row = (
            connection.cursor(binary=True)
            .execute(
                "SELECT ARRAY[etag, read_etag], locations, descriptors, scales, attention,"
                " width, height, n_features, global_descriptor"
                " FROM landmarks WHERE image_path = %s AND model = %s",
                [path, model],
            )
            .fetchone()
        )
        if row is None:
            return None
        dimensions = local_dimensions(connection, model)
    etags, locations, descriptors, scales, attention, width, height, n, pooled = row
    try:
        check_size(width, height)
        return set(etags) - {None}, LocalFeatures(
            locations=as_array(locations, "<f4", n, 2),
            descriptors=as_array(descriptors, "<f2", n, dimensions),
            scales=as_scales(scales, n),
            attention=as_array(attention, "<f4", n, 1).ravel(),
            width=width,
            height=height,
            global_descriptor=None if pooled is None else pooled.to_numpy(),
        )
    except ValueError as error:
        warn_damaged(path, error)
        return None


def save_image(
    database: Database,
    image_path: str,
    model: str,
    etag: str,
    features: LocalFeatures,
    sweep: str = "",
    aggregation: NumberedAggregation | None = None,
    size: int | None = None,
    read_etag: str | None = None,
    shot: Shot = NOTHING_SAID,
) -> None:
    """Write an image's features, instead of any it had, and settle it in the sweep.

    A row keeps its id, so that a running search sees an image once. One that people have removed is
    not written.

    Parameters
    ----------
    aggregation : NumberedAggregation, optional
        Of the model: makes the global descriptor. Without it `landmark_index` adds that later.
    size, read_etag : int, str, optional
        The object's bytes, as listed; its etag, as read: some servers list another.
    shot : Shot
        Where and when it says that it was taken.
    """
    pooled, sketch, number = features.global_descriptor, None, None
    if aggregation:
        pooled, sketch = aggregation.describe(features) or (None, None)
        number = aggregation.number
    with database.connect() as connection:
        register_vector(connection)
        if is_kept_out(connection, image_path):
            settle(connection, sweep, image_path, "gone")
            return
        _one_writer(connection, image_path, model)
        if aggregation and not hold_aggregation(connection, aggregation.number):
            # Replaced meanwhile; `landmark_index` describes the image.
            pooled = sketch = number = None
        connection.execute(
            "INSERT INTO landmarks (image_path, model, etag, width, height, n_features,"
            " locations, descriptors, scales, attention,"
            " global_descriptor, sketch, aggregation, size, read_etag,"
            " latitude, longitude, taken_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %b, %b, %b, %b, %s, %b, %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (image_path, model) DO UPDATE SET"
            " etag = excluded.etag, width = excluded.width, height = excluded.height,"
            " n_features = excluded.n_features, locations = excluded.locations,"
            " descriptors = excluded.descriptors, scales = excluded.scales,"
            " attention = excluded.attention,"
            " global_descriptor = excluded.global_descriptor, sketch = excluded.sketch,"
            " aggregation = excluded.aggregation, size = excluded.size,"
            " read_etag = excluded.read_etag, latitude = excluded.latitude,"
            " longitude = excluded.longitude, taken_at = excluded.taken_at, indexed_at = now()",
            [
                image_path,
                model,
                etag,
                features.width,
                features.height,
                len(features),
                features.locations.astype("<f4").tobytes(),
                features.descriptors.astype("<f2").tobytes(),
                features.scales.astype("<f4").tobytes(),
                features.attention.astype("<f4").tobytes(),
                None if pooled is None else HalfVector(pooled),
                sketch,
                number,
                size,
                None if read_etag == etag else read_etag,
                *shot,
            ],
        )
        connection.execute(
            "DELETE FROM landmark_failures WHERE image_path = %s AND model = %s",
            [image_path, model],
        )
        settle(connection, sweep, image_path, "indexed")


def record_failure(
    database: Database,
    image_path: str,
    model: str,
    etag: str,
    reason: str,
    sweep: str = "",
    was_read: bool = True,
) -> None:
    """Note why an image cannot be used, and settle it in the sweep.

    Parameters
    ----------
    was_read : bool
        Whether its new content was, so that features of an earlier version are no longer what lies
        in S3, and go; else they stay.
    """
    with database.connect() as connection:
        if is_kept_out(connection, image_path):
            settle(connection, sweep, image_path, "gone")
            return
        _one_writer(connection, image_path, model)
        connection.execute(
            "INSERT INTO landmark_failures AS failure (image_path, model, etag, reason)"
            " VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (image_path, model) DO UPDATE SET"
            " etag = excluded.etag, reason = excluded.reason,"
            " attempts = CASE WHEN failure.etag IN (excluded.etag, '')"
            "  THEN failure.attempts + 1 ELSE 1 END,"
            " first_failed_at = CASE WHEN failure.etag IN (excluded.etag, '')"
            "  THEN failure.first_failed_at ELSE excluded.first_failed_at END,"
            " last_failed_at = excluded.last_failed_at",
            [image_path, model, etag, reason],
        )
        if was_read:
            connection.execute(
                "DELETE FROM landmarks WHERE image_path = %s AND model = %s",
                [image_path, model],
            )
        settle(connection, sweep, image_path, "failed")


def coordinates_of(
    database: Database, model: str, paths: Sequence[str]
) -> list[tuple[float, float]]:
    """Latitude and longitude, in degrees, of those images that say where they were taken."""
    with database.connect() as connection:
        return connection.execute(
            "SELECT latitude, longitude FROM landmarks WHERE model = %s AND image_path = ANY(%s)"
            " AND latitude IS NOT NULL ORDER BY id",
            [model, list(paths)],
        ).fetchall()


def count_images(database: Database, model: str, up_to: int | None = None) -> int:
    """How many images the model has.

    Parameters
    ----------
    up_to : int, optional
        Count no further: counting takes long in a large table.
    """
    with database.connect() as connection:
        return _count_images(connection, model, up_to)


def contents_besides(
    database: Database, model: str, paths: Sequence[str], up_to: int
) -> list[Contents]:
    """For each path what the model has besides the image of that path.

    Parameters
    ----------
    up_to : int
        Count no further.
    """
    with database.connect() as connection:
        images = _count_images(connection, model, up_to + 1)
        # Of two one at least is another image than the one of a path.
        newest = connection.execute(
            "SELECT image_path, indexed_at FROM landmarks WHERE model = %s"
            " ORDER BY indexed_at DESC LIMIT 2",
            [model],
        ).fetchall()
        indexed = {
            path
            for (path,) in connection.execute(
                "SELECT image_path FROM landmarks WHERE model = %s AND image_path = ANY(%s)",
                [model, list(paths)],
            )
        }
    return [
        Contents(
            path in indexed,
            min(images - (path in indexed), up_to),
            next((time for other, time in newest if other != path), None),
        )
        for path in paths
    ]


def newest_images(database: Database, model: str, images: int) -> list[str]:
    """Paths of the images that came last, the last first."""
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT image_path FROM landmarks WHERE model = %s ORDER BY id DESC LIMIT %s",
            [model, images],
        )
        return [path for (path,) in rows]


def is_known_image(database: Database, image_path: str) -> bool:
    """Whether an image is indexed, or has failed to be."""
    with database.connect() as connection:
        row: tuple[Any, ...] | None = connection.execute(
            "SELECT EXISTS (SELECT FROM landmarks WHERE image_path = %(path)s)"
            " OR EXISTS (SELECT FROM landmark_failures WHERE image_path = %(path)s)",
            {"path": image_path},
        ).fetchone()
    return bool(row and row[0])


def indexed_among(database: Database, paths: Sequence[str]) -> set[str]:
    """Of some images those that are indexed, with whatever model."""
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT DISTINCT image_path FROM landmarks WHERE image_path = ANY(%s)", [list(paths)]
        )
        return {path for (path,) in rows}


def _one_writer(connection: psycopg.Connection[Any], image_path: str, model: str) -> None:
    """Wait for others who write this image, a sweep and a search: it is a row or a failure."""
    connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{model} {image_path}"]
    )


def _count_images(connection: psycopg.Connection[Any], model: str, up_to: int | None) -> int:
    row = connection.execute(
        "SELECT count(*) FROM (SELECT FROM landmarks WHERE model = %s LIMIT %s) AS counted",
        [model, up_to],
    ).fetchone()
    assert row is not None
    return int(row[0])
