"""`make demo PHOTOS=`: what it takes of a folder, and what it says of the rest."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from psycopg.conninfo import conninfo_to_dict

from landmark.storage.images import record_failure
from stack import airflow_api, demo
from stack.environment import CONN_POSTGRES, landmark_conninfo
from stack.net import StackError


class Session:
    """A stack's variables, without the stack."""

    def __init__(self, variables: dict[str, str]) -> None:
        self.variables = variables


@pytest.fixture
def folder(tmp_path, photograph):
    """Photographs of several kinds, and other files."""
    home = tmp_path / "holiday"
    (home / "@eaDir").mkdir(parents=True)
    contents = {
        "a.HEIC": b"whatever",
        "b.jfif": photograph(1),
        "c": photograph(2),
        "film.mov": b"a film",
        "README": b"a text",
        "._b.jfif": b"of macOS",
        "@eaDir/b.jfif": photograph(1),
    }
    for name, content in contents.items():
        (home / name).write_bytes(content)
    return home


def test_a_folder_is_sorted_by_the_rule_of_sweeps(folder, monkeypatch, capsys):
    plan = demo.photos_plan(folder, None)
    assert plan.names == ["a.HEIC", "b.jfif", "c"]
    assert plan.queries == ["a.HEIC"]
    assert plan.left_out == {
        "._b.jfif": "excluded by ._*",
        "@eaDir/b.jfif": "excluded by @eaDir/",
        "README": "no photograph (no suffix)",
        "film.mov": "no photograph (.mov)",
    }
    demo.tell_each("4 left out:", plan.left_out)
    told = capsys.readouterr().out
    assert "4 left out:\n    ._b.jfif: excluded by ._*\n" in told
    assert "    film.mov: no photograph (.mov)\n" in told
    monkeypatch.setenv("LANDMARK_EXCLUDE", "*.jfif")
    assert demo.photos_plan(folder, None).names == ["a.HEIC", "c"]


def test_of_many_files_the_first_are_named(capsys):
    demo.tell_each("left out:", {f"{number}.txt": "no photograph (.txt)" for number in range(50)})
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 1 + demo.NAMED + 1
    assert told[-1].endswith("... 30 more")
    demo.tell_each("none", {})
    assert capsys.readouterr().out == ""


def test_what_cannot_be_searched_for_is_said_before_anything_starts(folder, tmp_path):
    with pytest.raises(StackError, match="film.mov is left out: no photograph .* search for anoth"):
        demo.photos_plan(folder, "film.mov")
    with pytest.raises(StackError, match="x.jpg is not in .* the first there is a.HEIC"):
        demo.photos_plan(folder, "x.jpg")
    empty = tmp_path / "texts"
    empty.mkdir()
    (empty / "a.txt").touch()
    with pytest.raises(StackError, match="no photographs .1 files left out: a.txt, no photograph"):
        demo.photos_plan(empty, None)


def test_a_photograph_that_failed_is_not_searched_for_unless_asked(folder):
    failed = {"a.HEIC": "damaged"}
    plan = demo.photos_plan(folder, None)
    assert demo.without_failed(plan, failed).queries == ["b.jfif"]
    assert demo.without_failed(plan, {}).queries == ["a.HEIC"]
    asked = demo.photos_plan(folder, "a.HEIC")
    assert demo.without_failed(asked, failed).queries == ["a.HEIC"]
    with pytest.raises(StackError, match="none of the photographs .* can be used"):
        demo.without_failed(plan, dict.fromkeys(plan.names, "damaged"))


def test_photographs_that_failed_are_told_with_the_reason(database, capsys):
    base = "s3://landmark/images/holiday/"
    for name, reason in (("b.jpg", "too small"), ("a.heic", "truncated; upload it again")):
        record_failure(database, base + name, "model", "etag", f"{base}{name}: {reason}")
    record_failure(database, "s3://landmark/images/x.jpg", "model", "etag", "of another folder")
    session = Session({CONN_POSTGRES: database.conninfo})
    failed = demo._failures(session, base)
    assert failed == {"a.heic": "truncated; upload it again", "b.jpg": "too small"}
    assert list(failed) == ["a.heic", "b.jpg"]
    away = Session({CONN_POSTGRES: "postgresql://nobody@127.0.0.1:1/none"})
    assert demo._failures(away, base) == {}
    assert "stands under Landmark, Index" in capsys.readouterr().out


def test_the_connection_of_the_dags_for_libpq(database):
    word = "p w"
    said = {"conn_type": "postgres", "host": "h", "port": 1, "login": "l", "schema": "s"}
    found = landmark_conninfo({CONN_POSTGRES: json.dumps({**said, "password": word})})
    assert conninfo_to_dict(found) == {
        "dbname": "s", "host": "h", "port": "1", "user": "l", "password": word,
    }  # fmt: skip
    address = "postgresql://l:p@h:1/s"
    assert landmark_conninfo({CONN_POSTGRES: f"{address}?cursor=x"}) == address


def test_a_run_is_waited_for_though_a_busy_airflow_does_not_answer(monkeypatch):
    answers = [
        {"access_token": "t"}, TimeoutError("timed out"),
        {"state": "running"}, ConnectionResetError("reset"),
        {"state": "success"}, {"task_instances": []},
    ]  # fmt: skip

    def request(*_):
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return 200, answer

    monkeypatch.setattr(airflow_api, "request", request)
    monkeypatch.setattr(airflow_api, "POLL_S", 0)
    api = airflow_api.AirflowApi(SimpleNamespace(ui="http://127.0.0.1:1", ui_password="x"))
    api.wait("landmark_index", "run")
    assert not answers
    answers.append(TimeoutError("timed out"))
    with pytest.raises(StackError, match="does not answer to /x: timed out; once the machine"):
        api.call("/x")
