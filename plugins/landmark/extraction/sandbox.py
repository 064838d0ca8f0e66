"""Image files decoded in processes of their own, which a hostile file may bring down alone.

The decoders are C libraries, and the files come from anywhere: one may crash them, fill the memory,
keep them busy for hours or take them over. So a few small processes (`landmark.extraction.decoder`)
decode, and are started again when they die. They also decode while the model computes.

No answer is believed that `decode_image` could not have given, and none is waited for for ever.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np

from landmark.errors import UnusableImage, in_one_line
from landmark.extraction.decoder import (
    ANSWER,
    MEMORY_LIMIT_MB,
    OUT_OF_MEMORY,
    PIXELS,
    REFUSAL,
    REQUEST,
    SHOT,
)
from landmark.extraction.decoding import (
    MAX_PIXELS,
    MIN_SIDE_PX,
    DecodedImage,
    reduced_size,
)
from landmark.extraction.shot import Shot

logger = logging.getLogger(__name__)

# A hundred megapixels take a few seconds.
TIME_LIMIT_S = 30.0
# Beyond it, for the way there and back; then the parent ends a decoder whose own alarm did not.
GRACE_S = 10.0
START_LIMIT_S = 120.0
# A decoder keeps up with several models on CPUs.
DECODERS = min(4, os.cpu_count() or 1)

_PROGRAM = ("-m", "landmark.extraction.decoder")
_MAX_TEXT_BYTES = 20_000  # a name has some 1,100 at most, a reason 200; some become three
_FALSE_ANSWER = 78  # as if it were an exit status


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
        if self.status == OUT_OF_MEMORY:
            return f"needs more than {MEMORY_LIMIT_MB:,} MB to be decoded; reduce it"
        if self.status == _FALSE_ANSWER:
            return "takes over the decoder, whose answer is false; distrust this file"
        if self.status == -signal.SIGALRM:
            return f"takes more than {time_limit_s:g} s to be decoded; save it anew as JPEG"
        if self.status == -signal.SIGKILL:
            return "the decoder was killed, perhaps since memory ran out; reduce it"
        with suppress(ValueError):
            return f"crashes the decoder ({signal.Signals(-self.status).name}); save it anew"
        return f"crashes the decoder (exit status {self.status}); save it anew"


class _NotBelieved(Exception):
    """An answer that no decoder of ours gives."""


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
            [sys.executable, *_PROGRAM],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            # A signal to the task's group is for the task, which ends its decoders by ending.
            start_new_session=True,
        )
        assert self._process.stdin and self._process.stdout
        self._requests, self._answers = self._process.stdin, self._process.stdout
        os.set_blocking(self._requests.fileno(), False)
        try:
            deadline = time.monotonic() + START_LIMIT_S
            _, lacking_bytes, *_ = self._read_header(deadline)
            _tell_once(self._read_text(lacking_bytes, deadline))
        except _DecoderEnded as ended:
            raise OSError(f"no decoder can be started: exit status {ended.status}") from None
        except TimeoutError:
            self.kill(at_once=True)
            raise OSError(f"no decoder starts within {START_LIMIT_S:g} s") from None
        except BaseException:
            self.kill()
            raise

    def decode(self, data: bytes, name: str, max_size_px: int, time_limit_s: float) -> DecodedImage:
        """The image, or `UnusableImage`, or `_DecoderEnded`."""
        called = name.encode("utf-8", "surrogatepass")
        deadline = time.monotonic() + time_limit_s + GRACE_S
        try:
            self._write(REQUEST.pack(time_limit_s, max_size_px, len(called), len(data)), deadline)
            self._write(called, deadline)
            self._write(data, deadline)
            return self._read_image(name, max_size_px, deadline)
        except BrokenPipeError:
            raise _DecoderEnded(self.kill()) from None
        except TimeoutError:
            self.kill(at_once=True)
            raise _DecoderEnded(-signal.SIGALRM) from None  # as its alarm should have
        except _NotBelieved:
            self.kill(at_once=True)
            logger.warning("%s: a decoder answered what is false, and was ended", in_one_line(name))
            raise _DecoderEnded(_FALSE_ANSWER) from None

    def _read_image(self, name: str, max_size_px: int, deadline: float) -> DecodedImage:
        kind, width, height, rows, columns = self._read_header(deadline)
        if kind == REFUSAL:
            reason = self._read_text(width, deadline)
            if not reason.startswith(in_one_line(f"{name}: ")):
                raise _NotBelieved
            raise UnusableImage(reason)
        if kind != PIXELS or not _may_be(width, height, rows, columns, max_size_px):
            raise _NotBelieved
        said = bytearray(SHOT.size)
        self._read(memoryview(said), deadline)
        try:
            shot = Shot.of_numbers(*SHOT.unpack(said))
        except ValueError:
            raise _NotBelieved from None
        pixels = np.empty((rows, columns, 3), np.uint8)
        self._read(pixels.data.cast("B"), deadline)
        return DecodedImage(pixels, width, height, shot)

    def _read_header(self, deadline: float) -> tuple[bytes, int, int, int, int]:
        answer = bytearray(ANSWER.size)
        self._read(memoryview(answer), deadline)
        kind, width, height, rows, columns = ANSWER.unpack(answer)
        return kind, width, height, rows, columns

    def _read_text(self, size: int, deadline: float) -> str:
        if size > _MAX_TEXT_BYTES:
            raise _NotBelieved
        text = bytearray(size)
        self._read(memoryview(text), deadline)
        return text.decode("utf-8", "replace")

    def kill(self, at_once: bool = False) -> int:
        """End it, if it has not ended; return its exit status."""
        if at_once:
            self._process.kill()
        for pipe in (self._requests, self._answers):
            pipe.close()
        # It ends by its limits, or of its own since its input has ended; what hangs is killed.
        try:
            return self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _write(self, content: bytes, deadline: float) -> None:
        rest = memoryview(content)
        while rest:
            _wait_for(self._requests, select.POLLOUT, deadline)
            rest = rest[self._requests.write(rest) or 0 :]  # None where it takes nothing after all

    def _read(self, into: memoryview, deadline: float) -> None:
        while into:
            _wait_for(self._answers, select.POLLIN, deadline)
            count = self._answers.readinto(into)  # type: ignore[attr-defined]
            if not count:
                raise _DecoderEnded(self.kill())
            into = into[count:]


def _wait_for(pipe: IO[bytes], event: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(pipe, event)
    left_s = deadline - time.monotonic()
    if left_s <= 0 or not poll.poll(left_s * 1000):
        raise TimeoutError


def _may_be(width: int, height: int, rows: int, columns: int, max_size_px: int) -> bool:
    """Whether `decode_image` can give an image of this size with so many pixels."""
    return (
        min(width, height) >= MIN_SIDE_PX
        and max(width, height) <= MAX_PIXELS // MIN_SIDE_PX
        and (columns, rows) == reduced_size(width, height, max_size_px)
        and rows * columns <= MAX_PIXELS
    )


_told: set[str] = set()


def _tell_once(lacking: str) -> None:
    if lacking and lacking not in _told:
        _told.add(lacking)
        logger.warning(
            "decoders of images are confined less than they should be, since this platform lacks: "
            "%s; see docs/security.md",
            lacking,
        )


_slots = threading.Semaphore(DECODERS)
_idle: list[_Decoder] = []


def _forget_decoders() -> None:
    """A fork of this process starts its own; two that write into one pipe would mix up images."""
    global _slots
    _slots = threading.Semaphore(DECODERS)
    _idle.clear()


os.register_at_fork(after_in_child=_forget_decoders)
