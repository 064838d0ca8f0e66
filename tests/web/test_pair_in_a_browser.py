"""The pair view in a real browser: it fits, is enlarged in full detail, its lines stay thin."""

from __future__ import annotations

import pytest
from lived_in import LivedIn

SIDE_PX = 2000


@pytest.fixture
def lived_in(site, photograph, make_view, request):
    name = "".join(letter for letter in request.node.name if letter.isalnum())
    lived_in = LivedIn(site, photograph, make_view, name, SIDE_PX)
    lived_in.index("abcdef")
    return lived_in


@pytest.fixture(params=["light", "dark"])
def page(open_page, request):
    return open_page(color_scheme=request.param, viewport={"width": 1200, "height": 800})


BOX = """one => {
  const {x, y, width, height} = one.getBoundingClientRect();
  return [x, y, width, height];
}"""
#: How wide a line is on the screen: chromium paints it so, whatever the drawing's scale.
STROKE = """one => [getComputedStyle(one).vectorEffect, getComputedStyle(one).strokeWidth]"""


def box(locator):
    return locator.evaluate(BOX)


def enlarged(page):
    return page.locator(".zoom").evaluate("one => one.classList.contains('enlarged')")


def test_a_pair_fits_is_enlarged_and_comes_in_full(page, lived_in):
    page.goto(lived_in.search("pair", lived_in.matches) + "/pairs/1")
    drawing = page.locator(".zoom svg")
    x, y, width, height = box(drawing)
    assert x >= 0 and y >= 0 and x + width <= 1200 and y + height <= 800
    assert drawing.locator("image").count() == 2 and drawing.locator(".ends").count() > 12
    assert drawing.locator(".ends").first.evaluate(STROKE) == ["non-scaling-stroke", "7px"]

    # A double click enlarges where it is, and the photographs come as large as they are.
    with page.expect_response("**/images/1?size=full") as answer:
        page.mouse.dblclick(x + 0.75 * width, y + height / 2)
    assert answer.value.status == 200
    assert page.evaluate("() => String(getSelection())") == ""
    assert enlarged(page) and box(drawing)[2] == pytest.approx(3 * width, rel=0.01)
    page.locator("image[href$='images/1?size=full']").wait_for()
    left, _, wide, _ = box(drawing)
    assert left + 0.75 * wide == pytest.approx(x + 0.75 * width, abs=3)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 1200

    page.keyboard.press("Escape")
    assert not enlarged(page) and box(drawing) == pytest.approx([x, y, width, height], abs=1)
    page.mouse.wheel(0, -300)
    page.wait_for_function("() => document.querySelector('.zoom.enlarged')")
    page.mouse.wheel(0, 600)
    page.wait_for_function("() => !document.querySelector('.zoom.enlarged')")
    page.get_by_role("button", name="larger").click()
    assert box(drawing)[2] == pytest.approx(1.5 * width, rel=0.01)
    page.get_by_role("button", name="Fit").click()
    assert box(drawing)[2] == pytest.approx(width, abs=1)


def test_lines_are_hidden_and_shown_again(page, lived_in):
    page.goto(lived_in.search("lines", lived_in.matches) + "/pairs/1")
    line = page.locator(".joined path").first
    assert line.evaluate("one => getComputedStyle(one).visibility") == "visible"
    page.get_by_role("checkbox", name="Lines").uncheck()
    assert line.evaluate("one => getComputedStyle(one).visibility") == "hidden"
    page.keyboard.press("l")
    assert page.get_by_role("checkbox", name="Lines").is_checked()


def test_keys_lead_through_the_matches_and_back(page, lived_in):
    found = lived_in.search("keys", lived_in.matches)
    page.goto(found + "/pairs/1")
    for rank in (2, 3, 4):
        page.keyboard.press("ArrowRight")
        page.wait_for_url(f"**{found}/pairs/{rank}")
    page.keyboard.press("Escape")
    page.wait_for_url(f"**{found}?page=1#match-4")
    # It is folded away, and the way back unfolds it.
    assert page.locator("#match-4").is_visible()


@pytest.mark.parametrize(
    ("link", "heading", "path"),
    [
        ("The query alone", "Query: query of mine.jpg", "/images/0?size=large"),
        ("Alone", "Match 1: a.jpg", "/images/1?size=large"),
    ],
)
def test_a_photograph_alone_is_a_page_with_a_way_back(page, lived_in, link, heading, path):
    found = lived_in.search("alone", lived_in.matches)
    page.goto(found + "/pairs/1")
    page.get_by_role("link", name=link, exact=True).first.click()
    page.get_by_role("heading", name=heading).wait_for()
    picture = page.locator(".zoom img")
    assert picture.get_attribute("src") == found + path
    x, y, width, height = box(picture)
    assert y + height <= 800 and x + width <= 1200
    dark = page.evaluate("() => matchMedia('(prefers-color-scheme: dark)').matches")
    ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(17, 17, 19)" if dark else "rgb(250, 250, 250)")
    page.get_by_role("link", name="The search").click()
    page.get_by_role("heading", name="Matches").wait_for()


def test_the_contact_sheet_and_a_copy_are_pages_with_a_way_back(page, lived_in):
    page.goto(lived_in.search("sheet", lived_in.matches))
    page.get_by_role("link", name="Contact sheet").click()
    page.get_by_role("heading", name="Contact sheet: query of mine.jpg").wait_for()
    page.wait_for_load_state()
    page.keyboard.press("Escape")
    page.get_by_text("and 1 copy").click()
    page.get_by_role("link", name="d.jpg").click()
    page.get_by_role("heading", name="Copy: d.jpg").wait_for()
    page.get_by_role("link", name="Match 1").click()
    page.get_by_role("heading", name="Match 1").wait_for()


def test_where_a_photograph_has_changed_what_was_drawn_is_shown(page, lived_in, site, photograph):
    found = lived_in.search("changed", lived_in.matches)
    site.put(lived_in.path("a"), photograph(7))
    page.goto(found + "/pairs/1")
    assert page.locator(".zoom svg").count() == 0
    assert page.locator(".zoom > *").get_attribute("src") or page.get_by_text("gone").count()
