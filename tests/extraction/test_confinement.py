"""A decoder that has been taken over: what it can reach, and what its parent makes of it."""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import struct

import pytest
from hostile_images import FILES

from landmark.errors import UnusableImage
from landmark.extraction import sandbox
from landmark.extraction.confinement import MACHINES, filter_program

SECRET = "a-secret-of-the-parent"  # pragma: allowlist secret
NUMBERS = {
    "x86_64": {
        "ptrace": 101,
        "process_vm_readv": 310,
        "process_vm_writev": 311,
        "pidfd_open": 434,
        "io_uring_setup": 425,
        "execve": 59,
        "clone3": 435,
        "tgkill": 234,
        "memfd_create": 319,
        "bpf": 321,
        "unshare": 272,
        "keyctl": 250,
    },
    "aarch64": {
        "ptrace": 117,
        "process_vm_readv": 270,
        "process_vm_writev": 271,
        "pidfd_open": 434,
        "io_uring_setup": 425,
        "execve": 221,
        "clone3": 435,
        "tgkill": 131,
        "memfd_create": 279,
        "bpf": 280,
        "unshare": 97,
        "keyctl": 219,
    },
}.get(platform.machine())
pytestmark = pytest.mark.skipif(NUMBERS is None, reason="numbers of its system calls not known")


@pytest.fixture
def taken_over(monkeypatch):
    """Has decoders started that run their file as Python; gives what one says of a file."""
    monkeypatch.setattr(sandbox, "_slots", sandbox.threading.Semaphore(2))
    monkeypatch.setattr(sandbox, "_idle", idle := [])
    monkeypatch.setattr(sandbox, "_told", set())

    def start(*how: str):
        monkeypatch.setattr(sandbox, "_PROGRAM", ("-m", "taken_over", *how))

        def run(code: str, time_limit_s: float = 30) -> str:
            with pytest.raises(UnusableImage) as refused:
                sandbox.decode_isolated(code.encode(), "x", 800, time_limit_s)
            return str(refused.value).removeprefix("x: ")

        return run

    yield start
    for decoder in idle:
        decoder.kill()


# The parent's memory: where a secret of it is, so that an attack can aim.
BUFFER = ctypes.create_string_buffer(SECRET.encode())
PARENT = f"parent, place = {os.getpid()}, {ctypes.addressof(BUFFER)}\n"
VECTORS = """
mine = ctypes.create_string_buffer(8)
here, there = (ctypes.c_ulong * 2)(ctypes.addressof(mine), 8), (ctypes.c_ulong * 2)(place, 8)
"""
ATTACKS = {
    "a file": "os.open('/etc/passwd', os.O_RDONLY)",
    "a new file": "os.open('/tmp/new', os.O_CREAT | os.O_WRONLY)",
    "a folder": "os.listdir('/')",
    "what there is": "os.stat('/etc/passwd')",
    "its parent's environment": "open(f'/proc/{parent}/environ', 'rb').read()",
    "its parent's memory": "open(f'/proc/{parent}/mem', 'r+b')",
    "its own memory as a file": "open('/proc/self/mem', 'r+b')",
    "a file without a name": "called(NUMBERS['memfd_create'], b'x', 0)",
    "TCP": "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
    "UDP": "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)",
    "a local socket": "socket.socket(socket.AF_UNIX)",
    "netlink": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "a pair of sockets": "socket.socketpair()",
    "a pipe": "os.pipe()",
    "another process": "os.fork() or os._exit(0)",
    "another process, anew": "called(NUMBERS['clone3'], None, 0)",
    "a thread": "threading.Thread(target=print).start()",
    "another program": "os.execv('/bin/true', ['true'])",
    "a program by number": "called(NUMBERS['execve'], b'/bin/true', None, None)",
    "to trace its parent": "called(NUMBERS['ptrace'], 16, parent, 0, 0)",
    "to read its parent": (
        VECTORS + "called(NUMBERS['process_vm_readv'], parent, here, 1, there, 1, 0)"
    ),
    "to write to its parent": (
        VECTORS + "called(NUMBERS['process_vm_writev'], parent, here, 1, there, 1, 0)"
    ),
    "a handle of its parent": "called(NUMBERS['pidfd_open'], parent, 0)",
    "to signal its parent": "os.kill(parent, 0)",
    "to signal a thread": "called(NUMBERS['tgkill'], parent, parent, 0)",
    "limits of its parent": "resource.prlimit(parent, resource.RLIMIT_NOFILE)",
    "its own limits": "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))",
    "to be root": "os.setuid(0)",
    "calls by a ring": "called(NUMBERS['io_uring_setup'], 8, None)",
    "programs in the kernel": "called(NUMBERS['bpf'], 0, None, 0)",
    "a namespace": "called(NUMBERS['unshare'], 0x10000000)",
    "keys of the kernel": "called(NUMBERS['keyctl'], 0, -3, 0)",
    "numbers of another table": "called(0x40000000 | NUMBERS['ptrace'], 16, parent, 0, 0)",
    "memory with code": "mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 7)",
    "memory that no limit counts": "mmap.mmap(-1, 4096)",
    "the pages of a file": "mmap.mmap(answers.fileno(), 4096, mmap.MAP_PRIVATE)",
}
ALWAYS_OPEN = ("a file", "its parent's environment", "TCP", "a pipe", "another process", "a thread")
REFUSED = (
    "PermissionError: [Errno 1]",
    "RuntimeError: can't start new thread",
    "ValueError: not allowed to raise maximum limit",  # as `resource` calls the same
)


