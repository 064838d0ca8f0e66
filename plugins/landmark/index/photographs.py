"""Which files are photographs: by what is excluded, by their name, else by their first bytes.

One rule for sweeps, searches by prefix, and files on a disk.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from landmark.settings import EXCLUDE

# Whoever calls a file so takes it for a photograph: where it is none, that is a failure.
PHOTOGRAPHS = frozenset([
    "jpg", "jpeg", "jpe", "jfif", "jif", "pjpeg", "pjp", "mpo", "png", "webp", "tif", "tiff",
    "bmp", "dib", "gif", "jp2", "j2k", "j2c", "jpc", "jpf", "jpx", "avif", "avifs", "heic",
    "heif", "heics", "heifs", "hif",
])  # fmt: skip
# What is never looked into: a bucket may have one beside each photograph. Raw files are among them,
# which begin as a TIFF does, and whose first picture is none to look at.
OTHERS = frozenset([
    "txt", "md", "csv", "tsv", "json", "jsonl", "xml", "yaml", "yml", "toml", "ini", "cfg",
    "conf", "log", "html", "htm", "css", "js", "ts", "py", "sh", "sql", "db", "sqlite", "parquet",
    "npy", "npz", "pickle", "pkl", "h5", "pt", "pth", "onnx", "pdf", "doc", "docx", "xls", "xlsx",
    "ppt", "pptx", "odt", "ods", "odp", "rtf", "epub", "mov", "mp4", "m4v", "avi", "mkv", "webm",
    "mts", "m2ts", "mpg", "mpeg", "wmv", "flv", "3gp", "mp3", "wav", "m4a", "aac", "flac", "ogg",
    "opus", "zip", "tar", "gz", "tgz", "bz2", "xz", "zst", "7z", "rar", "iso", "exe", "dll", "so",
    "dmg", "xmp", "aae", "thm", "svg", "psd", "eps", "ai", "dng", "cr2", "cr3", "crw", "nef",
    "nrw", "arw", "srf", "sr2", "orf", "rw2", "raf", "pef", "raw", "rwl", "3fr", "iiq", "x3f",
    "erf", "kdc", "dcr", "mrw",
])  # fmt: skip
SUFFIX_CHARACTERS = 20
NO_SUFFIX = "no suffix"

HEAD_BYTES = 32
_HEADS = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"II*\0",  # TIFF
    b"MM\0*",
    b"II+\0",  # BigTIFF
    b"MM\0+",
    b"\0\0\0\x0cjP  \r\n\x87\n",  # JPEG 2000
    b"\xff\x4f\xff\x51",  # its codestream alone
)
# The first brand of an ISO base media file: HEIC, HEIF, AVIF. Films have others.
_BRANDS = frozenset(b"heic heix heim heis hevc hevx hevm hevs mif1 msf1 avif avis".split())
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)


class Exclusions:
    """Patterns of what is passed over whatever it holds.

    Parameters
    ----------
    patterns : sequence of str
        Of files; one that ends in ``/`` is of folders, with all that is below. ``*`` is anything
        but a ``/``, ``?`` one character of it. Whether letters are capital does not matter.
    """

    def __init__(self, patterns: Sequence[str] = EXCLUDE) -> None:
        self._patterns = tuple(patterns)
        # One search for all of them: a bucket has millions of keys.
        each = "|".join(f"({_regular(pattern)})" for pattern in self._patterns)
        self._found = re.compile(f"/(?:{each})", re.IGNORECASE) if self._patterns else None

    def pattern_of(self, name: str) -> str | None:
        """The pattern by which a file is excluded; None if it is not.

        Parameters
        ----------
        name : str
            Of the file below what is listed, with its folders.
        """
        found = self._found and self._found.search(f"/{name}")
        return self._patterns[found.lastindex - 1] if found and found.lastindex else None


def _regular(pattern: str) -> str:
    parts = {"*": "[^/]*", "?": "[^/]"}
    text = "".join(parts.get(character) or re.escape(character) for character in pattern.strip("/"))
    return text + ("/" if pattern.endswith("/") else r"\Z")


def is_by_name(name: str) -> bool | None:
    """Whether a file is a photograph by its suffix; None if its first bytes are to be asked."""
    suffix = _suffix(name)
    return True if suffix in PHOTOGRAPHS else False if suffix in OTHERS else None


def is_by_head(head: bytes) -> bool:
    """Whether a file that begins so is of a format that `landmark.extraction.decoding` knows."""
    if head.startswith(_HEADS):
        return True
    if head.startswith(b"BM"):  # so do texts
        return int.from_bytes(head[14:18], "little") in _BMP_HEADERS
    if head.startswith(b"RIFF"):
        return head[8:12] == b"WEBP"
    return head[4:8] == b"ftyp" and head[8:12] in _BRANDS


def kind_of(name: str) -> str:
    """How people tell files apart: the suffix in lower case with its dot, or that there is none."""
    suffix = _suffix(name)
    return f".{suffix[:SUFFIX_CHARACTERS]}" if suffix else NO_SUFFIX


def why_left_out(folder: Path, name: str, exclusions: Exclusions) -> str | None:
    """Why a file of a folder on this machine is no photograph, in a few words; None if it is one.

    Parameters
    ----------
    name : str
        Relative to `folder`, with ``/``.
    """
    pattern = exclusions.pattern_of(name)
    if pattern is not None:
        return f"excluded by {pattern}"
    by_name = is_by_name(name)
    if by_name is not False:
        try:
            with (folder / name).open("rb") as file:
                by_name = is_by_head(file.read(HEAD_BYTES)) or by_name
        except OSError as error:
            return f"cannot be read ({error.strerror})"
    return None if by_name else f"no photograph ({kind_of(name)})"


def is_photograph(file: Path) -> bool:
    """Whether a file on this machine is one, by the usual exclusions."""
    return file.is_file() and why_left_out(file.parent, file.name, Exclusions()) is None


def _suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition("/")[2].rpartition(".")
    return suffix.lower() if dot and stem else ""
