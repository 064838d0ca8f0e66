"""The program that decodes image files for its parent, `landmark.extraction.sandbox`.

It has limits that the kernel keeps, imports neither TensorFlow nor Airflow, gets no environment in
which a password could stand, and ends when its parent does: its input ends then. Before its first
file it gives up whatever it does not need (`landmark.extraction.confinement`).
"""

from __future__ import annotations

import os
import resource
import signal
import struct
import warnings
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

from PIL import AvifImagePlugin, Image

from landmark.errors import UnusableImage
from landmark.extraction import heif
from landmark.extraction.confinement import confine_this_process
from landmark.extraction.decoding import decode_image

# Enough for what `decoding.MAX_PIXELS` allows, in all but the hungriest formats.
MEMORY_LIMIT_MB = 1_000

OUT_OF_MEMORY = 77  # an exit status that Python and the shell do not use
READY, PIXELS, REFUSAL = b"D", b"P", b"R"
REQUEST = struct.Struct("<dQQQ")  # seconds, longest side, bytes of the name and of the file
ANSWER = struct.Struct("<cQQQQ")  # kind; width, height, rows, columns; or bytes of the text
SHOT = struct.Struct("<ddd")  # as of `Shot.numbers`; between an answer and its pixels


def _limit_this_process() -> None:
    # Where memory runs out, the kernel shall take a decoder rather than the task.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    limits = {
        resource.RLIMIT_DATA: MEMORY_LIMIT_MB * 1_000_000,  # memory, without pages of libraries
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for limit, value in limits.items():
        with suppress(ValueError, OSError):  # stricter already
            resource.setrlimit(limit, (value, value))
    # The kernel ends a decoder that is not done in time, whatever it is doing.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])


def _load_libraries() -> None:
    """What Pillow would load with the first file of a format; later it could not."""
    Image.preinit()
    for plugin in ("Avif", "Jpeg2K", "Mpo", "Tiff", "WebP"):
        import_module(f"PIL.{plugin}ImagePlugin")
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    with suppress(OSError):  # elsewhere it may start threads, or a HEIC is refused
        heif.decode_without_threads()
    warnings.simplefilter("ignore")  # nobody reads them, and they quote source files


def _answer(request: BinaryIO, answers: BinaryIO) -> bool:
    """Decode one file; False where there is none any more."""
    header = request.read(REQUEST.size)
    if len(header) < REQUEST.size:
        return False
    time_limit_s, max_size_px, name_bytes, data_bytes = REQUEST.unpack(header)
    name = request.read(name_bytes).decode("utf-8", "surrogatepass")
    data = request.read(data_bytes)
    if len(data) < data_bytes:
        return False
    signal.setitimer(signal.ITIMER_REAL, time_limit_s)
    try:
        image = decode_image(data, name, max_size_px)
    except UnusableImage as error:
        signal.setitimer(signal.ITIMER_REAL, 0)
        reason = str(error).encode("utf-8", "replace")
        answers.write(ANSWER.pack(REFUSAL, len(reason), 0, 0, 0) + reason)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)  # nobody knows what state the libraries are in
    else:
        signal.setitimer(signal.ITIMER_REAL, 0)
        rows, columns = image.pixels.shape[:2]
        answers.write(ANSWER.pack(PIXELS, image.width, image.height, rows, columns))
        answers.write(SHOT.pack(*image.shot.numbers()))
        answers.write(image.pixels.data.cast("B"))
    answers.flush()
    return True


def serve() -> None:
    """Decode what comes in, until the input ends."""
    _limit_this_process()
    _load_libraries()
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):  # libraries write what they like; errors of the start were told
        os.dup2(nothing, stream)
    lacking = "; ".join(confine_this_process()).encode()
    answers.write(ANSWER.pack(READY, len(lacking), 0, 0, 0) + lacking)
    answers.flush()
    with suppress(BrokenPipeError):
        while _answer(requests, answers):
            pass
    os._exit(0)  # a buffer that cannot be written any more would be an error


if __name__ == "__main__":
    serve()
