"""The pages of places: the app by itself, without a login."""

from __future__ import annotations

import asyncio
import html
import re
from itertools import combinations
from urllib.parse import quote

import pytest
from asking import ask, get, words

from landmark.index.places import update_places
from landmark.matching.chance import ChanceHistogram
from landmark.storage.corrections import latest_corrections, say
from landmark.storage.edges import Edge, save_edges, versions_of
from landmark.storage.images import save_image
from landmark.storage.models import mark_searched
from landmark.storage.places import (
    find_place,
    list_places,
    name_place,
    places_of_paths,
)

MODEL = "model-1"
CHANCE = ChanceHistogram((99_000, *(1 + round(500 * 0.5**n) for n in range(9))))
#: As keys of S3 may be.
ODD = "a & <i>\"b\" 'c'é"


def link(site, pairs, inliers=60):
    """Write pairs of named images as the linking would."""
    pairs = list(pairs)
    names = sorted({name for pair in pairs for name in pair})
    rows = versions_of(site.landmark.database, MODEL, [path(site, name) for name in names])
    ids = {name: rows[path(site, name)][0] for name in names}
    edges = [Edge(*sorted((ids[one], ids[two])), inliers, 2 * inliers) for one, two in pairs]
    save_edges(site.landmark.database, edges, dict(rows.values()))


def path(site, name):
    return f"{site.base}images/{name}.jpg"


def ids(site, names):
    rows = versions_of(site.landmark.database, MODEL, [path(site, name) for name in names])
    return [rows[path(site, name)][0] for name in names]


def place_of(site, name):
    return places_of_paths(site.landmark.database, MODEL, [path(site, name)]).get(path(site, name))


def grouped(site, names):
    """Names that are of one place, as sets."""
    found = {}
    for name in names:
        found.setdefault(place_of(site, name), set()).add(name)
    return [found[place] for place in sorted(place for place in found if place)]


@pytest.fixture
def two(site, photograph, make_view):
    """Places of a to d and the odd one, and of w to y."""
    database = site.landmark.database
    mark_searched(database, MODEL)
    for number, name in enumerate([*"abcd", ODD, *"wxy"]):
        site.put(path(site, name), photograph(number))
        save_image(database, path(site, name), MODEL, "1", make_view(1, number))
    link(site, combinations([*"abcd", ODD], 2))
    link(site, combinations("wxy", 2), 50)
    assert update_places(database, MODEL, CHANCE) == 8
    return place_of(site, "a"), place_of(site, "w")


def test_they_are_listed_the_biggest_first_with_pictures(site, two):
    page = get(site, "/places")
    assert page.status_code == 200 and "<i>" not in page.text
    assert re.findall(r'href="/places/(\d+)"', page.text) == [str(place) for place in two]
    assert f"Place {two[0]} 5 photographs" in words(page)
    assert f"Place {two[1]} 3 photographs" in words(page)
    pictures = [html.unescape(one) for one in re.findall(r'<img [^>]*src="([^"]*)"', page.text)]
    assert len(pictures) == 8
    assert pictures[0] == "/index/image?path=" + quote(path(site, "a"), safe="")
    answers = [get(site, picture) for picture in pictures]
    bad = [words(answer) for answer in answers if answer.status_code != 200]
    assert not bad
    assert {answer.headers["content-type"] for answer in answers} == {"image/jpeg"}
    assert 'href="/places" aria-current="page"' in page.text


def test_they_are_found_by_a_part_of_the_name(site, two):
    name_place(site.landmark.database, two[1], "<b>Old</b> Lighthouse", "white\nand high")
    page = get(site, "/places?name=lightH")
    assert re.findall(r'href="/places/(\d+)"', page.text) == [str(two[1])]
    assert f"<b>Old</b> Lighthouse 3 photographs, number {two[1]}" in words(page)
    assert "<b>" not in page.text and "white" in page.text
    empty = get(site, "/places?name=%3Cb%3Edark")
    assert "No place has a name with “<b>dark”" in words(empty) and "<b>" not in empty.text
    assert get(site, "/places?name=" + "x" * 101).status_code == 422


