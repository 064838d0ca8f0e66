"""COLMAP's database of a place: images, keypoints, putative matches, and which of them agree.

Made as COLMAP 3.8 made it, which later versions bring up to date when they open it (Schönberger
and Frahm, "Structure-from-Motion Revisited", 2016; https://colmap.github.io/database.html).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np

from landmark.export.files import written_whole
from landmark.export.scene import Scene
from landmark.features import LocalFeatures

VERSION = 3800
# COLMAP's numbers of a camera with one focal length and one distortion, and of a pair of images
# that agrees without a known focal length.
SIMPLE_RADIAL, UNCALIBRATED = 2, 3
# COLMAP's own guess where a photograph does not say: times the longest side.
FOCAL_LENGTH = 1.2
# Pairs are numbered by both of their images.
MOST_IDS = 2**31 - 1

SCHEMA = """
CREATE TABLE cameras (
    camera_id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, model INTEGER NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, params BLOB,
    prior_focal_length INTEGER NOT NULL);
CREATE TABLE images (
    image_id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, name TEXT NOT NULL UNIQUE,
    camera_id INTEGER NOT NULL,
    prior_qw REAL, prior_qx REAL, prior_qy REAL, prior_qz REAL,
    prior_tx REAL, prior_ty REAL, prior_tz REAL,
    CONSTRAINT image_id_check CHECK(image_id >= 0 and image_id < 2147483647),
    FOREIGN KEY(camera_id) REFERENCES cameras(camera_id));
CREATE UNIQUE INDEX index_name ON images(name);
CREATE TABLE keypoints (
    image_id INTEGER PRIMARY KEY NOT NULL, rows INTEGER NOT NULL, cols INTEGER NOT NULL, data BLOB,
    FOREIGN KEY(image_id) REFERENCES images(image_id) ON DELETE CASCADE);
CREATE TABLE descriptors (
    image_id INTEGER PRIMARY KEY NOT NULL, rows INTEGER NOT NULL, cols INTEGER NOT NULL, data BLOB,
    FOREIGN KEY(image_id) REFERENCES images(image_id) ON DELETE CASCADE);
CREATE TABLE matches (
    pair_id INTEGER PRIMARY KEY NOT NULL, rows INTEGER NOT NULL, cols INTEGER NOT NULL, data BLOB);
CREATE TABLE two_view_geometries (
    pair_id INTEGER PRIMARY KEY NOT NULL, rows INTEGER NOT NULL, cols INTEGER NOT NULL, data BLOB,
    config INTEGER NOT NULL, F BLOB, E BLOB, H BLOB, qvec BLOB, tvec BLOB);
"""


def export_colmap(scene: Scene, file: Path) -> None:
    """Write a scene's database; what agrees is a two-view geometry without its matrices.

    Raises
    ------
    LandmarkError
        If the file is there already, or cannot be written.
    """
    with written_whole(file) as unfinished, closing(sqlite3.connect(unfinished)) as database:
        database.executescript(SCHEMA + f"PRAGMA user_version = {VERSION};")
        for number, (name, features) in enumerate(zip(scene.names, scene.features, strict=True), 1):
            _add_image(database, number, name, features)
        for pair in scene.pairs():
            number = (pair.first + 1) * MOST_IDS + pair.second + 1
            putative = np.ascontiguousarray(pair.putative, "<u4")
            agreeing = putative[pair.inliers]
            database.execute(
                "INSERT INTO matches VALUES (?, ?, 2, ?)",
                (number, len(putative), putative.tobytes()),
            )
            database.execute(
                "INSERT INTO two_view_geometries (pair_id, rows, cols, data, config)"
                " VALUES (?, ?, 2, ?, ?)",
                (number, len(agreeing), agreeing.tobytes(), UNCALIBRATED),
            )
        database.commit()


def _add_image(
    database: sqlite3.Connection, number: int, name: str, features: LocalFeatures
) -> None:
    """An image, a camera of its own, and its keypoints (x, y), whose origin is a pixel's corner."""
    width, height = features.width, features.height
    camera = np.array([FOCAL_LENGTH * max(width, height), width / 2, height / 2, 0], "<f8")
    database.execute(
        "INSERT INTO cameras VALUES (?, ?, ?, ?, ?, 0)",
        (number, SIMPLE_RADIAL, width, height, camera.tobytes()),
    )
    database.execute(
        "INSERT INTO images (image_id, name, camera_id) VALUES (?, ?, ?)", (number, name, number)
    )
    keypoints = np.ascontiguousarray(features.locations[:, ::-1] + 0.5, "<f4")
    database.execute(
        "INSERT INTO keypoints VALUES (?, ?, 2, ?)", (number, len(keypoints), keypoints.tobytes())
    )
