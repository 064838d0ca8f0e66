"""The environment of the stack's processes: Airflow's configuration and Landmark's settings."""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dask.system import CPU_COUNT
from distributed.system import MEMORY_LIMIT
from psycopg.conninfo import make_conninfo

from stack.certificates import dask_variables
from stack.net import HOST, StackError
from stack.postgres import ROLES, Postgres
from stack.s3 import BUCKET, CLIENT_CONFIG, S3, s3_client
from stack.state import REPOSITORY, State, write_private

#: Where each part listens if it can.
PREFERRED_PORTS = {
    "airflow": 8080,
    "postgres": 5433,
    "s3": 9000,
    "dask": 8786,
    "dask-dashboard": 8787,
}
UI_USER = "admin"
CONN_POSTGRES = "AIRFLOW_CONN_LANDMARK_POSTGRES"
CONN_S3 = "AIRFLOW_CONN_LANDMARK_S3"
#: What a Python program needs of the environment that the stack is started from.
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
#: What the scheduler tells by HTTP: that it is well, and how many workers it has.
DASK_ROUTES = ["distributed.http.health", "distributed.http.scheduler.json"]
BATCHES_AT_ONCE = "LANDMARK_BATCHES_AT_ONCE"
#: At rest nobody looks at what Dask measures of itself fifty times a second, or a hundred.
QUIET_DASK = {
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__WORKER__MEMORY__MONITOR_INTERVAL": "500ms",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "500ms",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "2s",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__GIL__ENABLED": "False",
}
#: Of a process that extracts, with its decoders.
BATCH_BYTES = 1_400_000_000
#: Airflow runs no more tasks of a DAG at once, and each has eight connections to Postgres.
MOST_BATCHES = 16


@dataclass(frozen=True)
class Addresses:
    """The servers of one running stack: who listens where, and with which password."""

    state: State
    ports: Mapping[str, int]

    @property
    def postgres(self) -> Postgres:
        """The Postgres server."""
        secret = self.state.secret
        return Postgres(
            self.ports["postgres"], {role: secret(f"postgres {role}") for role in ROLES}
        )

    @property
    def s3(self) -> S3:
        """The S3 server."""
        secret = self.state.secret
        return S3(self.ports["s3"], secret("s3 access key"), secret("s3 secret key"))

    @property
    def ui(self) -> str:
        """Airflow's UI and API."""
        return f"http://{HOST}:{self.ports['airflow']}"

    @property
    def ui_password(self) -> str:
        """The password of `UI_USER`."""
        return self.state.secret("airflow ui", lambda: secrets.token_urlsafe(12))

    @property
    def dask(self) -> str:
        """The Dask scheduler."""
        return f"tls://{HOST}:{self.ports['dask']}"

    @property
    def dask_dashboard(self) -> str:
        """The Dask scheduler's HTTP server."""
        return f"http://{HOST}:{self.ports['dask-dashboard']}"


def landmark_variables(addresses: Addresses) -> dict[str, str]:
    """Return where Landmark finds its model, images, results, database, S3 and Dask.

    What the user has set already wins: so a user points the stack at servers of their own.
    """
    postgres, s3 = addresses.postgres, addresses.s3
    variables = {
        "LANDMARK_MODEL": str(REPOSITORY / "include" / "models" / "landmark-v1"),
        "LANDMARK_IMAGES": f"s3://{BUCKET}/images/",
        "LANDMARK_RESULTS": f"s3://{BUCKET}/results/",
        "LANDMARK_UPLOADS": f"s3://{BUCKET}/uploads/",
        "LANDMARK_DASK": addresses.dask,
        BATCHES_AT_ONCE: str(_batches_at_once()),
        CONN_POSTGRES: json.dumps(
            {
                "conn_type": "postgres",
                "host": HOST,
                "port": postgres.port,
                "login": "landmark",
                "password": postgres.passwords["landmark"],
                "schema": "landmark",
            }
        ),
        CONN_S3: json.dumps(
            {
                "conn_type": "aws",
                "login": s3.access_key,
                "password": s3.secret_key,
                "extra": {
                    "endpoint_url": s3.endpoint_url,
                    "region_name": "us-east-1",
                    "config_kwargs": CLIENT_CONFIG,
                },
            }
        ),
    }
    found = {name: os.environ.get(name) or value for name, value in variables.items()}
    if "://" not in found["LANDMARK_MODEL"]:  # the parts run elsewhere
        found["LANDMARK_MODEL"] = os.path.abspath(found["LANDMARK_MODEL"])
    return found


