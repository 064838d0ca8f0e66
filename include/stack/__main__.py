"""``python -m stack up | down | status | env | demo | screenshots``, and what `up` runs."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from types import FrameType

from stack import lifecycle
from stack.net import StackError
from stack.state import REPOSITORY, State


def main() -> int:
    """Run one command; return its exit status."""
    parser = argparse.ArgumentParser(prog="stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start the stack, or say where it runs")
    commands.add_parser("down", help="stop it; the data stay")
    commands.add_parser("status", help="say which parts run; exit 1 unless all do")
    commands.add_parser("env", help="print its environment, for eval in a shell; has secrets")
    commands.add_parser("migrate", help="Airflow's tables; run by `up`")
    commands.add_parser("scheduler", help="Airflow's scheduler; run by `up`")
    workers = commands.add_parser("workers", help="Dask's workers; run by `up`")
    workers.add_argument("scheduler", help="its address")
    demo = commands.add_parser("demo", help="index the gallery, search three places")
    demo.add_argument("--photos", help="a folder of your own photographs instead")
    demo.add_argument("--query", help="the one of them to search for; by default the first")
    commands.add_parser("screenshots", help="the pictures of the pages in docs/, from the demo")
    arguments = parser.parse_args()

    # A shell that starts this in the background would have it ignore Ctrl-C.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _interrupt)
    try:
        return _run(arguments)
    except StackError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        return 130


def _run(arguments: argparse.Namespace) -> int:
    state = State.of_environment()
    # The demo asks the product itself what a photograph is.
    sys.path.append(str(REPOSITORY / "plugins"))
    if arguments.command == "up":
        lifecycle.describe(lifecycle.up(state))
    elif arguments.command == "down":
        lifecycle.down(state)
    elif arguments.command == "status":
        return 0 if lifecycle.status(state) else 1
    elif arguments.command == "env":
        session = lifecycle.running_session(state)
        if session is None:
            raise StackError("the stack does not run; `make up` starts it")
        for name, value in session.variables.items():
            print(f"export {name}={shlex.quote(value)}")
    elif arguments.command == "migrate":
        from stack.migrate import migrate

        return migrate()
    elif arguments.command == "scheduler":
        from stack.scheduler import become_scheduler

        become_scheduler()
    elif arguments.command == "workers":
        from stack.workers import run_workers

        return run_workers(arguments.scheduler, state)
    elif arguments.command == "screenshots":
        from stack.screenshots import screenshots

        return screenshots(state)
    else:
        from stack.demo import demo

        return demo(state, arguments.photos, arguments.query)
    return 0


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    os.umask(0o077)  # logs and state are nobody else's business
    sys.exit(main())
