"""The index by folder and name, what is removed and let in again, failures: without a login."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from urllib.parse import quote

import pytest
from asking import ask, get, words

from landmark.storage.images import is_known_image, record_failure, save_image
from landmark.storage.models import mark_searched
from landmark.storage.removals import latest_removals, remove

MODEL = "model-1"
EVIL = "trip/<script>x & é ü+%20.jpg"
NAMES = ("a.jpg", "trip/IMG_1.jpg", "trip/img_2.jpg", "trip/day/IMG_3.jpg", EVIL)


@pytest.fixture
def indexed(site, make_view, photograph, monkeypatch):
    """The prefix of some images of a model that is searched, and two that failed."""
    from landmark_web.pages import index

    monkeypatch.setattr(index, "_overview", index._overview.__wrapped__)
    images, database = site.base + "images/", site.landmark.database
    mark_searched(database, MODEL)
    for number, name in enumerate(NAMES):
        site.put(images + name, photograph(number))
        save_image(database, images + name, MODEL, "1", make_view(number))
    for name, size in (("small/x.jpg", "20 x 30"), ("small/y.jpg", "21 x 30")):
        record_failure(database, images + name, MODEL, "1", f"{images}{name}: too small: {size} px")
    save_image(database, "s3://elsewhere/secret.jpg", MODEL, "1", make_view(30))
    return images


@pytest.fixture
def started(monkeypatch):
    """What was triggered."""
    from landmark_web.pages import index, photographs

    runs = []

    def trigger(request, user, dag_id, conf):
        runs.append((dag_id, conf))
        return f"run-{len(runs)}"

    for module in (index, photographs):
        monkeypatch.setattr(module, "trigger", trigger)
    return runs


def links(answer, label):
    """Addresses of a page's list."""
    part = re.search(rf'aria-label="{label}">(.*?)</[uo]l>', answer.text, re.DOTALL)
    return re.findall(r'<a[^>]*href="([^"]*)"', part[1].replace("&amp;", "&")) if part else []


def test_folders_are_walked_down_to_a_photograph(site, indexed):
    page = get(site, "/index/photographs")
    assert [link.rsplit("%2F", 2)[1] for link in links(page, "Folders")] == ["small", "trip"]
    assert len(links(page, "Photographs")) == 1
    page = get(site, links(page, "Folders")[1])
    assert len(links(page, "Folders")) == 1 and len(links(page, "Photographs")) == 3
    assert "<script>x" not in page.text and page.text.count("<img") == 3
    for link in links(page, "Photographs"):
        one = get(site, link)
        assert one.status_code == 200 and "60" in words(one) and "<script>x" not in one.text
        (picture,) = re.findall(r'src="(/index/image[^"]*)"', one.text)
        assert get(site, picture.replace("&amp;", "&")).headers["content-type"] == "image/jpeg"
        (alone,) = re.findall(r'href="(/index/look[^"]*)"', one.text)
        assert f'href="{link}" rel="up"' in get(site, alone).text
    assert "Its folder" in words(one) and "not compared yet" in words(one)


def test_names_are_found_in_every_folder(site, indexed):
    page = get(site, "/index/photographs?name=img_")
    assert [link.rsplit("%2F", 1)[1] for link in links(page, "Photographs")] == [
        "IMG_1.jpg", "img_2.jpg", "IMG_3.jpg",
    ]  # fmt: skip
    assert "No photograph has a name" in words(get(site, "/index/photographs?name=none"))
    path = indexed + "a.jpg"
    answer = get(site, "/index/photographs?name=" + quote(path, safe=""))
    assert answer.status_code == 303
    assert answer.headers["location"] == "/index/photograph?path=" + quote(path, safe="")
    answer = get(site, "/index/photographs?name=" + quote(indexed, safe=""))
    assert answer.headers["location"].startswith("/index/photographs?folder=")


def test_pages_follow_one_another(site, indexed, monkeypatch):
    monkeypatch.setattr("landmark_web.pages.photographs.ENTRIES_A_PAGE", 2)
    for address, several in (("/index/photographs", 3), ("/index/photographs?name=i", 3)):
        found, address_of = [], address
        while address_of:
            page = get(site, address_of)
            found += links(page, "Folders") + links(page, "Photographs")
            address_of = re.search(r'href="([^"]*)" rel="next"', page.text)
            address_of = address_of and address_of[1].replace("&amp;", "&")
        assert len(found) == len(set(found)) == several


def test_what_may_not_be_shown_is_not_listed(site, indexed):
    for folder in ("s3://elsewhere/", "s3://landmark/other/", "s3://landmark"):
        answer = get(site, "/index/photographs?folder=" + quote(folder, safe=""))
        assert answer.status_code == 403 and "secret" not in answer.text
    top = get(site, "/index/photographs?folder=s3%3A%2F%2F")
    assert "1 more here may not be shown" in words(top) and "elsewhere" not in top.text
    assert "1 more here" in words(get(site, "/index/photographs?name=secret"))
    assert get(site, "/index/photograph?path=s3://elsewhere/secret.jpg").status_code == 403
    for address in ("/index/remove", "/index/try-again"):
        form = {"path": quote("s3://elsewhere/secret.jpg", safe="")}
        assert ask(site, "POST", address, data=form).status_code == 403
    assert is_known_image(site.landmark.database, "s3://elsewhere/secret.jpg")


