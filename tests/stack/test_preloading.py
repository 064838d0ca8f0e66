"""What Airflow's scheduler has imported when tasks are forked from it."""

import json
import os
import subprocess
import sys

import pytest

from stack.state import REPOSITORY

PROGRAM = (
    "import json, sys; before = set(sys.modules); sys.argv = json.loads(sys.argv[1]);"
    "import airflow_local_settings, threading;"
    "wanted = airflow_local_settings.OF_TASKS;"
    "print(json.dumps([[n for n in wanted if n in sys.modules], len(threading.enumerate())]))"
)


def run(program, *arguments, **variables):
    paths = [str(REPOSITORY / "plugins"), str(REPOSITORY / "include")]
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **variables},
        capture_output=True,
        text=True,
        check=True,
    )


def preloaded(arguments, **variables):
    done = run(PROGRAM, json.dumps(arguments), **variables)
    return *json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_the_scheduler_imports_what_tasks_need_and_starts_no_thread():
    """A thread of its own would not be there after a fork, nor its locks be free."""
    from airflow_local_settings import OF_TASKS

    found, threads, _ = preloaded(["airflow", "scheduler", "--skip-serve-logs"])
    assert found == list(OF_TASKS) and threads == 1


@pytest.mark.parametrize("arguments", [["airflow", "triggerer"], ["airflow"], ["-c"]])
def test_others_import_nothing_of_it(arguments):
    assert preloaded(arguments)[0] == []


def test_what_cannot_be_imported_stops_nobody(monkeypatch, caplog):
    import airflow_local_settings

    monkeypatch.setattr(airflow_local_settings, "OF_TASKS", ("no_such_module", "scipy.special"))
    airflow_local_settings.preload()
    assert "no_such_module is not preloaded" in caplog.text and "scipy.special" in sys.modules


def test_tasks_share_what_describes_s3():
    program = (
        "import sys; sys.argv = ['airflow', 'scheduler']; import airflow_local_settings, boto3;"
        "one, other = (boto3.session.Session()._loader for _ in range(2));"
        "read = {key[:3] for key in one._cache};"
        "print(one is other, ('load_service_model', 's3', 'service-2') in read)"
    )
    assert run(program).stdout.split() == ["True", "True"]
