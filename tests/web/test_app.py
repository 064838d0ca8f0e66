"""The pages' app by itself: what it reads, who waits for whom, and what an error looks like."""

from __future__ import annotations

import asyncio
import html
import io
import re
import threading
from contextlib import AsyncExitStack
from urllib.parse import quote

import psutil
import pytest
from PIL import Image

from landmark.matching.ranking import Match, Step
from landmark.search.result import SearchResult, write_query, write_result
from landmark.storage.bucket import read_etag
from landmark.storage.edges import Edge, save_edges, versions_of
from landmark.storage.images import save_image

HEADERS = ("content-security-policy", "x-content-type-options", "referrer-policy", "cache-control")


def get(site, *addresses, user="ada"):
    """One after the other."""

    async def ask():
        async with site.browser(user) as browser:
            return [await browser.get(address) for address in addresses]

    return asyncio.run(ask())


def post(site, **form):
    async def ask():
        async with site.browser() as browser:
            return await browser.post("/searches", **form)

    return asyncio.run(ask())


def assert_is_page(answer, status, words):
    """A page with a reason, and the security headers."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert all(name in answer.headers for name in HEADERS)
    text = re.sub(r"<[^>]*>", "", answer.text)
    assert words in text and "Traceback" not in text, text


@pytest.fixture
def read_run(site, request):
    """Writes a run that has read one photograph, into a folder; returns its id."""

    def write(query, folder=None, name="run"):
        run_id = f"{request.node.name} {name}"
        folder = folder or f"{site.base}results/{name}/"
        told = {("extract_query", "return_value"): {"folder": folder}}
        site.run(run_id, {"image_path": query}, told)
        site.overview(run_id, folder, query)
        return run_id

    return write


# ---- what is read -------------------------------------------------------------------------------


def test_the_photograph_of_a_run_is_shown(site, read_run, photograph):
    query = site.base + "queries/a.jpg"
    site.put(query, photograph(1))
    run_id = read_run(query)
    page, picture = get(site, f"/searches/{run_id}", f"/searches/{run_id}/images/0")
    assert page.status_code == 200 and "a.jpg" in page.text
    assert picture.headers["content-type"] == "image/jpeg", picture.text


def test_an_xcom_opens_no_photograph_elsewhere(site, read_run, photograph):
    """Whoever may write an XCom is not one who may read the bucket."""
    private, allowed = site.base + "private/a.jpg", site.base + "queries/a.jpg"
    for path in (private, allowed):
        site.put(path, photograph(1))
    elsewhere = read_run(allowed, folder=site.base + "private/run/", name="elsewhere")
    for address in (f"/searches/{elsewhere}/images/0", f"/searches/{elsewhere}/searches.json"):
        (answer,) = get(site, address)
        assert_is_page(answer, 503, "not a folder below LANDMARK_RESULTS")
    named = read_run(private, name="named")
    (answer,) = get(site, f"/searches/{named}/images/0")
    assert_is_page(answer, 403, "lies outside of LANDMARK_QUERIES")
    # The folder of one of its searches.
    folder = site.base + "results/inner/"
    inner = read_run(allowed, folder=folder, name="inner")
    site.overview(inner, site.base + "results/other/", allowed, at=folder)
    (answer,) = get(site, f"/searches/{inner}/images/0")
    assert_is_page(answer, 503, "not a folder of")


def test_a_run_without_its_list_shows_nothing(site, read_run, photograph):
    path, folder = site.base + "queries/a.jpg", site.base + "results/old/"
    site.put(path, photograph(1))
    site.run("old", {"image_path": path}, {("extract_query", "return_value"): {"folder": folder}})
    (answer,) = get(site, "/searches/old/images/0")
    assert_is_page(answer, 410, "was removed, or has had its time")


def test_what_we_drew_is_not_a_photograph_of_a_run(site, read_run, photograph):
    sheet = site.base + "results/other/contact-sheet.jpg"
    site.put(sheet, photograph(1))
    run_id = read_run(sheet)
    (answer,) = get(site, f"/searches/{run_id}/images/0")
    assert_is_page(answer, 403, "lies below LANDMARK_RESULTS")
    answer = post(site, data={"image_path": sheet})
    assert_is_page(answer, 400, "lies below LANDMARK_RESULTS")


QUERY, ANSWER, PROGRESS = (
    ("extract_query", "return_value"),
    ("rank_matches", "return_value"),
    ("rank_matches", "progress"),
)
SOUND = {"verdict": "match", "matches": 1, "images_compared": 2, "best": "s3://b/x", "inliers": 9}


@pytest.mark.parametrize(
    "asked",
    ["s3://b/queries/a.jpg", ["s3://b/a.jpg", "s3://b/b.jpg"]],
    ids=["one", "several"],
)
def test_a_malformed_xcom_is_the_error_of_that_run_alone(site, asked, request):
    good = request.node.name + " good"
    site.run(good, {"image_path": "s3://b/queries/good.jpg"}, {ANSWER: SOUND})
    for number, xcoms in enumerate(
        [
            {QUERY: "s3://landmark/"},
            {QUERY: {"folder": 5}},
            {QUERY: {}},
            {QUERY: ["folder"]},
            {ANSWER: {**SOUND, "searches": ["match"]}},
            {ANSWER: {**SOUND, "matches": "many"}},
            {ANSWER: {**SOUND, "best": None}},
            {ANSWER: {**SOUND, "verdict": "surely"}},
            {ANSWER: "match"},
            {ANSWER: {"__classname__": "no.such.Class", "__version__": 1, "__data__": 5}},
            {PROGRESS: {"done": "x", "total": 1, "rate": 1}},
            {PROGRESS: {"done": 0, "total": 1e300}},
            {("draw_matches", "reason"): {"a": 1}},
        ]
    ):
        bad = f"{request.node.name} bad {number}"
        site.run(bad, {"image_path": asked}, xcoms)
        page, shown = get(site, "/", "/searches/" + quote(bad))
        task, key = next(iter(xcoms))
        assert "good.jpg" in page.text
        for answer in (page, shown):
            assert_is_page(answer, 200, f"XCom {key} of {task}: damaged (")
            assert 'class="badge failed"' in answer.text


BROKEN = [
    b"",
    b"no JSON",
    b"[]",
    b'{"searches": []}',
    b'{"run_id": "RUN", "folder": "x", "searches": 5}',
    b'{"run_id": "RUN", "folder": "x", "searches": [{"query": 5, "folder": "x"}]}',
    b'{"run_id": "RUN", "folder": "x", "searches": [{"query": "\\ud800", "folder": "x"}]}',
    b"\xff\xfe",
]


def test_a_malformed_list_is_the_error_of_that_run_alone(site, read_run):
    for number, body in enumerate(BROKEN):
        folder = f"{site.base}results/{number}/"
        run_id = read_run(site.base + "queries/a.jpg", folder=folder, name=str(number))
        site.put(folder + "searches.json", body.replace(b"RUN", run_id.encode()))
        address = "/searches/" + quote(run_id)
        page, shown, picture = get(site, "/", address, address + "/images/0")
        assert page.status_code == 200
        assert_is_page(shown, 200, "searches.json: damaged (")
        assert_is_page(picture, 503, "searches.json: damaged (")


# ---- what was found by way of others ------------------------------------------------------------


@pytest.fixture
def found(site, read_run, photograph, make_view):
    """Writes a run that found b.jpg itself, and far.jpg by way of photographs; returns its id."""

    def write(*between, parameters=None, copies=0):
        folder, query = site.base + "results/found/", site.base + "queries/a.jpg"
        images = [f"{site.base}images/{name}.jpg" for name in ("b", "far")]
        for number, path in enumerate([query, *images, *between]):
            site.put(path, photograph(number))
            etag = read_etag(site.landmark.s3, path)
            save_image(site.landmark.database, path, "model-1", etag, make_view(1, number))
        run_id = read_run(query, folder, "found")
        write_query(site.landmark.s3, folder, make_view(1))
        steps = [Step(41 - number, path) for number, path in enumerate([*between, images[1]])]
        matches = [Match(57, 80, images[0], expected=0.0001), Match(4, 21, images[1], tuple(steps))]
        if copies:
            names = [f"{site.base}images/<i>copy-{number}.jpg" for number in range(copies)]
            for number, path in enumerate(names, 9):
                site.put(path, photograph(number))
            others = tuple(Match(50, 70, path, expected=0.001) for path in names)
            matches[0] = matches[0]._replace(copies=others, is_copy=True, overlay=1234)
        result = SearchResult(
            query=query,
            model="model-1",
            images_compared=3,
            index_time="2026-01-02T03:04:05+00:00",
            mode="exhaustive",
            parameters={"min_inliers": 12, "max_distance": 0.85, **(parameters or {})},
            verdict="match",
            matches=matches,
        )
        answer = write_result(site.landmark.s3, folder, result)
        site.run(run_id + "!", {"image_path": query}, {QUERY: {"folder": folder}, ANSWER: answer})
        site.overview(run_id + "!", folder, query)
        return quote(run_id + "!")

    return write


def words(answer):
    """What a reader sees of a page."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())


