"""A sweep on real servers with the bundled model: from objects in S3 to rows in Postgres."""

import io
import logging

import pytest
from PIL import Image
from queries import query_features

from landmark.bucket import read_etag
from landmark.errors import LandmarkError, UnusableImage
from landmark.extraction import load_extractor
from landmark.ingest import (
    extract_batch,
    extract_queries,
    find_queries,
    finish_sweep,
    plan_sweep,
    threads_per_batch,
)
from landmark.search import compare


@pytest.fixture
def sweep(store, s3, extractor):
    """Runs one sweep of a prefix from plan to summary."""
    numbers = iter(range(1000))

    def run(base, **options):
        name = f"sweep-{next(numbers)}"
        model = extractor.model.fingerprint
        batches = plan_sweep(
            store, s3, name, model, base, base + "results/", max_batches=1024, **options
        )
        for batch in range(len(batches)):
            extract_batch(store, s3, extractor, name, batch)
        return finish_sweep(store, name)

    return run


def failures(store):
    with store.connect() as connection:
        query = "SELECT image_path, reason, attempts FROM landmark_failures ORDER BY 1"
        return connection.execute(query).fetchall()


def test_new_changed_deleted_and_broken_images(sweep, store, s3, prefix, photograph, extractor):
    model = extractor.model.fingerprint
    base = prefix(
        {
            "a.jpg": photograph(1),
            "b.jpg": photograph(2),
            "sub/c é.jpg": photograph(3),
            "broken.jpg": b"no image at all",
            "cut.jpg": photograph(4)[:2000],
            "notes.txt": b"not swept",
            "results/run/matches/001.jpg": photograph(1),
        }
    )
    first = sweep(base)
    assert (first.seen, first.new, first.indexed, first.failed, first.left) == (5, 5, 3, 2, 0)
    assert store.count(model) == 3
    assert [path.removeprefix(base) for path, _, _ in failures(store)] == ["broken.jpg", "cut.jpg"]
    assert all(path in reason for path, reason, _ in failures(store))

    second = sweep(base)
    assert (second.seen, second.new, second.changed, second.indexed) == (5, 0, 0, 0)

    prefix({"b.jpg": photograph(5), "cut.jpg": photograph(4), "d.jpg": photograph(6)})
    s3.delete_object(Bucket="landmark", Key=base[14:] + "a.jpg")
    third = sweep(base)
    assert (third.new, third.changed, third.removed) == (1, 2, 1)
    assert store.find(base + "a.jpg", model) is None
    etag, features = store.find(base + "b.jpg", model)
    assert etag == read_etag(s3, base + "b.jpg")
    assert len(features) > 50

    fourth = sweep(base, retry_failures=True)
    assert (fourth.retried, fourth.failed) == (1, 1)
    assert [attempts for _, _, attempts in failures(store)] == [2]


def test_an_object_deleted_after_it_was_listed_is_no_failure(
    store, s3, prefix, photograph, extractor
):
    base = prefix({"a.jpg": photograph(1), "b.jpg": photograph(2)})
    plan_sweep(store, s3, "s", extractor.model.fingerprint, base, "s3://r/", max_batches=9)
    s3.delete_object(Bucket="landmark", Key=base[14:] + "a.jpg")
    assert extract_batch(store, s3, extractor, "s", 0) == 2
    done = finish_sweep(store, "s")
    assert (done.indexed, done.gone, done.failed, done.left) == (1, 1, 0, 0)
    assert failures(store) == []


