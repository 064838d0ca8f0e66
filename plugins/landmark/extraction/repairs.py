"""Files whose pixels are sound and whose rest is not: what can be left out or added, and when."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from PIL.PngImagePlugin import MAX_TEXT_CHUNK, MAX_TEXT_MEMORY

PNG = b"\x89PNG\r\n\x1a\n"
JPEG, JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
# Of what is left out without harm, what is kept if it is whole: colours, and where it was taken.
_KEPT_CHUNKS = (b"tRNS", b"iCCP", b"eXIf", b"tEXt", b"zTXt", b"iTXt")
# Entropy that means something else than the zeros that a decoder makes up; no marker is in it.
_OTHER_END = bytes(151 * number % 255 for number in range(1, 4_000))


def without_faulty_metadata(data: bytes) -> bytes | None:
    """A PNG with its pixels, and of the rest what is sound; None if that changes nothing.

    A chunk goes if its checksum is wrong, or if it or all so far unpack to more than Pillow takes.
    """
    if not data.startswith(PNG):
        return None
    kept, unpacked_bytes = [PNG], 0
    for kind, start, end in _chunks(data):
        chunk = data[start:end]
        if not kind[0] & 0x20:  # without which there is no picture
            kept.append(chunk)
        elif kind in _KEPT_CHUNKS and (unpacked := _unpacked(kind, chunk)) is not None:
            unpacked_bytes += len(unpacked)
            if unpacked_bytes <= MAX_TEXT_MEMORY:
                kept.append(chunk)
        if kind == b"IEND":
            break
    mended = b"".join(kept)
    return None if len(mended) == len(data) else mended


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, first byte and end of each chunk; the last may end beyond the file."""
    place = len(PNG)
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        yield data[place + 4 : place + 8], place, place + 12 + length
        place += 12 + length


def _unpacked(kind: bytes, chunk: bytes) -> bytes | None:
    """What a chunk holds; None if it is not sound, or too large."""
    body = chunk[8:-4]
    if len(chunk) < 12 or zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
        return None
    packed = _packed(kind, body)
    if packed is None:
        return body if len(body) <= MAX_TEXT_CHUNK else None
    unpack = zlib.decompressobj()
    try:
        unpacked = unpack.decompress(packed, MAX_TEXT_CHUNK + 1)
    except zlib.error:
        return None
    return unpacked if unpack.eof and len(unpacked) <= MAX_TEXT_CHUNK else None


def _packed(kind: bytes, body: bytes) -> bytes | None:
    """What of a chunk is compressed; None if nothing is."""
    _, _, rest = body.partition(b"\0")
    if kind in (b"zTXt", b"iCCP"):
        return rest[1:]
    if kind == b"iTXt" and rest[:1] == b"\1":
        return rest[2:].split(b"\0", 2)[-1]
    return None


def ends_of_jpeg(data: bytes) -> tuple[bytes, bytes] | None:
    """A JPEG that ends too early, with two ends; None if it is another file.

    A decoder makes up what is missing before an end, and passes over what is too much. So where
    both give the same picture, nothing of it was missing but the end.
    """
    if not data.startswith(JPEG):
        return None
    # Half of a marker, or of a value 0xFF, which a zero makes a value.
    other = b"\0" + _OTHER_END if data.endswith(b"\xff") else _OTHER_END
    return data + JPEG_END, data + other + JPEG_END
