"""Photographs as telephones have them, uploaded to the page."""

from __future__ import annotations

import asyncio
import io

import pytest
from hostile_images import FILES, chunk
from PIL import Image

from landmark.storage.bucket import read_object


def post(site, name: str, body: bytes):
    async def ask():
        async with site.browser() as browser:
            return await browser.post("/searches", files={"photograph": (name, body)})

    return asyncio.run(ask())


@pytest.fixture
def triggered(monkeypatch):
    """What searches are started with."""
    from landmark_web import search_form

    found = []

    def trigger(request, user, dag_id, conf):
        found.append(conf["image_path"])
        return "run"

    monkeypatch.setattr(search_form, "trigger", trigger)
    return found


@pytest.mark.parametrize(
    ("name", "kind"),
    [("IMG_1.HEIC", "tiles.heic"), ("a.heif", "heic"), ("a.jfif", "jpg"), ("a", "avif"),
     ("a.j2k", "jp2"), ("a.jpg", "heic")],
)  # fmt: skip
def test_any_kind_under_any_name(site, triggered, name, kind):
    assert post(site, name, FILES[kind]).status_code == 303
    (path,) = triggered
    assert path.endswith(f"/{name}")
    assert read_object(site.landmark.s3, path)[0] == FILES[kind]


def test_sound_pixels_in_a_faulty_file(site, triggered):
    data = FILES["png"]
    assert post(site, "a.png", data[:33] + chunk(b"pHYs", b"\0") + data[33:]).status_code == 303


def test_what_is_no_photograph_is_refused_with_the_reason(site, triggered):
    answer = post(site, "a.heic", FILES["heic"][:-20])
    assert answer.status_code == 400 and "truncated" in answer.text
    assert "HEIF" in post(site, "a.txt", b"a text").text
    assert not triggered


def test_a_heic_is_shown_as_a_jpeg(site):
    path = f"{site.base}a.heic"
    site.put(path, FILES["heic"])
    from landmark_web.thumbnails import thumbnail

    body, _ = thumbnail(site.landmark.s3, path, 64)
    image = Image.open(io.BytesIO(body))
    assert (image.format, image.size) == ("JPEG", (64, 64))


def test_the_form_offers_what_browsers_take_for_no_images(site):
    async def ask():
        async with site.browser() as browser:
            return (await browser.get("/")).text

    page = asyncio.run(ask())
    assert 'accept="image/*,' in page and ".heic," in page and ".jfif," in page
