"""The pages on which people say what two photographs show: the app by itself, without a login."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from urllib.parse import quote

import pytest
from asking import ask, get, words

from landmark.matching.ranking import Match, Step
from landmark.search.result import SearchResult, read_result, write_query, write_result
from landmark.storage.corrections import latest_corrections, say, standing_among
from landmark.storage.images import save_image

#: As keys of S3 may be.
ODD = "images/a & <i>\"b\"\n'c'é%2F.jpg"


def button(page, other, said):
    """The address and the fields of a button, as a browser sends them."""
    for form in re.findall(r'<form class="said".*?</form>', page.text, re.DOTALL):
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
        if html.unescape(fields.get("other", "")) == quote(other) and f'value="{said}"' in form:
            address = html.unescape(re.search(r'action="([^"]*)"', form)[1])
            sent = {name: html.unescape(value) for name, value in fields.items()}
            return address, {**sent, "said": said}
    raise AssertionError(f"no button {said} for {other}")


def press(site, page, other, said, user="ada"):
    address, fields = button(page, other, said)
    answer = ask(site, "POST", address, user, data=fields)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


@pytest.fixture
def result(site, photograph, make_view):
    """A run's result with two matches and a third by way of the first, and its paths."""
    base, folder = site.base, site.base + "results/run/"
    query, *images = paths = [base + "queries/q.jpg", base + "images/b.jpg", base + ODD,
                              base + "images/far.jpg"]  # fmt: skip
    for number, path in enumerate(paths):
        site.put(path, photograph(number))
        save_image(site.landmark.database, path, "model-1", "1", make_view(1, number))
    write_query(site.landmark.s3, folder, make_view(1))
    matches = [
        Match(57, 80, images[0], expected=0.0001),
        Match(14, 40, images[1], expected=0.2),
        Match(4, 21, images[2], (Step(57, images[0]), Step(40, images[2])), 9.0),
    ]
    found = SearchResult(
        query, "model-1", 3, "2026-01-02T03:04:05+00:00", "exhaustive",
        {"min_inliers": 12, "max_distance": 0.85}, "match", matches,
    )  # fmt: skip
    answer = write_result(site.landmark.s3, folder, found)
    run_id = "run of " + base.split("/")[-2]
    site.run(
        run_id,
        {"image_path": query},
        {("extract_query", "return_value"): {"folder": folder},
         ("rank_matches", "return_value"): answer},
    )  # fmt: skip
    site.overview(run_id, folder, query)
    return f"/searches/{quote(run_id, safe='')}", paths


def standing(site, *paths):
    found = standing_among(site.landmark.database, paths)
    return {pair: (one.is_same, one.said_by) for pair, one in found.items()}


# ---- at a result --------------------------------------------------------------------------------


def test_in_the_gallery_a_word_shows_at_once_and_is_taken_back(site, result):
    address, (query, near, odd, _) = result
    written = get(site, address + "/matches.txt").content
    page = get(site, address)
    assert page.text.count(">not the same place</button>") == 3
    location = press(site, page, odd, "different")
    assert location == f"{address}?page=1#match-2"
    pair = tuple(sorted([query, odd]))
    assert standing(site, query, odd) == {pair: (False, "ada")}
    page = get(site, location)
    card = re.search(r'<li id="match-2" class="apart" value="2">.*?</li>', page.text, re.DOTALL)[0]
    assert "not the same place</span>" in card and "ada, " in card
    assert ">not the same place</button>" not in card and ">the same place</button>" in card
    # Another contradicts, and later takes it back.
    press(site, page, odd, "same", user="bob")
    assert standing(site, query, odd) == {pair: (True, "bob")}
    page = get(site, address)
    assert 'class="apart"' not in page.text and "bob, " in page.text
    press(site, page, odd, "undo", user="bob")
    assert standing(site, query, odd) == {}
    assert "bob" not in get(site, address).text
    assert get(site, address + "/matches.txt").content == written
    assert standing(site, query, near) == {}


def test_an_old_page_takes_back_nothing_that_was_said_since(site, result):
    address, (query, near, *_) = result
    press(site, get(site, address), near, "different")
    old = get(site, address)
    press(site, old, near, "same", user="bob")
    press(site, old, near, "undo")
    assert list(standing(site, query, near).values()) == [(True, "bob")]


