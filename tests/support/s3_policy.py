"""An S3 server that keeps to a policy: asks it of each request, then hands it on to a real server.

rclone takes one key pair, which may do everything; this stands before it as AWS's own check does.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

REFUSAL = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


class Policy:
    """What a policy's document allows, and which of it has been used.

    Knows what our document has: `Allow`, actions, resources, and `StringLike` of `s3:prefix`.
    """

    def __init__(self, text: str) -> None:
        self.statements = json.loads(text)["Statement"]
        self.used: set[tuple[str, str]] = set()
        self.refused: list[tuple[str, str]] = []

    @property
    def granted(self) -> set[tuple[str, str]]:
        """Each action of each resource, wildcards and all."""
        return {
            (action, resource)
            for statement in self.statements
            for action in listed(statement["Action"])
            for resource in listed(statement["Resource"])
        }

    def allows(self, action: str, resource: str, prefix: str | None = None) -> bool:
        for statement in self.statements:
            assert statement["Effect"] == "Allow"
            wanted = statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix")
            if wanted is not None and (
                prefix is None or not any(fnmatchcase(prefix, like) for like in listed(wanted))
            ):
                continue
            for pattern in listed(statement["Resource"]):
                if action in listed(statement["Action"]) and fnmatchcase(resource, pattern):
                    self.used.add((action, pattern))
                    return True
        self.refused.append((action, resource))
        return False


@contextmanager
def keep_to(policy: Policy, server_port: int) -> Iterator[str]:
    """Serve what the policy allows of the server at 127.0.0.1; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_request(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            address = urlsplit(self.path)
            bucket, _, key = unquote(address.path).lstrip("/").partition("/")
            query = parse_qs(address.query, keep_blank_values=True)
            if key:
                actions = {
                    "GET": "s3:GetObject",
                    "HEAD": "s3:GetObject",
                    "PUT": "s3:PutObject",
                    "DELETE": "s3:DeleteObject",
                }
                asked = (actions.get(self.command, self.command), f"arn:aws:s3:::{bucket}/{key}")
                allowed = policy.allows(*asked)
            else:
                prefix = query.get("prefix", [None])[0]
                action = "s3:ListBucket" if self.command == "GET" else self.command
                allowed = policy.allows(action, f"arn:aws:s3:::{bucket}", prefix)
            if not allowed:
                self.answer(403, {"Content-Type": "application/xml"}, REFUSAL)
                return
            connection = http.client.HTTPConnection("127.0.0.1", server_port, timeout=60)
            # The request as it was signed, its Host too.
            connection.putrequest(self.command, self.path, True, True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            if key and answer.status == 404:
                # AWS says that an object is missing to those who may list the whole bucket only.
                answer.read()
                self.answer(403, {"Content-Type": "application/xml"}, REFUSAL)
                connection.close()
                return
            self.answer(answer.status, dict(answer.getheaders()), answer.read())
            connection.close()

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_request

        def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            length = str(len(body))
            if self.command == "HEAD":
                length = next((v for k, v in headers.items() if k.lower() == "content-length"), "0")
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
