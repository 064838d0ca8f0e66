"""Times on the pages: in UTC without a script, with one in the reader's zone; either is named."""

from __future__ import annotations

import re

import pytest
from asking import get
from lived_in import LivedIn

#: As the server writes them.
UTC = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)? UTC")


@pytest.fixture
def filled(site, photograph, make_view, request):
    name = re.sub(r"\W+", "-", request.node.name)
    return LivedIn(site, photograph, make_view, name).fill()


def test_every_time_has_its_element_and_names_its_zone(site, filled):
    told = 0
    for name, address in filled.items():
        text = get(site, address).text
        times = re.findall(r'<time[^>]* datetime="([^"]+)">([^<]*)</time>', text)
        assert all(UTC.fullmatch(words) and "+00:00" in moment for moment, words in times), name
        assert len(UTC.findall(text)) == len(times), name
        told += len(times)
    assert told > 20


@pytest.mark.parametrize(
    ("zone", "chosen", "told"),
    [
        ("Asia/Kolkata", None, "2026-01-03 05:04 GMT+5:30"),
        ("America/New_York", None, "2026-01-02 18:34 GMT-5"),
        ("Asia/Kolkata", "Europe/London", "2026-01-02 23:34 GMT"),  # Airflow's own choice
        ("Asia/Kolkata", "Not/A-Zone", "2026-01-03 05:04 GMT+5:30"),
    ],
)
def test_a_reader_has_the_times_of_his_zone(open_page, filled, zone, chosen, told):
    page = open_page(timezone_id=zone)
    if chosen:
        page.add_init_script(f"localStorage.setItem('timezone', '\"{chosen}\"')")
    page.goto(filled["result"])
    time = page.locator("time", has_text="2026-01")
    assert time.inner_text() == told
    assert time.get_attribute("title") == "2026-01-02 23:34:05 UTC"


def test_without_a_script_utc_is_named(open_page, filled):
    page = open_page(timezone_id="Asia/Kolkata", java_script_enabled=False)
    page.goto(filled["result"])
    assert page.locator("time").first.inner_text() == "2026-01-02 23:34:05 UTC"
