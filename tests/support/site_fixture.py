"""The pages' app by itself: real Postgres and S3, and runs as Airflow's tables would have them.

Airflow's login is left out: `test_pages.py` has it.
"""

from __future__ import annotations

import json
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import Request
from psycopg.types.json import Jsonb

from landmark.settings import Settings

SEARCH = "landmark_search"


@dataclass(frozen=True)
class Site:
    """The app, and what it reads.

    Parameters
    ----------
    app : FastAPI
    landmark : Landmark
        The settings, database and S3 of the pages.
    base : str
        ``s3://bucket/…/`` of this test alone.
    tables : str
        A superuser's address of Airflow's database.
    """

    app: Any
    landmark: Any
    base: str
    tables: str

    @asynccontextmanager
    async def browser(self, user: str = "ada"):
        """A client that is logged in by this name."""
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://pages", headers={"X-User": user}, timeout=60
        ) as client:
            yield client

    def run(
        self,
        run_id: str,
        conf: Any,
        xcoms: dict[tuple[str, str], Any],
        dag_id: str = SEARCH,
    ) -> None:
        """Write a run that has ended well, and what its tasks have told."""
        with psycopg.connect(self.tables) as connection:
            # The rows of its tasks, to which those of XCom belong, are left out.
            connection.execute("SET session_replication_role = replica")
            row = connection.execute(
                "INSERT INTO dag_run (dag_id, run_id, state, run_type, run_after, conf, "
                "clear_number, span_status, triggered_by) VALUES (%s, %s, 'success', 'manual', "
                "now(), %s, 0, 'not_started', 'UI') RETURNING id",
                [dag_id, run_id, Jsonb(conf)],
            ).fetchone()
            for (task, key), value in xcoms.items():
                connection.execute(
                    "INSERT INTO xcom (dag_run_id, task_id, map_index, key, dag_id, run_id, "
                    "value, timestamp) VALUES (%s, %s, -1, %s, %s, %s, %s, now())",
                    [row[0], task, key, dag_id, run_id, Jsonb(value)],
                )

    def put(self, path: str, body: bytes) -> None:
        """Put an object at ``s3://bucket/key``."""
        bucket, _, key = path.removeprefix("s3://").partition("/")
        self.landmark.s3.put_object(Bucket=bucket, Key=key, Body=body)

    def overview(self, run_id: str, folder: str, query: str, at: str | None = None) -> None:
        """Write a run's searches.json, of one photograph that was read."""
        search = {"query": query, "folder": folder, "is_read": True}
        fields = {"run_id": run_id, "folder": folder, "searches": [search]}
        self.put((at or folder) + "searches.json", json.dumps(fields).encode())


@pytest.fixture
def site(airflow, postgres, database, s3, prefix, monkeypatch):
    from airflow.api_fastapi.core_api.security import get_user

    from landmark_airflow import Landmark
    from landmark_web import permissions
    from landmark_web.app import app

    def user(request: Request) -> SimpleNamespace:
        name = request.headers["x-user"]
        return SimpleNamespace(get_id=lambda: name, get_name=lambda: name)

    def nothing() -> None:
        """Every right."""

    rights = [right for name, right in vars(permissions).items() if name.startswith("may_")]
    monkeypatch.setattr(app, "dependency_overrides", dict.fromkeys(rights, nothing))
    app.dependency_overrides[get_user] = user
    for name, module in list(sys.modules.items()):
        if name.startswith("landmark_web.pages.") and hasattr(module, "allowed"):
            monkeypatch.setattr(module, "allowed", lambda *_: True)

    base = prefix()
    settings = Settings(
        images=base + "images/",
        results=base + "results/",
        uploads=base + "uploads/",
        queries=f"{base}queries/,{base}results/,{base}uploads/",
    )
    landmark = Landmark(settings, database, s3)
    for name, module in list(sys.modules.items()):
        if name.startswith("landmark_web.") and hasattr(module, "connected"):
            monkeypatch.setattr(module, "connected", lambda: landmark)
    return Site(app, landmark, base, postgres.url("postgres", "airflow_in_process"))
