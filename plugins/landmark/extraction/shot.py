"""Where and when a photograph says that it was taken: its EXIF, checked for sense.

EXIF 3.0 (CIPA DC-008-2023), section 4.6.6 (GPS) and 4.6.5 (time). A camera without a fix, or whose
clock was never set, often writes something all the same; that is taken for nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from PIL import ExifTags, Image

GPS, EXIF = ExifTags.IFD.GPSInfo, ExifTags.IFD.Exif
TAKEN_AT = ExifTags.Base.DateTimeOriginal
TIME = re.compile(r"\s*(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)", re.ASCII)
# Nobody took a photograph before; after tomorrow, somewhere on the earth, nobody has yet.
FIRST_TAKEN_AT, AHEAD = datetime(1826, 1, 1), timedelta(days=1)
# What cameras without a fix write, exactly.
NO_FIX = (0.0, 0.0)
EPOCH = datetime(1970, 1, 1)


class Shot(NamedTuple):
    """What a photograph says of its taking; None where it says nothing, or nothing that can be.

    Parameters
    ----------
    latitude, longitude : float or None
        Degrees of WGS 84, north and east positive: -90 to 90 and -180 to 180. Both, or neither.
    taken_at : datetime or None
        By the camera's clock, without a zone.
    """

    latitude: float | None = None
    longitude: float | None = None
    taken_at: datetime | None = None

    def numbers(self) -> tuple[float, float, float]:
        """Latitude, longitude, seconds since 1970 by the camera's clock; NaN where None."""
        taken = math.nan if self.taken_at is None else (self.taken_at - EPOCH).total_seconds()
        if self.latitude is None or self.longitude is None:
            return math.nan, math.nan, taken
        return self.latitude, self.longitude, taken

    def without_place(self) -> Shot:
        """When alone."""
        return Shot(taken_at=self.taken_at)

    @classmethod
    def of_numbers(cls, latitude: float, longitude: float, taken: float) -> Shot:
        """What `numbers` gave.

        Raises
        ------
        ValueError
            If it can have given none of these.
        """
        taken_at = None
        if not math.isnan(taken):
            with suppress(OverflowError):
                taken_at = EPOCH + timedelta(seconds=taken)
            if taken_at is None or not _can_be(taken_at):
                raise ValueError(f"taken at {taken}")
        if math.isnan(latitude) and math.isnan(longitude):
            return cls(taken_at=taken_at)
        if not (abs(latitude) <= 90 and abs(longitude) <= 180):  # NaN is neither
            raise ValueError(f"taken at {latitude}, {longitude}")
        return cls(latitude, longitude, taken_at)


NOTHING_SAID = Shot()


def read_shot(image: Image.Image) -> Shot:
    """Read an opened image's EXIF: a foreign, often broken file within the file."""
    latitude = longitude = taken_at = None
    with suppress(Exception):
        latitude, longitude = _place(image.getexif().get_ifd(GPS))
    with suppress(Exception):
        taken_at = _time(image.getexif().get_ifd(EXIF).get(TAKEN_AT))
    return Shot(latitude, longitude, taken_at)


def _place(gps: dict[int, Any]) -> tuple[float | None, float | None]:
    if str(gps.get(ExifTags.GPS.GPSStatus, "A")).strip("\0 ") == "V":  # void: no fix
        return None, None
    latitude = _degrees(gps[ExifTags.GPS.GPSLatitude], gps[ExifTags.GPS.GPSLatitudeRef], "NS", 90)
    longitude = _degrees(
        gps[ExifTags.GPS.GPSLongitude], gps[ExifTags.GPS.GPSLongitudeRef], "EW", 180
    )
    if latitude is None or longitude is None or (latitude, longitude) == NO_FIX:
        return None, None
    return latitude, longitude


def _degrees(value: Sequence[Any], side: str, sides: str, most: int) -> float | None:
    """Degrees, minutes, seconds and the side; None if that can be nowhere."""
    degrees, minutes, seconds = (float(one) for one in value)
    sign = (1, -1)[sides.index(side.strip("\0 ").upper())]
    found = degrees + minutes / 60 + seconds / 3600
    # Minutes may be fractions and seconds 0, but not the other way round, nor 60 and more.
    if not (degrees >= 0 and 0 <= minutes < 60 and 0 <= seconds < 60 and found <= most):
        return None
    return sign * found


def _time(value: str | None) -> datetime | None:
    if value is None:
        return None
    numbers = TIME.match(value)  # strptime would import a module, which a decoder cannot any more
    if numbers is None:
        return None
    year, month, day, hour, minute, second = map(int, numbers.groups())
    found = datetime(year, month, day, hour, minute, second)
    return found if _can_be(found) else None


def _can_be(taken_at: datetime) -> bool:
    now = datetime.now(timezone.utc).replace(tzinfo=None)
    return FIRST_TAKEN_AT <= taken_at <= now + AHEAD
