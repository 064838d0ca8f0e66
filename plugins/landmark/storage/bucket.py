"""S3: stream a listing, get, put. Paths are ``s3://bucket/key`` throughout."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from botocore.exceptions import (
    ClientError,
    IncompleteReadError,
    ParamValidationError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from landmark.errors import LandmarkError, ServerFault, UnusableImage

logger = logging.getLogger(__name__)

MAX_OBJECT_BYTES = 200_000_000
# Of S3; a server that lists longer ones lists something else.
MAX_KEY_BYTES = 1_024

# botocore's own three tries are over within a second or two; these take some 15 s.
RETRIES = {"mode": "standard", "total_max_attempts": 6}
# An answer that breaks off in its middle; what fails before is tried again by botocore itself.
BROKEN_OFF = (ResponseStreamingError, IncompleteReadError, ReadTimeoutError, HTTPError)
PAUSES_S = (0.5, 1, 2, 4)
# For the whole of a body: the client's own time-out is for each of its packets.
BODY_S = 300.0
CHUNK_BYTES = 1 << 16

# 403 is the code where there is no body: of HEAD. InvalidObjectState is an archived object.
REFUSALS = {"AccessDenied", "403", "InvalidObjectState"}
# What is said of the account or the whole bucket, whichever object was asked for.
ACCOUNT_FAULTS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
                  "TokenRefreshRequired", "RequestTimeTooSkewed", "AccountProblem",
                  "AllAccessDisabled", "InvalidSecurity", "NotSignedUp"}  # fmt: skip
# Of HEAD, whose answer has no body: is it this object, or the account?
WITHOUT_REASON = {"400", "403"}
REGION = "set the region and endpoint of the connection"
# Of statuses that say "you": too slow, too many.
TRY_AGAIN = {408, 429}
PACKED = {"gzip", "deflate", "br", "zstd"}
REDIRECTS = {"PermanentRedirect", "TemporaryRedirect", "Redirect", "301", "302", "307", "308"}


class S3Object(NamedTuple):
    """One object of a listing.

    Parameters
    ----------
    path : str
        ``s3://bucket/key``.
    etag : str
        Of the version; see `version_of`.
    size : int
        Bytes.
    """

    path: str
    etag: str
    size: int


class ObjectMissing(LandmarkError):
    """There is no such object."""


class BucketMissing(LandmarkError):
    """There is no such bucket."""


class ObjectRefused(LandmarkError):
    """S3 does not give this object; whether it gives others, a look at another one tells."""


class BodyFault(ServerFault):
    """An object's content does not come whole; whether others do, a look at another one tells."""


def version_of(etag: str | None, size: int, modified: datetime | None) -> str:
    """What tells one version of an object from the next.

    Its etag, without quotes and the mark of weakness, which servers give or leave out; where there
    is none, its size and time.
    """
    found = (etag or "").strip().removeprefix("W/").strip('"')
    time_s = f"{modified.timestamp():.0f}" if modified else ""
    return found or f"{size}-{time_s}"


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


def list_objects(
    client: Any, prefix: str, unreadable: Callable[[str], None] = lambda key: None
) -> Iterator[S3Object]:
    """Stream every object below ``s3://bucket/prefix/``, a page in memory at a time.

    Parameters
    ----------
    unreadable : callable
        Told of each key that is passed over, since nothing can be asked for by it: with a NUL, not
        of UTF-8, or longer than S3 allows.

    Raises
    ------
    BucketMissing
        If there is no such bucket.
    ServerFault
        If an answer is no listing, or says that there is more and not where. What was listed before
        is then no evidence of anything.
    """
    for entry, _ in list_with_times(client, prefix, unreadable):
        yield entry


def list_with_times(
    client: Any, prefix: str, unreadable: Callable[[str], None] = lambda key: None
) -> Iterator[tuple[S3Object, datetime | None]]:
    """Stream objects as `list_objects` does, each with the time of its last writing, where told."""
    bucket, key_prefix = split_path(prefix)
    token: str | None = None
    while True:
        with _explained(prefix):
            page = client.list_objects_v2(
                Bucket=bucket,
                Prefix=key_prefix,
                EncodingType="url",  # else botocore replaces what is not of UTF-8
                **({"ContinuationToken": token} if token else {}),
            )
        if "IsTruncated" not in page:
            raise ServerFault(f"{prefix}: S3's answer is no listing; is something else answering?")
        encoded = page.get("EncodingType") == "url"
        for entry in page.get("Contents", ()):
            key = _readable_key(entry.get("Key", ""), encoded)
            if key is None:
                unreadable(entry.get("Key", ""))
                continue
            size = max(0, int(entry.get("Size") or 0))
            modified = entry.get("LastModified")
            version = version_of(entry.get("ETag"), size, modified)
            yield S3Object(f"s3://{bucket}/{key}", version, size), modified
        if not page["IsTruncated"]:
            return
        last, token = token, page.get("NextContinuationToken")
        if not token or token == last:
            raise ServerFault(f"{prefix}: S3 says that its listing goes on, and not where")


def _readable_key(key: str, encoded: bool) -> str | None:
    """A listed key, None if no object can be asked for by it."""
    try:
        data = unquote_to_bytes(key.replace("+", " ")) if encoded else key.encode()
        found = data.decode()
    except UnicodeError:
        return None
    return found if found and len(data) <= MAX_KEY_BYTES and "\0" not in found else None