def test_a_match_by_way_of_others_says_so(site, found):
    between = [f"{site.base}images/{name}.jpg" for name in ("<i>c", "d")]
    run = found(*between, parameters={"ranking": "graph"})
    page, pair, direct = get(
        site, *(f"/searches/{run}{part}" for part in ("", "/pairs/2", "/pairs/1"))
    )
    cards = words(page).split("Matches")[-1]
    assert "1 57 inliers of 80 b.jpg" in cards
    assert "2 itself 4 inliers of 21 far.jpg" in cards
    assert "by way of <i>c.jpg, d.jpg: 41, 40, then 39 inliers" in cards
    assert "uncertain" not in page.text and "no match" not in page.text
    assert "ranked by inliers" not in page.text and "<i>" not in page.text + pair.text

    assert "Match 2: by way of 2 photographs" in words(pair)
    assert "it has 4 inliers of 21 putative matches" in words(pair)
    assert f"By way of {between[0]} 41 inliers with the query" in words(pair)
    assert f"By way of {between[1]} 40 inliers with the one above" in words(pair)
    assert f"{site.base}images/far.jpg 39 inliers with the one above" in words(pair)
    assert "uncertain" not in pair.text and "no match" not in pair.text
    (told,) = re.findall(r'role="img" aria-label="([^"]*)"', pair.text)
    assert told.endswith("on the left the same, on the right far.jpg, joined by 39 lines")
    # The photographs of the chain, each by itself.
    _, *pictures = dict.fromkeys(re.findall(r'href="(/searches/[^"]*size=large)"', pair.text))
    answers = get(site, *(picture.replace("&amp;", "&") for picture in pictures))
    assert [answer.headers["content-type"] for answer in answers] == ["image/jpeg"] * 3
    assert len({answer.content for answer in answers}) == 3
    assert get(site, f"/searches/{run}/images/2/via/4")[0].status_code == 404
    assert "Match 1: 57 inliers of 80 putative matches" in words(direct)
    assert "By way of" not in words(direct)
    assert "0.0001 expected by chance" in words(direct)
    assert 'title="0.0001 expected by chance"' in page.text


