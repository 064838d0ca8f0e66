"""pgbouncer in transaction mode before the tests' Postgres: each transaction another session."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from stack.net import HOST, free_port
from stack.servers import _running

PROGRAM = shutil.which("pgbouncer", path=os.environ["PATH"] + ":/usr/sbin")
SESSIONS = 2


@contextmanager
def pooled(postgres: Any, database: str) -> Iterator[str]:
    """Give the address of a database behind a pooler that shares two sessions among all."""
    assert PROGRAM is not None
    port = free_port()
    address = f"postgresql://landmark@{HOST}:{port}/{database}"

    def answers() -> bool:
        try:
            psycopg.connect(address, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    with tempfile.TemporaryDirectory(prefix="landmark-pooler-") as folder:
        Path(folder).chmod(0o755)
        config = Path(folder, "pgbouncer.ini")
        config.write_text(
            f"[databases]\n{database} = host={HOST} port={postgres.port} user=landmark"
            f" password={postgres.passwords['landmark']}\n"
            f"[pgbouncer]\nlisten_addr = {HOST}\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = any\npool_mode = transaction\ndefault_pool_size = {SESSIONS}\n"
        )
        user = {"user": "nobody", "extra_groups": []} if os.geteuid() == 0 else {}
        with _running("pgbouncer", [PROGRAM, str(config)], os.environ, answers, **user):
            yield address
