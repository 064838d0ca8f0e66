"""What is taken along from a result: tables, selected originals as a zip, their paths."""

from __future__ import annotations

import csv
import io
import re
import zipfile

import httpx
import pytest
from asking import ask, get
from served import served

from landmark.matching.ranking import Match
from landmark.search.result import SearchResult, write_result
from landmark.search.searches import Searches
from landmark.search.single import Search
from landmark.storage.bucket import delete_object

ODD = 'images/=a "b"\n<i>é\ud83d\ude00 (1)\\c.jpg'.encode("utf-16", "surrogatepass").decode(
    "utf-16"
)
QUERY = ("extract_query", "return_value")
ANSWER = ("rank_matches", "return_value")


@pytest.fixture
def run(site, photograph, request):
    """A run of two searches, of which the first has four matches, with the matches' paths."""
    folder = site.base + "results/run/"
    names = ["images/b.jpg", ODD, "images/b.jpg.x/b.jpg", "private/c.jpg"]
    paths = [site.base + name for name in names]
    for number, path in enumerate(paths):
        site.put(path, photograph(number))
    queries = [site.base + f"queries/{number}.jpg" for number in range(2)]
    matches = [Match(60 - n, 80, path, expected=0.001) for n, path in enumerate(paths)]
    result = SearchResult(
        queries[0], "m", 9, "2026-01-02T03:04:05+00:00", "exhaustive",
        {"min_inliers": 12, "max_distance": 0.85}, "match", matches,
    )  # fmt: skip
    one, two = folder + "one-0123456789abcdef/", folder + "two-0123456789abcdef/"
    answer = write_result(site.landmark.s3, one, result)
    run_id = request.node.name
    searches = (
        Search(queries[0], one, True, "match", None, 60, paths[0], 4, 9),
        Search(queries[1], two).failed(f"{queries[1]}: there is no such object; check the path"),
    )
    answer["searches"] = {"match": 1, "failed": 1}
    site.run(run_id, {"image_path": queries}, {QUERY: {"folder": folder}, ANSWER: answer})
    Searches(run_id, folder, searches).write(site.landmark.s3)
    return "/searches/" + re.sub(r"[^\w]", lambda found: f"%{ord(found[0]):02X}", run_id), paths


def send(site, run, what, ranks, **headers):
    return ask(site, "POST", f"{run}/{what}?query=1", data={"rank": ranks}, headers=headers)


def test_tables_have_a_row_for_each_match(site, run):
    address, paths = run
    answer = get(site, f"{address}/matches.csv?query=1")
    every = get(site, f"{address}/searches.csv")
    for one, name in ((answer, "matches.csv"), (every, "searches.csv")):
        assert one.headers["content-type"] == "text/csv; charset=utf-8; header=present"
        assert one.headers["content-disposition"] == f'attachment; filename="{name}"'
        assert "content-security-policy" in one.headers
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["image_path"] for row in rows] == [path.replace("\n", "%0A") for path in paths]
    rows = list(csv.DictReader(io.StringIO(every.text, newline="")))
    assert [row["outcome"] for row in rows] == ["match"] * 4 + ["failed"]
    page, overview = get(site, f"{address}?query=1"), get(site, address)
    assert "matches.csv?query=1" in page.text and "searches.csv" in overview.text


def test_selected_originals_come_as_they_are(site, run, photograph):
    address, _ = run
    answer = send(site, address, "originals.zip", [1, 2, 3, 2])
    assert answer.headers["content-type"] == "application/zip", answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["001 b.jpg", "002 c.jpg", "003 b.jpg"]
        assert [archive.read(name) for name in archive.namelist()] == [
            photograph(number) for number in range(3)
        ]


def test_what_is_gone_is_told_in_the_zip(site, run):
    address, paths = run
    delete_object(site.landmark.s3, paths[1])
    answer = send(site, address, "originals.zip", [1, 2])
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["001 b.jpg", "left-out.txt"]
        assert b"no such object" in archive.read("left-out.txt")


def test_a_zip_has_a_bound(site, run, monkeypatch):
    from landmark_web.pages import selection

    address, _ = run
    monkeypatch.setattr(selection, "MAX_ORIGINALS_BYTES", 1)
    answer = send(site, address, "originals.zip", [1, 2, 3])
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["001 b.jpg", "left-out.txt"]
        assert archive.read("left-out.txt").count(b"the zip is full") == 2
    monkeypatch.setattr(selection, "MAX_ORIGINALS", 2)
    answer = send(site, address, "originals.zip", [1, 2, 3])
    assert answer.status_code == 422 and "take at most 2 at once" in answer.text


def test_a_zip_is_sent_as_it_is_made(site, run, monkeypatch):
    from landmark_web.pages import selection

    read = []
    real = selection.read_object
    monkeypatch.setattr(
        selection, "read_object", lambda client, path: read.append(path) or real(client, path)
    )
    pieces = selection._zipped(site.landmark.s3, list(enumerate(run[1][:3], 1)))
    assert next(pieces).startswith(b"PK") and len(read) == 1


def test_paths_are_a_list(site, run):
    address, paths = run
    answer = send(site, address, "paths.txt", [3, 2])
    assert answer.text.split("\n") == [paths[2], paths[1].replace("\n", "%0A"), ""]


@pytest.mark.parametrize("what", ["originals.zip", "paths.txt"])
def test_only_what_may_be_shown_is_given(site, run, what):
    from fastapi import HTTPException

    from landmark_web import permissions

    address, _ = run
    assert send(site, address, what, [1, 4]).status_code == 403
    for ranks, status in (([], 422), (["x"], 422), (["9" * 9], 422), ([0], 404), ([5], 404)):
        assert send(site, address, what, ranks).status_code == status
    assert send(site, address, what, [1], **{"Sec-Fetch-Site": "cross-site"}).status_code == 403

    def refuse():
        raise HTTPException(403)

    site.app.dependency_overrides[permissions.may_search] = refuse
    assert send(site, address, what, [1]).status_code == 403


def test_every_match_can_be_selected(site, run):
    page = get(site, f"{run[0]}?query=1")
    assert re.findall(r'name="rank" value="(\d+)" form="selected"', page.text) == list("1234")
    assert re.search(
        r'id="selected" method="post" action="[^"]*/originals.zip\?query=1"', page.text
    )
    assert re.search(r'formaction="[^"]*/paths.txt\?query=1"', page.text)


def test_who_breaks_off_a_download_can_begin_another(site, run, monkeypatch):
    """Of one user one at a time; whoever takes it slowly keeps only himself waiting."""
    from landmark_web.pages import selection

    monkeypatch.setattr(selection, "read_object", lambda client, path: (bytes(5_000_000), "1"))
    with served(site.app) as address:

        def download(user, ranks):
            return httpx.stream(
                "POST",
                f"{address}{run[0]}/originals.zip?query=1",
                data={"rank": ranks},
                headers={"X-User": user},
                timeout=30,
                trust_env=False,
            )

        for _ in range(6):  # more than there are slots
            with download("ada", [1, 2, 3]) as slow:
                assert next(slow.iter_raw()).startswith(b"PK")
                with download("bob", [1]) as other:
                    assert sum(map(len, other.iter_raw())) > 5_000_000
        with download("ada", [1]) as again:
            assert sum(map(len, again.iter_raw())) > 5_000_000
