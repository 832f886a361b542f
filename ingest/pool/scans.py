"""Where logs are scanned: here, unless somebody names a pool. What a pool needs is imported only then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from ingest.reading.batch import Batch
from ingest.reading.checkpoint import Checkpoint
from ingest.reading.logfile import FileState, LogFile
from ingest.reading.scan import ScanOptions, scan
from ingest.summary import IngestOptions, Summary

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


@contextmanager
def scans_of(options: IngestOptions, summary: Summary) -> Iterator[Scans]:
    """Yield where to scan: here, or by the scheduler that was named.

    Raises:
        ClusterUnusable: it can't be reached, or used.
    """
    if options.scheduler is None:
        yield Here()
        return
    from ingest.pool.cluster import scanning_ahead  # noqa: PLC0415 - see above

    with scanning_ahead(options.scheduler, options, summary) as ahead:
        yield ahead
