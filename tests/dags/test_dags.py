"""Both DAGs: what every DAG keeps to, and whole runs by `dag.test()` on the real servers."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from PIL import Image
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from landmark.errors import ServerFault
from landmark.storage.connections import close_idle
from landmark.storage.models import known_models

REPOSITORY = Path(__file__).resolve().parents[2]
NOBODY = "http://127.0.0.1:9"  # discards whatever it is sent, if anything listens at all
DAG_FILES = sorted((REPOSITORY / "dags").glob("*.py"))


@pytest.fixture
def dags(airflow):
    """Read anew for each test: `dag.test()` leaves a run's params in the DAG."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(REPOSITORY / "dags"))
    assert bag.import_errors == {}
    return bag.dags


# ---- connections, and settings that are read when a DAG is parsed -------------------------------


def test_the_plain_connection_writes_what_is_read(airflow, s3):
    from landmark_airflow import connect

    ours = connect().s3
    body = b'{"searches": []}' * 99
    ours.put_object(Bucket="landmark", Key="plain/bytes.json", Body=body)
    ours.upload_fileobj(io.BytesIO(body), "landmark", "plain/stream.json")
    for key in ("plain/bytes.json", "plain/stream.json"):
        assert ours.get_object(Bucket="landmark", Key=key)["Body"].read() == body
        assert s3.get_object(Bucket="landmark", Key=key)["Body"].read() == body


def test_what_a_connection_says_of_its_client_wins(airflow, monkeypatch):
    from landmark_airflow import connect

    asked = {
        "s3": {"addressing_style": "virtual"},
        "request_checksum_calculation": "when_supported",
    }
    connection = {"conn_type": "aws", "extra": {"config_kwargs": asked}}
    monkeypatch.setenv("AIRFLOW_CONN_LANDMARK_S3", json.dumps(connection))
    config = connect().s3.meta.config
    assert config.s3["addressing_style"] == "virtual"
    assert config.request_checksum_calculation == "when_supported"
    assert config.response_checksum_validation == "when_required"


def test_a_task_asks_airflow_for_the_variables_that_there_are(dags, bucket, monkeypatch):
    """All would take longer than a search's arithmetic."""
    from airflow.models import Variable as Stored
    from airflow.sdk import Variable

    asked, get = [], Variable.get

    def noted(name, **options):
        asked.append(name)
        return get(name, **options)

    monkeypatch.setattr(Variable, "get", noted)
    base = bucket({})
    paths = [base + "1.jpg", base + "2.jpg"]
    Stored.set("LANDMARK_MAX_QUERIES", "1")
    try:
        run = dags["landmark_search"].test(run_conf={"image_path": paths})
    finally:
        Stored.delete("LANDMARK_MAX_QUERIES")
    assert run.state == "failed" and asked == ["LANDMARK_MAX_QUERIES"]
    assert "more than the 1 photographs" in xcom(run, "extract_query", "reason")

    asked.clear()
    monkeypatch.setenv("AIRFLOW_VAR_LANDMARK_MAX_QUERIES", "1")
    dags["landmark_search"].test(run_conf={"image_path": paths})
    assert asked == ["LANDMARK_MAX_QUERIES"]


