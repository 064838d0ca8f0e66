"""Hostile and broken images: each ends as a row or as a failure, and harms nothing else."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest
from hostile_images import (
    CASES,
    CONTROL_KEYS,
    FAILURE,
    FILES,
    KEYS,
    ROW,
    hungry_tiff,
    longest_key,
    slow_jpeg,
)

from benchmarks import fuzz
from landmark.errors import UnusableImage
from landmark.extraction.decoder import MEMORY_LIMIT_MB
from landmark.extraction.sandbox import decode_isolated
from landmark.index.extract import extract_batch
from landmark.index.listing import Listing
from landmark.index.sweep import finish_sweep
from landmark.storage.bucket import S3Object, list_objects, read_etag, split_path
from landmark.storage.listings import compare_listing

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
SUPPORT = Path(__file__).resolve().parents[1] / "support"
# What docs/scaling.md says that a batch takes beside the model; files and pictures of eight images.
TASK_LIMIT_MB = 500


def decoders() -> list[psutil.Process]:
    """The decoders of this process."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):  # a zombie, or just gone
            if "landmark.extraction.decoder" in child.cmdline():
                found.append(child)
    return found


def peak_mb(pid: int | str) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024 / 1e6


def outcomes(database, sweep: str) -> dict[str, str | None]:
    with database.connect() as connection:
        query = "SELECT image_path, outcome FROM landmark_sweep_images WHERE sweep = %s"
        return dict(connection.execute(query, [sweep]).fetchall())


def rows_and_failures(database) -> tuple[list[str], dict[str, str]]:
    with database.connect() as connection:
        rows = connection.execute("SELECT image_path FROM landmarks").fetchall()
        failures = connection.execute("SELECT image_path, reason FROM landmark_failures").fetchall()
    return [path for (path,) in rows], dict(failures)


@pytest.fixture
def settle(database, s3, extractor):
    """Extracts objects; gives the paths with rows, and the reasons of failures."""

    def run(base, objects):
        model = extractor.model.fingerprint
        for batch, images in enumerate(
            compare_listing(database, "s", model, base, objects, max_batches=9)
        ):
            assert extract_batch(database, s3, extractor, "s", batch) == images
        done = finish_sweep(database, "s")
        assert (done.gone, done.left) == (0, 0)
        return rows_and_failures(database)

    return run


# ---- a bucket of them --------------------------------------------------------------------------


def test_every_hostile_image_ends_as_a_row_or_as_a_failure(settle, s3, prefix, extractor, caplog):
    assert len(CASES) >= 200
    base = prefix()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: prefix({name: CASES[name][0]}), CASES))
    extractor.extract(FILES["jpg"], "warm up")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before_mb = psutil.Process().memory_info().rss / 1e6

    with caplog.at_level(logging.WARNING):
        rows, failures = settle(base, list_objects(s3, base))

    print(f"{peak_mb('self') - before_mb:.0f} MB beside the model")
    assert peak_mb("self") - before_mb < TASK_LIMIT_MB
    # The limit is of their own memory; pages of libraries come on top.
    assert max(peak_mb(child.pid) for child in decoders()) < MEMORY_LIMIT_MB + 100

    assert sorted([*rows, *failures]) == sorted(base + name for name in CASES)
    wrong = {
        name: failures.get(base + name, ROW)
        for name, (_, expected) in CASES.items()
        if expected in (ROW, FAILURE) and (base + name in rows) != (expected == ROW)
    }
    assert wrong == {}
    for path, reason in failures.items():
        assert reason.startswith(f"{path}: ")
        assert reason.isprintable()
        assert len(reason) > len(path) + 10
    ours = [record for record in caplog.records if record.name == "landmark.index.extract"]
    logged = [record.getMessage() for record in ours]
    assert {line.partition(": ")[0] for line in logged} <= {f"batch {n}" for n in range(1, 10)}
    assert sorted(line.partition(": ")[2] for line in logged) == sorted(failures.values())


def test_keys_of_every_kind(settle, s3, prefix, photograph):
    base = prefix()
    longest = longest_key(split_path(base)[1])
    assert len(split_path(base + longest)[1].encode()) == 1024
    keys = [*KEYS, longest]
    prefix({key: photograph(number) for number, key in enumerate(keys)})
    prefix({f"broken {key}": b"no image" for key in KEYS if len(key.encode()) < 200})
    rows, failures = settle(base, list_objects(s3, base))
    assert sorted(rows) == sorted(base + key for key in keys)
    assert sorted(failures) == sorted(
        f"{base}broken {key}" for key in KEYS if len(key.encode()) < 200
    )
    assert all(reason.isprintable() for reason in failures.values())


