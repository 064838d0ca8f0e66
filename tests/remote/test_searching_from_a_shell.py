"""`landmark search` against an Airflow that answers as a real one does, page and REST."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import httpx
import pytest

from landmark import cli
from landmark.matching.ranking import Match, Step
from landmark.remote import airflow as rest
from landmark.remote import command
from landmark.search.result import SearchResult
from landmark.search.searches import Searches
from landmark.search.single import Search

RUN = "manual__2026-01-01T00:00:00+00:00"
FOLDER = "s3://b/results/run/"


def result_of(query, matches):
    return SearchResult(
        query=query,
        model="m",
        images_compared=1200,
        index_time="2026-01-01T00:00:00+00:00",
        mode="exhaustive",
        parameters={"min_inliers": 12},
        verdict="match" if matches else "no match",
        matches=matches,
    )


FOUND = [
    Match(176, 340, "s3://b/a\n.jpg", expected=3.13e-25),
    Match(14, 40, "s3://b/maybe.jpg", expected=0.4),
    Match(4, 31, "s3://b/c.jpg", (Step(90, "s3://b/a.jpg"), Step(87, "s3://b/c.jpg")), 12.2),
]


class Server:
    """Answers as Airflow and our pages do; each state of a run for one look at it."""

    def __init__(self):
        self.states = [
            ("queued", {}),
            ("running", {"extract_query": "running"}),
            ("running", {"extract_query": "success", "rank_matches": "running"}),
            ("running", {"extract_query": "success", "rank_matches": "success"}),
        ]
        self.look = 0
        self.uploaded, self.conf, self.away = [], None, 0
        self.found = {}
        self.reason, self.cancelled = None, None

    def __call__(self, request):
        path, method = request.url.path, request.method
        if path == "/auth/token":
            sent = json.loads(request.content)
            if (sent["username"], sent["password"]) != ("ada", "right"):
                return httpx.Response(401, json={"detail": "Invalid credentials"})
            return httpx.Response(201, json={"access_token": "t"})
        if request.headers.get("authorization") != "Bearer t":
            return httpx.Response(401, json={"detail": "Not authenticated"})
        if path == "/landmark/uploads":
            body = request.read()
            if b"no photograph" in body:
                return httpx.Response(400, json={"detail": "b.jpg: no image, damaged"})
            name = body.split(b'filename="')[1].split(b'"')[0].decode()
            self.uploaded.append(name)
            return httpx.Response(201, json={"image_path": f"s3://b/uploads/{name}"})
        if method == "POST" and path == "/api/v2/dags/landmark_search/dagRuns":
            self.conf = json.loads(request.content)["conf"]
            if self.conf.get("top_k") == 0:
                detail = "Invalid input for param top_k: 0 is less than\nthe minimum"
                return httpx.Response(400, json={"detail": detail})
            return httpx.Response(200, json={"dag_run_id": RUN})
        if path.endswith("/taskInstances"):
            tasks = self.states[min(self.look, len(self.states) - 1)][1]
            self.look += 1
            rows = [{"task_id": task, "state": state} for task, state in tasks.items()]
            return httpx.Response(200, json={"task_instances": rows})
        if path.endswith("/xcomEntries/progress"):
            return httpx.Response(200, json={"value": {"done": 30, "total": 120, "rate": 9.0}})
        if path.endswith("/extract_query/xcomEntries/reason") and self.reason:
            return httpx.Response(200, json={"value": self.reason})
        if path.endswith("/extract_query/xcomEntries/cancelled") and self.cancelled:
            return httpx.Response(200, json={"value": self.cancelled})
        if path.endswith("/searches.json"):
            searches = []
            for query, matches in self.found.items():
                reason = matches if isinstance(matches, str) else None
                outcome = "failed" if reason else "match" if matches else "no match"
                searches.append(Search(query, FOLDER, outcome=outcome, reason=reason))
            return httpx.Response(200, content=Searches(RUN, FOLDER, tuple(searches)).to_json())
        if path.endswith("/matches.json"):
            query, matches = list(self.found.items())[int(request.url.params["query"]) - 1]
            return httpx.Response(200, content=result_of(query, matches).to_json())
        if path.endswith(f"/dagRuns/{RUN}"):
            if self.away:
                self.away -= 1
                raise httpx.ConnectError("refused")
            return httpx.Response(
                200, json={"state": self.states[min(self.look, len(self.states) - 1)][0]}
            )
        return httpx.Response(404, json={"detail": f"no {path}"})


@pytest.fixture
def server(monkeypatch, tmp_path):
    server = Server()
    real = httpx.Client

    def client(**options):
        options["transport"] = httpx.MockTransport(server)
        return real(**options)

    monkeypatch.setattr(rest.httpx, "Client", client)
    monkeypatch.setattr(command, "POLL_S", 0)
    for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AIRFLOW_CLI_USERNAME", "ada")
    monkeypatch.setenv("AIRFLOW_CLI_PASSWORD", "right")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    return server


def test_a_path_is_searched_for_and_its_matches_are_listed(server, capsys):
    server.found = {"s3://b/q.jpg": FOUND}
    assert cli.main(["search", "s3://b/q.jpg", "--top-k", "7", "--mode", "exhaustive"]) == 0
    assert server.conf == {"image_path": "s3://b/q.jpg", "top_k": 7, "mode": "exhaustive"}
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        "s3://b/q.jpg: match, 3 of 1,200 images ranked",
        "rank  inliers  expected  verdict    photograph",
        "   1      176   3.1e-25  match      s3://b/a%0A.jpg",
        "   2       14       0.4  uncertain  s3://b/maybe.jpg",
        "   3        4        12  by way of  s3://b/c.jpg",
        "",
        "http://localhost:8080/landmark/searches/manual__2026-01-01T00%3A00%3A00%2B00%3A00",
    ]
    assert "looking at the photographs\ncomparing them with the index\n" in told.err


def test_what_is_local_is_uploaded_and_stays_out_of_the_index(server, tmp_path, capsys):
    (tmp_path / "my view é.jpg").write_bytes(b"photograph")
    path = "s3://b/uploads/my view é.jpg"
    server.found = {path: [], "s3://b/q.jpg": FOUND[:1]}
    assert cli.main(["search", str(tmp_path / "my view é.jpg"), "s3://b/q.jpg"]) == 0
    assert server.conf == {"image_path": [path, "s3://b/q.jpg"], "add_to_index": False}
    told = capsys.readouterr().out
    assert f"{tmp_path}/my view é.jpg: no match, 0 of 1,200 images ranked\n\ns3://b/q.jpg" in told
    cli.main(["search", str(tmp_path / "my view é.jpg"), "--add-to-index"])
    assert server.conf == {"image_path": path, "add_to_index": True}


def test_one_bad_photograph_fails_alone(server, tmp_path, capsys):
    (tmp_path / "b.jpg").write_bytes(b"no photograph")
    server.found = {
        "s3://b/q.jpg": FOUND,
        "s3://b/no.jpg": "s3://b/no.jpg: there is no such object",
    }
    named = [*(str(tmp_path / name) for name in ("b.jpg", "none.jpg", "")), "S3://b"]
    assert cli.main(["search", *named, "S3://b/q.jpg", "s3://b/no.jpg", "--json"]) == 1
    told = capsys.readouterr()
    answer = json.loads(told.out)
    assert [one["outcome"] for one in answer["searches"]] == ["match", *["failed"] * 5]
    assert answer["searches"][0]["result"]["matches"][1]["inliers"] == 14
    assert answer["run_id"] == RUN and answer["page"].startswith("http://localhost:8080/landmark/")
    reasons = [one["reason"] for one in answer["searches"][1:]]
    for reason, words in zip(
        reasons,
        ["no such object", "damaged", "No such file", "a folder", "names a bucket"],
        strict=True,
    ):
        assert words in reason and "\n" not in reason
    assert "none.jpg: cannot be read" in told.err


def test_nothing_to_search_for_triggers_nothing(server, tmp_path):
    assert cli.main(["search", str(tmp_path / "none.jpg")]) == 1
    assert server.conf is None


@pytest.mark.parametrize(
    ("arrange", "words"),
    [
        (lambda patch, server: patch.setenv("AIRFLOW_CLI_PASSWORD", "no"), "login is refused"),
        (lambda patch, server: patch.setenv("AIRFLOW_CLI_TOKEN", "é"), "copy it anew"),
        (lambda patch, server: patch.delenv("AIRFLOW_CLI_PASSWORD"), "no login for"),
        (
            lambda patch, server: patch.setattr(server, "reason", "s3://b/q.jpg: broken\u202e"),
            "broken",
        ),
        (
            lambda patch, server: patch.setattr(
                server, "cancelled", {"user": "eve\u202e", "clear_number": 0}
            ),
            "the search was cancelled by eve",
        ),
        (lambda patch, server: None, "failed in extract_query; its log says why: http://"),
    ],
)
def test_errors_are_one_line_with_the_remedy(server, monkeypatch, capsys, arrange, words):
    server.states = [("failed", {"extract_query": "failed", "rank_matches": "upstream_failed"})]
    arrange(monkeypatch, server)
    assert cli.main(["search", "s3://b/q.jpg"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert words in last and "\u202e" not in last and "Traceback" not in last


def test_what_airflow_refuses_is_told(server, capsys):
    assert cli.main(["search", "s3://b/q.jpg", "--top-k", "0"]) == 1
    told = capsys.readouterr().err
    assert told == "http://localhost:8080: Invalid input for param top_k: 0 is less than\n"


def test_an_airflow_that_restarts_is_waited_for(server, monkeypatch, capsys):
    server.found, server.away = {"s3://b/q.jpg": FOUND}, 3
    assert cli.main(["search", "s3://b/q.jpg"]) == 0
    assert "Airflow does not answer; asking again" in capsys.readouterr().err
    server.look, server.away = 0, 10_000
    monkeypatch.setattr(command, "AWAY_S", 0.01)
    assert cli.main(["search", "s3://b/q.jpg"]) == 1
    assert "does not answer (refused); check the address" in capsys.readouterr().err


def test_a_search_goes_on_when_nobody_waits(server, monkeypatch, capsys):
    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command.time, "sleep", stop)
    assert cli.main(["search", "s3://b/q.jpg"]) == 130
    assert "the search goes on: http://localhost:8080/landmark/" in capsys.readouterr().err


def test_a_terminal_shows_a_bar(server, monkeypatch, capsys):
    server.found = {"s3://b/q.jpg": FOUND}
    monkeypatch.setattr(command.sys.stderr, "isatty", lambda: True, raising=False)
    assert cli.main(["search", "s3://b/q.jpg"]) == 0
    told = capsys.readouterr().err
    assert f"{'█' * 8}{'░' * 22} 30 of 120" in told and told.endswith("\r\x1b[K")


def test_nobody_at_the_address_is_told_in_one_line(monkeypatch, capsys):
    monkeypatch.setenv("AIRFLOW_CLI_TOKEN", "t")
    assert cli.main(["search", "s3://b/q.jpg", "--api-url", "http://127.0.0.1:1"]) == 1
    told = capsys.readouterr().err.strip()
    assert "http://127.0.0.1:1: does not answer" in told and "\n" not in told


def test_a_part_of_one_photograph_and_its_turn_are_asked_for(server, capsys, monkeypatch):
    from landmark.search.framing import Framing

    server.found = {"s3://b/q.jpg": FOUND[:1]}
    found = replace(result_of("s3://b/q.jpg", FOUND[:1]), framing=Framing((10, 20, 300, 400), 90))
    monkeypatch.setitem(globals(), "result_of", lambda query, matches: found)
    assert cli.main(["search", "s3://b/q.jpg", "--box", "10,20.0,300,400", "--turn", "90"]) == 0
    assert server.conf == {"image_path": "s3://b/q.jpg", "box": [10, 20, 300, 400], "turn": 90}
    told = capsys.readouterr().out.splitlines()[0]
    assert told == (
        "s3://b/q.jpg: match, 1 of 1,200 images ranked, box 10,20,300,400, "
        "turned by 90 degrees clockwise"
    )


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["q.jpg", "p.jpg", "--box", "1,2,30,40"], "box: goes with exactly one photograph"),
        (["s3://b/all/", "--box", "1,2,30,40"], "box: goes with exactly one photograph"),
        (["q.jpg", "--box", "1,2,3"], "box: [1.0, 2.0, 3.0] is no box; give x0, y0, x1, y1 in px"),
        (["q.jpg", "--box", "40,2,30,40"], "box 40,2,30,40: is empty"),
    ],
)
def test_a_box_that_cannot_be_asked_for_uploads_nothing(server, capsys, asked, words):
    assert cli.main(["search", *asked]) == 1
    told = capsys.readouterr().err
    assert words in told and told.count("\n") == 1 and server.uploaded == []
    with pytest.raises(SystemExit):
        cli.main(["search", "q.jpg", "--box", "left half"])
    assert "left half is no box; write X0,Y0,X1,Y1" in capsys.readouterr().err
