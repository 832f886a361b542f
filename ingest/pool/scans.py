"""Where logs are scanned: here, unless somebody names a pool. What a pool needs is imported only then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from ingest.reading.batch import Batch
from ingest.reading.checkpoint import Checkpoint
from ingest.reading.logfile import FileState, LogFile
from ingest.reading.processes import Processes
from ingest.reading.scan import LARGE_BYTES, ScanOptions, scan
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


def scans_of(
    options: IngestOptions,
    summary: Summary,
    processes: Processes | None = None,
    new_bytes: Sequence[int] = (),
) -> AbstractContextManager[Scans]:
    """Return where to scan: by the scheduler that was named, in other processes if it is worth that, or here.

    `new_bytes` are the sizes of the logs that seem new.

    Raises:
        ClusterUnusable: when it is entered: the scheduler can't be reached, or used.
    """
    if options.scheduler is not None:
        from ingest.pool.cluster import scanning_ahead  # noqa: PLC0415 - see above

        return scanning_ahead(options.scheduler, options, summary)
    if processes is not None and len(new_bytes) > 1 and sum(new_bytes) >= LARGE_BYTES:
        from ingest.pool.ahead import Ahead  # noqa: PLC0415 - see above
        from ingest.pool.local import Local  # noqa: PLC0415

        return nullcontext(Ahead(Local(processes), options.zone_of, options.finished))
    return nullcontext(Here())
