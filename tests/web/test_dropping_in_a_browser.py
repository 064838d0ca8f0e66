"""Photographs dropped, pasted and chosen; the index by keyboard: a real browser, no stack."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path
from urllib.parse import quote

import pytest
from browser_fixture import STICKS_OUT_PX

from landmark.storage.images import is_known_image, record_failure, save_image
from landmark.storage.models import mark_searched

MODEL = "model-1"
# What is let fall on the page, or pasted: files by name; a folder is a list in a list.
GIVE = """([kind, files]) => {
  const transfer = new DataTransfer();
  const file = ([name, data]) => new File(
    [Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0))], name);
  const entry = ([name, data]) => Array.isArray(data) ? {
    isFile: false, isDirectory: true, createReader: () => {
      const rest = data.map(entry);  // a browser gives some at a time, then none
      return { readEntries: (take) => take(rest.splice(0, 1)) };
    },
  } : { isFile: true, isDirectory: false, file: (take) => take(file([name, data])) };
  for (const one of files) if (!Array.isArray(one[1])) transfer.items.add(file(one));
  if (files.some(([, data]) => Array.isArray(data))) {
    Object.defineProperty(transfer, "items", {
      value: files.map((one) => ({ webkitGetAsEntry: () => entry(one) })) });
    Object.defineProperty(transfer, "types", { value: ["Files"] });
  }
  const given = kind === "paste" ? { clipboardData: transfer } : { dataTransfer: transfer };
  const event = new Event(kind, { bubbles: true, cancelable: true });
  for (const name in given) Object.defineProperty(event, name, { value: given[name] });
  document.querySelector("main").dispatchEvent(event);
  return event.defaultPrevented;
}"""


@pytest.fixture(params=["light", "dark"])
def page(open_page, request):
    return open_page(color_scheme=request.param)


@pytest.fixture
def look(page, request):
    """Takes a picture of the page, where one is asked for; and says that nothing sticks out."""

    def take(name):
        for width in (1100, 390):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate(STICKS_OUT_PX) <= 0, (name, width)
            if folder := os.environ.get("SCREENSHOTS"):
                file = re.sub(r"\W+", "-", f"{request.node.name}-{name}-{width}")
                page.screenshot(path=Path(folder) / f"{file}.png", full_page=True)
        page.set_viewport_size({"width": 1100, "height": 900})

    return take


@pytest.fixture
def started(monkeypatch):
    from landmark_web import search_form

    conf = []
    monkeypatch.setattr(search_form, "trigger", lambda *asked: conf.append(asked[3]) or "none")
    return conf


def given(page, kind, *files):
    def encoded(data):
        if isinstance(data, list):
            return [[name, encoded(body)] for name, body in data]
        return base64.b64encode(data).decode()

    return page.evaluate(GIVE, [kind, [[name, encoded(data)] for name, data in files]])


def lines(page):
    """Names of what the form's lines say."""
    text = page.get_by_label("Photograph in S3").input_value()
    return [line.rsplit("/", 1)[1] for line in text.split("\n") if line]


def test_dropped_files_are_uploaded_and_searched_for_without_adding_them(
    site, page, started, photograph, look
):
    page.goto("/")
    assert given(page, "dragover", ("a.jpg", b"x"))
    look("dropping")
    names = ["a.jpg", "Würzburg & é.jpg", "c.jpg"]
    files = [(name, photograph(number)) for number, name in enumerate(names)]
    assert given(page, "drop", *files, ("again.jpg", files[0][1]), ("no photograph.jpg", b"text"))
    page.get_by_text("4 photographs uploaded", exact=True).wait_for()
    first = {"a.jpg", "again.jpg"}  # the same bytes: one object, by the name that came first
    assert len(lines(page)) == 3 and set(lines(page)) - first == set(names) - first
    page.locator(".drop li", has_text="no photograph.jpg: ").wait_for()
    look("dropped")
    with page.expect_response("**/searches"):
        page.get_by_role("button", name="Find the place").click()
    (conf,) = started
    assert len(conf["image_path"]) == 3 and conf["add_to_index"] is False
    assert all(path.startswith(site.base + "uploads/") for path in conf["image_path"])


def test_what_is_sent_meanwhile_waits_for_its_uploads(site, page, started, photograph):
    page.goto("/")
    page.get_by_text("Options").click()
    page.get_by_label("Add uploads to the index, too").check()
    held = []
    page.route("**/uploads", lambda route: held.append(route))
    given(page, "drop", ("a.jpg", photograph(1)))
    page.get_by_text("0 of 1 photograph uploaded", exact=True).wait_for()
    page.get_by_role("button", name="Find the place").click()
    assert started == []
    with page.expect_response("**/searches"):
        held[0].continue_()
    (conf,) = started
    assert conf["image_path"].endswith("/a.jpg") and conf["add_to_index"] is True


def test_a_picture_is_pasted_and_a_text_is_a_text(site, page, started, photograph):
    page.goto("/")
    assert given(page, "paste", ("image.png", photograph(1)))
    page.get_by_text("1 photograph uploaded", exact=True).wait_for()
    assert lines(page) == ["image.png"]
    assert not given(page, "paste") and not given(page, "drop")


