"""Many searches of one run: their folders and the list of them."""

from __future__ import annotations

import json

import pytest
from s3_policy import Policy, keep_to

from landmark.errors import LandmarkError
from landmark.matching.ranking import Match
from landmark.search.folders import query_folder
from landmark.search.result import SearchResult, read_result
from landmark.search.searches import Searches, read_overview, read_own
from landmark.storage.bucket import ObjectMissing
from stack.s3 import S3

RUN = "s3://b/results/run/"
A, B, C = "s3://b/place/a.jpg", "s3://b/place/b.jpg", "s3://b/place/c.jpg"


def result(query, *inliers):
    matches = [Match(n, 2 * n, f"s3://b/{n}.jpg") for n in inliers]
    verdict = "match" if inliers else "no match"
    return SearchResult(
        query, "m", 10, "2026-01-02T03:04:05+00:00", "exhaustive", {}, verdict, matches
    )


@pytest.fixture
def folder(prefix):
    return prefix() + "results/run/"


def planned(folder, asked, found=None):
    found = found or [(path, None) for path in ([asked] if isinstance(asked, str) else asked)]
    return Searches.plan("run", folder, asked, found)


def text(s3, path):
    bucket, _, key = path.removeprefix("s3://").partition("/")
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()


# ---- whose folder it is -------------------------------------------------------------------------


def test_a_folder_belongs_to_the_run_that_wrote_it_first(s3, folder):
    mine, other = (Searches.plan(run, folder, A, [(A, None)]) for run in ("mine", "other"))
    mine.claim(s3)
    with pytest.raises(LandmarkError, match="belongs to the run mine; choose another folder"):
        other.claim(s3)
    mine.claim(s3)  # tried again, or cleared
    assert read_own(s3, folder, "mine") == mine
    with pytest.raises(LandmarkError, match="belongs to the run mine"):
        read_own(s3, folder, "other")


def test_of_two_runs_that_claim_a_folder_at_once_one_has_it_and_neither_result_is_mixed(
    s3, folder, make_view
):
    mine, other = (Searches.plan(run, folder, A, [(A, None)]) for run in ("mine", "other"))
    mine = mine.claim(s3).keep_queries(s3, [(A, make_view(1))])
    # As if it had looked before `mine` wrote.
    bucket, _, key = (folder + "searches.json").removeprefix("s3://").partition("/")
    s3.put_object(Bucket=bucket, Key=key, Body=other.to_json())
    with pytest.raises(LandmarkError, match="belongs to the run other"):
        mine.keep_results(s3, [result(A, 40)])
    with pytest.raises(ObjectMissing):
        read_result(s3, folder)


def keys(s3, folder):
    """What lies in a folder."""
    listed = s3.list_objects_v2(Bucket="landmark", Prefix=folder[14:]).get("Contents", ())
    return {entry["Key"].removeprefix(folder[14:]) for entry in listed}


def put(s3, *paths):
    for path in paths:
        s3.put_object(Bucket="landmark", Key=path[14:], Body=b"x")


def searched(s3, folder, found):
    """Run the searches, in one folder: the result of each photograph, or why there is none."""
    searches = planned(folder, list(found)).claim(s3)
    searches = searches.keep_queries(s3, [(path, found[path][0]) for path in found])
    searches.keep_results(s3, [answer for _, answer in found.values() if answer])
    return searches


RESULT_FILES = {"matches.json", "matches.txt", "query.npz"}


def test_nothing_of_an_earlier_try_stays_beside_a_new_result(s3, folder, make_view):
    view, gone = make_view(1), LandmarkError("gone")
    first = searched(s3, folder, {path: (view, result(path, 40)) for path in (A, B, C)})
    pictures = ("matches/001.jpg", "matches/1000.jpg", "contact-sheet.jpg")
    for search in first.searches:
        put(s3, *(search.folder + name for name in pictures))
    a, b, c = (search.folder.removeprefix(folder) for search in first.searches)
    # A is found anew; B cannot be read, C was taken from the prefix.
    searched(s3, folder, {A: (view, result(A, 30)), B: (gone, None)})
    assert keys(s3, folder) == {
        "searches.json",
        "searches.txt",
        *(a + name for name in RESULT_FILES),
    }
    # What is read and cannot be compared has no result.
    searched(s3, folder, {A: (view, result(A, 30)), B: (view, gone), C: (view, result(C))})
    assert keys(s3, folder) == {
        "searches.json",
        "searches.txt",
        b + "query.npz",
        *(inner + name for inner in (a, c) for name in RESULT_FILES),
    }


