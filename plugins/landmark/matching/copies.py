"""Which two images are one photograph: resized, compressed anew, cropped a little.

Nearly all of their features agree, and exactly: what is shown is moved and zoomed, not turned and
not seen from another place.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landmark.matching.placement import Pictured, fitted_zoom, sizes_of

# Of the features of the image that has fewer, so many must be inliers: a camera that stands gives
# less in another hour. A detector that sees half the size loses four fifths.
LEAST_INLIERS, SHARE_OF_FEATURES = 30, 0.4
OTHER_SIZE, SHARE_AT_OTHER_SIZE = 1.5, 0.15
# So many of the inliers are moved and zoomed alike, to this distance (of the longest side): from
# another viewpoint hardly half.
SHARE, SAME_PLACE = 0.75, 0.004
# Of either picture so much is on both.
COMMON_AREA = 0.75


def are_copies(one: Pictured, two: Pictured, inliers: NDArray[np.intp]) -> bool:
    """Whether two images are copies of one photograph.

    Parameters
    ----------
    one, two : Pictured
    inliers : intp array [k, 2]
        Matches (feature of one, feature of two) that agree with one transformation.
    """
    sizes = sizes_of(one, two)
    sides = sizes.max(axis=1)
    share = SHARE_AT_OTHER_SIZE if sides.max() > OTHER_SIZE * sides.min() else SHARE_OF_FEATURES
    features = min(len(one.locations), len(two.locations))
    if len(inliers) < max(LEAST_INLIERS, share * features):
        return False
    first, second = one.locations[inliers[:, 0]] + 0.5, two.locations[inliers[:, 1]] + 0.5
    zoom = fitted_zoom(first, second)
    if zoom is None:
        return False
    shift = np.median(second - zoom * first, axis=0)
    away = np.square(second - zoom * first - shift).sum(axis=1)
    if (away <= (SAME_PLACE * sides[1]) ** 2).mean() < SHARE:
        return False
    common = np.minimum(sizes[1], zoom * sizes[0] + shift) - np.maximum(0, shift)
    area = common.clip(0).prod()
    return bool(area >= COMMON_AREA * max(sizes[1].prod(), (zoom * sizes[0]).prod()))