def test_many_are_listed_page_by_page(site, two, monkeypatch):
    from landmark_web.pages import places

    monkeypatch.setattr(places, "PLACES_A_PAGE", 1)
    address, seen = "/places", []
    while address:
        page = get(site, address)
        seen += re.findall(r'href="/places/(\d+)"', page.text)
        further = re.search(r'href="([^"]*)" rel="next"', page.text)
        address = html.unescape(further[1]) if further else None
    assert seen == [str(place) for place in two]
    assert get(site, "/places?page=9").headers["location"] == "/places?page=2"  # the last


def test_no_places_yet(site):
    assert "There are no places yet" in words(get(site, "/places"))


def test_a_place_shows_its_photographs_and_its_graph(site, two):
    page = get(site, f"/places/{two[0]}")
    assert page.status_code == 200 and "<i>" not in page.text
    svg = re.search(r"<svg .*?</svg>", page.text, re.DOTALL)[0]
    assert svg.count("<image ") == 5 and svg.count("<line ") == 10
    assert "60 inliers" in svg and "style=" not in page.text
    assert svg == re.search(r"<svg .*?</svg>", get(site, f"/places/{two[0]}").text, re.DOTALL)[0]
    hrefs = re.findall(r'<image [^>]*href="([^"]*)"', svg)
    assert all(one.startswith("/index/image?path=") for one in hrefs) and len(set(hrefs)) == 5
    assert page.text.count('name="image"') == 5
    assert "Photographs 5" in words(page)
    assert get(site, "/places/999999").status_code == 404
    assert get(site, "/places/0").status_code == 422


def test_a_place_says_where_it_is_by_what_may_be_shown(site, two):
    where = {"a": (51.5, -0.125), "b": (51.5, -0.125), "c": (51.5001, -0.125), "w": (10, 10)}
    assert "Where" not in words(get(site, f"/places/{two[0]}"))
    with site.landmark.database.connect() as connection:
        for name, coordinates in where.items():
            connection.execute(
                "UPDATE landmarks SET latitude = %s, longitude = %s WHERE image_path = %s",
                [*coordinates, path(site, name)],
            )
    page = get(site, f"/places/{two[0]}")
    assert "Where 51.50000, -0.12500 (half within 0 m, by 3 photographs) · Map" in words(page)
    assert "openstreetmap.org/?mlat=51.5&amp;mlon=-0.125#map" in page.text


def test_of_many_photographs_the_best_connected_are_drawn_and_all_are_in_pages(
    site, two, monkeypatch
):
    from landmark_web.pages import places

    monkeypatch.setattr(places, "GRAPH_PHOTOGRAPHS", 3)
    monkeypatch.setattr(places, "PHOTOGRAPHS_A_PAGE", 2)
    link(site, [("d", ODD)], 90)
    seen = []
    for number in (1, 2, 3):
        page = get(site, f"/places/{two[0]}?page={number}")
        assert page.text.count("<image ") == 3
        shown = re.findall(r'form="part" name="image" value="(\d+)"', page.text)
        seen += map(int, shown)
        assert f"{number} of 3" in words(page)
    assert seen == ids(site, [*"abcd", ODD])
    assert "The 3 best connected of 5 photographs" in words(page)
    svg = re.search(r"<svg .*?</svg>", page.text, re.DOTALL)[0]
    # The surest pair is among them; and what has changed since is said.
    assert "90 inliers" in svg and f"path={quote(path(site, 'd'), safe='')}" in svg
    assert "has changed since they were grouped" in words(page)


def test_a_name_and_a_note_are_written_bounded_and_escaped(site, two):
    address = f"/places/{two[0]}"
    note = " <script>alert(1)</script>\r\nsecond\x00\x1b line "
    answer = ask(site, "POST", address, data={"name": " The <b>\x07 house\n", "note": note})
    assert answer.status_code == 303 and answer.headers["location"] == address
    place = find_place(site.landmark.database, two[0])
    assert place.name == "The <b> house"
    assert place.note == "<script>alert(1)</script>\nsecond line"
    page = get(site, address)
    assert "<b>" not in page.text and "<script>" not in page.text
    assert ">\n&lt;script&gt;alert(1)&lt;/script&gt;\nsecond line</textarea>" in page.text
    for form in ({"name": "x" * 101}, {"note": "x" * 1001}):
        assert ask(site, "POST", address, data=form).status_code == 422
    assert ask(site, "POST", address, data={"note": "x" * 20_000}).status_code == 413
    assert find_place(site.landmark.database, two[0]) == place
    whole = {"name": "🗼" * 100, "note": "🗼" * 1000}
    assert ask(site, "POST", address, data=whole).status_code == 303
    assert ask(site, "POST", address, data={"name": "", "note": ""}).status_code == 303
    assert find_place(site.landmark.database, two[0]).name is None
    assert ask(site, "POST", "/places/999999", data={"name": "x"}).status_code == 404


