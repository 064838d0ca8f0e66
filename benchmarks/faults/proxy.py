"""A front of an S3 server that can answer wrong, late, or in halves."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

HOST = "127.0.0.1"
PIECES = 8
HOP_BY_HOP = ("connection", "transfer-encoding")
ERROR = (
    '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>made up</Message>'
    "<Resource>/</Resource><RequestId>0</RequestId></Error>"
)


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Parameters
    ----------
    method : str
    path : str
        As it stands in the request, with its query.
    """

    method: str
    path: str

    @property
    def key(self) -> str:
        """Of an object; empty for the bucket itself."""
        return unquote(urlsplit(self.path).path).lstrip("/").partition("/")[2]

    @property
    def listed(self) -> str | None:
        """The prefix, where a listing is asked for."""
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        return query.get("prefix", [""])[0] if "list-type" in query else None


@dataclass(frozen=True)
class Answer:
    """What is answered.

    Parameters
    ----------
    status : int
    headers : dict of str to str
        By names in lower case, without those of the connection.
    content : bytes
    in_chunks : bool
        Sent without saying how long it is.
    cut : bool
        The connection is closed in the middle of what is read.
    drip_s : float
        The content takes so long, drop by drop.
    """

    status: int
    headers: dict[str, str]
    content: bytes
    in_chunks: bool = False
    cut: bool = False
    drip_s: float = 0.0

    @classmethod
    def refusal(cls, status: int, code: str) -> Answer:
        return cls(status, {"content-type": "application/xml"}, ERROR.format(code=code).encode())


#: Makes another answer of the server's.
Bend = Callable[[Request, Answer], Answer]


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
    bend : Bend, optional
        What the server has answered is bent by this.
    """

    status: int = 0
    delay_s: float = 0.0
    cut: bool = False
    every: int = 1
    first: int = 0
    bend: Bend | None = None


class FaultProxy(ThreadingHTTPServer):
    """Passes requests on as they are; their signatures stay valid, as does the Host they name.

    Attributes
    ----------
    fault : Fault or None
        Of the requests from now on.
    requests, faulty, bent : int
        Seen so far; those of a fault; answers that were bent since it began.
    """

    daemon_threads = True

    def __init__(self, server_port: int) -> None:
        super().__init__((HOST, 0), _Handler)
        self.upstream_port = server_port
        self.fault: Fault | None = None
        self.requests = self.faulty = self.bent = 0
        self._since: Counter[str] = Counter()
        self._counting = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}"

    def begin(self, fault: Fault | None) -> None:
        with self._counting:
            self.fault, self._since = fault, Counter()
            if fault is not None:
                self.bent = 0

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

    def count_bent(self, is_bent: bool) -> None:
        with self._counting:
            self.bent += is_bent

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
            self._answer(Answer.refusal(fault.status, code), fault)
            return
        server = http.client.HTTPConnection(HOST, self.server.upstream_port, timeout=120)
        try:
            server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("connection", "expect"):
                    server.putheader(name, value)
            server.endheaders(body or None)
            found = server.getresponse()
            content = found.read()
        except OSError:
            self.close_connection = True  # as if the server itself had gone
            return
        finally:
            server.close()
        headers = {name.lower(): value for name, value in found.getheaders()}
        for name in HOP_BY_HOP:
            headers.pop(name, None)
        answer = Answer(found.status, headers, content, cut=fault.cut)
        if fault.bend is not None:
            bent = fault.bend(Request(self.command, self.path), answer)
            self.server.count_bent(bent != answer)
            answer = bent
        self._answer(answer, fault)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on

    def _answer(self, answer: Answer, fault: Fault) -> None:
        content, of_head = answer.content, self.command == "HEAD"
        self.send_response_only(answer.status)
        length = answer.headers.get("content-length") if of_head else None
        for name, value in answer.headers.items():
            if name != "content-length":
                self.send_header(name, value)
        if answer.in_chunks:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", length or str(len(content)))
        time.sleep(fault.delay_s / 2)
        self.end_headers()
        if of_head:
            return
        if answer.cut and self.command == "GET" and content:
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
            return
        seconds = fault.delay_s / 2 + answer.drip_s
        size = len(content) // (PIECES if seconds or answer.in_chunks else 1) + 1
        for start in range(0, len(content), size):
            piece = content[start : start + size]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if answer.in_chunks else piece)
            time.sleep(seconds / PIECES)
        if answer.in_chunks:
            self.wfile.write(b"0\r\n\r\n")

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
