"""Image files of every kind, sound and hostile, made here."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from landmark.errors import UnusableImage
from landmark.extraction.decoding import FORMATS, GROUND, MIN_SIDE_PX, decode_image, shrink

HEIGHT, WIDTH = 40, 56


def gradient(height=HEIGHT, width=WIDTH) -> Image.Image:
    """A smooth RGB picture: red grows to the right, green downwards."""
    ys, xs = np.mgrid[:height, :width].astype(np.float64)
    red, green = 255 * xs / (width - 1), 255 * ys / (height - 1)
    return Image.fromarray(np.rint(np.stack([red, green, 90 + 0 * xs], 2)).astype(np.uint8))


def encoded(image: Image.Image, form: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def decoded(data: bytes, max_size_px: int = 1024):
    return decode_image(data, "s3://bucket/photo", max_size_px)


def refusal(data: bytes, max_size_px: int = 1024) -> str:
    """The message with which a file is refused: one line that begins with the name."""
    with pytest.raises(UnusableImage) as caught:
        decoded(data, max_size_px)
    message = str(caught.value)
    assert message.startswith("s3://bucket/photo: ")
    assert len(message.splitlines()) == 1
    return message


# --- formats and modes ----------------------------------------------------------------------------

LOSSLESS = {
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {"compression": "tiff_lzw"},
    "BMP": {},
    "JPEG2000": {"irreversible": False},
}
LOSSY = {
    "JPEG": {"quality": 95},
    "WEBP": {"quality": 95},
    "AVIF": {"quality": 95},
    "GIF": {},
    "TIFF": {"compression": "jpeg"},
    "MPO": {"quality": 95},
    "HEIF": {"quality": 95},
}


@pytest.mark.parametrize("form", LOSSLESS)
def test_lossless_formats_give_the_very_pixels(form):
    image = decoded(encoded(gradient(), form, **LOSSLESS[form]))
    np.testing.assert_array_equal(image.pixels, np.asarray(gradient()))
    assert image.pixels.dtype == np.uint8
    assert (image.width, image.height) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("form", LOSSY)
def test_lossy_formats_give_the_picture(form):
    image = decoded(encoded(gradient(), form, **LOSSY[form]))
    difference = np.abs(image.pixels.astype(int) - np.asarray(gradient()))
    assert difference.mean() < 16  # GIF has 256 colours


GREY = np.asarray(gradient())[..., 0]
ALPHA = Image.fromarray(np.where(np.arange(WIDTH) < WIDTH // 2, 0, 255).astype(np.uint8)[None])


def with_alpha(mode: str) -> Image.Image:
    image = gradient().convert(mode)
    image.putalpha(ALPHA.resize(image.size, Image.Resampling.NEAREST))
    return image


GREY_FILES = {
    "L": encoded(Image.fromarray(GREY)),
    "16-bit PNG": encoded(Image.fromarray(GREY.astype(np.uint16) * 257)),
    "16-bit TIFF": encoded(Image.fromarray(GREY.astype(np.uint16) * 257), "TIFF"),
    "32-bit integer": encoded(Image.fromarray(GREY.astype(np.int32) * 70000 - 9), "TIFF"),
    "floating point": encoded(Image.fromarray(GREY.astype(np.float32) * 1e-3 - 4), "TIFF"),
}


@pytest.mark.parametrize("kind", GREY_FILES)
def test_grey_of_every_depth(kind):
    pixels = decoded(GREY_FILES[kind]).pixels
    np.testing.assert_array_equal(pixels, np.repeat(GREY[..., None], 3, axis=2))


def test_big_endian_grey_of_16_bits():
    values = GREY.astype(">u2") * 257
    header = b"MM\0*\0\0\0\x08"
    entries = [(256, 3, WIDTH << 16), (257, 3, HEIGHT << 16), (258, 3, 16 << 16), (259, 3, 1 << 16)]
    entries += [(262, 3, 1 << 16), (273, 4, 8 + 2 + 12 * 8 + 4), (278, 3, HEIGHT << 16)]
    entries += [(279, 4, values.nbytes)]
    table = struct.pack(">H", len(entries))
    table += b"".join(struct.pack(">HHII", tag, kind, 1, value) for tag, kind, value in entries)
    pixels = decoded(header + table + bytes(4) + values.tobytes()).pixels
    np.testing.assert_array_equal(pixels[..., 1], GREY)


def test_a_constant_floating_point_image_is_black():
    flat = Image.fromarray(np.full((HEIGHT, WIDTH), 7.5, np.float32))
    assert not decoded(encoded(flat, "TIFF")).pixels.any()


def test_two_colours():
    image = Image.fromarray(GREY > 127)
    assert image.mode == "1"
    pixels = decoded(encoded(image)).pixels
    np.testing.assert_array_equal(pixels[..., 2], np.where(GREY > 127, 255, 0))


def palette_with_transparent_entry() -> bytes:
    image = Image.fromarray((np.arange(WIDTH)[None] >= WIDTH // 2).astype(np.uint8), "P")
    image = image.resize((WIDTH, HEIGHT), Image.Resampling.NEAREST)
    image.putpalette([255, 255, 255, 200, 100, 50])
    return encoded(image, transparency=0)


TRANSPARENT_FILES = {
    "RGBA PNG": encoded(with_alpha("RGB")),
    "RGBA WebP": encoded(with_alpha("RGB"), "WEBP", lossless=True),
    "RGBA TIFF": encoded(with_alpha("RGB"), "TIFF"),
    "RGBA AVIF": encoded(with_alpha("RGB"), "AVIF", quality=100),
    "LA": encoded(with_alpha("L")),
    "palette": palette_with_transparent_entry(),
    "GIF": encoded(Image.open(io.BytesIO(palette_with_transparent_entry())), "GIF", transparency=0),
}


@pytest.mark.parametrize("kind", TRANSPARENT_FILES)
def test_transparent_parts_become_grey(kind):
    pixels = decoded(TRANSPARENT_FILES[kind]).pixels
    assert np.abs(pixels[:, : WIDTH // 2 - 2].astype(int) - GROUND).max() <= 1
    assert np.abs(pixels[:, WIDTH // 2 + 2 :].astype(int) - GROUND).max() > 20


def test_one_transparent_colour_of_an_rgb_png_becomes_grey():
    image = Image.new("RGB", (WIDTH, HEIGHT), (1, 2, 3))
    image.paste((9, 9, 9), (0, 0, 20, HEIGHT))
    pixels = decoded(encoded(image, transparency=(1, 2, 3))).pixels
    assert tuple(pixels[0, -1]) == GROUND
    assert tuple(pixels[0, 0]) == (9, 9, 9)


def test_opaque_palette():
    image = gradient().quantize(32)
    np.testing.assert_array_equal(decoded(encoded(image)).pixels, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])  # in JPEG with Adobe's marker: inverted
def test_four_colour_print(form):
    red = Image.new("CMYK", (WIDTH, HEIGHT), (0, 255, 255, 0))
    assert np.abs(decoded(encoded(red, form)).pixels - np.array([255.0, 0, 0])).max() <= 3


def test_lab_and_ycbcr():
    lab = ImageCms.profileToProfile(
        gradient(),
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        outputMode="LAB",
    )
    assert lab is not None
    pixels = decoded(encoded(lab, "TIFF")).pixels
    assert np.abs(pixels.astype(int) - np.asarray(gradient())).mean() < 4
    pixels = decoded(encoded(gradient().convert("YCbCr"), "TIFF")).pixels
    assert np.abs(pixels.astype(int) - np.asarray(gradient())).max() < 4


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_counts(form):
    frames = [Image.new("RGB", (WIDTH, HEIGHT), c) for c in ("red", "lime", "blue")]
    data = encoded(frames[0], form, save_all=True, append_images=frames[1:])
    assert np.abs(decoded(data).pixels - np.array([255.0, 0, 0])).max() <= 3


# --- colour profiles and EXIF ---------------------------------------------------------------------


def profile_of_swapped_colours() -> bytes:
    """The sRGB profile with the tags of red and green primaries exchanged."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")
    # A description of its own, as the built-in profile calls itself sRGB.
    return swapped.replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be"))