def attack(what: str) -> str:
    return f"{PARENT}NUMBERS = {NUMBERS}\n{ATTACKS[what]}\nsay('done')"


@pytest.mark.parametrize("how", [(), ("same-user",)], ids=["all layers", "the filter alone"])
def test_a_decoder_that_is_taken_over_reaches_nothing(how, taken_over):
    run = taken_over(*how)
    said = {what: run(attack(what)) for what in ATTACKS}
    assert {what: text for what, text in said.items() if not text.startswith(REFUSED)} == {}
    assert len(sandbox._idle) == 1  # and lives on


def test_without_the_confinement_it_could(taken_over):
    run = taken_over("unconfined")
    assert {what: run(attack(what)) for what in ALWAYS_OPEN} == dict.fromkeys(ALWAYS_OPEN, "done")


@pytest.mark.skipif(os.geteuid() != 0, reason="not root")
def test_root_s_decoders_are_nobody(taken_over):
    taken_over()("say('ready')")
    (decoder,) = sandbox._idle
    with open(f"/proc/{decoder._process.pid}/status") as status:
        lines = dict(line.rstrip("\n").split(":\t", 1) for line in status)
    assert set(lines["Uid"].split()) == set(lines["Gid"].split()) == {"65534"}
    assert lines["Groups"].strip() == ""
    assert {int(lines[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Amb")} == {0}
    assert (lines["NoNewPrivs"], lines["Seccomp"], lines["Threads"]) == ("1", "2", "1")


def test_a_platform_without_filters_is_told_once_and_closes_the_rest(taken_over, caplog):
    run = taken_over("unknown-machine")
    with caplog.at_level(logging.WARNING):
        for what in ("a file", "its parent's environment", "TCP", "a pipe"):
            said = run(attack(what))
            assert said.startswith(("OSError: [Errno 24]", "PermissionError: ")), said
            sandbox._idle.pop().kill()  # the next one says the same
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("decoders of images are confined less than they should be")
    assert f"seccomp (the system calls of {platform.machine()} are not known here)" in line


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_a_filter_allows_these_numbers_and_no_others(machine):
    """The kernel's interpreter of such filters, as far as ours goes."""

    def outcome(number: int, architecture: int, *arguments: int) -> int:
        data = struct.pack(
            "<IIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments))
        )
        program = list(struct.iter_unpack("=HBBI", filter_program(MACHINES[machine])))
        place, value = 0, 0
        while True:
            code, if_true, if_false, operand = program[place]
            place += 1
            if code == 0x20:
                (value,) = struct.unpack_from("<I", data, operand)
            elif code == 0x54:
                value &= operand
            elif code == 0x15:
                place += if_true if value == operand else if_false
            else:
                assert code == 0x06
                return operand

    architecture, calls = MACHINES[machine].architecture, MACHINES[machine].calls
    allow, refuse, kill = 0x7FFF0000, 0x00050001, 0x80000000
    arguments = {"mmap": (0, 4096, 3, 0x22, 2**64 - 1, 0), "futex": (0, 129)}
    for call, number in calls.items():
        assert outcome(number, architecture, *arguments.get(call, ())) == allow, call
        assert outcome(number, architecture ^ 1, *arguments.get(call, ())) == kill
    for number in {*range(600), *(0x40000000 | n for n in range(600))} - set(calls.values()):
        assert outcome(number, architecture) == refuse
    for wrong in ((0, 4096, 7, 0x22), (0, 4096, 3, 0x21), (0, 4096, 3, 0x02)):
        assert outcome(calls["mmap"], architecture, *wrong) == refuse
    assert outcome(calls["mprotect"], architecture, 0, 4096, 5) == refuse
    assert outcome(calls["madvise"], architecture, 0, 4096, 100) == refuse
    assert outcome(calls["futex"], architecture, 0, 4) == refuse


# ---- answers -----------------------------------------------------------------------------------

HEADERS = {
    "a refusal of 4 GB": "decoder.REFUSAL, 4 << 30, 0, 0, 0",
    "a refusal of 2**63 bytes": "decoder.REFUSAL, 2**63, 0, 0, 0",
    "a refusal without a text": "decoder.REFUSAL, 0, 0, 0, 0",
    "another kind": "b'?', 96, 96, 96, 96",
    "no pixels": "decoder.PIXELS, 96, 96, 0, 0",
    "no size": "decoder.PIXELS, 0, 0, 96, 96",
    "a size of 2**63": "decoder.PIXELS, 2**63, 2**63, 800, 800",
    "sides of 2**63": "decoder.PIXELS, 96, 96, 2**63, 2**63",
    "more than was asked for": "decoder.PIXELS, 801, 801, 801, 801",
    "more than the original has": "decoder.PIXELS, 96, 96, 800, 800",
    "another shape than the original": "decoder.PIXELS, 1600, 800, 800, 800",
}


@pytest.mark.parametrize("what", HEADERS)
def test_an_answer_that_cannot_be_true_is_not_believed(what, taken_over, caplog):
    code = f"answers.write(decoder.ANSWER.pack({HEADERS[what]}) + bytes(1000)); answers.flush()"
    with caplog.at_level(logging.WARNING):
        said = taken_over()(code)
    assert said == "takes over the decoder, whose answer is false; distrust this file"
    assert [record.getMessage() for record in caplog.records] == [
        "x: a decoder answered what is false, and was ended"
    ]
    assert sandbox._idle == []


def test_a_place_that_is_nowhere_is_not_believed(taken_over):
    code = (
        "answers.write(decoder.ANSWER.pack(decoder.PIXELS, 800, 800, 800, 800)"
        " + decoder.SHOT.pack(91.0, 0.0, 0.0) + bytes(800 * 800 * 3)); answers.flush()"
    )
    assert "whose answer is false" in taken_over()(code)
    assert sandbox._idle == []


OTHER_NAME = """
text = b's3://other/image.jpg: no image'
answers.write(decoder.ANSWER.pack(decoder.REFUSAL, len(text), 0, 0, 0) + text); answers.flush()
"""


def test_a_refusal_speaks_of_its_own_image_in_one_line(taken_over):
    run = taken_over()
    assert run(r"say('a line\nand another\x1b[2J')") == "a line%0Aand another%1B[2J"
    assert "whose answer is false" in run(OTHER_NAME)


AWAKE = "signal.setitimer(signal.ITIMER_REAL, 0)\n"
NO_ANSWERS = {
    "none": "while True: pass",
    "half of one": "answers.write(b'P'); answers.flush()\nwhile True: pass",
    "one that drips": (
        "answers.write(decoder.ANSWER.pack(decoder.PIXELS, 800, 800, 800, 800))\n"
        "while True:\n"
        "  answers.write(b'.'); answers.flush()\n"
        "  for _ in range(100_000): pass"
    ),
}


@pytest.mark.parametrize("what", NO_ANSWERS)
def test_an_answer_that_never_comes_is_not_awaited(what, taken_over, monkeypatch):
    monkeypatch.setattr(sandbox, "GRACE_S", 0.2)
    said = taken_over()(AWAKE + NO_ANSWERS[what], time_limit_s=0.5)
    assert said == "takes more than 0.5 s to be decoded; save it anew as JPEG"
    assert sandbox._idle == []


def test_a_decoder_that_takes_no_file_any_more_is_replaced(taken_over, monkeypatch):
    run = taken_over()
    assert run(AWAKE + "say('done')\nwhile True: pass") == "done"
    (used,) = sandbox._idle
    monkeypatch.setattr(sandbox, "GRACE_S", 0.2)
    filling = "#" * 1_000_000  # more than a pipe holds
    assert run(f"say('next') {filling}", time_limit_s=5) == "next"
    assert used not in sandbox._idle


# ---- what must still work ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", FILES)
def test_the_first_file_of_a_fresh_decoder_may_have_any_format(kind):
    # Nothing has been loaded for it by another file before.
    decoder = sandbox._Decoder()
    assert decoder.decode(FILES[kind], kind, 64, 30).width == 96
    decoder.kill()
