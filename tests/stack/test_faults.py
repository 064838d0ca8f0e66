"""Faults in the middle of a batch or a search: nothing is lost, nothing twice, nothing stays held.

What Airflow does about them is in `benchmarks.faults`, on a whole stack.
"""

import json
import signal
import subprocess
import sys
import time
from itertools import count

import psycopg
import pytest
from postgres_servers import end_other_sessions

from benchmarks.faults.proxy import Fault, fault_proxy
from landmark.errors import ServerFault
from landmark.extraction.models import BUNDLED_MODEL
from landmark.index.extract import extract_batch
from landmark.index.sweep import finish_sweep, plan_sweep
from landmark.search.comparison import Query
from landmark.search.rank import rank_alone
from landmark.storage.bucket import RETRIES
from landmark.storage.database import Database
from landmark.storage.images import save_image
from landmark.storage.partitions import list_partitions
from stack.s3 import CLIENT_CONFIG, s3_client

# More come before the middle than threads extract at once, so that some are written by then.
IMAGES, MIDDLE = 20, 15
MODEL = "model-1"


@pytest.fixture(scope="module")
def pictures(photograph):
    pictures = {f"{number:02d}.jpg": photograph(number) for number in range(IMAGES)}
    return {**pictures, "broken.jpg": b"no photograph"}


@pytest.fixture
def planned(database, prefix, pictures, s3, extractor):
    """A planned sweep of one batch."""
    base = prefix(pictures)
    model = extractor.model.fingerprint
    assert plan_sweep(database, s3, "sweep", model, base, base + "results/", 1024) == [IMAGES + 1]
    return base


def contents(database, base):
    """Everything that an undisturbed sweep and a disturbed one must agree in."""
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT image_path, etag, width, height, n_features, locations, descriptors, scales,"
            " attention FROM landmarks"
        ).fetchall()
        failed = connection.execute("SELECT image_path, attempts FROM landmark_failures").fetchall()
    return sorted((row[0].removeprefix(base), *row[1:]) for row in rows + failed)


@pytest.fixture(scope="module")
def undisturbed(postgres, s3, pictures, extractor):
    database = Database(postgres.create_database("test_undisturbed"))
    database.migrate()
    for name, body in pictures.items():
        s3.put_object(Bucket="landmark", Key=f"undisturbed/{name}", Body=body)
    base, model = "s3://landmark/undisturbed/", extractor.model.fingerprint
    plan_sweep(database, s3, "sweep", model, base, base + "results/", 1024)
    extract_batch(database, s3, extractor, "sweep", 0)
    found = contents(database, base)
    assert len(found) == IMAGES + 1
    return found


def client_of(proxy, server, retries):
    return s3_client(
        {**CLIENT_CONFIG, "retries": retries},
        endpoint_url=proxy.url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
    )


def nothing_is_held(postgres, database):
    """No session of this database does anything, hence none holds a lock.

    Autovacuum is none of ours, and a session reads as busy for a moment after its last answer.
    """
    name = psycopg.conninfo.conninfo_to_dict(database.conninfo)["dbname"]
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND state <> 'idle'"
        " AND backend_type = 'client backend'"
    )
    until = time.monotonic() + 60
    with psycopg.connect(postgres.admin_dsn, autocommit=True) as connection:
        while connection.execute(query, [name]).fetchone() != (0,):
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        return True


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500, first=2),
        Fault(status=503, first=2),
        Fault(cut=True, first=3),
        Fault(delay_s=0.5),
    ],
    ids=["500", "503", "cut off", "slow"],
)
def test_a_batch_bears_with_an_s3_that_errs_now_and_then(
    fault, planned, database, s3_server, extractor, undisturbed, monkeypatch
):
    monkeypatch.setattr("landmark.storage.bucket.PAUSES_S", (0.1,) * 4)
    with fault_proxy(s3_server.port) as proxy:
        proxy.begin(fault)
        extract_batch(database, client_of(proxy, s3_server, RETRIES), extractor, "sweep", 0)
        assert proxy.faulty > IMAGES
    assert contents(database, planned) == undisturbed
    assert finish_sweep(database, "sweep").left == 0


