"""What people write as photographs to search for, and that one that is wrong fails alone."""

from __future__ import annotations

import pytest

from landmark.errors import LandmarkError
from landmark.features import LocalFeatures
from landmark.search.asking import check_any, check_form, entries, is_one, understood
from landmark.search.queries import extract_queries, find_queries, look_at
from landmark.search.searches import Searches, read_overview
from landmark.storage.bucket import BodyFault, ServerFault


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("s3://b/a.jpg", ["s3://b/a.jpg"]),
        (
            " s3://b/a b.jpg \r\n\r\n\ts3://b/b.jpg\rs3://b/a b.jpg",
            ["s3://b/a b.jpg", "s3://b/b.jpg"],
        ),
        (
            "\"s3://b/a.jpg\",\n'S3://B/é/';\n“s3://b/c.jpg”",
            ["s3://b/a.jpg", "s3://B/é/", "s3://b/c.jpg"],
        ),
        ("<s3://b/a.jpg>", ["s3://b/a.jpg"]),
        ("s3://b/it's.jpg'", ["s3://b/it's.jpg'"]),
        (["s3://b/a\nb.jpg", "s3://b/end "], ["s3://b/a\nb.jpg", "s3://b/end "]),
        (["s3://b/a", "S3://b/a"], ["s3://b/a"]),
        ("", []),
        ('"', [""]),
    ],
)
def test_lines_quotes_and_capitals_are_understood(asked, found):
    assert entries(asked) == found


@pytest.mark.parametrize(
    ("asked", "one"),
    [
        ("s3://b/a.jpg", True),
        ('\n"S3://b/a.jpg"\n', True),
        ("s3://b/a/", False),
        ('"s3://b/a/"', False),
        ("s3://b/a\ns3://b/b", False),
        (["s3://b/a"], False),
    ],
)
def test_one_photograph_is_told_from_several(asked, one):
    assert is_one(asked) is one


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("/home/me/a.jpg", "/home/me/a.jpg: not a path in S3; write s3://bucket/key"),
        ("https://b.s3.amazonaws.com/a.jpg", "not a path in S3"),
        ("s3:///a.jpg", "not a path in S3"),
        ("s3://b", "s3://b: names a bucket; write s3://b/ for all that is in it"),
        ("s3://b/\ud800", "s3://b/%ED%A0%80: holds a character that is no text"),
        ("s3://b/\0", "s3://b/%00: holds a character"),
        ("s3://b/" + "é" * 513, "longer than a key of S3 can be"),
        ("", "not a path in S3"),
    ],
)
def test_what_is_no_path_is_answered_with_the_remedy(entry, reason):
    with pytest.raises(LandmarkError) as refused:
        check_form(entry)
    assert reason in str(refused.value) and "\n" not in str(refused.value)
    assert understood(entry) == entry


def test_each_bad_entry_fails_alone(database, s3, prefix, photograph, bundled_model):
    base = prefix({"good.jpg": photograph(1), "folder/a.jpg": photograph(2)})
    bad = [
        base + "a//b.jpg", base + "none.jpg", base + "folder", base + "\ud800", base + "a\0.jpg",
        "no path", "s3://b", base + "x" * 1100, base + "secret.jpg", base + "empty/",
    ]  # fmt: skip

    def check(path):
        if "secret" in path:
            raise LandmarkError(f"{path}: lies outside")

    asked = [bad[0], *bad[1:5], base + "good.jpg", *bad[5:]]
    found = find_queries(s3, asked, base + "results/", 99, check=check)
    searches = Searches.plan("run", base + "results/run/", asked, found).claim(s3)
    queries = list(extract_queries(database, s3, bundled_model, searches.paths, False))
    read = searches.keep_queries(s3, queries)
    assert [search.query for search in read.read] == [base + "good.jpg"]
    assert read_overview(s3, base + "results/run/") == read
    reasons = {search.query: search.reason for search in read.searches if search.reason}
    assert len(reasons) == len(bad)
    assert reasons[bad[0]].startswith(f"{bad[0]}: S3 refuses it (400 ")
    assert reasons[bad[2]] == f"{bad[2]}: a folder; write {bad[2]}/ for all that is below"
    assert reasons[bad[8]] == f"{bad[8]}: lies outside"
    assert "no photograph lies below" in reasons[bad[9]]


def test_of_a_line_it_is_said_at_once_what_is_wrong(s3, prefix, photograph):
    base = prefix({"a.jpg": b"x", "folder/b.jpg": b"x"})
    paths = [base + name for name in ("a.jpg", "a//b.jpg", "none.jpg", "folder")]
    good, refused, missing, folder = look_at(s3, paths)
    assert (good, folder) == (base + "a.jpg", base + "folder/")
    assert "S3 refuses it (400" in str(refused) and "no such object" in str(missing)


def test_a_body_that_breaks_off_fails_alone_unless_all_do(
    database, s3, prefix, photograph, bundled_model, monkeypatch
):
    base = prefix({f"{n}.jpg": photograph(n) for n in range(3)})
    from landmark.index import extract

    real = extract.read_object

    def read(client, path, *more):
        if path.endswith("1.jpg"):
            raise BodyFault(f"{path}: breaks off each time")
        return real(client, path, *more)

    monkeypatch.setattr(extract, "read_object", read)
    paths = [f"{base}{n}.jpg" for n in range(3)]
    found = dict(extract_queries(database, s3, bundled_model, paths, False))
    assert "breaks off" in str(found[paths[1]])
    assert all(isinstance(found[paths[n]], LocalFeatures) for n in (0, 2))
    with pytest.raises(ServerFault, match="breaks off"):
        list(extract_queries(database, s3, bundled_model, paths[1:2], False))


def test_what_holds_nothing_to_search_for_is_refused_before_anything_is_read():
    def check(path):
        if "secret" in path:
            raise LandmarkError(f"{path}: lies outside")

    check_any("s3://b/secret\ns3://b/a", check)
    with pytest.raises(LandmarkError, match="^s3://b/secret: lies outside; no path: not a path"):
        check_any(["s3://b/secret", "no path"], check)
    with pytest.raises(LandmarkError, match="names no photograph"):
        check_any(" \n", check)
