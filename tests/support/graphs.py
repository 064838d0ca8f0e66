"""Photographs that show one place, another, or both, as features; and the graph of a table."""

from dataclasses import replace

import numpy as np

from landmark.features import LocalFeatures

MODEL = "model-1"


def both(make_view, place: int, other: int, view: int = 0) -> LocalFeatures:
    """A view in which two places stand side by side."""
    return joined(make_view(place, view), make_view(other, view))


def joined(left: LocalFeatures, right: LocalFeatures) -> LocalFeatures:
    """The features of both in one image, of the size of the first."""
    names = ("locations", "descriptors", "scales", "attention")
    arrays = {name: np.concatenate([getattr(left, name), getattr(right, name)]) for name in names}
    return replace(left, **arrays)


def edges(database):
    """Paths of each pair, its inliers, and whether these are within what it has in common."""
    with database.connect() as connection:
        return connection.execute(
            "SELECT one.image_path, two.image_path, inliers, putative FROM landmark_matches"
            " JOIN landmarks AS one ON one.id = first JOIN landmarks AS two ON two.id = second"
            " ORDER BY first, second"
        ).fetchall()


def waiting(database):
    """Paths of what waits to be linked."""
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT image_path FROM landmark_unlinked JOIN landmarks ON id = image ORDER BY 1"
        )
        return [path for (path,) in rows]
