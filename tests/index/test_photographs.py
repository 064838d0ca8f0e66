"""Which files are photographs: one rule for sweeps, prefixes, and folders of this machine."""

from __future__ import annotations

import io
import logging

import numpy as np
import pytest
from PIL import Image
from s3_lookalike import lookalike

from landmark.errors import LandmarkError
from landmark.extraction import heif
from landmark.extraction.decoding import FORMATS
from landmark.index.extract import extract_batch
from landmark.index.listing import Listing, is_image
from landmark.index.photographs import (
    HEAD_BYTES,
    Exclusions,
    is_by_head,
    is_by_name,
    is_photograph,
    kind_of,
    why_left_out,
)
from landmark.index.sweep import finish_sweep, plan_sweep
from landmark.search.queries import find_queries
from landmark.settings import EXCLUDE, load_settings
from landmark.storage.bucket import read_head
from landmark.storage.failures import failures_below
from landmark.storage.images import count_images

heif.register()


def encoded(form: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(buffer, form, **options)
    return buffer.getvalue()


HEADS = {form: encoded(form) for form in (*FORMATS, "MPO")} | {
    "TIFF, big": encoded("TIFF", big_tiff=True),
    "JPEG 2000 without a box": encoded("JPEG2000", no_jp2=True),
}
# What macOS puts beside a file on foreign disks.
APPLE_DOUBLE = b"\0\x05\x16\7\0\2\0\0Mac OS X        " + bytes(4072)


# ---- by name, by what it begins with, by what is excluded ----------------------------------------


@pytest.mark.parametrize(
    "suffix",
    ["jpg", "JPG", "jpeg", "jpe", "jfif", "pjpeg", "mpo", "png", "webp", "tif", "TIFF", "bmp",
     "gif", "jp2", "j2k", "avif", "heic", "HEIC", "heif"],
)  # fmt: skip
def test_names_of_photographs(suffix):
    assert is_by_name(f"a/b.{suffix}") is True


@pytest.mark.parametrize(
    "name", ["a.txt", "a.jpg.json", "IMG_1.AAE", "a.mov", "DSC_1.NEF", "a.dng"]
)
def test_names_of_other_kinds_are_never_looked_into(name):
    assert is_by_name(name) is False


@pytest.mark.parametrize("name", ["photo", ".hidden", "a.jpg/photo", "photo.download", "photo.dat"])
def test_other_names_leave_it_to_the_first_bytes(name):
    assert is_by_name(name) is None
    assert is_image(f"s3://b/{name}")


@pytest.mark.parametrize("kind", HEADS)
def test_every_format_that_is_read_is_known_by_its_first_bytes(kind):
    assert is_by_head(HEADS[kind][:HEAD_BYTES])


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\xff",
        b"hello, world",
        b"BMW makes cars, and this is a text",
        b"RIFF\0\0\0\0WAVEfmt ",
        b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41",
        b"\0\0\0\x14ftypqt  ",
        b"%PDF-1.7",
        b"PK\3\4" + bytes(28),
        APPLE_DOUBLE[:32],
    ],
)
def test_other_first_bytes_are_of_no_photograph(head):
    assert not is_by_head(head)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("rome/._12.jpg", "._*"),
        ("._12.jpg", "._*"),
        ("@eaDir/12.jpg/SYNOPHOTO_THUMB_XL.jpg", "@eaDir/"),
        ("rome/@eadir/12.jpg", "@eaDir/"),
        (".Trashes/12.jpg", ".Trash*/"),
        (".Trash-1000/files/12.jpg", ".Trash*/"),
        ("rome/Thumbnails/12.jpg", "thumbnails/"),
        ("rome/.thumbnails/12.jpg", ".thumbnails/"),
        ("$RECYCLE.BIN/12.jpg", "$RECYCLE.BIN/"),
        ("__MACOSX/12.jpg", "__MACOSX/"),
        ("rome/Thumbs.db", "Thumbs.db"),
        ("rome/12.jpg", None),
        ("my thumbnails/12.jpg", None),
        ("thumbnails", None),
        ("a._b.jpg", None),
    ],
)
def test_what_is_excluded_by_default(name, pattern):
    assert Exclusions().pattern_of(name) == pattern


