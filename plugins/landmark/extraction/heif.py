"""HEIC and HEIF, which telephones write: libheif and libde265 by way of pillow-heif.

Their decoder starts a thread for each picture, which a confined process cannot. So where a process
is to be confined, libde265 is told beforehand not to start any: it then decodes in its caller.
"""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path

import _pillow_heif
from pillow_heif import register_heif_opener

#: Instructions that return 0, by how the kernel calls the machine.
_RETURN_ZERO = {
    "x86_64": bytes.fromhex("31c0 c3"),  # xor eax, eax; ret
    "aarch64": bytes.fromhex("00008052 c0035fd6"),  # mov w0, #0; ret
}
# Of the container, at its top (ISO 14496-12).
_BOXES = (b"ftyp", b"meta", b"mdat", b"free", b"idat", b"moov")
_READ, _WRITE, _EXECUTE = 1, 2, 4


def register() -> None:
    """Let Pillow open HEIF: its primary picture, nothing of what lies beside it."""
    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=0)


def is_cut(data: bytes) -> bool:
    """Whether a file ends within a box of its own; libheif leaves out the tiles that it lacks."""
    place = 0
    while place + 16 <= len(data):
        size, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        if size == 1:
            size = int.from_bytes(data[place + 8 : place + 16], "big")
        if kind not in _BOXES or size < 8:  # to the end, or what programs put behind it
            return False
        place += size
    return place > len(data)


def decode_without_threads() -> None:
    """Have libde265 decode in the thread that asks, for good; before this process is confined.

    libheif calls `de265_start_worker_threads` for each picture, has no option against it, and
    libde265 takes a refused thread for the end of the picture. So that function, in this process's
    memory alone, becomes one that starts none; libde265 is made to work without.

    Raises
    ------
    OSError
        If the library or the machine is not as it is known here; HEIC is then refused.
    """
    machine = platform.machine()
    if machine not in _RETURN_ZERO:
        raise OSError(f"the instructions of {machine} are not known here")
    code = _RETURN_ZERO[machine]
    try:
        # By the handle of what needs the library, whose file has another name in each build.
        library = ctypes.CDLL(str(Path(_pillow_heif.__file__)))
        place = ctypes.cast(library.de265_start_worker_threads, ctypes.c_void_p).value or 0
    except AttributeError as error:
        raise OSError(f"libde265 is not as it is known here ({error})") from error
    page = place & -os.sysconf("SC_PAGESIZE")
    size = place + len(code) - page
    _protect(page, size, _READ | _WRITE)  # never writable and executable at once
    ctypes.memmove(place, code, len(code))
    _protect(page, size, _READ | _EXECUTE)


def _protect(page: int, size: int, rights: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(size), rights):
        raise OSError(f"mprotect: {os.strerror(ctypes.get_errno())}")
