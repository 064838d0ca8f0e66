"""The form's keys, selecting, and what is gone: in a real browser, without a stack."""

from __future__ import annotations

import re
import zipfile

import pytest

from landmark.matching.ranking import Match
from landmark.search.result import SearchResult, write_query, write_result
from landmark.storage.bucket import delete_object
from landmark.storage.images import save_image


@pytest.fixture(params=["light", "dark"])
def page(open_page, request):
    return open_page(color_scheme=request.param)


@pytest.fixture
def started(monkeypatch):
    from landmark_web import search_form

    conf = []
    monkeypatch.setattr(search_form, "trigger", lambda *asked: conf.append(asked[3]) or "none")
    return conf


def test_enter_makes_a_line_and_the_others_are_searched_for(site, page, started, photograph):
    queries = site.base + "queries/"
    for name in "ab":
        site.put(f"{queries}{name}.jpg", photograph(1))
    page.goto("/")
    field = page.get_by_label("Photograph in S3")
    field.fill(f"{queries}a.jpg")
    field.press("Enter")
    field.press_sequentially(f"{queries}a//<b>.jpg")
    field.press("Enter")
    field.press_sequentially(f"{queries}b.jpg")
    assert started == []
    field.press("Control+Enter")
    alert = page.get_by_role("alert")
    alert.get_by_text("1 of 3 lines cannot be searched for:").wait_for()
    alert.get_by_text("a//<b>.jpg: S3 refuses it").wait_for()
    assert started == [] and field.input_value().count("\n") == 2
    with page.expect_response("**/searches"):
        page.get_by_role("button", name="Search for the other 2 photographs").click()
    assert started[0]["image_path"] == [f"{queries}a.jpg", f"{queries}b.jpg"]


@pytest.fixture
def run(site, photograph, make_view, request):
    """A run with three matches, of which the last was deleted since; its address."""
    folder, query = site.base + "results/run/", site.base + "queries/q.jpg"
    paths = [site.base + f"images/{name}.jpg" for name in "abc"]
    for number, path in enumerate([query, *paths]):
        site.put(path, photograph(number))
        save_image(site.landmark.database, path, "model-1", "1", make_view(1, number))
    write_query(site.landmark.s3, folder, make_view(1))
    result = SearchResult(
        query, "model-1", 9, "2026-01-02T03:04:05+00:00", "exhaustive",
        {"min_inliers": 12, "max_distance": 0.85}, "match",
        [Match(60 - n, 80, path, expected=0.001) for n, path in enumerate(paths)],
    )  # fmt: skip
    answer = write_result(site.landmark.s3, folder, result)
    name = re.sub(r"\W", "-", request.node.name)
    told = {
        ("extract_query", "return_value"): {"folder": folder},
        ("rank_matches", "return_value"): answer,
    }
    site.run(name, {"image_path": query}, told)
    site.overview(name, folder, query)
    delete_object(site.landmark.s3, paths[2])
    return f"/searches/{name}"


def test_selected_photographs_are_downloaded_and_one_that_is_gone_says_so(page, run, tmp_path):
    page.goto(run)
    page.get_by_text("This photograph is gone: it was deleted, or moved, since.").wait_for()
    assert page.locator(".gallery img").count() == 2
    page.get_by_label("Select 2").check()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download selected").click()
    download.value.save_as(tmp_path / "photographs.zip")
    with zipfile.ZipFile(tmp_path / "photographs.zip") as archive:
        assert archive.namelist() == ["002 b.jpg"]
    page.get_by_label("All that are shown").check()
    with page.expect_download() as download:
        page.get_by_role("button", name="Their paths").click()
    download.value.save_as(tmp_path / "paths.txt")
    paths = (tmp_path / "paths.txt").read_text().splitlines()
    assert [path[-5:] for path in paths] == ["a.jpg", "b.jpg", "c.jpg"]
    page.set_viewport_size({"width": 390, "height": 800})
    width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(width) <= 0


def test_of_a_removed_result_the_list_says_that_it_was_removed(page, run):
    name = run.rsplit("/", 1)[1]
    page.goto(f"{run}/remove")
    page.get_by_role("button", name="Remove").click()
    card = page.locator(".card", has=page.locator(f'a[href$="{name}"]'))
    card.get_by_text("Its result was removed, or has had its time.").first.wait_for()
    assert card.get_by_text("This photograph is gone").count() == 0