def test_another_site_writes_nothing(site, two):
    async def send(address):
        async with site.browser() as browser:
            return await browser.post(
                address, data={"name": "x"}, headers={"Sec-Fetch-Site": "cross-site"}
            )

    for below in ("", "/part", "/join"):
        assert asyncio.run(send(f"/places/{two[0]}{below}")).status_code == 403
    assert find_place(site.landmark.database, two[0]).name is None


def test_two_places_are_parted_at_once(site, two):
    link(site, [(one, other) for one in "ab" for other in "wx"], 60)
    link(site, [(one, other) for one in "cd" for other in "wxy"], 60)
    update_places(site.landmark.database, MODEL, CHANCE)
    (place,) = {place_of(site, name) for name in "aw"}
    # What was said before to the contrary ends.
    say(site.landmark.database, path(site, "c"), path(site, "x"), True, "bob")
    say(site.landmark.database, path(site, "x"), path(site, "y"), False, "bob")
    form = {"image": [str(image) for image in ids(site, "wxy")]}
    answer = ask(site, "POST", f"/places/{place}/part", data=form)
    assert answer.status_code == 303, answer.text
    assert grouped(site, [*"abcd", ODD, *"wxy"]) == [{*"abcd", ODD}, {*"wxy"}]
    assert answer.headers["location"] == f"/places/{place_of(site, 'w')}"
    stands = {
        (one.first[-5], one.second[-5], one.is_same)
        for one in latest_corrections(site.landmark.database, 20)
        if one.stands and one.said_by == "ada"
    }
    apart = {("c", "w", False), ("c", "x", False)}
    second = {("w", "x", True), ("w", "y", True), ("x", "y", True)}
    rest = {("a", "c", True), ("b", "c", True), ("c", "d", True), ("é", "c", True)}
    assert stands == apart | second | rest
    assert "has changed since" not in words(get(site, f"/places/{place_of(site, 'a')}"))


def test_two_places_are_joined_at_once_and_found_by_either_number(site, two):
    say(site.landmark.database, path(site, "b"), path(site, "w"), False, "bob")
    first, second = two
    answer = ask(site, "POST", f"/places/{second}/join", data={"other": str(first)})
    assert answer.status_code == 303, answer.text
    assert grouped(site, [*"abcd", ODD, *"wxy"]) == [{*"abcd", ODD, *"wxy"}]
    assert place_of(site, "w") == first
    moved = get(site, f"/places/{second}")
    assert moved.status_code == 303 and moved.headers["location"] == f"/places/{first}"
    assert get(site, answer.headers["location"]).headers["location"] == f"/places/{first}"
    said = {(one.first[-5], one.second[-5], one.is_same, one.said_by, one.stands)
            for one in latest_corrections(site.landmark.database, 9)}  # fmt: skip
    assert said == {("a", "w", True, "ada", True), ("b", "w", True, "ada", True),
                    ("b", "w", False, "bob", False)}  # fmt: skip
    answer = ask(site, "POST", f"/places/{first}/join", data={"other": str(second)})
    assert answer.status_code == 422 and "is one; name another" in words(answer)


def test_while_another_groups_the_page_says_that_it_waits(site, two):
    with site.landmark.database.alone(f"grouping places of {MODEL}"):
        answer = ask(site, "POST", f"/places/{two[0]}/join", data={"other": str(two[1])})
        assert answer.status_code == 303
        assert grouped(site, "aw") == [{"a"}, {"w"}]
    page = words(get(site, f"/places/{two[0]}"))
    assert "the next run of landmark_index brings the place up to date" in page
    update_places(site.landmark.database, MODEL, CHANCE)
    assert grouped(site, "aw") == [{"a", "w"}]


def test_too_much_to_group_at_once_waits(site, two, monkeypatch):
    from landmark.index import places

    monkeypatch.setattr(places, "MOST_AT_ONCE", 7)
    ask(site, "POST", f"/places/{two[0]}/join", data={"other": str(two[1])})
    assert grouped(site, "aw") == [{"a"}, {"w"}]