def test_copies_stand_with_what_they_are_copies_of_and_overlays_are_told(site, found):
    run = found(copies=3)
    page, pair, other = get(
        site, *(f"/searches/{run}{part}" for part in ("", "/pairs/1", "/pairs/2"))
    )
    assert "and 3 copies <i>copy-0.jpg 50 inliers" in words(page) and "Ranked 2 of 3" in words(page)
    assert "a copy of the query" in words(page) and "A copy of the query" in words(pair)
    assert "1234 more by an overlay do not count" in words(page)
    assert "1234 more agree because of an overlay" in words(pair)
    assert f"Copy {site.base}images/<i>copy-2.jpg 50 inliers with the query" in words(pair)
    assert "<i>" not in page.text + pair.text and "Copy" not in words(other)
    links = [
        [link.replace("&amp;", "&") for link in re.findall(r'href="([^"]*/copies/[^"]*)"', text)]
        for text in (page.text, pair.text)
    ]
    assert links[0] == links[1] and len(links[0]) == 3
    for answer, number in zip(get(site, *links[0]), range(3), strict=True):
        assert f"Copy: <i>copy-{number}.jpg" in words(answer)
    answers = get(site, *(link.replace("/look/", "/images/") for link in links[0]))
    assert [answer.headers["content-type"] for answer in answers] == ["image/jpeg"] * 3
    assert len({answer.content for answer in answers}) == 3
    for gone in ("0", "4"):
        assert get(site, f"/searches/{run}/images/1/copies/{gone}")[0].status_code == 404
    assert get(site, f"/searches/{run}/images/2/copies/1")[0].status_code == 404


