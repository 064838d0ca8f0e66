"""The index by folder and by name, a page at a time."""

from __future__ import annotations

import pytest
from tables import MODEL

from landmark.storage.browsing import (
    count_below,
    entries_below,
    entries_named,
    indexed_image,
)
from landmark.storage.failures import failures_by_reason, failures_of, list_failures, try_again
from landmark.storage.images import record_failure, save_image

BASE = "s3://b/images/"
NAMES = (
    "a.jpg", "day 1/x.jpg", "day 1/deep/er/y.jpg", "day 1-2/z.jpg", "day/IMG_2.JPG",
    "day/img_1.jpg", "odd//double.jpg", "é/Über.jpg", "z.jpg",
)  # fmt: skip


@pytest.fixture
def indexed(database, make_view):
    for number, name in enumerate(NAMES):
        save_image(database, BASE + name, MODEL, "1", make_view(number))
        save_image(database, BASE + f"other model/{number}.jpg", "model-2", "1", make_view(number))
    save_image(database, "s3://c/uploads/q.jpg", MODEL, "1", make_view(20))
    record_failure(database, BASE + "day/broken.jpg", MODEL, "1", f"{BASE}day/broken.jpg: no image")
    record_failure(database, BASE + "only broken/x.jpg", MODEL, "1", "no image")
    return database


def names(entries, folder):
    return [entry.path.removeprefix(folder) for entry in entries]


def test_a_folder_has_what_lies_directly_in_it(indexed):
    below = entries_below(indexed, MODEL, BASE, 99)
    assert names(below, BASE) == [
        "a.jpg", "day 1-2/", "day 1/", "day/", "odd/", "only broken/", "z.jpg", "é/",
    ]  # fmt: skip
    assert [entry.is_indexed for entry in below] == [True, *[False] * 5, True, False]
    assert names(entries_below(indexed, MODEL, "s3://", 99), "s3://") == ["b/", "c/"]
    assert names(entries_below(indexed, MODEL, BASE + "odd/", 99), BASE) == ["odd//"]
    assert names(entries_below(indexed, MODEL, BASE + "odd//", 99), BASE) == ["odd//double.jpg"]
    assert entries_below(indexed, MODEL, BASE + "none/", 99) == []
    assert entries_below(indexed, "model-3", "s3://", 99) == []


def test_what_failed_stands_among_the_others_with_its_reason(indexed):
    day = entries_below(indexed, MODEL, BASE + "day/", 99)
    assert names(day, BASE + "day/") == ["IMG_2.JPG", "broken.jpg", "img_1.jpg"]
    assert [entry.reason for entry in day] == [None, f"{BASE}day/broken.jpg: no image", None]
    assert [entry.is_indexed for entry in day] == [True, False, True]


@pytest.mark.parametrize("a_page", [1, 2, 3])
def test_pages_one_after_the_other_have_everything_once(indexed, a_page):
    found, after = [], ""
    while page := entries_below(indexed, MODEL, BASE, a_page, after):
        found += page
        after = page[-1].path
    assert found == entries_below(indexed, MODEL, BASE, 99)
    found, after = [], ""
    while page := entries_named(indexed, MODEL, "i", a_page, after):
        found += page
        after = page[-1].path
    assert found == entries_named(indexed, MODEL, "i", 99)


def test_photographs_are_found_by_what_their_name_begins_with(indexed):
    def found(name):
        return names(entries_named(indexed, MODEL, name, 99), BASE)

    assert found("img") == found("IMG_") == ["day/img_1.jpg", "day/IMG_2.JPG"]
    assert found("Über") == ["é/Über.jpg"]
    assert found("x") == ["day 1/x.jpg", "only broken/x.jpg"]
    assert found("day") == found("mg_1") == found("%") == found("_") == []


def test_what_the_index_knows_of_one_photograph(indexed):
    one = indexed_image(indexed, MODEL, BASE + "a.jpg")
    assert (one.width, one.height, one.n_features) == (600, 600, 60)
    assert (one.is_linked, one.pairs, one.taken_at) == (False, 0, None)
    assert indexed_image(indexed, MODEL, BASE + "none.jpg") is None
    assert count_below(indexed, MODEL, BASE + "day 1/", 9) == 2
    assert count_below(indexed, MODEL, BASE, 3) == 3


def test_failures_have_their_own_figures_and_a_reason_of_many_has_none(database):
    for number, size in enumerate(("20 x 30", "21 x 30")):
        path = f"{BASE}{number}.jpg"
        record_failure(database, path, MODEL, "1", f"{path}: too small: {size} px")
    record_failure(database, BASE + "c.jpg", MODEL, "1", f"{BASE}c.jpg: 9 bytes are no image")
    many, alone = failures_by_reason(database)
    assert many.reason == "too small: … x … px" and alone.reason == "9 bytes are no image"
    assert [one["reason"].split(": ", 1)[1] for one in many.examples] == [
        "too small: 21 x 30 px", "too small: 20 x 30 px",
    ]  # fmt: skip
    first = list_failures(database, 2)
    assert [one.image_path for one in first] == [BASE + "0.jpg", BASE + "1.jpg"]
    (last,) = list_failures(database, 2, first[-1].image_path)
    assert last == failures_of(database, BASE + "c.jpg")[0]


def test_one_that_failed_is_tried_again_by_the_next_sweep(database):
    from landmark.storage.bucket import S3Object
    from landmark.storage.listings import compare_listing

    listed = [S3Object(BASE + name, "1", 9) for name in ("a.jpg", "b.jpg")]
    for entry in listed:
        record_failure(database, entry.path, MODEL, "1", "no image")
    assert compare_listing(database, "s", MODEL, BASE, listed, 9) == []
    assert try_again(database, BASE + "a.jpg") and not try_again(database, BASE + "none.jpg")
    assert compare_listing(database, "s", MODEL, BASE, listed, 9) == [1]
    record_failure(database, BASE + "a.jpg", MODEL, "1", "no image", "s")
    assert failures_of(database, BASE + "a.jpg")[0].attempts == 2
    assert compare_listing(database, "s", MODEL, BASE, listed, 9) == []