def test_a_batch_killed_in_the_middle_goes_on_where_it_stopped(
    store, s3, prefix, photograph, extractor, monkeypatch
):
    base = prefix({f"{number}.jpg": photograph(number) for number in range(4)})
    model = extractor.model.fingerprint
    plan_sweep(store, s3, "s", model, base, "s3://r/", max_batches=9)

    class Killed(BaseException):
        pass

    save, saved = type(store).save, []

    def killed_at_the_third(self, path, *rest):
        if len(saved) == 2:
            raise Killed
        saved.append(path)
        save(self, path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(type(store), "save", killed_at_the_third)
        with pytest.raises(Killed):
            extract_batch(store, s3, extractor, "s", 0)
    with pytest.raises(LandmarkError, match="2 images of this sweep are left"):
        finish_sweep(store, "s")
    assert extract_batch(store, s3, extractor, "s", 0) == 2
    assert finish_sweep(store, "s").indexed == 4


def test_a_sweep_fails_where_more_images_failed_than_may(store, s3, prefix, photograph, extractor):
    tiny = io.BytesIO()
    Image.new("RGB", (20, 10)).save(tiny, "PNG")
    base = prefix(
        {
            "good.jpg": photograph(1),
            **{f"broken {number}.jpg": b"no photograph" for number in range(19)},
            "tiny.png": tiny.getvalue(),
        }
    )
    model = extractor.model.fingerprint
    store.record_failure("s3://of/another/sweep.jpg", model, "e", "s3://of/another/sweep.jpg: old")
    plan_sweep(store, s3, "s", model, base, "s3://r/", max_batches=9)
    extract_batch(store, s3, extractor, "s", 0)
    assert finish_sweep(store, "s", max_failed_share=0.96).failed == 20
    with pytest.raises(LandmarkError) as error:
        finish_sweep(store, "s", max_failed_share=0.95)
    message = str(error.value)
    assert "20 of 21 images failed, more than LANDMARK_MAX_FAILED_SHARE 0.95: 19 no i" in message
    assert "| 1 too small" in message and "old" not in message and base not in message
    assert "\n" not in message


def test_of_few_images_all_may_fail(store, s3, prefix, extractor):
    base = prefix({f"{number}.jpg": b"no photograph" for number in range(19)})
    plan_sweep(store, s3, "s", extractor.model.fingerprint, base, "s3://r/", max_batches=9)
    extract_batch(store, s3, extractor, "s", 0)
    assert finish_sweep(store, "s", max_failed_share=0.5).failed == 19


def test_the_log_names_batch_and_image(store, s3, prefix, extractor, caplog):
    base = prefix({"broken.jpg": b"no photograph"})
    plan_sweep(store, s3, "s", extractor.model.fingerprint, base, "s3://r/", max_batches=9)
    with caplog.at_level("INFO"):
        extract_batch(store, s3, extractor, "s", 0)
    assert f"batch 1: {base}broken.jpg: " in caplog.text
    assert "1 of 1 images of batch 1" in caplog.text


def test_what_airflow_cannot_map_is_said_and_taken_by_the_next_sweep(
    store, s3, prefix, photograph, extractor, monkeypatch, caplog
):
    monkeypatch.setattr("landmark.store.batch_size", lambda images, most: 2)
    base = prefix({f"{number}.jpg": photograph(number, side=64) for number in range(3)})
    model = extractor.model.fingerprint
    with caplog.at_level("WARNING"):
        assert plan_sweep(store, s3, "1", model, base, "s3://r/", max_batches=1) == [2]
    assert "1 images are left for the next sweep" in caplog.text
    extract_batch(store, s3, extractor, "1", 0)
    caplog.clear()
    assert finish_sweep(store, "1").postponed == 1
    assert "1 images are left for the next sweep" in caplog.text
    caplog.clear()
    assert plan_sweep(store, s3, "2", model, base, "s3://r/", max_batches=1) == [1]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    extract_batch(store, s3, extractor, "2", 0)
    assert finish_sweep(store, "2").indexed == 1
    assert store.count(model) == 3


@pytest.mark.parametrize(
    ("batches", "at_once", "cores", "threads"),
    [
        (0, 2, 4, 4),
        (1, 2, 4, 4),
        (2, 2, 4, 2),
        (9, 2, 2, 1),
        (9, 4, 2, 1),
        (9, 5, 8, 2),
        (3, 1, 2, 2),
    ],
)
def test_batches_at_once_share_the_cores(batches, at_once, cores, threads):
    assert threads_per_batch(batches, at_once, cores) == threads


def test_images_inside_the_results_are_refused(store, s3):
    with pytest.raises(LandmarkError, match="lies inside LANDMARK_RESULTS"):
        plan_sweep(store, s3, "s", "m", "s3://b/results/images/", "s3://b/results/", 9)


def test_a_query_is_added_to_the_index_once(
    store, s3, prefix, photograph, bundled_model, monkeypatch
):
    path = prefix({"query.jpg": photograph(1)}) + "query.jpg"
    first = query_features(store, s3, bundled_model, path, add_to_index=True)
    assert store.count(bundled_model.fingerprint) == 1

    def no_model(_):
        raise AssertionError("the model is loaded for an image that is indexed")

    monkeypatch.setattr("landmark.ingest.load_extractor", no_model)
    again = query_features(store, s3, bundled_model, path, add_to_index=True)
    assert again.to_bytes() == first.to_bytes()


def test_a_query_may_stay_out_of_the_index(store, s3, prefix, photograph, bundled_model):
    path = prefix({"query.jpg": photograph(1)}) + "query.jpg"
    query_features(store, s3, bundled_model, path, add_to_index=False)
    assert store.count(bundled_model.fingerprint) == 0


def test_a_query_that_changed_is_extracted_again(store, s3, prefix, photograph, bundled_model):
    path = prefix({"query.jpg": photograph(1)}) + "query.jpg"
    first = query_features(store, s3, bundled_model, path, add_to_index=True)
    prefix({"query.jpg": photograph(2)})
    second = query_features(store, s3, bundled_model, path, add_to_index=True)
    assert first.to_bytes() != second.to_bytes()
    assert store.find(path, bundled_model.fingerprint)[0] == read_etag(s3, path)


def test_a_missing_or_empty_query_is_named(store, s3, prefix, bundled_model):
    buffer = io.BytesIO()
    Image.new("RGB", (200, 200), "grey").save(buffer, "PNG")
    base = prefix({"grey.png": buffer.getvalue(), "text.jpg": b"hello"})
    with pytest.raises(LandmarkError, match="missing.jpg: there is no such object"):
        query_features(store, s3, bundled_model, base + "missing.jpg", True)
    with pytest.raises(UnusableImage, match="text.jpg"):
        query_features(store, s3, bundled_model, base + "text.jpg", True)
    with pytest.raises(UnusableImage, match="grey.png: the model finds no feature"):
        query_features(store, s3, bundled_model, base + "grey.png", True)


def test_a_bad_query_leaves_the_others_and_the_model_is_loaded_once(
    store, s3, prefix, photograph, bundled_model, monkeypatch
):
    good = {f"{number}.jpg": photograph(number) for number in range(3)}
    base = prefix({**good, "broken.jpg": b"broken"})
    query_features(store, s3, bundled_model, base + "1.jpg", True)
    loaded = []

    def load(model):
        loaded.append(model)
        return load_extractor(model)

    monkeypatch.setattr("landmark.ingest.load_extractor", load)
    paths = [base + name for name in ("0.jpg", "missing.jpg", "1.jpg", "broken.jpg", "2.jpg")]
    found = dict(extract_queries(store, s3, bundled_model, paths, add_to_index=True))
    assert set(found) == set(paths) and len(loaded) == 1
    assert "there is no such object" in str(found[base + "missing.jpg"])
    assert isinstance(found[base + "broken.jpg"], UnusableImage)
    for name, body in good.items():
        alone = load_extractor(bundled_model).extract(body, name)
        assert found[base + name].to_bytes() == alone.to_bytes()
    assert store.count(bundled_model.fingerprint) == 3


def test_a_model_that_cannot_be_loaded_is_no_fault_of_a_query(
    store, s3, prefix, photograph, bundled_model, monkeypatch
):
    base = prefix({"1.jpg": photograph(1), "2.jpg": photograph(2)})

    def refuse(model):
        raise LandmarkError(f"model {model.handle}: cannot be read")

    monkeypatch.setattr("landmark.ingest.load_extractor", refuse)
    paths = [base + "1.jpg", base + "2.jpg"]
    with pytest.raises(LandmarkError, match="cannot be read"):
        list(extract_queries(store, s3, bundled_model, paths, True))


def test_queries_are_named_by_path_list_and_prefix(s3, prefix):
    base = prefix({f"a/{n}.jpg": b"" for n in range(3)})
    prefix({"a/b/x.png": b"", "a/notes.txt": b"", "results/run/contact-sheet.jpg": b""})
    below = [f"{base}a/0.jpg", f"{base}a/1.jpg", f"{base}a/2.jpg", f"{base}a/b/x.png"]

    def find(asked, most=9):
        return find_queries(s3, asked, base + "results/", most)

    assert find(base + "any.jpg") == [(base + "any.jpg", None)]
    assert find(base + "a/") == find(base) == [(path, None) for path in below]
    # Each once, in the order of asking.
    assert find([below[1], base + "a/", below[1], base + "x"]) == [
        (path, None) for path in (below[1], below[0], *below[2:], base + "x")
    ]
    assert find(below, most=4) == find(base, most=4)
    for asked in (below, base):
        with pytest.raises(LandmarkError, match="more than the 3 .* raise LANDMARK_MAX_QUERIES"):
            find(asked, most=3)


def test_a_prefix_without_photographs_says_so(s3, prefix):
    base = prefix({"a/notes.txt": b""})
    ((path, reason),) = find_queries(s3, base + "a/", "s3://landmark/results/", 9)
    assert path == base + "a/" and reason == f"{path}: no photograph lies below; check the prefix"
    ((_, reason),) = find_queries(s3, "s3://no-such-bucket-here/", "s3://landmark/results/", 9)
    assert "no-such-bucket-here" in reason


def test_the_bundled_model_matches_views_of_a_place_and_no_others(extractor, photograph):
    views = {
        (place, view): extractor.extract(photograph(place, view), "")
        for place in range(3)
        for view in (0, 1)
    }
    inliers = {
        (place, other): len(compare(views[place, 0], views[other, 1])[1].inliers)
        for place in range(3)
        for other in range(3)
    }
    assert min(inliers[place, place] for place in range(3)) >= 20
    assert max(count for (a, b), count in inliers.items() if a != b) < 12