def test_colours_of_a_profile_become_srgb():
    red = Image.new("RGB", (WIDTH, HEIGHT), (255, 0, 0))
    pixels = decoded(encoded(red, icc_profile=profile_of_swapped_colours())).pixels
    assert np.abs(pixels - np.array([0.0, 255, 0])).max() <= 3


def test_an_srgb_profile_changes_nothing():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels = decoded(encoded(gradient(), icc_profile=profile)).pixels
    np.testing.assert_array_equal(pixels, np.asarray(gradient()))


@pytest.mark.parametrize("profile", [b"rubbish", b"\0" * 200, profile_of_swapped_colours()[:150]])
def test_a_broken_profile_is_ignored(profile):
    pixels = decoded(encoded(gradient(), icc_profile=profile)).pixels
    np.testing.assert_array_equal(pixels, np.asarray(gradient()))


def test_a_profile_for_other_colours_is_ignored():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    grey = Image.fromarray(GREY)
    np.testing.assert_array_equal(
        decoded(encoded(grey, icc_profile=profile)).pixels[..., 0], np.asarray(grey)
    )


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(gradient(), form, exif=exif, **LOSSLESS.get(form, {"quality": 95}))
    oracle = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    image = decoded(data)
    assert (image.width, image.height) == oracle.size
    assert (image.width, image.height) == ((WIDTH, HEIGHT) if orientation < 5 else (HEIGHT, WIDTH))
    np.testing.assert_array_equal(image.pixels, np.asarray(oracle))