def test_what_no_search_wrote_stays(s3, folder, make_view):
    inner = query_folder(folder, B)
    others = {
        *("notes.txt", "matches.csv", "matches/1.jpg", "matches/001.jpg.bak", "matches/x/001.jpg"),
        *("other/matches.txt", "copy-0123/matches.txt", f"x/{inner[len(folder) :]}matches.txt"),
        *(inner[len(folder) :] + name for name in ("notes.txt", "matches/a.jpg")),
    }
    put(s3, *(folder + name for name in others))
    beside = folder.removesuffix("/") + "-2/matches.txt"
    put(s3, beside)
    # The folder of another run below.
    other = Searches.plan("other", query_folder(folder, C), C, [(C, None)]).claim(s3)
    put(s3, other.folder + "matches.txt")
    searched(s3, folder, {A: (make_view(1), result(A, 40))})
    theirs = {other.folder[len(folder) :] + name for name in ("searches.json", "matches.txt")}
    assert others | theirs <= keys(s3, folder)
    assert text(s3, beside) == "x"


def test_what_may_not_be_deleted_is_told_and_the_search_goes_on(
    s3, s3_server, folder, make_view, caplog
):
    put(s3, folder + "matches/001.jpg", folder + "matches/002.jpg")
    allowed = ["s3:GetObject", "s3:PutObject"]
    for more in ([], ["s3:ListBucket"]):
        statement = {"Effect": "Allow", "Action": allowed + more, "Resource": "*"}
        policy = Policy(json.dumps({"Statement": [statement]}))
        with keep_to(policy, s3_server.port) as address:
            port = int(address.rsplit(":", 1)[1])
            client = S3(port, s3_server.access_key, s3_server.secret_key).client()
            searches = planned(folder, A).claim(client).keep_queries(client, [(A, make_view(1))])
            caplog.clear()
            assert searches.keep_results(client, [result(A, 40)])["matches"] == 1
        (line,) = (record.getMessage() for record in caplog.records if record.levelname != "INFO")
        assert line.startswith(f"{folder}: what an earlier try has left stays") and "\n" not in line
        assert "AccessDenied; give the connection's user the right to it" in line
    assert read_result(s3, folder) == result(A, 40)


def test_who_may_not_list_claims_a_folder_all_the_same(s3, s3_server, folder):
    """AWS then denies what is not there."""
    allowed = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "*"}
    with keep_to(Policy(json.dumps({"Statement": [allowed]})), s3_server.port) as address:
        port = int(address.rsplit(":", 1)[1])
        client = S3(port, s3_server.access_key, s3_server.secret_key).client()
        planned(folder, A).claim(client)
        with pytest.raises(LandmarkError, match="belongs to the run run"):
            Searches.plan("other", folder, A, [(A, None)]).claim(client)


# ---- folders ------------------------------------------------------------------------------------


def test_one_photograph_has_the_runs_own_folder_and_each_of_several_one_below():
    assert [search.folder for search in planned(RUN, A).searches] == [RUN]
    for asked in ([A], [A, B], "s3://b/place/"):
        found = [(A, None), (B, None)]
        folders = {search.folder for search in planned(RUN, asked, found).searches}
        assert len(folders) == 2 and all(name.startswith(RUN + "place-") for name in folders)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("s3://b/rome/forum/01.jpg", "forum-01.jpg"),
        ("s3://b/01.jpg", "01.jpg"),
        ("s3://b/été/Köln 1.jpg", "été-Köln-1.jpg"),
        ("s3://b/../../x.jpg", "x.jpg"),
        ("s3://b/a/..", "a"),
        ("s3://b/%2e%2e%2f\n\t'<i>\"", "2e-2e-2f-i"),
        ("s3://b/" + "long" * 300, ("long" * 13)[-50:]),
        ("s3://b/---", "photograph"),
        ("s3://b/", "photograph"),
        ("s3://b/a//", "a"),
    ],
)
def test_a_folder_is_readable_and_cannot_lead_elsewhere(path, name):
    folder = query_folder(RUN, path)
    stem, _, digest = folder.removeprefix(RUN).removesuffix("/").rpartition("-")
    assert stem == name and len(digest) == 16 and folder == query_folder(RUN, path)
    assert "/" not in stem and len(folder.encode()) < len(RUN) + 255


