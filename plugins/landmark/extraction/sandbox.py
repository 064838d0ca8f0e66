"""Image files decoded in processes of their own, which a hostile file may bring down alone.

The decoders are C libraries, and the files come from anywhere: one may crash them, fill the memory
or keep them busy for hours. So a few small processes decode, each with limits that the kernel
keeps, and are started again when they die. They also decode while the model computes.

A decoder is this module run as a program. It imports neither TensorFlow nor Airflow, gets no
environment in which a password could stand, and ends when its parent does: its input ends then.
"""

from __future__ import annotations

import os
import resource
import signal
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import AvifImagePlugin

from landmark.errors import UnusableImage
from landmark.extraction.decoding import MAX_PIXELS, DecodedImage, decode_image

# Of each decoder; enough for what `images.MAX_PIXELS` allows, in all but the hungriest formats.
MEMORY_LIMIT_MB = 1_000
# A hundred megapixels take a few seconds.
TIME_LIMIT_S = 30.0
# A decoder keeps up with several models on CPUs.
DECODERS = min(4, os.cpu_count() or 1)

_READY = b"decoder\n"
_OUT_OF_MEMORY = 77  # an exit status that Python and the shell do not use
_PIXELS, _REFUSAL = b"P", b"R"
_REQUEST = struct.Struct("<dQQQ")  # seconds, longest side, bytes of the name and of the file
_ANSWER = struct.Struct("<cQQQQ")  # kind; width, height, rows, columns; or bytes of the reason


def decode_isolated(
    data: bytes, name: str, max_size_px: int, time_limit_s: float = TIME_LIMIT_S
) -> DecodedImage:
    """What `decode_image` does, in another process; waits for a free one.

    An image is blamed only for the end of a decoder that had no other image before it. Where a
    used one ends, which may be an earlier image's doing, it is tried again with a fresh one.

    Raises
    ------
    UnusableImage
        As of `decode_image`; and if decoding takes too long or too much memory, or crashes.
    OSError
        If no decoder can be started.
    """
    with _slots:
        with suppress(IndexError, _DecoderEnded):
            return _decode_with(_idle.pop(), data, name, max_size_px, time_limit_s)
        try:
            return _decode_with(_Decoder(), data, name, max_size_px, time_limit_s)
        except _DecoderEnded as ended:
            raise UnusableImage(f"{name}: {ended.reason(time_limit_s)}") from None


def _decode_with(
    decoder: _Decoder, data: bytes, name: str, max_size_px: int, time_limit_s: float
) -> DecodedImage:
    try:
        image = decoder.decode(data, name, max_size_px, time_limit_s)
    except UnusableImage:
        _idle.append(decoder)
        raise
    except BaseException:  # ended, or interrupted in the middle of an answer
        decoder.kill()
        raise
    _idle.append(decoder)
    return image


