"""The pages over HTTP: who may see what, wrong input, and nothing but what belongs to a result."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import time
from urllib.parse import quote, unquote

import httpx
import pytest
from pages_fixture import EVIL, SEVERAL, UPLOADED_EXIF
from PIL import Image

from stack.state import REPOSITORY

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def browser(pages):
    """Logged in."""
    with pages.client(pages.token()) as client:
        yield client


def addresses(run_id):
    """One of every kind of address that there is."""
    run = quote(run_id, safe="")
    return [
        "/",
        "/?page=2",
        "/searches",
        f"/searches/{run}",
        f"/searches/{run}/matches.txt",
        f"/searches/{run}/matches.json",
        f"/searches/{run}/matches.csv",
        f"/searches/{run}/searches.csv",
        f"/searches/{run}/searches.txt",
        f"/searches/{run}/searches.json",
        f"/searches/{run}?query=1",
        f"/searches/{run}/images/0",
        f"/searches/{run}/images/0?query=1",
        f"/searches/{run}/images/1?size=large",
        f"/searches/{run}/images/1/via/1",
        f"/searches/{run}/images/1/copies/1",
        f"/searches/{run}/contact-sheet.jpg",
        f"/searches/{run}/contact-sheet",
        f"/searches/{run}/asked.jpg",
        f"/searches/{run}/look/0",
        f"/searches/{run}/look/1?query=1",
        f"/searches/{run}/look/1/via/1",
        f"/searches/{run}/look/1/copies/1",
        f"/searches/{run}/pairs/1",
        f"/searches/{run}/pairs/1/picture.jpg",
        f"/again?run={run}",
        "/again/photograph.jpg?image_path=" + quote("s3://landmark/images/pages/1/0.jpg"),
        f"/searches/{run}/remove",
        "/corrections",
        "/corrections?image_path=" + quote("s3://landmark/images/pages/1/0.jpg"),
        "/corrections.json",
        "/corrections/1/images/first",
        "/corrections/1/look/first",
        "/watches",
        "/watches.json",
        "/watches/999999/reports/1/report.txt",
        "/watches/999999/reports/1/contact-sheet.jpg",
        "/watches/999999/reports/1/contact-sheet",
        "/places?name=x",
        "/places/999999",
        "/index",
        "/index/image?path=" + quote("s3://landmark/images/pages/1/0.jpg"),
        "/index/look?path=" + quote("s3://landmark/images/pages/1/0.jpg"),
        "/index/photographs",
        "/index/photographs?name=0",
        "/index/photograph?path=" + quote("s3://landmark/images/pages/1/0.jpg"),
        "/index/failures",
        "/index/removals",
        "/index/remove?path=" + quote("s3://landmark/images/pages/1/0.jpg"),
        f"/dags/landmark_search/runs/{run}",
        "/dags/landmark_index/runs/none",
        "/static/landmark.css",
    ]


# ---- login and permissions ----------------------------------------------------------------------


# Prints, of each route: its methods, its pattern, and what is asked before anything else.
ROUTES = """
from fastapi.routing import APIRoute
from landmark_web import permissions
from landmark_web.app import app

assert all(isinstance(route, APIRoute) for route in app.routes), app.routes
names = {function: name for name, function in vars(permissions).items() if callable(function)}
for route in app.routes:
    first = route.dependant.dependencies[: len(route.dependencies)]
    asked = [names.get(needed.call) for needed in first]
    print(*sorted(route.methods), route.path_regex.pattern, *asked)
