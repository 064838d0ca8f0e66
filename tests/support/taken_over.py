"""A decoder that a file has taken over: the file is Python, which runs where decoding would.

Started by `extraction.sandbox` in place of `extraction.decoder`, with the same confinement. The
file finds `answers` (the pipe to the parent), `name` and `size` (the longest side), and answers
with `say(text)`, the text of a refusal; what it raises is said, too.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import signal
import socket
import sys
import threading

from landmark.extraction import confinement, decoder

# Loaded before the confinement, as a library that is taken over may have been.
MODULES = {
    module.__name__: module
    for module in (ctypes, mmap, os, resource, signal, socket, threading, decoder)
}
LIBC = ctypes.CDLL(None, use_errno=True)


def called(number: int, *arguments: object) -> int:
    """The result of a system call, made as foreign code would make it."""
    result = LIBC.syscall(ctypes.c_long(number), *arguments)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def run(request, answers) -> bool:
    header = request.read(decoder.REQUEST.size)
    if len(header) < decoder.REQUEST.size:
        return False
    _, size, name_bytes, data_bytes = decoder.REQUEST.unpack(header)
    name = request.read(name_bytes).decode()

    def say(text: object) -> None:
        content = f"{name}: {text}".encode()
        answers.write(decoder.ANSWER.pack(decoder.REFUSAL, len(content), 0, 0, 0) + content)
        answers.flush()

    scope = {
        **{name.rpartition(".")[2]: module for name, module in MODULES.items()},
        "answers": answers,
        "called": called,
        "name": name,
        "say": say,
        "size": size,
    }
    try:
        exec(request.read(data_bytes), scope)
    except Exception as error:
        say(f"{type(error).__name__}: {error}")
    return True


if __name__ == "__main__":
    if "unconfined" in sys.argv:
        decoder.confine_this_process = list
    if "same-user" in sys.argv:
        confinement._leave_root = bool  # does nothing
    if "unknown-machine" in sys.argv:
        confinement.MACHINES.clear()
    decoder._answer = run
    decoder.serve()
