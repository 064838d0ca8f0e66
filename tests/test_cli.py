"""The operators' command: what it says, and that it needs nothing but a database."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from landmark import cli

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"


def test_migrate_brings_an_empty_database_up_to_date_once(empty_database, capsys):
    command = ["migrate", "--database", empty_database.conninfo]
    assert cli.main(command) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("applied: 001_landmarks, 002_failures, ")
    assert last == "the tables are up to date"
    assert cli.main(command) == 0
    assert capsys.readouterr().out == "the tables are up to date\n"


def test_the_database_is_that_of_the_environment_unless_it_is_named(
    empty_database, monkeypatch, capsys
):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    assert cli.main(["models", "list"]) == 2
    assert "DATABASE_URL" in capsys.readouterr().err
    monkeypatch.setenv("DATABASE_URL", empty_database.conninfo)
    assert cli.main(["models", "list"]) == 0


def test_a_database_that_is_away_is_told_in_one_line(capsys):
    assert cli.main(["migrate", "--database", "postgresql://nobody@127.0.0.1:1/none"]) == 1
    told = capsys.readouterr().err.strip()
    assert "the database does not answer" in told and "\n" not in told


@pytest.mark.parametrize(
    "command",
    [
        "",
        "search",
        "migrate",
        "models",
        "models list",
        "models use",
        "models remove",
        "describe",
        "evaluate",
    ],
)
def test_every_command_tells_what_it_is_for(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main([*command.split(), "--help"])
    assert f"usage: landmark {command}" in " ".join(capsys.readouterr().out.split())


def test_it_runs_as_a_module(empty_database):
    ended = subprocess.run(
        [sys.executable, "-m", "landmark", "migrate"],
        env={**os.environ, "PYTHONPATH": str(PLUGINS), "DATABASE_URL": empty_database.conninfo},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.endswith("the tables are up to date\n")
