"""Pages without dead ends: what was deleted says so, and beyond the last page it leads back."""

from __future__ import annotations

import html
import re

import pytest
from asking import ask, get, words

from landmark.matching.ranking import Match
from landmark.search.result import SearchResult, write_query, write_result
from landmark.search.searches import Searches
from landmark.search.single import Search
from landmark.storage.bucket import delete_object
from landmark.storage.images import save_image

QUERY = ("extract_query", "return_value")
ANSWER = ("rank_matches", "return_value")


@pytest.fixture
def run(site, photograph, make_view, request):
    """A run with two matches, of which the second was deleted since; the matches' paths."""
    folder, query = site.base + "results/run/", site.base + "queries/q.jpg"
    paths = [site.base + f"images/{name}.jpg" for name in "ab"]
    for number, path in enumerate([query, *paths]):
        site.put(path, photograph(number))
        save_image(site.landmark.database, path, "model-1", "1", make_view(1, number))
    write_query(site.landmark.s3, folder, make_view(1))
    matches = [Match(60 - n, 80, path, expected=0.001) for n, path in enumerate(paths)]
    result = SearchResult(
        query, "model-1", 9, "2026-01-02T03:04:05+00:00", "exhaustive",
        {"min_inliers": 12, "max_distance": 0.85}, "match", matches,
    )  # fmt: skip
    answer = write_result(site.landmark.s3, folder, result)
    name = re.sub(r"\W", "-", request.node.name)
    site.run(name, {"image_path": query}, {QUERY: {"folder": folder}, ANSWER: answer})
    site.overview(name, folder, query)
    delete_object(site.landmark.s3, paths[1])
    return "/searches/" + name, paths


def test_a_deleted_photograph_says_that_it_is_gone(site, run):
    address, paths = run
    there, gone = (get(site, f"{address}/images/{rank}?size=large") for rank in (1, 2))
    assert there.status_code == 200
    assert gone.status_code == 410 and "This is gone." in gone.text
    assert f"{paths[1]}: it was deleted, or moved, since." in html.unescape(gone.text)
    assert "content-security-policy" in gone.headers


def test_a_photograph_that_goes_while_it_is_drawn_says_so_too(site, run, monkeypatch):
    from landmark_web import responses

    monkeypatch.setattr(responses, "read_etag", lambda client, path: "as it was")
    assert get(site, f"{run[0]}/images/2").status_code == 410


def test_a_pair_says_which_of_its_photographs_is_gone(site, run):
    address, paths = run
    assert "gone" not in words(get(site, f"{address}/pairs/1"))
    assert f"{paths[1]} gone deleted, or moved, since" in words(get(site, f"{address}/pairs/2"))
    assert "has gone or changed since" in words(get(site, f"{address}/pairs/2/picture.jpg"))


def test_the_script_says_it_in_place_of_the_picture(site):
    script = get(site, "/static/landmark.js").text
    assert "=== 410" not in script and "!== 410) return;" in script  # the status that it asks for
    assert "This photograph is gone" in script


def location(site, address):
    answer = get(site, address)
    assert answer.status_code == 303, answer.text
    assert get(site, answer.headers["location"]).status_code == 200
    return answer.headers["location"]


@pytest.mark.parametrize("page", [2, 101, 2**31 - 1])
def test_beyond_the_last_page_it_leads_back(site, run, page):
    address, _ = run
    assert location(site, f"{address}?page={page}") == f"{address}?page=1"
    assert location(site, f"{address}?query=1&page={page}") == f"{address}?page=1"
    assert location(site, f"/places?page={page}") == "/places?page=1"
    assert location(site, f"/places?page={page}&name=%26x") == "/places?page=1&name=%26x"


def test_beyond_the_last_searches_it_leads_back(site, run):
    number = int(location(site, "/?page=2147483647").partition("?page=")[2])
    assert 'class="runs"' in get(site, f"/?page={number}").text
    assert location(site, f"/?page={number + 1}") == f"/?page={number}"


def test_beyond_the_last_of_several_it_leads_back(site, photograph, monkeypatch):
    folder = site.base + "results/several/"
    queries = [f"{site.base}queries/{number}.jpg" for number in range(3)]
    searches = [Search(path, f"{folder}{n}-0123456789abcdef/") for n, path in enumerate(queries)]
    site.run("several ones", {"image_path": queries}, {QUERY: {"folder": folder}})
    Searches("several ones", folder, tuple(searches)).write(site.landmark.s3)
    from landmark_web.pages import several

    monkeypatch.setattr(several, "QUERIES_A_PAGE", 2)
    address = "/searches/several%20ones"
    assert get(site, f"{address}?page=2").status_code == 200
    assert location(site, f"{address}?page=7") == f"{address}?page=2"


def test_beyond_the_last_photographs_of_a_place_it_leads_back(site, database, make_view):
    with database.connect() as connection:
        place = connection.execute(
            "INSERT INTO landmark_places (model, images) VALUES ('m', 0) RETURNING id"
        ).fetchone()[0]
    assert location(site, f"/places/{place}?page=9") == f"/places/{place}?page=1"


@pytest.mark.parametrize("page", ["0", "-1", "x", str(2**31)])
def test_what_is_no_page_is_refused(site, run, page):
    for address in ("/", "/places", run[0]):
        assert ask(site, "GET", f"{address}?page={page}").status_code == 422
