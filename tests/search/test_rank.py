"""A query against the table, over real Dask workers and a real Postgres."""

import io
import pickle
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace

import numpy as np
import pytest
from dask.distributed import Client, LocalCluster
from PIL import Image
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from tables import toast_blocks, without_autovacuum

from landmark.cluster.client import open_client
from landmark.errors import LandmarkError
from landmark.features import LocalFeatures
from landmark.index.describe import describe_table
from landmark.matching.pair import compare
from landmark.matching.ranking import MIN_INLIERS, Match
from landmark.search.comparison import Query, rank_images
from landmark.search.pictures import draw_all, draw_best
from landmark.search.planning import MATCH_BYTES
from landmark.search.rank import WrittenQueries, rank_alone, rank_table
from landmark.search.result import read_result, result_folder, write_query, write_result
from landmark.search.searches import Searches
from landmark.search.shortlist import ROUNDS
from landmark.storage.bucket import read_etag
from landmark.storage.connections import close_idle
from landmark.storage.database import Database
from landmark.storage.images import record_failure, save_image
from landmark.storage.partitions import StoredImage, list_partitions, read_partition

MODEL = "model-1"
PLACES, VIEWS = 25, 4


@pytest.fixture(scope="module")
def table(postgres, make_view):
    """Places of four views each, saved in random order; only read by the tests."""
    database = Database(postgres.create_database("test_search"))
    database.migrate()
    views = [(place, view) for place in range(PLACES) for view in range(VIEWS)]
    random.Random(0).shuffle(views)
    for place, view in views:
        save_image(database, f"s3://b/{place:02d}/{view}.jpg", MODEL, "1", make_view(place, view))
    save_image(database, "s3://b/07/8.jpg", "model-2", "1", make_view(7, 8, d=4))
    describe_table(database, MODEL)
    return database


def search(table, dask_client, make_view, place=7, view=0, **options):
    path = f"s3://b/{place:02d}/{view}.jpg"
    options = {"top_k": 100, **options}
    return rank_alone(table, dask_client, MODEL, Query(path, make_view(place, view)), **options)


def test_the_other_views_of_the_place_come_first_and_alone(table, dask_client, make_view):
    result = search(table, dask_client, make_view)
    assert {match.image_path for match in result.matches} == {
        f"s3://b/07/{view}.jpg" for view in (1, 2, 3)
    }
    assert result.verdict == "match"
    assert result.images_compared == PLACES * VIEWS - 1
    assert result.mode == "exhaustive"


def test_workers_get_a_login_that_the_task_has_asked_for(table, dask_client, make_view):
    place, gate = conninfo_to_dict(table.conninfo), threading.Lock()
    password = place.pop("password")

    def ask() -> dict[str, str]:
        with gate:  # like what asks AWS, it cannot be sent to a worker
            return {"password": password}

    by_token = Database(make_conninfo(**place), login=ask)
    close_idle()
    found, expected = (search(one, dask_client, make_view) for one in (by_token, table))
    assert found.to_text() == expected.to_text()
    assert password not in repr(by_token) + repr(by_token.logged_in())


def test_a_place_that_is_not_there_has_no_match(table, dask_client, make_view):
    result = search(table, dask_client, make_view, place=99)
    assert result.matches == [] and result.verdict == "no match"
    assert result.images_compared == PLACES * VIEWS


@pytest.fixture(scope="module")
def with_a_hint_of(make_view):
    """A view of one place in which a corner of another is seen: too little for a match."""

    def make(place: int, other: int, n: int = 13) -> LocalFeatures:
        seen, hint = make_view(place, 0), make_view(other, VIEWS)

        def joined(name: str) -> np.ndarray:
            return np.concatenate([getattr(seen, name)[n:], getattr(hint, name)[:n]])

        arrays = {name: joined(name) for name in ("locations", "descriptors", "scales")}
        return replace(seen, **arrays)

    return make


def test_a_lower_threshold_lists_weak_matches_that_are_no_answer(
    table, dask_client, with_a_hint_of
):
    query = Query("s3://b/q.jpg", with_a_hint_of(99, 12))
    weak = rank_alone(table, dask_client, MODEL, query, 100, min_inliers=3)
    assert weak.verdict == "no match" and weak.matches
    assert all(3 <= match.inliers < MIN_INLIERS for match in weak.matches)
    assert all(match.image_path.startswith("s3://b/12/") for match in weak.matches)
    assert rank_alone(table, dask_client, MODEL, query, 100).matches == []


