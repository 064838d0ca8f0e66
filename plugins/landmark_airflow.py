"""What DAGs and pages take from Airflow: settings, database, S3; how a task fails and links."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Connection
    from airflow.sdk.types import TaskInstanceKey

    from landmark.settings import Settings
    from landmark.storage.database import Database


logger = logging.getLogger(__name__)

#: The tab that our plugin adds to a run's page, as it stands in the tab's address.
RUN_TAB = "landmark-run"

DEFAULT_BATCHES_AT_ONCE = 2
#: How S3 is spoken to, except for what the connection says: what AWS, rclone and others understand.
#: With botocore's own defaults a server that knows no checksums keeps their frames as content, and
#: a server without wildcards in its name is asked for at an address that nobody has.
S3_CONFIG: dict[str, Any] = {
    "s3": {"addressing_style": "path"},
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}


class Landmark(NamedTuple):
    """One task's, or one page's, view of the world.

    Parameters
    ----------
    settings : Settings
        Airflow Variables `LANDMARK_*` where set, else the environment.
    database : Database
        The database behind `LANDMARK_POSTGRES_CONN_ID`.
    s3 : boto3 client
        Of the connection `LANDMARK_AWS_CONN_ID`.
    """

    settings: Settings
    database: Database
    s3: Any


@contextmanager
def landmark() -> Iterator[Landmark]:
    """Connect a task; what a user must mend fails it at once, what may pass is tried again.

    The reason goes into XCom too, for the run's note and page.

    Imports stand inside: Airflow parses the DAG files, and this one, every few seconds.
    """
    from airflow.sdk import get_current_context
    from airflow.sdk.exceptions import AirflowFailException

    from landmark.errors import LandmarkError, ServerFault

    try:
        yield connect()
    except ServerFault as error:
        get_current_context()["ti"].xcom_push("reason", str(error))
        raise
    except LandmarkError as error:
        get_current_context()["ti"].xcom_push("reason", str(error))
        raise AirflowFailException(str(error)) from None


def connect() -> Landmark:
    """The settings, the database and S3, as Airflow's Variables and connections say."""
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook
    from botocore.config import Config

    from landmark.settings import load_settings
    from landmark.storage.bucket import RETRIES

    settings = load_settings(_variables())
    hook = S3Hook(settings.aws_conn_id)
    # The hook's own client tells AWS which operator asks. To find that out it reads the source of
    # all that is imported, which takes a task longer than the rest of its start.
    client = hook.get_session().client(
        "s3",
        endpoint_url=hook.conn_config.get_service_endpoint_url(service_name="s3"),
        config=Config(retries=RETRIES, **S3_CONFIG).merge(hook.config),
        verify=hook.verify,
    )
    return Landmark(settings, _database(settings.postgres_conn_id), client)


def give_way() -> None:
    """Let others have the processors first, from here to this task's end.

    Not where a DAG is tried in a process that has more to do than this task.
    """
    from airflow.sdk.execution_time import comms, task_runner

    if isinstance(getattr(task_runner, "SUPERVISOR_COMMS", None), comms.CommsDecoder):
        os.nice(10)


def batches_at_once() -> int:
    """`LANDMARK_BATCHES_AT_ONCE`; what is no number of batches must not cost us the DAG."""
    asked = os.environ.get("LANDMARK_BATCHES_AT_ONCE")
    if asked is None:
        return DEFAULT_BATCHES_AT_ONCE
    if asked.strip().isdecimal() and int(asked) > 0:
        return int(asked)
    logger.warning(
        "LANDMARK_BATCHES_AT_ONCE=%s: no number of batches; taking %d; set 1 or more",
        asked,
        DEFAULT_BATCHES_AT_ONCE,
    )
    return DEFAULT_BATCHES_AT_ONCE


def worker_database(settings: Settings) -> Database | None:
    """The database as Dask's workers are to reach it, None for the tasks' own way."""
    conn_id = settings.dask_postgres_conn_id
    return _database(conn_id) if conn_id is not None else None


def run_address(dag_id: str, run_id: str) -> str:
    """Where a run's result is shown: the tab of the run's page in Airflow."""
    from airflow.sdk.configuration import conf

    base = conf.get("api", "base_url", fallback="").rstrip("/")
    return f"{base}/dags/{dag_id}/runs/{quote(run_id, safe='')}/plugin/{RUN_TAB}"


class RunLink(BaseOperatorLink):
    """The button on a task's page that leads to its run's result."""

    name = "Landmark"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        return run_address(ti_key.dag_id, ti_key.run_id)


def _variables() -> Callable[[str], str | None]:
    """A look-up of Airflow Variables, which asks only for those that there are.

    In a task each question goes to Airflow's API: for all of our settings that takes longer than
    many a search's arithmetic. A secrets backend does not tell what it has, so there all are asked
    for; so they are by pages, which read the database themselves.
    """
    from airflow.sdk import Variable
    from airflow.sdk.configuration import conf
    from airflow.sdk.execution_time import task_runner

    from landmark.settings import PREFIX

    def get(name: str) -> str | None:
        value: str | None = Variable.get(name, default=None)
        return value

    backends = [("secrets", "backend"), ("workers", "secrets_backend")]
    in_a_task = getattr(task_runner, "SUPERVISOR_COMMS", None) is not None
    if not in_a_task or any(conf.get(*option, fallback="") for option in backends):
        return get
    there = {*Variable.keys(PREFIX)}
    return lambda name: get(name) if name in there or f"AIRFLOW_VAR_{name}" in os.environ else None


def _database(conn_id: str) -> Database:
    """The database of an Airflow connection, with those extras that libpq knows.

    With the extra `iam` each new connection asks the Postgres provider for a token instead of a
    password, as that is good for minutes only.
    """
    from psycopg.conninfo import make_conninfo
    from psycopg.pq import Conninfo

    from landmark.storage.database import Database

    connection = _connection(conn_id)
    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    extras = {key: value for key, value in connection.extra_dejson.items() if key in known}
    by_token = connection.extra_dejson.get("iam", False)
    conninfo = make_conninfo(
        host=connection.host,
        port=connection.port,
        user=connection.login,
        password=None if by_token else connection.password,
        dbname=connection.schema,
        **extras,
    )
    return Database(conninfo, login=partial(_token, conn_id)) if by_token else Database(conninfo)


def _token(conn_id: str) -> dict[str, Any]:
    """What the Postgres provider has a new connection log in with."""
    from airflow.providers.postgres.hooks.postgres import PostgresHook
    from botocore.exceptions import BotoCoreError, ClientError

    from landmark.errors import ServerFault

    try:
        user, password, port = PostgresHook(conn_id).get_iam_token(_connection(conn_id))
    except (BotoCoreError, ClientError) as error:
        raise ServerFault(
            f"connection {conn_id}: AWS gives no token for Postgres ({error}); check the region "
            f"and the rights of the connection that its extra aws_conn_id names, or aws_default"
        ) from error
    return {"user": user, "password": password, "port": port}


def _connection(conn_id: str) -> Connection:
    from airflow.providers.postgres.hooks.postgres import PostgresHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    from landmark.errors import LandmarkError

    try:
        return PostgresHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise LandmarkError(
            f"Airflow has no connection {conn_id}; make it, or name another in "
            f"LANDMARK_POSTGRES_CONN_ID or LANDMARK_DASK_POSTGRES_CONN_ID"
        ) from None