def test_folders_are_taken_with_all_below(site, page, started, photograph, tmp_path):
    page.goto("/")
    deep = [("b.jpg", photograph(2)), ("notes.txt", b"x")]
    given(page, "drop", ("trip", [("a.jpg", photograph(1)), ("day", deep)]))
    page.get_by_text("2 photographs uploaded; 1 other files are left out", exact=True).wait_for()
    assert sorted(lines(page)) == ["a.jpg", "b.jpg"]
    (tmp_path / "day").mkdir()
    (tmp_path / "day" / "c.JPG").write_bytes(photograph(3))
    (tmp_path / ".DS_Store").write_bytes(b"x")
    page.locator("input[data-folder]").set_input_files(tmp_path)
    page.get_by_text("1 photograph uploaded; 1 other files are left out", exact=True).wait_for()
    assert sorted(lines(page)) == ["a.jpg", "b.jpg", "c.JPG"]


def test_chosen_files_are_uploaded_at_once_and_too_large_ones_refused(
    site, page, started, photograph, tmp_path, monkeypatch
):
    monkeypatch.setattr("landmark_web.pages.searches.MAX_UPLOAD_BYTES", 100_000)
    for name, body in (("a.jpg", photograph(1)), ("large.jpg", bytes(100_001))):
        (tmp_path / name).write_bytes(body)
    page.goto("/")
    chosen = [tmp_path / "a.jpg", tmp_path / "large.jpg"]
    page.get_by_label("or one of yours").set_input_files(chosen)
    page.get_by_text("1 photograph uploaded", exact=True).wait_for()
    page.locator(".drop li", has_text="large.jpg: too large").wait_for()
    with page.expect_response("**/searches"):
        page.get_by_role("button", name="Find the place").click()
    assert started[0]["image_path"].endswith("/a.jpg")


def test_without_a_script_the_form_takes_one_and_does_not_add_it(
    open_page, started, photograph, tmp_path
):
    (tmp_path / "a.jpg").write_bytes(photograph(1))
    page = open_page(java_script_enabled=False)
    page.goto("/")
    assert not page.get_by_role("button", name="choose a folder").is_visible()
    page.get_by_label("or one of yours").set_input_files(tmp_path / "a.jpg")
    with page.expect_response("**/searches"):
        page.get_by_role("button", name="Find the place").click()
    assert started[0]["image_path"].endswith("/a.jpg") and started[0]["add_to_index"] is False


def test_the_index_is_walked_removed_from_and_undone_by_keyboard(
    site, page, make_view, photograph, look, monkeypatch
):
    from landmark_web.pages import index

    monkeypatch.setattr(index, "_overview", index._overview.__wrapped__)
    database, images = site.landmark.database, site.base + "images/"
    mark_searched(database, MODEL)
    names = [f"trip/{number}.jpg" for number in range(5)] + ["trip/a longer name of a day/x.jpg"]
    for number, name in enumerate(names):
        site.put(images + name, photograph(number))
        save_image(database, images + name, MODEL, "1", make_view(number))
    for name, reason in (("small.jpg", "too small: 20 x 30 px, less than 32"), ("b.jpg", "broken")):
        path = images + "trip/" + name
        record_failure(database, path, MODEL, "1", f"{path}: {reason}")

    def press(role, name):
        found = page.get_by_role(role, name=name, exact=True).first
        found.focus()
        page.keyboard.press("Enter")

    page.goto("/index")
    page.get_by_text("Failures by reason").wait_for()
    for group in page.locator("details").all():
        group.locator("summary").click()
    look("index")
    press("link", "All photographs")
    page.get_by_role("heading", name="Photographs of the index").wait_for()
    press("link", "trip/")
    page.get_by_role("list", name="Photographs").wait_for()
    broken = "Array.from(document.images).filter((one) => one.complete && !one.naturalWidth).length"
    page.wait_for_function(
        "Array.from(document.images).every((one) => one.complete && one.naturalWidth)"
    )
    assert page.evaluate(broken) == 0 and page.locator(".gallery img").count() == 5
    look("folder")
    page.goto(f"/index/photograph?path={quote(images + 'trip/small.jpg', safe='')}")
    page.get_by_text("too small: 20 x 30 px, less than 32").wait_for()
    look("failed")
    page.goto(f"/index/photograph?path={quote(images + 'trip/1.jpg', safe='')}")
    look("photograph")
    press("link", "Remove from the index…")
    page.get_by_role("heading", name="Remove 1.jpg from the index?").wait_for()
    assert is_known_image(database, images + "trip/1.jpg")
    look("question")
    press("button", "Remove from the index")
    page.get_by_role("heading", name="Removed from the index").wait_for()
    assert not is_known_image(database, images + "trip/1.jpg")
    look("removed")
    page.get_by_role("button", name=re.compile("^Let .*1.jpg in again$")).press("Enter")
    page.get_by_text("let in again by ada").wait_for()
    page.goto("/index/failures")
    look("failures")
