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
    if known is not None and known == [version("apache-airflow"), _revision(dsn)]:
        return 0
    status = subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=False)
    if status.returncode == 0:
        record.write_text(json.dumps([version("apache-airflow"), _revision(dsn)]))
    return status.returncode


def _revision(dsn: str) -> str | None:
    with psycopg.connect(dsn) as connection:
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except psycopg.errors.UndefinedTable:
            return None
    return row[0] if row else None