def test_an_s3_that_is_away_is_no_failure_of_its_images(
    planned, database, s3, s3_server, extractor, undisturbed
):
    class UntilTheMiddle:
        model, decode, calls = extractor.model, extractor.decode, count(1)

        def extract_decoded(self, image, path):
            if next(self.calls) == MIDDLE:
                proxy.begin(Fault(status=503))
            return extractor.extract_decoded(image, path)

    with fault_proxy(s3_server.port) as proxy:
        client = client_of(proxy, s3_server, {"max_attempts": 0})
        # Downloads run ahead of the extraction: the last ones are late.
        proxy.begin(Fault(delay_s=0.1))
        with pytest.raises(ServerFault):
            extract_batch(database, client, UntilTheMiddle(), "sweep", 0)
    assert 0 < len(contents(database, planned)) < len(undisturbed)
    extract_batch(database, s3, extractor, "sweep", 0)
    assert contents(database, planned) == undisturbed


def test_a_database_that_refuses_in_the_middle_loses_nothing(
    planned, database, s3, extractor, undisturbed, postgres
):
    name = psycopg.conninfo.conninfo_to_dict(database.conninfo)["dbname"]

    def allow(connections):
        with psycopg.connect(postgres.admin_dsn, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {connections}")

    class UntilTheMiddle:
        model, decode, calls = extractor.model, extractor.decode, count(1)

        def extract_decoded(self, image, path):
            if next(self.calls) == MIDDLE:
                allow("false")
                with psycopg.connect(postgres.admin_dsn, autocommit=True) as connection:
                    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    connection.execute(end + " WHERE datname = %s", [name])
            return extractor.extract_decoded(image, path)

    with pytest.raises(psycopg.OperationalError):
        extract_batch(database, s3, UntilTheMiddle(), "sweep", 0)
    allow("true")
    assert 0 < len(contents(database, planned)) < len(undisturbed)
    extract_batch(database, s3, extractor, "sweep", 0)
    assert contents(database, planned) == undisturbed
    assert nothing_is_held(postgres, database)


PROGRAM = """
import json, sys, time
from itertools import count
from landmark.extraction.extractor import load_extractor
from landmark.extraction.models import resolve_model
from landmark.index.extract import extract_batch
from landmark.settings import Settings
from landmark.storage.database import Database
from stack.s3 import S3

options = json.loads(sys.argv[1])
extractor = load_extractor(resolve_model(Settings(model=options["model"])))

class UntilTheMiddle:
    model, decode, calls = extractor.model, extractor.decode, count(1)

    def extract_decoded(self, image, path):
        if next(self.calls) == options["middle"]:
            print("in the middle", flush=True)
            time.sleep(600)
        return extractor.extract_decoded(image, path)

database, client = Database(options["database"]), S3(*options["s3"]).client()
extract_batch(database, client, UntilTheMiddle(), "sweep", 0)
"""


def test_a_batch_that_is_killed_goes_on_where_it_stopped(
    planned, database, s3, s3_server, extractor, undisturbed, postgres
):
    options = {
        "model": str(BUNDLED_MODEL),
        "database": database.conninfo,
        "s3": [s3_server.port, s3_server.access_key, s3_server.secret_key],
        "middle": MIDDLE,
    }
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, json.dumps(options)],
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert "in the middle" in process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert 0 < len(contents(database, planned)) < len(undisturbed)
    assert nothing_is_held(postgres, database)
    extract_batch(database, s3, extractor, "sweep", 0)
    assert contents(database, planned) == undisturbed
    assert finish_sweep(database, "sweep").left == 0


def test_a_search_that_loses_its_database_says_so_and_finds_the_same_when_tried_again(
    database, dask_client, make_view, monkeypatch, postgres
):
    for place in range(4):
        for view in range(3):
            save_image(database, f"s3://b/{place}/{view}.jpg", MODEL, "1", make_view(place, view))

    def search():
        return rank_alone(database, dask_client, MODEL, Query("s3://b/q.jpg", make_view(1, 9)), 100)

    expected = search()

    def then_lose_the_database(*arguments):
        found = list_partitions(*arguments)
        with database.connect() as connection:
            end_other_sessions(connection)
        return found

    monkeypatch.setattr("landmark.search.rank.list_partitions", then_lose_the_database)
    with pytest.raises((psycopg.Error, ServerFault)):
        search()
    monkeypatch.undo()
    assert search() == expected
    assert nothing_is_held(postgres, database)
