"""Airflow's scheduler: ``python -m stack scheduler``, run by `up`."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import psutil

from stack.supervisor import end_processes

#: How the processes of its LocalExecutor, and their tasks, call themselves.
WORKER_TITLE = "airflow worker --"


def become_scheduler() -> NoReturn:
    """Turn into Airflow's scheduler, once what a killed one has left has ended.

    Its executor's workers outlive it: they would wait for ever for tasks that nobody gives them,
    and end theirs while the new scheduler has them done again.
    """
    end_processes(left_workers())
    # It would listen on every interface; the UI reads the log files itself.
    command = [sys.executable, "-m", "stack.waking", "scheduler", "--skip-serve-logs"]
    os.execv(command[0], command)  # noqa: S606


def left_workers() -> list[psutil.Process]:
    """Return the executor's processes of this stack, which has no other scheduler now."""
    found: list[psutil.Process] = []
    here = os.getcwd()  # the folder in which all parts of the stack run, and nothing else
    for process in psutil.process_iter():
        try:
            if process.cwd() == here and process.cmdline()[0].startswith(WORKER_TITLE):
                found += [process, *process.children(recursive=True)]
        except (psutil.Error, IndexError):
            continue
    return list(dict.fromkeys(found))
