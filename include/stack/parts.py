"""The processes of the stack: what each runs, what it needs, and when it is ready."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stack.environment import CONN_S3, Addresses, dask_environment
from stack.health import is_well
from stack.net import HOST, request
from stack.postgres import BARE_ENVIRONMENT, PostgresFiles


@dataclass(frozen=True)
class Part:
    """One supervised process.

    Parameters
    ----------
    name : str
    command : list of str
    ready : callable, optional
        Whether it does its work yet; None for a part that is ready once it has ended well.
    needs : tuple of str
        The parts that must be ready before this one starts.
    timeout_s : float
        From its start until it must be ready. Generous: cores with other work to do need minutes
        where idle ones need seconds, and a part that dies is noticed at once.
    user : str, optional
        Whom it runs as, if not whoever starts the stack.
    stop_signal : str
        What asks it to end.
    stop_group : bool
        Whether its children are asked too, or end by its own word.
    """

    name: str
    command: list[str]
    ready: Callable[[], bool] | None
    needs: tuple[str, ...] = ()
    timeout_s: float = 600.0
    user: str | None = None
    stop_signal: str = "TERM"
    stop_group: bool = True


def stack_parts(
    addresses: Addresses, variables: dict[str, str], files: PostgresFiles
) -> list[Part]:
    """Return the parts to run; S3 and Dask only where the user has not named others."""
    parts = [_postgres(addresses, files)]
    if addresses.s3.endpoint_url in variables[CONN_S3]:
        parts.append(_s3(addresses))
    if variables["LANDMARK_DASK"] == addresses.dask:
        parts += _dask(addresses)
    return parts + _airflow(addresses)


def _postgres(addresses: Addresses, files: PostgresFiles) -> Part:
    server = addresses.postgres

    def ready() -> bool:
        if not server.answers():
            return False
        server.create_databases()
        return True

    return Part(
        "postgres",
        _only_with(BARE_ENVIRONMENT, files.command(server.port)),
        ready,
        user=files.user,
        stop_signal="INT",  # ends sessions; TERM would wait for them
        stop_group=False,
    )


def _s3(addresses: Addresses) -> Part:
    command = addresses.s3.command(addresses.state.s3)
    return Part("s3", command, addresses.s3.answers)


def _dask(addresses: Addresses) -> list[Part]:
    from dask.system import CPU_COUNT

    def workers_ready() -> bool:
        try:
            _, counts = request(f"{addresses.dask_dashboard}/json/counts.json", timeout_s=2)
        except OSError:
            return False
        return bool(counts) and counts["workers"] >= CPU_COUNT

    environment = dask_environment(addresses.state)
    scheduler_command = [
        *(sys.executable, "-m", "dask", "scheduler", "--protocol=tls", "--no-dashboard"),
        f"--host={HOST}",
        f"--port={addresses.ports['dask']}",
        f"--dashboard-address={HOST}:{addresses.ports['dask-dashboard']}",
        "--preload=stack.heartbeats",
    ]
    workers_command = [sys.executable, "-m", "stack", "workers", addresses.dask]
    scheduler = Part(
        "dask-scheduler",
        _only_with(environment, scheduler_command),
        lambda: is_well(f"{addresses.dask_dashboard}/health"),
    )
    workers = Part("dask-workers", _only_with(environment, workers_command), workers_ready)
    return [scheduler, workers]


def _only_with(environment: Mapping[str, str], command: list[str]) -> list[str]:
    """Return the command without the environment of the supervisor, which has every secret."""
    variables = [f"{name}={value}" for name, value in environment.items()]
    return ["/usr/bin/env", "-i", *variables, *command]


def _airflow(addresses: Addresses) -> list[Part]:
    def healthy(component: str) -> Callable[[], bool]:
        return lambda: is_well(addresses.ui, component)

    airflow = [sys.executable, "-m", "airflow"]
    needs = ("airflow-migrate",)
    return [
        Part(
            "airflow-migrate",
            [sys.executable, "-m", "stack", "migrate"],
            None,
            needs=("postgres",),
        ),
        Part(
            "airflow-api",
            [
                *airflow,
                "api-server",
                f"--host={HOST}",
                f"--port={addresses.ports['airflow']}",
                "--workers=1",
            ],
            healthy("metadatabase"),
            needs,
        ),
        Part(
            "airflow-scheduler",
            [sys.executable, "-m", "stack", "scheduler"],
            healthy("scheduler"),
            needs,
        ),
        # No triggerer: none of our tasks waits in one, and it would not rest.
        Part(
            "airflow-dags",
            [*airflow, "dag-processor"],
            healthy("dag_processor"),
            needs,
        ),
    ]
