"""A page that brings itself up to date: the focus stays, and who is logged out is told."""

from __future__ import annotations

import os
import re
from pathlib import Path

import psycopg
import pytest
from asking import ask, get, words
from fastapi import HTTPException
from psycopg.types.json import Jsonb
from served import served

from landmark.matching.ranking import Match
from landmark.search.result import SearchResult, write_query, write_result
from landmark.storage.images import save_image
from stack.browser import MISSING, find_chromium, open_browser

QUERY = ("extract_query", "return_value")
ANSWER = ("rank_matches", "return_value")
PROGRESS = ("rank_matches", "progress")
CANCELLED = ("extract_query", "cancelled")

no_browser = pytest.mark.skipif(find_chromium() is None, reason=MISSING)


def set_state(site, run_id, state, told=None):
    """Move a run on."""
    with psycopg.connect(site.tables) as connection:
        connection.execute("SET session_replication_role = replica")
        row = connection.execute(
            "UPDATE dag_run SET state = %s WHERE run_id = %s RETURNING id", [state, run_id]
        ).fetchone()
        for (task, key), value in (told or {}).items():
            connection.execute(
                "INSERT INTO xcom (dag_run_id, task_id, map_index, key, dag_id, run_id, value, "
                "timestamp) VALUES (%s, %s, -1, %s, 'landmark_search', %s, %s, now()) "
                "ON CONFLICT (dag_run_id, task_id, map_index, key) "
                "DO UPDATE SET value = excluded.value",
                [row[0], task, key, run_id, Jsonb(value)],
            )


@pytest.fixture
def run(site, photograph, request):
    """A search that has just begun, its id and its query."""
    query = site.base + "queries/q.jpg"
    site.put(query, photograph(1))
    run_id = re.sub(r"\W+", "-", request.node.name)
    site.run(run_id, {"image_path": query}, {})
    set_state(site, run_id, "running")
    return run_id, query


def finish(site, run_id, query, photograph, make_view, matches):
    """Write its result; gives what the tasks tell."""
    folder = site.base + f"results/{run_id}/"
    for number, match in enumerate(matches):
        site.put(match.image_path, photograph(number))
        save_image(site.landmark.database, match.image_path, "model-1", "1", make_view(1, number))
    write_query(site.landmark.s3, folder, make_view(1))
    result = SearchResult(
        query, "model-1", 9, "2026-01-02T03:04:05+00:00", "exhaustive",
        {"min_inliers": 5, "max_distance": 0.85}, "match", matches,
    )  # fmt: skip
    answer = write_result(site.landmark.s3, folder, result)
    site.overview(run_id, folder, query)
    return {QUERY: {"folder": folder}, ANSWER: answer}


def test_before_its_photograph_is_read_it_is_shown_and_the_run_linked(site, run):
    run_id, _ = run
    page = get(site, f"/searches/{run_id}")
    assert f"/searches/{run_id}/asked.jpg" in page.text
    assert "Run in Airflow" in words(page) and "Cancel the search" in words(page)
    picture = get(site, f"/searches/{run_id}/asked.jpg")
    assert picture.headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize(
    "outside", ["s3://elsewhere/a.jpg", "{base}private/a.jpg", "{base}queries/"]
)
def test_of_what_may_not_be_shown_no_photograph_is_shown(site, outside, photograph):
    path = outside.format(base=site.base)
    if path.startswith(site.base) and path.endswith(".jpg"):
        site.put(path, photograph(1))
    run_id = "outside-" + re.sub(r"\W+", "-", path)
    site.run(run_id, {"image_path": path}, {})
    assert get(site, f"/searches/{run_id}/asked.jpg").status_code in (403, 404)


def test_a_cancelled_run_is_told_as_cancelled_and_not_as_a_defect(site, run):
    run_id, _ = run
    set_state(site, run_id, "failed", {CANCELLED: {"user": "<b>ada", "clear_number": 0}})
    page = words(get(site, f"/searches/{run_id}"))
    assert "cancelled" in page and "Cancelled by <b>ada." in page and "Search again" in page
    assert "failed" not in page and "log says why" not in page
    listed = words(get(site, "/"))
    assert "cancelled" in listed and "by <b>ada" in listed
    # Cleared since, and failed by itself.
    set_state(site, run_id, "failed", {CANCELLED: {"user": "ada", "clear_number": 7}})
    assert "Cancelled" not in words(get(site, f"/searches/{run_id}"))


def test_what_others_have_written_of_a_cancellation_is_no_matter(site, run):
    run_id, _ = run
    set_state(site, run_id, "failed", {CANCELLED: ["x"]})
    assert "damaged" in words(get(site, f"/searches/{run_id}"))


def test_a_run_that_is_over_is_not_cancelled(site, run, photograph, make_view):
    run_id, query = run
    told = finish(site, run_id, query, photograph, make_view, [])
    set_state(site, run_id, "success", told)
    assert ask(site, "POST", f"/searches/{run_id}/cancel").status_code == 303
    page = words(get(site, f"/searches/{run_id}"))
    assert "Ranked 0 of 9 images" in page and "ancelled" not in page
    assert ask(site, "POST", "/searches/none/cancel").status_code == 404


