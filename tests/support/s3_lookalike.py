"""A small HTTP server that answers like S3, and whose answers a test bends."""

from __future__ import annotations

import hashlib
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from xml.sax.saxutils import escape

import boto3
from botocore.config import Config

BUCKET = "b"


class Lookalike:
    """What a test bends.

    Attributes
    ----------
    objects : dict of str to bytes
        By key; one that begins with ``raw:`` is listed as it stands after that.
    page : int
        Keys of a page of a listing.
    listing : callable, optional
        Answers a listing by itself; given the handler.
    get : callable, optional
        Answers GET or HEAD of a key by itself, given the handler and the key; else returns False.
    listed_etag, read_etag : callable
        Of a key the ETag's header, None for none.
    without_token : bool
        Whether a page that is not the last names no next one.
    """

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects
        self.page = 1000
        self.listing: Callable[[Any], None] | None = None
        self.get: Callable[[Any, str], bool] = lambda handler, key: False
        self.listed_etag: Callable[[str], str | None] = self.etag
        self.read_etag: Callable[[str], str | None] = self.etag
        self.without_token = False
        self.asked: list[str] = []

    def etag(self, key: str) -> str | None:
        return f'"{hashlib.sha256(self.objects[key]).hexdigest()[:32]}"'


@contextmanager
def lookalike(objects: dict[str, bytes]) -> Iterator[tuple[Lookalike, Any]]:
    """A look-alike with these objects in `BUCKET`, and a client of it."""
    fake = Lookalike(objects)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(fake))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield (
            fake,
            boto3.client(
                "s3",
                endpoint_url=f"http://127.0.0.1:{server.server_port}",
                aws_access_key_id="a",
                aws_secret_access_key="b",  # pragma: allowlist secret
                region_name="us-east-1",
                config=Config(
                    retries={"mode": "standard", "total_max_attempts": 2},
                    s3={"addressing_style": "path"},
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            ),
        )
    finally:
        server.shutdown()
        server.server_close()


def _handler(fake: Lookalike) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None: ...

        def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def refuse(self, status: int, code: str) -> bool:
            self.reply(status, f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode())
            return True

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            address = urllib.parse.urlsplit(self.path)
            query = dict(urllib.parse.parse_qsl(address.query, keep_blank_values=True))
            bucket_alone = address.path.strip("/") == BUCKET
            if "list-type" in query or bucket_alone:
                fake.listing(self) if fake.listing else self.list(query)
                return
            key = urllib.parse.unquote(address.path.split("/", 2)[2])
            fake.asked.append(key)
            if fake.get(self, key):
                return
            if key not in fake.objects:
                self.refuse(404, "NoSuchKey")
                return
            etag = fake.read_etag(key)
            self.reply(200, fake.objects[key], **({"ETag": etag} if etag else {}))

        def list(self, query: dict[str, str]) -> None:
            keys = [key for key in sorted(fake.objects) if key.startswith(query.get("prefix", ""))]
            keys = [*keys, *(key for key in sorted(fake.objects) if key.startswith("raw:"))]
            start = int(query.get("continuation-token") or 0)
            end = start + fake.page
            more = end < len(keys)
            token = f"<NextContinuationToken>{end}</NextContinuationToken>"
            lines = [
                "<ListBucketResult><Name>b</Name><EncodingType>url</EncodingType>",
                f"<IsTruncated>{str(more).lower()}</IsTruncated>",
                token if more and not fake.without_token else "",
            ]
            for key in keys[start:end]:
                etag = fake.listed_etag(key)
                listed = key[4:] if key.startswith("raw:") else urllib.parse.quote(key)
                lines.append(
                    f"<Contents><Key>{listed}</Key>"
                    f"{f'<ETag>{escape(etag)}</ETag>' if etag else ''}"
                    f"<LastModified>2026-01-02T03:04:05Z</LastModified>"
                    f"<Size>{len(fake.objects[key])}</Size></Contents>"
                )
            self.reply(200, "".join([*lines, "</ListBucketResult>"]).encode())

    return Handler
