"""Results as CSV: what RFC 4180 says, and nothing that a spreadsheet computes."""

from __future__ import annotations

import csv
import io

import pytest

from landmark.errors import LandmarkError
from landmark.matching.ranking import Match, Step
from landmark.search.result import SearchResult
from landmark.search.single import Search
from landmark.search.table import HEADER, csv_rows


def result(query, *matches):
    return SearchResult(query, "m", 3, "2026-01-01", "exhaustive", {}, "match", list(matches))


def written(*found):
    """The text for searches, each with its matches, or why it has none."""
    searches, results = [], {}
    for number, (query, matches) in enumerate(found, 1):
        if isinstance(matches, str):
            searches.append(Search(query, "s3://r/").failed(matches))
        else:
            outcome = "match" if matches else "no match"
            searches.append(Search(query, "s3://r/", outcome=outcome))
            results[number] = result(query, *matches)
    return b"".join(csv_rows(searches, lambda number, search: results[number])).decode()


def rows(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_each_match_has_a_row_and_so_has_a_search_without():
    copy = Match(50, 70, "s3://b/copy.jpg", expected=0.001)
    chain = (Step(41, "s3://b/a.jpg"), Step(63, "s3://b/far.jpg"))
    text = written(
        ("s3://b/1.jpg", [
            Match(57, 80, "s3://b/a, \"b\".jpg", expected=3.132e-25, copies=(copy,), overlay=3),
            Match(4, 21, "s3://b/far.jpg", chain, 9.0),
        ]),
        ("s3://b/2.jpg", []),
        ("s3://b/3.jpg", "s3://b/3.jpg: there is no such object"),
    )  # fmt: skip
    assert text.split("\r\n")[0] == ",".join(HEADER)
    assert text.endswith("\r\n") and "\n" not in text.replace("\r\n", "")
    first, copied, far, none, failed = rows(text)
    assert first["image_path"] == 's3://b/a, "b".jpg' and '"s3://b/a, ""b"".jpg"' in text
    assert (first["rank"], first["inliers"], first["expected"]) == ("1", "57", "3.132e-25")
    assert (first["verdict"], first["overlay"], first["outcome"]) == ("match", "3", "match")
    assert copied["rank"] == "1" and copied["copy_of"] == first["image_path"]
    assert far["verdict"] == "by way of" and far["via"] == "41 s3://b/a.jpg 63"
    assert (none["query"], none["outcome"], none["rank"]) == ("s3://b/2.jpg", "no match", "")
    assert failed["outcome"] == "failed" and "no such object" in failed["reason"]


@pytest.mark.parametrize(
    "start", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "|x", " =1", "\uff1d1"]
)
def test_nothing_is_a_formula(start):
    text = written((start, f"{start}: reason"))
    (row,) = rows(text)
    assert row["query"].startswith("'") and row["reason"].startswith("'")
    assert "\t" not in text and text.count("\r") == text.count("\r\n") == 2


def test_hostile_names_stay_in_their_cell():
    name = 's3://b/a"\r\n=cmd|\0\x1b,\ud800.jpg'
    text = written((name, [Match(20, 30, name, expected=0.1)]))
    (row,) = rows(text)
    assert row["query"] == row["image_path"] == 's3://b/a"%0D%0A=cmd|%00%1B,?.jpg'


def test_a_damaged_result_is_the_reason_of_its_row():
    def damaged(number, search):
        raise LandmarkError("s3://r/matches.json: damaged; search again")

    searches = [Search("s3://b/1.jpg", "s3://r/", outcome="match")]
    (row,) = rows(b"".join(csv_rows(searches, damaged)).decode())
    assert row["outcome"] == "failed" and "damaged" in row["reason"]
