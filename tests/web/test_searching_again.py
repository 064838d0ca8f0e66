"""Search again: with other options, for a part, turned, and at once with an undo."""

from __future__ import annotations

import html
import io
import re
from urllib.parse import quote

import numpy as np
import pytest
from asking import ask, get, words
from browser_fixture import PHONE, STICKS_OUT_PX
from PIL import Image

from landmark.errors import LandmarkError
from landmark.matching.ranking import Match
from landmark.search.framing import WHOLE, Framing
from landmark.search.result import SearchResult, write_query, write_result
from landmark.search.searches import Searches
from landmark.search.single import Search

OPTIONS = {
    "top_k": 7,
    "min_inliers": 14,
    "mode": "shortlist",
    "ranking": "inliers",
    "shortlist": 55,
    "add_to_index": False,
}


@pytest.fixture
def started(monkeypatch):
    """What searches were started with; the run that each leads to."""
    from landmark_web import search_form
    from landmark_web.pages import again

    conf = []

    def trigger(request, user, dag_id, asked):
        conf.append(asked)
        return f"new {len(conf)}"

    for module in (search_form, again):
        monkeypatch.setattr(module, "trigger", trigger)
    return conf


def scene(width=400, height=200):
    """A photograph whose left half is dark and whose right is bright."""
    pixels = np.full((height, width, 3), 40, np.uint8)
    pixels[:, width // 2 :] = 220
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def make_run(site, make_view, request):
    def make(framing=WHOLE, conf=None, queries=1):
        name = re.sub(r"\W", "-", request.node.name)
        folder = site.base + "results/run/"
        paths = [site.base + f"queries/{number}.jpg" for number in range(queries)]
        searches = []
        for number, path in enumerate(paths):
            site.put(path, scene())
            below = folder if queries == 1 else f"{folder}{number}-0123456789abcdef/"
            write_query(site.landmark.s3, below, make_view(1))
            result = SearchResult(
                path, "model-1", 9, "2026-01-02T03:04:05+00:00", "exhaustive",
                {"min_inliers": 12, "max_distance": 0.85}, "match",
                [Match(60, 80, f"{site.base}images/m é&+.jpg", expected=0.001)], framing=framing,
            )  # fmt: skip
            answer = write_result(site.landmark.s3, below, result)
            searches.append(Search(path, below, True).found(result))
        told = {
            ("extract_query", "return_value"): {"folder": folder},
            ("rank_matches", "return_value"): answer,
        }
        asked = paths[0] if queries == 1 else paths
        site.run(name, {"image_path": asked, **OPTIONS, **(conf or {})}, told)
        Searches(name, folder, tuple(searches)).write(site.landmark.s3)
        return name, paths

    return make


def value_of(page, name):
    tag = re.search(rf'<input name="{name}"[^>]*>', page.text)[0]
    return re.search(r'value="([^"]*)"', tag)[1]


# ---- the form ------------------------------------------------------------------------------------


def test_after_success_the_form_is_filled_with_the_run_s_options(site, make_run):
    name, (path,) = make_run(conf={"box": [10, 20, 300, 190], "turn": 90})
    result = get(site, f"/searches/{name}").text
    address = html.unescape(re.search(r'href="([^"]*)">Search again, or for a part', result)[1])
    page = get(site, address)
    assert page.status_code == 200 and path in page.text and "200 px" in words(page)
    fields = ("top_k", "min_inliers", "shortlist", "x0", "y0", "x1", "y1")
    assert [value_of(page, field) for field in fields] == [
        "7", "14", "55", "10", "20", "300", "190",
    ]  # fmt: skip
    for chosen in ("<option selected>shortlist", "<option selected>inliers", 'value="90" selected'):
        assert chosen in page.text
    assert "checked" not in page.text
    assert 'data-width="400" data-height="200"' in page.text
    assert get(site, f"/again/photograph.jpg?image_path={quote(path)}").status_code == 200


def test_of_several_all_are_asked_for_again_or_one(site, make_run):
    name, paths = make_run(queries=2)
    both = get(site, f"/again?run={name}")
    assert all(path in both.text for path in paths) and "data-part" not in both.text
    assert f"/again?run={name}" in html.unescape(get(site, f"/searches/{name}").text)
    one = get(site, f"/again?run={name}&query=2")
    assert paths[1] in one.text and paths[0] not in one.text and "data-part" in one.text
    assert get(site, f"/again?run={name}&query=3").status_code == 404
    assert get(site, "/again?run=no+such").status_code == 404


def test_who_may_not_see_a_run_is_not_told_its_options(site, make_run, monkeypatch):
    from landmark_web.pages import again

    name, (path,) = make_run()
    monkeypatch.setattr(again, "allowed", lambda *_: False)
    page = get(site, f"/again?run={name}")
    assert page.status_code == 403 and path not in page.text


def test_what_a_form_says_is_what_is_searched_for(site, started, make_run):
    _, (path,) = make_run()
    form = {
        "image_path": path, "top_k": "5", "min_inliers": "12", "mode": "auto", "ranking": "graph",
        "x0": "0", "y0": "10", "x1": "200", "y1": "100", "turn": "270", "shortlist": "9",
    }  # fmt: skip
    assert ask(site, "POST", "/searches", files={"none": ""}, data=form).status_code == 303
    assert started == [
        {
            "image_path": path, "top_k": 5, "min_inliers": 12, "mode": "auto", "ranking": "graph",
            "add_to_index": False, "box": [0, 10, 200, 100], "turn": 270, "shortlist": 9,
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"x0": "1", "y0": "2"}, "Box: give all of its four sides, or none."),
        ({"x0": "1", "y0": "2", "x1": "x", "y1": "9"}, "Right: 'x' is not a whole number."),
        ({"x0": "50", "y0": "2", "x1": "50", "y1": "9"}, "box 50,2,50,9: is empty"),
        ({"x0": "-5", "y0": "2", "x1": "50", "y1": "9"}, "box -5,2,50,9: lies outside"),
        ({"turn": "45"}, "turn: 45 is none of 0, 90, 180 and 270 degrees"),
    ],
)
def test_a_wrong_box_is_told_before_anything_starts_and_is_kept(
    site, started, make_run, fields, reason
):
    _, (path,) = make_run()
    page = ask(site, "POST", "/searches", files={"none": ""}, data={"image_path": path, **fields})
    assert page.status_code == 400 and reason in words(page) and started == []
    for name, value in fields.items():
        assert name == "turn" or value_of(page, name) == value


