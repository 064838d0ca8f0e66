"""Ports and HTTP on 127.0.0.1."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Collection
from typing import Any

HOST = "127.0.0.1"


class StackError(RuntimeError):
    """Something of the stack failed; the message names it, the reason and the remedy."""


class NoAnswer(StackError):
    """A server was asked and said nothing; on a busy machine it may yet."""


def free_port(preferred: int = 0, avoid: Collection[int] = ()) -> int:
    """Return the preferred port if it is free on 127.0.0.1, else the next free one above it.

    Parameters
    ----------
    preferred : int
        0 takes any.
    avoid : collection of int
        Ports promised to others, not to be taken as a substitute.
    """
    for port in (preferred, *range(preferred + 1, 65536)):
        if port != preferred and port in avoid:
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # As a server would: a connection still closing on this port does not make it busy.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StackError(f"no free port from {preferred} upwards on {HOST}")


def request(
    url: str, body: Any = None, token: str | None = None, timeout_s: float = 30
) -> tuple[int, Any]:
    """GET, or POST of `body` as JSON; return the status and the answer.

    The answer is parsed where it is JSON, else None. Proxies of the environment are not asked:
    these servers are on this machine.

    Raises
    ------
    OSError
        If nobody answers.
    """
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        asked = urllib.request.Request(url, data, headers)  # noqa: S310  # our own servers
        with opener.open(asked, timeout=timeout_s) as answer:
            status, content = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, content = error.code, error.read()
    try:
        return status, json.loads(content)
    except ValueError:
        return status, None
