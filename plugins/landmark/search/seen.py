"""What was compared of a photograph, and where that lies on a picture of all of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark.extraction.decoding import DecodedImage
from landmark.extraction.sandbox import decode_isolated
from landmark.features import LocalFeatures
from landmark.search.drawing import with_box
from landmark.search.framing import ALL, Extent, Framing
from landmark.search.result import QUERY, TURNED_QUERY, SearchResult, read_query
from landmark.storage.bucket import read_object

# Decoded so small where only the size is asked for, which the features of a part do not know.
SIZE_ONLY_PX = 64


class Seen(NamedTuple):
    """The features of a photograph, or of a part, and the picture that they are shown on.

    Parameters
    ----------
    features : LocalFeatures
    size : (int, int)
        Width and height of all of the photograph, px, turned as it was compared.
    extent : Extent
        Where on it the features' own picture lies.
    """

    features: LocalFeatures
    size: tuple[int, int]
    extent: Extent = ALL

    @classmethod
    def whole(cls, features: LocalFeatures) -> Seen:
        """All of a photograph."""
        return cls(features, (features.width, features.height))

    def at(self, features: NDArray[np.intp]) -> NDArray[np.float64]:
        """Where some of the features lie, (y, x) as fractions of the picture's sides, [k, 2]."""
        y0, x0, y1, x1 = self.extent
        return self.features.relative_locations[features] * [y1 - y0, x1 - x0] + [y0, x0]


def query_seen(client: Any, folder: str, result: SearchResult) -> Seen:
    """What was compared of a written result's query."""
    features = _features(client, folder, result.framing)
    if result.framing.box is None:
        return Seen.whole(features)
    data, _ = read_object(client, result.query)
    return _placed(features, decode_isolated(data, result.query, SIZE_ONLY_PX), result.framing)


def query_pictured(
    client: Any, folder: str, result: SearchResult, side_px: int
) -> tuple[NDArray[np.uint8], Seen]:
    """The same, with its picture: RGB, turned, its box drawn."""
    data, _ = read_object(client, result.query)
    image = decode_isolated(data, result.query, side_px)
    features = _features(client, folder, result.framing)
    return framed_picture(image, result.framing), _placed(features, image, result.framing)


def framed_picture(image: DecodedImage, framing: Framing) -> NDArray[np.uint8]:
    """All of a photograph turned, with its box drawn: RGB [h, w, 3]."""
    pixels = framing.turned(image.pixels)
    if framing.box is None:
        return pixels
    return with_box(pixels, framing.extent(image.width, image.height))


def _features(client: Any, folder: str, framing: Framing) -> LocalFeatures:
    return read_query(client, folder, TURNED_QUERY if framing.is_found else QUERY)


def _placed(features: LocalFeatures, image: DecodedImage, framing: Framing) -> Seen:
    width, height = image.width, image.height
    size = Framing(turn=framing.turn).size(width, height)
    return Seen(features, size, framing.extent(width, height))