def test_a_photograph_is_removed_once_asked_and_let_in_again(site, indexed):
    path = indexed + EVIL
    one = get(site, "/index/photograph?path=" + quote(path, safe=""))
    (asks,) = re.findall(r'href="(/index/remove[^"]*)"', one.text)
    question = get(site, asks)
    assert "Nothing is deleted in S3" in words(question) and is_known_image(
        site.landmark.database, path
    )
    (value,) = re.findall(r'name="path" value="([^"]*)"', question.text)
    assert ask(site, "POST", "/index/remove", data={"path": value}).status_code == 303
    assert not is_known_image(site.landmark.database, path)
    one = get(site, "/index/photograph?path=" + quote(path, safe=""))
    assert "Removed from the index by ada" in words(one) and "<img" not in one.text
    listed = get(site, "/index/removals")
    assert "<script>x" not in listed.text and "trip/<script>x & é" in words(listed)
    (removal,) = latest_removals(site.landmark.database, 9)
    assert ask(site, "POST", f"/index/removals/{removal.number}/undo", "eve").status_code == 303
    listed = get(site, "/index/removals")
    assert "let in again by eve" in words(listed) and "Let in again" not in words(listed)
    assert get(site, "/index/photograph?path=" + quote(path, safe="")).status_code == 404


def test_a_folder_says_how_many_it_has_and_what_is_left_to_the_next_run(site, indexed, monkeypatch):
    monkeypatch.setattr("landmark_web.pages.photographs.REMOVED_AT_ONCE", 3)
    folder = indexed + "trip/"
    page = get(site, "/index/photographs?folder=" + quote(folder, safe=""))
    (asks,) = re.findall(r'href="(/index/remove[^"]*)"', page.text)
    assert "More than 3 photographs of the index lie below" in words(get(site, asks))
    ask(site, "POST", "/index/remove", data={"path": quote(folder, safe="")})
    assert "the rest goes with the next run" in words(get(site, "/index/removals"))
    page = get(site, "/index/photographs?folder=" + quote(folder, safe=""))
    assert "was removed from the index by ada" in words(page)
    assert "/index/remove?" not in page.text
    inner = get(site, "/index/photographs?folder=" + quote(folder + "day/", safe=""))
    assert "was removed from the index by ada" in words(inner)


@pytest.mark.parametrize(
    ("path", "status"),
    [("", 422), ("s3://landmark", 422), ("s3://", 422), ("s3://landmark/", 403), ("x", 422)],
)
def test_what_is_no_part_of_the_index_is_not_removed(site, indexed, path, status):
    answer = ask(site, "POST", "/index/remove", data={"path": path})
    assert answer.status_code == status
    assert latest_removals(site.landmark.database, 9) == []


def test_failures_have_their_own_figures_and_no_pictures(site, indexed, started):
    page = get(site, "/index")
    assert "too small: … x … px" in words(page)
    assert "too small: 20 x 30 px" in words(page) and "too small: 21 x 30 px" in words(page)
    failures = page.text[page.text.index('id="failures"') : page.text.index('id="sweeps"')]
    assert "<img" not in failures and failures.count("Try again") == 2
    listed = get(site, "/index/failures")
    assert words(listed).count("Try again") == 2 and "<img" not in listed.text
    (value, _) = re.findall(r'name="path" value="([^"]*)"', listed.text)
    answer = ask(site, "POST", "/index/try-again", data={"path": value})
    assert answer.headers["location"].endswith("/dags/landmark_index/runs/run-1")
    assert started == [("landmark_index", {})]
    answer = ask(site, "POST", "/index/try-again", data={"path": quote(indexed + "a.jpg", safe="")})
    assert answer.status_code == 404 and len(started) == 1
    folder = get(site, "/index/photographs?folder=" + quote(indexed + "small/", safe=""))
    assert "too small: 20 x 30 px" in words(folder) and "<img" not in folder.text
    one = get(site, "/index/photograph?path=" + quote(indexed + "small/x.jpg", safe=""))
    assert "too small: 20 x 30 px Tried once" in words(one) and "<img" not in one.text


def test_one_failure_alone_has_its_figures_in_its_reason(site, indexed):
    remove(site.landmark.database, indexed + "small/y.jpg", "ada")
    ask(site, "POST", "/index/remove", data={"path": quote(indexed + "small/y.jpg", safe="")})
    assert "…" not in words(get(site, "/index"))


def test_a_sweep_is_triggered_and_one_that_waits_is_shown(site, indexed, started, monkeypatch):
    from landmark_web.pages import index
    from landmark_web.runs import Run

    monkeypatch.setattr(index, "recent_runs", lambda *_: [])
    assert "Index now" in words(get(site, "/index"))
    answer = ask(site, "POST", "/index/run")
    assert answer.headers["location"].endswith("/dags/landmark_index/runs/run-1")
    now = datetime.now(timezone.utc)
    waiting = Run("landmark_index", "old", "queued", {}, now, None, None, None, "0")
    monkeypatch.setattr(index, "recent_runs", lambda *_: [waiting])
    answer = ask(site, "POST", "/index/run")
    assert answer.headers["location"].endswith("/runs/old") and len(started) == 1
    assert "A sweep waits" in words(get(site, "/index"))


def test_another_site_removes_nothing(site, indexed, started):
    headers = {"sec-fetch-site": "cross-site"}
    for address in ("remove", "try-again", "run", "removals/1/undo"):
        form = {"path": quote(indexed + "a.jpg", safe="")}
        answer = ask(site, "POST", f"/index/{address}", data=form, headers=headers)
        assert answer.status_code == 403
    assert started == [] and latest_removals(site.landmark.database, 9) == []