def test_top_k_cuts(table, dask_client, with_a_hint_of):
    query = Query("s3://b/q.jpg", with_a_hint_of(7, 12))

    def best(top_k: int) -> list[Match]:
        return rank_alone(table, dask_client, MODEL, query, top_k, min_inliers=3).matches

    everything = best(100)
    assert len(everything) > VIEWS  # of place 7, then of place 12
    for top_k in range(1, len(everything)):
        assert best(top_k) == everything[:top_k]


def test_the_bounded_search_is_the_exhaustive_one(table, dask_client, make_view):
    query = make_view(7, 0)
    images = [
        image
        for image in read_partition(table, MODEL, range(1000))
        if image.image_path != "s3://b/07/0.jpg"
    ]
    brute = []
    for image in images:
        pairs, verification = compare(query, image)
        if len(verification.inliers) >= 4:
            brute.append(Match(len(verification.inliers), len(pairs), image.image_path))
    brute.sort(key=lambda match: match.rank_key)
    found = search(table, dask_client, make_view, min_inliers=4, top_k=2).matches
    found = [match._replace(expected=None, likeness=None) for match in found]
    assert len(brute) > 2 and found == brute[:2]


def test_the_same_bytes_whatever_the_partitions_and_workers(
    table, dask_client, make_view, monkeypatch
):
    expected = search(table, dask_client, make_view, min_inliers=3).to_text()
    for images in (1, 7, 1000):
        monkeypatch.setattr("landmark.search.fanout.IMAGES_PER_TASK", images)
        assert search(table, dask_client, make_view, min_inliers=3).to_text() == expected


def test_a_search_sees_the_table_as_it_was_when_it_began(
    postgres, dask_client, make_view, monkeypatch
):
    database = Database(postgres.create_database("test_search_meanwhile"))
    database.migrate()
    for place in range(4):
        for view in range(VIEWS):
            save_image(database, f"s3://b/{place}/{view}.jpg", MODEL, "1", make_view(place, view))
    before = rank_alone(database, dask_client, MODEL, Query("s3://b/q.jpg", make_view(1, 9)), 100)
    monkeypatch.setattr("landmark.search.fanout.IMAGES_PER_TASK", 3)

    def with_a_sweep_afterwards(*arguments):
        found = list_partitions(*arguments)
        save_image(database, "s3://b/1/0.jpg", MODEL, "2", make_view(2, 0))
        save_image(database, "s3://b/2/0.jpg", MODEL, "2", make_view(1, 5))
        record_failure(database, "s3://b/1/1.jpg", MODEL, "2", "broken")
        return found

    monkeypatch.setattr("landmark.search.rank.list_partitions", with_a_sweep_afterwards)
    meanwhile = rank_alone(
        database, dask_client, MODEL, Query("s3://b/q.jpg", make_view(1, 9)), 100
    )
    monkeypatch.undo()
    after = rank_alone(database, dask_client, MODEL, Query("s3://b/q.jpg", make_view(1, 9)), 100)
    assert meanwhile == before and len(before.matches) == VIEWS
    assert before.index_time <= after.index_time
    assert {match.image_path for match in after.matches} == {
        "s3://b/1/2.jpg",
        "s3://b/1/3.jpg",
        "s3://b/2/0.jpg",
    }


def test_chunks_do_not_change_the_ranking(make_view, monkeypatch):
    images = [
        StoredImage(f"s3://b/{place}", 600, 450, view.locations, view.descriptors, view.scales)
        for place in range(30)
        for view in [make_view(place % 2, place)]
    ]
    query = [Query("s3://b/q.jpg", make_view(1, 99))]
    (expected,) = rank_images(query, images, 10, 3)
    assert (len(expected.matches), expected.compared) == (10, 30)  # of 15 views
    for chunk in (1, 4, 100):
        monkeypatch.setattr("landmark.search.comparison.IMAGES_PER_CHUNK", chunk)
        (found,) = rank_images(query, reversed(images), 10, 3)
        assert (found.matches, found.compared) == (expected.matches, 30)


