"""up, down, status: the stack as a whole."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from stack.certificates import make_certificate
from stack.environment import (
    PREFERRED_PORTS,
    UI_USER,
    Addresses,
    stack_variables,
    write_ui_password,
)
from stack.net import StackError, free_port
from stack.parts import Part, stack_parts
from stack.postgres import PostgresFiles, postgres_files
from stack.s3 import make_bucket
from stack.state import State
from stack.supervisor import ENDED, Supervisor, end_processes, remaining_processes

#: The longest time without a word.
QUIET_S = 20


def say(text: str) -> None:
    """Print a line at once, even into a pipe."""
    print(text, flush=True)


class Session:
    """A running stack, as `up` left it.

    Attributes
    ----------
    addresses : Addresses
    variables : dict
        What the stack's processes have in their environment.
    """

    def __init__(self, state: State, ports: dict[str, int], variables: dict[str, str]) -> None:
        self.addresses = Addresses(state, ports)
        self.variables = variables


#: Callables by the name of the part that they wait for.
WhenReady = Mapping[str, Callable[[Session], None]]


def running_session(state: State) -> Session | None:
    """Return the running stack of this state folder; None if it does not run."""
    saved = state.load_session()
    if saved is None or not Supervisor(state).runs():
        return None
    return Session(state, saved["ports"], saved["variables"])


def up(state: State, when_ready: WhenReady | None = None) -> Session:
    """Start the stack, or what of it does not run, and return when every part is ready.

    Parameters
    ----------
    state : State
    when_ready : mapping, optional
        What to do, by a part's name, as soon as that part is ready and others still start.

    Raises
    ------
    StackError
        If a part does not come up within its time. What this call has started is stopped again.
    """
    state.make()
    with state.lock():
        begin = time.monotonic()
        session = running_session(state)
        started_here = session is None
        files = postgres_files(state.postgres)
        supervisor = Supervisor(state)
        try:
            if session is None:
                say(f"starting the stack in {state.folder}")
                end_processes(remaining_processes(state, files.data))
                session = _new_session(state)
            parts = stack_parts(session.addresses, session.variables, files)
            if started_here:
                files.initialise(session.addresses.postgres.passwords["postgres"])
                make_bucket(state.s3)
                write_ui_password(session.addresses)
                make_certificate(state.dask_certificate)
                supervisor.launch(parts, session.variables)
            for part in _bring_up(supervisor, parts):
                if when_ready and part in when_ready:
                    when_ready[part](session)
        except BaseException:
            if started_here:
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C leaves no halves
                _stop_everything(state, files)
            raise
    word = "is up" if started_here else "is up already"
    say(f"the stack {word} ({time.monotonic() - begin:.1f} s)")
    return session


def down(state: State) -> None:
    """Stop the stack; its data stay.

    Raises
    ------
    StackError
        If a process survives.
    """
    if not state.folder.exists():
        say("the stack does not run")
        return
    state.make()
    with state.lock():
        begin = time.monotonic()
        files = postgres_files(state.postgres)
        ran = Supervisor(state).runs() or bool(remaining_processes(state, files.data))
        if not ran:
            state.forget_session()
            say("the stack does not run")
            return
        left = _stop_everything(state, files)
        if left:
            raise StackError(f"these processes of the stack do not end: {', '.join(left)}")
    say(f"the stack is down, no process left ({time.monotonic() - begin:.1f} s)")
    say(f"its data stay in {state.folder}; `make up` takes them up again")


def status(state: State) -> bool:
    """Print every part's state; return whether all run."""
    session = running_session(state)
    if session is None:
        say("the stack does not run; `make up` starts it")
        return False
    files = postgres_files(state.postgres)
    processes = Supervisor(state).processes()
    healthy = True
    for part in stack_parts(session.addresses, session.variables, files):
        if part.ready is None:
            continue
        ready = part.ready()
        healthy &= ready
        say(f"  {part.name:<18} {'ready' if ready else processes[part.name]['description']}")
    describe(session)
    return healthy


