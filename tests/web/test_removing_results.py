"""A search's result is removed on its page, once its reader is asked."""

from __future__ import annotations

import re

import pytest
from asking import ask, get, words

from landmark.matching.ranking import Match
from landmark.search.result import SearchResult, write_result
from landmark.search.searches import Searches
from landmark.storage.bucket import list_objects, write_object


@pytest.fixture
def find(site, photograph):
    """Writes a run and its result, of one photograph or several; its folder."""

    def write(run_id, *names):
        s3, folder = site.landmark.s3, f"{site.base}results/{run_id}/"
        queries = [f"{site.base}queries/{name}" for name in names]
        asked = queries[0] if len(queries) == 1 else queries
        searches = Searches.plan(run_id, folder, asked, [(query, None) for query in queries])
        searches.claim(s3).write(s3)
        for search in searches.searches:
            site.put(search.query, photograph(1))
            result = SearchResult(
                search.query, "model-1", 9, "2026-01-02T03:04:05+00:00", "exhaustive",
                {"min_inliers": 12, "max_distance": 0.85}, "match",
                [Match(60, 80, site.base + "images/a.jpg", expected=0.001)],
            )  # fmt: skip
            answer = write_result(s3, search.folder, result)
        told = {
            ("extract_query", "return_value"): {"folder": folder},
            ("rank_matches", "return_value"): {**answer, "searches": {"match": len(queries)}},
        }
        site.run(run_id, {"image_path": asked}, told)
        return folder

    return write


def files(site, folder):
    return [found.path for found in list_objects(site.landmark.s3, folder)]


@pytest.mark.parametrize("names", [("a.jpg",), ("a.jpg", "b.jpg")])
def test_a_result_goes_once_asked_and_its_page_says_so(site, find, names):
    run_id = f"goes-{len(names)}"
    folder = find(run_id, *names)
    write_object(site.landmark.s3, folder + "notes.txt", b"mine", "text/plain")
    page = get(site, f"/searches/{run_id}")
    (asks,) = re.findall(r'href="([^"]*/remove)"', page.text)
    question = get(site, asks)
    assert folder in words(question) and "deleted for good" in words(question)
    assert ("all 2 photographs" in words(question)) == (len(names) == 2)
    assert len(files(site, folder)) == 3 + 2 * len(names)
    answer = ask(site, "POST", asks)
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    assert files(site, folder) == [folder + "notes.txt"]
    for address in ("", "/matches.json", "/remove", "/images/0", "/searches.txt"):
        gone = get(site, f"/searches/{run_id}{address}")
        assert gone.status_code == 410, address
        assert "was removed, or has had its time" in words(gone)
        assert gone.headers["landmark-gone"] == "result"
    assert ask(site, "POST", asks).status_code == 410
    assert run_id in get(site, "/").text


def test_only_its_own_run_can_remove_it(site, find):
    folder = find("first", "a.jpg")
    told = {("extract_query", "return_value"): {"folder": folder}}
    site.run("second", {"image_path": "s3://b/a.jpg"}, told)
    site.run("third", {}, {("extract_query", "return_value"): {"folder": site.base + "images/"}})
    before = files(site, folder)
    assert ask(site, "POST", "/searches/second/remove").status_code == 404
    assert ask(site, "POST", "/searches/third/remove").status_code >= 400
    assert ask(site, "POST", "/searches/none/remove").status_code == 404
    headers = {"sec-fetch-site": "cross-site"}
    assert ask(site, "POST", "/searches/first/remove", headers=headers).status_code == 403
    assert files(site, folder) == before


def test_a_run_that_goes_on_keeps_what_it_writes(site, find, monkeypatch):
    from dataclasses import replace

    from landmark_web.pages import removing

    folder = find("goes-on", "a.jpg")
    find_run = removing.find_run
    monkeypatch.setattr(
        removing, "find_run", lambda *asked: replace(find_run(*asked), state="running")
    )
    before = files(site, folder)
    answer = ask(site, "POST", "/searches/goes-on/remove")
    assert answer.status_code == 409 and "The search goes on" in words(answer)
    assert files(site, folder) == before
