"""Kinds of files that cameras, scanners and programs write: each gives the picture it holds."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hostile_images import chunk, png, tiff, zeros
from PIL import Image, ImageCms, TiffImagePlugin

from landmark.errors import UnusableImage
from landmark.extraction import heif
from landmark.extraction.colours import GROUND
from landmark.extraction.decoding import MAX_PIXELS, decode_image
from landmark.extraction.sandbox import decode_isolated

heif.register()
HEIGHT, WIDTH = 64, 96


def scene(height=HEIGHT, width=WIDTH) -> np.ndarray:
    """Grey [h, w] of 8 bits: blocks of 8 px, from 15 to 240."""
    rng = np.random.default_rng(7)
    return rng.integers(15, 241, (height // 8, width // 8), np.uint8).repeat(8, 0).repeat(8, 1)


GREY = scene()
COLOURS = np.stack([GREY, np.roll(GREY, 9, 0), 255 - GREY], -1)


def encoded(image: Image.Image, form: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def pixels(data: bytes, max_size_px: int = 1024) -> np.ndarray:
    return decode_image(data, "photo", max_size_px).pixels.astype(int)


def refusal(data: bytes) -> str:
    with pytest.raises(UnusableImage) as caught:
        decode_image(data, "photo", 1024)
    return str(caught.value)


# ---- HEIC --------------------------------------------------------------------------------------


@pytest.mark.parametrize("tiles", [{}, {"tile_size": 64}], ids=["whole", "of tiles"])
def test_heic_is_read_where_threads_are_forbidden(tiles):
    image = Image.fromarray(COLOURS).resize((320, 240))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x9003] = "2024:05:17 08:30:01"
    exif.get_ifd(0x8825).update({1: "S", 2: (41.0, 30.0, 0.0), 3: "E", 4: (12.0, 15.0, 0.0)})
    data = encoded(image, "HEIF", quality=95, exif=exif.tobytes(), **tiles)
    found = decode_isolated(data, "photo", 200)
    # libheif turns the picture itself; it is not turned again.
    assert (found.width, found.height) == (240, 320)
    assert found.pixels.shape == (200, 150, 3)
    upright = np.asarray(image.transpose(Image.Transpose.ROTATE_270).resize((150, 200)))
    assert np.abs(found.pixels.astype(int) - upright).mean() < 6
    assert (found.shot.latitude, found.shot.longitude) == (-41.5, 12.25)
    assert found.shot.taken_at is not None


def test_the_orientation_of_heic_is_that_of_its_container():
    exif = Image.Exif()
    exif[0x0112] = 6
    # As an object, pillow-heif writes it into EXIF alone, which ISO 23008-12 lets no reader heed.
    found = decode_image(encoded(Image.fromarray(COLOURS), "HEIF", exif=exif), "photo", 1024)
    assert (found.width, found.height) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("tiles", [{}, {"tile_size": 64}], ids=["whole", "of tiles"])
def test_heic_that_ends_too_early_is_truncated(tiles):
    data = encoded(Image.fromarray(COLOURS), "HEIF", **tiles)
    for missing in (1, len(data) // 10, len(data) // 3):
        assert "truncated" in refusal(data[:-missing])
    assert pixels(data + b"what a program has put behind it").shape == COLOURS.shape


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_heic_above_the_limit_of_pixels_is_refused_before_it_is_decoded():
    data = encoded(Image.fromarray(COLOURS), "HEIF")
    place = data.index(b"ispe") + 8
    side = int(MAX_PIXELS**0.5) + 10
    claims = data[:place] + struct.pack(">II", side, side) + data[place + 8 :]
    assert f"too large: {side}x{side} px" in refusal(claims)


def test_heic_with_transparent_parts_and_of_grey():
    alpha = np.where(np.arange(WIDTH) < WIDTH // 2, 0, 255).astype(np.uint8)
    alpha = np.broadcast_to(alpha, (HEIGHT, WIDTH))
    data = encoded(Image.fromarray(np.dstack([COLOURS, alpha])), "HEIF", quality=-1)
    assert np.abs(pixels(data)[:, : WIDTH // 2 - 2] - GROUND).max() <= 2
    found = pixels(encoded(Image.fromarray(GREY), "HEIF", quality=95))
    assert np.abs(found[..., 1] - GREY).mean() < 4


# ---- grey of every depth -----------------------------------------------------------------------


def grey_tiff(values: bytes, bits: int, *more: tuple[int, int, int, int], order="<") -> bytes:
    """An uncompressed grey TIFF; `more` are tags that replace or follow the usual."""
    entries = {256: (3, 1, WIDTH), 257: (3, 1, HEIGHT), 258: (3, 1, bits), 259: (3, 1, 1)}
    entries |= {262: (3, 1, 1), 273: (4, 1, 8), 277: (3, 1, 1), 278: (3, 1, HEIGHT)}
    entries |= {279: (4, 1, len(values))}
    entries |= {tag: rest for tag, *rest in more}
    if order == "<":
        return tiff([(tag, *entries[tag]) for tag in sorted(entries)], values)
    table = struct.pack(">H", len(entries))
    for tag in sorted(entries):
        kind, count, value = entries[tag]
        table += struct.pack(">HHI", tag, kind, count)
        table += struct.pack(">HH", value, 0) if kind == 3 else struct.pack(">I", value)
    return b"MM\0*" + struct.pack(">I", 8 + len(values)) + values + table + bytes(4)


def of_12_bits(values: np.ndarray) -> bytes:
    """Two values of 12 bits in three bytes."""
    first, second = values.reshape(-1, 2).T.astype(np.uint16)
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], -1)
    return packed.astype(np.uint8).tobytes()


TWELVE = ((GREY.astype(int) * 4095 + 127) // 255).astype(np.uint16)
STRETCHED = np.rint((GREY.astype(float) - GREY.min()) * 255 / (int(GREY.max()) - GREY.min()))
WHITE_IS_ZERO = (262, 3, 1, 0)
DEEP = {
    "12 bits": (grey_tiff(of_12_bits(TWELVE), 12), GREY),
    "12 bits, MM": (grey_tiff(of_12_bits(TWELVE), 12, order=">"), GREY),
    "12 bits, white is zero": (grey_tiff(of_12_bits(4095 - TWELVE), 12, WHITE_IS_ZERO), GREY),
    "12 bits in 16": (grey_tiff(TWELVE.astype("<u2").tobytes(), 16), STRETCHED),
    "12 bits in 16, PNG": (encoded(Image.fromarray(TWELVE)), STRETCHED),
    "12 bits in 16, declared": (
        grey_tiff(TWELVE.astype("<u2").tobytes(), 16, (281, 3, 1, 4095)),
        GREY,
    ),
    "16 bits": (grey_tiff((GREY.astype("<u2") * 257).tobytes(), 16), GREY),
    "16 bits, a false declaration": (
        grey_tiff((GREY.astype("<u2") * 257).tobytes(), 16, (281, 3, 1, 4095)),
        GREY,
    ),
    "16 bits, white is zero": (
        grey_tiff((65535 - GREY.astype("<u2") * 257).tobytes(), 16, WHITE_IS_ZERO),
        GREY,
    ),
    "16 bits, white is zero, MM": (
        grey_tiff(
            (65535 - GREY.astype(np.uint16) * 257).astype(">u2").tobytes(),
            16,
            WHITE_IS_ZERO,
            order=">",
        ),
        GREY,
    ),
    "32 bits without sign": (
        grey_tiff((GREY.astype("<u4") * 16_843_009).tobytes(), 32),
        STRETCHED,
    ),
    "32 bits without sign, MM": (
        grey_tiff((GREY.astype(">u4") * 16_843_009).astype(">u4").tobytes(), 32, order=">"),
        STRETCHED,
    ),
    "32 bits with sign": (
        grey_tiff(((GREY.astype("<i4") - 128) * 16_000_000).tobytes(), 32, (339, 3, 1, 2)),
        STRETCHED,
    ),
    "floating point, white is zero": (
        grey_tiff((-GREY.astype("<f4")).tobytes(), 32, (339, 3, 1, 3), WHITE_IS_ZERO),
        STRETCHED,
    ),
}


@pytest.mark.parametrize("kind", DEEP)
def test_deep_grey_is_scaled_by_what_the_file_declares_else_by_its_range(kind):
    data, expected = DEEP[kind]
    assert np.abs(pixels(data) - expected[..., None]).max() <= 1


@pytest.mark.parametrize("bits", [1, 2, 4, 16])
def test_a_transparent_grey_of_any_depth_is_laid_on_the_ground(bits):
    steps = np.arange(WIDTH) // 8 % 2**bits if bits < 16 else np.arange(WIDTH) * 600 + 5000
    rows = np.broadcast_to(steps, (HEIGHT, WIDTH)).astype(np.uint32)
    hidden = int(rows[0, 20])
    if bits == 16:
        packed = np.frombuffer(rows.astype(">u2").tobytes(), np.uint8).reshape(HEIGHT, -1)
    else:
        places = rows[..., None] >> np.arange(bits - 1, -1, -1) & 1
        packed = np.packbits(places.reshape(HEIGHT, -1).astype(np.uint8), axis=1)
    body = b"".join(b"\0" + row.tobytes() for row in packed)
    file = png(
        WIDTH, HEIGHT, chunk(b"tRNS", struct.pack(">H", hidden)),
        chunk(b"IDAT", zlib.compress(body)), depth=bits, colour=0,
    )  # fmt: skip
    found = pixels(file)
    assert (found[rows == hidden] == GROUND).all()
    shown = np.rint(rows * 255.0 / (2**bits - 1))[rows != hidden]
    assert np.abs(found[rows != hidden][:, 0] - shown).max() <= 1


def test_a_transparent_colour_of_16_bits_is_laid_on_the_ground():
    colours = np.full((HEIGHT, WIDTH, 3), 0x1234, ">u2")
    colours[:, 40:] = 0xABCD
    body = b"".join(b"\0" + row.tobytes() for row in colours)
    hidden = chunk(b"tRNS", struct.pack(">HHH", *[0xABCD] * 3))
    found = pixels(png(WIDTH, HEIGHT, hidden, chunk(b"IDAT", zlib.compress(body)), depth=16))
    assert (found[:, 40:] == GROUND).all()
    assert (found[:, :40] == 0x12).all()


# ---- colours -----------------------------------------------------------------------------------


def linear_profile() -> bytes:
    """Pillow's profile of sRGB, still called so, with a straight line for its curve."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    place = profile.index(b"para\0\0\0\0\0\3\0\0") + 12
    line = struct.pack(">5i", 65536, 65536, 0, 65536, 0)
    assert "sRGB".encode("utf-16-be") in profile
    return profile[:place] + line + profile[place + 20 :]