def describe(session: Session) -> None:
    """Print where everything is."""
    addresses, variables = session.addresses, session.variables
    say(f"  Airflow   {addresses.ui}   user {UI_USER}, password {addresses.ui_password}")
    say(f"  images    {variables['LANDMARK_IMAGES']}")
    say(f"  results   {variables['LANDMARK_RESULTS']}")
    say(f"  S3        {addresses.s3.endpoint_url}   files in {addresses.state.s3}")
    say(f"  Dask      {variables['LANDMARK_DASK']}")
    say(f"  logs      {addresses.state.logs}")
    say("  make down stops it")


def _new_session(state: State) -> Session:
    ports: dict[str, int] = {}
    for name, preferred in PREFERRED_PORTS.items():
        promised = {*PREFERRED_PORTS.values(), *ports.values()}
        ports[name] = free_port(preferred, promised)
        if ports[name] != preferred:
            say(f"  port {preferred} ({name}) is busy; {ports[name]} is taken instead")
    session = Session(state, ports, stack_variables(Addresses(state, ports)))
    state.save_session({"ports": ports, "variables": session.variables})
    return session


def _bring_up(supervisor: Supervisor, parts: Sequence[Part]) -> Iterator[str]:
    """Start each part as soon as what it needs is ready; yield the name of each that is."""
    waiting = list(parts)
    ready: set[str] = set()
    started: dict[str, float] = {}
    quiet_since = time.monotonic()
    while waiting:
        processes = supervisor.processes()
        for part in list(waiting):
            state = processes[part.name]["statename"]
            if part.name not in started:
                if not ready.issuperset(part.needs):
                    continue
                started[part.name] = time.monotonic()
                if state not in ENDED or (part.ready is None and processes[part.name]["stop"]):
                    continue  # it runs, or has run, since an earlier `up`
                supervisor.start(part)
                continue
            seconds = time.monotonic() - started[part.name]
            if _is_ready(part, processes[part.name]):
                ready.add(part.name)
                waiting.remove(part)
                say(f"  {part.name:<18} ready {seconds:5.1f} s")
                quiet_since = time.monotonic()
                yield part.name
            elif state == "FATAL" or _has_failed(part, processes[part.name]):
                raise StackError(_failure(supervisor, part, "ended at once"))
            elif seconds > part.timeout_s:
                reason = f"was not ready within {part.timeout_s:.0f} s"
                raise StackError(_failure(supervisor, part, reason))
        if time.monotonic() - quiet_since > QUIET_S:
            quiet_since = time.monotonic()
            names = ", ".join(part.name for part in waiting if part.name in started)
            say(f"  still starting: {names}")
        time.sleep(0.3)


def _is_ready(part: Part, process: dict[str, object]) -> bool:
    if part.ready is None:
        return process["statename"] == "EXITED" and process["exitstatus"] == 0
    return process["statename"] == "RUNNING" and part.ready()


def _has_failed(part: Part, process: dict[str, object]) -> bool:
    ended = process["statename"] == "EXITED"
    return part.ready is None and ended and process["exitstatus"] != 0


def _failure(supervisor: Supervisor, part: Part, reason: str) -> str:
    return (
        f"{part.name} {reason}; its log ends:\n{supervisor.log(part.name)}\n"
        f"{part.name} {reason}; the whole log: {supervisor.log_file(part.name)}"
    )


def _stop_everything(state: State, files: PostgresFiles) -> list[str]:
    """Stop what others need last; return the names of what survives."""
    supervisor = Supervisor(state)
    if supervisor.runs():
        names = list(supervisor.processes())
        last = [name for name in names if name in ("postgres", "s3")]
        for group in ([name for name in names if name not in last], last):
            say(f"  stopping {', '.join(group)}")
            supervisor.stop(group)
        supervisor.shut_down()
    left = end_processes(remaining_processes(state, files.data))
    state.forget_session()
    return [f"{process.name()} ({process.pid})" for process in left]
