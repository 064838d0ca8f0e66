"""Colours of a file as sRGB, and what is transparent as grey."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from PIL import Image, ImageCms

# Conversions need some copies of what they convert; so large images are converted in bands.
BAND_PIXELS = 4_000_000
# Networks of the DELF family subtract 128 from each value, so this grey is their zero: a ground
# on which nothing is seen. White or black would draw an outline round the subject.
GROUND = (128, 128, 128)
# What a profile of sRGB, whoever made it, may change of any value by its rounding.
SRGB_TOLERANCE = 2


def bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The image cut into strips of whole rows, with the first row of each."""
    rows = max(1, BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def in_bands(
    image: Image.Image, mode: str, convert: Callable[[Image.Image], Image.Image]
) -> Image.Image:
    """The image converted strip by strip, into another of this mode."""
    result = Image.new(mode, image.size)
    for top, band in bands(image):
        result.paste(convert(band), (0, top))
    return result


def on_ground(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An image with transparent parts as RGB in sRGB, these parts as grey."""
    colours = "L" if image.mode in ("L", "LA", "La") else "RGB"
    return in_bands(image, "RGB", partial(_lay, transform=_transform(profile, colours)))


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An L, RGB or CMYK image as RGB, by its ICC profile where there is a usable one."""
    return _converted(image, _transform(profile, image.mode))


def _lay(band: Image.Image, transform: ImageCms.ImageCmsTransform | None) -> Image.Image:
    laid = band.convert("RGBA")
    alpha = laid.getchannel("A")
    if transform is not None:
        grey = transform.input_mode == "L"
        laid = _converted(laid.getchannel("R") if grey else laid.convert("RGB"), transform)
        laid.putalpha(alpha)
    ground = Image.new("RGBA", band.size, (*GROUND, 255))
    return Image.alpha_composite(ground, laid).convert("RGB")


def _converted(image: Image.Image, transform: ImageCms.ImageCmsTransform | None) -> Image.Image:
    converted = None if transform is None else ImageCms.applyTransform(image, transform)
    return image.convert("RGB") if converted is None else converted


def _transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From the profile's colours to sRGB; None if there is nothing to do, or no usable profile."""
    if not profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        found = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        return None if mode == "RGB" and _changes_nothing(found) else found
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a profile is sRGB by what it does; by its name one may call itself so."""
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(27, 27, 3)
    converted = ImageCms.applyTransform(Image.fromarray(colours), transform)
    change = np.asarray(converted).astype(int) - colours
    return bool(np.abs(change).max() <= SRGB_TOLERANCE)
