"""The database: connections, one point in time, locks, and the schema of `include/sql`."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import class_row
from typing_extensions import LiteralString

from landmark.errors import LandmarkError, ServerFault
from landmark.storage.connections import Login, connect, open_connection, pin

logger = logging.getLogger(__name__)

Row = TypeVar("Row")

SQL = Path(__file__).resolve().parents[3] / "include" / "sql"

# Any fixed number does: it keeps two processes from migrating at once, and is the class of locks
# that keep them from other work.
MIGRATION_LOCK = 0x6C616E64
LOCK_POLL_S = 2.0
# Its searches of an index go on until they have as many images as were asked for.
PGVECTOR = (0, 8)


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
    login : callable
        Gives what else a new connection needs, such as a password that is good for minutes.
    """

    conninfo: str = field(repr=False)
    snapshot: str = ""
    login: Login = field(default=dict, repr=False, compare=False)

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
        connection = self._open(application_name="landmark snapshot")
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with connection:
            pin(connection)
            row = connection.execute("SELECT pg_export_snapshot()").fetchone()
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
        ServerFault
            If the server takes no writes, or does not know the snapshot.
        """
        try:
            with connect(self.conninfo, self.login) as connection:
                if self.snapshot:
                    _look_at(connection, self.snapshot)
                yield connection
        except psycopg.errors.ReadOnlySqlTransaction as error:
            if self.snapshot:  # ours, on any server
                raise
            raise _takes_no_writes(error) from None
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
            with self._open(autocommit=True) as connection:
                pin(connection, "SESSION")
                yield connection
        except psycopg.errors.InsufficientPrivilege as error:
            raise LandmarkError(
                f"{str(error).splitlines()[0]}: only the owner of the tables may make or drop the "
                f"index of global descriptors; run `landmark describe` as that role"
            ) from None

    def logged_in(self) -> Database:
        """The database for another process, which cannot ask for a login: with one of now."""
        return replace(self, login=partial(dict, self.login()))

    def _open(self, **options: Any) -> psycopg.Connection[Any]:
        return open_connection(self.conninfo, **self.login(), **options)

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
        with self.connect() as connection:
            _check_pgvector(connection)
            if not set(wanted) - _applied(connection):
                return []
        names = []
        try:
            with self._open() as connection:
                pin(connection)
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
        except psycopg.errors.ReadOnlySqlTransaction as error:
            raise _takes_no_writes(error) from None
        except psycopg.errors.InsufficientPrivilege as error:
            raise LandmarkError(
                f"{str(error).splitlines()[0]}: the tables are missing or older than this version, "
                f"and this role may not make them; run `landmark migrate` as their "
                f"owner"
            ) from None
        return names

    @contextmanager
    def alone(self, work: str, wait: bool = True) -> Iterator[bool]:
        """Wait until no other process is at work of this name; whoever dies lets go of it.

        Parameters
        ----------
        wait : bool
            Otherwise go on at once, though another is at work.

        Yields
        ------
        bool
            Whether no other is.

        Raises
        ------
        psycopg.OperationalError
            At the end, if the lock was lost meanwhile: another may have been at work, too.
        """
        # The lock is a transaction's, not a session's: a pooler may give a session to another. It
        # keeps no snapshot, which would keep an index from being built concurrently: hence no
        # waiting inside of Postgres, and a cursor whose statements leave no open portal.
        lock = "SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))"
        with self._open() as connection:
            pin(connection)
            cursor = psycopg.ClientCursor(connection)
            while cursor.execute(lock, [MIGRATION_LOCK, work]).fetchone() != (True,):
                connection.rollback()
                if not wait:
                    yield False
                    return
                logger.info("waiting for another process: %s", work)
                time.sleep(LOCK_POLL_S)
                pin(connection)
            yield True
            connection.execute("SELECT")


def _applied(connection: psycopg.Connection[Any]) -> set[int]:
    if connection.execute("SELECT to_regclass('landmark_migrations')").fetchone() == (None,):
        return set()
    return {number for (number,) in connection.execute("SELECT number FROM landmark_migrations")}


def _check_pgvector(connection: psycopg.Connection[Any]) -> None:
    """Refuse a pgvector that is not there, is too old, or is not found, with what to run."""
    row = connection.execute(
        "SELECT extversion, default_version, extnamespace::regnamespace::text,"
        " to_regtype('halfvec') IS NOT NULL, current_setting('search_path'), current_database(),"
        " quote_ident(current_user)"
        " FROM (VALUES ('vector')) AS wanted(name)"
        " LEFT JOIN pg_available_extensions USING (name)"
        " LEFT JOIN pg_extension ON extname = wanted.name"
    ).fetchone()
    assert row is not None
    installed, available, schema, found, search_path, database, role = row
    if _version(installed or available) < PGVECTOR:
        version, wanted = installed or available, ".".join(map(str, PGVECTOR))
        reason = f"is {version}, older than {wanted}" if version else "is not on the server"
        remedy = f"install pgvector {wanted} or newer there"
        if installed:
            update = "run ALTER EXTENSION vector UPDATE as a superuser"
            remedy = update if _version(available) >= PGVECTOR else f"{remedy}, then {update}"
        raise LandmarkError(f"database {database}: pgvector {reason}; {remedy}")
    if installed and not found:
        reason, remedy = (
            "is not on the search_path",
            f'ALTER DATABASE "{database}" SET search_path = {search_path}, {schema}',
        )
        if schema in search_path.split(", "):
            reason, remedy = "is closed to this role", f"GRANT USAGE ON SCHEMA {schema} TO {role}"
        raise LandmarkError(
            f"database {database}: pgvector {installed} is in the schema {schema}, which {reason}; "
            f"run {remedy} as its owner"
        )


def _version(text: str | None) -> tuple[int, ...]:
    return tuple(int(part) for part in (text or "0").split(".")[:2] if part.isdecimal())


def _look_at(connection: psycopg.Connection[Any], snapshot: str) -> None:
    """Let a transaction that has begun see what the snapshot's sees."""
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
    except psycopg.errors.UndefinedObject as error:
        raise ServerFault(
            f"{str(error).splitlines()[0]}: Postgres was restarted in the middle of the search, or "
            f"LANDMARK_DASK_POSTGRES_CONN_ID names another server than the tasks', such as a "
            f"replica; name the same there"
        ) from None


def _takes_no_writes(error: psycopg.errors.ReadOnlySqlTransaction) -> ServerFault:
    return ServerFault(
        f"{str(error).splitlines()[0]}: the server takes no writes, as a replica does; name the "
        f"primary in the connection, or several hosts with target_session_attrs=read-write"
    )


def _lacks_right(error: psycopg.errors.InsufficientPrivilege) -> LandmarkError:
    return LandmarkError(
        f"{str(error).splitlines()[0]}; connect as a role with the rights of "
        f"include/sql/admin/roles.sql"
    )
