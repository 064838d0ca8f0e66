"""A page that brings itself up to date: the focus stays, and who is logged out is told."""

from __future__ import annotations

import re

import pytest
from asking import ask, get, words
from fastapi import HTTPException
from lived_in import ANSWER, CANCELLED, FOLDER, PROGRESS, QUERY, LivedIn

from landmark.matching.ranking import Match
from landmark.search.framing import Framing
from landmark_web.limits import SIDES_PX
from landmark_web.thumbnails import thumbnail


class Begun(LivedIn):
    """A site with a search that has just begun, and that goes on when it is told to."""

    def __init__(self, site, photograph, make_view, name):
        super().__init__(site, photograph, make_view, name)
        self.run_id = name
        self.run(name, {"image_path": self.query}, {}, "running")

    @property
    def address(self):
        return f"/searches/{self.run_id}"

    def goes_on(self, state, told=None):
        self.set_state(self.run_id, state, told)

    def finds(self, *expected):
        """Write a result, of matches that chance brings as far so often; what the tasks tell."""
        self.index("abcdef"[: len(expected)])
        matches = [
            Match(60 - n, 80, self.path("abcdef"[n]), expected=value)
            for n, value in enumerate(expected)
        ]
        folder = self.site.base + FOLDER.format(self.run_id)
        answer = self.result(matches, folder, self.query)
        self.site.overview(self.run_id, folder, self.query)
        return {QUERY: {"folder": folder}, ANSWER: answer}


@pytest.fixture
def run(site, photograph, make_view, request):
    return Begun(site, photograph, make_view, re.sub(r"\W+", "-", request.node.name))


def test_before_its_photograph_is_read_it_is_shown_and_the_run_linked(site, run):
    page = get(site, run.address)
    assert f"{run.address}/asked.jpg" in page.text
    assert "Run in Airflow" in words(page) and "Cancel the search" in words(page)
    picture = get(site, f"{run.address}/asked.jpg")
    assert picture.headers["content-type"] == "image/jpeg"


def test_of_a_part_that_part_is_shown_as_it_is_turned(site, run):
    framed = Framing((0, 0, 40, 80), 90)
    site.run("part", {"image_path": run.query, "box": list(framed.box), "turn": framed.turn}, {})
    picture = get(site, "/searches/part/asked.jpg").content
    assert picture == thumbnail(site.landmark.s3, run.query, SIDES_PX["small"], framed)[0]
    assert picture != get(site, f"{run.address}/asked.jpg").content


def test_looking_again_turned_is_told_and_not_a_beginning_anew(site, run):
    figures = {"done": 30, "total": 300, "rate": 10.0}
    run.goes_on("running", {PROGRESS: figures})
    assert "turned" not in words(get(site, run.address))
    run.goes_on("running", {PROGRESS: {**figures, "turned": True}})
    told = "No match as it is; turned by each quarter: 30 of 300 comparisons"
    assert told in words(get(site, run.address))


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
    run.goes_on("failed", {CANCELLED: {"user": "<b>ada", "clear_number": 0}})
    page = words(get(site, run.address))
    assert "cancelled" in page and "Cancelled by <b>ada." in page and "Search again" in page
    assert "failed" not in page and "log says why" not in page
    listed = words(get(site, "/"))
    assert "cancelled" in listed and "by <b>ada" in listed
    # Cleared since, and failed by itself.
    run.goes_on("failed", {CANCELLED: {"user": "ada", "clear_number": 7}})
    assert "Cancelled" not in words(get(site, run.address))


def test_what_others_have_written_of_a_cancellation_is_no_matter(site, run):
    run.goes_on("failed", {CANCELLED: ["x"]})
    assert "damaged" in words(get(site, run.address))


def test_a_run_that_is_over_is_not_cancelled(site, run):
    told = run.finds()
    run.goes_on("success", told)
    assert ask(site, "POST", f"{run.address}/cancel").status_code == 303
    page = words(get(site, run.address))
    assert "Ranked 0 of 9 images" in page and "ancelled" not in page
    assert ask(site, "POST", "/searches/none/cancel").status_code == 404


def test_what_is_sure_comes_first_and_the_rest_is_folded(site, run):
    run.goes_on("success", run.finds(0.001, 0.5, 0.001, 5))
    page = get(site, run.address).text
    ranks = [int(rank) for rank in re.findall(r'id="match-(\d+)"', page)]
    assert ranks == [1, 3, 2, 4]
    folds = re.findall(r'<details class="folded"( open)?>\s*<summary>(.*?)</summary>', page, re.S)
    told = [(opened, re.search(r'badge [\w-]+">([\w ]+)<', words)[1]) for opened, words in folds]
    assert told == [("", "uncertain"), ("", "no match")]
    # From a pair the next is the next that the page shows.
    pair = get(site, f"{run.address}/pairs/3").text
    assert f'{run.address}/pairs/1" rel="prev"' in pair
    assert f'{run.address}/pairs/2" rel="next"' in pair


def test_where_nothing_is_sure_nothing_is_hidden(site, run):
    run.goes_on("success", run.finds(0.5))
    assert '<details class="folded" open>' in get(site, run.address).text