def test_a_chain_is_drawn_pair_by_pair(site, found):
    run = found(site.base + "images/c.jpg")
    one, chain, page = get(
        site, *(f"/searches/{run}/pairs/{part}" for part in ("1/picture.jpg", "2/picture.jpg", "2"))
    )
    assert "Match 2: by way of c.jpg" in words(page)
    width = 1000 + 8 + 1000
    assert Image.open(io.BytesIO(one.content)).size == (width, 1000)
    assert Image.open(io.BytesIO(chain.content)).size == (width, 1000 + 8 + 1000)


def test_a_chain_opens_no_photograph_elsewhere(site, found, photograph):
    """Not even if it was indexed once, and drawn when it was allowed."""
    private = site.base + "private/c.jpg"
    run = found(private)
    site.put(site.base + "results/found/matches/002.jpg", photograph(9))
    for address in ("pairs/2/picture.jpg", "images/2/via/1"):
        (answer,) = get(site, f"/searches/{run}/{address}")
        assert_is_page(answer, 403, f"{private}: lies outside of LANDMARK_QUERIES")
    for address in ("pairs/1/picture.jpg", "images/2", "images/2/via/2"):
        (answer,) = get(site, f"/searches/{run}/{address}")
        assert answer.headers["content-type"] == "image/jpeg", address


def test_the_form_asks_for_a_ranking_and_the_run_says_so(site, found, monkeypatch):
    asked = []
    monkeypatch.setattr("landmark_web.search_form.trigger", lambda *run: asked.append(run[-1]))
    run = found(site.base + "images/c.jpg", parameters={"ranking": "inliers"})
    path = {"image_path": site.base + "queries/a.jpg"}
    for form in ({**path, "ranking": "inliers"}, path):
        assert post(site, data=form).status_code == 303
    assert [conf["ranking"] for conf in asked] == ["inliers", "graph"]
    form, page = get(site, "/", f"/searches/{run}")
    assert "Ranking graph inliers" in words(form)
    assert "surest 57 inliers" in words(form)
    assert "exhaustive, from 12 inliers, ranked by inliers alone" in words(page)


def test_the_index_says_how_much_of_it_is_linked(site, bundled_model, make_view, monkeypatch):
    from landmark_web.pages import index

    monkeypatch.setattr(index, "_overview", index._overview.__wrapped__)
    database, model = site.landmark.database, bundled_model.fingerprint
    paths = [f"{site.base}images/{number}.jpg" for number in range(4)]
    for number, path in enumerate(paths):
        save_image(database, path, model, "1", make_view(1, number))
    rows = versions_of(database, model, paths)
    a, b, c, _ = (rows[path][0] for path in paths)
    save_edges(database, [Edge(a, b, 30, 60), Edge(b, c, 20, 50)], dict(rows.values()), [a, b, c])
    (page,) = get(site, "/index")
    assert "Linked 3 1 wait Pairs that agree 2 Failures 0" in words(page)


# ---- who waits for whom -------------------------------------------------------------------------


@pytest.fixture
def gate(monkeypatch):
    """Pictures that are drawn when the gate opens; `entered` has who is at it."""
    from landmark_web import responses

    class Gate:
        def __init__(self):
            self.opened, self.entered = threading.Event(), []

        def draw(self, client, path, side_px, framing):
            self.entered.append(path)
            assert self.opened.wait(60)
            return b"JPEG of " + path.encode(), responses.read_etag(client, path)

        async def reached(self, number):
            while len(self.entered) < number:
                await asyncio.sleep(0.01)

    gate = Gate()
    monkeypatch.setattr(responses, "thumbnail", gate.draw)
    yield gate
    gate.opened.set()