def test_paths_that_look_alike_have_folders_of_their_own():
    paths = [
        "s3://b/a b.jpg",
        "s3://b/a-b.jpg",
        "s3://b/a/b.jpg",
        "s3://c/a-b.jpg",
        "s3://b/a b.jpg/",
    ]
    assert len({query_folder(RUN, path) for path in paths}) == len(paths)


# ---- the list -----------------------------------------------------------------------------------


def test_the_list_tells_what_became_of_each(s3, folder, make_view):
    searches = planned(folder, [A, B, C], [(A, None), (B, "B: cannot be listed"), (C, None)])
    assert searches.paths == [A, C]
    searches.keep_queries(s3, [(C, make_view(1)), (A, make_view(2))])
    searches = read_overview(s3, folder)
    assert [search.query for search in searches.read] == [A, C] and searches.counts == {"failed": 1}

    answer = searches.keep_results(s3, [result(A), result(C, 40, 20)])
    assert answer["searches"] == {"match": 1, "no match": 1, "failed": 1}
    assert (answer["query"], answer["inliers"], answer["result"]) == (
        C,
        40,
        folder + "searches.txt",
    )
    first, _, third = (search.folder for search in searches.searches)
    assert text(s3, folder + "searches.txt") == (
        "# searches: 3\n"
        "# match: 1\n"
        "# no match: 1\n"
        "# failed: 1\n"
        "# columns: outcome, inliers, query, best match, result, reason\n"
        f"no match\t0\t{A}\t\t{first}matches.txt\t\n"
        f"failed\t0\t{B}\t\t\tB: cannot be listed\n"
        f"match\t40\t{C}\ts3://b/40.jpg\t{third}matches.txt\t\n"
    )
    assert text(s3, third + "matches.txt").encode() == result(C, 40, 20).to_text()
    rows = json.loads(text(s3, folder + "searches.json"))["searches"]
    assert [row["query"] for row in rows] == [A, B, C] and rows[2]["matches"] == 2


def test_a_list_of_the_same_is_the_same(s3, folder, make_view):
    def write():
        searches = planned(folder, [A, B])
        searches = searches.keep_queries(s3, [(A, make_view(2)), (B, make_view(3))])
        searches.keep_results(s3, [result(A), result(B, 40, 20)])
        return text(s3, folder + "searches.txt"), text(s3, folder + "searches.json")

    assert write() == write()


def test_what_could_not_be_compared_is_tried_again_by_the_next_run_of_the_task(
    s3, folder, make_view
):
    searches = planned(folder, [A, B]).keep_queries(s3, [(A, make_view(2)), (B, make_view(3))])
    answer = searches.keep_results(s3, [LandmarkError("nothing to compare"), result(B, 20)])
    assert answer["searches"] == {"match": 1, "failed": 1}
    answer = read_overview(s3, folder).keep_results(s3, [result(A, 30), result(B, 20)])
    assert answer["searches"] == {"match": 2} and answer["query"] == A


def test_a_line_stays_a_line(folder):
    path = "s3://b/tab\tnew\nline.jpg"
    searches = planned(folder, [path], [(path, f"{path}: broken")])
    (line,) = [line for line in searches.to_text().decode().splitlines() if line[0] != "#"]
    assert line.count("\t") == 5 and "tab%09new%0Aline.jpg" in line


def test_a_run_without_any_usable_photograph_fails_with_the_reasons(s3, folder):
    searches = planned(folder, [A, B])
    bad = [(path, LandmarkError(f"{path}: broken")) for path in (A, B)]
    with pytest.raises(LandmarkError, match=rf"none of 2 .*: {A}: broken; {B}: broken; .*searches"):
        searches.keep_queries(s3, bad)
    assert text(s3, folder + "searches.txt").count(": broken") == 2
    many = [f"s3://b/{number}" for number in range(1000)]
    with pytest.raises(LandmarkError) as refused:
        planned(folder, many).keep_queries(s3, [(path, LandmarkError(path)) for path in many])
    assert len(str(refused.value)) < 1000 and "\n" not in str(refused.value)


def test_of_one_photograph_the_reason_is_its_own(s3, folder):
    with pytest.raises(LandmarkError, match=f"^{A}: broken$"):
        planned(folder, A).keep_queries(s3, [(A, LandmarkError(f"{A}: broken"))])


def test_the_answer_of_one_photograph_is_its_results(s3, folder, make_view):
    searches = planned(folder, A).keep_queries(s3, [(A, make_view(1))])
    answer = searches.keep_results(s3, [result(A, 40)])
    assert answer["result"] == folder + "matches.txt" and answer["searches"] == {"match": 1}