"""
READ = {
    "": "may_read_searches",
    "searches": "may_read_searches",
    "again": "may_search",
    "corrections": "may_read_searches",
    "places": "may_read_index",
    "watches": "may_read_index",
    "index": "may_read_index",
    "dags": "may_read_run",
    "static": None,
}
SENT = {
    "searches": "may_search",
    "uploads": "may_search",
    "corrections": "may_search",
    "places": "may_search",
    "watches": "may_search",
    "index": "may_index",
}


def test_every_route_asks_airflow_for_its_right_before_anything_else():
    """No route can be added that forgets to, or that the tests below forget."""
    done = subprocess.run(
        [sys.executable, "-c", ROUTES],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY / "plugins"), "HOME": "/tmp"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stdout.splitlines() if line.startswith(("GET ", "POST "))]
    assert len(lines) >= 15
    paths = [unquote(address.split("?")[0]) for address in addresses("x")]
    for line in lines:
        method, pattern, *asked = line.split(" ")
        first = re.split(r"[/\\]", pattern.removeprefix("^/").rstrip("$"))[0]
        if method == "POST":
            cancels = pattern.endswith(("/cancel$", "/undo$")) and first == "searches"
            right = "may_cancel" if cancels else SENT[first]
            assert asked == ["same_origin", right], line
        else:
            assert asked == ([READ[first]] if READ[first] else []), line
            assert any(re.fullmatch(pattern, path) for path in paths), line


def test_whoever_is_logged_in_sees_it(browser, pages):
    for address in [*addresses(pages.run_id), *addresses(pages.several_id)]:
        # Of these there is none.
        none = ("/none", "/via/1", "/copies/1", "/first", "/999999")
        if not address.endswith(none) and "/999999/" not in address:
            answer = browser.get(address, follow_redirects=True)
            assert answer.status_code == 200, address


UNSIGNED = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."  # pragma: allowlist secret


@pytest.mark.parametrize("token", [None, "nonsense", UNSIGNED])
def test_anonymous_gets_nothing(pages, token):
    with pages.client(token) as nobody:
        for address in addresses(pages.run_id):
            answer = nobody.get(address)
            if "/static/" in address:  # the page that says so needs it
                assert answer.status_code == 200
                continue
            assert answer.status_code in (401, 403), address
            assert "s3://" not in answer.text and "courtyard" not in answer.text
            assert answer.headers["content-type"].startswith(("text/html", "application/json"))
        before = pages.runs()
        path = "s3://landmark/images/pages/1/0.jpg"
        assert nobody.post("/searches", data={"image_path": path}).status_code in (401, 403)
        for address in ("retry", "run", "remove", "try-again", "removals/1/undo"):
            assert nobody.post(f"/index/{address}").status_code in (401, 403)
        assert nobody.post(f"/searches/{quote(pages.run_id)}/remove").status_code in (401, 403)
        run = quote(pages.run_id, safe="")
        assert nobody.post(f"/searches/{run}/corrections?rank=1").status_code in (401, 403)
        assert nobody.post("/corrections/1/undo").status_code in (401, 403)
        assert pages.runs() == before
        for hidden in ("/docs", "/openapi.json", "/redoc"):
            assert nobody.get(hidden).status_code == 404


def test_a_viewer_sees_and_may_not_search(pages):
    with pages.client(pages.token_of_role("viewer")) as viewer:
        page = viewer.get("/")
        assert page.status_code == 200 and "<form" not in page.text
        path = "s3://landmark/images/pages/1/0.jpg"
        assert viewer.post("/searches", data={"image_path": path}).status_code == 403
        assert "Retry failures" not in viewer.get("/index").text
        index = viewer.get("/index").text
        assert "Index now" not in index and "Try again" not in index
        path = "s3://landmark/images/pages/1/0.jpg"
        assert "Remove" not in viewer.get("/index/photograph", params={"path": path}).text
        for address in ("retry", "run", "remove", "try-again", "removals/1/undo"):
            assert viewer.post(f"/index/{address}", data={"path": path}).status_code == 403
        run = quote(pages.run_id, safe="")
        assert "Remove the result" not in viewer.get(f"/searches/{run}").text
        assert viewer.post(f"/searches/{run}/remove").status_code == 403


def test_a_viewer_reads_corrections_and_makes_none(browser, pages):
    run = quote(pages.run_id, safe="")
    correct = f"/searches/{run}/corrections?rank=1&page=1"
    form = {
        "one": "s3://landmark/images/pages/1/1.jpg",
        "other": "s3://landmark/images/pages/1/0.jpg",
        "said": "different",
    }
    with pages.client(pages.token_of_role("viewer")) as viewer:
        assert "not the same place" not in viewer.get(f"/searches/{run}").text
        assert viewer.post(correct, data=form).status_code == 403
        assert browser.post(correct, data=form).status_code == 303
        try:
            said, *_ = viewer.get("/corrections.json").json()
            undo = f"/corrections/{said['number']}/undo"
            assert (said["is_same"], said["said_by"]) == (False, "admin")
            page = viewer.get(f"/searches/{run}").text
            assert "not the same place</span>" in page and "<form" not in page
            assert "Undo" not in viewer.get("/corrections").text
            assert viewer.post(undo).status_code == 403
        finally:
            number = browser.get("/corrections.json").json()[0]["number"]
            assert browser.post(f"/corrections/{number}/undo").status_code == 303
        said, *_ = viewer.get("/corrections.json").json()
        assert (said["number"], said["ended_by"]) == (number, "admin")


def test_a_program_reads_corrections_with_its_token(pages):
    url = pages.stack.session.addresses.ui + "/landmark/corrections.json"
    headers = {"Authorization": f"Bearer {pages.token()}"}
    answer = httpx.get(url, headers=headers, timeout=60, trust_env=False)
    assert answer.status_code == 200 and isinstance(answer.json(), list)
    assert httpx.get(url, timeout=60, trust_env=False).status_code == 401


def test_a_user_without_rights_sees_nothing(pages):
    with pages.client(pages.token_of_role("")) as eve:
        for address in addresses(pages.run_id):
            if "/static/" not in address:
                assert eve.get(address).status_code == 403, address


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_another_site_cannot_search_in_our_name(browser, pages, headers):
    before = pages.runs(), pages.runs("landmark_index")
    data = {"image_path": "s3://landmark/images/pages/1/0.jpg"}
    run = quote(pages.run_id, safe="")
    correct = f"/searches/{run}/corrections?rank=1"
    remove = f"/searches/{run}/remove"
    for address in (
        "/searches",
        "/index/retry",
        "/index/run",
        remove,
        correct,
        "/corrections/1/undo",
    ):
        answer = browser.post(address, data=data, headers=headers)
        assert answer.status_code == 403 and "another site" in answer.text
    assert (pages.runs(), pages.runs("landmark_index")) == before


# ---- only what belongs to a result or to the index ----------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "s3://landmark/elsewhere/private.jpg",
        "s3://landmark/images/pages/../../elsewhere/private.jpg",
        "s3://landmark/images/pages/1/",
        "s3://landmark/",
        "/etc/passwd",
        "file:///etc/passwd",
        "",
    ],
)
def test_no_other_object_is_read(browser, path):
    assert browser.get("/index/image", params={"path": path}).status_code == 404


@pytest.mark.parametrize(
    "address",
    [
        "/static/..%2f..%2f..%2fREADME.md",
        "/static/%2fetc%2fpasswd",
        "/static/page.html",
        "/searches/..%2f..%2fimages",
        "/searches/no-such-run",
        "/searches/no-such-run/images/0",
        "/searches/{run}/images/0/../../../index",
        "/searches/{run}/images/999",
        "/searches/{run}/images/-1",
        "/searches/{run}/pairs/0",
        "/searches/{run}/pairs/999/picture.jpg",
        "/searches/{failed}/images/0",
        "/searches/{run}/images/0?query=2",
        "/searches/{several}?query=6",
        "/searches/{several}/images/0?query=2",
        "/searches/{several}/images/1?query=3",
        "/searches/{several}/images/0?query=5",
        "/searches/{several}/matches.txt?query=2",
        "/searches/{several}/pairs/1?query=5",
        "/searches/{failed}/matches.txt",
        "/dags/landmark_search/runs/no-such-run",
    ],
)
def test_what_is_not_there_is_not_found(browser, pages, address):
    address = address.format(
        run=quote(pages.run_id, safe=""),
        failed=quote(pages.failed_id, safe=""),
        several=quote(pages.several_id, safe=""),
    )
    answer = browser.get(address)
    assert answer.status_code == 404, answer.text
    assert "root:" not in answer.text


@pytest.mark.parametrize(
    "address", ["/searches/{run}/matches.npz", "/searches/{run}/images/one", "/?page=0"]
)
def test_a_malformed_address_is_refused(browser, pages, address):
    address = address.format(run=quote(pages.run_id, safe=""))
    assert browser.get(address).status_code == 422


def test_names_cannot_bring_scripts(browser, pages):
    run = quote(pages.run_id, safe="")
    shown = [browser.get(address).text for address in ("/", "/index", f"/searches/{run}")]
    shown.append(browser.get(f"/searches/{quote(pages.failed_id, safe='')}").text)
    several = quote(pages.several_id, safe="")
    shown.append(browser.get(f"/searches/{several}").text)
    shown += [browser.get(f"/searches/{several}?query={number}").text for number in range(1, 6)]
    ranks = range(1, 4)
    shown += [browser.get(f"/searches/{run}/pairs/{rank}").text for rank in ranks]
    assert any("&lt;script&gt;alert(1)" in page for page in shown)
    for page in shown:
        assert "<script>" not in page and "<b>such" not in page and "49.jpg" not in page
        scripts = re.findall(r"<script ([^>]*)>", page)
        ours = r'(type="module" )?src="/landmark/static/\w+\.js"'
        assert scripts and all(re.fullmatch(ours, script) for script in scripts)
    policy = browser.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert browser.get("/").headers["x-content-type-options"] == "nosniff"


def test_pictures_are_encoded_anew_and_cached(browser):
    path = "s3://landmark/images/" + EVIL
    answer = browser.get("/index/image", params={"path": path})
    assert answer.headers["content-type"] == "image/jpeg"
    image = Image.open(io.BytesIO(answer.content))
    assert max(image.size) == 400 and not image.getexif() and UPLOADED_EXIF not in answer.content
    assert answer.headers["cache-control"].startswith("private, max-age=")
    again = browser.get(
        "/index/image", params={"path": path}, headers={"If-None-Match": answer.headers["etag"]}
    )
    assert again.status_code == 304 and not again.content


def test_what_is_no_picture_is_not_passed_on(browser):
    answer = browser.get("/index/image?path=s3://landmark/images/pages/broken.jpg")
    assert answer.status_code == 404
    assert "no image, damaged" in answer.text and "nobody&#39;s business" not in answer.text


# ---- what is shown ------------------------------------------------------------------------------


def test_a_result_shows_the_ranking(browser, pages):
    run = quote(pages.run_id, safe="")
    text = browser.get(f"/searches/{run}/matches.txt").text
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    assert {row[3] for row in rows[:3]} == {
        "s3://landmark/images/pages/1/0.jpg",
        "s3://landmark/images/pages/1/2.jpg",
        "s3://landmark/images/" + EVIL,
    }
    assert (
        browser.get(f"/searches/{run}/matches.json").json()["matches"][0]["image_path"]
        == rows[0][3]
    )
    page = browser.get(f"/searches/{run}").text
    assert "badge match" in page
    for row in rows:
        assert f"{row[1]} inliers" in page and f"of {row[2]}" in page
    assert page.count('loading="lazy"') == len(rows)


def test_several_searches_of_a_run_are_listed_each_with_its_result(browser, pages):
    run = quote(pages.several_id, safe="")
    page = browser.get(f"/searches/{run}").text
    assert "2 match</span>" in page and "1 no match</span>" in page and "2 failed</span>" in page
    assert "<h1>5 searches</h1>" in page
    assert "there is no such object" in page and "no image, damaged" in page
    links = re.findall(r'href="([^"]*\?query=\d)"', page)
    # What is uncertain first, then what matches; what could not be used is last.
    assert links == [f"/landmark/searches/{run}?query={number}" for number in (1, 4, 3, 2, 5)]
    pictures = re.findall(r'src="/landmark(/searches/[^"]*)"', page)
    assert len(pictures) == 3 + 2
    for picture in pictures:
        answer = browser.get(picture.replace("&amp;", "&"))
        assert answer.headers["content-type"] == "image/jpeg", picture

    # One of them: its gallery, its pairs, the way back.
    page = browser.get(f"/searches/{run}?query=4").text
    assert "badge match" in page and f'href="/landmark/searches/{run}"' in page
    pairs = re.findall(r'href="/landmark(/searches/[^"]*/pairs/\d+\?query=4)"', page)
    assert len(pairs) >= 3
    pair = browser.get(pairs[0]).text
    pictures = re.findall(r'<image [^>]* href="/landmark(/searches/[^"]*)"', pair)
    pictures += re.findall(r'href="/landmark(/searches/[^"]*/picture.jpg[^"]*)"', pair)
    assert len(pictures) == 3
    for picture in pictures:
        answer = browser.get(picture.replace("&amp;", "&"))
        assert answer.headers["content-type"] == "image/jpeg", picture
    assert f'href="/landmark/searches/{run}?page=1&amp;query=4#match-1"' in pair
    assert "there is no such object" in browser.get(f"/searches/{run}?query=2").text
    assert "None of the" in browser.get(f"/searches/{run}?query=3").text

    # Beside the results lies the list of them, and each result is what it would be alone.
    text = browser.get(f"/searches/{run}/searches.txt").text
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    assert [row[0] for row in rows] == ["match", "failed", "no match", "match", "failed"]
    assert [row[2] for row in rows] == SEVERAL
    for number, row in enumerate(rows, 1):
        if row[0] != "failed":
            result = pages.s3.get_object(
                Bucket="landmark", Key=row[4].removeprefix("s3://landmark/")
            )
            shown = browser.get(f"/searches/{run}/matches.txt?query={number}").content
            assert result["Body"].read() == shown
    assert "2 match</span>" in browser.get("/").text


def test_a_pair_is_drawn_with_its_inliers(browser, pages):
    run = quote(pages.run_id, safe="")
    page = browser.get(f"/searches/{run}/pairs/1").text
    assert "Match 1:" in page and 'rel="next"' in page and 'rel="prev"' not in page
    told = int(re.search(r"Match 1: (\d+) inliers", page)[1])
    assert page.count('class="ends"') == told >= 12
    picture = browser.get(f"/searches/{run}/pairs/1/picture.jpg")
    assert Image.open(io.BytesIO(picture.content)).size == (1000 + 8 + 1000, 1000)
    etag = {"If-None-Match": picture.headers["etag"]}
    assert browser.get(f"/searches/{run}/pairs/1/picture.jpg", headers=etag).status_code == 304


def test_the_contact_sheet_lies_beside_the_pictures(pages):
    prefix = f"results/{pages.run_id}/"
    listed = pages.s3.list_objects_v2(Bucket="landmark", Prefix=prefix)["Contents"]
    names = {entry["Key"].removeprefix(prefix) for entry in listed}
    assert {"contact-sheet.jpg", "matches/001.jpg", "matches.txt", "matches.json"} <= names
    body = pages.s3.get_object(Bucket="landmark", Key=prefix + "contact-sheet.jpg")["Body"].read()
    assert Image.open(io.BytesIO(body)).width > 900


def test_a_failed_search_says_why(browser, pages):
    page = browser.get(f"/searches/{quote(pages.failed_id, safe='')}").text
    assert "badge failed" in page and "there is no such object; check the path" in page
    assert "there is no such object" in browser.get("/").text


def test_the_index_page_tells_images_failures_and_sweeps(browser):
    page = browser.get("/index").text
    assert "no image, damaged, or not one of" in page and "broken.jpg" in page
    assert "Last sweeps" in page and "landmark-v1-" in page
    assert "/landmark/dags/landmark_index/runs/" in page


def test_a_sweep_has_its_page(browser, pages):
    runs = pages.stack.api.call("/api/v2/dags/landmark_index/dagRuns?order_by=-run_after")
    run_id = quote(runs["dag_runs"][0]["dag_run_id"], safe="")
    page = browser.get(f"/dags/landmark_index/runs/{run_id}").text
    assert "Sweep of" in page and "Indexed" in page


def test_failures_are_tried_again_from_the_page(browser, pages):
    assert "Retry failures" in browser.get("/index").text
    answer = browser.post("/index/retry")
    assert answer.status_code == 303, answer.text
    address = answer.headers["location"].removeprefix("/landmark")
    run_id = unquote(address.rsplit("/", 1)[1])
    pages.stack.api.wait("landmark_index", run_id, timeout_s=400)
    page = browser.get(address).text
    assert re.search(r"Tried again</dt><dd>[1-9]", page), page
    attempts = pages.failures()["s3://landmark/images/pages/broken.jpg"]
    assert attempts >= 2


def test_a_variable_wins_over_the_environment(browser, pages):
    """Set in Airflow, it counts within a minute; nothing is restarted."""

    def waited_for(wanted):
        # A wrong param besides, so that no search begins.
        fields = {"image_path": "s3://landmark/elsewhere/private.jpg", "top_k": "0"}
        deadline = time.monotonic() + 90
        while wanted not in (page := browser.post("/searches", data=fields).text):
            assert time.monotonic() < deadline, page
            time.sleep(2)
        return page

    waited_for("top_k")
    name = "LANDMARK_QUERIES"
    with pages.api() as api:
        variable = {"key": name, "value": "s3://landmark/images/"}
        assert api.post("/variables", json=variable).status_code == 201
        try:
            waited_for("private.jpg: lies outside of LANDMARK_QUERIES s3://landmark/images/;")
            api.patch(f"/variables/{name}", json={"key": name, "value": "no"})
            page = waited_for("no is no prefix; write s3://bucket/")
            assert "LANDMARK_QUERIES=" in page and "Traceback" not in page
        finally:
            assert api.delete(f"/variables/{name}").status_code == 204
    waited_for("top_k")


def test_runs_of_other_dags_have_none(browser):
    page = browser.get("/dags/other/runs/x")
    assert page.status_code == 200 and "This run is of other" in page.text


# ---- Airflow's own pages ------------------------------------------------------------------------


def test_a_run_notes_what_it_found(pages):
    note = pages.call("")["note"]
    assert note.startswith("**match**: `s3://landmark/images/pages/1/1.jpg`; ")
    assert "inliers" in note and len(note) <= 1000
    several = quote(pages.several_id, safe="")
    several = pages.stack.api.call(f"/api/v2/dags/landmark_search/dagRuns/{several}")["note"]
    assert several.startswith("**5 searches: 2 match, 1 no match, 2 failed**. Surest: `")
    failed = pages.stack.api.call(
        f"/api/v2/dags/landmark_search/dagRuns/{quote(pages.failed_id, safe='')}"
    )["note"]
    assert failed.startswith("**failed**") and "there is no such object" in failed
    sweeps = pages.stack.api.call("/api/v2/dags/landmark_index/dagRuns?order_by=-run_after")
    assert "images seen" in sweeps["dag_runs"][0]["note"]


def test_a_task_links_to_its_result(pages):
    for task in ("extract_query", "rank_matches", "draw_matches"):
        link = pages.call(f"/taskInstances/{task}/links")["extra_links"]["Landmark"]
        ui = pages.stack.session.addresses.ui
        run = quote(pages.run_id, safe="")
        assert link == f"{ui}/dags/landmark_search/runs/{run}/plugin/landmark-run"


def test_the_plugin_has_loaded_whole(pages):
    assert pages.stack.api.call("/api/v2/plugins/importErrors")["total_entries"] == 0
    plugins = pages.stack.api.call("/api/v2/plugins")["plugins"]
    (plugin,) = [plugin for plugin in plugins if plugin["name"] == "landmark"]
    assert [view["destination"] for view in plugin["external_views"]] == ["nav", "dag_run"]


# ---- the form -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "Give the path of a photograph"),
        ({"image_path": "/home/me/photo.jpg"}, "/home/me/photo.jpg: not a path in S3"),
        ({"image_path": "s3://landmark"}, "s3://landmark: names a bucket; write s3://landmark/"),
        ({"image_path": "s3://landmark/nothing here/"}, "no photograph lies below"),
        ({"image_path": "s3://landmark/a.jpg\n/home/b.jpg"}, "/home/b.jpg: not a path in S3"),
        (
            {"image_path": "\n".join(f"s3://landmark/{number}" for number in range(1001))},
            "more than the 1,000 photographs",
        ),
        ({"image_path": "s3://landmark/no<i>.jpg"}, "no&lt;i&gt;.jpg: there is no such object"),
        ({"image_path": "s3://elsewhere/x.jpg"}, "outside of LANDMARK_QUERIES s3://landmark/;"),
        ({"image_path": "s3://landmark-private/x.jpg"}, "outside of LANDMARK_QUERIES"),
        ({"image_path": "s3://landmark/images/../../x/y.jpg"}, "has a part `.` or `..`"),
        ({"image_path": "s3://landmark/images/pages/1/0.jpg", "top_k": "0"}, "top_k"),
        (
            {"image_path": "s3://landmark/images/pages/1/0.jpg", "top_k": "many"},
            "not a whole number",
        ),
        ({"image_path": "s3://landmark/images/pages/1/0.jpg", "mode": "fast"}, "mode"),
    ],
)
def test_wrong_input_shows_its_message(browser, pages, fields, message):
    before = pages.runs()
    answer = browser.post("/searches", data=fields)
    assert answer.status_code == 400 and 'role="alert"' in answer.text
    assert message in answer.text
    if (path := fields.get("image_path")) and len(path) < 2000:
        assert path.replace("<", "&lt;").replace(">", "&gt;") in answer.text  # to be mended
    assert pages.runs() == before


@pytest.mark.parametrize(
    ("typed", "conf", "searches"),
    [
        (
            " s3://landmark/images/pages/1/0.jpg \r\n\r\ns3://landmark/images/pages/1/2.jpg\r\n"
            "s3://landmark/images/pages/1/0.jpg",
            ["s3://landmark/images/pages/1/0.jpg", "s3://landmark/images/pages/1/2.jpg"],
            2,
        ),
        ("s3://landmark/images/pages/2/", "s3://landmark/images/pages/2/", 3),
    ],
)
def test_several_lines_or_a_prefix_are_searched_for_in_one_run(
    browser, pages, typed, conf, searches
):
    answer = browser.post("/searches", data={"image_path": typed})
    assert answer.status_code == 303, answer.text
    run_id = unquote(answer.headers["location"].removeprefix("/landmark/searches/"))
    run = quote(run_id, safe="")
    pages.stack.api.wait("landmark_search", run_id, timeout_s=400)
    asked = pages.stack.api.call(f"/api/v2/dags/landmark_search/dagRuns/{run}")["conf"]
    assert asked["image_path"] == conf
    assert f"{searches} match</span>" in browser.get(f"/searches/{run}").text


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("notes.txt", b"no photograph", "notes.txt: no image"),
        ("empty.jpg", b"", "empty file"),
        ("../../etc/<i>.jpg", b"GIF89a", "&lt;i&gt;.jpg: "),
    ],
)
def test_an_upload_that_is_no_photograph_goes_nowhere(browser, pages, name, body, message):
    def uploads():
        listing = pages.s3.list_objects_v2(Bucket="landmark", Prefix="uploads/")
        return len(listing.get("Contents", []))

    before = uploads()
    answer = browser.post("/searches", files={"photograph": (name, body)})
    assert answer.status_code == 400, answer.text
    assert message in answer.text and "<i>" not in answer.text
    assert uploads() == before


def test_an_upload_may_not_be_endless(browser):
    answer = browser.post("/searches", files={"photograph": ("x.jpg", b"0" * 50_200_000)})
    assert answer.status_code == 400 and "larger than 50 MB" in answer.text


def test_an_uploaded_photograph_is_searched_for(browser, pages, photograph):
    upload = {"photograph": ("my view é.jpg", photograph(2, -1, 480), "image/jpeg")}
    answer = browser.post("/searches", files=upload, data={"top_k": "5"})
    assert answer.status_code == 303, answer.text
    run_id = unquote(answer.headers["location"].removeprefix("/landmark/searches/"))
    pages.stack.api.wait("landmark_search", run_id, timeout_s=400)
    conf = pages.stack.api.call(f"/api/v2/dags/landmark_search/dagRuns/{quote(run_id, safe='')}")
    assert conf["conf"]["image_path"].startswith("s3://landmark/uploads/")
    assert conf["conf"]["image_path"].endswith("/my view é.jpg")
    assert conf["conf"]["top_k"] == 5 and conf["conf"]["add_to_index"] is False
    text = browser.get(f"/searches/{quote(run_id, safe='')}/matches.txt").text
    best = [line.split("\t")[3] for line in text.splitlines() if not line.startswith("#")][:3]
    assert set(best) == {f"s3://landmark/images/pages/2/{view}.jpg" for view in range(3)}
