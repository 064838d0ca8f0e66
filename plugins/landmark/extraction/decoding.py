"""Bytes of an image file -> upright RGB pixels, within limits; the files come from anywhere."""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from landmark.errors import UnusableImage
from landmark.extraction import heif
from landmark.extraction.colours import GROUND as GROUND
from landmark.extraction.colours import on_ground, to_srgb
from landmark.extraction.depth import (
    Depth,
    is_deep,
    list_kinds_of_tiff,
    match_transparency,
    read_depth,
    to_8_bits,
)
from landmark.extraction.repairs import ends_of_jpeg, without_faulty_metadata
from landmark.extraction.shot import NOTHING_SAID, Shot, read_shot

# Formats that carry photographs. Pillow's others are left out: some start other programs (EPS),
# some are hardly used and so hardly tested against hostile files.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000", "AVIF", "HEIF")
# Of pixels in memory at once: 400 MB as RGB. A JPEG is counted after its reduction in the decoder.
MAX_PIXELS = 100_000_000
MIN_SIDE_PX = 32
# DELF gives no features below this (`_MIN_HEIGHT` of its extractor.py); reached by narrow strips.
MIN_REDUCED_SIDE_PX = 10
# Of a TIFF, which may say that it has any number.
MAX_PAGES = 100

# Of Pillow, and of libheif.
_CUT = ("truncated", "unexpected end of file")

