"""docker-compose.yaml, looked at without a Docker engine."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy.engine import make_url

from stack.certificates import dask_variables
from stack.containers import connections

REPOSITORY = Path(__file__).resolve().parents[2]
TEXT = (REPOSITORY / "docker-compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_SHOT = {"airflow-init", "dask-certificate"}
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)")


def example_keys() -> set[str]:
    lines = (REPOSITORY / ".env.example").read_text().splitlines()
    return {line.split("=")[0] for line in lines if line and not line.startswith("#")}


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - ONE_SHOT))
def test_a_lasting_service_has_a_health_check_and_comes_back(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", sorted(ONE_SHOT))
def test_a_one_shot_service_is_waited_for_until_it_has_ended(name: str) -> None:
    conditions = [
        service["depends_on"][name]["condition"]
        for service in SERVICES.values()
        if name in service.get("depends_on", {})
    ]
    assert conditions
    assert set(conditions) == {"service_completed_successfully"}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_images_are_pinned_to_a_version(name: str) -> None:
    tag = SERVICES[name]["image"].rpartition(":")[2]
    assert re.match(r"\d+\.\d+\.\d+", tag), SERVICES[name]["image"]


def test_the_base_image_is_pinned_and_left_for_an_ordinary_user() -> None:
    lines = (REPOSITORY / "Dockerfile").read_text().splitlines()
    bases = [line for line in lines if line.startswith("FROM ")]
    users = [line for line in lines if line.startswith("USER ")]
    assert all(re.search(r":\d+\.\d+\.\d+", base) for base in bases)
    assert users == ["USER landmark"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_service_runs_as_root(name: str) -> None:
    service = SERVICES[name]
    assert "build" in service or service["user"] not in ("root", "0")


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_ports_are_published_on_this_machine_only(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_what_a_service_depends_on_and_mounts_exists(name: str) -> None:
    assert SERVICES[name].get("depends_on", {}).keys() <= SERVICES.keys()
    for volume in SERVICES[name].get("volumes", []):
        source = volume.split(":")[0]
        if source.startswith("."):
            assert (REPOSITORY / source).exists()
        else:
            assert source in COMPOSE["volumes"]


def test_every_variable_is_in_the_example_and_every_example_is_used() -> None:
    assert set(VARIABLE.findall(TEXT)) == example_keys()


def test_no_secret_stands_in_a_file() -> None:
    for line in (REPOSITORY / ".env.example").read_text().splitlines():
        key, _, value = line.partition("=")
        if re.search("PASSWORD|SECRET|KEY", key) and not line.startswith("#"):
            assert not value, f"{key} has a value in .env.example"
    for line in TEXT.splitlines():
        if re.search(r"(PASSWORD|SECRET|KEY|password|login)\"?: ", line):
            assert "${" in line or "postgres:5432" in line, line


@pytest.mark.parametrize("name", ["dask-scheduler", "dask-workers"])
def test_dask_is_encrypted_and_has_no_secret(name: str) -> None:
    environment = SERVICES[name]["environment"]
    wanted = ("DASK_", "OMP_", "OPENBLAS_")
    assert [variable for variable in environment if not variable.startswith(wanted)] == []
    assert dask_variables(Path("/data/dask/dask.pem")).items() <= environment.items()
    assert not VARIABLE.findall(str(environment))
    assert SERVICES[name]["volumes"] == ["dask:/data/dask:ro"]


def test_the_clients_of_dask_have_its_certificate() -> None:
    scheduler = SERVICES["airflow-scheduler"]
    assert scheduler["environment"]["LANDMARK_DASK"].startswith("tls://")
    certificate = dask_variables(Path("/data/dask/dask.pem"))
    assert certificate.items() <= scheduler["environment"].items()
    assert "dask:/data/dask:ro" in scheduler["volumes"]


def test_secrets_have_no_default() -> None:
    for name, operator in re.findall(r"(?<!\$)\$\{(\w+)(:?[-?]?)", TEXT):
        if re.search("PASSWORD|SECRET|KEY", name):
            assert operator == ":?", name


def test_airflow_is_the_one_we_pin() -> None:
    pins = (REPOSITORY / "requirements.txt").read_text()
    assert "\napache-airflow==3.3.2 \\\n" in pins
    assert "-r requirements.txt" in (REPOSITORY / "Dockerfile").read_text()


@pytest.mark.parametrize("file", sorted(REPOSITORY.glob("requirements*.txt")), ids=str)
def test_every_pin_carries_the_hashes_of_its_files(file: Path) -> None:
    pins = [block for block in re.split(r"\n(?=\S)", file.read_text()) if "==" in block]
    assert pins and all(re.search(r"--hash=sha256:[0-9a-f]{64}", pin) for pin in pins)


@pytest.mark.parametrize("name", ["Makefile", "Dockerfile"])
def test_every_installation_checks_the_hashes(name: str) -> None:
    text = re.sub(r"\\\n\s*", " ", (REPOSITORY / name).read_text())
    installs = re.findall(r"pip install [^|;&]*", text)
    assert len(installs) >= 2 and all("--require-hashes" in install for install in installs)


ODD = '"a\\b\'c %$@:/,#é"'
SECRETS = ("LANDMARK_DB_PASSWORD", "AIRFLOW_DB_PASSWORD", "S3_ACCESS_KEY", "S3_SECRET_KEY")


def test_odd_secrets_reach_postgres_airflow_and_rclone_as_they_are() -> None:
    made = connections(dict.fromkeys(SECRETS, ODD))
    postgres, s3 = (
        json.loads(made[f"AIRFLOW_CONN_LANDMARK_{name}"]) for name in ("POSTGRES", "S3")
    )
    assert postgres["password"] == s3["login"] == s3["password"] == ODD
    airflow = make_url(made["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    assert (airflow.password, airflow.host, airflow.database) == (ODD, "postgres", "airflow")
    assert list(csv.reader([made["RCLONE_AUTH_KEY"]])) == [[f"{ODD},{ODD}"]]


def test_secrets_are_quoted_by_what_knows_how() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if set(VARIABLE.findall(value)) & set(SECRETS):
                assert re.fullmatch(r"\$\{\w+:\?set it in .env\}", value), name


def test_a_container_becomes_its_program_with_its_secrets(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords.json"
    environment = {
        **os.environ,
        **dict.fromkeys(SECRETS, ODD),
        "PYTHONPATH": str(REPOSITORY / "include"),
        "AIRFLOW_UI_PASSWORD": ODD,
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
    }
    command = [sys.executable, "-m", "stack.containers", "printenv", "AIRFLOW_CONN_LANDMARK_S3"]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(said.stdout)["password"] == ODD
    assert json.loads(passwords.read_text()) == {"admin": ODD}
    assert passwords.stat().st_mode & 0o077 == 0


def test_docker_compose_accepts_it(tmp_path: Path) -> None:
    """Where a docker-compose is installed; its other checks above need none."""
    command = _docker_compose()
    if command is None:
        return
    values = "".join(f"{key}=1\n" for key in sorted(example_keys()))
    env_file = tmp_path / "env"
    env_file.write_text(values)
    arguments = ["--env-file", str(env_file), "-f", str(REPOSITORY / "docker-compose.yaml")]
    result = subprocess.run(
        [*command, *arguments, "config", "-q"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def _docker_compose() -> list[str] | None:
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            version = subprocess.run([*command, "version"], capture_output=True, check=False)
            if version.returncode == 0:
                return command
    return None
