"""A Postgres of its own for the length of a measurement, from the embedded stack's binaries."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from landmark.errors import LandmarkError
from landmark.storage.database import Database

INCLUDE = Path(__file__).resolve().parents[3] / "include"


@contextmanager
def scratch_database() -> Iterator[Database]:
    """An empty database with our tables, which goes with the block.

    Raises
    ------
    LandmarkError
        If no Postgres can be started here.
    """
    if str(INCLUDE) not in sys.path:
        sys.path.append(str(INCLUDE))
    try:
        from stack.net import StackError
        from stack.servers import start_postgres
    except ImportError as error:
        raise LandmarkError(
            f"no Postgres to measure in ({error}); pip install -r requirements.txt"
        ) from None
    try:
        with start_postgres() as postgres:
            database = Database(postgres.dsn)
            database.migrate()
            yield database
    except StackError as error:
        raise LandmarkError(f"no Postgres to measure in: {error}") from None