def test_keys_with_control_characters(database, s3_server, prefix, photograph, extractor):
    # This server keeps `\n` as `␊`; between it and us, the client makes it one that keeps `\n`.
    symbols = {code: chr(0x2400 + code) for code in range(1, 32)} | {127: "␡"}

    def translated(params, **_):
        params["Key"] = params["Key"].translate(symbols)

    client = s3_server.client()
    client.meta.events.register("before-parameter-build.s3", translated)
    base = prefix()
    for key in CONTROL_KEYS:
        for name, body in ((key, photograph(1)), (f"broken {key}", b"no image")):
            bucket, s3_key = split_path(base + name)
            client.put_object(Bucket=bucket, Key=s3_key, Body=body)
    paths = [base + name for key in CONTROL_KEYS for name in (key, f"broken {key}")]
    objects = [S3Object(path, read_etag(client, path), 8) for path in paths]
    compare_listing(database, "s", extractor.model.fingerprint, base, objects, 1)
    assert extract_batch(database, client, extractor, "s", 0) == len(paths)
    rows, failures = rows_and_failures(database)
    assert sorted(rows) == sorted(base + key for key in CONTROL_KEYS)
    assert sorted(failures) == sorted(f"{base}broken {key}" for key in CONTROL_KEYS)
    assert all(reason.isprintable() for reason in failures.values())
    assert "new%0Aline.jpg: no image" in failures[base + "broken new\nline.jpg"]


def test_a_sweep_sees_photographs_under_strange_keys_once(
    database, s3, prefix, extractor, photograph
):
    base = prefix({key: photograph(1) for key in KEYS})
    model = extractor.model.fingerprint
    listing = list(Listing(s3, base, "s3://r/"))
    assert sum(compare_listing(database, "s", model, base, listing, 1)) == len(listing)
    extract_batch(database, s3, extractor, "s", 0)
    again = list(Listing(s3, base, "s3://r/"))
    assert compare_listing(database, "t", model, base, again, 1) == []


def test_a_write_that_fails_fails_the_batch_and_loses_nothing(
    database, s3, prefix, photograph, extractor
):
    base = prefix({f"{number}.jpg": photograph(number) for number in range(12)})
    model = extractor.model.fingerprint
    compare_listing(database, "s", model, base, list_objects(s3, base), 1)
    with database.connect() as connection:
        connection.execute(
            "ALTER TABLE landmarks ADD CONSTRAINT full_up CHECK (image_path NOT LIKE '%/7.jpg')"
        )
    with pytest.raises(psycopg.errors.CheckViolation):
        extract_batch(database, s3, extractor, "s", 0)
    settled = outcomes(database, "s")
    assert settled[base + "7.jpg"] is None
    rows, failures = rows_and_failures(database)
    assert sorted(rows) == sorted(path for path, outcome in settled.items() if outcome)
    assert not failures
    with database.connect() as connection:
        connection.execute("ALTER TABLE landmarks DROP CONSTRAINT full_up")
    assert extract_batch(database, s3, extractor, "s", 0) == 12 - len(rows)
    assert finish_sweep(database, "s").indexed == 12


# ---- what would take the task down -------------------------------------------------------------


def test_decoded_here_or_in_another_process_is_the_same():
    from landmark.extraction.decoding import decode_image

    for data in FILES.values():
        here, there = (decode(data, "x", 64) for decode in (decode_image, decode_isolated))
        assert here.pixels.tobytes() == there.pixels.tobytes()
        assert (here.width, here.height) == (there.width, there.height)


def test_a_file_that_fills_the_memory_is_refused():
    data = hungry_tiff(9_990)
    assert len(data) < 1_000_000
    # In the process of the task it would take more than a gigabyte.
    code = (
        "import sys, resource; from landmark.extraction.decoding import decode_image;"
        "decode_image(sys.stdin.buffer.read(), '', 800);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    taken = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        input=data,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(PLUGINS)},
        check=True,
    )
    assert int(taken.stdout) * 1024 > MEMORY_LIMIT_MB * 1_000_000
    with pytest.raises(UnusableImage, match=r"bomb.tif: needs more than 1,000 MB to be decoded"):
        decode_isolated(data, "bomb.tif", 800)
    assert decode_isolated(FILES["jpg"], "next", 64).width == 96


