"""The search form looks at each line before a run starts, and asks where it is in doubt."""

from __future__ import annotations

import asyncio
import html
import re

import pytest


@pytest.fixture
def send(site, monkeypatch):
    """Sends the form; what it has started, and the answer."""
    from landmark_web import search_form

    def ask(text, **fields):
        started = []
        monkeypatch.setattr(
            search_form, "trigger", lambda *asked: started.append(asked[3]["image_path"]) or "run"
        )

        async def post():
            async with site.browser() as browser:
                return await browser.post("/searches", data={"image_path": text, **fields})

        answer = asyncio.run(post())
        assert answer.status_code == (303 if started else 400), answer.text
        return started, html.unescape(re.sub(r"<[^>]*>", "", answer.text)), answer.text

    return ask


@pytest.fixture
def queries(site, photograph):
    """The prefix of what may be searched for, with a photograph and a folder."""
    base = site.base + "queries/"
    site.put(base + "a.jpg", photograph(1))
    for number in range(3):
        site.put(f"{base}folder/{number}.jpg", b"x")
    return base


def test_bad_lines_are_told_at_once_and_the_others_can_be_searched_for(send, queries):
    lines = [
        queries + "a.jpg", queries + "a//b.jpg", queries + "no<i>.jpg", "/home/me/a.jpg",
        "s3://elsewhere/x.jpg", "s3://landmark", queries + "empty/", queries + "folder/",
    ]  # fmt: skip
    started, words, page = send("\n".join(lines))
    assert started == [] and "6 of 8 lines cannot be searched for:" in words
    for reason in (
        f"{queries}a//b.jpg: S3 refuses it (400 ",
        f"{queries}no<i>.jpg: there is no such object",
        "/home/me/a.jpg: not a path in S3; write s3://bucket/key",
        "s3://elsewhere/x.jpg: lies outside of LANDMARK_QUERIES",
        "s3://landmark: names a bucket; write s3://landmark/",
        f"{queries}empty/: no photograph lies below",
    ):
        assert reason in words
    assert "<i>" not in page and 'name="agreed" value="4"' in page
    assert "Search for the other 4 photographs" in words
    assert all(line in words for line in lines)  # still in the field
    started, _, _ = send("\n".join(lines), agreed="4")
    assert started == [[queries + "a.jpg", queries + "folder/"]]
    # Another number than was agreed to is asked for anew.
    assert send("\n".join(lines), agreed="5")[0] == []


def test_lines_that_are_all_bad_offer_nothing(send, queries):
    started, words, page = send(f"{queries}a//b\nnothing")
    assert started == [] and "2 of 2 lines" in words and 'name="agreed"' not in page
    assert "nothing: not a path in S3" in send("nothing")[1]


@pytest.mark.parametrize("typed", ['"{}a.jpg"', "'{}a.jpg',", "\r\n  {}a.jpg \r\n\r\n"])
def test_quotes_and_capitals_are_understood(send, queries, typed):
    assert send(typed.format(queries))[0] == [queries + "a.jpg"]
    assert send(typed.format(queries.replace("s3:", "S3:")))[0] == [queries + "a.jpg"]


def test_a_folder_without_its_slash_is_understood(send, queries):
    assert send(queries + "folder")[0] == [queries + "folder/"]


def test_a_folder_of_many_says_how_many_and_asks(site, send, queries):
    for number in range(21):
        site.put(f"{queries}many/{number:02}.jpg", b"x")
    started, words, page = send(queries + "many/")
    assert started == [] and "That is 21 photographs." in words
    assert "Search for all 21 photographs" in words and 'value="21"' in page
    assert send(queries + "many", agreed="21")[0] == [queries + "many/"]
    # Who has typed each of them knows how many they are.
    lines = "\n".join(f"{queries}many/{number:02}.jpg" for number in range(21))
    assert len(send(lines)[0][0]) == 21


def test_too_many_lines_are_not_looked_at(site, send, monkeypatch):
    from landmark_web import search_form

    monkeypatch.setattr(search_form, "look_at", lambda client, paths: 1 / 0)
    lines = "\n".join(f"{site.base}queries/{number}" for number in range(1001))
    assert "more than the 1,000 photographs" in send(lines)[1]


def test_enter_in_a_field_of_one_line_agrees_to_nothing(send, queries):
    _, _, page = send(f"{queries}a.jpg\nnothing")
    buttons = re.findall(r"<button[^>]*>", page[page.index('class="card search"') :])
    sending = [button for button in buttons if 'type="button"' not in button]
    assert "agreed" not in sending[0] and "agreed" in sending[-1]
