"""A sweep on real servers with the bundled model: from objects in S3 to rows in Postgres."""

import io
import logging
from datetime import datetime

import pytest
from PIL import Image

from landmark.errors import LandmarkError
from landmark.index.extract import extract_batch
from landmark.index.sweep import finish_sweep, plan_sweep, threads_per_batch
from landmark.storage.bucket import read_etag
from landmark.storage.images import count_images, find_image, record_failure, save_image


@pytest.fixture
def sweep(database, s3, extractor):
    """Runs one sweep of a prefix from plan to summary."""
    numbers = iter(range(1000))

    def run(base, coordinates=True, **options):
        name = f"sweep-{next(numbers)}"
        model = extractor.model.fingerprint
        batches = plan_sweep(
            database, s3, name, model, base, base + "results/", max_batches=1024, **options
        )
        for batch in range(len(batches)):
            extract_batch(database, s3, extractor, name, batch, coordinates)
        return finish_sweep(database, name)

    return run


def failures(database):
    with database.connect() as connection:
        query = "SELECT image_path, reason, attempts FROM landmark_failures ORDER BY 1"
        return connection.execute(query).fetchall()


def test_new_changed_deleted_and_broken_images(sweep, database, s3, prefix, photograph, extractor):
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
    assert count_images(database, model) == 3
    assert [path.removeprefix(base) for path, _, _ in failures(database)] == [
        "broken.jpg",
        "cut.jpg",
    ]
    assert all(path in reason for path, reason, _ in failures(database))

    second = sweep(base)
    assert (second.seen, second.new, second.changed, second.indexed) == (5, 0, 0, 0)

    prefix({"b.jpg": photograph(5), "cut.jpg": photograph(4), "d.jpg": photograph(6)})
    s3.delete_object(Bucket="landmark", Key=base[14:] + "a.jpg")
    third = sweep(base)
    assert (third.new, third.changed, third.removed) == (1, 2, 1)
    assert find_image(database, base + "a.jpg", model) is None
    etags, features = find_image(database, base + "b.jpg", model)
    assert etags == {read_etag(s3, base + "b.jpg")}
    assert len(features) > 50

    fourth = sweep(base, retry_failures=True)
    assert (fourth.retried, fourth.failed) == (1, 1)
    assert [attempts for _, _, attempts in failures(database)] == [2]


@pytest.mark.parametrize("coordinates", [True, False])
def test_where_and_when_photographs_say_they_were_taken_is_kept(
    coordinates, sweep, database, prefix, photograph
):
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "S", 2: (41.0, 30.0, 0.0), 3: "E", 4: (12.0, 15.0, 0.0)})
    exif.get_ifd(0x8769)[0x9003] = "2024:05:17 08:30:01"
    file = io.BytesIO()
    Image.open(io.BytesIO(photograph(1))).save(file, "JPEG", exif=exif)
    base = prefix({"said.jpg": file.getvalue(), "silent.jpg": photograph(2)})

    def kept():
        with database.connect() as connection:
            return connection.execute(
                "SELECT latitude, longitude, taken_at FROM landmarks ORDER BY image_path"
            ).fetchall()

    sweep(base, coordinates=coordinates)
    place = (-41.5, 12.25) if coordinates else (None, None)
    assert kept() == [(*place, datetime(2024, 5, 17, 8, 30, 1)), (None, None, None)]
    prefix({"said.jpg": photograph(3)})
    sweep(base)
    assert kept() == [(None, None, None)] * 2


def test_an_object_deleted_after_it_was_listed_is_no_failure(
    database, s3, prefix, photograph, extractor
):
    base = prefix({"a.jpg": photograph(1), "b.jpg": photograph(2)})
    plan_sweep(database, s3, "s", extractor.model.fingerprint, base, "s3://r/", max_batches=9)
    s3.delete_object(Bucket="landmark", Key=base[14:] + "a.jpg")
    assert extract_batch(database, s3, extractor, "s", 0) == 2
    done = finish_sweep(database, "s")
    assert (done.indexed, done.gone, done.failed, done.left) == (1, 1, 0, 0)
    assert failures(database) == []


