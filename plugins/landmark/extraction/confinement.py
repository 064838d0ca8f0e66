"""What the kernel leaves a process that hostile input may take over: memory, its pipes, its end.

Layers, each of which holds without the others: no new privileges, no further file or process,
another user where it was root, and a filter of system calls (seccomp). The filter is a few lines of
BPF: the libraries that make such ones want libseccomp.so from the system, or are not kept.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import struct
from contextlib import suppress
from dataclasses import dataclass

NOBODY = 65534  # user and group

_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_SET_MODE_FILTER = 1
# For all threads; and without the brake on speculation, which would guard secrets: here are none.
_SECCOMP_FLAGS = 1 | 4

# Classic BPF (linux/filter.h), on `struct seccomp_data` (linux/seccomp.h).
_LOAD, _AND, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_REFUSE = 0x00050000 | errno.EPERM  # libraries go on without what they cannot have

_PROT_EXEC = 4
_MAP_KIND, _MAP_OWN_MEMORY = 0x2F, 0x22  # private and anonymous, so RLIMIT_DATA counts it
# What a decoder needs, with the arguments that it may have: (place, mask, value below the mask).
_ALLOWED: dict[str, tuple[tuple[int, int, int], ...]] = {
    "read": (),  # of the files that are open: the two pipes, and /dev/null
    "write": (),
    "mmap": ((2, _PROT_EXEC, 0), (3, _MAP_KIND, _MAP_OWN_MEMORY)),
    "mprotect": ((2, _PROT_EXEC, 0),),
    "munmap": (),
    "mremap": (),
    "madvise": ((2, ~31 & 0xFFFFFFFF, 0),),  # advice; from 100 on, faults are injected
    "brk": (),
    "futex": ((1, 0x7E, 0),),  # wait and wake
    "setitimer": (),
    "exit": (),
    "exit_group": (),
}


@dataclass(frozen=True)
class Machine:
    """How the kernel calls an architecture, and the numbers of its system calls."""

    architecture: int
    seccomp: int
    calls: dict[str, int]


MACHINES = {
    "x86_64": Machine(
        architecture=0xC000003E,
        seccomp=317,
        calls={
            "read": 0,
            "write": 1,
            "mmap": 9,
            "mprotect": 10,
            "munmap": 11,
            "mremap": 25,
            "madvise": 28,
            "brk": 12,
            "futex": 202,
            "setitimer": 38,
            "exit": 60,
            "exit_group": 231,
        },
    ),
    "aarch64": Machine(
        architecture=0xC00000B7,
        seccomp=277,
        calls={
            "read": 63,
            "write": 64,
            "mmap": 222,
            "mprotect": 226,
            "munmap": 215,
            "mremap": 216,
            "madvise": 233,
            "brk": 214,
            "futex": 98,
            "setitimer": 103,
            "exit": 93,
            "exit_group": 94,
        },
    ),
}


def confine_this_process() -> list[str]:
    """Leave this process, for good, its memory, its open files and its end.

    What it needs must be imported and opened before, and lazily loaded libraries loaded.

    Returns
    -------
    list of str
        The layers that this platform lacks, each with the reason.
    """
    for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC):
        with suppress(ValueError, OSError):  # stricter already
            resource.setrlimit(limit, (0, 0))
    lacking = []
    for layer, put_on in (
        ("another user than root", _leave_root),
        ("no_new_privs", _renounce_privileges),
        ("seccomp", _filter_calls),
    ):
        try:
            put_on()
        except (OSError, AttributeError) as error:  # libc of other systems has no prctl
            lacking.append(f"{layer} ({error})")
    return lacking


def _leave_root() -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)  # capabilities go with it


def _renounce_privileges() -> None:
    _check(_libc().prctl(_PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0))))


def _filter_calls() -> None:
    name = os.uname().machine
    if name not in MACHINES:
        raise OSError(f"the system calls of {name} are not known here")
    machine = MACHINES[name]
    program = filter_program(machine)
    buffer = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, and where they are
    handle = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    call = map(ctypes.c_long, (machine.seccomp, _SECCOMP_SET_MODE_FILTER, _SECCOMP_FLAGS))
    _check(_libc().syscall(*call, ctypes.c_char_p(handle)))


def filter_program(machine: Machine) -> bytes:
    """Instructions that allow what `_ALLOWED` says, and refuse the rest with EPERM."""
    program = [
        _instruction(_LOAD, _ARCHITECTURE_AT),
        _instruction(_JUMP_IF_EQUAL, machine.architecture, 1, 0),
        _instruction(_RETURN, _KILL),  # other numbers mean other calls there
        _instruction(_LOAD, _NUMBER_AT),
    ]
    for call, conditions in _ALLOWED.items():
        block: list[bytes] = []
        for place, mask, value in conditions:
            to_refusal = 3 * len(conditions) - len(block) - 2
            block += [
                _instruction(_LOAD, _ARGUMENTS_AT + 8 * place),  # the low half: all are ints
                _instruction(_AND, mask),
                _instruction(_JUMP_IF_EQUAL, value, 0, to_refusal),
            ]
        block += [_instruction(_RETURN, _ALLOW), _instruction(_RETURN, _REFUSE)]
        program.append(_instruction(_JUMP_IF_EQUAL, machine.calls[call], 0, len(block)))
        program += block
    return b"".join([*program, _instruction(_RETURN, _REFUSE)])


def _instruction(code: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, operand)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result:
        raise OSError(os.strerror(ctypes.get_errno()))