def test_beside_a_pair_and_at_each_pair_of_a_chain(site, result):
    address, (query, near, _, far) = result
    page = get(site, address + "/pairs/3")
    forms = re.findall(r'aria-label="What ([^"]*) show"', page.text)
    assert forms == ["q.jpg and far.jpg", "q.jpg and b.jpg", "b.jpg and far.jpg"]
    assert press(site, page, near, "same") == address + "/pairs/3"
    last = page.text.index('aria-label="What b.jpg and far.jpg')
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text[last:]))
    form = {"one": fields["one"], "other": fields["other"], "said": "different"}
    answer = ask(site, "POST", address + "/corrections?rank=3", data=form)
    assert answer.headers["location"] == address + "/pairs/3"
    assert standing(site, query, near, far) == {
        tuple(sorted([query, near])): (True, "ada"),
        tuple(sorted([near, far])): (False, "ada"),
    }
    shown = words(get(site, address + "/pairs/3"))
    assert "with the one above: not the same place ada" in shown
    assert "with the query: the same place ada" in shown


def test_a_result_that_lists_what_people_said_says_so(site, result):
    address, (query, near, _, far) = result
    folder = site.base + "results/run/"
    found = read_result(site.landmark.s3, folder)
    via = (Step(2, near, True), Step(3, far, True))
    matches = [Match(2, 9, near, said_same=True, expected=50.0), Match(4, 21, far, via)]
    write_result(site.landmark.s3, folder, replace(found, matches=matches))
    page = words(get(site, address))
    assert "said to be the same place when this was searched" in page
    assert "by way of b.jpg: the same place, people say, then the same place, people say" in page
    say(site.landmark.database, query, near, True, "ada")
    page = words(get(site, address))
    assert "when this was searched" not in page and "the same place ada" in page
    pair = words(get(site, address + "/pairs/2"))
    assert "far.jpg the same place, people say with the one above" in pair
    assert "match" in words(get(site, address + "/pairs/1"))


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"other": "s3%3A//b/elsewhere.jpg"}, 404, "no such photographs by now"),
        ({"other": None}, 404, "no such photographs by now"),
        ({"one": "", "other": ""}, 404, "no such photographs by now"),
        ({"said": "maybe"}, 422, "said: one of same, different, undo"),
        ({"said": None}, 422, "said: one of"),
        ({"more": "x" * 20_000}, 413, "larger than 16000 bytes"),
    ],
)
def test_what_is_no_word_of_this_result_is_refused(site, result, change, status, reason):
    address, (_, near, *_) = result
    where, fields = button(get(site, address), near, "same")
    form = {name: value for name, value in {**fields, **change}.items() if value is not None}
    answer = ask(site, "POST", where, data=form)
    assert answer.status_code == status and reason in words(answer)
    assert latest_corrections(site.landmark.database, 10) == []


def test_one_photograph_is_no_pair(site, result):
    address, (_, near, *_) = result
    form = {"one": quote(near), "other": quote(near), "said": "same"}
    answer = ask(site, "POST", address + "/corrections?rank=1", data=form)
    assert answer.status_code == 422 and "It takes two" in words(answer)


def test_of_a_photograph_that_may_not_be_shown_nothing_is_said(site, result, monkeypatch):
    address, (query, near, *_) = result
    where, fields = button(get(site, address), near, "same")
    closed = site.landmark.settings.model_copy(
        update={"images": site.base + "other/", "queries": (site.base + "queries/",)}
    )
    changed = site.landmark._replace(settings=closed)
    from landmark_web import findings, responses
    from landmark_web.pages import corrections

    for module in (findings, responses, corrections):
        monkeypatch.setattr(module, "connected", lambda: changed)
    answer = ask(site, "POST", where, data=fields)
    assert answer.status_code == 403 and "lies outside of LANDMARK_QUERIES" in words(answer)
    # Nor is what was said before shown, exported, or taken back.
    say(site.landmark.database, query, near, True, "ada")
    (number,) = (one.number for one in latest_corrections(site.landmark.database, 10))
    page = get(site, "/corrections")
    assert "b.jpg" not in page.text and "1 more here concern photographs" in words(page)
    assert get(site, "/corrections.json").json() == []
    for method, place in (("POST", "undo"), ("GET", "images/first")):
        answer = ask(site, method, f"/corrections/{number}/{place}")
        assert answer.status_code == 403 and "lies outside" in words(answer)
    assert latest_corrections(site.landmark.database, 10)[0].stands