@pytest.mark.parametrize(
    ("below", "form", "status", "reason"),
    [
        ("part", {}, 422, "Select the photographs"),
        ("part", {"image": "x"}, 422, "a number is wanted"),
        ("part", {"image": "999999"}, 404, "no such photographs by now"),
        ("part", {"image": list("abcd") + [ODD]}, 422, "All of the place's photographs"),
        ("part", {"image": ["w"]}, 404, "no such photographs by now"),
        ("part", {"image": ["1"] * 71}, 400, "Too many fields"),
        ("join", {}, 422, "a number is wanted"),
        ("join", {"other": "999999"}, 404, "no place 999999"),
        ("join", {"other": "-1"}, 422, "a number is wanted"),
    ],
)
def test_what_cannot_be_said_is_refused(site, two, below, form, status, reason):
    names = {"a", "b", "c", "d", ODD, "w"}
    if isinstance(form.get("image"), list):
        found = (str(ids(site, [one])[0]) if one in names else one for one in form["image"])
        form = {"image": list(found)}
    answer = ask(site, "POST", f"/places/{two[0]}/{below}", data=form)
    assert answer.status_code == status and reason in words(answer)
    assert latest_corrections(site.landmark.database, 10) == []


def test_photographs_that_may_not_be_shown_are_neither_shown_nor_counted(
    site, two, make_view, monkeypatch
):
    database = site.landmark.database
    outside = f"{site.base.rstrip('/')}-elsewhere/h.jpg"
    save_image(database, outside, MODEL, "1", make_view(1, 99))
    inside = [path(site, name) for name in [*"abcd", ODD]]
    rows = versions_of(database, MODEL, [outside, *inside])
    own = rows[outside][0]
    edges = [Edge(*sorted((own, row)), 90, 99) for row, _ in rows.values() if row != own]
    save_edges(database, edges, dict(rows.values()))
    update_places(database, MODEL, CHANCE)
    place = find_place(database, two[0])
    assert place.images == 6
    with database.connect() as connection:  # as it is where it has most pairs
        connection.execute(
            "UPDATE landmark_places SET representative = %s WHERE id = %s", [own, place.id]
        )
    assert find_place(database, two[0]).representative == outside
    page = get(site, "/places")
    assert "elsewhere" not in page.text and f"Place {two[0]} 5 photographs" in words(page)
    page = get(site, f"/places/{two[0]}")
    assert "elsewhere" not in page.text and "Photographs 5" in words(page)
    assert page.text.count("<image ") == 5
    answer = ask(site, "POST", f"/places/{two[0]}/part", data={"image": str(own)})
    assert answer.status_code == 404
    ask(site, "POST", f"/places/{two[0]}/join", data={"other": str(two[1])})
    assert all(outside not in (one.first, one.second) for one in latest_corrections(database, 9))
    # A place of which nothing may be shown.
    closed = site.landmark.settings.model_copy(
        update={"images": site.base + "other/", "queries": (site.base + "queries/",)}
    )
    changed = site.landmark._replace(settings=closed)
    from landmark_web import connection, responses
    from landmark_web.pages import places

    for module in (connection, responses, places):
        monkeypatch.setattr(module, "connected", lambda: changed)
    assert len(list_places(database, MODEL)) == 1
    page = get(site, "/places")
    assert "images/" not in page.text and "1 more here have only photographs" in words(page)
    assert get(site, f"/places/{two[0]}").status_code == 404
    for below, form in (("", {"name": "x"}), ("/part", {"image": "1"}), ("/join", {"other": "1"})):
        answer = ask(site, "POST", f"/places/{two[0]}{below}", data=form)
        assert answer.status_code == 404


def test_a_named_place_without_photographs_is_kept(site, two):
    database = site.landmark.database
    name_place(database, two[1], "Lighthouse", "")
    with database.connect() as connection:
        connection.execute(
            "DELETE FROM landmarks WHERE image_path = ANY(%s)", [[path(site, n) for n in "wxy"]]
        )
    update_places(database, MODEL, CHANCE)
    page = get(site, f"/places/{two[1]}")
    assert page.status_code == 200 and "None by now; its name and note are kept" in words(page)
    answer = ask(site, "POST", f"/places/{two[0]}/join", data={"other": str(two[1])})
    assert answer.status_code == 422 and "has no photographs" in words(answer)
