"""Two sweeps and five searches at once, while one object changes and one goes."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.faults.bench import SEARCHED, Bench
from benchmarks.faults.cases import Undisturbed
from stack.demo import GALLERY
from stack.s3 import BUCKET

QUERIES = (
    SEARCHED,
    SEARCHED,  # the same twice
    "images/courtyard/02.jpg",
    "images/lighthouse/03.jpg",
    "images/bridge/02.jpg",
)
CHANGED, DELETED = "images/castle_gate/02.jpg", "images/castle_gate/03.jpg"
NEW = "images/new/{}.jpg"
NEW_IMAGES = 30
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = 'landmark'"


def run_together(bench: Bench, before: Undisturbed) -> dict[str, Any]:
    """Run them; say what differs from what the bucket and two later searches say."""
    deadlocks = bench.one(DEADLOCKS)
    bench.fresh()
    assert bench.index() == "success"
    put_copies(bench)

    sweeps = [bench.trigger("landmark_index") for _ in range(2)]
    searches = {
        bench.trigger("landmark_search", image_path=f"s3://{BUCKET}/{key}"): key for key in QUERIES
    }
    bench.wait_for_rows(len(before.table) + 2)
    content = (GALLERY / "images" / CHANGED.removeprefix("images/")).read_bytes() + b"changed"
    bench.s3.put_object(Bucket=BUCKET, Key=CHANGED, Body=content)
    bench.s3.delete_object(Bucket=BUCKET, Key=DELETED)
    states = [bench.wait("landmark_index", run_id) for run_id in sweeps]
    states += [bench.wait("landmark_search", run_id) for run_id in searches]
    # What changed after it was listed is seen by the next sweep at the latest.
    states.append(bench.index())

    different = _compare_with_bucket(bench)
    heads = {run_id: _result(bench, run_id) for run_id in searches}
    known = set(bench.table()) | {f"s3://{BUCKET}/{DELETED}"}
    for run_id, head in heads.items():
        found = {match["image_path"] for match in head["matches"]}
        if not found <= known or head["query"] in found:
            different.append(f"{run_id} found {sorted(found - known)}")
    again = [bench.trigger("landmark_search", image_path=f"s3://{BUCKET}/{SEARCHED}") for _ in "12"]
    states += [bench.wait("landmark_search", run_id) for run_id in again]
    first, second = (bench.result(f"results/{run_id}/") for run_id in again)
    if first != second:
        different.append("two searches of one table differ")
    figures = {
        "state": "success" if set(states) == {"success"} else "failed",
        "triggered again": 0,
        "tries": sum(bench.tries("landmark_search", run_id) for run_id in searches)
        + sum(bench.tries("landmark_index", run_id) for run_id in sweeps),
        "deadlocks": bench.one(DEADLOCKS) - deadlocks,
        "searched at": [[head["index_time"], head["images_compared"]] for head in heads.values()],
        "different": different,
    }
    _tidy(bench)
    return figures


def put_copies(bench: Bench) -> list[str]:
    """Put photographs there that the bucket has, as new ones; their paths."""
    photographs = sorted((GALLERY / "images").rglob("*.jpg"))
    for number, path in enumerate(photographs[:NEW_IMAGES]):
        # Other bytes, the same picture: a comment at the JPEG's end.
        content = path.read_bytes() + b"new"
        bench.s3.put_object(Bucket=BUCKET, Key=NEW.format(number), Body=content)
    return [f"s3://{BUCKET}/{NEW.format(number)}" for number in range(NEW_IMAGES)]


def remove_copies(bench: Bench) -> None:
    """Take off what `put_copies` has put there."""
    for number in range(NEW_IMAGES):
        bench.s3.delete_object(Bucket=BUCKET, Key=NEW.format(number))


def _compare_with_bucket(bench: Bench) -> list[str]:
    pages = bench.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="images/")
    objects = {
        f"s3://{BUCKET}/{entry['Key']}": entry["ETag"].strip('"')
        for page in pages
        for entry in page.get("Contents", ())
    }
    objects.pop(f"s3://{BUCKET}/images/broken.jpg", None)
    rows = {path: etag for path, (etag, _) in bench.table().items() if "/images/" in path}
    return [
        f"{path}: {rows.get(path)} in the table, {objects.get(path)} in S3"
        for path in sorted(rows.keys() | objects.keys())
        if rows.get(path) != objects.get(path)
    ]


def _result(bench: Bench, run_id: str) -> dict[str, Any]:
    key = f"results/{run_id}/matches.json"
    return json.loads(bench.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())


def _tidy(bench: Bench) -> None:
    """The bucket as it was, for the next case."""
    remove_copies(bench)
    for key in (CHANGED, DELETED):
        content = (GALLERY / "images" / key.removeprefix("images/")).read_bytes()
        bench.s3.put_object(Bucket=BUCKET, Key=key, Body=content)