BOMBS = """
import os, resource, sys
from contextlib import suppress
from hostile_images import CASES, hungry_tiff
from landmark.errors import UnusableImage
from landmark.extraction import sandbox

bombs = [data for name, (data, _) in CASES.items() if name.startswith(("bombs/", "sizes/"))]
for data in [*bombs, hungry_tiff(9_990)]:
    with suppress(UnusableImage):
        sandbox.decode_isolated(data, "bomb", 800)
for decoder in sandbox._idle:
    decoder.kill()
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def test_no_decoder_that_has_ended_took_more_than_it_may():
    # In a process of its own, whose only children they are.
    taken = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BOMBS],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(PLUGINS), str(SUPPORT)])},
        check=True,
    )
    # The limit is of their own memory; pages of libraries come on top.
    peak = int(taken.stdout) * 1024 / 1e6
    assert MEMORY_LIMIT_MB / 2 < peak < MEMORY_LIMIT_MB + 100


def test_a_file_that_takes_for_ever_is_refused():
    data = slow_jpeg(scans=20_000)  # minutes
    assert len(data) < 2_000_000
    with pytest.raises(UnusableImage, match=r"slow.jpg: takes more than 0.5 s to be decoded"):
        decode_isolated(data, "slow.jpg", 800, time_limit_s=0.5)
    assert decode_isolated(FILES["jpg"], "next", 64).width == 96


def crash_busy_decoder(number: signal.Signals) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(psutil.Error):
            for child in decoders():
                if child.cpu_times().user > 0.5:
                    child.send_signal(number)
                    return
        time.sleep(0.02)


def kill_decoders() -> None:
    for child in decoders():
        child.kill()
    while decoders():
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGSEGV, r"slow.jpg: crashes the decoder \(SIGSEGV\)"),
        (signal.SIGKILL, r"slow.jpg: the decoder was killed, perhaps since memory ran out"),
    ],
)
def test_a_decoder_that_crashes_takes_its_image_alone(number, reason):
    # No file is known that crashes Pillow as pinned: the signal is the crash.
    kill_decoders()
    crash = threading.Thread(target=crash_busy_decoder, args=(number,))
    crash.start()
    with pytest.raises(UnusableImage, match=reason):
        decode_isolated(slow_jpeg(scans=20_000), "slow.jpg", 800)
    crash.join()
    assert decode_isolated(FILES["jpg"], "next", 64).width == 96


def test_an_image_is_not_blamed_for_the_end_of_a_decoder_that_had_others_before():
    decode_isolated(FILES["jpg"], "first", 64)
    kill_decoders()  # those that wait for their next image
    assert decode_isolated(FILES["png"], "second", 64).width == 96


def test_a_decoder_knows_no_secret(monkeypatch):
    address = "postgresql://user:password@host/db"  # pragma: allowlist secret
    monkeypatch.setenv("AIRFLOW_CONN_LANDMARK_POSTGRES", address)
    kill_decoders()
    decode_isolated(FILES["jpg"], "x", 64)
    for child in decoders():
        assert not [name for name in child.environ() if name.startswith(("AIRFLOW", "LANDMARK"))]


PROGRAM = """
import sys
from landmark.extraction.sandbox import decode_isolated
data = sys.stdin.buffer.read()
try:
    decode_isolated(data, "x", 64, time_limit_s=3)
finally:
    print("done", flush=True)
sys.stdin.close()
import time; time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["idle", "busy"])
def test_a_killed_task_leaves_no_decoder(kind):
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(PLUGINS)},
    ) as task:
        assert task.stdin and task.stdout
        task.stdin.write(FILES["jpg"] if kind == "idle" else slow_jpeg(scans=20_000))
        task.stdin.close()
        if kind == "idle":
            task.stdout.readline()
        deadline = time.monotonic() + 60
        while not (children := psutil.Process(task.pid).children()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        if kind == "busy":
            while children[0].cpu_times().user < 0.5:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        task.kill()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive


def _decode_in_fork(data: bytes, results) -> None:
    results.put(decode_isolated(data, "x", 64).width)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_daemons_and_forks_decode_with_decoders_of_their_own(method):
    decode_isolated(FILES["jpg"], "x", 64)
    context = multiprocessing.get_context(method)
    results = context.Queue()
    process = context.Process(target=_decode_in_fork, args=(FILES["png"], results), daemon=True)
    process.start()
    assert results.get(timeout=60) == 96
    process.join(10)
    assert decode_isolated(FILES["jpg"], "x", 64).width == 96


def test_many_threads_share_a_few_decoders():
    names = list(FILES) * 20
    with ThreadPoolExecutor(16) as pool:
        images = list(pool.map(lambda name: decode_isolated(FILES[name], name, 64), names))
    alone = {name: decode_isolated(data, name, 64).pixels.tobytes() for name, data in FILES.items()}
    assert [image.pixels.tobytes() for image in images] == [alone[name] for name in names]
    assert len(decoders()) <= 4


# ---- fuzzing; benchmarks/fuzz.py goes on for hundreds of thousands of inputs -------------------


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_no_input_does_more_than_be_refused(name):
    done = fuzz.fuzz(name, 150)
    assert done["finding"] is None
