"""Grey of every depth as grey of 8 bits: by what the file says of its values, else by their range.

TIFF 6.0 (1992), sections 3 and 8: BitsPerSample, PhotometricInterpretation, MaxSampleValue,
SampleFormat. PNG (third edition), 11.3.1.1: tRNS counts in the file's own depth.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from landmark.errors import UnusableImage
from landmark.extraction.colours import bands, in_bands

_BITS, _PHOTOMETRIC, _MOST, _SAMPLE_FORMAT = 258, 262, 281, 339
_WHITE_IS_ZERO, _UNSIGNED = 0, (1,)
_FULL = 65535
# A 16-bit picture that stays below holds 12 bits, or fewer, and does not say so.
_SIXTEENTH = _FULL // 16
# Kinds of grey TIFF that Pillow unpacks, and does not list: byte order, photometric
# interpretation, sample format, fill order, bits, extra samples -> mode, raw mode.
_UNLISTED = {
    (b"II", 0, (1,), 1, (12,), ()): ("I;16", "I;12"),
    (b"MM", 0, (1,), 1, (12,), ()): ("I;16", "I;12"),
    (b"MM", 1, (1,), 1, (12,), ()): ("I;16", "I;12"),
    (b"MM", 0, (1,), 1, (16,), ()): ("I;16B", "I;16B"),
    (b"II", 0, (1,), 1, (32,), ()): ("I", "I;32"),
    (b"MM", 0, (1,), 1, (32,), ()): ("I", "I;32B"),
    (b"MM", 1, (1,), 1, (32,), ()): ("I", "I;32B"),
}
# By PNG's raw mode: how its values become those of 8 bits, and the largest of them.
_SHALLOW = {"1": (255, 1), "L;2": (85, 3), "L;4": (17, 15)}


class Depth(NamedTuple):
    """What a file says of its values, and its pixels do not.

    Parameters
    ----------
    white : int or None
        The largest value that it declares.
    inverted : bool
        The largest value is black.
    unsigned : bool
        32-bit values below 0 are what is beyond 2 ** 31.
    """

    white: int | None = None
    inverted: bool = False
    unsigned: bool = False


def list_kinds_of_tiff() -> None:
    """Let Pillow open the kinds of grey TIFF that it can unpack and does not list."""
    for kind, modes in _UNLISTED.items():
        TiffImagePlugin.OPEN_INFO.setdefault(kind, modes)


def read_depth(image: Image.Image) -> Depth:
    """Of an opened image; before its pixels are loaded, when a TIFF still knows its tags."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return Depth()
    tags = image.tag_v2
    bits = _first(tags.get(_BITS))
    most = _first(tags.get(_MOST))
    white = 2**bits - 1 if bits is not None and bits < 16 else most
    return Depth(
        white if white is not None and 0 < white <= _FULL else None,
        tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO,
        bits == 32 and tuple(tags.get(_SAMPLE_FORMAT, _UNSIGNED)) == _UNSIGNED,
    )


def _first(value: object) -> int | None:
    found = value[0] if isinstance(value, tuple) and value else value
    return found if isinstance(found, int) else None


def match_transparency(image: Image.Image) -> None:
    """Give the transparent colour of an opened PNG, which is in its file's depth, in 8 bits."""
    value = image.info.get("transparency")
    tiles = getattr(image, "tile", None)
    raw = tiles[0][3] if tiles else None
    if not isinstance(raw, str):
        return
    if isinstance(value, int) and raw in _SHALLOW:
        factor, most = _SHALLOW[raw]
        image.info["transparency"] = factor * min(value, most)
    elif isinstance(value, tuple) and raw == "RGB;16B":
        image.info["transparency"] = tuple(part >> 8 for part in value)


def is_deep(image: Image.Image) -> bool:
    """Whether it is grey of more than 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def to_8_bits(image: Image.Image, depth: Depth, name: str) -> Image.Image:
    """Deep grey as L, or as LA where one of its values is transparent.

    Values of 16 bits are divided by what the file declares as white, else by 65535; where they use
    no more than a sixteenth of that, and always of 32 bits, which have no agreed white, the
    darkest becomes 0 and the brightest 255.

    Raises
    ------
    UnusableImage
        If there are values that are not finite.
    """
    low, high = _range(image, depth)
    if not np.isfinite(high - low):  # NaN passes through min() and max()
        raise UnusableImage(f"{name}: pixels that are not finite (NaN or infinite); save it anew")
    if image.mode.startswith("I;16"):
        if depth.white is not None and high <= depth.white:
            low, high = 0, depth.white
        elif high > _SIXTEENTH:
            low, high = 0, _FULL
    factor = 255.0 / (high - low) if high > low else 0.0
    transparent = image.info.get("transparency")

    def grey(band: Image.Image) -> Image.Image:
        values = _values(band, depth)
        scaled = np.rint((values - np.float64(low)) * factor).astype(np.uint8)
        found = Image.fromarray(255 - scaled if depth.inverted else scaled)
        if isinstance(transparent, int):
            found.putalpha(
                Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8))
            )
        return found

    return in_bands(image, "LA" if isinstance(transparent, int) else "L", grey)


def _range(image: Image.Image, depth: Depth) -> tuple[float, float]:
    ranges = [(values.min(), values.max()) for values in _each_band(image, depth)]
    return float(np.min(ranges)), float(np.max(ranges))


def _each_band(image: Image.Image, depth: Depth) -> Iterator[NDArray]:
    return (_values(band, depth) for _, band in bands(image))


def _values(band: Image.Image, depth: Depth) -> NDArray:
    values = np.asarray(band)
    return values.view(np.uint32) if depth.unsigned and values.dtype == np.int32 else values
