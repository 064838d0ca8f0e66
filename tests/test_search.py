"""A query against the table, over real Dask workers and a real Postgres."""

import random
from dataclasses import replace

import numpy as np
import pytest

from landmark.cluster import open_client
from landmark.errors import LandmarkError
from landmark.features import LocalFeatures
from landmark.ranking import MIN_INLIERS, Match
from landmark.report import read_result, result_folder, write_query, write_result
from landmark.search import compare, draw_best, rank_images, rank_table
from landmark.shortlist import describe_table
from landmark.store import Store, StoredImage

MODEL = "model-1"
PLACES, VIEWS = 25, 4


@pytest.fixture(scope="module")
def table(postgres, make_view):
    """Places of four views each, saved in random order; only read by the tests."""
    store = Store(postgres.create_database("test_search"))
    store.migrate()
    views = [(place, view) for place in range(PLACES) for view in range(VIEWS)]
    random.Random(0).shuffle(views)
    for place, view in views:
        store.save(f"s3://b/{place:02d}/{view}.jpg", MODEL, "1", make_view(place, view))
    store.save("s3://b/07/8.jpg", "model-2", "1", make_view(7, 8, d=4))
    describe_table(store, MODEL)
    return store


def search(table, dask_client, make_view, place=7, view=0, **options):
    path = f"s3://b/{place:02d}/{view}.jpg"
    options = {"top_k": 100, **options}
    return rank_table(table, dask_client, MODEL, make_view(place, view), path, **options)


def test_the_other_views_of_the_place_come_first_and_alone(table, dask_client, make_view):
    result = search(table, dask_client, make_view)
    assert {match.image_path for match in result.matches} == {
        f"s3://b/07/{view}.jpg" for view in (1, 2, 3)
    }
    assert result.verdict == "match"
    assert result.images_compared == PLACES * VIEWS - 1
    assert result.mode == "exhaustive"


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
    query = with_a_hint_of(99, 12)
    weak = rank_table(table, dask_client, MODEL, query, "s3://b/q.jpg", 100, min_inliers=3)
    assert weak.verdict == "no match" and weak.matches
    assert all(3 <= match.inliers < MIN_INLIERS for match in weak.matches)
    assert all(match.image_path.startswith("s3://b/12/") for match in weak.matches)
    assert rank_table(table, dask_client, MODEL, query, "s3://b/q.jpg", 100).matches == []


def test_top_k_cuts(table, dask_client, with_a_hint_of):
    query = with_a_hint_of(7, 12)

    def best(top_k: int) -> list[Match]:
        options = {"top_k": top_k, "min_inliers": 3}
        return rank_table(table, dask_client, MODEL, query, "s3://b/q.jpg", **options).matches

    everything = best(100)
    assert len(everything) > VIEWS  # of place 7, then of place 12
    for top_k in range(1, len(everything)):
        assert best(top_k) == everything[:top_k]


def test_the_bounded_search_is_the_exhaustive_one(table, dask_client, make_view):
    query = make_view(7, 0)
    images = [
        image
        for image in table.read_partition(MODEL, range(1000))
        if image.image_path != "s3://b/07/0.jpg"
    ]
    brute = []
    for image in images:
        pairs, verification = compare(query, image)
        if len(verification.inliers) >= 4:
            brute.append(Match(len(verification.inliers), len(pairs), image.image_path))
    brute.sort(key=lambda match: match.rank_key)
    found = search(table, dask_client, make_view, min_inliers=4, top_k=2).matches
    assert len(brute) > 2 and found == brute[:2]


def test_the_same_bytes_whatever_the_partitions_and_workers(
    table, dask_client, make_view, monkeypatch
):
    expected = search(table, dask_client, make_view, min_inliers=3).to_text()
    for images in (1, 7, 1000):
        monkeypatch.setattr("landmark.search.IMAGES_PER_TASK", images)
        assert search(table, dask_client, make_view, min_inliers=3).to_text() == expected


def test_a_search_sees_the_table_as_it_was_when_it_began(
    postgres, dask_client, make_view, monkeypatch
):
    store = Store(postgres.create_database("test_search_meanwhile"))
    store.migrate()
    for place in range(4):
        for view in range(VIEWS):
            store.save(f"s3://b/{place}/{view}.jpg", MODEL, "1", make_view(place, view))
    before = rank_table(store, dask_client, MODEL, make_view(1, 9), "s3://b/q.jpg", 100)
    monkeypatch.setattr("landmark.search.IMAGES_PER_TASK", 3)
    partitions = Store.partitions

    def with_a_sweep_afterwards(self, *arguments):
        found = partitions(self, *arguments)
        store.save("s3://b/1/0.jpg", MODEL, "2", make_view(2, 0))
        store.save("s3://b/2/0.jpg", MODEL, "2", make_view(1, 5))
        store.record_failure("s3://b/1/1.jpg", MODEL, "2", "broken")
        return found

    monkeypatch.setattr(Store, "partitions", with_a_sweep_afterwards)
    meanwhile = rank_table(store, dask_client, MODEL, make_view(1, 9), "s3://b/q.jpg", 100)
    monkeypatch.undo()
    after = rank_table(store, dask_client, MODEL, make_view(1, 9), "s3://b/q.jpg", 100)
    assert meanwhile == before and len(before.matches) == VIEWS
    assert before.index_time <= after.index_time
    assert {match.image_path for match in after.matches} == {
        "s3://b/1/2.jpg",
        "s3://b/1/3.jpg",
        "s3://b/2/0.jpg",
    }