def test_a_box_goes_with_one_photograph(site, started, make_run):
    _, paths = make_run(queries=2)
    box = {"x0": "0", "y0": "0", "x1": "100", "y1": "100"}
    for asked in ("\n".join(paths), site.base + "queries/"):
        page = ask(site, "POST", "/searches", files={"none": ""}, data={"image_path": asked, **box})
        assert page.status_code == 400 and started == []
        assert "box: goes with exactly one photograph" in words(page)


def test_a_photograph_that_may_not_be_searched_for_is_not_shown(site):
    site.put(site.base + "private/a.jpg", scene())
    path = site.base + "private/a.jpg"
    assert get(site, f"/again/photograph.jpg?image_path={path}").status_code == 403
    page = get(site, f"/again?image_path={path}")
    assert "lies outside of LANDMARK_QUERIES" in words(page) and "data-part" not in page.text
    assert get(site, "/again?image_path=").headers["location"] == "/"  # there is nothing to see
    gone = get(site, f"/again?image_path={site.base}queries/none.jpg")
    assert "there is no such object" in words(gone)


# ---- the result ----------------------------------------------------------------------------------


def pixels_of(answer):
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_the_result_shows_the_box_and_the_turn(site, make_run):
    name, _ = make_run(Framing((0, 0, 100, 100), 90, True))
    page = get(site, f"/searches/{name}")
    assert "Part box 0,0,100,100 px" in words(page)
    assert "Turned found when turned by 90 degrees clockwise" in words(page)
    assert "/images/0?turn=90" in page.text  # not the one that was seen while it ran
    picture = pixels_of(get(site, f"/searches/{name}/images/0"))
    assert picture.shape == (400, 200, 3)  # upright it lies
    # Turned clockwise, its left is the top, and its top the right; what is not in the box is dark.
    assert picture[50, 150].max() > 1.5 * picture[50, 40].max()
    assert 90 < picture[300, 100].mean() < 125
    kinds = [get(site, f"/searches/{name}/{file}").text for file in ("matches.txt", "matches.json")]
    assert "# box: 0,0,100,100\n# turn: found when turned by 90 degrees clockwise\n" in kinds[0]
    assert '"turn": 90' in kinds[1] and '"is_found": true' in kinds[1]


def test_of_several_the_turned_one_says_so(site, make_run):
    name, _ = make_run(Framing(turn=180, is_found=True), queries=2)
    page = get(site, f"/searches/{name}")
    assert words(page).count("found when turned by 180 degrees") == 2
    assert "/images/0?query=2&amp;turn=180" in page.text


