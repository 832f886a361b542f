"""Where logs are scanned: here, unless somebody names a pool. What a pool needs is imported only then."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from ingest.pool.here import Here, Scans
from ingest.pool.processes import Processes
from ingest.summary import IngestOptions, Summary

LARGE_BYTES = 48 << 20
"""How much there must be in several logs for other processes to be worth their start."""


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