@pytest.mark.parametrize("exif", [b"Exif\0\0rubbish", b"Exif\0\0II*\0\xff\xff\xff\xff", b"\xff"])
def test_broken_exif_is_ignored(exif):
    assert decoded(encoded(gradient(), "JPEG", exif=exif)).pixels.shape == (HEIGHT, WIDTH, 3)


def test_an_orientation_that_does_not_exist_is_ignored():
    exif = Image.Exif()
    exif[0x0112] = 77
    image = decoded(encoded(gradient(), exif=exif))
    np.testing.assert_array_equal(image.pixels, np.asarray(gradient()))


# --- size -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "max_size_px", "expected"),
    [
        ((200, 100), 100, (100, 50)),
        ((100, 200), 100, (50, 100)),
        ((100, 100), 100, (100, 100)),
        ((64, 48), 1024, (64, 48)),
        ((1000, 333), 512, (512, 170)),
    ],
)
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_the_longest_side_is_limited_and_nothing_enlarged(size, max_size_px, expected, form):
    image = decoded(encoded(gradient(size[1], size[0]), form), max_size_px)
    assert image.pixels.shape == (expected[1], expected[0], 3)
    assert (image.width, image.height) == size


@pytest.mark.parametrize("size", [(803, 601), (1600, 1200), (1601, 1201)])
def test_a_jpeg_reduced_in_its_decoder_shows_the_same_as_one_reduced_after(size):
    # A bar at the right and lower edge, where blocks that stick out would shift the picture most.
    bars = np.zeros((size[1], size[0], 3), np.uint8)
    bars[:, -60:-30] = bars[-60:-30] = 255
    data = encoded(Image.fromarray(bars), "JPEG", quality=95)
    full = np.asarray(Image.open(io.BytesIO(data)))
    difference = decoded(data, 100).pixels.astype(int) - shrink(full, 100)
    assert np.abs(difference).max() <= 20  # of 255, at a sharp edge; a shift gives 40 and more


