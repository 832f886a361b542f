"""Faults built into the ingest: at any boundary it can be made to die, or to stop until it is continued.

Boundaries are where something has just happened or is about to: a log opened, a chunk read, a line
parsed (one that is not read in bulk), a statement about to run, a commit about to happen or done. Each is
counted, so that a run can be made to end at the n-th of a kind.
"""

from __future__ import annotations

import os
import secrets
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ingest.files.logfile
import ingest.files.paths
import ingest.memory
import ingest.reading.batch_builder
import ingest.reading.feed
from ingest import pipeline
from ingest.storing import database

KINDS = ("open", "read", "parse", "statement", "commit", "committed")

DIED = 86
"""Exit status of a process that was made to die; any other one is a failure of the test itself."""

FAULT = "TOKENTAIL_FAULT"
"""`die:KIND:N`, `kill:KIND:N` or `stop:KIND:N`: at the N-th boundary of a kind."""

COUNTS = "TOKENTAIL_FAULT_COUNTS"
"""A file that gets, at each commit, a line for each kind: `KIND N`, the boundaries so far."""

CHUNK_BYTES = "TOKENTAIL_FAULT_CHUNK_BYTES"
BATCH_RECORDS = "TOKENTAIL_FAULT_BATCH_RECORDS"
BUSY_SECONDS = "TOKENTAIL_FAULT_BUSY_SECONDS"
CACHE_BYTES = "TOKENTAIL_FAULT_CACHE_BYTES"
LARGE_BYTES = "TOKENTAIL_FAULT_LARGE_BYTES"
PART = "TOKENTAIL_FAULT_PART"
"""Values for the program's constants of these names, and for the random part of an unfinished file's name."""


def install_from_environment() -> None:
    """Build in what the environment asks for."""
    if size := os.environ.get(CHUNK_BYTES):
        ingest.files.logfile.CHUNK_BYTES = int(size)
    if records := os.environ.get(BATCH_RECORDS):
        ingest.memory.MAX_BATCH_RECORDS = int(records)
    if seconds := os.environ.get(BUSY_SECONDS):
        database.BUSY_SECONDS = float(seconds)
    if size := os.environ.get(CACHE_BYTES):
        ingest.memory.CACHE_BYTES = int(size)
    if size := os.environ.get(LARGE_BYTES):
        pipeline.LARGE_BYTES = int(size)
    if part := os.environ.get(PART):
        secrets.token_hex = lambda nbytes=None: part  # noqa: ARG005 - the name of an unfinished file
    fault, counts = os.environ.get(FAULT), os.environ.get(COUNTS)
    if fault or counts:
        boundaries = boundaries_of(fault or "")
        boundaries.counts_file = counts
        boundaries.install()


def boundaries_of(fault: str) -> Boundaries:
    """Read a fault as it stands in the environment; an empty one does nothing but count."""
    action, kind, number = fault.split(":") if fault else ("", "", "0")
    return Boundaries(action, kind, int(number))


class Boundaries:
    """The boundaries of one process, and what happens at one of them."""

    def __init__(self, action: str = "", kind: str = "", number: int = 0) -> None:
        """Do `action` at the boundary of this kind and number, counted from 1."""
        self._action, self._kind, self._number = action, kind, number
        self.counts: Counter[str] = Counter()
        self.counts_file: str | None = None

    def reach(self, kind: str) -> None:
        """Count a boundary; at the chosen one this may be the end."""
        self.counts[kind] += 1
        if kind == self._kind and self.counts[kind] == self._number:
            self._act()
        if self.counts_file is not None and kind == "committed":
            text = "".join(f"{name} {number}\n" for name, number in self.counts.items())
            Path(self.counts_file).write_text(text, encoding="ascii")

    def _act(self) -> None:
        if self._action == "die":
            os._exit(DIED)
        elif self._action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self._action == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)

    def install(self) -> None:
        """Wrap what the ingest calls at its boundaries, for the rest of this process."""
        feed: Any = ingest.reading.feed
        feed.chunks = self._after_each(feed.chunks)
        feed.overlapping_chunks = self._after_each(feed.overlapping_chunks)
        batch_builder: Any = ingest.reading.batch_builder
        batch_builder.parts_of = self._after("parse", batch_builder.parts_of)
        paths: Any = ingest.files.paths
        paths._opened_file = self._after("open", paths._opened_file)
        self._trace_connections()
        self._watch_commits()

    def _after(self, kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            result = function(*arguments, **options)
            self.reach(kind)
            return result

        return wrapped

    def _after_each(self, function: Callable[..., Iterator[bytes]]) -> Callable[..., Iterator[bytes]]:
        def wrapped(*arguments: Any, **options: Any) -> Iterator[bytes]:
            for chunk in function(*arguments, **options):
                self.reach("read")
                yield chunk

        return wrapped

    def _trace_connections(self) -> None:
        original: Any = sqlite3.connect

        def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
            connection: sqlite3.Connection = original(*arguments, **options)
            connection.set_trace_callback(lambda _: self.reach("statement"))
            return connection

        sqlite3.connect = connect  # type: ignore[assignment]

    def _watch_commits(self) -> None:
        original = database._patiently

        def patiently(connection: sqlite3.Connection, statement: str) -> None:
            if statement == "COMMIT":
                self.reach("commit")
            original(connection, statement)
            if statement == "COMMIT":
                self.reach("committed")

        database._patiently = patiently