def read_object(client: Any, path: str, max_bytes: int = MAX_OBJECT_BYTES) -> tuple[bytes, str]:
    """An object's content and its version, both at one time.

    Raises
    ------
    ObjectMissing
        If there is no such object.
    UnusableImage
        If it is larger than `max_bytes`.
    ObjectRefused
        If S3 does not give it: denied, or not by this request.
    BodyFault
        If it breaks off again and again, or drips.
    ServerFault
        If S3 refuses the account or the bucket.
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
    try:
        return _read_once(client, path, bucket, key, max_bytes)
    except BROKEN_OFF as error:
        raise BodyFault(f"{path}: breaks off each time ({error}); upload it again") from error


def _read_once(client: Any, path: str, bucket: str, key: str, max_bytes: int) -> tuple[bytes, str]:
    with _explained(path):
        answer = client.get_object(Bucket=bucket, Key=key)
    length = answer.get("ContentLength")  # None: sent in chunks
    told = f"{length:,} bytes, " if length is not None else ""
    too_large = UnusableImage(
        f"{path}: {told}more than the {max_bytes:,} that an image may have; store a smaller version"
    )
    with closing(answer["Body"]) as body:
        if length is not None and length > max_bytes:
            raise too_large
        # Of botocore's wrapper, which waits until it has all that it was asked for, however slowly
        # that comes; and gives it packed, where it was uploaded so.
        raw, parts, size, until = body._raw_stream, [], 0, time.monotonic() + BODY_S
        while part := raw.read1(CHUNK_BYTES, decode_content=True):
            parts.append(part)
            size += len(part)
            if size > max_bytes:
                raise too_large
            if time.monotonic() > until:
                raise BodyFault(f"{path}: not read within {BODY_S:g} s; upload it again")
        if length is not None and raw.tell() < length:
            raise IncompleteReadError(actual_bytes=raw.tell(), expected_bytes=length)
    version = version_of(answer.get("ETag"), length or size, answer.get("LastModified"))
    return b"".join(parts), version


def read_head(client: Any, path: str, size: int) -> bytes | None:
    """The first bytes of an object, fewer if it has fewer; None if it is stored packed.

    Raises
    ------
    LandmarkError, ServerFault, BotoCoreError, ClientError
        As of `read_object`, and whatever breaks off; it is not tried again.
    """
    bucket, key = split_path(path)
    with _explained(path):
        answer = client.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{size - 1}")
    with closing(answer["Body"]) as body:
        # Where the range is not heeded, the rest is left.
        head: bytes = body.read(size)
    return None if (answer.get("ContentEncoding") or "").strip() in PACKED else head


def read_etag(client: Any, path: str) -> str:
    """An object's version; raises like `read_object`."""
    bucket, key = split_path(path)
    with _explained(path):
        try:
            answer = client.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] not in WITHOUT_REASON:
                raise
            answer = client.get_object(Bucket=bucket, Key=key)  # it says why
            answer["Body"].close()
    size = answer.get("ContentLength") or 0
    return version_of(answer.get("ETag"), size, answer.get("LastModified"))


def write_object(
    client: Any, path: str, body: bytes, content_type: str, is_new: bool = False
) -> None:
    """Put an object in one request: it is there whole or not at all.

    Parameters
    ----------
    is_new : bool
        Refuse if there is one already; some servers do not know how.

    Raises
    ------
    LandmarkError
        If there is no such bucket, or it may not be written to.
    """
    bucket, key = split_path(path)
    condition = {"IfNoneMatch": "*"} if is_new else {}
    with _explained(path):
        client.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type, **condition)


def delete_object(client: Any, path: str) -> None:
    """Delete an object, if it is there; raises like `write_object`."""
    bucket, key = split_path(path)
    with _explained(path):
        client.delete_object(Bucket=bucket, Key=key)


@contextmanager
def _explained(path: str) -> Iterator[None]:
    """Turn what S3 says into what it is about: this object, or the account; else it is raised."""
    try:
        yield
    except ParamValidationError as error:
        reason = " ".join(str(error).split()).removeprefix("Parameter validation failed: ")
        raise LandmarkError(f"{path}: {reason}; check the path") from error
    except ResponseParserError as error:
        raise ServerFault(f"{path}: what answers does not speak S3 ({error})") from error
    except RecursionError as error:  # botocore follows redirections from region to region
        raise ServerFault(f"{path}: S3 redirects without end; {REGION}") from error
    except ClientError as error:
        code = error.response["Error"]["Code"]
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in ("NoSuchKey", "404"):
            raise ObjectMissing(f"{path}: there is no such object; check the path") from error
        if code == "NoSuchBucket":
            raise BucketMissing(f"{path}: there is no such bucket; check the path") from error
        if code in ACCOUNT_FAULTS:
            raise ServerFault(f"{path}: {code}; check the connection's keys and clock") from error
        if code in REDIRECTS or 300 <= status < 400:
            raise ServerFault(f"{path}: the bucket is elsewhere ({code}); {REGION}") from error
        if code in REFUSALS:
            raise ObjectRefused(
                f"{path}: {code}; give the connection's user the right to it"
            ) from error
        if 400 <= status < 500 and status not in TRY_AGAIN:
            raise ObjectRefused(
                f"{path}: S3 refuses it ({status} {code}); store it anew, or check the path"
            ) from error
        raise
