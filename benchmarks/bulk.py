"""A large table made of few photographs, to measure searches on.

Each row is made of a photograph's real features. **Views** show the photograph's place: another
position and size, descriptors off by a little. Most rows are **other places**: their descriptors
are off by so much that hardly one matches, and lie elsewhere. So a search does for each row what
it does for a row of a real table, and finds as little.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import psycopg
from numpy.typing import NDArray
from pgvector import HalfVector
from pgvector.psycopg import register_vector

from landmark.features import LocalFeatures
from landmark.storage.aggregations import known_aggregations
from landmark.storage.database import Database

MODEL = "bulk"
# Rows that show each photograph's place.
VIEWS = 5
# About what two views of a place have in common.
VIEW_INLIERS = 60
# Length of what is added to descriptors of length 1. For other places it puts the two 0.85 apart,
# beyond the distance of a putative match.
VIEW_NOISE, PLACE_NOISE = 0.3, 1.2
# A global descriptor is mixed of so many, and so much is added to it.
MIXED, MIXED_NOISE = 4, 0.3
# Drawn once: drawing for every row would take longer than writing it.
NOISE_ROWS = 1 << 18
# For the trigger that counts them, Postgres keeps the rows of a statement, blobs too, to its end.
ROWS_PER_COPY = 500


class Noise:
    """Random vectors of about unit length [n, d], cheap to draw."""

    def __init__(self, dimensions: int, rng: np.random.Generator) -> None:
        self._rng = rng
        self._rows = rng.normal(0, dimensions**-0.5, (NOISE_ROWS, dimensions)).astype(np.float32)

    def added(self, vectors: NDArray[np.floating], length: float) -> NDArray[np.float16]:
        """Vectors [n, d] with noise of this length added, and scaled back to unit length."""
        start = self._rng.integers(len(self._rows) - len(vectors) + 1)
        noisy = vectors + length * self._rows[start : start + len(vectors)]
        return (noisy / np.linalg.norm(noisy, axis=-1, keepdims=True)).astype(np.float16)


def made_up_images(
    photographs: Sequence[LocalFeatures], first: int, images: int
) -> Iterator[tuple[str, LocalFeatures]]:
    """Paths and features of the images from number `first` up to `images`.

    The first are the views of each photograph's place, the others are other places.
    """
    rng = np.random.default_rng([first, images])
    noise = Noise(photographs[0].descriptors.shape[1], rng)
    views = VIEWS * len(photographs)
    for number in range(first, images):
        source = photographs[number % len(photographs)]
        if number < views:
            zoom, shift = rng.uniform(0.7, 1.4), rng.uniform(-50, 50, 2)
            moved = (source.locations * zoom + shift).astype(np.float32)
            length, scales = VIEW_NOISE, source.scales / np.float32(zoom)
        else:
            moved, scales = rng.permutation(source.locations), source.scales
            length = PLACE_NOISE
        yield (
            f"s3://bulk/{number:09d}.jpg",
            replace(
                source,
                locations=moved,
                scales=scales,
                descriptors=noise.added(source.descriptors, length),
            ),
        )


def view_paths(photograph: int, photographs: int, images: int) -> set[str]:
    """Paths of the views of one photograph's place, in a table of so many images."""
    last = min(images, VIEWS * photographs)
    return {f"s3://bulk/{number:09d}.jpg" for number in range(photograph, last, photographs)}


def fill_table(
    database: Database,
    photographs: Sequence[LocalFeatures],
    first: int,
    images: int,
    model: str = MODEL,
) -> None:
    """Add the made-up images from number `first` up to `images`; the same ones each time."""
    columns = (
        "image_path, model, etag, width, height, n_features, locations, descriptors, scales,"
        " attention"
    )
    left = made_up_images(photographs, first, images)
    statement = f"COPY landmarks ({columns}) FROM STDIN (FORMAT BINARY)"
    with database.connect() as connection:
        for _ in range(first, images, ROWS_PER_COPY):
            with connection.cursor().copy(statement) as copy:
                copy.set_types([*("text",) * 3, *("int4",) * 3, *("bytea",) * 4])
                for path, features in islice(left, ROWS_PER_COPY):
                    blobs = (
                        features.locations.astype("<f4"),
                        features.descriptors.astype("<f2"),
                        features.scales.astype("<f4"),
                        features.attention.astype("<f4"),
                    )
                    size = (features.width, features.height, len(features))
                    copy.write_row([path, model, "", *size, *(blob.tobytes() for blob in blobs)])
    _vacuum(database)


def link_views(database: Database, photographs: int, images: int) -> None:
    """Add the edges among the views of each place, as linking them would; nothing else agrees."""
    last = min(images, VIEWS * photographs)
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO landmark_matches (first, second, inliers, putative)"
            " SELECT one.id, two.id, %(inliers)s, 2 * %(inliers)s FROM landmarks AS one"
            " JOIN landmarks AS two ON one.id < two.id AND (two.id - one.id) %% %(places)s = 0"
            " WHERE one.model = %(model)s AND two.model = %(model)s"
            " AND one.image_path < %(last)s AND two.image_path < %(last)s"
            " ON CONFLICT DO NOTHING",
            {
                "inliers": VIEW_INLIERS,
                "places": photographs,
                "model": MODEL,
                "last": f"s3://bulk/{last:09d}",
            },
        )


def fill_global_descriptors(
    database: Database, real: NDArray[np.float32], first: int, images: int
) -> None:
    """Add rows with nothing but a global descriptor: real ones mixed, and off by a little.

    Parameters
    ----------
    real : float32 array [n, g]
        Global descriptors of photographs.
    """
    rng = np.random.default_rng([first, images])
    noise = Noise(real.shape[1], rng)
    number = known_aggregations(database, MODEL)[0].number  # filled after it was measured
    with database.connect() as connection:
        register_vector(connection)
        statement = (
            "COPY landmarks (image_path, model, etag, width, height, n_features, locations,"
            " descriptors, scales, attention, global_descriptor, aggregation)"
            " FROM STDIN (FORMAT BINARY)"
        )
        with connection.cursor().copy(statement) as copy:
            copy.set_types([*("text",) * 3, *("int4",) * 3, *("bytea",) * 4, "halfvec", "int4"])
            for image in range(first, images):
                mixed = rng.exponential(size=MIXED) @ real[rng.integers(len(real), size=MIXED)]
                mixed /= max(float(np.linalg.norm(mixed)), 1e-9)
                vector = noise.added(mixed[None], MIXED_NOISE)[0]
                path = f"s3://bulk/{image:09d}.jpg"
                copy.write_row([path, MODEL, "", 1, 1, 0, *(b"",) * 4, HalfVector(vector), number])
    _vacuum(database)


def _vacuum(database: Database) -> None:
    """As autovacuum would have done some minutes later."""
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE landmarks")
