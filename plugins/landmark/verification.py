"""Putative matches -> inliers: those that agree with one affine transformation.

RANSAC (Fischler and Bolles, 1981) with local optimisation (Chum, Matas and Kittler, "Locally
Optimized RANSAC", 2003, section 2). All hypotheses are scored at once as one array operation, and
drawn from a fixed seed: the same matches give the same inliers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MINIMAL_SAMPLE = 3


@dataclass(frozen=True)
class VerificationParameters:
    """What counts as one plausible transformation.

    Parameters
    ----------
    residual_threshold : float
        Largest distance between a transformed query location and its match, as a fraction of
        the other image's longest side: the same strictness at every resolution.
    max_scale_change : float
        Largest enlargement or reduction from one image to the other (times, both of one size).
    max_anisotropy : float
        Largest ratio of the two axes' scales: how far a circle may be squeezed.
    trials : int
        Minimal samples drawn; all of them are taken where there are no more.
    refined : int
        Of the best hypotheses, how many are refitted to their inliers.
    seed : int
        Of the sample drawing.
    """

    residual_threshold: float = 0.02
    max_scale_change: float = 6.0
    max_anisotropy: float = 4.0
    trials: int = 1000
    refined: int = 8
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Verification:
    """The best transformation and what agrees with it.

    Parameters
    ----------
    inliers : intp array [k]
        Ascending indices into the putative matches; empty if nothing agrees.
    transform : float64 array [2, 3] or None
        Maps (y, x, 1) of the query image to (y, x) of the other image, px.
    """

    inliers: NDArray[np.intp]
    transform: NDArray[np.float64] | None


NOTHING = Verification(np.empty(0, np.intp), None)


def verify(
    query: NDArray[np.float32],
    image: NDArray[np.float32],
    query_side_px: int,
    image_side_px: int,
    parameters: VerificationParameters = VerificationParameters(),
) -> Verification:
    """The largest set of matches that agree with one plausible affine transformation.

    Parameters
    ----------
    query, image : float32 arrays [k, 2]
        (y, x) px of the matched features in the query image and in the other image, row by row.
    query_side_px, image_side_px : int
        The images' longest sides.

    Returns
    -------
    Verification
        Without inliers where there are fewer than three matches, or where no sample spans a
        plausible transformation (collinear, mirrored, collapsed).
    """
    if len(query) < MINIMAL_SAMPLE:
        return NOTHING
    # Unit: the image's longest side. Thresholds become plain numbers.
    source = query.astype(np.float64) / query_side_px
    target = image.astype(np.float64) / image_side_px

    samples = minimal_samples(len(source), parameters.trials, parameters.seed)
    transforms = affine_of_samples(source[samples], target[samples])
    transforms = transforms[plausible(transforms, parameters)]
    if not len(transforms):
        return NOTHING
    counts = agreement(transforms, source, target, parameters).sum(axis=1)

    best, best_inliers = None, np.zeros(len(source), bool)
    for index in np.argsort(-counts, kind="stable")[: parameters.refined]:
        transform, inliers = refine(transforms[index], source, target, parameters)
        if inliers.sum() > best_inliers.sum():
            best, best_inliers = transform, inliers
    if best is None or best_inliers.sum() < MINIMAL_SAMPLE:
        return NOTHING
    in_px = best * image_side_px
    in_px[:, :2] /= query_side_px
    return Verification(np.flatnonzero(best_inliers), in_px)


def minimal_samples(n: int, trials: int, seed: int) -> NDArray[np.intp]:
    """Triples of distinct indices below `n`, shape [<= trials, 3]: all of them if they are few."""
    if n * (n - 1) * (n - 2) // 6 <= trials:
        first, second, third = np.mgrid[:n, :n, :n]
        return np.argwhere((first < second) & (second < third))
    generator = np.random.Generator(np.random.PCG64(seed))
    first = generator.integers(0, n, trials)
    second = (first + generator.integers(1, n, trials)) % n
    # Of the n - 2 left, skip over the two that are taken.
    third = generator.integers(0, n - 2, trials)
    third += third >= np.minimum(first, second)
    third += third >= np.maximum(first, second)
    return np.column_stack([first, second, third])


def affine_of_samples(
    source: NDArray[np.float64], target: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The affine transformation through each three pairs of points.

    Parameters
    ----------
    source, target : float64 arrays [t, 3, 2]

    Returns
    -------
    float64 array [t, 2, 3]
        Not finite where the three source points lie on one line.
    """
    s1, s2 = source[:, 1] - source[:, 0], source[:, 2] - source[:, 0]
    t1, t2 = target[:, 1] - target[:, 0], target[:, 2] - target[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1 / (s1[:, 0] * s2[:, 1] - s1[:, 1] * s2[:, 0])
        transforms = np.empty((len(source), 2, 3))
        transforms[:, :, 0] = (t1 * s2[:, 1:] - t2 * s1[:, 1:]) * inverse[:, None]
        transforms[:, :, 1] = (t2 * s1[:, :1] - t1 * s2[:, :1]) * inverse[:, None]
        transforms[:, :, 2] = target[:, 0] - np.einsum(
            "tij,tj->ti", transforms[:, :, :2], source[:, 0]
        )
    return transforms


def plausible(
    transforms: NDArray[np.float64], parameters: VerificationParameters
) -> NDArray[np.bool_]:
    """Which of the transformations [t, 2, 3] two photographs of one place can have, bool [t].

    A mirrored image, a scene shrunk to a point or squeezed to a line verify any matches. With
    singular values s1 >= s2 of the linear part: ``s1 * s2`` is its determinant and
    ``s1**2 + s2**2`` the sum of its squares, hence no decomposition is needed.
    """
    linear = transforms[:, :, :2]
    with np.errstate(invalid="ignore", over="ignore"):
        determinant = linear[:, 0, 0] * linear[:, 1, 1] - linear[:, 0, 1] * linear[:, 1, 0]
        squares = np.square(linear).sum(axis=(1, 2))
        ratio = parameters.max_anisotropy
        return (
            np.isfinite(transforms).all(axis=(1, 2))
            & (determinant >= parameters.max_scale_change**-2)
            & (determinant <= parameters.max_scale_change**2)
            & (squares <= determinant * (ratio + 1 / ratio))
        )


def agreement(
    transforms: NDArray[np.float64],
    source: NDArray[np.float64],
    target: NDArray[np.float64],
    parameters: VerificationParameters,
) -> NDArray[np.bool_]:
    """Which matches [k] agree with which transformations [t, 2, 3]: bool [t, k]."""
    y, x = (
        transforms[:, axis, :2] @ source.T + transforms[:, axis, 2:] - target[:, axis]
        for axis in (0, 1)
    )
    return y * y + x * x <= parameters.residual_threshold**2


def refine(
    transform: NDArray[np.float64],
    source: NDArray[np.float64],
    target: NDArray[np.float64],
    parameters: VerificationParameters,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Refit a transformation to its inliers by least squares for as long as they grow.

    Returns
    -------
    transform : float64 array [2, 3]
    inliers : bool array [k]
    """
    inliers = agreement(transform[None], source, target, parameters)[0]
    homogeneous = np.column_stack([source, np.ones(len(source))])
    while True:
        solution = np.linalg.lstsq(homogeneous[inliers], target[inliers], rcond=None)[0]
        refitted = np.ascontiguousarray(solution.T)
        agreeing = agreement(refitted[None], source, target, parameters)[0]
        if not plausible(refitted[None], parameters)[0] or agreeing.sum() <= inliers.sum():
            return transform, inliers
        transform, inliers = refitted, agreeing