def test_a_batch_killed_in_the_middle_goes_on_where_it_stopped(
    database, s3, prefix, photograph, extractor, monkeypatch
):
    base = prefix({f"{number}.jpg": photograph(number) for number in range(4)})
    model = extractor.model.fingerprint
    plan_sweep(database, s3, "s", model, base, "s3://r/", max_batches=9)

    class Killed(BaseException):
        pass

    saved = []

    def killed_at_the_third(database, path, *rest):
        if len(saved) == 2:
            raise Killed
        saved.append(path)
        save_image(database, path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr("landmark.index.extract.save_image", killed_at_the_third)
        with pytest.raises(Killed):
            extract_batch(database, s3, extractor, "s", 0)
    with pytest.raises(LandmarkError, match="2 images of this sweep are left"):
        finish_sweep(database, "s")
    assert extract_batch(database, s3, extractor, "s", 0) == 2
    assert finish_sweep(database, "s").indexed == 4


def test_a_sweep_fails_where_more_images_failed_than_may(
    database, s3, prefix, photograph, extractor
):
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
    record_failure(
        database, "s3://of/another/sweep.jpg", model, "e", "s3://of/another/sweep.jpg: old"
    )
    plan_sweep(database, s3, "s", model, base, "s3://r/", max_batches=9)
    extract_batch(database, s3, extractor, "s", 0)
    assert finish_sweep(database, "s", max_failed_share=0.96).failed == 20
    with pytest.raises(LandmarkError) as error:
        finish_sweep(database, "s", max_failed_share=0.95)
    message = str(error.value)
    assert "20 of 21 images failed, more than LANDMARK_MAX_FAILED_SHARE 0.95: 19 no i" in message
    assert "| 1 too small" in message and "old" not in message and base not in message
    assert "\n" not in message


def test_of_few_images_all_may_fail(database, s3, prefix, extractor):
    base = prefix({f"{number}.jpg": b"no photograph" for number in range(19)})
    plan_sweep(database, s3, "s", extractor.model.fingerprint, base, "s3://r/", max_batches=9)
    extract_batch(database, s3, extractor, "s", 0)
    assert finish_sweep(database, "s", max_failed_share=0.5).failed == 19


def test_the_log_names_batch_and_image(database, s3, prefix, extractor, caplog):
    base = prefix({"broken.jpg": b"no photograph"})
    plan_sweep(database, s3, "s", extractor.model.fingerprint, base, "s3://r/", max_batches=9)
    with caplog.at_level("INFO"):
        extract_batch(database, s3, extractor, "s", 0)
    assert f"batch 1: {base}broken.jpg: " in caplog.text
    assert "1 of 1 images of batch 1" in caplog.text


def test_what_airflow_cannot_map_is_said_and_taken_by_the_next_sweep(
    database, s3, prefix, photograph, extractor, monkeypatch, caplog
):
    monkeypatch.setattr("landmark.storage.listings.batch_size", lambda images, *limits: 2)
    base = prefix({f"{number}.jpg": photograph(number, side=64) for number in range(3)})
    model = extractor.model.fingerprint
    with caplog.at_level("WARNING"):
        assert plan_sweep(database, s3, "1", model, base, "s3://r/", max_batches=1) == [2]
    assert "1 images are left for the next sweep" in caplog.text
    extract_batch(database, s3, extractor, "1", 0)
    caplog.clear()
    assert finish_sweep(database, "1").postponed == 1
    assert "1 images are left for the next sweep" in caplog.text
    caplog.clear()
    assert plan_sweep(database, s3, "2", model, base, "s3://r/", max_batches=1) == [1]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    extract_batch(database, s3, extractor, "2", 0)
    assert finish_sweep(database, "2").indexed == 1
    assert count_images(database, model) == 3


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


def test_images_inside_the_results_are_refused(database, s3):
    with pytest.raises(LandmarkError, match="lies inside LANDMARK_RESULTS"):
        plan_sweep(database, s3, "s", "m", "s3://b/results/images/", "s3://b/results/", 9)