def test_patterns_of_ones_own():
    own = Exclusions(["*_small.???", "raw/previews/", "[x].jpg"])
    assert own.pattern_of("a/b_SMALL.jpg") == "*_small.???"
    assert own.pattern_of("a/raw/previews/b.jpg") == "raw/previews/"
    assert own.pattern_of("a/raw/other/previews/b.jpg") is None
    assert own.pattern_of("[x].jpg") == "[x].jpg"  # no sets of characters
    assert own.pattern_of("x.jpg") is None
    assert own.pattern_of("a_small.jpg/b.jpg") is None  # a folder needs its slash
    assert Exclusions([]).pattern_of("._a.jpg") is None


def test_the_setting(monkeypatch):
    assert load_settings().exclude == EXCLUDE
    monkeypatch.setenv("LANDMARK_EXCLUDE", "*_small.jpg, cache/ ,")
    assert load_settings().exclude == ("*_small.jpg", "cache/")
    monkeypatch.setenv("LANDMARK_EXCLUDE", "none")
    assert load_settings().exclude == ()
    for everything in ("*", "**/", "/", "a/,*"):
        monkeypatch.setenv("LANDMARK_EXCLUDE", everything)
        with pytest.raises(LandmarkError, match="LANDMARK_EXCLUDE=.*excludes everything"):
            load_settings()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a/B.TXT", ".txt"),
        ("a.b/c", "no suffix"),
        (".x", "no suffix"),
        ("a." + "x" * 99, "." + "x" * 20),
    ],
)
def test_how_files_are_counted(name, kind):
    assert kind_of(name) == kind


# ---- a folder of this machine --------------------------------------------------------------------


