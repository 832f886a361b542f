"""Where logs are scanned, as whoever stores them sees it; and the plain way: one after another, here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Protocol

from ingest.files.logfile import FileState, LogFile
from ingest.reading.batch import Batch, Rows
from ingest.reading.checkpoint import Checkpoint
from ingest.reading.resume import NotTheSame
from ingest.reading.scan import ScanOptions, scan

Found = tuple[LogFile, FileState | None]
"""A log, and what it is; `None` for a stream."""


class Scans(Protocol):
    """Where logs are scanned."""

    def through(self, logs: Iterable[Found], is_new: Callable[[LogFile, FileState], bool]) -> Iterator[Found]:
        """Pass logs on in their order; those that seem new may be begun with."""

    def scan(self, log: LogFile, checkpoint: Checkpoint | None, options: ScanOptions) -> Iterator[Batch]:
        """Yield the batches of a log; see `ingest.reading.scan.scan`."""


class Here:
    """Scan in this process."""

    def through(self, logs: Iterable[Found], _: Callable[[LogFile, FileState], bool]) -> Iterator[Found]:
        """Pass logs on."""
        return iter(logs)

    def scan(self, log: LogFile, checkpoint: Checkpoint | None, options: ScanOptions) -> Iterator[Batch]:
        """Scan a log."""
        return scan(log, checkpoint, options)


def unless_replaced(rest: Iterator[Batch], last: Batch) -> Iterator[Batch]:
    """Yield the batches behind one; where another log is now, say so as a scan does."""
    try:
        yield from rest
    except NotTheSame:
        yield replace(last, rows=Rows(), state="replaced", bytes_read=0, taken_back_from=None, remarks=())