def form_of(page, words_on_it):
    """The address and the fields of the form with a button of these words."""
    for form in re.findall(r"<form[^>]*>.*?</form>", page.text, re.S):
        if words_on_it in " ".join(re.sub(r"<[^>]*>", "", form).split()):
            fields = re.findall(r'name="([^"]*)" value="([^"]*)"', form)
            action = re.search(r'action="([^"]*)"', form)[1]
            return html.unescape(action), {name: html.unescape(value) for name, value in fields}
    raise AssertionError(words_on_it)


def test_a_match_is_searched_for_at_once_with_the_run_s_options(site, started, make_run):
    name, _ = make_run(conf={"box": [0, 0, 90, 90]})
    site.landmark.settings.__dict__["queries"] = (site.base,)
    for page in (f"/searches/{name}", f"/searches/{name}/pairs/1"):
        action, fields = form_of(get(site, page), "Search for this one")
        answer = ask(site, "POST", action, data=fields)
        assert answer.status_code == 303
        there = answer.headers["location"]
        assert there.endswith(f"?begun_at={name}&at_match=1") and "/searches/new%20" in there
    expected = {**OPTIONS, "image_path": f"{site.base}images/m é&+.jpg"}
    assert started == [expected, expected]  # neither the other photograph's box, nor its turn


def test_the_query_is_turned_at_once(site, started, make_run):
    name, (path,) = make_run(
        Framing((0, 0, 90, 90), 270), conf={"box": [0, 0, 90, 90], "turn": 270}
    )
    action, fields = form_of(get(site, f"/searches/{name}"), "Turn it and search")
    assert ask(site, "POST", action, data=fields).status_code == 303
    assert started == [{**OPTIONS, "image_path": path, "box": [0, 0, 90, 90], "turn": 0}]
    assert ask(site, "POST", action, data={**fields, "turn": "45"}).status_code == 422


def test_what_may_not_be_searched_for_is_not_begun(site, started, make_run):
    name, _ = make_run()
    action = f"/searches/{name}/at-once"
    for path in (site.base + "private/a.jpg", "", "s3://", "/etc/passwd"):
        assert ask(site, "POST", action, data={"photograph": quote(path)}).status_code == 403
    form = {"photograph": quote(site.base + "queries/0.jpg")}
    assert ask(site, "POST", "/searches/none/at-once", data=form).status_code == 404
    assert started == []
    foreign = {"sec-fetch-site": "cross-site"}
    for address in (action, f"/searches/{name}/undo"):
        assert ask(site, "POST", address, data=form, headers=foreign).status_code == 403


def test_what_airflow_refuses_is_told(site, make_run, monkeypatch):
    from landmark_web.pages import again

    def refuse(*asked):
        raise LandmarkError("DAG landmark_search is paused")

    monkeypatch.setattr(again, "trigger", refuse)
    name, (path,) = make_run()
    form = {"photograph": quote(path)}
    page = ask(site, "POST", f"/searches/{name}/at-once", data=form)
    assert page.status_code == 422 and "DAG landmark_search is paused." in words(page)


@pytest.fixture
def just_begun(site, make_run, monkeypatch):
    """A run that goes on, begun beside the match of another; the runs that were cancelled."""
    import psycopg

    from landmark_web.pages import again

    name, (path,) = make_run()
    new = f"{name} new"
    site.run(new, {"image_path": path}, {})
    with psycopg.connect(site.tables) as connection:
        connection.execute("UPDATE dag_run SET state = 'running' WHERE run_id = %s", [new])
    cancelled = []

    def cancel(user, dag_id, run_id):
        cancelled.append((user.get_name(), dag_id, run_id))
        return run_id == new

    monkeypatch.setattr(again, "cancel", cancel)
    return name, new, cancelled


def test_what_was_begun_can_be_undone_and_leads_back(site, just_begun):
    name, new, cancelled = just_begun
    address = f"/searches/{quote(new)}"
    page = get(site, f"{address}?begun_at={name}&at_match=1")
    action, fields = form_of(page, "Undo")
    assert "This search has just begun." in words(page) and action == f"{address}/undo"
    answer = ask(site, "POST", action, data=fields)
    assert answer.headers["location"] == f"/searches/{name}#match-1"
    assert cancelled == [("ada", "landmark_search", new)]
    # One that is over is shown: there is nothing to undo.
    late = ask(site, "POST", f"/searches/{name}/undo", data=fields)
    assert late.headers["location"] == f"/searches/{name}"
    assert "Undo" not in words(get(site, f"/searches/{name}?begun_at={name}"))
    assert "Undo" not in words(get(site, address))
    for query in ("begun_at=&at_match=1", f"begun_at={name}&at_match=x", "begun_at=" + "x" * 300):
        assert "just begun" not in words(get(site, f"{address}?{query}"))


