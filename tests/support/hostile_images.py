"""Image files of every kind that a bucket may hold, made here: broken, hostile, or unusual."""

from __future__ import annotations

import io
import struct
import unicodedata
import zlib

import numpy as np
from PIL import Image, ImageCms

from landmark.extraction import heif

heif.register()

ROW, FAILURE, EITHER = "row", "failure", "either"

Case = tuple[bytes, str]


def encoded(image: Image.Image, form: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def picture(mode: str = "RGB", side: int = 96) -> Image.Image:
    rng = np.random.default_rng(5)
    blocks = rng.integers(0, 256, (side // 8, side // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    return Image.fromarray(blocks).convert(mode)


def chunk(kind: bytes, body: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + crc


def png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + b"".join(chunks)
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def zeros(count: int) -> bytes:
    """So many zeros as zlib compresses them, without having them: a block of 1 MB over and over."""
    block = 1 << 20
    stream = zlib.compressobj(9)
    first = stream.compress(bytes(block)) + stream.flush(zlib.Z_FULL_FLUSH)
    more = stream.compress(bytes(block)) + stream.flush(zlib.Z_FULL_FLUSH)
    end = zlib.compressobj(9, wbits=-15)
    rest = end.compress(bytes(count % block)) + end.flush()
    adler = struct.pack(">I", count % 65521 << 16 | 1)
    return first + more * (count // block - 1) + rest + adler


def tiff(entries: list[tuple[int, int, int, int]], body: bytes = b"") -> bytes:
    """A TIFF of these entries (tag, kind, count, value), the body at byte 8."""
    table = struct.pack("<H", len(entries))
    table += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + table


def hungry_tiff(side: int) -> bytes:
    """RGBA of 16 bits in one strip, which the decoder holds whole beside the picture.

    With a side of 9,990 px, below the limit of pixels: 0.8 MB that need 1.2 GB.
    """
    strip = zeros(side * side * 8)
    entries = [(256, 4, 1, side), (257, 4, 1, side), (258, 3, 4, 8), (259, 3, 1, 8)]
    entries += [(262, 3, 1, 2), (273, 4, 1, 16), (277, 3, 1, 4), (278, 4, 1, side)]
    entries += [(279, 4, 1, len(strip)), (284, 3, 1, 1), (338, 3, 1, 2)]
    return tiff(entries, struct.pack("<4H", 16, 16, 16, 16) + strip)


def slow_jpeg(scans: int, side: int = 5600) -> bytes:
    """A progressive JPEG that refines its coefficients so many times: some 20 ms each, 80 bytes."""

    def segment(marker: int, body: bytes) -> bytes:
        return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body

    blocks = (-(-side // 8)) ** 2
    one_code = bytes([1] + [0] * 15)  # a Huffman table whose only code is the bit 0
    head = segment(0xDB, bytes(1) + b"\1" * 64)
    head += segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + b"\1\x11\0")
    head += segment(0xC4, b"\x00" + one_code + b"\0") + segment(0xC4, b"\x10" + one_code + b"\xe0")
    # Runs of 16384 + 0b10101010101010 blocks in which nothing changes.
    bits = ("0" + "10" * 7) * -(-blocks // 27306)
    bits += "0" * (-len(bits) % 8)
    run = int(bits, 2).to_bytes(len(bits) // 8, "big")
    body = segment(0xDA, b"\1\1\0" + bytes([0, 0, 0x01])) + bytes(-(-blocks // 8))
    body += segment(0xDA, b"\1\1\0" + bytes([1, 63, 0x01])) + run
    body += (segment(0xDA, b"\1\1\0" + bytes([1, 63, 0x10])) + run) * scans
    return b"\xff\xd8" + head + body + b"\xff\xd9"


def jp2_that_claims(side: int) -> bytes:
    """A JPEG 2000 codestream of one tile of that size, its content that of a small picture."""
    data = encoded(picture(), "JPEG2000", no_jp2=True)
    place = data.index(b"\xff\x51") + 6  # Xsiz, Ysiz, offsets, XTsiz, YTsiz
    sides = struct.pack(">IIIIII", side, side, 0, 0, side, side)
    return data[:place] + sides + data[place + 24 :]


def heic_that_claims(side: int) -> bytes:
    """A HEIC whose box of sizes says so, its content that of a small picture."""
    data = encoded(picture(), "HEIF")
    place = data.index(b"ispe") + 8
    return data[:place] + struct.pack(">II", side, side) + data[place + 8 :]


def with_exif(block: bytes) -> bytes:
    return encoded(picture(), "JPEG", exif=block)


def oriented(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(picture(), "JPEG", exif=exif)


FILES = {
    "jpg": encoded(picture(), "JPEG"),
    "progressive.jpg": encoded(picture(), "JPEG", progressive=True),
    "png": encoded(picture()),
    "webp": encoded(picture(), "WEBP"),
    "lossless.webp": encoded(picture(), "WEBP", lossless=True),
    "tif": encoded(picture(), "TIFF", compression="tiff_lzw"),
    "bmp": encoded(picture(), "BMP"),
    "gif": encoded(picture(), "GIF"),
    "jp2": encoded(picture(), "JPEG2000"),
    "avif": encoded(picture(), "AVIF"),
    "heic": encoded(picture(), "HEIF"),
    "tiles.heic": encoded(picture(), "HEIF", tile_size=64),
}


def _truncated() -> dict[str, Case]:
    return {
        f"truncated/{tenth}0-percent.{kind}": (data[: len(data) * tenth // 10], FAILURE)
        for kind, data in FILES.items()
        for tenth in range(10)
    }


def _flipped() -> dict[str, Case]:
    cases = {}
    for kind, data in FILES.items():
        for number in range(8):
            content = bytearray(data)
            place = len(data) * (2 * number + 1) // 16
            content[place] ^= 1 << number
            cases[f"flipped/{number}.{kind}"] = (bytes(content), EITHER)
    return cases


def _bombs() -> dict[str, Case]:
    text = chunk(b"zTXt", b"Comment\0\0" + zeros(500 << 20))
    profile = chunk(b"iCCP", b"p\0\0" + zeros(200 << 20))
    plain = FILES["png"]
    huge_list = tiff([(256, 4, 0xFFFFFFFF, 8), (257, 4, 1, 96)])
    endless = b"II*\0\x08\0\0\0" + struct.pack("<H", 0) + struct.pack("<I", 8)
    return {
        "bombs/claim.png": (png(60_000, 60_000, chunk(b"IDAT", zeros(8 << 20))), FAILURE),
        "bombs/claim-2-31.png": (png(2**31 - 1, 2**31 - 1), FAILURE),
        "bombs/claim.gif": (b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(3), FAILURE),
        "bombs/claim.bmp": (
            b"BM" + struct.pack("<IIIIiiHHIIIIII", 54, 0, 54, 40, 50000, 50000, 1, 24, *[0] * 6),
            FAILURE,
        ),
        "bombs/claim.jp2": (jp2_that_claims(60_000), FAILURE),
        "bombs/hungry.jp2": (jp2_that_claims(9_990), FAILURE),
        "bombs/hungry.tif": (hungry_tiff(9_990), FAILURE),
        "bombs/list.tif": (huge_list, FAILURE),
        "bombs/endless.tif": (endless, FAILURE),
        # Metadata that unpacks to hundreds of megabytes: passed over, the pixels are sound.
        "bombs/text.png": (plain[:33] + text + plain[33:], ROW),
        "bombs/profile.png": (plain[:33] + profile + plain[33:], ROW),
        "bombs/claim.heic": (heic_that_claims(60_000), FAILURE),
        "bombs/claim-99-mp.heic": (heic_that_claims(9_990), FAILURE),
        "bombs/99-mp.png": (
            png(9_990, 9_990, chunk(b"IDAT", zeros(9_990 * (3 * 9_990 + 1)))),
            ROW,
        ),
        "bombs/99-mp-with-alpha.png": (
            png(9_990, 9_990, chunk(b"IDAT", zeros(9_990 * (4 * 9_990 + 1))), colour=6),
            ROW,
        ),
        "bombs/99-mp-of-16-bits.png": (
            png(9_990, 9_990, chunk(b"IDAT", zeros(9_990 * (2 * 9_990 + 1))), depth=16, colour=0),
            ROW,
        ),
    }


def _sizes() -> dict[str, Case]:
    return {
        "sizes/1x1.png": (encoded(Image.new("RGB", (1, 1))), FAILURE),
        "sizes/1x30000.png": (encoded(Image.new("L", (1, 30_000))), FAILURE),
        "sizes/30000x1.jpg": (encoded(Image.new("L", (30_000, 1)), "JPEG"), FAILURE),
        "sizes/40x30000.png": (encoded(Image.new("L", (40, 30_000))), FAILURE),
        "sizes/32x32.png": (encoded(picture(side=32)), ROW),
        "sizes/40-mp.jpg": (encoded(Image.new("RGB", (8_000, 5_000), "teal"), "JPEG"), ROW),
        "sizes/40-mp.png": (
            png(8_000, 5_000, chunk(b"IDAT", zeros(5_000 * (3 * 8_000 + 1)))),
            ROW,
        ),
    }


def _other_kinds() -> dict[str, Case]:
    contents = {
        "empty.jpg": b"",
        "zeros.jpg": bytes(5_000),
        "text.jpg": b"This is no picture.\n",
        "page.png": b"<!DOCTYPE html><html></html>",
        "error.jpg": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
        "drawing.svg.png": b"<svg xmlns='http://www.w3.org/2000/svg' width='99' height='99'/>",
        "paper.pdf.jpg": b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF",
        "phone.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500),
        "phone.heif": b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(500),
        "script.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n",
        "archive.jpg": b"PK\3\4" + bytes(200),
        "program.jpg": b"\x7fELF\2\1\1" + bytes(200),
        "photoshop.jpg": b"8BPS\0\1" + bytes(200),
        "start.jpg": b"\xff\xd8",
        "start-and-end.jpg": b"\xff\xd8\xff\xd9",
    }
    return {f"kinds/{name}": (content, FAILURE) for name, content in contents.items()}


def _modes() -> dict[str, Case]:
    alpha = picture("RGBA")
    alpha.putalpha(128)
    grey = np.asarray(picture("L"))
    floats = {kind: np.full((64, 64), 0.5, np.float32) for kind in ("nan", "infinity")}
    floats["nan"][3, 4], floats["infinity"][3, 4] = np.nan, -np.inf
    exact = {
        "cmyk.jpg": encoded(picture("CMYK"), "JPEG"),
        "cmyk.tif": encoded(picture("CMYK"), "TIFF"),
        "16-bit.png": encoded(Image.fromarray(grey.astype(np.uint16) * 257)),
        "16-bit.tif": encoded(Image.fromarray(grey.astype(np.uint16) * 257), "TIFF"),
        "32-bit.tif": encoded(Image.fromarray(grey.astype(np.int32) << 20), "TIFF"),
        "floats.tif": encoded(Image.fromarray(grey.astype(np.float32) / 255), "TIFF"),
        "1-bit.png": encoded(picture("1")),
        "1-bit.tif": encoded(picture("1"), "TIFF", compression="group4"),
        "palette.png": encoded(picture("P")),
        "palette-with-alpha.png": encoded(picture("P"), transparency=bytes(range(256))),
        "grey-with-alpha.png": encoded(picture("LA")),
        "alpha.png": encoded(alpha),
        "alpha.webp": encoded(alpha, "WEBP"),
        "ycbcr.tif": encoded(picture("YCbCr"), "TIFF"),
    }
    cases = {f"modes/{name}": (data, ROW) for name, data in exact.items()}
    for kind, values in floats.items():
        cases[f"modes/{kind}.tif"] = (encoded(Image.fromarray(values), "TIFF"), FAILURE)
    return cases


def _metadata() -> dict[str, Case]:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    broken = {
        "cut-icc.png": encoded(picture(), icc_profile=profile[:150]),
        "rubbish-icc.jpg": encoded(picture(), "JPEG", icc_profile=b"rubbish" * 99),
        "zeros-icc.webp": encoded(picture(), "WEBP", icc_profile=bytes(200)),
        "huge-icc.jpg": encoded(picture(), "JPEG", icc_profile=profile + bytes(5_000_000)),
        "rubbish-exif.jpg": with_exif(b"Exif\0\0rubbish"),
        "outside-exif.jpg": with_exif(b"Exif\0\0II*\0\xff\xff\xff\xff"),
        "circular-exif.jpg": with_exif(
            b"Exif\0\0II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 0x8769, 4, 1, 8) + b"\x08\0\0\0"
        ),
        "long-exif.jpg": with_exif(b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(60_000)),
    }
    cases = {f"metadata/{name}": (data, ROW) for name, data in broken.items()}
    for orientation in (*range(1, 9), 0, 9, 65_535):
        cases[f"metadata/orientation-{orientation}.jpg"] = (oriented(orientation), ROW)
    return cases


def _animated() -> dict[str, Case]:
    frames = [picture(), picture().rotate(90), picture().rotate(180)]
    forms = {"gif": "GIF", "webp": "WEBP", "png": "PNG", "tif": "TIFF", "avif": "AVIF"}
    cases = {
        f"animated/three.{suffix}": (
            encoded(frames[0], form, save_all=True, append_images=frames[1:]),
            ROW,
        )
        for suffix, form in forms.items()
    }
    stereo = encoded(frames[0], "MPO", save_all=True, append_images=frames[1:])
    return {**cases, "animated/two-eyes.jpg": (stereo, ROW)}


CASES: dict[str, Case] = {
    **_truncated(),
    **_flipped(),
    **_bombs(),
    **_sizes(),
    **_other_kinds(),
    **_modes(),
    **_metadata(),
    **_animated(),
}

# Names of sound photographs. The S3 server refuses `//`, `..`, and parts of more than 255 bytes.
KEYS = [
    "a b.jpg", " before.jpg", "two  spaces.jpg", "after .jpg ", "a+b.jpg", "a%b.jpg", "a%20b.jpg",
    "a%2Fb.jpg", "a%2525.jpg", "%00.jpg", "%s{0}$(id)`id`.jpg", "a&b.jpg", "<a>.jpg", '"q".jpg',
    "'q'.jpg", "back\\slash.jpg", "what?x=1&y=2.jpg", "half#way.jpg", "a*:|.jpg", "~.jpg", "=1.jpg",
    "'; DROP TABLE landmarks; --.jpg", "é.jpg", unicodedata.normalize("NFD", "é.jpg"), "日本.jpg",
    "😀.jpg", "שלום.jpg", "\u202egpj.exe", "line\u2028end.jpg", "c1\x85.jpg", "\ufeffmark.jpg",
    "\u00a0.jpg", "\ufffd.jpg", "\uffff.jpg", "..jpg", "no suffix", ".hidden",
    "x" * 251 + ".jpg", "ü" * 125 + ".jpg",
]  # fmt: skip
# The S3 server of the tests keeps these under other names.
CONTROL_KEYS = ["new\nline.jpg", "tab\t.jpg", "return\r.jpg", "\x01\x1f.jpg", "\x7f.jpg"]


def longest_key(prefix: str) -> str:
    """A key of 1,024 bytes, the most that S3 allows, prefix included."""
    rest = 1024 - len(prefix.encode())
    return ("/".join(["d" * 200] * 9))[: rest - 4] + ".jpg"
