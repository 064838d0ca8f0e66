"""Uploads by programs, and names of files in whatever letters."""

from __future__ import annotations

import asyncio
import io

import pytest

from landmark.storage.bucket import read_object


def post(site, name, body, **more):
    async def ask():
        async with site.browser() as browser:
            return await browser.post("/uploads", files={"photograph": (name, body)}, **more)

    return asyncio.run(ask())


def test_a_program_uploads_and_is_told_the_path(site, photograph):
    answer = post(site, "a.jpg", photograph(1))
    assert answer.status_code == 201
    path = answer.json()["image_path"]
    assert path.startswith(site.base + "uploads/") and path.endswith("/a.jpg")
    assert read_object(site.landmark.s3, path)[0] == photograph(1)
    assert post(site, "a.jpg", photograph(1)).json()["image_path"] == path


def test_what_is_no_photograph_is_refused_in_one_line(site):
    answer = post(site, "a.jpg", b"a text")
    assert answer.status_code == 400 and answer.json()["detail"].startswith("a.jpg: no image")

    async def without():
        async with site.browser() as browser:
            return await browser.post("/uploads", data={"image_path": "s3://b/a.jpg"})

    answer = asyncio.run(without())
    assert answer.status_code == 400 and "photograph: no file" in answer.json()["detail"]


def test_another_site_uploads_nothing(site, photograph):
    answer = post(site, "a.jpg", photograph(1), headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


def test_who_may_not_search_uploads_nothing(site, photograph):
    from fastapi import HTTPException

    from landmark_web import permissions

    def refuse():
        raise HTTPException(403)

    site.app.dependency_overrides[permissions.may_search] = refuse
    assert post(site, "a.jpg", photograph(1)).status_code == 403


NAMES = [
    "IMG 1 (2).jpg", "Kirche St. Jörg, Ostseite.JPG", "日本の城 #3.jpg", "a+b%20c&d=e.jpg",
    "c'est là?.png", "[x]{y}~$!;@.jpg", "ночь.HEIC",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_an_upload_keeps_its_name_and_is_shown(site, photograph, name):
    answer = post(site, name, photograph(1))
    assert answer.status_code == 201, answer.text
    path = answer.json()["image_path"]
    assert path.rsplit("/", 1)[1] == name
    assert read_object(site.landmark.s3, path)[0] == photograph(1)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/a.jpg", "a.jpg"),
        ("C:\\photos\\a b.jpg", "a b.jpg"),
        ("a\0b\r\n\x1b[2J\u202ec\ud800.jpg", "ab[2Jc.jpg"),
        (" .. ", "photograph"),
        (".", "photograph"),
        ("/", "photograph"),
        ("\n", "photograph"),
        (".hidden", ".hidden"),
        ("x" * 5000 + ".jpg", "x" * 251 + ".jpg"),
        ("é" * 5000 + ".jpeg", "é" * 125 + ".jpeg"),
    ],
)
def test_what_no_key_can_hold_is_left_out(airflow, name, kept):
    from landmark_web.uploads import kept_name

    assert kept_name(name) == kept


def test_the_form_keeps_names_too(site, photograph, monkeypatch):
    from landmark_web import search_form

    started = []
    monkeypatch.setattr(search_form, "trigger", lambda *asked: started.append(asked[3]) or "run")

    async def ask():
        async with site.browser() as browser:
            file = io.BytesIO(photograph(1))
            return await browser.post("/searches", files={"photograph": ("my view (1).jpg", file)})

    assert asyncio.run(ask()).status_code == 303
    assert started[0]["image_path"].endswith("/my view (1).jpg")
