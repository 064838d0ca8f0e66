"""The pages of watches: the app by itself, without a login."""

from __future__ import annotations

import json
import re
from itertools import combinations
from urllib.parse import quote

import pytest
from asking import ask, get, words

from landmark.index.places import update_places
from landmark.matching.chance import ChanceHistogram
from landmark.storage.edges import Edge, save_edges, versions_of
from landmark.storage.images import save_image
from landmark.storage.models import mark_searched
from landmark.storage.places import name_place, places_of_paths
from landmark.storage.watches import latest_watches
from landmark.watching.watches import tell_watches

MODEL = "model-1"
CHANCE = ChanceHistogram((99_000, *(1 + round(500 * 0.5**n) for n in range(9))))


def path(site, name):
    return f"{site.base}images/{name}.jpg"


def sweep(site, photograph, make_view, names, pairs):
    """Photographs come in, are linked and grouped, and who watches is told."""
    database = site.landmark.database
    for number, name in enumerate(names):
        site.put(path(site, name), photograph(number))
        save_image(database, path(site, name), MODEL, "1", make_view(1, number))
    rows = versions_of(database, MODEL, [path(site, name) for pair in pairs for name in pair])
    edges = [Edge(*sorted(rows[path(site, name)][0] for name in pair), 60, 120) for pair in pairs]
    save_edges(database, edges, dict(rows.values()))
    update_places(database, MODEL, CHANCE)
    settings = site.landmark.settings
    return tell_watches(database, site.landmark.s3, settings.results, MODEL, "run " + names)


@pytest.fixture
def place(site, photograph, make_view):
    """The number of a place of three photographs."""
    mark_searched(site.landmark.database, MODEL)
    sweep(site, photograph, make_view, "abc", list(combinations("abc", 2)))
    return places_of_paths(site.landmark.database, MODEL, [path(site, "a")])[path(site, "a")]


def begin(site, user="ada", **form):
    return ask(site, "POST", "/watches", user, data=form)


def test_a_place_is_watched_listed_and_ended(site, place):
    name_place(site.landmark.database, place, "<b>Mill</b>", "")
    assert "Watch this place" in words(get(site, f"/places/{place}"))
    assert "Nobody watches anything yet" in words(get(site, "/watches"))
    answer = begin(site, place=str(place))
    assert answer.status_code == 303 and answer.headers["location"].endswith("/watches")
    shown = words(get(site, f"/places/{place}"))
    assert "Watch this place" not in shown and "Watched since" in shown
    page = get(site, "/watches")
    assert "<b>Mill</b> ada, since" in words(page) and "<b>" not in page.text
    assert "Nothing new yet" in page.text and 'href="/watches" aria-current="page"' in page.text
    (watch,) = latest_watches(site.landmark.database, 10)
    assert ask(site, "POST", f"/watches/{watch.number}/end", "eve").status_code == 303
    page = get(site, "/watches")
    assert "until" in page.text and "eve" in page.text and "<form" not in page.text


def test_a_report_is_read_by_page_and_program(site, place, photograph, make_view):
    begin(site, photograph=quote(path(site, "a"), safe=""))
    pairs = [("d", "a"), ("d", "b"), ("d", "c")]
    (report,) = sweep(site, photograph, make_view, "d", pairs)
    page = get(site, "/watches")
    assert "1 photograph" in words(page) and path(site, "a").rsplit("/", 1)[1] in page.text
    links = re.findall(r'href="(/watches/[^"]*)"', page.text)
    answers = {link.rsplit("/", 1)[1]: get(site, link) for link in links}
    assert {name: answer.status_code for name, answer in answers.items()} == {
        "contact-sheet": 200,
        "report.txt": 200,
        "report.json": 200,
    }
    assert path(site, "d") in answers["report.txt"].text
    (sheet,) = re.findall(r'<img src="([^"]*)"', answers["contact-sheet"].text)
    assert get(site, sheet).headers["content-type"] == "image/jpeg"
    (told,) = json.loads(get(site, "/watches.json").text)["watches"]
    assert (told["photograph"], told["shows"]) == (path(site, "a"), report.place)
    assert told["reports"][0]["folder"] == report.folder


def test_many_are_listed_page_by_page(site, place, photograph, make_view, monkeypatch):
    monkeypatch.setattr("landmark_web.pages.watches.WATCHES_A_PAGE", 2)
    for name in "abc":
        begin(site, photograph=path(site, name))
    first = get(site, "/watches")
    assert first.text.count('<li class="card') == 2
    (older,) = re.findall(r'href="/watches\?before=(\d+)"', first.text)
    assert get(site, f"/watches?before={older}").text.count('<li class="card') == 1
    listed = json.loads(get(site, "/watches.json").text)
    assert [len(listed["watches"]), listed["before"]] == [2, int(older)]


@pytest.mark.parametrize(
    ("form", "status", "reason"),
    [
        ({}, 422, "a photograph or a place"),
        ({"place": "x"}, 422, "a number is wanted"),
        ({"place": "999999"}, 422, "place 999999: there is none"),
        ({"photograph": "s3://elsewhere/a.jpg"}, 403, "s3://elsewhere/a.jpg"),
        ({"photograph": "{base}images/none.jpg"}, 422, "not in the index"),
    ],
)
def test_what_cannot_be_watched_is_refused(site, place, form, status, reason):
    form = {name: value.format(base=site.base) for name, value in form.items()}
    answer = begin(site, **form)
    assert answer.status_code == status and reason in words(answer)
    assert latest_watches(site.landmark.database, 10) == []


def test_another_site_begins_nothing(site, place):
    headers = {"sec-fetch-site": "cross-site"}
    answer = ask(site, "POST", "/watches", data={"place": str(place)}, headers=headers)
    assert answer.status_code == 403 and latest_watches(site.landmark.database, 10) == []


@pytest.mark.parametrize(
    "address", ["/watches/999999/reports/1/report.txt", "/watches/1/reports/7/report.json"]
)
def test_what_is_not_there_is_not_found(site, place, address):
    begin(site, place=str(place))
    assert get(site, address).status_code == 404
