"""Who may have code run by the stack's Dask, and what that code finds there."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from dask.distributed import Client, Security
from intruder import let_in, ordinary_user
from stack_fixture import Stack

from stack.certificates import dask_variables, make_certificate
from stack.environment import PREFERRED_PORTS, Addresses, stack_variables
from stack.net import request
from stack.state import State

# The first test of a session waits for the whole stack; busy cores take minutes for that.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    """One with the certificate."""
    certificate = str(stack.state.dask_certificate)
    security = Security(
        require_encryption=True, tls_ca_file=certificate, tls_client_cert=certificate
    )
    with Client(stack.session.addresses.dask, timeout=60, security=security) as client:
        yield client


def processes(stack: Stack, client: Client) -> list[psutil.Process]:
    """The scheduler, and what starts the workers, with all that they have started."""
    pids = [*client.run(os.getppid).values(), client.run_on_scheduler(os.getpid)]
    first = [psutil.Process(pid) for pid in set(pids)]
    return [*first, *(child for parent in first for child in parent.children(recursive=True))]


def everybody(client: Client) -> set[str]:
    """The addresses of the scheduler, the workers and their nannies."""
    info = client.scheduler_info()
    nannies = {worker["nanny"] for worker in info["workers"].values()}
    return {info["address"], *info["workers"], *nannies}


@pytest.mark.parametrize("somebody", [list, ordinary_user], ids=["the user", "another"])
def test_nobody_without_the_certificate_has_code_run(
    stack: Stack, client: Client, somebody: type[list[str]]
) -> None:
    addresses = everybody(client)
    assert len(addresses) == 1 + 2 * len(client.scheduler_info()["workers"])
    assert let_in(addresses, somebody()) == set()
    assert let_in(addresses, certificate=stack.state.dask_certificate) == addresses


def test_no_other_user_reads_the_certificate(stack: Stack) -> None:
    mode = stack.state.dask_certificate.stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_what_dask_tells_by_http_is_only_how_it_is(stack: Stack, client: Client) -> None:
    listening = {
        connection.laddr.port
        for process in processes(stack, client)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    plain = listening - {int(address.rpartition(":")[2]) for address in everybody(client)}
    assert stack.session.addresses.ports["dask-dashboard"] in plain
    for port in plain:
        for page in ("status", "info/main/workers.html", "info/main/logs.html", "individual-plots"):
            assert request(f"http://127.0.0.1:{port}/{page}")[0] == 404


def test_dask_writes_in_the_state_folder(stack: Stack, client: Client) -> None:
    def folder(dask_scheduler: Any = None, dask_worker: Any = None) -> str:
        return (dask_scheduler or dask_worker).local_directory

    folders = [client.run_on_scheduler(folder), *client.run(folder).values()]
    assert {Path(place).parents[1] for place in folders} == {stack.state.dask}


def test_code_that_dask_runs_finds_no_secret_in_its_environment(
    stack: Stack, client: Client
) -> None:
    addresses, variables = stack.session.addresses, stack.session.variables
    secrets = {
        *addresses.postgres.passwords.values(),
        addresses.s3.secret_key,
        addresses.ui_password,
        variables["AIRFLOW__CORE__FERNET_KEY"],
        variables["AIRFLOW__API__SECRET_KEY"],
        variables["AIRFLOW__API_AUTH__JWT_SECRET"],
    }
    environments = [process.environ() for process in processes(stack, client)]
    environments += client.run(lambda: dict(os.environ)).values()
    assert len(environments) > 2 * len(client.scheduler_info()["workers"])
    for environment in environments:
        assert not [name for name in environment if name.startswith(("AIRFLOW", "AWS", "PG"))]
        assert not [secret for secret in secrets if secret in str(environment)]


def test_a_scheduler_of_the_users_own_keeps_its_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = Addresses(State(tmp_path), PREFERRED_PORTS)
    certificate = dask_variables(addresses.state.dask_certificate)
    assert certificate.items() <= stack_variables(addresses).items()
    monkeypatch.setenv("LANDMARK_DASK", "tls://dask.example.org:8786")
    assert not certificate.keys() & stack_variables(addresses).keys()


def test_a_certificate_stays(tmp_path: Path) -> None:
    """Containers that run go on with it when another is started."""
    file = tmp_path / "dask.pem"
    make_certificate(file)
    first = file.read_text()
    make_certificate(file)
    assert file.read_text() == first
