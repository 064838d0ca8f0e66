"""The whole way through Airflow's own processes: both DAGs by REST, the ranked txt in S3."""

from __future__ import annotations

import json
from urllib.parse import quote

from stack.environment import landmark_s3_client


def test_a_photograph_finds_the_others_of_its_place(stack, photograph):
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

    # No password is in a log, an XCom or a rendered field.
    postgres, server = session.addresses.postgres, session.addresses.s3
    secrets = {*postgres.passwords.values(), server.secret_key, session.addresses.ui_password}
    logs = [file.read_text(errors="replace") for file in stack.folder.rglob("*.log")]
    assert any(conf["image_path"] in log for log in logs)
    run = f"/api/v2/dags/landmark_search/dagRuns/{quote(run_id, safe='')}"
    shown = [json.dumps(stack.api.call(f"{run}/taskInstances"))]
    for task in ("extract_query", "rank_matches"):
        xcom = stack.api.call(f"{run}/taskInstances/{task}/xcomEntries/return_value")
        shown.append(json.dumps(xcom))
    assert not [secret for secret in secrets for text in logs + shown if secret in text]

    # Each run says in the UI what it did: the batch by its name, the summary by its counts.
    tasks = stack.api.call("/api/v2/dags/landmark_index/dagRuns/~/taskInstances")["task_instances"]
    named = {task["rendered_map_index"] for task in tasks if task["task_id"] == "extract_batch"}
    assert "batch 1, 13 images" in named
    assets = stack.api.call("/api/v2/assets/events")["asset_events"]
    assert any(event["name"] == "landmarks" for event in assets)
