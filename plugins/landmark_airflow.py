"""What the two DAGs take from Airflow: the settings, the database, S3, and how a task fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from landmark.settings import Settings
    from landmark.store import Store


class Landmark(NamedTuple):
    """One task's view of the world.

    Parameters
    ----------
    settings : Settings
        Airflow Variables `LANDMARK_*` where set, else the environment.
    store : Store
        The database behind `LANDMARK_POSTGRES_CONN_ID`.
    s3 : boto3 client
        Of the connection `LANDMARK_AWS_CONN_ID`.
    """

    settings: Settings
    store: Store
    s3: Any


@contextmanager
def landmark() -> Iterator[Landmark]:
    """Connect a task; what a user must mend fails it at once, without retries.

    Imports stand inside: Airflow parses the DAG files, and this one, every few seconds.
    """
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook
    from airflow.sdk import Variable
    from airflow.sdk.exceptions import AirflowFailException

    from landmark.errors import LandmarkError
    from landmark.settings import load_settings
    from landmark.store import Store

    try:
        settings = load_settings(lambda name: Variable.get(name, default=None))
        yield Landmark(
            settings=settings,
            store=Store(_conninfo(settings.postgres_conn_id)),
            s3=S3Hook(settings.aws_conn_id).get_conn(),
        )
    except LandmarkError as error:
        raise AirflowFailException(str(error)) from None


def _conninfo(conn_id: str) -> str:
    """libpq's connection string of an Airflow connection, with those extras that libpq knows."""
    from airflow.providers.postgres.hooks.postgres import PostgresHook
    from psycopg.conninfo import make_conninfo
    from psycopg.pq import Conninfo

    connection = PostgresHook.get_connection(conn_id)
    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    extras = {key: value for key, value in connection.extra_dejson.items() if key in known}
    return make_conninfo(
        host=connection.host,
        port=connection.port,
        user=connection.login,
        password=connection.password,
        dbname=connection.schema,
        **extras,
    )