def test_a_shortlist_finds_the_place_too(table, dask_client, make_view, monkeypatch):
    monkeypatch.setattr("landmark.search.planning.EXHAUSTIVE_UP_TO", 50)
    result = search(table, dask_client, make_view, mode="auto", shortlist=20)
    assert (result.mode, result.images_compared) == ("shortlist", 20)
    assert "shortlist=20" in result.to_text().decode()
    assert {match.image_path for match in result.matches} == {
        f"s3://b/07/{view}.jpg" for view in (1, 2, 3)
    }


@pytest.mark.parametrize(("top_k", "min_inliers"), [(1, 3), (2, 10), (100, 25), (100, 500)])
def test_a_shortlist_lists_what_was_asked_for_and_finds_the_same(
    table, dask_client, make_view, top_k, min_inliers
):
    options = {"mode": "shortlist", "shortlist": 20}
    everything = search(table, dask_client, make_view, min_inliers=3, **options).matches
    found = search(
        table, dask_client, make_view, top_k=top_k, min_inliers=min_inliers, **options
    ).matches
    assert found == [match for match in everything if match.inliers >= min_inliers][:top_k]


# ---- many queries at once -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def queries(make_view, with_a_hint_of):
    """Some that are in the table and some that are not, two of one place, one of no place."""
    views = [(7, 0), (7, 9), (12, 1), (99, 0), (3, 3), (24, 8)]
    found = [
        Query(f"s3://b/{place:02d}/{view}.jpg", make_view(place, view)) for place, view in views
    ]
    return [*found, Query("s3://b/hint.jpg", with_a_hint_of(99, 12))]