def test_what_is_sure_comes_first_and_the_rest_is_folded(site, run, photograph, make_view):
    run_id, query = run
    expected = [0.001, 0.5, 0.001, 5]
    matches = [
        Match(60 - n, 80, f"{site.base}images/{n}.jpg", expected=value)
        for n, value in enumerate(expected)
    ]
    told = finish(site, run_id, query, photograph, make_view, matches)
    set_state(site, run_id, "success", told)
    page = get(site, f"/searches/{run_id}").text
    ranks = [int(rank) for rank in re.findall(r'id="match-(\d+)"', page)]
    assert ranks == [1, 3, 2, 4]
    folds = re.findall(r'<details class="folded"( open)?>\s*<summary>(.*?)</summary>', page, re.S)
    told = [(opened, re.search(r'badge [\w-]+">([\w ]+)<', words)[1]) for opened, words in folds]
    assert told == [("", "uncertain"), ("", "no match")]
    # From a pair the next is the next that the page shows.
    pair = get(site, f"/searches/{run_id}/pairs/3").text
    assert f'/searches/{run_id}/pairs/1" rel="prev"' in pair
    assert f'/searches/{run_id}/pairs/2" rel="next"' in pair


def test_where_nothing_is_sure_nothing_is_hidden(site, run, photograph, make_view):
    run_id, query = run
    matches = [Match(14, 80, f"{site.base}images/a.jpg", expected=0.5)]
    set_state(site, run_id, "success", finish(site, run_id, query, photograph, make_view, matches))
    assert '<details class="folded" open>' in get(site, f"/searches/{run_id}").text


def test_who_is_logged_out_when_a_form_is_sent_is_led_back_to_its_page(site, run):
    from landmark_web.permissions import may_cancel

    def nobody():
        raise HTTPException(401, "Not authenticated")

    site.app.dependency_overrides[may_cancel] = nobody
    address = f"/searches/{run[0]}"
    for referer, back in [(f"http://pages{address}", address), ("http://evil/x", "/")]:
        answer = ask(site, "POST", f"{address}/cancel", headers={"Referer": referer})
        assert answer.status_code == 401
        assert f'href="/auth/login?next={back}"' in answer.text


@pytest.fixture(scope="module")
def chromium():
    pytest.importorskip("playwright.sync_api", reason="no Playwright; make test installs it")
    with open_browser(find_chromium()) as browser:
        yield browser


@pytest.fixture
def page(chromium, site, request):
    with served(site.app) as address:
        context = chromium.new_context(
            base_url=address,
            extra_http_headers={"X-User": "ada"},
            timezone_id="Asia/Kolkata",
            viewport={"width": 1100, "height": 900},
        )
        page = context.new_page()
        faults = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        yield page
        if folder := os.environ.get("SCREENSHOTS"):
            name = re.sub(r"\W+", "-", request.node.name)
            page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
        context.close()
        assert not faults


FOCUSED = "() => document.activeElement.textContent.trim()"


@no_browser
def test_the_focus_stays_while_the_page_brings_itself_up_to_date(
    site, run, page, photograph, make_view
):
    run_id, query = run
    page.goto(f"/searches/{run_id}")
    picture = page.locator(".query img").element_handle()
    page.get_by_role("link", name="Run in Airflow").focus()
    set_state(site, run_id, "running", {PROGRESS: {"done": 5, "total": 10, "rate": 2}})
    page.get_by_text("5 of 10 comparisons").wait_for()
    assert page.evaluate(FOCUSED) == "Run in Airflow"
    assert picture.evaluate("image => image.isConnected")  # the very same: it was not fetched again
    # What the focus was on is elsewhere now.
    matches = [
        Match(60 - n, 80, f"{site.base}images/{n}.jpg", expected=value)
        for n, value in enumerate([0.001, 0.001, 0.5])
    ]
    set_state(site, run_id, "running", finish(site, run_id, query, photograph, make_view, matches))
    page.get_by_role("heading", name="Matches").wait_for()
    assert page.evaluate(FOCUSED) == "Run in Airflow"
    # What is unfolded and ticked stays, and so does the focus there.
    page.get_by_text("chance may bring as far").click()
    page.get_by_label("Select 3").check()
    set_state(site, run_id, "success")
    page.wait_for_function("() => !document.getElementById('live').dataset.poll")
    assert page.get_by_label("Select 3").is_checked() and page.get_by_label("Select 3").is_visible()
    assert page.evaluate("() => document.activeElement.value") == "3"
    # One box ticks all that are shown, and not what is folded away.
    page.get_by_text("chance may bring as far").click()
    page.get_by_label("Select 3").evaluate("box => box.checked = false")
    page.get_by_label("All that are shown").check()
    assert [box.is_checked() for box in page.locator("input[name=rank]").all()] == [
        True,
        True,
        False,
    ]


@no_browser
def test_where_the_focused_button_goes_the_focus_stays_in_that_part(site, run, page):
    run_id, _ = run
    page.goto(f"/searches/{run_id}")
    page.get_by_role("button", name="Cancel the search").focus()
    set_state(site, run_id, "failed", {CANCELLED: {"user": "ada", "clear_number": 0}})
    page.get_by_text("Cancelled by ada.").wait_for()
    assert page.evaluate("() => document.activeElement.id") == "live"


@no_browser
def test_who_is_logged_out_is_told_and_led_back_here(site, run, page, monkeypatch):
    from airflow.api_fastapi.core_api.security import get_user

    from landmark_web.permissions import may_read_searches

    def nobody():
        raise HTTPException(401, "Not authenticated")

    run_id, _ = run
    page.goto(f"/searches/{run_id}?query=1")
    known = dict(site.app.dependency_overrides)
    site.app.dependency_overrides.update({get_user: nobody, may_read_searches: nobody})
    notice = page.get_by_role("alert").filter(has_text="logged out")
    notice.wait_for()
    login = notice.get_by_role("link", name="Log in").get_attribute("href")
    assert login == f"/auth/login?next=/searches/{run_id}%3Fquery%3D1"
    site.app.dependency_overrides.update(known)
    notice.wait_for(state="detached")  # logged in again, in another window