def test_one_user_leaves_a_slot_to_others_and_listings_need_none(
    site, read_run, photograph, gate, monkeypatch
):
    monkeypatch.setattr("landmark_web.search_form.trigger", lambda *_: "triggered")
    runs = []
    for number in range(5):
        query = f"{site.base}queries/{number}.jpg"
        site.put(query, photograph(number))
        runs.append(read_run(query, name=str(number)))

    async def ask():
        async with AsyncExitStack() as stack:
            ada, bob, eve = [await stack.enter_async_context(site.browser(u)) for u in "abe"]
            asked = [asyncio.create_task(ada.get(f"/searches/{run}/images/0")) for run in runs[:4]]
            await gate.reached(2)
            asked.append(asyncio.create_task(bob.get(f"/searches/{runs[4]}/images/0")))
            await gate.reached(3)
            assert gate.entered[2] == f"{site.base}queries/4.jpg"
            # All slots are taken.
            form = {"image_path": site.base + "queries/"}
            assert (await eve.post("/searches", data=form)).status_code == 303
            gate.opened.set()
            return await asyncio.gather(*asked)

    answers = asyncio.run(asyncio.wait_for(ask(), 60))
    assert [answer.status_code for answer in answers] == [200] * 5


def test_a_picture_is_drawn_once_until_its_photograph_changes(site, read_run, photograph, gate):
    gate.opened.set()
    query = site.base + "queries/a.jpg"
    site.put(query, photograph(1))
    address = f"/searches/{read_run(query)}/images/0"
    first, second = get(site, address)[0], get(site, address, user="bob")[0]
    assert first.content == second.content and len(gate.entered) == 1
    get(site, address + "?size=large")
    assert len(gate.entered) == 2
    site.put(query, photograph(2))
    (third,) = get(site, address)
    assert len(gate.entered) == 3 and third.headers["etag"] != first.headers["etag"]


def test_two_first_requests_of_one_user_draw_a_picture_once(site, read_run, photograph, gate):
    """And the second takes no slot of the other pictures."""
    from landmark_web import responses

    for name in "ab":
        site.put(f"{site.base}queries/{name}.jpg", photograph(1))
    one, other = (
        f"/searches/{read_run(f'{site.base}queries/{name}.jpg', name=name)}/images/0"
        for name in "ab"
    )

    async def ask():
        async with site.browser() as ada:
            asked = [asyncio.create_task(ada.get(one)) for _ in range(2)]
            await gate.reached(1)
            while not any(turn.statistics().tasks_waiting for turn in responses._drawing.values()):
                await asyncio.sleep(0.01)
            asked.append(asyncio.create_task(ada.get(other)))
            await gate.reached(2)
            gate.opened.set()
            return await asyncio.gather(*asked)

    first, second, third = asyncio.run(asyncio.wait_for(ask(), 60))
    assert first.content == second.content != third.content
    assert gate.entered == [f"{site.base}queries/{name}.jpg" for name in "ab"]


def test_kept_pictures_have_a_bound(monkeypatch):
    from cachetools import LRUCache

    from landmark_web import limits, thumbnails

    assert thumbnails._kept.maxsize == limits.PICTURES_KEPT_BYTES <= 64_000_000
    monkeypatch.setattr(thumbnails, "_kept", LRUCache(250, getsizeof=len))
    for number in range(9):
        thumbnails.keep_picture(str(number), lambda number=number: (b"x" * 100, str(number)))
    assert thumbnails._kept.currsize == 200 and thumbnails.kept_picture("8")
    assert thumbnails.kept_picture("0") is None


def test_uploads_wait_on_disk(site, monkeypatch):
    """Ten of 49 MB, of which one user's first two are at work."""
    from landmark_web import search_form, uploads

    opened, sent = threading.Event(), []
    started, all_read = search_form.start, threading.Event()

    async def start(*arguments):
        sent.append(arguments)
        if len(sent) == 10:
            all_read.set()
        return await started(*arguments)

    def decode(data, name, side_px):
        assert opened.wait(100)

    monkeypatch.setattr(search_form, "start", start)
    monkeypatch.setattr(uploads, "decode_isolated", decode)
    monkeypatch.setattr(uploads, "keep_upload", lambda *_: "s3://b/a.jpg")
    monkeypatch.setattr(search_form, "trigger", lambda *_: "triggered")
    head = b'--x\r\nContent-Disposition: form-data; name="photograph"; filename="a.jpg"\r\n\r\n'
    tail, chunk = b"\r\n--x--\r\n", bytes(1_000_000)
    headers = {
        "Content-Type": "multipart/form-data; boundary=x",
        "Content-Length": str(len(head) + 49 * len(chunk) + len(tail)),
    }

    async def body():
        yield head
        for _ in range(49):
            yield chunk
        yield tail

    async def ask():
        async with site.browser() as browser:
            posts = [
                asyncio.create_task(browser.post("/searches", content=body(), headers=headers))
                for _ in range(10)
            ]
            await asyncio.to_thread(all_read.wait, 100)
            held = psutil.Process().memory_info().rss
            opened.set()
            return held, await asyncio.gather(*posts)

    before = psutil.Process().memory_info().rss
    held, answers = asyncio.run(ask())
    assert [answer.status_code for answer in answers] == [303] * 10
    assert held - before < 200_000_000


