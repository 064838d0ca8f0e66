"""The photographs that are searched for, on real servers with the bundled model."""

import io

import pytest
from PIL import Image
from queries import query_features

from landmark.errors import LandmarkError, UnusableImage
from landmark.extraction.extractor import load_extractor
from landmark.search.queries import extract_queries, find_queries
from landmark.storage.bucket import read_etag
from landmark.storage.images import count_images, find_image


def test_a_query_is_added_to_the_index_once(database, s3, prefix, photograph, bundled_model):
    path = prefix({"query.jpg": photograph(1)}) + "query.jpg"
    first = query_features(database, s3, bundled_model, path, add_to_index=True)
    assert count_images(database, bundled_model.fingerprint) == 1

    def no_model(_):
        raise AssertionError("the model is loaded for an image that is indexed")

    again = query_features(database, s3, bundled_model, path, add_to_index=True, load=no_model)
    assert again.to_bytes() == first.to_bytes()


def test_a_query_may_stay_out_of_the_index(database, s3, prefix, photograph, bundled_model):
    path = prefix({"query.jpg": photograph(1)}) + "query.jpg"
    query_features(database, s3, bundled_model, path, add_to_index=False)
    assert count_images(database, bundled_model.fingerprint) == 0


def test_a_query_that_changed_is_extracted_again(database, s3, prefix, photograph, bundled_model):
    path = prefix({"query.jpg": photograph(1)}) + "query.jpg"
    first = query_features(database, s3, bundled_model, path, add_to_index=True)
    prefix({"query.jpg": photograph(2)})
    second = query_features(database, s3, bundled_model, path, add_to_index=True)
    assert first.to_bytes() != second.to_bytes()
    assert find_image(database, path, bundled_model.fingerprint)[0] == {read_etag(s3, path)}


def test_a_missing_or_empty_query_is_named(database, s3, prefix, bundled_model):
    buffer = io.BytesIO()
    Image.new("RGB", (200, 200), "grey").save(buffer, "PNG")
    base = prefix({"grey.png": buffer.getvalue(), "text.jpg": b"hello"})
    with pytest.raises(LandmarkError, match="missing.jpg: there is no such object"):
        query_features(database, s3, bundled_model, base + "missing.jpg", True)
    with pytest.raises(UnusableImage, match="text.jpg"):
        query_features(database, s3, bundled_model, base + "text.jpg", True)
    with pytest.raises(UnusableImage, match="grey.png: the model finds no feature"):
        query_features(database, s3, bundled_model, base + "grey.png", True)


def test_a_bad_query_leaves_the_others_and_the_model_is_loaded_once(
    database, s3, prefix, photograph, bundled_model
):
    good = {f"{number}.jpg": photograph(number) for number in range(3)}
    base = prefix({**good, "broken.jpg": b"broken"})
    query_features(database, s3, bundled_model, base + "1.jpg", True)
    loaded = []

    def load(model):
        loaded.append(model)
        return load_extractor(model)

    paths = [base + name for name in ("0.jpg", "missing.jpg", "1.jpg", "broken.jpg", "2.jpg")]
    found = dict(extract_queries(database, s3, bundled_model, paths, True, load=load))
    assert set(found) == set(paths) and len(loaded) == 1
    assert "there is no such object" in str(found[base + "missing.jpg"])
    assert isinstance(found[base + "broken.jpg"], UnusableImage)
    for name, body in good.items():
        alone = load_extractor(bundled_model).extract(body, name)
        assert found[base + name].to_bytes() == alone.to_bytes()
    assert count_images(database, bundled_model.fingerprint) == 3


def test_a_model_that_cannot_be_loaded_is_no_fault_of_a_query(
    database, s3, prefix, photograph, bundled_model
):
    base = prefix({"1.jpg": photograph(1), "2.jpg": photograph(2)})

    def refuse(model):
        raise LandmarkError(f"model {model.handle}: cannot be read")

    paths = [base + "1.jpg", base + "2.jpg"]
    with pytest.raises(LandmarkError, match="cannot be read"):
        list(extract_queries(database, s3, bundled_model, paths, True, load=refuse))


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


def test_a_prefix_named_many_times_or_within_another_is_listed_once(s3, prefix):
    base = prefix({f"a/b/{n}.jpg": b"" for n in range(3)})
    listings = []

    def count(params, **_):
        listings.append(params["query_string"]["prefix"])

    s3.meta.events.register("before-call.s3.ListObjectsV2", count)
    try:
        asked = [base + "a/", base + "a/b/", base + "a/", base + "a/c/", base + "a/b/"]
        found = find_queries(s3, asked, base + "results/", 9)
    finally:
        s3.meta.events.unregister("before-call.s3.ListObjectsV2", count)
    assert len(listings) == 1
    assert [path for path, reason in found if reason is None] == [
        f"{base}a/b/{n}.jpg" for n in range(3)
    ]
    assert found[3:] == [(base + "a/c/", f"{base}a/c/: no photograph lies below; check the prefix")]


def test_a_prefix_without_photographs_says_so(s3, prefix):
    base = prefix({"a/notes.txt": b""})
    ((path, reason),) = find_queries(s3, base + "a/", "s3://landmark/results/", 9)
    assert path == base + "a/" and reason == f"{path}: no photograph lies below; check the prefix"
    ((_, reason),) = find_queries(s3, "s3://no-such-bucket-here/", "s3://landmark/results/", 9)
    assert "no-such-bucket-here" in reason
