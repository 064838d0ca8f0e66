"""S3: stream a listing, get, put. Paths are ``s3://bucket/key`` throughout."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

from botocore.exceptions import (
    ClientError,
    IncompleteReadError,
    ParamValidationError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from landmark.errors import LandmarkError, UnusableImage

logger = logging.getLogger(__name__)

MAX_OBJECT_BYTES = 200_000_000

# botocore's own three tries are over within a second or two; these take some 15 s.
RETRIES = {"mode": "standard", "total_max_attempts": 6}
# An answer that breaks off in its middle; what fails before is tried again by botocore itself.
BROKEN_OFF = (ResponseStreamingError, IncompleteReadError, ReadTimeoutError)
PAUSES_S = (0.5, 1, 2, 4)

# 403 is the code where there is no body: of HEAD. InvalidObjectState is an archived object.
REFUSALS = {"AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch",
            "InvalidObjectState"}  # fmt: skip


class S3Object(NamedTuple):
    """One object of a listing.

    Parameters
    ----------
    path : str
        ``s3://bucket/key``.
    etag : str
        Without quotes: servers differ in giving them.
    size : int
        Bytes.
    """

    path: str
    etag: str
    size: int


def split_path(path: str) -> tuple[str, str]:
    """The bucket and the key of ``s3://bucket/key``.

    Raises
    ------
    LandmarkError
        If the path is not of that form.
    """
    bucket, _, key = path.removeprefix("s3://").partition("/")
    if not path.startswith("s3://") or not bucket:
        raise LandmarkError(f"{path!r} is no S3 path; write s3://bucket/key")
    return bucket, key


def list_objects(client: Any, prefix: str) -> Iterator[S3Object]:
    """Stream every object below ``s3://bucket/prefix/``, a page in memory at a time.

    Raises
    ------
    LandmarkError
        If there is no such bucket, or it may not be listed.
    """
    bucket, key_prefix = split_path(prefix)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key_prefix)
    with _explained(prefix):
        for page in pages:
            for entry in page.get("Contents", ()):
                path = f"s3://{bucket}/{entry['Key']}"
                yield S3Object(path, entry["ETag"].strip('"'), entry["Size"])


def read_object(client: Any, path: str, max_bytes: int = MAX_OBJECT_BYTES) -> tuple[bytes, str]:
    """An object's content and its etag, both of the same version.

    Raises
    ------
    ObjectMissing
        If there is no such object.
    UnusableImage
        If it is larger than `max_bytes`; nothing of it is read then.
    LandmarkError
        If it may not be read.
    botocore.exceptions.BotoCoreError
        If the answer breaks off again and again.
    """
    bucket, key = split_path(path)
    if not key:
        raise LandmarkError(f"{path!r} names a bucket, not an object; write s3://bucket/key")
    for seconds in PAUSES_S:
        try:
            return _read_once(client, path, bucket, key, max_bytes)
        except BROKEN_OFF as error:
            logger.warning("%s: %s; reading it again in %g s", path, error, seconds)
            time.sleep(seconds)
    return _read_once(client, path, bucket, key, max_bytes)


def _read_once(client: Any, path: str, bucket: str, key: str, max_bytes: int) -> tuple[bytes, str]:
    with _explained(path):
        answer = client.get_object(Bucket=bucket, Key=key)
    # Its own `with` gives botocore's exceptions and check of the length away.
    with closing(answer["Body"]) as body:
        if answer["ContentLength"] > max_bytes:
            raise UnusableImage(
                f"{path}: {answer['ContentLength']:,} bytes, more than the {max_bytes:,} that an "
                f"image may have; store a smaller version"
            )
        return body.read(), answer["ETag"].strip('"')


def read_etag(client: Any, path: str) -> str:
    """An object's etag; raises like `read_object`."""
    bucket, key = split_path(path)
    with _explained(path):
        answer = client.head_object(Bucket=bucket, Key=key)
    return str(answer["ETag"].strip('"'))


def write_object(client: Any, path: str, body: bytes, content_type: str) -> None:
    """Put an object in one request: it is there whole or not at all.

    Raises
    ------
    LandmarkError
        If there is no such bucket, or it may not be written to.
    """
    bucket, key = split_path(path)
    with _explained(path):
        client.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)


class ObjectMissing(LandmarkError):
    """There is no such object."""


@contextmanager
def _explained(path: str) -> Iterator[None]:
    """Turn what the user can act on into a `LandmarkError`; all else is worth another try."""
    try:
        yield
    except ParamValidationError as error:
        reason = " ".join(str(error).split()).removeprefix("Parameter validation failed: ")
        raise LandmarkError(f"{path}: {reason}; check the path") from error
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("NoSuchKey", "404"):
            raise ObjectMissing(f"{path}: there is no such object; check the path") from error
        if code == "NoSuchBucket":
            raise LandmarkError(f"{path}: there is no such bucket; check the path") from error
        if code in REFUSALS:
            raise LandmarkError(
                f"{path}: {code}; give the connection's user the right to it"
            ) from error
        raise
