"""The pages in a real browser: log in, search with the form, see the gallery, open a pair."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from urllib.parse import quote, unquote

import pytest

from landmark.matching.ranking import Match
from landmark.search.result import SearchResult
from stack.browser import MISSING, find_chromium, log_in, open_browser
from stack.environment import UI_USER

pytest.importorskip("playwright.sync_api", reason="no Playwright; make test installs it")

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(find_chromium() is None, reason=MISSING),
]

# How an image looks to its reader: its size, and how much its pixels differ.
LOOK = """image => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 64;
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0, 64, 64);
  const values = Array.from(pen.getImageData(0, 0, 64, 64).data).filter((_, i) => i % 4 < 3);
  const mean = values.reduce((a, b) => a + b) / values.length;
  const spread = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length);
  return {width: image.naturalWidth, height: image.naturalHeight, spread};
}"""
LOOKS = f"""async (drawing, addresses) => Promise.all(addresses.map(async address => {{
  const image = new Image();
  image.src = address;
  await image.decode();
  return ({LOOK})(image);
}}))"""
# What sticks out of the page on the right, as no reader wants it.
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def chromium(pages):
    with open_browser(find_chromium()) as browser:
        yield browser


@pytest.fixture(scope="module")
def session(chromium, pages):
    context = log_in(
        chromium,
        pages.stack.session.addresses,
        viewport={"width": 1280, "height": 800},
    )
    yield context
    context.close()


@pytest.fixture
def page(session):
    page = session.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "console",
        lambda message: faults.append(message.text) if "Content Security" in message.text else None,
    )
    yield page
    page.close()
    assert not faults


def test_a_search_from_the_form_to_the_drawn_pair(page, pages):
    page.goto("/")
    page.get_by_role("link", name="Landmark", exact=True).click()
    frame = page.frame_locator("iframe[title=Landmark]")
    frame.get_by_label("Photograph in S3").fill("s3://landmark/images/pages/2/1.jpg")
    frame.get_by_text("Options").click()
    frame.get_by_label("Matches").fill("7")
    frame.get_by_role("button", name="Find the place").click()

    # The page follows the search by itself.
    frame.get_by_role("heading", name="Matches").wait_for(timeout=240_000)
    assert frame.locator(".query .badge").inner_text() == "match"
    cards = frame.locator(".gallery li")
    assert 2 <= cards.count() <= 7
    paths = {cards.nth(i).locator("a").get_attribute("title") for i in range(2)}
    assert paths == {f"s3://landmark/images/pages/2/{view}.jpg" for view in (0, 2)}
    first = cards.nth(0).locator("img")
    first.scroll_into_view_if_needed()
    page.wait_for_timeout(1000)
    assert first.evaluate(LOOK)["spread"] > 10
    frame.get_by_role("link", name="Contact sheet").wait_for(timeout=240_000)

    # Airflow's page follows its frame, and then loads it once more with the address unescaped.
    unescaped = re.compile("/searches/[^%]*/pairs/1$")
    with page.expect_event("framenavigated", lambda shown: unescaped.search(shown.url)):
        cards.nth(0).locator("a").click()
    picture = frame.locator(".zoom svg")
    picture.wait_for()
    assert picture.locator("image").count() == 2 and picture.locator(".ends").count() >= 12
    drawn = [image.get_attribute("href") for image in picture.locator("image").all()]
    page.wait_for_load_state("networkidle")
    looks = picture.evaluate(LOOKS, drawn)
    assert all(look["spread"] > 10 for look in looks), looks

    # Enlarged, it scrolls within its frame; the arrow key leads on.
    width = picture.bounding_box()["width"]
    frame.get_by_role("button", name=re.compile("larger")).click()
    assert picture.bounding_box()["width"] == pytest.approx(1.5 * width, rel=0.01)
    frame.get_by_role("button", name="Fit").click()
    page.keyboard.press("ArrowRight")
    frame.get_by_role("heading", name=re.compile("Match 2")).wait_for()

    # Airflow's address follows, and leads back here.
    page.wait_for_url(re.compile("/plugin/landmark/landmark/searches/.*/pairs/2$"))
    page.reload()
    page.frame_locator("iframe").get_by_role("heading", name=re.compile("Match 2")).wait_for()


def test_wrong_input_shows_its_message_and_keeps_what_was_typed(page):
    page.goto("/landmark/")
    page.get_by_label("Photograph in S3").fill("s3://landmark/no <i>such.jpg")
    page.keyboard.press("Control+Enter")
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert alert.inner_text() == (
        "s3://landmark/no <i>such.jpg: there is no such object; check the path"
    )
    assert page.get_by_label("Photograph in S3").input_value() == "s3://landmark/no <i>such.jpg"


def test_several_photographs_from_the_form_to_one_pair(page):
    page.goto("/landmark/")
    field = page.get_by_label("Photograph in S3")
    field.fill("s3://landmark/images/pages/2/0.jpg")
    field.press("Enter")  # a line, no search
    field.press_sequentially("s3://landmark/images/pages/1/0.jpg")
    page.get_by_role("button", name="Find the place").click()
    page.get_by_role("heading", name="2 searches").wait_for(timeout=240_000)
    page.locator(".badge", has_text="2 match").wait_for(timeout=240_000)
    cards = page.locator(".runs li")
    assert cards.count() == 2 and cards.nth(1).locator("img").count() == 2
    cards.nth(1).get_by_role("link").click()
    page.get_by_role("heading", name="Matches").wait_for()
    page.locator(".gallery li a").first.click()
    page.get_by_role("heading", name=re.compile("Match 1")).wait_for()
    page.keyboard.press("ArrowRight")
    page.get_by_role("heading", name=re.compile("Match 2")).wait_for()
    page.get_by_role("link", name=re.compile("All .* matches")).click()
    page.get_by_role("link", name=re.compile("All searches of this run")).click()
    page.get_by_role("heading", name="2 searches").wait_for()


@pytest.mark.parametrize(
    ("asked", "searches"),
    [
        ("s3://landmark/images/pages/1/0.jpg", 1),
        (["s3://landmark/images/pages/1/"], 3),
        ('"s3://landmark/images/pages/1/0.jpg"\nno path\nS3://landmark/images/pages/1/1.jpg', 3),
    ],
    ids=["path", "list", "lines"],
)
def test_airflows_own_form_takes_a_path_a_list_and_lines(page, pages, asked, searches):
    before = pages.runs()
    page.goto("/dags/landmark_search")
    page.get_by_role("button", name=re.compile("^Trigger")).first.click()
    dialog = page.get_by_role("dialog")
    field = dialog.locator("[name=element_image_path]")
    field.fill(asked if isinstance(asked, str) else json.dumps(asked))
    dialog.get_by_role("button", name=re.compile("^Trigger")).last.click()
    deadline = time.monotonic() + 60
    while pages.runs() == before:
        assert time.monotonic() < deadline, "nothing was triggered"
        time.sleep(0.5)
    runs = pages.stack.api.call("/api/v2/dags/landmark_search/dagRuns?order_by=-run_after&limit=1")
    assert runs["dag_runs"][0]["conf"]["image_path"] == asked
    run_id = runs["dag_runs"][0]["dag_run_id"]
    pages.stack.api.wait("landmark_search", run_id, timeout_s=400)
    key = f"results/{run_id}/searches.json"
    told = json.loads(pages.s3.get_object(Bucket="landmark", Key=key)["Body"].read())
    assert len(told["searches"]) == searches


def test_the_run_has_a_tab_and_a_note(page, pages):
    page.goto(f"/dags/landmark_search/runs/{quote(pages.run_id, safe='')}")
    page.get_by_text("match", exact=True).first.wait_for()
    page.get_by_role("link", name="Landmark", exact=True).nth(1).click()
    frame = page.frame_locator("iframe[title=Landmark]")
    frame.get_by_role("heading", name="Matches").wait_for()
    frame.get_by_role("link", name="Searches").wait_for()


def test_names_stay_words(page, pages):
    page.goto("/landmark/index")
    page.get_by_text("<script>alert(1)<").first.wait_for()  # the rest is the file's name
    assert page.evaluate("() => window.alerted") is None


def test_the_theme_is_that_of_airflow(chromium, pages):
    """Whatever the system's, which Airflow's may overrule."""
    grounds = {}
    for theme, system in [("light", "dark"), ("dark", "light")]:
        context = log_in(chromium, pages.stack.session.addresses, theme, color_scheme=system)
        page = context.new_page()
        page.goto("/landmark/")
        grounds[theme] = page.evaluate(
            "() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
        )
        # It follows when another window changes it.
        other = context.new_page()
        other.goto("/landmark/")
        opposite = "light" if theme == "dark" else "dark"
        other.evaluate("theme => localStorage.setItem('theme', theme)", opposite)
        page.wait_for_function(
            "theme => document.documentElement.dataset.theme === theme", arg=opposite
        )
        context.close()
    assert min(grounds["light"]) > 200 and max(grounds["dark"]) < 60


@pytest.mark.parametrize("width", [360, 768, 1920])
def test_nothing_sticks_out(session, pages, width):
    run = quote(pages.run_id, safe="")
    failed = quote(pages.failed_id, safe="")
    page = session.new_page()
    page.set_viewport_size({"width": width, "height": 800})
    several = quote(pages.several_id, safe="")
    addresses = ["", "index", f"searches/{run}", f"searches/{run}/pairs/1", f"searches/{failed}"]
    addresses += [f"searches/{several}", f"searches/{several}?query=4"]
    for address in [*addresses, "searches/none"]:
        page.goto(f"/landmark/{address}")
        assert page.evaluate(OVERFLOW) <= 0, address
    page.close()


def test_the_keyboard_reaches_the_matches(page, pages):
    page.goto(f"/landmark/searches/{quote(pages.run_id, safe='')}")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.textContent") == "Skip to the content"
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("() => document.activeElement.getAttribute('href') ?? ''"))
    assert any(address.endswith("/pairs/1") for address in reached)
    assert page.locator("img:not([alt])").count() == 0
    assert page.locator("h1").count() == 1


def test_people_say_what_two_photographs_show_and_take_it_back(page, pages):
    address = f"/landmark/searches/{quote(pages.run_id, safe='')}"
    page.goto(address)
    card = page.locator("#match-2")
    card.get_by_role("button", name="not the same place", exact=True).click()
    page.wait_for_url(re.compile("#match-2$"))
    assert card.get_attribute("class") == "apart"
    assert card.locator(".badge", has_text="not the same place").is_visible()
    page.goto(address + "/pairs/1")
    page.get_by_role("button", name="the same place", exact=True).click()
    page.get_by_role("button", name="Undo").wait_for()
    assert page.url.endswith("/pairs/1")

    page.get_by_label("Landmark", exact=True).get_by_role("link", name="Corrections").click()
    rows = page.locator(".corrections li")
    words = [rows.nth(number).locator(".badge").inner_text() for number in range(2)]
    assert words == ["the same place", "not the same place"]
    page.wait_for_load_state("networkidle")
    looks = rows.locator("img").evaluate_all(f"images => images.slice(0, 4).map({LOOK})")
    assert len(looks) == 4 and all(look["spread"] > 10 for look in looks)
    for _ in range(2):
        before = page.locator(".corrections li.ended").count()
        page.get_by_role("button", name="Undo").first.click()
        page.locator(".corrections li.ended").nth(before).wait_for()
    assert page.get_by_role("button", name="Undo").count() == 0
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate(OVERFLOW) <= 0
    page.goto(address)
    assert page.locator("li.apart").count() == 0


def test_a_thousand_results_do_not_freeze(page, pages):
    """Written over the result of a run of its own."""
    api = pages.stack.api
    run_id = api.trigger("landmark_search", {"image_path": "s3://landmark/images/pages/1/1.jpg"})
    api.wait("landmark_search", run_id, timeout_s=400)
    key = f"results/{run_id}/matches.json"
    written = pages.s3.get_object(Bucket="landmark", Key=key)["Body"].read()
    result = SearchResult.from_json(written)
    path = "s3://landmark/images/pages/1/{}.jpg"
    matches = [Match(1500 - rank, 2000, path.format(rank % 3)) for rank in range(1000)]
    body = replace(result, matches=matches).to_json()
    assert len(json.loads(body)["matches"]) == 1000
    pages.s3.put_object(Bucket="landmark", Key=key, Body=body)

    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"/landmark/searches/{quote(run_id, safe='')}", wait_until="domcontentloaded")
    assert page.locator(".gallery li").count() == 1000
    last = page.locator(".gallery li").last
    last.scroll_into_view_if_needed()
    last.get_by_text("501 inliers").wait_for()
    page.wait_for_timeout(2000)
    assert len([url for url in asked if "/images/" in url]) < 200


def test_a_search_is_cancelled_and_told_so(page, pages):
    page.goto("/landmark/")
    page.get_by_label("Photograph in S3").fill("s3://landmark/images/pages/")
    page.get_by_role("button", name="Find the place").click()
    page.get_by_role("button", name="Cancel the search").click()
    page.get_by_text("Cancelled by").wait_for()
    assert page.locator(".badge.cancelled").count() == 1
    run_id = unquote(page.url.rsplit("/", 1)[1])
    run = f"/api/v2/dags/landmark_search/dagRuns/{quote(run_id, safe='')}"
    told = pages.stack.api.call(run)
    assert told["state"] == "failed" and told["note"].startswith("**cancelled** by")
    states = pages.stack.api.call(f"{run}/taskInstances")["task_instances"]
    assert {task["state"] for task in states} <= {"success", "failed", "skipped"}
    # Cleared, it runs to its end, and nothing is said of that any more.
    with pages.api() as api:
        body = {"dry_run": False, "only_failed": False}
        assert api.post(f"{run.removeprefix('/api/v2')}/clear", json=body).status_code == 200
    pages.stack.api.wait("landmark_search", run_id, timeout_s=400)
    page.reload()
    page.locator(".runs").wait_for()
    assert page.get_by_text("Cancelled by").count() == 0
    assert "cancelled" not in (pages.stack.api.call(run)["note"] or "")


def test_who_logs_in_again_comes_back_here(chromium, pages):
    context = log_in(chromium, pages.stack.session.addresses)
    page = context.new_page()
    address = f"/landmark/searches/{quote(pages.several_id, safe='')}?query=4"
    context.clear_cookies()
    page.goto(address)
    page.get_by_role("link", name="Log in to Airflow").click()
    page.get_by_label("Username").fill(UI_USER)
    page.get_by_label("Password").fill(pages.stack.session.addresses.ui_password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Matches").wait_for()
    assert unquote(page.url).endswith(unquote(address))
    context.close()
