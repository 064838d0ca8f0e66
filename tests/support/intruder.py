"""Somebody on this machine who would have Dask run their code."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from stack.postgres import UNPRIVILEGED_USER

# Each way to each address at once. A certificate of one's own is as good as another's, but for
# the authority that it is of.
PROGRAM = """
import asyncio, json, sys
from distributed import Security
from distributed.core import connect

async def run_code(address, security):
    try:
        comm = await connect(address, timeout=20, **security.get_connection_args("client"))
        try:
            await comm.write({"op": "identity", "reply": True})
            return "id" in await asyncio.wait_for(comm.read(), 20)
        finally:
            comm.abort()
    except (OSError, TypeError, RuntimeError, asyncio.TimeoutError):
        return False

async def main(places, certificate):
    ways = [("tcp", Security(require_encryption=False)), ("tls", Security.temporary())]
    if certificate:
        ways = [("tls", Security(tls_ca_file=certificate, tls_client_cert=certificate))]
    tried = [(scheme + "://" + place, security) for place in places for scheme, security in ways]
    let_in = await asyncio.gather(*(run_code(*way) for way in tried))
    print(json.dumps([address for (address, _), done in zip(tried, let_in) if done]))

asyncio.run(main(json.loads(sys.argv[1]), *sys.argv[2:] or [None]))
"""


def let_in(
    addresses: Collection[str], prefix: Sequence[str] = (), certificate: Path | None = None
) -> set[str]:
    """Return the addresses at which Dask does what it is asked.

    Parameters
    ----------
    addresses : collection of str
        Of any scheme; the intruder tries those that there are.
    prefix : sequence of str
        The words before a command that run it as somebody else.
    certificate : Path, optional
        What to show; by default nothing, and one of the intruder's own.
    """
    places = sorted(address.rpartition("/")[2] for address in addresses)
    shown = [str(certificate)] if certificate else []
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DASK_")}
    done = subprocess.run(
        [*prefix, sys.executable, "-c", PROGRAM, json.dumps(places), *shown],
        cwd="/",
        env={**clean, "HOME": "/"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout))


def ordinary_user() -> list[str]:
    """The words before a command that run it as an ordinary user.

    Root's interpreter may lie where that user cannot walk (``/root``); the one thing lent then is
    the right to read there.
    """
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam(UNPRIVILEGED_USER)
    drop = [
        "setpriv",
        f"--reuid={user.pw_uid}",
        f"--regid={user.pw_gid}",
        "--clear-groups",
    ]
    # Twice: setpriv itself still finds what the user it turns into cannot.
    twice = "import subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)"
    probe = [*drop, sys.executable, "-c", twice]
    result = subprocess.run(probe, cwd="/", capture_output=True, check=False)
    if result.returncode == 0:
        return drop
    # no_setuid_fixup: access(2), which supervisord asks, would not count the right otherwise.
    lent = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return [*drop, *lent, "--securebits=+no_setuid_fixup"]
