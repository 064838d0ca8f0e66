"""A front of an S3 server that can answer wrong, late, or in halves."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOST = "127.0.0.1"
PIECES = 8
ERROR = (
    '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>made up</Message>'
    "<Resource>/</Resource><RequestId>0</RequestId></Error>"
)


@dataclass(frozen=True)
class Fault:
    """What is wrong with the answers.

    Parameters
    ----------
    status : int
        Answer this instead of asking the server; 0: ask it.
    delay_s : float
        In all, spread over the answer.
    cut : bool
        Close the connection in the middle of what is read.
    every : int
        One request of so many, beginning with the first.
    first : int
        Only the first so many requests of each path; 0: no limit.
    """

    status: int = 0
    delay_s: float = 0.0
    cut: bool = False
    every: int = 1
    first: int = 0


class FaultProxy(ThreadingHTTPServer):
    """Passes requests on as they are; their signatures stay valid, as does the Host they name.

    Attributes
    ----------
    fault : Fault or None
        Of the requests from now on.
    requests, faulty : int
        Seen so far.
    """

    daemon_threads = True

    def __init__(self, server_port: int) -> None:
        super().__init__((HOST, 0), _Handler)
        self.upstream_port = server_port
        self.fault: Fault | None = None
        self.requests = self.faulty = 0
        self._since: Counter[str] = Counter()
        self._counting = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}"

    def begin(self, fault: Fault | None) -> None:
        with self._counting:
            self.fault, self._since = fault, Counter()

    def next_fault(self, path: str) -> Fault | None:
        with self._counting:
            self.requests += 1
            self._since[path] += 1
            fault = self.fault
            if fault is None or (self._since.total() - 1) % fault.every:
                return None
            if fault.first and self._since[path] > fault.first:
                return None
            self.faulty += 1
            return fault

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultProxy

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.next_fault(self.path) or Fault()
        if fault.status:
            code = "SlowDown" if fault.status == 503 else "InternalError"
            self._answer(fault.status, [], ERROR.format(code=code).encode(), fault)
            return
        server = http.client.HTTPConnection(HOST, self.server.upstream_port, timeout=120)
        try:
            server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("connection", "expect"):
                    server.putheader(name, value)
            server.endheaders(body or None)
            answer = server.getresponse()
            content = answer.read()
        except OSError:
            self.close_connection = True  # as if the server itself had gone
            return
        finally:
            server.close()
        self._answer(answer.status, answer.getheaders(), content, fault)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on

    def _answer(
        self, status: int, headers: list[tuple[str, str]], content: bytes, fault: Fault
    ) -> None:
        self.send_response_only(status)
        length = str(len(content))
        for name, value in headers:
            if name.lower() == "content-length":
                length = value  # of HEAD: that of the object
            elif name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        time.sleep(fault.delay_s / 2)
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault.cut and self.command == "GET" and content:
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
            return
        size = len(content) // (PIECES if fault.delay_s else 1) + 1
        for start in range(0, len(content), size):
            self.wfile.write(content[start : start + size])
            time.sleep(fault.delay_s / 2 / PIECES)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: the S3 server has a log."""


@contextmanager
def fault_proxy(server_port: int) -> Iterator[FaultProxy]:
    """Run a proxy of the S3 server on this port."""
    with FaultProxy(server_port) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