def test_who_is_logged_out_when_a_form_is_sent_is_led_back_to_its_page(site, run):
    from landmark_web.permissions import may_cancel

    def nobody():
        raise HTTPException(401, "Not authenticated")

    site.app.dependency_overrides[may_cancel] = nobody
    address = run.address
    for referer, back in [(f"http://pages{address}", address), ("http://evil/x", "/")]:
        answer = ask(site, "POST", f"{address}/cancel", headers={"Referer": referer})
        assert answer.status_code == 401
        assert f'href="/auth/login?next={back}"' in answer.text


@pytest.fixture
def page(open_page):
    return open_page(timezone_id="Asia/Kolkata")


FOCUSED = "() => document.activeElement.textContent.trim()"


def test_the_focus_stays_while_the_page_brings_itself_up_to_date(site, run, page):
    page.goto(run.address)
    picture = page.locator(".query img").element_handle()
    page.get_by_role("link", name="Run in Airflow").focus()
    run.goes_on("running", {PROGRESS: {"done": 5, "total": 10, "rate": 2}})
    page.get_by_text("5 of 10 comparisons").wait_for()
    assert page.evaluate(FOCUSED) == "Run in Airflow"
    assert picture.evaluate("image => image.isConnected")  # the very same: it was not fetched again
    # What the focus was on is elsewhere now.
    run.goes_on("running", run.finds(0.001, 0.001, 0.5))
    page.get_by_role("heading", name="Matches").wait_for()
    assert page.evaluate(FOCUSED) == "Run in Airflow"
    # What is unfolded and ticked stays, and so does the focus there.
    page.get_by_text("chance may bring as far").click()
    page.get_by_label("Select 3").check()
    run.goes_on("success")
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


def test_where_the_focused_button_goes_the_focus_stays_in_that_part(site, run, page):
    page.goto(run.address)
    page.get_by_role("button", name="Cancel the search").focus()
    run.goes_on("failed", {CANCELLED: {"user": "ada", "clear_number": 0}})
    page.get_by_text("Cancelled by ada.").wait_for()
    assert page.evaluate("() => document.activeElement.id") == "live"


def test_who_is_logged_out_is_told_and_led_back_here(site, run, page):
    from airflow.api_fastapi.core_api.security import get_user

    from landmark_web.permissions import may_read_searches

    def nobody():
        raise HTTPException(401, "Not authenticated")

    page.goto(f"{run.address}?query=1")
    known = dict(site.app.dependency_overrides)
    site.app.dependency_overrides.update({get_user: nobody, may_read_searches: nobody})
    notice = page.get_by_role("alert").filter(has_text="logged out")
    notice.wait_for()
    login = notice.get_by_role("link", name="Log in").get_attribute("href")
    assert login == f"/auth/login?next={run.address}%3Fquery%3D1"
    site.app.dependency_overrides.update(known)
    notice.wait_for(state="detached")  # logged in again, in another window


def test_within_airflows_page_the_login_leads_back_to_that(site, run, page):
    from airflow.api_fastapi.core_api.security import get_user

    from landmark_web.permissions import may_read_searches

    def nobody():
        raise HTTPException(401, "Not authenticated")

    frame = f'<!doctype html><iframe src="{run.address}"></iframe>'
    page.route("**/around?*", lambda route: route.fulfill(body=frame, content_type="text/html"))
    page.goto("/around?run=1")  # stands for Airflow's page around ours
    frame = page.frame_locator("iframe")
    frame.get_by_text("Cancel").wait_for()
    known = dict(site.app.dependency_overrides)
    site.app.dependency_overrides.update({get_user: nobody, may_read_searches: nobody})
    login = frame.get_by_role("alert").get_by_role("link", name="Log in")
    with page.expect_navigation(url="**/auth/login?**"):
        login.click()
    assert page.url.endswith("/auth/login?next=%2Faround%3Frun%3D1")
    site.app.dependency_overrides.update(known)


def test_the_page_that_says_who_is_logged_out_has_its_style_and_leads_out_of_the_frame(site, page):
    from airflow.api_fastapi.core_api.security import get_user

    from landmark_web.permissions import may_read_searches

    def nobody():
        raise HTTPException(401, "Not authenticated")

    frame = '<!doctype html><iframe src="/searches/none"></iframe>'
    page.route("**/around?*", lambda route: route.fulfill(body=frame, content_type="text/html"))
    known = dict(site.app.dependency_overrides)
    site.app.dependency_overrides.update({get_user: nobody, may_read_searches: nobody})
    try:
        page.goto("/around?run=1")
        login = page.frame_locator("iframe").get_by_role("link", name="Log in to Airflow")
        assert login.evaluate("link => getComputedStyle(link).textDecorationLine") == "none"
        with page.expect_navigation(url="**/auth/login?**"):
            login.click()
        assert page.url.endswith("/auth/login?next=%2Faround%3Frun%3D1")
    finally:
        site.app.dependency_overrides.clear()
        site.app.dependency_overrides.update(known)