def test_shrink_leaves_small_images_alone():
    pixels = np.asarray(gradient())
    assert shrink(pixels, WIDTH) is pixels
    assert shrink(pixels, 28).shape == (20, 28, 3)


def test_the_same_file_gives_the_same_pixels():
    data = encoded(gradient(700, 900), "JPEG")
    np.testing.assert_array_equal(decoded(data, 64).pixels, decoded(data, 64).pixels)


@pytest.mark.parametrize("size", [(31, 200), (200, 31), (1, 1)])
def test_small_images_are_refused(size):
    assert f"too small: {size[0]}x{size[1]} px" in refusal(encoded(Image.new("RGB", size)))
    assert decoded(encoded(Image.new("RGB", (MIN_SIDE_PX, MIN_SIDE_PX)))).width == MIN_SIDE_PX


def test_strips_that_vanish_when_reduced_are_refused():
    assert "too narrow" in refusal(encoded(Image.new("L", (4000, 40))), 512)


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + chunk(b"IDAT", zlib.compress(bytes(10)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(10_001, 10_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_decompression_bombs_are_refused_before_decoding(size):
    message = refusal(png_that_claims(*size))
    assert "too large" in message
    assert "100 megapixels" in message


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_jpeg_above_the_limit_is_decoded_at_reduced_size():
    data = encoded(Image.new("L", (11_000, 9_500), 200), "JPEG")
    image = decoded(data, 256)
    assert (image.width, image.height) == (11_000, 9_500)
    assert image.pixels.shape == (221, 256, 3)
    assert "too large" in refusal(data, 11_000)


# --- hostile files --------------------------------------------------------------------------------


def test_an_empty_file_is_refused():
    assert "empty" in refusal(b"")


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"<!DOCTYPE html><html></html>",
        b"%PDF-1.7 ...",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n",
        b"8BPS\0\1" + bytes(100),
        b"SIMPLE  =                    T" + bytes(3000),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"P6 40 40 255\n" + bytes(4800),
        bytes(5000),
    ],
)
def test_files_of_other_kinds_are_refused_with_the_formats_that_work(data):
    message = refusal(data)
    assert all(form in message for form in FORMATS)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.9])
def test_truncated_files_are_refused(form, part):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(Image.fromarray(noise), form)
    message = refusal(data[: int(len(data) * part)])
    assert any(word in message for word in ("truncated", "damaged"))
    if form in ("JPEG", "PNG", "WEBP", "BMP") and part > 0.1:
        assert "truncated" in message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_floating_point_that_is_not_finite_is_refused(value):
    values = np.zeros((HEIGHT, WIDTH), np.float32)
    values[3, 4] = value
    assert "not finite" in refusal(encoded(Image.fromarray(values), "TIFF"))


SEEDS = [
    encoded(gradient(), "JPEG"),
    encoded(gradient(), "JPEG", progressive=True, icc_profile=profile_of_swapped_colours()),
    encoded(gradient()),
    encoded(gradient().quantize(16)),
    encoded(gradient(), "TIFF", compression="tiff_lzw"),
    encoded(gradient(), "WEBP"),
    encoded(gradient(), "GIF"),
    encoded(gradient(), "BMP"),
    encoded(gradient(), "JPEG2000"),
    encoded(gradient(), "AVIF"),
    encoded(gradient(), "HEIF"),
    GREY_FILES["floating point"],
]


def decode_or_refuse(data: bytes) -> None:
    try:
        image = decode_image(data, "fuzz", 64)
    except UnusableImage:
        return
    assert image.pixels.dtype == np.uint8
    assert max(image.pixels.shape[:2]) <= 64


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_changed_files_are_decoded_or_refused(data):
    content = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    decode_or_refuse(bytes(content[: data.draw(st.integers(0, len(content)))]))
    decode_or_refuse(bytes(content))


MAGIC = [b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"GIF89a", b"BM"]


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(MAGIC), st.binary(max_size=300))
def test_random_bytes_are_decoded_or_refused(magic, rest):
    decode_or_refuse(magic + rest)