def grey_profile() -> bytes:
    """An ICC profile of grey, version 2, whose values are linear."""
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    curve = b"curv" + bytes(8)
    at = 128 + 4 + 2 * 12
    tags = struct.pack(">I", 2)
    tags += struct.pack(">4sII", b"wtpt", at, len(white))
    tags += struct.pack(">4sII", b"kTRC", at + len(white), len(curve))
    header = bytearray(128)
    header[:4] = struct.pack(">I", at + len(white) + len(curve))
    header[8:24] = b"\x02\x10\0\0mntrGRAYXYZ "
    header[36:40] = b"acsp"
    header[68:80] = struct.pack(">3i", 63190, 65536, 54061)
    return bytes(header) + tags + white + curve


def srgb_of_linear(values: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1."""
    part = values / 255
    return 255 * np.where(part <= 0.0031308, part * 12.92, 1.055 * part ** (1 / 2.4) - 0.055)


def test_a_profile_is_judged_by_what_it_does_and_not_by_its_name():
    data = encoded(Image.fromarray(COLOURS), icc_profile=linear_profile())
    assert np.abs(pixels(data) - srgb_of_linear(COLOURS)).max() <= 2


def test_grey_with_alpha_and_a_grey_profile_keeps_the_ground():
    alpha = np.where(np.arange(WIDTH) < WIDTH // 2, 0, 255).astype(np.uint8)
    image = Image.fromarray(GREY)
    image.putalpha(Image.fromarray(np.broadcast_to(alpha, GREY.shape).copy()))
    found = pixels(encoded(image, icc_profile=grey_profile()))
    assert (found[:, : WIDTH // 2] == GROUND).all()
    shown = srgb_of_linear(GREY[:, WIDTH // 2 :])[..., None]
    assert np.abs(found[:, WIDTH // 2 :] - shown).max() <= 2


def test_colours_with_alpha_and_a_profile_keep_the_ground():
    alpha = np.zeros((HEIGHT, WIDTH, 1), np.uint8)
    alpha[:, 40:] = 255
    image = Image.fromarray(np.dstack([COLOURS, alpha]))
    found = pixels(encoded(image, icc_profile=linear_profile()))
    assert (found[:, :40] == GROUND).all()
    assert np.abs(found[:, 40:] - srgb_of_linear(COLOURS[:, 40:])).max() <= 2


# ---- pages, ends, metadata ---------------------------------------------------------------------


def test_of_a_tiff_whose_first_page_is_its_thumbnail_the_largest_page_counts():
    large = Image.fromarray(COLOURS)
    said = TiffImagePlugin.ImageFileDirectory_v2()
    said[0x8769] = {0x9003: "2024:05:17 08:30:01"}
    thumbnail, small = large.resize((24, 16)), large.resize((48, 32))
    thumbnail.encoderinfo = {"tiffinfo": said}
    data = encoded(thumbnail, "TIFF", save_all=True, append_images=[large, small])
    found = decode_image(data, "photo", 1024)
    np.testing.assert_array_equal(found.pixels, COLOURS)
    assert (found.width, found.height) == (WIDTH, HEIGHT)
    assert found.shot.taken_at is not None  # which the thumbnail's page says


def test_of_pages_of_one_size_the_first_counts_even_if_a_later_one_is_damaged():
    first, second = Image.fromarray(COLOURS), Image.fromarray(255 - COLOURS)
    data = bytearray(encoded(first, "TIFF", save_all=True, append_images=[second]))
    np.testing.assert_array_equal(pixels(bytes(data)), COLOURS)
    (table,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, table)
    (following,) = struct.unpack_from("<I", data, table + 2 + 12 * entries)
    data[following + 2 : following + 200] = b"\xff" * len(data[following + 2 : following + 200])
    np.testing.assert_array_equal(pixels(bytes(data)), COLOURS)


@pytest.mark.parametrize("missing", [1, 2])
@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_a_jpeg_that_lacks_only_its_end_is_read(options, missing):
    data = encoded(Image.fromarray(COLOURS), "JPEG", quality=95, **options)
    np.testing.assert_array_equal(pixels(data[:-missing]), pixels(data))


@pytest.mark.parametrize("missing", [40, 200, 1000])
@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_a_jpeg_that_lacks_more_is_truncated(options, missing):
    noise = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    data = encoded(Image.fromarray(noise), "JPEG", quality=95, **options)
    assert "truncated" in refusal(data[:-missing])
    assert "truncated" in refusal(data[: len(data) // 2])


def with_chunks(*chunks: bytes) -> bytes:
    """A sound PNG with more chunks before its pixels."""
    plain = encoded(Image.fromarray(COLOURS))
    return plain[:33] + b"".join(chunks) + plain[33:]


def with_wrong_sum(kind: bytes, body: bytes) -> bytes:
    return chunk(kind, body)[:-1] + b"?"


FAULTY = {
    "text, wrong sum": with_chunks(with_wrong_sum(b"tEXt", b"Comment\0none")),
    "pHYs too short": with_chunks(chunk(b"pHYs", b"\0\0\x0b")),
    "cHRM too short": with_chunks(chunk(b"cHRM", b"\0\0")),
    "gAMA too short": with_chunks(chunk(b"gAMA", b"")),
    "XMP of 2 MB, compressed": with_chunks(
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zeros(2 << 20))
    ),
    "text of 300 MB, compressed": with_chunks(chunk(b"zTXt", b"Comment\0\0" + zeros(300 << 20))),
    "texts of 90 MB together": with_chunks(
        *[chunk(b"zTXt", b"Comment%d\0\0" % number + zeros(1 << 20)) for number in range(90)]
    ),
    "a profile of 3 MB": with_chunks(chunk(b"iCCP", b"p\0\0" + zeros(3 << 20))),
    "a profile that is cut": with_chunks(
        chunk(b"iCCP", b"p\0\0" + zeros(1 << 20)[:40]), chunk(b"pHYs", b"")
    ),
}


@pytest.mark.parametrize("kind", FAULTY)
def test_faulty_metadata_of_a_png_is_passed_over(kind):
    np.testing.assert_array_equal(pixels(FAULTY[kind]), COLOURS)


def test_sound_metadata_beside_faulty_is_kept():
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x9003] = "2024:05:17 08:30:01"
    data = encoded(Image.fromarray(COLOURS), exif=exif, icc_profile=linear_profile())
    data = data[:33] + chunk(b"pHYs", b"\0") + data[33:]
    found = decode_image(data, "photo", 1024)
    assert (found.width, found.height) == (HEIGHT, WIDTH)
    assert found.shot.taken_at is not None
    upright = np.rot90(srgb_of_linear(COLOURS), -1)
    assert np.abs(found.pixels - upright).max() <= 2


def test_faulty_metadata_does_not_hide_that_the_pixels_are_cut_or_too_few():
    data = with_chunks(chunk(b"pHYs", b"\0"))
    assert "truncated" in refusal(data[: len(data) // 2])
    small = encoded(Image.new("RGB", (20, 20)))
    assert "too small" in refusal(small[:33] + chunk(b"pHYs", b"\0") + small[33:])


# ---- BMP ---------------------------------------------------------------------------------------


def bmp_of_32_bits(alpha: int, masks: tuple[int, ...] = (0xFF0000, 0xFF00, 0xFF)) -> bytes:
    """A BMP with a header of version 4, whose fourth byte counts as alpha."""
    values = np.dstack([COLOURS[..., ::-1], np.full(GREY.shape, alpha, np.uint8)])[::-1]
    body = values.tobytes()
    header = struct.pack("<IiiHHIIiiII", 108, WIDTH, HEIGHT, 1, 32, 3, len(body), 0, 0, 0, 0)
    header += struct.pack("<4I", *masks, 0xFF000000) + b"BGRs" + bytes(48)
    return b"BM" + struct.pack("<IHHI", 14 + 108 + len(body), 0, 0, 122) + header + body


def test_a_bmp_that_is_transparent_everywhere_is_opaque():
    np.testing.assert_array_equal(pixels(bmp_of_32_bits(alpha=0)), COLOURS)
    np.testing.assert_array_equal(pixels(bmp_of_32_bits(alpha=255)), COLOURS)


def test_another_picture_that_is_transparent_everywhere_stays_so():
    image = Image.fromarray(np.dstack([COLOURS, np.zeros_like(GREY)]))
    assert (pixels(encoded(image)) == GROUND).all()


def test_a_kind_of_bmp_that_is_not_read_is_not_called_damaged():
    message = refusal(bmp_of_32_bits(alpha=255, masks=(0xFF00, 0xFF0000, 0xFF)))
    assert "this kind of BMP is not supported" in message
    assert "convert it to JPEG" in message
    assert "upload it again" not in message