def _batches_at_once() -> int:
    """One on each core, as far as half of the memory reaches; what the user has set wins.

    Raises
    ------
    StackError
        If that is no number.
    """
    asked = os.environ.get(BATCHES_AT_ONCE)
    if asked:
        if not asked.isdecimal() or not int(asked):
            raise StackError(f"{BATCHES_AT_ONCE}={asked}: no number of batches; set 1 or more")
        return int(asked)
    if os.environ.get("LANDMARK_MODEL"):
        return 2  # who knows how large it is
    return max(1, min(CPU_COUNT, MEMORY_LIMIT // 2 // BATCH_BYTES, MOST_BATCHES))


def airflow_variables(addresses: Addresses) -> dict[str, str]:
    """Return Airflow's configuration: all on 127.0.0.1, small, and quick to notice new work."""
    state, postgres = addresses.state, addresses.postgres
    password = postgres.passwords["airflow"]
    return {
        "AIRFLOW_HOME": str(state.airflow),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": (
            f"postgresql+psycopg2://airflow:{password}@{HOST}:{postgres.port}/airflow"
        ),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        # Searches have tasks of their own beside a sweep's.
        "AIRFLOW__CORE__PARALLELISM": str(_batches_at_once() + 2),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        # The machine's name may take seconds to look up where there is no name server.
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "AIRFLOW__CORE__FERNET_KEY": state.secret("airflow fernet", _fernet_key),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{addresses.ui}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{UI_USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(_passwords_file(state)),
        "AIRFLOW__API__BASE_URL": addresses.ui,
        "AIRFLOW__API__SECRET_KEY": state.secret("airflow api"),
        "AIRFLOW__API_AUTH__JWT_SECRET": state.secret("airflow jwt"),
        # Each look for work costs 8 ms here and as much in Postgres; what is new wakes it sooner.
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "5",
        # Of scheduler and DAG processor; unwell is who is silent for 30 s.
        "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "10",
        # Until tasks whose process or whose scheduler was killed are tried again; 300 by default.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "120",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "60",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "20",
        # Our DAGs change with a new version; a file that has changed is read at once.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        # Two cores under full load answer late; five seconds were not always enough.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
    }


def stack_variables(addresses: Addresses) -> dict[str, str]:
    """Return everything that the stack adds to the environment it was started from."""
    landmark = landmark_variables(addresses)
    # Of a scheduler of their own the user knows the certificates.
    ours = landmark["LANDMARK_DASK"] == addresses.dask
    return {
        **landmark,
        **airflow_variables(addresses),
        **(dask_variables(addresses.state.dask_certificate) if ours else {}),
        **_program_variables(addresses.state),
    }


def dask_environment(state: State) -> dict[str, str]:
    """Return the whole environment of Dask's scheduler and workers: it has no secret.

    Code that comes with a search runs there; the address of Postgres comes with its tasks.
    """
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return {
        **kept,
        **_program_variables(state),
        **dask_variables(state.dask_certificate),
        "DASK_TEMPORARY_DIRECTORY": str(state.dask),
        # Its pages would show every user of this machine what is searched for.
        "DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES": str(DASK_ROUTES),
        "DASK_DISTRIBUTED__WORKER__HTTP__ROUTES": "[]",
        **QUIET_DASK,
    }


def _program_variables(state: State) -> dict[str, str]:
    return {
        "LANDMARK_STATE": str(state.folder),
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY / "plugins"), str(REPOSITORY / "include")]),
        "PYTHONUNBUFFERED": "1",
        # One thread a process: as many processes run as there are cores.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


def write_ui_password(addresses: Addresses) -> None:
    """Tell Airflow the password of the UI's one user."""
    write_private(_passwords_file(addresses.state), {UI_USER: addresses.ui_password})


def landmark_s3_client(variables: Mapping[str, str]) -> Any:
    """Return a boto3 client of the connection that the stack's DAGs use."""
    connection = json.loads(variables[CONN_S3])
    extra = connection.get("extra") or {}
    if isinstance(extra, str):
        extra = json.loads(extra)
    return s3_client(
        extra.get("config_kwargs", {}),
        aws_access_key_id=connection.get("login"),
        aws_secret_access_key=connection.get("password"),
        endpoint_url=extra.get("endpoint_url"),
        region_name=extra.get("region_name"),
    )


def landmark_conninfo(variables: Mapping[str, str]) -> str:
    """Return for libpq the connection to the features that the stack's DAGs use.

    Raises
    ------
    ValueError
        If it is neither JSON nor an address.
    """
    said = variables[CONN_POSTGRES]
    if not said.lstrip().startswith("{"):
        return said.partition("?")[0]  # Airflow's extras are not all libpq's
    connection = json.loads(said)
    found = {name: connection.get(name) for name in ("host", "port", "password")}
    return make_conninfo(user=connection.get("login"), dbname=connection.get("schema"), **found)


def _passwords_file(state: State) -> Any:
    return state.airflow / "passwords.json"


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()
