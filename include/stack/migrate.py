"""Airflow's own tables: `airflow db migrate`, but only where it has something to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import psycopg


def migrate() -> int:
    """Bring the database of this environment up to the installed Airflow; return an exit status.

    Asking Airflow itself costs nine seconds; so the revision that this version left is kept.
    """
    dsn = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")
    record = Path(os.environ["AIRFLOW_HOME"], "migrated.json")
    known = json.loads(record.read_text()) if record.exists() else None
    if known is None or known != [version("apache-airflow"), _revision(dsn)]:
        status = subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=False)
        if status.returncode:
            return status.returncode
        record.write_text(json.dumps([version("apache-airflow"), _revision(dsn)]))
    forget_triggerer(dsn)
    return 0


def forget_triggerer(dsn: str) -> None:
    """Forget that there was one, as in stacks of before: Airflow's pages would call it unwell."""
    with psycopg.connect(dsn) as connection:
        connection.execute("DELETE FROM job WHERE job_type = 'TriggererJob'")


def _revision(dsn: str) -> str | None:
    with psycopg.connect(dsn) as connection:
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except psycopg.errors.UndefinedTable:
            return None
    return row[0] if row else None
