"""A Dask cluster over several hosts: network namespaces, or addresses of the loopback interface."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PORT = 8786


class CannotIsolate(Exception):
    """Network namespaces cannot be made here; the message says why."""


@dataclass
class Host:
    """One host.

    Parameters
    ----------
    address : str
        Its own IPv4 address.
    prefix : sequence of str
        Put before a command to run it there.
    folder : Path
        Its working directory.
    """

    address: str
    prefix: Sequence[str]
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(
        self, *arguments: str, python_path: Path | None = None, **variables: str
    ) -> subprocess.Popen[bytes]:
        """Run ``python -m dask …`` there, without our code unless `python_path` has it."""
        environment = {
            name: value for name, value in os.environ.items() if name not in ("PYTHONPATH",)
        }
        if python_path is not None:
            environment["PYTHONPATH"] = str(python_path)
        log = self.folder / f"{len(self.processes)}.log"
        process = subprocess.Popen(
            [*self.prefix, sys.executable, "-m", "dask", *arguments],
            cwd=self.folder,
            env={**environment, **variables},
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def scheduler(self, python_path: Path | None = None, **variables: str) -> str:
        """Start a scheduler and return its address."""
        command = ["scheduler", f"--host={self.address}", f"--port={PORT}", "--no-dashboard"]
        self.start(*command, python_path=python_path, **variables)
        return f"tcp://{self.address}:{PORT}"

    def worker(
        self,
        scheduler: str,
        *arguments: str,
        python_path: Path | None = None,
        **variables: str,
    ) -> subprocess.Popen[bytes]:
        """Start a single-threaded worker."""
        command = ["worker", scheduler, f"--host={self.address}", "--nthreads=1", "--no-dashboard"]
        return self.start(*command, *arguments, python_path=python_path, **variables)

    def lose_power(self) -> None:
        """Kill everything that runs there, at once."""
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.processes.clear()


@contextmanager
def loopback_hosts(folder: Path, count: int, net: int) -> Iterator[list[Host]]:
    """Hosts that differ by an address of the loopback interface, 127.0.`net`.n."""
    hosts = []
    for number in range(1, count + 1):
        (folder / str(number)).mkdir()
        hosts.append(Host(f"127.0.{net}.{number}", (), folder / str(number)))
    try:
        yield hosts
    finally:
        for host in hosts:
            host.lose_power()


@contextmanager
def namespace_hosts(folder: Path, count: int) -> Iterator[tuple[list[Host], str]]:
    """Hosts with a network of their own each, and the address by which they reach this one.

    Raises
    ------
    CannotIsolate
        If they cannot be made here.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        raise CannotIsolate("network namespaces need root on Linux")
    if shutil.which("ip") is None:
        raise CannotIsolate("network namespaces need the program ip (iproute2)")
    name = f"lm{os.getpid() % 100_000}"  # names of interfaces have at most 15 characters
    net = f"10.213.{os.getpid() % 250}"
    with ExitStack() as stack:
        _ip("link", "add", name, "type", "bridge")
        stack.callback(_ip, "link", "delete", name)
        _ip("address", "add", f"{net}.254/24", "dev", name)
        _ip("link", "set", name, "up")
        hosts = []
        for number in range(1, count + 1):
            space, outside = f"{name}-{number}", f"{name}-{number}"
            _ip("netns", "add", space)
            stack.callback(_ip, "netns", "delete", space)
            _ip("link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", space)
            # With its namespace it would go only some time later, and be in the way of the next.
            stack.callback(_ip, "link", "delete", outside)
            _ip("link", "set", outside, "master", name, "up")
            _ip("-n", space, "address", "add", f"{net}.{number}/24", "dev", "eth0")
            _ip("-n", space, "link", "set", "eth0", "up")
            _ip("-n", space, "link", "set", "lo", "up")
            (folder / str(number)).mkdir()
            host = Host(f"{net}.{number}", ("ip", "netns", "exec", space), folder / str(number))
            stack.callback(host.lose_power)
            hosts.append(host)
        yield hosts, f"{net}.254"


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotIsolate(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


@contextmanager
def forwarded(address: str, port: int) -> Iterator[int]:
    """A port of `address` that leads to one of 127.0.0.1, where our servers listen only."""
    with socket.create_server((address, 0)) as server:
        threading.Thread(target=_accept, args=(server, port), daemon=True).start()
        yield server.getsockname()[1]


def _accept(server: socket.socket, port: int) -> None:
    while True:
        try:
            near, _ = server.accept()
        except OSError:
            return
        far = socket.create_connection(("127.0.0.1", port))
        for source, target in ((near, far), (far, near)):
            threading.Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        target.close()
