"""Where logs are scanned: here, unless somebody names a pool. What a pool needs is imported only then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Protocol

from ingest.errors import LogUnreadable
from ingest.reading.batch import Batch
from ingest.reading.checkpoint import Checkpoint
from ingest.reading.logfile import FileState, LogFile
from ingest.reading.processes import Processes
from ingest.reading.scan import ScanOptions, scan
from ingest.summary import IngestOptions, Summary

LARGE_BYTES = 48 << 20
"""How much there must be in several logs for other processes to be worth their start."""

LARGE_LOG_BYTES = 96 << 20
"""How much must be left of one log: the first pieces of it are read before anybody can help."""

Found = tuple[LogFile, FileState | None]
"""A log, and what it is; `None` for a stream."""


class Scans(Protocol):
    """Where logs are scanned."""

    def through(self, logs: Iterable[Found], is_new: Callable[[LogFile, FileState], bool]) -> Iterator[Found]:
        """Pass logs on in their order; those that seem new may be begun with."""

    def scan(self, log: LogFile, checkpoint: Checkpoint | None, options: ScanOptions) -> Iterator[Batch]:
        """Yield the batches of a log; see `ingest.reading.scan.scan`."""


class Here:
    """Scan in this process; what is large, in others as well, where there are any."""

    def __init__(self, processes: Processes | None = None) -> None:
        """Use processes that somebody else ends."""
        self._processes = processes

    def through(self, logs: Iterable[Found], _: Callable[[LogFile, FileState], bool]) -> Iterator[Found]:
        """Pass logs on."""
        return iter(logs)

    def scan(self, log: LogFile, checkpoint: Checkpoint | None, options: ScanOptions) -> Iterator[Batch]:
        """Scan a log."""
        if self._processes is None or not _is_large(log, checkpoint):
            return scan(log, checkpoint, options)
        from ingest.pool.stitched import scan_in_segments  # noqa: PLC0415 - see above

        return scan_in_segments(log, checkpoint, options, self._processes, LARGE_LOG_BYTES)


def _is_large(log: LogFile, checkpoint: Checkpoint | None) -> bool:
    start = 0 if checkpoint is None else checkpoint.offset
    if log.is_stream or log.is_remote:
        return False
    with suppress(LogUnreadable):  # told when it is scanned
        return log.state().size_bytes - start >= LARGE_LOG_BYTES
    return False


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

        return nullcontext(Ahead(Local(processes), options.zone_of, options.finished, Here(processes)))
    return nullcontext(Here(processes))