OPTIONS = [
    {"mode": "exhaustive"},
    {"mode": "exhaustive", "min_inliers": 3, "top_k": 2},
    {"mode": "shortlist", "shortlist": 20},
    {"mode": "shortlist", "shortlist": 20, "min_inliers": 3, "top_k": 1},
    {"mode": "auto", "shortlist": 30},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("at_once", [7, 3, 1])
def test_each_of_many_queries_gets_the_bytes_that_it_gets_alone(
    table, dask_client, queries, monkeypatch, options, at_once
):
    options = {"top_k": 100, **options}
    # As one image fewer is compared with a query that is in the table, `auto` chooses otherwise.
    monkeypatch.setattr("landmark.search.planning.EXHAUSTIVE_UP_TO", PLACES * VIEWS - 1)
    alone = [rank_alone(table, dask_client, MODEL, query, **options) for query in queries]
    size = queries[0].features.nbytes + options["top_k"] * MATCH_BYTES
    monkeypatch.setattr("landmark.search.planning.GROUP_BYTES", at_once * size)
    monkeypatch.setattr("landmark.progress.UNTOLD_S", 0)
    told = []
    found = list(
        rank_table(
            table, dask_client, MODEL, queries, **options, tell=lambda p: told.append(p.figures)
        )
    )
    assert [result.to_text() for result in found] == [result.to_text() for result in alone]
    assert [result.to_json() for result in found] == [result.to_json() for result in alone]
    modes = {result.mode for result in found}
    assert modes == (
        {"exhaustive", "shortlist"} if options["mode"] == "auto" else {options["mode"]}
    )
    assert told[-1]["done"] == told[-1]["total"] == sum(result.images_compared for result in found)


@pytest.mark.parametrize("mode", ["exhaustive", "shortlist"])
def test_many_queries_read_the_table_once(table, dask_client, queries, mode):
    options = {"mode": mode, "shortlist": 20}

    def keep_no_rows() -> None:
        from landmark.storage.row_cache import ROWS

        ROWS.limit_bytes = 0

    dask_client.run(keep_no_rows)  # other tests may have given them a limit

    without_autovacuum(table)

    def blocks() -> int:
        dask_client.run(close_idle)
        return toast_blocks(table)

    def blocks_read(asked) -> int:
        before = blocks()
        list(rank_table(table, dask_client, MODEL, asked, 100, **options))
        return blocks() - before

    # Queries of one place: their lists are about the same.
    asked = [Query(f"s3://b/{number}", queries[0].features) for number in range(8)]
    once = blocks_read(asked[:1])
    assert once > 0 and blocks_read(asked) < 2 * once


def test_every_worker_has_its_part_of_a_round(table, dask_client, queries):
    """Which Dask would give to the one that holds the queries."""
    workers = dask_client.scheduler_info()["workers"]
    dask_client.get_task_stream()
    before = time.time()
    shortlist = min(ROUNDS * len(workers), 40)
    rank_alone(table, dask_client, MODEL, queries[0], 100, mode="shortlist", shortlist=shortlist)
    tasks = dask_client.get_task_stream(start=before)
    ranked = {task["worker"] for task in tasks if task["key"].startswith("_rank_partition")}
    assert ranked == {*workers}


def test_a_round_waits_for_a_worker(table, queries):
    cluster = LocalCluster(
        n_workers=0, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    )
    with cluster, Client(cluster) as client, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(
            rank_alone, table, client, MODEL, queries[0], 100, mode="shortlist", shortlist=20
        )
        assert not wait([waiting], timeout=1).done
        cluster.scale(1)
        assert waiting.result(60).images_compared == 20


def test_a_query_that_cannot_be_searched_for_leaves_the_others(database, dask_client, make_view):
    """One has no other image to be compared with."""
    save_image(database, "s3://b/07/0.jpg", MODEL, "1", make_view(7))
    asked = [Query("s3://b/07/0.jpg", make_view(7)), Query("s3://b/07/1.jpg", make_view(7, 1))]
    refused, found = rank_table(database, dask_client, MODEL, asked, 100)
    assert isinstance(refused, LandmarkError) and "no image to compare with" in str(refused)
    assert found.verdict == "match" and found.images_compared == 1


def test_what_is_arranged_for_matching_does_not_travel(make_view):
    query = Query("s3://b/q.jpg", make_view(1))
    assert query.descriptors is query.descriptors
    assert "descriptors" not in vars(pickle.loads(pickle.dumps(query)))


# ---- modes --------------------------------------------------------------------------------------


def test_a_shortlist_of_everything_is_the_exhaustive_search(table, dask_client, make_view):
    result = search(table, dask_client, make_view, mode="shortlist", shortlist=PLACES * VIEWS)
    assert result.mode == "exhaustive"


def test_auto_compares_with_every_image_that_has_no_global_descriptor_yet(
    database, dask_client, make_view, monkeypatch
):
    monkeypatch.setattr("landmark.search.planning.EXHAUSTIVE_UP_TO", 2)
    for view in range(5):
        save_image(database, f"s3://b/07/{view}.jpg", MODEL, "1", make_view(7, view))
    assert search(database, dask_client, make_view, shortlist=2).mode == "exhaustive"
    with pytest.raises(LandmarkError, match=r"run landmark_index, or .* mode=exhaustive"):
        search(database, dask_client, make_view, mode="shortlist", shortlist=2)


def test_an_empty_table_says_what_to_run(database, dask_client, make_view):
    with pytest.raises(LandmarkError, match="empty; run landmark_index first"):
        search(database, dask_client, make_view)


def test_the_query_alone_is_nothing_to_compare_with(database, dask_client, make_view):
    save_image(database, "s3://b/07/0.jpg", MODEL, "1", make_view(7))
    with pytest.raises(LandmarkError, match="no image to compare with"):
        search(database, dask_client, make_view)


def test_features_of_another_model_are_never_compared(table, dask_client, make_view):
    query = Query("s3://b/x.jpg", make_view(7, d=4))
    with pytest.raises(LandmarkError, match=r"the table has model-1 \(100 images\), model-2"):
        rank_alone(table, dask_client, "model-3", query, 100)
    paths = [match.image_path for match in search(table, dask_client, make_view).matches]
    assert "s3://b/07/8.jpg" not in paths and len(paths) == 3


@pytest.fixture
def photographs(database, s3, prefix, make_view):
    """A prefix with four views of a place, all in the table; the third has changed since."""

    def picture(shade):
        buffer = io.BytesIO()
        Image.new("RGB", (600, 600), (shade, 80, 80)).save(buffer, "JPEG")
        return buffer.getvalue()

    base = prefix({f"{view}.jpg": picture(60 * view) for view in range(4)})
    for view in range(4):
        etag = read_etag(s3, f"{base}{view}.jpg")
        save_image(
            database, f"{base}{view}.jpg", MODEL, etag if view != 2 else "old", make_view(1, view)
        )
    return base


def drawn(s3, folder):
    listed = s3.list_objects_v2(Bucket="landmark", Prefix=folder[14:] + "matches/")
    return [entry["Key"].rsplit("/", 1)[1] for entry in listed.get("Contents", ())]


def test_a_result_is_written_read_and_drawn(database, dask_client, s3, photographs, make_view):
    folder = result_folder(photographs + "results/", "run-1")
    query = make_view(1, 0)
    write_query(s3, folder, query)
    result = rank_alone(database, dask_client, MODEL, Query(f"{photographs}0.jpg", query), 100)
    answer = write_result(s3, folder, result)
    assert answer["verdict"] == "match" and answer["result"] == folder + "matches.txt"
    assert read_result(s3, folder) == result
    # The image that changed since it was indexed has no picture.
    ranks = [n for n, m in enumerate(result.matches, 1) if not m.image_path.endswith("2.jpg")]
    assert len(ranks) == 2 and draw_best(database, s3, folder) == ranks
    assert drawn(s3, folder) == [f"{rank:03d}.jpg" for rank in ranks]
    for name in drawn(s3, folder):
        body = s3.get_object(Bucket="landmark", Key=f"{folder[14:]}matches/{name}")["Body"]
        pixels = np.asarray(Image.open(io.BytesIO(body.read())))
        assert pixels.shape == (360, 728, 3) and pixels.std() > 20


def test_of_many_results_fewer_pictures_are_drawn_each(
    database, dask_client, s3, photographs, make_view, monkeypatch
):
    folder = photographs + "results/run/"
    paths = [f"{photographs}{view}.jpg" for view in (0, 1, 3)] + ["s3://b/other.jpg"]
    searches = Searches.plan("run", folder, paths, [(path, None) for path in paths])
    views = [make_view(1, view) for view in (0, 1, 3)] + [make_view(2, 0)]
    searches = searches.keep_queries(s3, zip(paths, views, strict=True))
    written = WrittenQueries(s3, searches.read)
    searches.keep_results(s3, rank_table(database, dask_client, MODEL, written, 100))
    assert draw_all(database, s3, folder, "run") == 6
    monkeypatch.setattr("landmark.search.pictures.PICTURES_A_RUN", 4)
    draw_all(database, s3, folder, "run")
    folders = [search.folder for search in searches.searches]
    assert all(set(drawn(s3, name)) <= {"001.jpg"} for name in folders[:3])
    assert drawn(s3, folders[3]) == []


def test_no_picture_of_an_earlier_try_stays(database, dask_client, s3, photographs, make_view):
    """Cleared, a run finds less than before; and then an image that it had drawn has changed."""
    path, folder = f"{photographs}0.jpg", photographs + "results/run/"

    def search():
        planned = Searches.plan("run", folder, path, [(path, None)]).claim(s3)
        searches = planned.keep_queries(s3, [(path, make_view(1, 0))])
        written = WrittenQueries(s3, searches.read)
        searches.keep_results(s3, rank_table(database, dask_client, MODEL, written, 100))
        return draw_all(database, s3, folder, "run")

    assert search() == 2
    record_failure(database, f"{photographs}1.jpg", MODEL, "new", "broken")
    assert search() == 1
    matches = read_result(s3, folder).matches
    (left,) = (n for n, match in enumerate(matches, 1) if match.image_path.endswith("3.jpg"))
    assert drawn(s3, folder) == [f"{left:03d}.jpg"]
    record_failure(database, f"{photographs}3.jpg", MODEL, "new", "broken")
    assert draw_all(database, s3, folder, "run") == 0 and drawn(s3, folder) == []
    listed = s3.list_objects_v2(Bucket="landmark", Prefix=folder[14:])["Contents"]
    assert sorted(entry["Key"].removeprefix(folder[14:]) for entry in listed) == [
        "matches.json",
        "matches.txt",
        "query.npz",
        "searches.json",
        "searches.txt",
    ]
    with pytest.raises(LandmarkError, match="belongs to the run run; choose another folder"):
        draw_all(database, s3, folder, "other")


def test_no_scheduler_at_the_address_names_the_remedy(monkeypatch):
    monkeypatch.setattr("landmark.cluster.client.CONNECT_TIMEOUT_S", 1)
    with (
        pytest.raises(LandmarkError, match="LANDMARK_DASK=tcp://127.0.0.1:1: no Dask scheduler"),
        open_client("tcp://127.0.0.1:1"),
    ):
        pass
