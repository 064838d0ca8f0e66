"""A run of many photographs: filtered, sorted, its prefix named once, from search to search."""

from __future__ import annotations

import re

import pytest
from asking import get, words
from lived_in import LivedIn

from landmark.search.single import Search
from landmark_web.overview import View, common_folder, counts_of, in_view, neighbours

OUTCOMES = ["match", "no match", "uncertain", "failed", "match"]
NAMES = ["sub/b", "a", "sub/d", "e", "c"]


@pytest.fixture
def run(site, photograph, make_view, request):
    """The address of a run of five searches."""
    lived_in = LivedIn(site, photograph, make_view, re.sub(r"\W+", "-", request.node.name))
    lived_in.index("abcdef")
    found = {"match": lived_in.matches[:2], "uncertain": lived_in.matches[3:4]}
    return lived_in.several(
        "several",
        [
            (f"{site.base}queries/courtyard/{name}.jpg", outcome, found.get(outcome, []))
            for name, outcome in zip(NAMES, OUTCOMES, strict=True)
        ],
    )


def numbers(page):
    """Which searches a page lists, by their numbers."""
    return [int(one) for one in re.findall(r'class="run" href="[^"]*\?query=(\d+)', page.text)]


def test_what_is_uncertain_comes_first_and_each_outcome_can_be_chosen(site, run):
    page = get(site, run)
    assert numbers(page) == [3, 1, 5, 2, 4]
    assert "all 5 uncertain 1 match 2 no match 1 failed 1" in words(page)
    assert numbers(get(site, f"{run}?outcome=match")) == [1, 5]
    assert numbers(get(site, f"{run}?outcome=no+match")) == [2]
    assert numbers(get(site, f"{run}?sort=asked")) == [1, 2, 3, 4, 5]
    assert numbers(get(site, f"{run}?sort=name")) == [2, 5, 4, 1, 3]
    assert numbers(get(site, f"{run}?sort=inliers"))[:3] == [1, 5, 3]
    assert get(site, f"{run}?sort=x").status_code == 422


def test_what_is_chosen_is_marked_and_kept(site, run):
    page = get(site, f"{run}?outcome=match&sort=name").text
    assert re.findall(r'aria-current="true">([^<]*)<', page) == ["match 2", "by name"]
    assert f'href="{run}?outcome=match&amp;sort=inliers"' in page
    assert f'href="{run}?query=5&amp;outcome=match&amp;sort=name"' in page


def test_its_prefix_is_named_once(site, run):
    page = get(site, run)
    assert words(page).count(f"{site.base}queries/courtyard/") == 1
    assert "b.jpg sub/" in words(page)


def test_the_best_match_is_seen_beside_each(site, run):
    page = get(site, run).text
    assert set(re.findall(rf'src="{run}/images/1\?query=(\d)"', page)) == {"1", "3", "5"}


def test_from_search_to_search_as_they_are_listed(site, run):
    page = get(site, f"{run}?query=1&outcome=match&sort=name").text
    assert f'href="{run}?query=5&amp;outcome=match&amp;sort=name" rel="prev"' in page
    assert 'rel="next"' not in page
    assert f'href="{run}?outcome=match&amp;sort=name" rel="up"' in page
    page = get(site, f"{run}?query=3").text
    assert f'href="{run}?query=1" rel="next"' in page and 'rel="prev"' not in page


def test_of_one_outcome_there_may_be_none_by_now(site, run, monkeypatch):
    monkeypatch.setattr("landmark_web.pages.several.in_view", lambda *_: [])
    assert "None of its searches came out so." in words(get(site, f"{run}?outcome=uncertain"))


def test_searches_that_are_not_compared_yet_stand_as_asked():
    searches = [Search(f"s3://b/{name}.jpg", "s3://b/r/") for name in "cab"]
    searches[0] = searches[0].failed("no photograph")
    assert [one.number for one in in_view(searches, View())] == [2, 3, 1]
    assert counts_of(searches) == {"failed": 1}
    assert neighbours(searches, View(outcome="match"), 2) == (None, None)


@pytest.mark.parametrize(
    ("paths", "folder"),
    [
        (["s3://b/a/1.jpg", "s3://b/a/b/2.jpg"], "s3://b/a/"),
        (["s3://b/a/1.jpg", "s3://b/ab/2.jpg"], "s3://b/"),
        (["s3://b/1.jpg"], "s3://b/"),
        (["s3://b/1.jpg", "s3://c/1.jpg"], ""),
        (["s3://b/a//1.jpg", "s3://b/a/1.jpg"], "s3://b/a/"),
        ([], ""),
    ],
)
def test_the_folder_that_all_lie_below(paths, folder):
    assert common_folder(paths) == folder


def test_what_is_chosen_is_kept_on_the_way_to_a_pair_and_back(site, run):
    chosen = "outcome=match&amp;sort=name"
    page = get(site, f"{run}?query=1&outcome=match&sort=name").text
    assert f'href="{run}/pairs/1?query=1&amp;{chosen}"' in page
    assert f'href="{run}/look/0?query=1&amp;{chosen}"' in page
    assert f'src="{run}/images/1?query=1"' in page  # which is the same picture in any list
    for name in ("pairs/1", "look/0", "look/1", "contact-sheet"):
        page = get(site, f"{run}/{name}?query=1&outcome=match&sort=name").text
        (above,) = re.findall(r'href="([^"#]*)[^"]*" rel="up"', page)
        assert above.startswith(f"{run}?") and above.endswith(f"query=1&amp;{chosen}".lstrip("?"))