# ---- the list -----------------------------------------------------------------------------------


def test_they_are_listed_with_their_photographs_and_undone(site, result):
    _, (query, near, odd, _) = result
    empty = words(get(site, "/corrections"))
    assert "Nobody has corrected anything yet" in empty
    database = site.landmark.database
    say(database, query, near, True, "ada")
    say(database, near, query, False, "bob")
    say(database, query, odd, True, "<b>eve")
    page = get(site, "/corrections")
    assert "<b>" not in page.text and "<i>" not in page.text
    shown = words(page).split("corrections.json")[1]
    assert re.match(
        r" the same place <b>eve, .* not the same place bob, .* the same place ada, .*; until bob,",
        shown,
    )
    assert page.text.count("<button>Undo</button>") == 2
    pictures = re.findall(r'src="(/corrections/[^"]*)"', page.text)
    assert len(pictures) == 6
    answers = [get(site, picture) for picture in pictures]
    assert {answer.headers["content-type"] for answer in answers} == {"image/jpeg"}
    assert len({answer.content for answer in answers}) == 3
    undo = re.findall(r'action="(/corrections/\d+/undo)"', page.text)
    answer = ask(site, "POST", undo[1], user="eve")
    assert answer.status_code == 303 and answer.headers["location"] == "/corrections"
    assert standing(site, query, near) == {}
    assert "until eve" in words(get(site, "/corrections"))
    # Of one photograph.
    (link,) = set(re.findall(r'href="(/corrections\?image_path=[^"]*%0A[^"]*)"', page.text))
    of_one = words(get(site, html.unescape(link)))
    assert "eve" in of_one and "ada" not in of_one
    for address in ("/corrections/999/images/first", "/corrections/0/images/first",
                    "/corrections/1/images/third"):  # fmt: skip
        assert get(site, address).status_code in (404, 422)
    assert ask(site, "POST", "/corrections/999/undo").status_code == 404


def test_many_are_listed_page_by_page(site, monkeypatch):
    from landmark_web.pages import corrections

    monkeypatch.setattr(corrections, "CORRECTIONS_A_PAGE", 2)
    for number in range(5):
        paths = [f"{site.base}images/{name}{number}.jpg" for name in "ab"]
        say(site.landmark.database, *paths, True, "ada")
    address, seen = "/corrections", []
    while address:
        page = get(site, address)
        seen += re.findall(r'class="name">(a\d)\.jpg', page.text)
        older = re.search(r'href="([^"]*)" rel="next"', page.text)
        address = html.unescape(older[1]) if older else None
    assert seen == ["a4", "a3", "a2", "a1", "a0"]


def test_programs_get_all_of_it(site, result, monkeypatch):
    from landmark.storage import corrections

    monkeypatch.setattr(corrections, "CHUNK", 2)
    assert get(site, "/corrections.json").json() == []
    _, (query, near, odd, far) = result
    for other in (near, odd, far):
        say(site.landmark.database, query, other, other == odd, "ada")
    say(site.landmark.database, far, query, True, "bob")
    answer = get(site, "/corrections.json")
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()
    assert [one["number"] for one in found] == [4, 3, 2, 1]
    assert {name: found[1][name] for name in ("first", "second", "is_same", "said_by")} == {
        "first": min(query, far), "second": max(query, far), "is_same": False, "said_by": "ada",
    }  # fmt: skip
    assert found[1]["ended_by"] == "bob" and found[1]["ended_at"].endswith("+00:00")
    assert found[0]["ended_by"] is None and found[0]["ended_at"] is None
    assert {min(query, odd), max(query, odd)} == {found[2]["first"], found[2]["second"]}