def test_files_of_this_machine(tmp_path):
    (tmp_path / "@eaDir").mkdir()
    contents = {
        "a.JPG": b"no photograph, and called one",
        "photo": HEADS["HEIF"],
        "photo.bin": HEADS["PNG"],
        "README": b"read me",
        "a.json": b"{}",
        "._a.JPG": APPLE_DOUBLE,
        "@eaDir/a.JPG": HEADS["JPEG"],
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    names = [*contents, "gone.jpg"]
    assert {name: why_left_out(tmp_path, name, Exclusions()) for name in names} == {
        "a.JPG": None,
        "photo": None,
        "photo.bin": None,
        "README": "no photograph (no suffix)",
        "a.json": "no photograph (.json)",
        "._a.JPG": "excluded by ._*",
        "@eaDir/a.JPG": "excluded by @eaDir/",
        "gone.jpg": "cannot be read (No such file or directory)",
    }
    found = [name for name in contents if is_photograph(tmp_path / name)]
    assert found == ["a.JPG", "photo", "photo.bin", "@eaDir/a.JPG"]
    assert not is_photograph(tmp_path)


# ---- a bucket ------------------------------------------------------------------------------------


def bucket_of(photograph) -> dict[str, bytes]:
    """Photographs, other files, and what is excluded."""
    return {
        "1.jpg": photograph(1),
        "2.JFIF": photograph(2),
        "3": photograph(3),
        "4.download": photograph(4),
        "5.jpg": b"no photograph, and called one",
        "README": b"read me",
        "list.foo": b"no photograph",
        "empty.foo": b"",
        "notes.txt": photograph(6),
        **{f"._{number}.jpg": APPLE_DOUBLE for number in range(30)},
        "@eaDir/1.jpg": photograph(1),
    }


PASSED_OVER = {"._*": 30, "@eaDir/": 1, ".foo": 2, "no suffix": 1, ".txt": 1}


def test_a_sweep_takes_photographs_and_counts_the_rest_by_suffix_and_pattern(
    database, s3, prefix, photograph, extractor, caplog
):
    base = prefix(bucket_of(photograph))
    model = extractor.model.fingerprint

    def sweep(name, **options):
        batches = plan_sweep(database, s3, name, model, base, "s3://r/", 9, **options)
        for batch in range(len(batches)):
            extract_batch(database, s3, extractor, name, batch)
        return finish_sweep(database, name, max_failed_share=0.5)

    with caplog.at_level(logging.INFO):
        first = sweep("1")
    assert (first.seen, first.new, first.indexed, first.failed) == (5, 5, 4, 1)
    assert first.passed_over == PASSED_OVER
    assert "passed over: 30 ._*, 2 .foo, 1 .txt, 1 @eaDir/, 1 no suffix" in caplog.text
    ((path, reason),) = failures_below(database, base)
    assert path == f"{base}5.jpg" and "no image" in reason

    again = sweep("2")
    assert (again.seen, again.new, again.passed_over) == (5, 0, PASSED_OVER)
    assert count_images(database, model) == 4

    # What is excluded from now on goes, and is counted.
    third = sweep("3", exclude=[*EXCLUDE, "*.JFIF"])
    assert (third.seen, third.removed) == (4, 1)
    assert third.passed_over == {**PASSED_OVER, "*.JFIF": 1}
    # And a photograph that is one no more is a failure, not forgotten.
    prefix({"3": b"a text by now"})
    fourth = sweep("4")
    assert (fourth.new, fourth.changed, fourth.passed_over) == (1, 1, PASSED_OVER)
    assert f"{base}3" in dict(failures_below(database, base))


def test_a_search_below_a_prefix_takes_what_a_sweep_takes(s3, prefix, photograph):
    base = prefix(bucket_of(photograph))
    found = find_queries(s3, base, "s3://r/", 100)
    names = ["1.jpg", "2.JFIF", "3", "4.download", "5.jpg"]
    assert found == [(base + name, None) for name in names]
    assert len(find_queries(s3, base, "s3://r/", 100, exclude=())) == len(names) + 31
    # What is asked for by its path is.
    assert find_queries(s3, f"{base}._1.jpg", "s3://r/", 100) == [(f"{base}._1.jpg", None)]
    # A prefix that is asked for is not excluded itself.
    assert find_queries(s3, f"{base}@eaDir/", "s3://r/", 9) == [(f"{base}@eaDir/1.jpg", None)]


def test_only_what_the_name_leaves_open_is_asked_for(photograph):
    objects = {f"images/{number}.jpg": b"x" for number in range(9)}
    objects |= {"images/a": photograph(1), "images/b.foo": b"text", "images/c.txt": b"text"}
    with lookalike(objects) as (fake, client):
        listing = Listing(client, "s3://b/images/", "s3://b/results/")
        fake.get = lambda handler, key: read.append(key) or False
        read: list[str] = []
        assert len(list(listing)) == 11
        assert read == []
        assert len(list(listing.photographs())) == 10
        assert sorted(read) == ["images/a", "images/b.foo"]


def test_what_cannot_be_asked_for_is_left_to_who_reads_it(photograph):
    with lookalike({"images/a": photograph(1), "images/b": b"text"}) as (fake, client):
        fake.get = lambda handler, key: handler.refuse(403, "AccessDenied") or True
        listing = Listing(client, "s3://b/images/", "s3://b/results/")
        assert len(list(listing.photographs())) == 2
        assert not listing.passed_over


def test_the_first_bytes_of_an_object(s3, prefix):
    base = prefix({"long": bytes(range(100)), "short": b"abc", "empty": b""})
    assert read_head(s3, f"{base}long", 32) == bytes(range(32))
    assert read_head(s3, f"{base}short", 32) == b"abc"
    s3.put_object(
        Bucket="landmark", Key=f"{base[14:]}packed", Body=b"\x1f\x8b" + bytes(40),
        ContentEncoding="gzip",
    )  # fmt: skip
    assert read_head(s3, f"{base}packed", 32) in (None, b"\x1f\x8b" + bytes(30))
