"""What has had its time goes, and only what is ours; and what somebody removes."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone

import pytest

from landmark.errors import LandmarkError
from landmark.search.lifetimes import (
    days_ago,
    remove_old_results,
    remove_old_uploads,
    remove_result,
)
from landmark.search.searches import Searches, read_own
from landmark.search.uploads import keep_upload
from landmark.storage.bucket import list_objects, read_object, write_object
from landmark.storage.images import save_image

FILES = ("matches.txt", "matches.json", "query.npz", "contact-sheet.jpg", "matches/001.jpg")


@pytest.fixture
def results(prefix):
    return prefix() + "results/"


@pytest.fixture
def tomorrow():
    """Before which all of today was written."""
    return datetime.now(timezone.utc) + timedelta(days=1)


@pytest.fixture
def find(s3, results):
    """Writes what a run leaves; of one photograph, or of several."""

    def write(run_id, *queries, folder=None):
        folder = folder or f"{results}{run_id}/"
        asked = queries[0] if len(queries) == 1 else list(queries)
        searches = Searches.plan(run_id, folder, asked, [(query, None) for query in queries])
        searches.claim(s3).write(s3)
        for search in searches.searches:
            for file in FILES:
                write_object(s3, search.folder + file, b"x", "text/plain")
        return searches

    return write


def names(s3, folder):
    return sorted(found.path.removeprefix(folder) for found in list_objects(s3, folder))


def test_old_results_go_with_all_their_files(s3, results, find, tomorrow):
    find("one", "s3://b/a.jpg")
    find("several", "s3://b/a.jpg", "s3://b/b.jpg")
    assert remove_old_results(s3, results, days_ago(1)) == 0
    assert len(names(s3, results)) == 2 * 2 + 3 * len(FILES)
    assert remove_old_results(s3, results, tomorrow) == 2
    assert names(s3, results) == []


def test_what_is_not_a_results_own_stays(s3, results, find, tomorrow):
    searches = find("run", "s3://b/a.jpg", "s3://b/b.jpg")
    theirs = [
        "run/notes.txt", "run/a folder/matches.txt", "run/matches/mine.jpg", "run/matches/1.jpg",
        "matches.txt", "other/matches.txt", "other/matches/001.jpg", "watches/1/1/report.txt",
        f"{searches.searches[0].folder.removeprefix(results)}notes.txt",
    ]  # fmt: skip
    for name in theirs:
        write_object(s3, results + name, b"mine", "text/plain")
    # Called like the file of a claim: of no run, of another folder, of nothing that can be read.
    copied, _ = read_object(s3, searches.folder + "searches.json")
    for name, body in (("json", b"{}"), ("copy", copied), ("text", b"no json")):
        theirs += [f"{name}/searches.json", f"{name}/matches.txt"]
        write_object(s3, f"{results}{name}/searches.json", body, "application/json")
        write_object(s3, f"{results}{name}/matches.txt", b"mine", "text/plain")
    assert remove_old_results(s3, results, tomorrow) == 1
    assert names(s3, results) == sorted(theirs)


def test_a_result_inside_anothers_folder_has_its_own_time(s3, results, find, tomorrow):
    outer = find("outer", "s3://b/a.jpg")
    inner = find("inner", "s3://b/a.jpg", folder=f"{outer.folder}inner-0123456789abcdef/")
    remove_result(s3, outer)
    assert names(s3, outer.folder) == sorted(
        f"inner-0123456789abcdef/{name}" for name in (*FILES, "searches.json", "searches.txt")
    )
    assert remove_old_results(s3, results, tomorrow) == 1
    assert names(s3, inner.folder) == []


def test_one_that_cannot_be_removed_keeps_its_claim_and_the_next_goes(
    s3, results, find, tomorrow, monkeypatch, caplog
):
    from landmark.search import folders

    find("a", "s3://b/a.jpg")
    find("b", "s3://b/a.jpg")
    delete = folders.delete_object

    def refuse(client, path):
        if path.endswith("/a/matches/001.jpg"):
            raise LandmarkError(f"{path}: AccessDenied")
        delete(client, path)

    monkeypatch.setattr(folders, "delete_object", refuse)
    assert remove_old_results(s3, results, tomorrow) == 1
    assert "a/ is not removed" in caplog.text and "AccessDenied" in caplog.text
    assert "a/searches.json" in names(s3, results)
    monkeypatch.undo()
    assert remove_old_results(s3, results, tomorrow) == 1
    assert names(s3, results) == []


def test_a_run_that_writes_again_meanwhile_keeps_its_claim(s3, find, monkeypatch):
    from landmark.search import lifetimes

    searches = find("run", "s3://b/a.jpg")
    delete = lifetimes.delete_files

    def cleared(client, folder, claim):
        found = delete(client, folder, claim)
        body = searches.to_json().replace(b'"reason": null', b'"reason": "anew"')
        write_object(client, folder + claim, body, "application/json")
        return found

    monkeypatch.setattr(lifetimes, "delete_files", cleared)
    with pytest.raises(LandmarkError, match="its run writes again"):
        remove_result(s3, searches)
    assert read_own(s3, searches.folder, "run").searches[0].reason == "anew"


def test_the_same_bytes_are_one_upload_and_keep_their_first_name(s3, prefix):
    uploads = prefix() + "uploads/"
    first = keep_upload(s3, uploads, "Würzburg é ü.jpg", b"one")
    assert first.endswith("/Würzburg é ü.jpg")
    assert keep_upload(s3, uploads, "copy.jpg", b"one") == first
    assert keep_upload(s3, uploads, "copy.jpg", b"two") != first
    assert len(names(s3, uploads)) == 2


def test_old_uploads_go_unless_they_are_indexed(database, s3, prefix, make_view, tomorrow):
    uploads = prefix() + "uploads/"
    gone, indexed = (keep_upload(s3, uploads, "a.jpg", body) for body in (b"one", b"two"))
    before = f"{uploads}{hashlib.sha256(b'three').hexdigest()[:16]}/of an older version.jpg"
    theirs = [uploads + "holiday/a.jpg", uploads + "a.jpg", f"{uploads}{'0' * 32}/not its hash.jpg",
              f"{uploads}{'0' * 32}/deep/a.jpg"]  # fmt: skip
    for path in (before, *theirs):
        write_object(s3, path, b"three", "image/jpeg")
    save_image(database, indexed, "model-1", "1", make_view(1))
    assert remove_old_uploads(database, s3, uploads, days_ago(1)) == 0
    assert remove_old_uploads(database, s3, uploads, tomorrow) == 2
    left = {found.path for found in list_objects(s3, uploads)}
    assert left == {indexed, *theirs} and gone not in left


def test_an_upload_that_comes_again_has_its_time_anew(database, s3, prefix):
    uploads = prefix() + "uploads/"
    path = keep_upload(s3, uploads, "a.jpg", b"one")
    bucket, _, key = path.removeprefix("s3://").partition("/")
    of_2001 = {"mtime": "1000000000"}
    s3.put_object(Bucket=bucket, Key=key, Body=b"one", Metadata=of_2001)
    assert keep_upload(s3, uploads, "b.jpg", b"one") == path
    assert remove_old_uploads(database, s3, uploads, days_ago(1)) == 0
    s3.put_object(Bucket=bucket, Key=key, Body=b"one", Metadata=of_2001)
    assert remove_old_uploads(database, s3, uploads, days_ago(1)) == 1