# ---- errors -------------------------------------------------------------------------------------


def test_nul_in_an_address_is_refused(site):
    for address in (
        "/searches/%00",
        "/searches/a/images/0?query=%00",
        "/index/image?path=s3://b/%00.jpg",
        "/dags/landmark_index/runs/%00",
        "/dags/%00/runs/x",
        "/static/%00",
        "/?image_path=%00",
    ):
        assert_is_page(get(site, address)[0], 400, "NUL")


def test_an_address_that_is_no_text_has_a_page(site):
    for address, status in {
        "/searches/%ED%A0%80": 404,
        "/index/image?path=%ED%A0%80": 404,
        "/dags/landmark_search/runs/%ff": 404,
        "/?image_path=%ED%A0%80": 200,
        "/?page=0": 422,
        "/no/such/page": 404,
    }.items():
        assert_is_page(get(site, address)[0], status, "")


def test_a_form_that_is_no_text_is_refused(site):
    for charset, odd in {"utf-8": b"s3://b/\0.jpg", "utf-7": b"s3://b/+2AA-.jpg"}.items():
        for field in (b"image_path", b"mode", b"top_k"):
            disposition = b'Content-Disposition: form-data; name="' + field + b'"'
            body = b"--x\r\n" + disposition + b"\r\n\r\n" + odd + b"\r\n--x--\r\n"
            headers = {"Content-Type": f"multipart/form-data; boundary=x; charset={charset}"}
            assert_is_page(post(site, content=body, headers=headers), 400, "is no text")


def test_postgres_away_has_a_page(site, monkeypatch):
    from sqlalchemy import create_engine
    from sqlalchemy.orm import Session

    from landmark.storage.database import Database
    from landmark_web.pages import index

    away = site.landmark._replace(database=Database("postgresql://nobody@127.0.0.1:9/none"))
    monkeypatch.setattr(index, "connected", lambda: away)
    (answer,) = get(site, "/index/image?path=s3://b/a.jpg")
    assert_is_page(answer, 503, "The database does not answer")
    assert "127.0.0.1" not in answer.text
    engine = create_engine("postgresql+psycopg2://nobody@127.0.0.1:9/none")
    monkeypatch.setattr("landmark_web.runs.create_session", lambda **_: Session(engine))
    for answer in get(site, "/", "/searches/x", "/searches/x/images/0"):
        assert_is_page(answer, 503, "The database does not answer")


def test_a_connection_that_does_not_exist_has_a_page(site, read_run, monkeypatch):
    import landmark_airflow
    from landmark_web import findings
    from landmark_web.pages import searches

    run_id = read_run(site.base + "queries/a.jpg")
    monkeypatch.setenv("LANDMARK_RESULTS", site.base + "results/")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for module in (findings, searches):
        monkeypatch.setattr(module, "connected", landmark_airflow.connect)
    with monkeypatch.context() as patch:
        patch.setenv("LANDMARK_POSTGRES_CONN_ID", "no_such_connection")
        (answer,) = get(site, "/")
        assert_is_page(answer, 503, "Airflow has no connection no_such_connection;")
    monkeypatch.setenv("LANDMARK_AWS_CONN_ID", "no_such_connection")
    (answer,) = get(site, f"/searches/{run_id}")
    assert_is_page(answer, 503, "connection of LANDMARK_AWS_CONN_ID must be there")


def test_what_nobody_foresaw_has_a_page(site, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError("s3cret")

    monkeypatch.setattr("landmark_web.pages.searches.recent_runs", fail)
    (answer,) = get(site, "/")
    assert_is_page(answer, 500, "nobody foresaw")
    assert "s3cret" not in answer.text and "s3cret" in caplog.text
