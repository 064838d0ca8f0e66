"""Airflow in the tests' own process, on the real Postgres and S3, without its servers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def _airflow_environment(postgres, s3_server, tmp_path_factory):
    """The connections and settings of a deployment, and Airflow's tables."""
    home = tmp_path_factory.mktemp("airflow")
    database = postgres.create_database("airflow_in_process", "airflow")
    s3 = {
        "conn_type": "aws",
        "login": s3_server.access_key,
        "password": s3_server.secret_key,
        # By name, as servers are; no word of checksums or of addresses.
        "extra": {"endpoint_url": f"http://localhost:{s3_server.port}"},
    }
    environment = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.replace("://", "+psycopg2://"),
        "AIRFLOW_CONN_LANDMARK_POSTGRES": postgres.create_database("landmark_in_process"),
        "AIRFLOW_CONN_LANDMARK_S3": json.dumps(s3),
        "LANDMARK_MODEL": str(REPOSITORY / "include/models/landmark-v1"),
        "LANDMARK_DASK": "local",
    }
    assert "airflow" not in sys.modules, "Airflow reads its settings when it is first imported"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True)
        import airflow.settings
    yield environment
    airflow.settings.dispose_orm()  # before its database stops


@pytest.fixture(scope="module")
def airflow(_airflow_environment):
    """What a module's tests see of it: the variables of a task, or of the API server."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _airflow_environment.items():
            patch.setenv(name, value)
        yield