class _DecoderEnded(Exception):
    """A decoder ended instead of answering, with this status of `subprocess`."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status

    def reason(self, time_limit_s: float) -> str:
        if self.status == _OUT_OF_MEMORY:
            return f"needs more than {MEMORY_LIMIT_MB:,} MB to be decoded; reduce it"
        if self.status == -signal.SIGALRM:
            return f"takes more than {time_limit_s:g} s to be decoded; save it anew as JPEG"
        if self.status == -signal.SIGKILL:
            return "the decoder was killed, perhaps since memory ran out; reduce it"
        with suppress(ValueError):
            return f"crashes the decoder ({signal.Signals(-self.status).name}); save it anew"
        return f"crashes the decoder (exit status {self.status}); save it anew"


class _Decoder:
    """A process that decodes; used by one thread at a time."""

    def __init__(self) -> None:
        # The parent's way to find modules; nothing else of its environment.
        places = [str(Path(__file__).resolve().parents[2]), *filter(None, sys.path)]
        environment = {
            "PYTHONPATH": os.pathsep.join(places),
            "PYTHONSAFEPATH": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        for name in ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL"):
            if name in os.environ:
                environment[name] = os.environ[name]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "landmark.extraction.sandbox"],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            # A signal to the task's group is for the task, which ends its decoders by ending.
            start_new_session=True,
        )
        assert self._process.stdin and self._process.stdout
        self._requests, self._answers = self._process.stdin, self._process.stdout
        greeting = bytearray(len(_READY))
        try:
            self._read(memoryview(greeting))
        except _DecoderEnded as ended:
            raise OSError(f"no decoder can be started: exit status {ended.status}") from None
        except BaseException:
            self.kill()
            raise

    def decode(self, data: bytes, name: str, max_size_px: int, time_limit_s: float) -> DecodedImage:
        """The image, or `UnusableImage`, or `_DecoderEnded`."""
        called = name.encode("utf-8", "surrogatepass")
        try:
            self._write(_REQUEST.pack(time_limit_s, max_size_px, len(called), len(data)))
            self._write(called)
            self._write(data)
        except BrokenPipeError:
            raise _DecoderEnded(self.kill()) from None
        answer = bytearray(_ANSWER.size)
        self._read(memoryview(answer))
        kind, width, height, rows, columns = _ANSWER.unpack(answer)
        if kind == _REFUSAL:
            reason = bytearray(width)
            self._read(memoryview(reason))
            raise UnusableImage(reason.decode("utf-8", "replace"))
        if max(rows, columns) > max_size_px or rows * columns > MAX_PIXELS:
            raise _DecoderEnded(self.kill())  # no answer of ours: it has been taken over
        pixels = np.empty((rows, columns, 3), np.uint8)
        self._read(pixels.data.cast("B"))
        return DecodedImage(pixels, width, height)

    def kill(self) -> int:
        """End it, if it has not ended; return its exit status."""
        for pipe in (self._requests, self._answers):
            pipe.close()
        # It ends by its limits, or of its own since its input has ended; what hangs is killed.
        try:
            return self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _write(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            rest = rest[self._requests.write(rest) :]

    def _read(self, into: memoryview) -> None:
        while into:
            count = self._answers.readinto(into)  # type: ignore[attr-defined]
            if not count:
                raise _DecoderEnded(self.kill())
            into = into[count:]


_slots = threading.Semaphore(DECODERS)
_idle: list[_Decoder] = []


def _forget_decoders() -> None:
    """A fork of this process starts its own; two that write into one pipe would mix up images."""
    global _slots
    _slots = threading.Semaphore(DECODERS)
    _idle.clear()


os.register_at_fork(after_in_child=_forget_decoders)


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
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    # The kernel ends a decoder that is not done in time, whatever it is doing.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])


def _answer(request: BinaryIO, answers: BinaryIO) -> bool:
    """Decode one file; False where there is none any more."""
    header = request.read(_REQUEST.size)
    if len(header) < _REQUEST.size:
        return False
    time_limit_s, max_size_px, name_bytes, data_bytes = _REQUEST.unpack(header)
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
        answers.write(_ANSWER.pack(_REFUSAL, len(reason), 0, 0, 0) + reason)
    except MemoryError:
        os._exit(_OUT_OF_MEMORY)  # nobody knows what state the libraries are in
    else:
        signal.setitimer(signal.ITIMER_REAL, 0)
        rows, columns = image.pixels.shape[:2]
        answers.write(_ANSWER.pack(_PIXELS, image.width, image.height, rows, columns))
        answers.write(image.pixels.data.cast("B"))
    answers.flush()
    return True


def _serve() -> None:
    """Decode what comes in, until the input ends."""
    _limit_this_process()
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    answers.write(_READY)
    answers.flush()
    for stream in range(3):  # libraries write what they like; errors of the start were told
        os.dup2(nothing, stream)
    with suppress(BrokenPipeError):
        while _answer(requests, answers):
            pass
    os._exit(0)  # a buffer that cannot be written any more would be an error


if __name__ == "__main__":
    _serve()
