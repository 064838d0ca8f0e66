"""The database: connections, one point in time, locks, and the schema of `include/sql`."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import class_row
from typing_extensions import LiteralString

from landmark.errors import LandmarkError
from landmark.storage.connections import connect

logger = logging.getLogger(__name__)

Row = TypeVar("Row")

SQL = Path(__file__).resolve().parents[3] / "include" / "sql"

# Any fixed number does: it keeps two processes from migrating at once, and is the class of locks
# that keep them from other work.
MIGRATION_LOCK = 0x6C616E64
LOCK_POLL_S = 2.0


@dataclass(frozen=True)
class Database:
    """A Postgres with our tables; what reads and writes them takes it.

    Safe to pickle into a Dask task; `repr` and logs do not show the password.

    Parameters
    ----------
    conninfo : str
        libpq's connection string or URI.
    snapshot : str
        See `at_one_time`.
    """

    conninfo: str = field(repr=False)
    snapshot: str = ""

    @contextmanager
    def at_one_time(self) -> Iterator[Database]:
        """The database as it is now, whatever is written meanwhile.

        Every connection of the database that this gives, in any process, sees the same rows: those
        that were committed by then. It reads only, and only until the block ends. Sweeps are not
        held up by it; building or dropping an index is.

        Raises
        ------
        psycopg.OperationalError
            At the block's end, if the database was away meanwhile: what was read may then be of
            two times.
        """
        # Nothing passes through this connection while others read, which firewalls take amiss.
        connection = psycopg.connect(
            self.conninfo, application_name="landmark snapshot", keepalives_idle=60
        )
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with connection:
            row = connection.execute(
                "SELECT pg_export_snapshot(),"
                " set_config('idle_in_transaction_session_timeout', '0', true)"
            ).fetchone()
            assert row is not None
            yield replace(self, snapshot=row[0])
            connection.execute("SELECT")

    @contextmanager
    def connect(self) -> Iterator[psycopg.Connection[Any]]:
        """One connection, one transaction: committed at the end, rolled back on an error.

        Raises
        ------
        LandmarkError
            If the tables are not there, or the role lacks a right to them.
        """
        try:
            with connect(self.conninfo) as connection:
                if self.snapshot:
                    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    connection.execute(
                        sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(self.snapshot))
                    )
                yield connection
        except psycopg.errors.UndefinedTable as error:
            raise LandmarkError(
                f"{str(error).splitlines()[0]}: the tables are not there; "
                f"run landmark_index once, or `landmark migrate`"
            ) from None
        except psycopg.errors.InsufficientPrivilege as error:
            raise _lacks_right(error) from None

    @contextmanager
    def as_owner(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection for what only the tables' owner may do, each statement by itself."""
        try:
            with psycopg.connect(self.conninfo, autocommit=True) as connection:
                yield connection
        except psycopg.errors.InsufficientPrivilege as error:
            raise LandmarkError(
                f"{str(error).splitlines()[0]}: only the owner of the tables may make or drop the "
                f"index of global descriptors; run `landmark describe` as that role"
            ) from None

    def rows(self, kind: type[Row], query: LiteralString, values: Any = None) -> list[Row]:
        """What a query selects, each row an object of a class by its columns' names."""
        with self.connect() as connection:
            return connection.cursor(row_factory=class_row(kind)).execute(query, values).fetchall()

    def migrate(self, last: int | None = None) -> list[str]:
        """Bring the schema up to date; what is applied already is left alone.

        Only a role that has something to do here needs the right to create tables.

        Parameters
        ----------
        last : int, optional
            Stop after this migration.

        Returns
        -------
        list of str
            The migrations applied by this call, in order.
        """
        files = {int(path.name.split("_")[0]): path for path in sorted(SQL.glob("[0-9]*.sql"))}
        wanted = [number for number in files if last is None or number <= last]
        if not set(wanted) - self._applied():
            return []
        names = []
        try:
            with psycopg.connect(self.conninfo, application_name="landmark") as connection:
                connection.execute("SELECT pg_advisory_xact_lock(%s)", [MIGRATION_LOCK])
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS landmark_migrations ("
                    "number integer PRIMARY KEY, name text NOT NULL, "
                    "applied_at timestamptz NOT NULL DEFAULT now())"
                )
                applied = _applied(connection)  # by another process meanwhile
                for number in wanted:
                    if number in applied:
                        continue
                    connection.execute(files[number].read_bytes())
                    connection.execute(
                        "INSERT INTO landmark_migrations (number, name) VALUES (%s, %s)",
                        [number, files[number].stem],
                    )
                    names.append(files[number].stem)
        except psycopg.errors.InsufficientPrivilege as error:
            raise LandmarkError(
                f"{str(error).splitlines()[0]}: the tables are missing or older than this version, "
                f"and this role may not make them; run `landmark migrate` as their "
                f"owner"
            ) from None
        return names

    def _applied(self) -> set[int]:
        with self.connect() as connection:
            row = connection.execute("SELECT to_regclass('landmark_migrations')").fetchone()
            return _applied(connection) if row != (None,) else set()

    @contextmanager
    def alone(self, work: str) -> Iterator[None]:
        """Wait until no other process is at work of this name; whoever dies lets go of it."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            # Waiting inside Postgres would keep an index from being built concurrently.
            lock = "SELECT pg_try_advisory_lock(%s, hashtext(%s))"
            while connection.execute(lock, [MIGRATION_LOCK, work]).fetchone() != (True,):
                logger.info("waiting for another process: %s", work)
                time.sleep(LOCK_POLL_S)
            yield


def _applied(connection: psycopg.Connection[Any]) -> set[int]:
    return {number for (number,) in connection.execute("SELECT number FROM landmark_migrations")}


def _lacks_right(error: psycopg.errors.InsufficientPrivilege) -> LandmarkError:
    return LandmarkError(
        f"{str(error).splitlines()[0]}; connect as a role with the rights of "
        f"include/sql/admin/roles.sql"
    )
