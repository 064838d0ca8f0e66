"""Bytes of an image file -> upright RGB pixels, within limits; the files come from anywhere."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from landmark.errors import UnusableImage
from landmark.extraction.shot import NOTHING_SAID, Shot, read_shot

# Formats that carry photographs. Pillow's others are left out: some start other programs (EPS),
# some are hardly used and so hardly tested against hostile files.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000", "AVIF")
# Of pixels in memory at once: 400 MB as RGB. A JPEG is counted after its reduction in the decoder.
MAX_PIXELS = 100_000_000
# Conversions need some copies of what they convert; so large images are converted in bands.
BAND_PIXELS = 4_000_000
MIN_SIDE_PX = 32
# DELF gives no features below this (`_MIN_HEIGHT` of its extractor.py); reached by narrow strips.
MIN_REDUCED_SIDE_PX = 10
# Networks of the DELF family subtract 128 from each value, so this grey is their zero: a ground
# on which nothing is seen. White or black would draw an outline round the subject.
GROUND = (128, 128, 128)

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

    Of an animation the first frame is taken. EXIF orientation is applied, transparency is laid
    on grey, colours of an embedded ICC profile become sRGB; EXIF and ICC that cannot be read are
    ignored. Grey of 16 bits is divided by 257, grey of 32 bits (integer or floating point) has
    no agreed white and is scaled from its own range. Safe to call from several threads, but not
    with files from anywhere: `landmark.extraction.sandbox` does the same where they can do no harm.

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
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return _decode(image, name, max_size_px)
    except (UnusableImage, MemoryError):
        raise
    except Exception as error:  # decoders raise anything, from SyntaxError to struct.error
        _refuse(error, data, name)


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


def _decode(image: Image.Image, name: str, max_size_px: int) -> DecodedImage:
    """The pixels of an opened image; raises whatever Pillow raises for a damaged one."""
    size = reduced_size(*image.size, max_size_px)
    width, height = image.size
    box: tuple[float, float, float, float] = (0, 0, width, height)
    if isinstance(image, JpegImageFile):
        # The decoder halves up to three times, to no less than this; Lanczos does the rest.
        drafted = image.draft(None, (2 * size[0], 2 * size[1]))
        # Its box, with fractions, is what the original covers: the last column may stick out.
        box = drafted[1] if drafted else box
    _check_size(name, width, height, size, image.width * image.height)
    shot = read_shot(image)  # before load(), after which TIFF files know less of themselves
    image.load()
    orientation = _orientation(image)  # after load(), since TIFF files turn themselves there
    profile = image.info.get("icc_profile")
    reduced = _to_srgb(_resize(_flat(image, name), size, box), profile)
    if orientation in _UPRIGHT:
        reduced = reduced.transpose(_UPRIGHT[orientation])
    if orientation in _TURNED:
        width, height = height, width
    return DecodedImage(np.array(reduced), width, height, shot)


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


def _flat(image: Image.Image, name: str) -> Image.Image:
    """The image as L, RGB or CMYK with 8 bits and no transparency."""
    if image.mode.startswith("I;16"):
        return _in_bands(image, "L", _of_16_bits)
    if image.mode in ("I", "F"):
        return _scaled_by_range(image, name)
    if image.has_transparency_data:
        return _in_bands(image, "RGB", _on_ground)
    return image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The image cut into strips of whole rows, with the first row of each."""
    rows = max(1, BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _in_bands(
    image: Image.Image, mode: str, convert: Callable[[Image.Image], Image.Image]
) -> Image.Image:
    result = Image.new(mode, image.size)
    for top, band in _bands(image):
        result.paste(convert(band), (0, top))
    return result


def _of_16_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.uint32)
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _on_ground(image: Image.Image) -> Image.Image:
    ground = Image.new("RGBA", image.size, (*GROUND, 255))
    return Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")


def _scaled_by_range(image: Image.Image, name: str) -> Image.Image:
    """Grey of any range as an 8-bit image, darkest 0, brightest 255."""
    ranges = [(values.min(), values.max()) for values in (np.asarray(b) for _, b in _bands(image))]
    low, high = float(np.min(ranges)), float(np.max(ranges))
    if not np.isfinite(high - low):  # NaN passes through min() and max()
        raise UnusableImage(f"{name}: pixels that are not finite (NaN or infinite); save it anew")
    factor = 255.0 / (high - low) if high > low else 0.0

    def grey(band: Image.Image) -> Image.Image:
        scaled = (np.asarray(band) - np.float64(low)) * factor
        return Image.fromarray(np.rint(scaled).astype(np.uint8))

    return _in_bands(image, "L", grey)


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An L, RGB or CMYK image as RGB, by its ICC profile where there is a usable one."""
    if profile:
        with suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "sRGB" not in (source.profile.profile_description or ""):
                converted = ImageCms.profileToProfile(
                    image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
                )
                if converted is not None:
                    return converted
    return image.convert("RGB")


def _resize(
    image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float]
) -> Image.Image:
    if image.size == size and box == (0, 0, *size):
        return image
    # Pillow's documentation calls a gap of 3 "almost indistinguishable" from none; it is faster.
    return image.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)


def _refuse(error: Exception, data: bytes, name: str) -> NoReturn:
    """Turn what Pillow raised into one line that says what to do."""
    said = " ".join(str(error).split())[:200]
    if "out of memory" in said.lower() or said.endswith("error -9"):  # Pillow's number of it
        raise MemoryError from error
    if isinstance(error, Image.DecompressionBombError):
        reason = f"too large; reduce it to at most {MAX_PIXELS // 1_000_000} megapixels"
    elif isinstance(error, EOFError) or "truncated" in said.lower() or _riff_is_cut(data):
        reason = "truncated: the file ends before the picture does; upload it again"
    elif isinstance(error, UnidentifiedImageError):
        reason = f"no image, damaged, or not one of {', '.join(FORMATS)}; convert it to JPEG"
    else:
        reason = f"damaged ({said or type(error).__name__}); upload it again"
    raise UnusableImage(f"{name}: {reason}") from error


def _riff_is_cut(data: bytes) -> bool:
    """Whether a WebP file is shorter than its header says, of which Pillow says only `damaged`."""
    is_webp = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    return is_webp and int.from_bytes(data[4:8], "little") + 8 > len(data)
