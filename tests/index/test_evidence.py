"""What S3 says is evidence, and may be wrong: of a listing, of one object, of the account."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from s3_lookalike import Lookalike, lookalike

from landmark.errors import LandmarkError, ServerFault, UnusableImage
from landmark.extraction.decoding import DecodedImage
from landmark.features import LocalFeatures
from landmark.index.extract import extract_batch
from landmark.index.sweep import finish_sweep, plan_sweep
from landmark.search import queries
from landmark.storage import bucket
from landmark.storage.bucket import BodyFault, ObjectRefused, read_etag, read_object
from landmark.storage.images import count_images, find_image, record_failure, save_image

PREFIX, RESULTS = "s3://b/images/", "s3://b/results/"
IMAGES = 30


class Extractor:
    """Gives made-up features of whatever is read; what it decodes is not the matter here."""

    def __init__(self, features: Any, model: Any) -> None:
        self._features, self.model = features, model

    def decode(self, data: bytes, name: str) -> DecodedImage:
        return DecodedImage(np.frombuffer(data, np.uint8), 1, 1)

    def extract_decoded(self, image: DecodedImage, name: str) -> Any:
        if image.pixels.tobytes() == b"odd":
            raise ValueError("of a kind that nobody foresaw")
        return self._features


@pytest.fixture
def s3() -> Iterator[tuple[Lookalike, Any]]:
    objects = {f"images/{number:02d}.jpg": b"%d" % number for number in range(IMAGES)}
    with lookalike(objects) as (fake, client):
        yield fake, client


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(bucket, "PAUSES_S", (0,))


@pytest.fixture
def extractor(make_view, bundled_model) -> Extractor:
    return Extractor(make_view(1, n=5), bundled_model)


@pytest.fixture
def sweep(database, s3, extractor):
    """One sweep from plan to summary."""
    numbers = iter(range(1000))

    def run(share: float = 0.2) -> Any:
        name, client = f"sweep-{next(numbers)}", s3[1]
        batches = plan_sweep(
            database, client, name, extractor.model.fingerprint, PREFIX, RESULTS, 1024,
            max_removed_share=share,
        )  # fmt: skip
        for batch in range(len(batches)):
            extract_batch(database, client, extractor, name, batch)
        return finish_sweep(database, name)

    return run


def rows(database, extractor) -> int:
    return count_images(database, extractor.model.fingerprint)


# ---- listings -----------------------------------------------------------------------------------


def test_a_listing_without_anything_removes_nothing(sweep, s3, database, extractor):
    sweep()
    s3[0].objects.clear()
    with pytest.raises(LandmarkError, match=r"30 of the 30 images .* with allow_removals"):
        sweep()
    assert rows(database, extractor) == IMAGES
    assert sweep(share=1).removed == IMAGES and rows(database, extractor) == 0


def test_what_is_new_is_indexed_all_the_same(sweep, s3, database, extractor):
    sweep()
    for number in range(10):
        del s3[0].objects[f"images/{number:02d}.jpg"]
    s3[0].objects["images/new.jpg"] = b"new"
    with pytest.raises(LandmarkError, match="10 of the 30 images"):
        sweep()
    assert rows(database, extractor) == IMAGES + 1


def test_a_few_may_go_and_of_few_images_some_but_never_all(sweep, s3, database, extractor):
    for number in range(25):
        del s3[0].objects[f"images/{number:02d}.jpg"]
    sweep()
    for number in range(25, 29):
        del s3[0].objects[f"images/{number:02d}.jpg"]
    assert sweep().removed == 4 and rows(database, extractor) == 1
    s3[0].objects.clear()
    with pytest.raises(LandmarkError, match="1 of the 1 images"):
        sweep()


@pytest.mark.parametrize(
    "body", [b"<html><body>Welcome</body></html>", b"", b"no XML at all <", b"<ListBucketResult/>"]
)
def test_what_is_no_listing_is_tried_again_and_changes_nothing(
    sweep, s3, database, extractor, body
):
    sweep()
    s3[0].listing = lambda handler: handler.reply(200, body)
    with pytest.raises(ServerFault, match=r"s3://b/images/: "):
        sweep()
    assert rows(database, extractor) == IMAGES


def test_a_page_that_names_no_next_one_is_no_end(sweep, s3, database, extractor):
    sweep()
    s3[0].page, s3[0].without_token = 10, True
    with pytest.raises(ServerFault, match="its listing goes on, and not where"):
        sweep()
    assert rows(database, extractor) == IMAGES


@pytest.mark.parametrize("status", [403, 404, 301])
def test_what_is_said_of_the_bucket_is_tried_again(sweep, s3, status):
    code = {403: "AccessDenied", 404: "NoSuchBucket", 301: "PermanentRedirect"}[status]
    s3[0].listing = lambda handler: handler.refuse(status, code)
    with pytest.raises(ServerFault):
        sweep()


def test_odd_keys_are_passed_over_and_counted(sweep, s3, database, extractor):
    odd = {"raw:images/%00.jpg": b"", "raw:images/%FF.jpg": b"", "raw:images/" + "x" * 2000: b""}
    names = ["images/a.txt", "images/b.TXT", "images/photo.jpg%3Fwidth=800.x", "images/folder/"]
    s3[0].objects |= odd | dict.fromkeys(names, b"")
    done = sweep()
    assert done.passed_over == {"key": 3, ".txt": 2, ".x": 1}
    assert (done.seen, done.indexed) == (IMAGES, IMAGES)
    assert sweep().new == 0


def test_a_key_that_is_listed_twice_is_one_image(sweep, s3, database, extractor):
    s3[0].objects["raw:images/07.jpg"] = b"7"
    assert sweep().indexed == IMAGES == rows(database, extractor)


@pytest.mark.parametrize(
    ("listed", "read"),
    [(None, None), ('"a"', 'W/"a"'), ('W/"a"', '"a"'), ('"a"', '"of another kind"'), ('"a"', None)],
)
def test_other_etags_of_the_same_object_change_nothing(sweep, s3, listed, read):
    s3[0].listed_etag = lambda key: listed
    s3[0].read_etag = lambda key: read
    assert sweep().indexed == IMAGES
    again = sweep()
    assert (again.new, again.changed) == (0, 0)


def test_what_is_read_under_another_etag_than_listed_is_no_change(
    sweep, s3, database, bundled_model
):
    s3[0].listed_etag = lambda key: '"listed"'
    s3[0].read_etag = lambda key: f'"read-{s3[0].objects[key].decode()}"'
    sweep()
    path = PREFIX + "07.jpg"
    etags, _ = find_image(database, path, bundled_model.fingerprint)
    assert read_object(s3[1], path)[1] in etags  # what its picture in a result asks for

    def search() -> None:  # as a query it is not read again
        asked = queries.extract_queries(database, s3[1], bundled_model, [path], True, load=None)
        assert [type(found) for _, found in asked] == [LocalFeatures]

    search()
    assert sweep().changed == 0
    search()
    s3[0].objects["images/07.jpg"] = b"other"
    with pytest.raises(TypeError, match="not callable"):
        search()


def test_etags_that_change_by_themselves_are_told(sweep, s3, caplog):
    sweep()
    s3[0].listed_etag = lambda key: '"other"'
    with caplog.at_level("WARNING"):
        assert sweep().same_size == IMAGES
    assert "have another etag than before and the same size" in caplog.text


def test_two_deployments_with_a_run_of_one_name_are_kept_apart(database, s3, bundled_model):
    plan_sweep(database, s3[1], "scheduled", bundled_model.fingerprint, PREFIX, RESULTS, 9)
    with pytest.raises(LandmarkError, match="is another deployment's; give this one"):
        plan_sweep(database, s3[1], "scheduled", "m", "s3://b/other/", RESULTS, 9)


# ---- one object, or all -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "AccessDenied"), (400, "InvalidRequest"), (400, "KMS.DisabledException"),
     (500, "InternalError")],
)  # fmt: skip
def test_what_one_object_answers_is_its_own_failure(sweep, s3, database, extractor, status, code):
    sweep()
    s3[0].objects |= {"images/03.jpg": b"changed", "images/04.jpg": b"changed"}
    refused = "images/03.jpg"
    s3[0].get = lambda handler, key: key == refused and handler.refuse(status, code)
    done = sweep()
    # Its row stays as it was, and the next sweep tries it again.
    assert (done.changed, done.indexed, done.failed) == (2, 1, 1)
    assert rows(database, extractor) == IMAGES
    s3[0].get = lambda handler, key: False
    done = sweep()
    assert (done.retried, done.indexed, done.failed) == (1, 1, 0)


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "InvalidAccessKeyId"), (403, "SignatureDoesNotMatch"), (403, "RequestTimeTooSkewed"),
     (403, "AccessDenied"), (301, "PermanentRedirect"), (500, "InternalError")],
)  # fmt: skip
def test_what_all_objects_answer_stops_the_work_and_costs_nothing(
    sweep, s3, database, extractor, status, code
):
    sweep()
    for number in range(5, 20):
        s3[0].objects[f"images/{number:02d}.jpg"] = b"changed"
    s3[0].get = lambda handler, key: handler.refuse(status, code)
    with pytest.raises(ServerFault):
        sweep()
    s3[0].get = lambda handler, key: False
    assert rows(database, extractor) == IMAGES
    assert sweep().indexed == 15


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [(403, "InvalidAccessKeyId", ServerFault), (400, "ExpiredToken", ServerFault),
     (403, "AccessDenied", ObjectRefused), (400, "InvalidRequest", ObjectRefused)],
)  # fmt: skip
def test_why_an_object_is_refused_is_told_though_head_says_nothing(s3, status, code, error):
    s3[0].get = lambda handler, key: handler.refuse(status, code)
    with pytest.raises(error, match=code):
        read_etag(s3[1], "s3://b/images/01.jpg")


def test_what_nobody_foresaw_of_one_image_is_its_failure(sweep, s3, database, extractor):
    s3[0].objects["images/05.jpg"] = b"odd"
    done = sweep()
    assert (done.indexed, done.failed) == (IMAGES - 1, 1)


def test_a_body_in_chunks_is_read_within_the_limit(s3):
    def chunked(handler: Any, key: str) -> bool:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        return True

    s3[0].get = chunked
    assert read_object(s3[1], "s3://b/x.jpg")[0] == b"abcde"
    with pytest.raises(UnusableImage, match="more than the 4 that an image may have"):
        read_object(s3[1], "s3://b/x.jpg", max_bytes=4)


def test_a_packed_body_is_unpacked_within_the_limit(s3):
    packed = gzip.compress(bytes(10_000))
    s3[0].get = lambda handler, key: handler.reply(200, packed, Content_Encoding="gzip") or True
    assert read_object(s3[1], "s3://b/x.jpg")[0] == bytes(10_000)
    with pytest.raises(UnusableImage, match="more than the 9,999"):
        read_object(s3[1], "s3://b/x.jpg", max_bytes=9_999)


def test_a_body_that_drips_has_an_end(s3, monkeypatch):
    monkeypatch.setattr(bucket, "BODY_S", -1.0)  # as if that long had passed
    s3[0].get = lambda handler, key: handler.reply(200, b"a drop") or True
    with pytest.raises(BodyFault, match="not read within"):
        read_object(s3[1], "s3://b/x.jpg")


def test_a_failure_of_what_was_not_read_leaves_the_row(database, make_view):
    save_image(database, PREFIX + "a", "m", "1", make_view(1))
    record_failure(database, PREFIX + "a", "m", "", "denied", was_read=False)
    assert count_images(database, "m") == 1
    record_failure(database, PREFIX + "a", "m", "2", "broken")
    assert count_images(database, "m") == 0
