"""Where logs are scanned: at a cluster that was named, in other processes if that is worth it, or here."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from ingest.pool.ahead import Here, Scans
from ingest.reading.scan import LARGE_BYTES

if TYPE_CHECKING:
    from ingest.reading.processes import Processes
    from ingest.summary import IngestOptions, Summary


def chosen_scans(
    options: IngestOptions, summary: Summary, processes: Processes | None, new_bytes: list[int]
) -> AbstractContextManager[Scans]:
    """Return where logs are scanned; `new_bytes` are the sizes of those that are read from their start."""
    if options.scheduler is not None:
        from ingest.pool.cluster import at_scheduler  # noqa: PLC0415 - seldom

        return at_scheduler(options.scheduler, options, summary)
    if processes is not None and len(new_bytes) > 1 and sum(new_bytes) >= LARGE_BYTES:
        from ingest.pool.local import on_this_machine  # noqa: PLC0415 - only for many logs

        return on_this_machine(options, processes)
    return nullcontext(Here())
