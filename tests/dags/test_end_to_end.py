"""The whole way through Airflow's own processes: both DAGs by REST, the ranked txt in S3."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from urllib.parse import quote

import psycopg

from stack.environment import UI_USER, landmark_s3_client
from stack.state import REPOSITORY


def test_a_photograph_finds_the_others_of_its_place(stack, photograph, tmp_path):
    session = stack.session
    s3 = landmark_s3_client(session.variables)

    def put(key, body):
        s3.put_object(Bucket="landmark", Key=key, Body=body)

    for place in range(4):
        for view in range(3):
            put(f"images/place {place}/view {view}.jpg", photograph(place, view))
    put("images/broken.jpg", b"no photograph")
    put("elsewhere/query é+%20.jpg", photograph(2, -1))

    stack.api.wait_for_dag("landmark_index")
    stack.api.wait("landmark_index", stack.api.trigger("landmark_index"), timeout_s=240)
    conf = {"image_path": "s3://landmark/elsewhere/query é+%20.jpg"}
    run_id = stack.api.trigger("landmark_search", conf)
    stack.api.wait("landmark_search", run_id, timeout_s=240)

    text = s3.get_object(Bucket="landmark", Key=f"results/{run_id}/matches.txt")["Body"].read()
    lines = text.decode().splitlines()
    assert lines[0] == "# query: " + conf["image_path"]
    assert "# verdict: match" in lines
    ranked = [line.split("\t")[3] for line in lines if not line.startswith("#")]
    assert set(ranked[:3]) == {f"s3://landmark/images/place 2/view {view}.jpg" for view in range(3)}

    # No password is in a log, a result, an XCom, a rendered field, a page or a table.
    logs = [file.read_text(errors="replace") for file in stack.folder.rglob("*.log")]
    assert any(conf["image_path"] in log for log in logs)
    results = s3.list_objects_v2(Bucket="landmark", Prefix="results/")["Contents"]
    bodies = [s3.get_object(Bucket="landmark", Key=entry["Key"])["Body"] for entry in results]
    shown = told(stack.api, "landmark_index") + told(stack.api, "landmark_search")
    assert any("batch 1, 13 images" in text for text in shown)
    with psycopg.connect(session.addresses.postgres.dsn) as connection:
        tables = ("landmark_failures", "landmark_sweeps", "landmark_sweep_images")
        shown += [str(connection.execute(f"TABLE {table}").fetchall()) for table in tables]
    texts = [*logs, *shown, *(body.read().decode("latin-1") for body in bodies)]
    found = [name for name, secret in secrets(stack).items() if any(secret in t for t in texts)]
    assert found == []

    # Metrics came where Airflow sends its own.
    metrics = stack.statsd.metrics  # of other sweeps, too: the nightly one
    header = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# "))
    best = next(line.split("\t") for line in lines if line.startswith("1\t"))
    for name, value in {
        "sweep.indexed": "12|c",
        "sweep.failed": "1|c",
        "sweep.failed.no_image": "1|c",
        "search.images_compared": header["images compared"] + "|g",
        "search.best_inliers": best[1] + "|g",
        "search.match": "1|c",
    }.items():
        assert value in metrics[f"landmark.{name}"], name
    for name in ("sweep.seen", "failures"):
        value, kind = metrics[f"landmark.{name}"][-1].split("|")
        assert kind == "g" and int(value) >= 1
    for name in ("extract.image", "sweep.duration", "search.duration"):
        value, kind = metrics[f"landmark.{name}"][-1].split("|")
        assert kind == "ms" and 1 < float(value) < 240_000
    assert any(name.startswith("dagrun.duration.success") for name in metrics)

    # Each run says in the UI what it did: the batch by its name, the summary by its counts.
    tasks = stack.api.call("/api/v2/dags/landmark_index/dagRuns/~/taskInstances")["task_instances"]
    named = {task["rendered_map_index"] for task in tasks if task["task_id"] == "extract_batch"}
    assert "batch 1, 13 images" in named
    assets = stack.api.call("/api/v2/assets/events")["asset_events"]
    assert any(event["name"] == "landmarks" for event in assets)

    # The same from a shell, by a photograph of this machine.
    file = tmp_path / "my view é (1).jpg"
    file.write_bytes(photograph(1, -1))
    path = f"s3://landmark/uploads/{hashlib.sha256(file.read_bytes()).hexdigest()[:32]}/{file.name}"
    command = [sys.executable, "-m", "landmark", "search", "--api-url", session.addresses.ui]
    done = subprocess.run(
        [*command, "--json", str(file), "s3://landmark/images//no.jpg"],
        capture_output=True,
        text=True,
        timeout=400,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(REPOSITORY / "plugins"),
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW_CLI_USERNAME": UI_USER,
            "AIRFLOW_CLI_PASSWORD": session.addresses.ui_password,
        },
    )
    assert done.returncode == 1, done.stderr  # since one of them is none
    found, failed = json.loads(done.stdout)["searches"]
    assert (found["photograph"], found["query"], found["outcome"]) == (str(file), path, "match")
    matches = [match["image_path"] for match in found["result"]["matches"][:3]]
    assert set(matches) == {f"s3://landmark/images/place 1/view {view}.jpg" for view in range(3)}
    assert failed["outcome"] == "failed" and "images//no.jpg: S3 refuses it" in failed["reason"]
    # Where it is shown, first of all; what it tells meanwhile depends on how quick the search is.
    assert re.match(f"{session.addresses.ui}/landmark/searches/manual__", done.stderr)


def secrets(stack):
    """Every password and key of a stack, by name, in the forms that they take in addresses."""
    addresses = stack.session.addresses
    plain = {
        **{f"postgres {role}": word for role, word in addresses.postgres.passwords.items()},
        "s3": addresses.s3.secret_key,
        "ui": addresses.ui_password,
        "fernet": stack.session.variables["AIRFLOW__CORE__FERNET_KEY"],
        "api": stack.session.variables["AIRFLOW__API__SECRET_KEY"],
        "jwt": stack.session.variables["AIRFLOW__API_AUTH__JWT_SECRET"],
    }
    forms = {"": str, " quoted": lambda word: quote(word, safe=""), " base64": in_base64}
    return {name + form: make(word) for name, word in plain.items() for form, make in forms.items()}


def in_base64(word):
    return base64.b64encode(word.encode()).decode().rstrip("=")


def told(api, dag_id):
    """What Airflow shows of a DAG's runs: its tasks, their rendered fields, XCom and logs."""
    shown = []
    runs = f"/api/v2/dags/{dag_id}/dagRuns"
    for run in api.call(runs)["dag_runs"]:
        tasks = f"{runs}/{quote(run['dag_run_id'], safe='')}/taskInstances"
        shown.append(json.dumps(run))
        for task in api.call(tasks)["task_instances"]:
            shown.append(json.dumps(task))  # with its rendered fields
            entries = f"{tasks}/{task['task_id']}/xcomEntries"
            index = f"map_index={task['map_index']}"
            for entry in api.call(f"{entries}?{index}")["xcom_entries"]:
                shown.append(json.dumps(api.call(f"{entries}/{entry['key']}?{index}")))
            if task["try_number"]:
                log = f"{tasks}/{task['task_id']}/logs/{task['try_number']}?{index}"
                shown.append(json.dumps(api.call(log)))
    assert len(shown) > 6
    return shown
