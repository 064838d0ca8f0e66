"""Where and when photographs say that they were taken, whatever else they say."""

import io
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from PIL import ExifTags, Image, TiffImagePlugin

from landmark.extraction.decoding import decode_image
from landmark.extraction.sandbox import decode_isolated
from landmark.extraction.shot import EPOCH, NOTHING_SAID, Shot

ROME = (41.890210, 12.492231)
GPS, EXIF = ExifTags.IFD.GPSInfo, ExifTags.IFD.Exif


def gps(
    latitude=(41.0, 53.0, 24.756), north="N", longitude=(12.0, 29.0, 32.0316), east="E", **more
):
    tags = {1: north, 2: latitude, 3: longitude and east, 4: longitude}
    return {number: value for number, value in tags.items() if value is not None} | {
        int(name.removeprefix("tag")): value for name, value in more.items()
    }


def photograph(place=None, taken=None, form="JPEG", orientation=1):
    exif = Image.Exif()
    exif[0x0112] = orientation
    if place is not None:
        exif[GPS] = place
    if taken is not None:
        exif[EXIF] = {0x9003: taken}
    options = {"exif": exif}
    if form == "TIFF":  # Pillow writes EXIF's own directories into it only so
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[int(GPS)], tags[int(EXIF)] = place, {0x9003: taken}
        options = {"tiffinfo": tags}
    file = io.BytesIO()
    Image.fromarray(np.full((64, 96, 3), 90, np.uint8)).save(file, form, **options)
    return file.getvalue()


def shot(*args, **options):
    return decode_image(photograph(*args, **options), "x", 800).shot


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_place_and_time_are_read_of_every_format_that_has_exif(form):
    found = shot(gps(), "2024:05:17 08:30:01", form)
    assert (found.latitude, found.longitude) == pytest.approx(ROME, abs=1e-5)
    assert found.taken_at == datetime(2024, 5, 17, 8, 30, 1)


def test_sides_have_signs():
    found = shot(gps(north="S", east="W"))
    assert (found.latitude, found.longitude) == pytest.approx([-one for one in ROME], abs=1e-5)
    assert found.taken_at is None


@pytest.mark.parametrize(
    "place",
    [
        gps(latitude=(91.0, 0.0, 0.0)),
        gps(longitude=(180.0, 0.0, 1.0)),
        gps(latitude=(41.0, 60.0, 0.0)),
        gps(latitude=(41.0, 0.0, 60.0)),
        gps(latitude=(41.0, 53.0)),
        gps(latitude=None),
        gps(longitude=None),
        gps(north="X"),
        gps(north=None),
        gps(latitude=(0.0, 0.0, 0.0), longitude=(0.0, 0.0, 0.0)),  # a camera without a fix
        gps(tag9="V"),  # and one that says so
        {},
    ],
    ids=str,
)
def test_what_can_be_nowhere_is_nothing(place):
    assert shot(place, "2024:05:17 08:30:01") == Shot(taken_at=datetime(2024, 5, 17, 8, 30, 1))


@pytest.mark.parametrize(
    "taken",
    ["0000:00:00 00:00:00", "    :  :     :  :  ", "2024:13:01 00:00:00", "1800:01:01 00:00:00",
     "2999:01:01 00:00:00", "yesterday", "", "\0" * 19, "9" * 400],
)  # fmt: skip
def test_what_can_be_never_is_nothing(taken):
    found = shot(gps(), taken)
    assert found.taken_at is None and found.latitude is not None


def test_tomorrow_may_be_today_elsewhere():
    soon = datetime.now(timezone.utc) + timedelta(hours=14)
    assert shot(taken=soon.strftime("%Y:%m:%d %H:%M:%S")).taken_at is not None


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_without_exif_or_with_a_broken_one_nothing_is_said():
    file = io.BytesIO()
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(file, "JPEG")
    assert decode_image(file.getvalue(), "x", 800).shot == NOTHING_SAID
    data = photograph(gps(), "2024:05:17 08:30:01")
    start = data.index(b"Exif\0\0") + 6
    for cut in range(4, 120, 7):
        broken = data[: start + cut] + b"\xff" * 24 + data[start + cut + 24 :]
        assert decode_image(broken, "x", 800).pixels.shape == (64, 96, 3)


def test_another_process_says_the_same_and_a_turned_photograph_too():
    data = photograph(gps(), "2024:05:17 08:30:01", orientation=6)
    image = decode_isolated(data, "x", 800)
    assert image.pixels.shape == (96, 64, 3)
    assert image.shot == decode_image(data, "x", 800).shot
    assert image.shot.taken_at == datetime(2024, 5, 17, 8, 30, 1)


NAN = float("nan")


@pytest.mark.parametrize(
    "numbers",
    [(91, 0, NAN), (0, 181, NAN), (NAN, 1, NAN), (1, NAN, NAN), (NAN, NAN, 1e300),
     (NAN, NAN, 1e11), (NAN, NAN, -1e11), (float("inf"), 0, NAN), (0, 0, float("-inf"))],
)  # fmt: skip
def test_numbers_that_no_decoder_gives_are_refused(numbers):
    with pytest.raises(ValueError, match="taken at"):
        Shot.of_numbers(*numbers)


@pytest.mark.parametrize(
    "said", [NOTHING_SAID, Shot(-90.0, 180.0), Shot(1.5, 2.5, EPOCH), Shot(taken_at=EPOCH)]
)
def test_numbers_are_what_was_said(said):
    assert Shot.of_numbers(*said.numbers()) == said
    assert said.without_place() == Shot(taken_at=said.taken_at)