heif.register()
list_kinds_of_tiff()

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TURNED = (5, 6, 7, 8)


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """An image ready for a network.

    Parameters
    ----------
    pixels : uint8 array [h, w, 3]
        RGB (sRGB), upright.
    width, height : int
        Size in pixels of the original, upright; w and h are smaller where it was reduced.
    shot : Shot
        Where and when it says that it was taken.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    shot: Shot = NOTHING_SAID


def decode_image(data: bytes, name: str, max_size_px: int) -> DecodedImage:
    """Decode an image file and reduce it to a size; nothing is ever enlarged.

    Of an animation the first frame is taken, of a TIFF the largest page. EXIF orientation is
    applied, transparency is laid on grey, colours of an embedded ICC profile become sRGB, deep grey
    has 8 bits (`landmark.extraction.depth`); metadata that cannot be read is ignored, and so is a
    missing end where all rows are there. Safe to call from several threads, but not with files
    from anywhere: `landmark.extraction.sandbox` does the same where they can do no harm.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        What messages call the image, such as its S3 path.
    max_size_px : int
        Longest side of the result in pixels.

    Raises
    ------
    UnusableImage
        If the file is empty, truncated, damaged, too large, too small, no image, or of a format
        that is not in `FORMATS`.
    MemoryError
        If this process may not have the memory that it takes.
    """
    if not data:
        raise UnusableImage(f"{name}: empty file (0 bytes); upload it again")
    try:
        return _open(data, name, max_size_px)
    except (UnusableImage, MemoryError):
        raise
    except Exception as error:  # decoders raise anything, from SyntaxError to struct.error
        mended = _without_its_faults(error, data, name, max_size_px)
        return mended or _refuse(error, data, name)


def shrink(pixels: NDArray[np.uint8], max_size_px: int) -> NDArray[np.uint8]:
    """Reduce RGB pixels [h, w, 3] so that the longest side is at most `max_size_px`."""
    height, width = pixels.shape[:2]
    size = reduced_size(width, height, max_size_px)
    if size == (width, height):
        return pixels
    return np.array(_resize(Image.fromarray(pixels), size, (0, 0, width, height)))


def reduced_size(width: int, height: int, max_size_px: int) -> tuple[int, int]:
    """(width, height) with the longest side at most `max_size_px`, neither below 1."""
    factor = min(1.0, max_size_px / max(width, height, 1))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _open(data: bytes, name: str, max_size_px: int) -> DecodedImage:
    """The picture of a file; raises whatever Pillow raises for a damaged one."""
    said, page = NOTHING_SAID, 0
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if image.format == "HEIF" and heif.is_cut(data):
            raise EOFError
        if image.format != "TIFF":
            return _decode(image, name, max_size_px, said)
        said, page = read_shot(image), _largest_page(image)
    with Image.open(io.BytesIO(data), formats=("TIFF",)) as image:  # a damaged page leaves traces
        image.seek(page)
        return _decode(image, name, max_size_px, said)


def _largest_page(image: Image.Image) -> int:
    """Scanners and cameras put a thumbnail first, or beside; of pages of one size the first."""
    areas = [image.width * image.height]
    with suppress(Exception):  # after the last page, or at a damaged one
        for page in range(1, MAX_PAGES):
            image.seek(page)
            areas.append(image.width * image.height)
    return areas.index(max((area for area in areas if area <= MAX_PIXELS), default=areas[0]))


def _decode(image: Image.Image, name: str, max_size_px: int, said: Shot) -> DecodedImage:
    """Those of an opened file; `said` is what another page says of the taking."""
    width, height = image.size
    size = reduced_size(width, height, max_size_px)
    box: tuple[float, float, float, float] = (0, 0, width, height)
    if isinstance(image, JpegImageFile):
        # The decoder halves up to three times, to no less than this; Lanczos does the rest.
        drafted = image.draft(None, (2 * size[0], 2 * size[1]))
        # Its box, with fractions, is what the original covers: the last column may stick out.
        box = drafted[1] if drafted else box
    _check_size(name, width, height, size, image.width * image.height)
    depth = read_depth(image)
    match_transparency(image)
    shot = read_shot(image)  # before load(), after which TIFF files know less of themselves
    image.load()
    if image.format == "HEIF" and image.size != (width, height):  # it said another
        width, height = image.size
        size, box = reduced_size(width, height, max_size_px), (0, 0, width, height)
        _check_size(name, width, height, size, width * height)
    orientation = _orientation(image)  # after load(), since TIFF files turn themselves there
    profile = image.info.get("icc_profile")
    flat, is_srgb = _flat(image, depth, profile, name)
    reduced = _resize(flat, size, box)
    reduced = to_srgb(reduced, None if is_srgb else profile)
    if orientation in _UPRIGHT:
        reduced = reduced.transpose(_UPRIGHT[orientation])
    if orientation in _TURNED:
        width, height = height, width
    return DecodedImage(np.array(reduced), width, height, said if shot == NOTHING_SAID else shot)


def _check_size(name: str, width: int, height: int, size: tuple[int, int], pixels: int) -> None:
    if pixels > MAX_PIXELS:
        raise UnusableImage(
            f"{name}: too large: {width}x{height} px; "
            f"reduce it to at most {MAX_PIXELS // 1_000_000} megapixels"
        )
    if min(width, height) < MIN_SIDE_PX:
        raise UnusableImage(
            f"{name}: too small: {width}x{height} px; each side needs {MIN_SIDE_PX} px or more"
        )
    if min(size) < MIN_REDUCED_SIDE_PX:
        raise UnusableImage(
            f"{name}: too narrow: {width}x{height} px becomes {size[0]}x{size[1]} px for the "
            f"model; cut it into parts"
        )


def _orientation(image: Image.Image) -> int:
    with suppress(Exception):  # EXIF is a foreign, often broken file within the file
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    return 1


def _flat(
    image: Image.Image, depth: Depth, profile: bytes | None, name: str
) -> tuple[Image.Image, bool]:
    """The image as L, RGB or CMYK with 8 bits and no transparency; whether it is sRGB already."""
    if is_deep(image):
        image = to_8_bits(image, depth, name)
    elif image.format in ("BMP", "DIB") and image.mode == "RGBA":
        # Programs of Windows leave the fourth byte 0, and viewers show such a picture.
        image = image.convert("RGB") if image.getchannel("A").getextrema() == (0, 0) else image
    if image.has_transparency_data:
        return on_ground(image, profile), True
    return (image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")), False


def _resize(
    image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float]
) -> Image.Image:
    if image.size == size and box == (0, 0, *size):
        return image
    # Pillow's documentation calls a gap of 3 "almost indistinguishable" from none; it is faster.
    return image.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)


def _without_its_faults(
    error: Exception, data: bytes, name: str, max_size_px: int
) -> DecodedImage | None:
    """The picture of a file whose pixels are all there, though the file is faulty; else None."""
    clean, ends = without_faulty_metadata(data), None
    if clean is None and "truncated" in str(error).lower():
        ends = ends_of_jpeg(data)
    try:
        if clean is not None:
            return _open(clean, name, max_size_px)
        if ends is not None:
            image, other = (_open(whole, name, max_size_px) for whole in ends)
            return image if np.array_equal(image.pixels, other.pixels) else None
    except (UnusableImage, MemoryError):
        raise
    except Exception:  # what was raised first is what is told
        return None
    return None


def _refuse(error: Exception, data: bytes, name: str) -> NoReturn:
    """Turn what Pillow raised into one line that says what to do."""
    said = " ".join(str(error).split())[:200]
    words = said.lower()
    # Pillow's number of it, and what libheif says.
    if "out of memory" in words or "memory alloc" in words or said.endswith("error -9"):
        raise MemoryError from error
    if isinstance(error, Image.DecompressionBombError):
        reason = f"too large; reduce it to at most {MAX_PIXELS // 1_000_000} megapixels"
    elif isinstance(error, EOFError) or any(cut in words for cut in _CUT) or _riff_is_cut(data):
        reason = "truncated: the file ends before the picture does; upload it again"
    elif isinstance(error, UnidentifiedImageError):
        reason = f"no image, damaged, or not one of {', '.join(FORMATS)}; convert it to JPEG"
    elif "unsupported" in words or "not supported" in words:
        kind = "BMP" if data.startswith(b"BM") else "file"
        reason = f"this kind of {kind} is not supported ({said}); convert it to JPEG"
    else:
        reason = f"damaged ({said or type(error).__name__}); upload it again"
    raise UnusableImage(f"{name}: {reason}") from error


def _riff_is_cut(data: bytes) -> bool:
    """Whether a WebP file is shorter than its header says, of which Pillow says only `damaged`."""
    is_webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    return is_webp and int.from_bytes(data[4:8], "little") + 8 > len(data)
