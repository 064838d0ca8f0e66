"""supervisord: it starts the parts, restarts those that die, keeps their logs, stops them."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from stack.net import StackError
from stack.parts import Part
from stack.state import State

STOP_TIMEOUT_S = 10
#: Parts a log into launches.
LOG_MARK = "=== launched"
#: supervisord's names of states (`supervisor.states`) that a process leaves only by a start.
ENDED = ("STOPPED", "EXITED", "FATAL")


class Supervisor:
    """The supervisord of one state folder.

    Parameters
    ----------
    state : State
    """

    def __init__(self, state: State) -> None:
        self.state = state

    @property
    def _rpc(self) -> Any:
        transport = SupervisorTransport(None, None, serverurl=f"unix://{self.state.socket}")
        return xmlrpc.client.ServerProxy("http://localhost", transport).supervisor

    def runs(self) -> bool:
        """Whether it answers."""
        try:
            self._rpc.getState()
        except (OSError, xmlrpc.client.Error, ValueError):
            return False
        return True

    def launch(self, parts: Iterable[Part], variables: dict[str, str]) -> None:
        """Start supervisord, in the background, with these parts; none of them starts yet."""
        configuration = self.state.run / "supervisord.conf"
        parts = list(parts)
        configuration.write_text(_configuration(self.state, parts))
        for part in parts:
            with self.log_file(part.name).open("a") as log:
                log.write(f"{LOG_MARK} {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
        result = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)],
            env={**os.environ, **variables},
            cwd=self.state.run,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while result.returncode == 0 and not self.runs() and time.monotonic() < deadline:
            time.sleep(0.05)
        if not self.runs():
            output = f"{result.stdout}{result.stderr}".strip()
            raise StackError(f"supervisord did not start: {output or self.log('supervisord')}")

    def start(self, part: Part) -> None:
        """Start one part, without waiting for it."""
        self._rpc.startProcess(part.name, False)

    def processes(self) -> dict[str, dict[str, Any]]:
        """Return supervisord's view of every part, by name."""
        return {process["name"]: process for process in self._rpc.getAllProcessInfo()}

    def stop(self, names: Collection[str]) -> None:
        """Stop parts, all at once, and wait until they have ended."""
        for name in names:
            try:
                self._rpc.stopProcess(name, False)
            except xmlrpc.client.Fault:  # it does not run
                continue
        deadline = time.monotonic() + 2 * STOP_TIMEOUT_S
        while time.monotonic() < deadline:
            processes = self.processes()
            if all(processes[name]["statename"] in ENDED for name in names if name in processes):
                return
            time.sleep(0.1)

    def shut_down(self) -> None:
        """End supervisord itself, and wait for that."""
        try:
            supervisord = psutil.Process(self._rpc.getPID())
            self._rpc.shutdown()
            supervisord.wait(2 * STOP_TIMEOUT_S)
        except (psutil.NoSuchProcess, psutil.TimeoutExpired):
            pass

    def log(self, name: str, lines: int = 20) -> str:
        """Return the last lines of a part's log, of this launch only."""
        try:
            text = self.log_file(name).read_text(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.rpartition(LOG_MARK)[2].splitlines()[1:][-lines:])

    def log_file(self, name: str) -> Path:
        """Say where a part's log lies."""
        return self.state.logs / f"{name}.log"


def remaining_processes(state: State, postgres_data: Path) -> list[psutil.Process]:
    """Return the processes of the stack that still run, its supervisor included.

    All of them, and what they start, work in one folder that nothing else works in. (Their
    environment would be no mark: Postgres and Airflow write their titles over it.) A user's
    shell may have walked there: what has a terminal is left alone.
    """
    homes = {str(state.run), str(postgres_data)}
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() in homes and process.terminal() is None:
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if process.pid != os.getpid()]


def end_processes(processes: Collection[psutil.Process]) -> list[psutil.Process]:
    """Ask these processes to end, then make them; return those that are left nevertheless."""
    for end in (psutil.Process.terminate, psutil.Process.kill):
        for process in processes:
            try:
                end(process)
            except psutil.NoSuchProcess:
                continue
        _, alive = psutil.wait_procs(processes, timeout=3)
        processes = alive
    return list(processes)


def _configuration(state: State, parts: Iterable[Part]) -> str:
    sections: dict[str, dict[str, object]] = {
        "supervisord": {
            "logfile": state.logs / "supervisord.log",
            "logfile_maxbytes": "1MB",
            "logfile_backups": 1,
            "pidfile": state.run / "supervisord.pid",
            "childlogdir": state.logs,
            "directory": state.run,
            "umask": "077",
        },
        "unix_http_server": {"file": state.socket, "chmod": "0700"},
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
    }
    if os.geteuid() == 0:
        sections["supervisord"]["user"] = "root"  # as meant: it warns otherwise
    for part in parts:
        program: dict[str, object] = {
            "command": shlex.join(part.command),
            "autostart": "false",
            "autorestart": "false" if part.ready is None else "true",
            "startsecs": 0 if part.ready is None else 1,
            "startretries": 2,
            "stopsignal": part.stop_signal,
            "stopwaitsecs": STOP_TIMEOUT_S,
            "stopasgroup": str(part.stop_group).lower(),
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": state.logs / f"{part.name}.log",
            "stdout_logfile_maxbytes": "5MB",
            "stdout_logfile_backups": 2,
        }
        if part.user:
            program["user"] = part.user
        sections[f"program:{part.name}"] = program
    lines = []
    for title, options in sections.items():
        lines.append(f"[{title}]")
        lines += [f"{key} = {str(value).replace('%', '%%')}" for key, value in options.items()]
    return "\n".join(lines) + "\n"
