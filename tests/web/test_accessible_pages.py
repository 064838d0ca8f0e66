"""Every page in a real browser, in either theme: axe-core, the keyboard, a narrow window."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from browser_fixture import PHONE, STICKS_OUT_PX
from lived_in import LivedIn

pytest.importorskip("playwright.sync_api", reason="no Playwright; make test installs it")

from axe_playwright_python.sync_playwright import Axe

pytestmark = pytest.mark.timeout(900)

#: What a reader can do something with and sees, in the order of the page; each gets a number.
REACHABLE = """() => Array.from(document.querySelectorAll(
  "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']"
)).filter(element => element.checkVisibility({visibilityProperty: true}) && !element.disabled)
  .map((element, number) => { element.dataset.reachable = number; return number; }).length"""
FOCUSED = "() => document.activeElement.dataset.reachable ?? null"
SEEN = """() => {
  const {outlineStyle, outlineWidth} = getComputedStyle(document.activeElement);
  return outlineStyle !== "none" && parseFloat(outlineWidth) >= 1;
}"""


def unfold(page):
    page.evaluate("() => document.querySelectorAll('details').forEach(one => one.open = true)")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(open_page, site, photograph, make_view, theme):
    addresses = LivedIn(site, photograph, make_view, f"axe-{theme}").fill()
    folder, found = os.environ.get("SCREENSHOTS"), []
    page = open_page(color_scheme=theme, viewport={"width": 1200, "height": 900})
    for name, where in addresses.items():
        page.goto(where)
        unfold(page)
        if folder:
            page.screenshot(path=Path(folder) / f"{name}-{theme}.png", full_page=True)
        for fault in Axe().run(page).response["violations"]:
            nodes = [f"{node['html'][:200]}: {node['failureSummary']}" for node in fault["nodes"]]
            found.append(f"{name}: {fault['id']}: {fault['help']}: {nodes[:3]}")
    assert not found, "\n".join(found)


def test_every_page_is_used_by_keyboard_alone_and_in_a_narrow_window(
    open_page, site, photograph, make_view
):
    addresses = LivedIn(site, photograph, make_view, "keyboard").fill()
    folder, wide, unreached, unseen = os.environ.get("SCREENSHOTS"), {}, {}, {}
    page = open_page(viewport=PHONE)
    for name, where in addresses.items():
        if name in ("running", "begun"):
            continue  # it moves on meanwhile
        page.goto(where)
        unfold(page)
        if folder:
            page.screenshot(path=Path(folder) / f"{name}-390.png", full_page=True)
        if (over := page.evaluate(STICKS_OUT_PX)) > 0:
            wide[name] = over
        number, reached = page.evaluate(REACHABLE), set()
        for _ in range(number + 2):
            page.keyboard.press("Tab")
            focused = page.evaluate(FOCUSED)
            reached.add(focused)
            if focused is not None and not page.evaluate(SEEN):
                unseen.setdefault(name, []).append(focused)
        if missed := {str(one) for one in range(number)} - reached:
            unreached[name] = missed
    assert (wide, unreached, unseen) == ({}, {}, {})
