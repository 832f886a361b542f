"""The program in processes forked from this one: each starts in milliseconds, since all is imported."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import ingest.memory
from faults.injection import Boundaries
from ingest.cli import main

BATCH_RECORDS = 3
"""Rows of a batch: few, so that there are many."""

ERRORS = "errors"
"""The name of the file that gets what the program says."""


def start(arguments: Sequence[str], errors: Path, fault: Boundaries | None = None) -> int:
    """Start the program in a child, with batches of a few rows; return its process id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        file = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        ingest.memory.MAX_BATCH_RECORDS = BATCH_RECORDS
        if fault is not None:
            fault.install()
        sys.argv = ["tokentail", *arguments]
        main()
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    finally:
        os._exit(status)  # whatever happened, a child never comes back


def end(child: int) -> int:
    """Wait for a child; return its exit status, negative if a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_after(child: int, seconds: float) -> bool:
    """Kill a child after a while; return whether it was still alive."""
    time.sleep(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    return end(child) == -signal.SIGKILL