def test_chunks_do_not_change_the_ranking(make_view, monkeypatch):
    images = [
        StoredImage(f"s3://b/{place}", 600, view.locations, view.descriptors, view.scales)
        for place in range(30)
        for view in [make_view(place % 2, place)]
    ]
    expected = rank_images(make_view(1, 99), images, 10, 3)
    assert (len(expected.matches), expected.compared) == (10, 30)  # of 15 views
    for chunk in (1, 4, 100):
        monkeypatch.setattr("landmark.search.IMAGES_PER_CHUNK", chunk)
        found = rank_images(make_view(1, 99), reversed(images), 10, 3)
        assert (found.matches, found.compared) == (expected.matches, 30)


def test_a_shortlist_finds_the_place_too(table, dask_client, make_view, monkeypatch):
    monkeypatch.setattr("landmark.search.EXHAUSTIVE_UP_TO", 50)
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


def test_a_shortlist_of_everything_is_the_exhaustive_search(table, dask_client, make_view):
    result = search(table, dask_client, make_view, mode="shortlist", shortlist=PLACES * VIEWS)
    assert result.mode == "exhaustive"


def test_auto_compares_with_every_image_that_has_no_global_descriptor_yet(
    store, dask_client, make_view, monkeypatch
):
    monkeypatch.setattr("landmark.search.EXHAUSTIVE_UP_TO", 2)
    for view in range(5):
        store.save(f"s3://b/07/{view}.jpg", MODEL, "1", make_view(7, view))
    assert search(store, dask_client, make_view, shortlist=2).mode == "exhaustive"
    with pytest.raises(LandmarkError, match=r"run landmark_index, or .* mode=exhaustive"):
        search(store, dask_client, make_view, mode="shortlist", shortlist=2)


def test_an_empty_table_says_what_to_run(store, dask_client, make_view):
    with pytest.raises(LandmarkError, match="empty; run landmark_index first"):
        search(store, dask_client, make_view)


def test_the_query_alone_is_nothing_to_compare_with(store, dask_client, make_view):
    store.save("s3://b/07/0.jpg", MODEL, "1", make_view(7))
    with pytest.raises(LandmarkError, match="no image to compare with"):
        search(store, dask_client, make_view)


def test_features_of_another_model_are_never_compared(table, dask_client, make_view):
    with pytest.raises(LandmarkError, match=r"the table has model-1 \(100 images\), model-2"):
        rank_table(table, dask_client, "model-3", make_view(7, d=4), "s3://b/x.jpg", 100)
    paths = [match.image_path for match in search(table, dask_client, make_view).matches]
    assert "s3://b/07/8.jpg" not in paths and len(paths) == 3


def test_a_result_is_written_read_and_drawn(store, dask_client, s3, prefix, make_view):
    import io

    from PIL import Image

    def picture(shade):
        buffer = io.BytesIO()
        Image.new("RGB", (600, 600), (shade, 80, 80)).save(buffer, "JPEG")
        return buffer.getvalue()

    base = prefix({f"{view}.jpg": picture(60 * view) for view in range(4)})
    for view in range(4):
        etag = s3.head_object(Bucket="landmark", Key=f"{base[14:]}{view}.jpg")["ETag"].strip('"')
        store.save(f"{base}{view}.jpg", MODEL, etag if view != 2 else "old", make_view(1, view))
    folder = result_folder(base + "results/", "run-1")
    query = make_view(1, 0)
    write_query(s3, folder, query)
    result = rank_table(store, dask_client, MODEL, query, f"{base}0.jpg", 100)
    answer = write_result(s3, folder, result)
    assert answer["verdict"] == "match" and answer["result"] == folder + "matches.txt"
    assert read_result(s3, folder) == result
    # The image that changed since it was indexed has no picture.
    assert draw_best(store, s3, folder) == 2
    ranks = [n for n, m in enumerate(result.matches, 1) if not m.image_path.endswith("2.jpg")]
    for rank in ranks:
        body = s3.get_object(Bucket="landmark", Key=f"{folder[14:]}matches/{rank:03d}.jpg")["Body"]
        drawn = np.asarray(Image.open(io.BytesIO(body.read())))
        assert drawn.shape == (480, 968, 3) and drawn.std() > 20


def test_no_scheduler_at_the_address_names_the_remedy(monkeypatch):
    monkeypatch.setattr("landmark.cluster.CONNECT_TIMEOUT_S", 1)
    with (
        pytest.raises(LandmarkError, match="LANDMARK_DASK=tcp://127.0.0.1:1: no Dask scheduler"),
        open_client("tcp://127.0.0.1:1"),
    ):
        pass
