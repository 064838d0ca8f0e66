"""Putative matches -> inliers: those that agree with one affine transformation.

Each match is one hypothesis, as it tells a shift, and by the scales of its two features a zoom
(Philbin et al., "Object retrieval with large vocabularies and fast spatial matching", 2007,
section 4.1). Photographs are upright, so a hypothesis needs no rotation; the affine transformation
that is refitted to what agrees with it may turn. All hypotheses are tried at once: no sampling, no
seed. The best are refitted while their threshold narrows (Chum, Matas and Kittler, "Locally
Optimized RANSAC", 2003, section 2).

Nothing here depends on the order of additions: locations are whole numbers, so that the sums of
their products are exact. The same matches give the same inliers on every processor.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

# Locations are rounded to this fraction of an image's longest side: a fifth of a pixel at most.
GRID = 8192
# So many matches, evenly chosen, are hypotheses: where there are more, many agree.
MAX_HYPOTHESES = 100
# A network that sees an image at one size knows no scales: hypotheses then try these zooms.
ZOOM_STEPS = np.array([1.0, 0.7, 1.4], np.float32)
# Matches, itself included, that must agree with a hypothesis worth refitting, and how many are.
MIN_SUPPORT = 5
REFITTED = 32
# Multiples of the residual threshold: a hypothesis knows no rotation, the last refit must be exact.
HYPOTHESIS_RADIUS = 4.0
REFIT_RADII = (2.5, 1.5, 1.0, 1.0)


@dataclass(frozen=True)
class VerificationParameters:
    """What counts as one plausible transformation.

    Parameters
    ----------
    residual_threshold : float
        Largest distance between a transformed query location and its match, as a fraction of
        the other image's longest side: the same strictness at every resolution.
    zoom_tolerance : float
        How many times larger or smaller a feature may be than the transformation makes it.
    max_zoom : float
        Largest enlargement or reduction from one image to the other (times, both of one size).
    max_anisotropy : float
        Largest ratio of the two axes' scales: how far a circle may be squeezed.
    """

    residual_threshold: float = 0.015
    zoom_tolerance: float = 2.0
    max_zoom: float = 6.0
    max_anisotropy: float = 4.0


@dataclass(frozen=True, eq=False)
class Verification:
    """The best transformation and what agrees with it.

    Parameters
    ----------
    inliers : intp array [k]
        Ascending indices into the putative matches; empty if nothing agrees.
    transform : float64 array [2, 3] or None
        Maps (y, x, 1) of the query image to (y, x) of the other image, px.
    overlay : int
        How many agree with another transformation, of an overlay on both images; they are no
        inliers.
    is_copy : bool
        Whether the two images are copies of one photograph.
    """

    inliers: NDArray[np.intp]
    transform: NDArray[np.float64] | None
    overlay: int = 0
    is_copy: bool = False


NOTHING = Verification(np.empty(0, np.intp), None)


@dataclass(frozen=True, eq=False)
class Correspondences:
    """Matched locations on the grid, and how much larger each feature is in the other image.

    Parameters
    ----------
    source, target : float64 arrays [2, k]
        y and x: whole numbers.
    zoom : float64 array [k]
        Relative to the images' sides.
    """

    source: NDArray[np.float64]
    target: NDArray[np.float64]
    zoom: NDArray[np.float64]

    @cached_property
    def terms(self) -> NDArray[np.float64]:
        """What a fit sums over its matches, whole numbers: [k, 12]."""
        (y, x), (v, u) = self.source, self.target
        one = np.ones_like(y)
        return np.stack([one, y, x, v, u, y * y, y * x, x * x, y * v, x * v, y * u, x * u], axis=1)


def verify(
    query: NDArray[np.floating],
    image: NDArray[np.floating],
    query_side_px: int,
    image_side_px: int,
    zoom: NDArray[np.floating] | float = 1.0,
    parameters: VerificationParameters = VerificationParameters(),
) -> Verification:
    """The largest set of matches that agree with one plausible affine transformation.

    Parameters
    ----------
    query, image : floating arrays [k, 2]
        (y, x) px of the matched features in the query image and in the other image, row by row.
    query_side_px, image_side_px : int
        The images' longest sides.
    zoom : floating array [k] or float
        How many times larger, in px, the feature is in the other image than in the query.
        A match of which anything is not finite is no inlier.

    Returns
    -------
    Verification
        Without inliers where there are fewer than five matches, or where no hypothesis leads to
        a plausible transformation (collinear, mirrored, collapsed).
    """
    zooms = np.broadcast_to(np.asarray(zoom, np.float64), len(query))
    finite = np.isfinite(query.sum(axis=1) + image.sum(axis=1) + zooms)
    if not finite.all():
        kept = np.flatnonzero(finite)
        found = verify(
            query[kept], image[kept], query_side_px, image_side_px, zooms[kept], parameters
        )
        return Verification(kept[found.inliers], found.transform)
    if len(query) < MIN_SUPPORT:
        return NOTHING
    matches = Correspondences(
        np.rint(query.T * (GRID / query_side_px)).astype(np.float64),
        np.rint(image.T * (GRID / image_side_px)).astype(np.float64),
        zooms * (query_side_px / image_side_px),
    )
    agreeing = hypotheses(matches, parameters)
    if not len(agreeing):
        return NOTHING
    best, best_transform = np.zeros(len(query), bool), None
    for radius in REFIT_RADII:
        transforms = affine_fits(agreeing, matches)
        transforms = transforms[plausible(transforms, parameters)]
        if not len(transforms):
            break
        agreeing = agreement(transforms, matches, parameters, radius)
        counts = agreeing.sum(axis=1)
        if radius == 1.0 and counts.max() > best.sum():
            best, best_transform = agreeing[counts.argmax()], transforms[counts.argmax()]
    if best_transform is None:
        return NOTHING
    in_px = best_transform * (image_side_px / GRID)
    in_px[:, :2] *= GRID / query_side_px
    return Verification(np.flatnonzero(best), in_px)


def hypotheses(matches: Correspondences, parameters: VerificationParameters) -> NDArray[np.bool_]:
    """Which matches agree with the best hypotheses, most agreement first.

    Returns
    -------
    bool array [<= REFITTED, k]
        May have no rows.
    """
    source, target, zoom = (
        values.astype(np.float32) for values in (matches.source, matches.target, matches.zoom)
    )
    chosen = np.arange(len(zoom))
    if len(chosen) > MAX_HYPOTHESES:
        chosen = np.linspace(0, len(zoom) - 1, MAX_HYPOTHESES).astype(np.intp)
    least, most = zoom.min(), zoom.max()
    tried = zoom[chosen, None]
    if least == most:
        tried = (tried * ZOOM_STEPS).reshape(-1, 1)
        chosen = np.repeat(chosen, len(ZOOM_STEPS))
    y = target[0] - target[0, chosen, None] - tried * (source[0] - source[0, chosen, None])
    x = target[1] - target[1, chosen, None] - tried * (source[1] - source[1, chosen, None])
    radius = HYPOTHESIS_RADIUS * parameters.residual_threshold * GRID
    agreeing = y * y + x * x <= np.float32(radius * radius)
    if most > least:
        tolerance = np.float32(parameters.zoom_tolerance)
        agreeing &= (tried <= tolerance * zoom) & (zoom <= tolerance * tried)
    support = agreeing.sum(axis=1)
    best = np.argsort(-support, kind="stable")[:REFITTED]
    return agreeing[best[support[best] >= MIN_SUPPORT]]


def affine_fits(members: NDArray[np.bool_], matches: Correspondences) -> NDArray[np.float64]:
    """The affine transformation of least squares for each set of matches.

    Parameters
    ----------
    members : bool array [t, k]

    Returns
    -------
    float64 array [t, 2, 3]
        Of (y, x, 1) on the grid; not finite where the locations lie on one line.
    """
    n, y, x, v, u, yy, yx, xx, yv, xv, yu, xu = (members.astype(np.float64) @ matches.terms).T
    fits = np.empty((len(members), 2, 3))
    with np.errstate(divide="ignore", invalid="ignore"):
        # Moments about the centre, times n squared: differences of exact whole numbers.
        yy, yx, xx = n * yy - y * y, n * yx - y * x, n * xx - x * x
        yv, xv, yu, xu = n * yv - y * v, n * xv - x * v, n * yu - y * u, n * xu - x * u
        inverse = 1 / (yy * xx - yx * yx)
        for row, yt, xt, t in ((0, yv, xv, v), (1, yu, xu, u)):
            fits[:, row, 0] = a = (xx * yt - yx * xt) * inverse
            fits[:, row, 1] = b = (yy * xt - yx * yt) * inverse
            fits[:, row, 2] = (t - a * y - b * x) / n
    return fits


def plausible(
    transforms: NDArray[np.float64], parameters: VerificationParameters
) -> NDArray[np.bool_]:
    """Which of the transformations [t, 2, 3] two photographs of one place can have, bool [t].

    A mirrored image, a scene shrunk to a point or squeezed to a line verify any matches. With
    singular values s1 >= s2 of the linear part: ``s1 * s2`` is its determinant and
    ``s1**2 + s2**2`` the sum of its squares, hence no decomposition is needed.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        determinant = determinants(transforms)
        squares = np.square(transforms[:, :, :2]).sum(axis=(1, 2))
        ratio = parameters.max_anisotropy
        return (
            np.isfinite(transforms).all(axis=(1, 2))
            & (determinant >= parameters.max_zoom**-2)
            & (determinant <= parameters.max_zoom**2)
            & (squares <= determinant * (ratio + 1 / ratio))
        )


def determinants(transforms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the linear parts of transformations [t, 2, 3]: [t]."""
    return transforms[:, 0, 0] * transforms[:, 1, 1] - transforms[:, 0, 1] * transforms[:, 1, 0]


def agreement(
    transforms: NDArray[np.float64],
    matches: Correspondences,
    parameters: VerificationParameters,
    radius: float = 1.0,
) -> NDArray[np.bool_]:
    """Which matches [k] agree with which transformations [t, 2, 3]: bool [t, k]."""
    (sy, sx), (ty, tx) = matches.source, matches.target
    a, b, c = transforms[:, 0].T[:, :, None]
    y = a * sy + b * sx + c - ty
    a, b, c = transforms[:, 1].T[:, :, None]
    x = a * sy + b * sx + c - tx
    distance = radius * parameters.residual_threshold * GRID
    area = determinants(transforms)[:, None]
    feature_area, tolerance = np.square(matches.zoom), parameters.zoom_tolerance**2
    return (
        (y * y + x * x <= distance * distance)
        & (area <= tolerance * feature_area)
        & (feature_area <= tolerance * area)
    )