# ---- in a browser --------------------------------------------------------------------------------


@pytest.fixture(params=["light", "dark", "narrow"])
def page(open_page, request):
    options = {"viewport": PHONE, "has_touch": True} if request.param == "narrow" else {}
    page = open_page(color_scheme="dark" if request.param == "dark" else "light", **options)
    yield page
    assert page.evaluate(STICKS_OUT_PX) <= 0


def box_of(page):
    return [int(page.locator(f"[name={side}]").input_value() or -1) for side in SIDES]


SIDES = ("x0", "y0", "x1", "y1")


def drag(page, start, end):
    """From one point of the picture to another, as fractions of what is seen of it."""
    stage = page.locator(".stage")
    stage.scroll_into_view_if_needed()
    seen = stage.bounding_box()
    at = [(seen["x"] + x * seen["width"], seen["y"] + y * seen["height"]) for x, y in (start, end)]
    page.mouse.move(*at[0])
    page.mouse.down()
    page.mouse.move(*at[1], steps=4)
    page.mouse.up()


def test_a_box_is_drawn_moved_and_searched_for(site, page, started, make_run):
    name, (path,) = make_run()
    page.goto(f"/searches/{name}")
    page.get_by_role("link", name="Search again, or for a part").click()
    page.locator(".stage.live").wait_for()
    drag(page, (0.25, 0.25), (0.75, 0.75))
    assert box_of(page) == pytest.approx([100, 50, 300, 150], abs=2)
    # A corner; then all of it; then by keys.
    drag(page, (0.75, 0.75), (0.9, 1.0))
    assert box_of(page) == pytest.approx([100, 50, 360, 200], abs=2)
    drag(page, (0.5, 0.6), (0.3, 0.6))
    assert box_of(page) == pytest.approx([20, 50, 280, 200], abs=3)
    before = box_of(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    assert box_of(page) == [before[0] + 4, before[1], before[2] + 4, before[3] - 4]
    drag(page, (0.95, 0.05), (0.955, 0.055))  # no more than a click
    assert box_of(page) == [before[0] + 4, before[1], before[2] + 4, before[3] - 4]
    page.get_by_label("Left").fill("40")
    page.get_by_label("Matches").fill("3")
    with page.expect_response("**/searches"):
        page.get_by_role("button", name="Find the place").click()
    assert started[0]["image_path"] == path and started[0]["top_k"] == 3
    assert started[0]["box"] == [40, before[1], before[2] + 4, before[3] - 4]
    assert "turn" not in started[0]


def test_a_box_is_drawn_by_keys_alone_and_removed(site, page, make_run):
    name, _ = make_run()
    page.goto(f"/again?run={name}")
    page.get_by_role("button", name="Draw a box").focus()
    page.keyboard.press("Enter")
    assert box_of(page) == [100, 50, 300, 150]
    frame = page.get_by_role("group", name=re.compile("The part: arrow keys move it"))
    assert frame.evaluate("frame => frame === document.activeElement")
    for _ in range(50):
        page.keyboard.press("ArrowLeft")
    assert box_of(page) == [0, 50, 200, 150]
    page.keyboard.press("Delete")
    assert box_of(page) == [-1] * 4 and not frame.is_visible()
    focused = page.evaluate("document.activeElement.textContent")
    assert focused == "Draw a box"


def test_a_box_is_of_the_photograph_as_it_is_however_it_is_turned(site, page, make_run):
    name, _ = make_run()
    page.goto(f"/again?run={name}")
    page.get_by_role("button", name="Turn it").click()
    assert page.get_by_label("Turned clockwise by").input_value() == "90"
    seen = page.locator(".stage").bounding_box()
    assert seen["height"] == pytest.approx(2 * seen["width"], rel=0.02)
    drag(page, (0.1, 0.05), (0.6, 0.3))  # of what is seen the top: of the photograph the left
    assert box_of(page) == pytest.approx([20, 80, 120, 180], abs=3)
    before = box_of(page)
    page.keyboard.press("ArrowDown")
    assert box_of(page) == [before[0] + 4, before[1], before[2] + 4, before[3]]
    for turn, corner in (("180", (0.95, 0.9)), ("270", (0.9, 0.05))):
        page.get_by_role("button", name="Turn it").click()
        assert page.get_by_label("Turned clockwise by").input_value() == turn
        page.get_by_role("button", name="All of it").click()
        drag(page, corner, (0.5, 0.5))
        x0, _, x1, _ = box_of(page)
        assert (x0 < 60 if turn == "180" else x1 > 340) and (x1 if turn == "180" else x0) == (
            pytest.approx(200, abs=3)
        )


def test_of_a_chosen_file_a_part_is_drawn_before_it_is_sent(
    site, page, started, photograph, tmp_path
):
    exif = Image.Exif()
    exif[0x0112] = 6  # it is displayed turned: 200 wide and 400 high
    Image.open(io.BytesIO(scene())).save(tmp_path / "mine.jpg", exif=exif)
    (tmp_path / "other.heic").write_bytes(b"no browser can read this")
    page.goto("/")
    assert not page.locator(".part").is_visible()
    page.locator("[name=photograph]").set_input_files(tmp_path / "mine.jpg")
    page.locator(".stage.live").wait_for()
    drag(page, (0.1, 0.5), (0.9, 0.9))
    assert box_of(page) == pytest.approx([20, 200, 180, 360], abs=3)
    page.locator("[name=photograph]").set_input_files(tmp_path / "other.heic")
    page.locator(".part").wait_for(state="hidden")
    assert box_of(page) == [-1] * 4
    page.locator("[name=photograph]").set_input_files(tmp_path / "mine.jpg")
    page.locator(".stage.live").wait_for()
    drag(page, (0.1, 0.5), (0.9, 0.9))
    with page.expect_response("**/searches"):
        page.get_by_role("button", name="Find the place").click()
    assert started[0]["box"] == pytest.approx([20, 200, 180, 360], abs=3)
    assert started[0]["image_path"].startswith(site.base + "uploads/")


def test_a_path_that_is_named_alone_is_shown_and_looked_at_first(site, page, make_run):
    _, (path, other) = make_run(queries=2)
    page.goto("/")
    field = page.get_by_label("Photograph in S3")
    field.fill(path)
    field.press("Tab")
    page.locator(".stage.live img").wait_for()
    drag(page, (0.25, 0.25), (0.75, 0.75))
    assert box_of(page) == pytest.approx([100, 50, 300, 150], abs=2)
    field.fill(f"{path}\n{other}")
    field.press("Tab")
    page.locator(".part").wait_for(state="hidden")
    assert box_of(page) == [-1] * 4
    field.fill(path)
    page.get_by_role("button", name="Look at it first").click()
    page.locator(".stage.live img").wait_for()
    assert page.get_by_label("Add to the index").is_checked()


def test_without_script_numbers_do(open_page, started, make_run):
    name, _ = make_run()
    page = open_page(java_script_enabled=False)
    page.goto(f"/again?run={name}")
    assert page.get_by_alt_text("The photograph").bounding_box()["height"] > 100
    assert not page.get_by_role("button", name="Draw a box").is_visible()
    for title, side in {"Left": 0, "Top": 10, "Right": 200, "Bottom": 110}.items():
        page.get_by_label(title).fill(str(side))
    page.get_by_label("Turned clockwise by").select_option("180")
    page.get_by_role("button", name="Find the place").click()
    assert started[0]["box"] == [0, 10, 200, 110] and started[0]["turn"] == 180


def test_a_finger_draws_a_box(open_page, make_run):
    name, _ = make_run()
    page = open_page(has_touch=True, viewport=PHONE, is_mobile=True)
    page.goto(f"/again?run={name}")
    stage = page.locator(".stage.live")
    stage.scroll_into_view_if_needed()
    seen = stage.bounding_box()
    session = page.context.new_cdp_session(page)

    def touch(kind, *points):
        at = [
            {"x": seen["x"] + x * seen["width"], "y": seen["y"] + y * seen["height"]}
            for x, y in points
        ]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

    touch("touchStart", (0.2, 0.2))
    for step in range(1, 7):
        touch("touchMove", (0.2 + 0.1 * step, 0.2 + 0.1 * step))
    touch("touchEnd")
    page.wait_for_function("document.querySelector('[name=x1]').value !== ''")
    assert box_of(page) == pytest.approx([80, 40, 320, 160], abs=4)
    assert page.evaluate("scrollY") == 0 or stage.bounding_box() == seen