@pytest.fixture
def by_token(airflow, empty_database, postgres, monkeypatch):
    """A connection by IAM; each token ends the one before, as if 15 minutes had passed."""
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    parts = conninfo_to_dict(empty_database.conninfo)
    aws = {
        "conn_type": "aws", "login": "AKIDEXAMPLE",
        "password": "secret",  # pragma: allowlist secret
        "extra": {"region_name": "eu-west-1"},
    }  # fmt: skip
    ours = {
        "conn_type": "postgres", "host": parts["host"], "port": int(parts["port"]),
        "schema": parts["dbname"], "login": "landmark_by_token", "password": "not this one",
        "extra": {"iam": True, "aws_conn_id": "for_tokens"},
    }  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_FOR_TOKENS", json.dumps(aws))
    monkeypatch.setenv("AIRFLOW_CONN_LANDMARK_POSTGRES", json.dumps(ours))
    monkeypatch.setenv("AIRFLOW_CONN_LANDMARK_READER", json.dumps(ours))
    monkeypatch.setenv("LANDMARK_DASK_POSTGRES_CONN_ID", "landmark_reader")
    tokens = []
    sign = PostgresHook.get_iam_token
    role = sql.Identifier("landmark_by_token")

    def let_in(hook, connection):
        """What RDS does with a token that it checks, done when it is signed."""
        user, token, port = sign(hook, connection)
        tokens.append(f"{token}&number={len(tokens)}")  # of one second all are the same
        admin.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, sql.Literal(tokens[-1])))
        return user, tokens[-1], port

    monkeypatch.setattr(PostgresHook, "get_iam_token", let_in)
    with psycopg.connect(postgres.url("postgres", parts["dbname"]), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN IN ROLE landmark").format(role))
        yield tokens
        close_idle()
        admin.execute(sql.SQL("DROP ROLE {}").format(role))


def test_each_new_connection_has_a_token_of_its_own(by_token):
    from landmark_airflow import connect

    database = connect().database
    assert by_token == []  # what waits for work has none that grows old
    with database.connect(), database.connect(), database.at_one_time() as frozen:
        assert len(by_token) == 3
        with frozen.connect() as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("landmark_by_token",)
    assert len(by_token) == 4
    with database.connect():  # one that is kept needs none
        assert len(by_token) == 4
    assert all("X-Amz-Signature" in token for token in by_token)  # signed by the provider
    assert "not this one" not in database.conninfo


def test_workers_get_a_token_with_their_search(by_token):
    from landmark_airflow import connect, worker_database

    workers = worker_database(connect().settings)
    sent = pickle.dumps(workers.logged_in())
    program = (
        "import pickle, sys\n"
        "with pickle.load(sys.stdin.buffer).connect() as connection:\n"
        "    print(*connection.execute('SELECT current_user').fetchone())\n"
        "assert 'airflow' not in sys.modules\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "plugins")}
    done = subprocess.run(
        [sys.executable, "-c", program], input=sent, env=environment, stdout=subprocess.PIPE
    )
    assert done.stdout == b"landmark_by_token\n" and len(by_token) == 1


def test_no_token_is_one_line_and_tried_again(by_token, monkeypatch):
    from landmark_airflow import connect

    monkeypatch.setenv("AIRFLOW_CONN_FOR_TOKENS", "aws://")
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    database = connect().database
    with pytest.raises(ServerFault, match="connection landmark_postgres: AWS gives no token") as no:
        database.migrate()
    assert "region" in str(no.value) and "\n" not in str(no.value)


@pytest.mark.parametrize("asked", ["", "abc", "0", "-1", "1.5", "²"])
def test_what_is_no_number_of_batches_is_told_and_the_dag_is_there(
    airflow, asked, monkeypatch, caplog
):
    from airflow.dag_processing.dagbag import DagBag

    monkeypatch.setenv("LANDMARK_BATCHES_AT_ONCE", asked)
    bag = DagBag(str(REPOSITORY / "dags"))
    assert bag.import_errors == {}
    batches = bag.dags["landmark_index"].get_task("extract_batch")
    assert batches.max_active_tis_per_dagrun == 2
    (line,) = [line for line in caplog.messages if line.startswith("LANDMARK_BATCHES_AT_ONCE=")]
    assert line.endswith("taking 2; set 1 or more")


# ---- what every DAG keeps to --------------------------------------------------------------------


def test_the_two_dags_are_there(dags):
    assert set(dags) == {"landmark_index", "landmark_search"}


def test_every_dag_has_documentation_tags_and_limits(dags):
    for dag in dags.values():
        assert len(dag.doc_md) > 200 and "landmark" in dag.tags
        assert dag.catchup is False
        # A sweep takes as long as there are images; its tasks have limits.
        assert (dag.dagrun_timeout is None) == (dag.dag_id == "landmark_index")


def test_every_task_has_owner_documentation_retries_and_a_timeout(dags):
    for task in (task for dag in dags.values() for task in dag.tasks):
        assert task.owner == "landmark"
        assert task.doc_md or task.python_callable.__doc__, task.task_id
        assert task.retries >= 2 and task.retry_exponential_backoff, task.task_id
        assert timedelta(0) < task.execution_timeout <= timedelta(hours=6), task.task_id


def test_the_index_sweeps_nightly_one_run_at_a_time(dags):
    dag = dags["landmark_index"]
    assert dag.timetable.expression == "0 0 * * *" and dag.max_active_runs == 1
    assert [asset.name for asset in dag.task_dict["summarise"].outlets] == ["landmarks"]


def test_every_param_has_a_title_and_a_description(dags):
    for dag in dags.values():
        for name in dag.params:
            param = dag.params.get_param(name)
            assert param.schema["title"] and len(param.description) > 20, name


@pytest.mark.parametrize(
    ("conf", "reason"),
    [
        ({}, "image_path"),
        ({"image_path": "/home/me/photo.jpg"}, "does not match"),
        ({"image_path": "s3://bucket-alone"}, "does not match"),
        ({"image_path": []}, "should be non-empty"),
        ({"image_path": ["s3://b/k.jpg", "k.jpg"]}, "does not match"),
        ({"image_path": {"path": "s3://b/k.jpg"}}, "is not of type 'string', 'array'"),
        ({"image_path": "s3://b/k.jpg", "mode": "fast"}, "is not one of"),
        ({"image_path": "s3://b/k.jpg", "turn": 45}, "not a multiple of 90"),
        ({"image_path": "s3://b/k.jpg", "box": [1, 2, 3]}, "is too short"),
        ({"image_path": "s3://b/k.jpg", "box": [1, 2, 3, "4"]}, "is not of type 'number'"),
        ({"image_path": "s3://b/k.jpg", "top_k": 0}, "less than the minimum"),
    ],
)
def test_a_wrong_conf_is_refused_before_the_run(dags, conf, reason):
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError, match=reason):
        dags["landmark_search"].test(run_conf=conf)


@pytest.mark.parametrize("file", DAG_FILES, ids=lambda file: file.name)
def test_parsing_is_light(airflow, file):
    """CPU seconds of the file itself, Airflow imported, and nothing heavy with it."""
    program = (
        "import runpy, sys, time; import airflow.sdk;"
        "started = time.process_time(); runpy.run_path(sys.argv[1]);"
        "seconds = time.process_time() - started;"
        "heavy = {'tensorflow', 'dask', 'distributed', 'skimage', 'numpy', 'boto3'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules);"
        "print(seconds)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(file)], capture_output=True, text=True, check=True
    )
    assert float(done.stdout.split()[-1]) < 1


# ---- whole runs ---------------------------------------------------------------------------------


@pytest.fixture
def bucket(s3_server, prefix, monkeypatch):
    """Three places of three views, a broken file, and the settings that point there."""

    def fill(objects):
        base = prefix(objects)
        monkeypatch.setenv("LANDMARK_IMAGES", base + "images/")
        monkeypatch.setenv("LANDMARK_RESULTS", base + "results/")
        return base

    return fill


def xcom(run, task_id, key="return_value"):
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        query = XComModel.get_many(
            key=key,
            run_id=run.run_id,
            dag_ids=run.dag_id,
            task_ids=task_id,
        )
        return XComModel.deserialize_value(session.execute(query).scalars().one())


@pytest.fixture
def least_rights(empty_database, with_role, monkeypatch):
    """The tasks run as roles that may do only what they must; the owner has made the tables."""
    empty_database.migrate()
    for role in ("tasks", "reader"):
        address = with_role(empty_database.conninfo, f"landmark_{role}")
        monkeypatch.setenv(f"AIRFLOW_CONN_LANDMARK_{role.upper()}", address)
    monkeypatch.setenv("LANDMARK_POSTGRES_CONN_ID", "landmark_tasks")
    monkeypatch.setenv("LANDMARK_DASK_POSTGRES_CONN_ID", "landmark_reader")


def test_the_nightly_run_removes_what_has_had_its_time(
    dags, bucket, photograph, s3, empty_database, monkeypatch
):
    from landmark.search.searches import Searches
    from landmark.search.uploads import keep_upload

    monkeypatch.setenv("AIRFLOW_CONN_LANDMARK_POSTGRES", empty_database.conninfo)
    base = bucket({"images/a.jpg": photograph(1)})
    monkeypatch.setenv("LANDMARK_UPLOADS", base + "uploads/")
    for run_id in ("of-2001", "of-today"):
        folder = f"{base}results/{run_id}/"
        Searches.plan(run_id, folder, "s3://b/a.jpg", [("s3://b/a.jpg", None)]).claim(s3)
        keep_upload(s3, base + "uploads/", "a.jpg", run_id.encode())
    for found in s3.list_objects_v2(Bucket="landmark", Prefix=base[14:])["Contents"]:
        body = s3.get_object(Bucket="landmark", Key=found["Key"])["Body"].read()
        if b"of-2001" in body:
            of_2001 = {"mtime": "1000000000"}
            s3.put_object(Bucket="landmark", Key=found["Key"], Body=body, Metadata=of_2001)

    run = dags["landmark_index"].test()
    assert xcom(run, "remove_old") == {"results": 0, "uploads": 0}
    monkeypatch.setenv("LANDMARK_RESULTS_DAYS", "30")
    monkeypatch.setenv("LANDMARK_UPLOADS_DAYS", "7")
    run = dags["landmark_index"].test()
    assert run.state == "success" and xcom(run, "remove_old") == {"results": 1, "uploads": 1}
    listed = s3.list_objects_v2(Bucket="landmark", Prefix=base[14:])["Contents"]
    bodies = [s3.get_object(Bucket="landmark", Key=found["Key"])["Body"].read() for found in listed]
    assert sum(b"of-today" in body for body in bodies) == 2
    assert not any(b"of-2001" in body for body in bodies)


def test_index_then_search(dags, bucket, photograph, s3, least_rights):
    places = {f"images/{p}/{v}.jpg": photograph(p, v) for p in range(3) for v in range(3)}
    base = bucket({**places, "images/broken.jpg": b"broken", "query.jpg": photograph(1, -1)})

    run = dags["landmark_index"].test()
    assert run.state == "success"
    summary = xcom(run, "summarise")
    assert (summary["seen"], summary["new"], summary["indexed"], summary["failed"]) == (
        10,
        10,
        9,
        1,
    )

    assert xcom(run, "switch_model") is True and xcom(run, "link_images") == 9
    assert 0 < xcom(run, "measure_chance") <= 36

    again = dags["landmark_index"].test()
    assert again.state == "success" and xcom(again, "summarise")["indexed"] == 0
    assert xcom(again, "link_images") == 0
    assert xcom(again, "switch_model") is False
    assert states(again)["extract_batch"] == "skipped"

    run = dags["landmark_search"].test(run_conf={"image_path": base + "query.jpg"})
    assert run.state == "success"
    folder = f"{base}results/{run.run_id}/"
    text = read(s3, folder + "matches.txt")
    header = dict(line[2:].split(": ", 1) for line in text.splitlines() if line.startswith("# "))
    assert list(header) == [
        "query",
        "model",
        "images compared",
        "index time",
        "mode",
        "parameters",
        "chance",
        "verdict",
        "place",
        "columns",
    ]
    assert header["query"] == base + "query.jpg" and header["images compared"] == "9"
    assert header["verdict"] == "match" and header["mode"] == "exhaustive"
    assert header["chance"].endswith("pairs of the model's photographs")
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    assert [row[0] for row in rows] == [str(rank) for rank in range(1, len(rows) + 1)]
    assert 0 < float(rows[0][4]) < 0.05
    assert {row[3] for row in rows[:3]} == {f"{base}images/1/{view}.jpg" for view in range(3)}
    assert json.loads(read(s3, folder + "matches.json"))["matches"][0]["image_path"] == rows[0][3]
    listed = s3.list_objects_v2(Bucket="landmark", Prefix=folder[14:] + "matches/")
    assert len(listed["Contents"]) >= 3

    # The query is indexed now: the next search finds it.
    run = dags["landmark_search"].test(
        run_conf={
            "image_path": base + "images/1/0.jpg",
            "top_k": 1,
            "results_path": base + "results/mine",
        }
    )
    assert run.state == "success"
    assert len(read(s3, base + "results/mine/matches.txt").splitlines()) == 10


def test_a_part_of_a_photograph_and_one_on_its_side_are_searched_for(
    dags, bucket, photograph, s3, least_rights
):
    places = {f"images/{p}/{v}.jpg": photograph(p, v) for p in range(3) for v in range(2)}
    buffer = io.BytesIO()
    Image.open(io.BytesIO(photograph(1, -1))).rotate(90).save(buffer, "JPEG", quality=92)
    base = bucket({**places, "queries/side.jpg": buffer.getvalue()})
    assert dags["landmark_index"].test().state == "success"

    def search(**conf):
        run = dags["landmark_search"].test(run_conf=conf)
        folder = f"{base}results/{run.run_id}/"
        text = read(s3, folder + "matches.txt") if run.state == "success" else ""
        header = dict(line[2:].split(": ", 1) for line in text.splitlines() if line[:2] == "# ")
        return run, header, json.loads(read(s3, folder + "matches.json")) if text else {}

    run, header, found = search(image_path=base + "queries/side.jpg", box=[0, 0, 320, 300])
    assert header["verdict"] == "match" and header["box"] == "0,0,320,300"
    assert header["turn"] == "found when turned by 90 degrees clockwise"
    assert found["framing"] == {"box": [0, 0, 320, 300], "turn": 90, "is_found": True}
    assert xcom(run, "rank_matches")["verdict"] == "match" and xcom(run, "draw_matches") >= 2
    run, header, found = search(image_path=base + "queries/side.jpg", turn=0)
    assert header["verdict"] != "match" and "turn" not in header and found["framing"]["turn"] == 0
    run, _, _ = search(image_path=base + "queries/", box=[0, 0, 320, 300])
    assert run.state == "failed"
    assert xcom(run, "extract_query", "reason").startswith("box: goes with exactly one photograph")
    run, _, _ = search(image_path=base + "queries/side.jpg", box=[0, 0, 400, 300])
    assert "reaches beyond the picture, which has 320x320 px" in xcom(
        run, "extract_query", "reason"
    )


def test_a_watched_place_is_told_of_over_two_sweeps(dags, bucket, photograph, s3, least_rights):
    """By the tasks' role, with an event that other DAGs can be scheduled on."""
    from landmark.watching.watches import start
    from landmark_airflow import landmark

    base = bucket({f"images/1/{view}.jpg": photograph(1, view) for view in range(2)})
    first = dags["landmark_index"].test()
    assert first.state == "success" and xcom(first, "tell_watches") == 0
    with landmark() as (_, database, _):
        (model,) = [one.model for one in known_models(database)]
        number = start(database, model, "ada", photograph=f"{base}images/1/0.jpg")
    again = dags["landmark_index"].test()
    assert again.state == "success" and xcom(again, "tell_watches") == 0

    bucket({"images/1/2.jpg": photograph(1, 2), "images/2/0.jpg": photograph(2, 0)})
    run = dags["landmark_index"].test()
    assert run.state == "success" and xcom(run, "tell_watches") == 1
    folder = f"{base}results/watches/{number}/1/"
    (line,) = [
        line for line in read(s3, folder + "report.txt").splitlines() if not line.startswith("#")
    ]
    assert line.split("\t")[1] == f"{base}images/1/2.jpg" and int(line.split("\t")[0]) >= 18
    told = [one["reports"] for one in events("landmark_watch")]
    (reports,) = [reports for reports in told if reports[0]["folder"] == folder]
    assert [(report["watch"], report["photographs"]) for report in reports] == [(number, 1)]
    quiet = dags["landmark_index"].test()
    assert quiet.state == "success" and xcom(quiet, "tell_watches") == 0


def events(asset):
    """What the events of an asset carry."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session

    with create_session() as session:
        rows = session.query(AssetEvent).join(AssetModel, AssetEvent.asset_id == AssetModel.id)
        return [event.extra for event in rows.filter(AssetModel.name == asset)]


def test_a_new_model_takes_over_when_it_has_every_image(
    dags, bucket, photograph, monkeypatch, postgres
):
    """The same model with fewer features is another; a batch limit makes it take two sweeps."""
    database = postgres.create_database("landmark_switch")
    monkeypatch.setenv("AIRFLOW_CONN_LANDMARK_POSTGRES", database)
    base = bucket({f"images/{place}.jpg": photograph(place) for place in range(3)})
    query = {"image_path": base + "images/1.jpg"}

    def searched_with():
        return xcom(dags["landmark_search"].test(run_conf=query), "extract_query")["model"]

    dags["landmark_index"].test()
    old = searched_with()
    monkeypatch.setenv("LANDMARK_MAX_FEATURES", "300")
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "1")
    with monkeypatch.context() as patch:
        patch.setattr(
            "landmark.storage.listings.batch_size", lambda images, *limits: min(2, images) or 1
        )
        run = dags["landmark_index"].test()
    assert (xcom(run, "summarise")["postponed"], xcom(run, "switch_model")) == (1, False)
    assert searched_with() == old
    assert xcom(dags["landmark_index"].test(), "switch_model") is True
    assert searched_with() != old


def test_a_search_of_an_empty_index_fails_and_says_what_to_run(
    dags, bucket, photograph, monkeypatch, postgres, capfd
):
    base = bucket({"query.jpg": photograph(1)})
    monkeypatch.setenv("AIRFLOW_CONN_LANDMARK_POSTGRES", postgres.create_database("landmark_none"))
    run = dags["landmark_search"].test(run_conf={"image_path": base + "query.jpg"})
    assert run.state == "failed"
    assert states(run)["rank_matches"] == "failed"
    assert "run landmark_index" in "".join(capfd.readouterr())


def test_many_photographs_in_one_run(dags, bucket, photograph, s3, monkeypatch, postgres):
    database = postgres.create_database("landmark_many")
    monkeypatch.setenv("AIRFLOW_CONN_LANDMARK_POSTGRES", database)
    places = {f"images/{p}/{v}.jpg": photograph(p, v) for p in range(3) for v in range(3)}
    asked = {f"queries/{p}/view.jpg": photograph(p, -1) for p in (0, 1, 7)}
    base = bucket({**places, **asked, "queries/broken.jpg": b"broken", "queries/notes.txt": b""})
    assert dags["landmark_index"].test().state == "success"

    def matches(run_conf):
        conf = {"add_to_index": False, **run_conf}
        run = dags["landmark_search"].test(run_conf=conf)
        assert run.state == "success"
        return f"{base}results/{run.run_id}/", xcom(run, "rank_matches")

    folder, answer = matches({"image_path": base + "queries/"})
    assert answer["searches"] == {"match": 2, "no match": 1, "failed": 1}
    assert answer["result"] == folder + "searches.txt"
    text = read(s3, folder + "searches.txt")
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    names = ["0/view.jpg", "1/view.jpg", "7/view.jpg", "broken.jpg"]
    assert [row[2] for row in rows] == [f"{base}queries/{name}" for name in names]
    assert [row[0] for row in rows] == ["match", "match", "no match", "failed"]
    assert "no image, damaged" in rows[3][5]
    for row in rows[:3]:
        alone, _ = matches({"image_path": row[2]})
        assert read(s3, alone + "matches.txt") == read(s3, row[4])
    listed = s3.list_objects_v2(
        Bucket="landmark", Prefix=rows[0][4][14:].removesuffix(".txt") + "/"
    )
    assert len(listed["Contents"]) >= 3

    # A list, one of it twice; below a folder of the user's own.
    conf = {"image_path": [rows[1][2], rows[0][2], rows[1][2]], "results_path": base + "results/my"}
    _, answer = matches(conf)
    assert (
        answer["searches"] == {"match": 2} and answer["result"] == f"{base}results/my/searches.txt"
    )

    # What lies below a prefix may be too much, or nothing.
    monkeypatch.setenv("LANDMARK_MAX_QUERIES", "3")
    run = dags["landmark_search"].test(run_conf={"image_path": base + "queries/"})
    assert states(run)["extract_query"] == "failed"
    run = dags["landmark_search"].test(run_conf={"image_path": base + "nothing/"})
    assert states(run)["extract_query"] == "failed"


def test_one_bad_line_of_airflows_own_box_fails_alone(
    dags, bucket, photograph, s3, monkeypatch, postgres
):
    database = postgres.create_database("landmark_lines")
    monkeypatch.setenv("AIRFLOW_CONN_LANDMARK_POSTGRES", database)
    base = bucket({f"images/{place}.jpg": photograph(place) for place in range(3)})
    assert dags["landmark_index"].test().state == "success"
    lines = [
        f'"{base}images/1.jpg"', f"{base}a//b.jpg", "k.jpg", "s3://elsewhere/k.jpg",
        f"S3{base[2:]}images/2.jpg",
    ]  # fmt: skip
    run = dags["landmark_search"].test(run_conf={"image_path": "\n".join(lines)})
    assert run.state == "success"
    text = read(s3, f"{base}results/{run.run_id}/searches.txt")
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    assert [row[2] for row in rows] == [
        base + "images/1.jpg", base + "a//b.jpg", "k.jpg", "s3://elsewhere/k.jpg",
        base + "images/2.jpg",
    ]  # fmt: skip
    assert [row[0] == "failed" for row in rows] == [False, True, True, True, False]
    assert "S3 refuses it (400" in rows[1][5] and "not a path in S3" in rows[2][5]
    assert "lies outside of LANDMARK_QUERIES" in rows[3][5]


def test_a_missing_query_fails_in_one_line(dags, bucket, capfd):
    base = bucket({})
    run = dags["landmark_search"].test(run_conf={"image_path": base + "nowhere.jpg"})
    assert run.state == "failed" and states(run)["extract_query"] == "failed"
    reason = f"{base}nowhere.jpg: there is no such object; check the path"
    assert reason in "".join(capfd.readouterr())


@pytest.mark.parametrize("path", ["s3://elsewhere/query.jpg", "s3://landmark/../elsewhere/q.jpg"])
def test_a_query_outside_is_refused_before_anything_is_read(dags, bucket, path, monkeypatch, capfd):
    bucket({})
    monkeypatch.setenv("AIRFLOW_CONN_LANDMARK_POSTGRES", "postgresql://nobody@127.0.0.1:9/nothing")
    nowhere = {"conn_type": "aws", "login": "x", "password": "y", "extra": {"endpoint_url": NOBODY}}
    monkeypatch.setenv("AIRFLOW_CONN_LANDMARK_S3", json.dumps(nowhere))
    run = dags["landmark_search"].test(run_conf={"image_path": path})
    assert run.state == "failed" and states(run)["extract_query"] == "failed"
    assert f"{path}: " in xcom(run, "extract_query", "reason")
    assert "LANDMARK_QUERIES" in "".join(capfd.readouterr()) or ".." in path


def states(run):
    from airflow.utils.session import create_session

    with create_session() as session:
        return {task.task_id: str(task.state) for task in run.get_task_instances(session=session)}


def read(s3, path):
    bucket, _, key = path.removeprefix("s3://").partition("/")
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
