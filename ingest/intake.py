"""Logs read into the store: each batch with the checkpoint that covers it, small logs several at a time.

What is read waits for its transaction until others have joined it: a commit costs as much as reading a
short log does. What waits is not stored, and not counted; whoever kills the run has it read again.
"""

from __future__ import annotations

import time
from dataclasses import replace

from ingest.pool.here import Here, Scans
from ingest.reading.batch import Batch, State
from ingest.reading.checkpoint import Counters
from ingest.reading.logfile import LogFile
from ingest.reading.resume import NotTheSame, recall
from ingest.reading.scan import ScanOptions
from ingest.storing.known_sources import KnownSources
from ingest.storing.sources import Source
from ingest.storing.store import Store, Whole
from ingest.summary import IngestOptions, Summary
from ingest.zones import Zones

TRIES = 3
"""How often a log is begun anew in one run while somebody rewrites it under our eyes."""

MAX_TOGETHER_LOGS = 50
MAX_TOGETHER_ROWS = 2_000
MAX_TOGETHER_SECONDS = 0.5
"""How long a log waits at most for others, unless reading the next one takes longer."""


class Intake:
    """Read logs as what they were found to be; `scans` is where they are read.

    `latest` is the source that was stored last.
    """

    def __init__(
        self, store: Store, sources: KnownSources, zones: Zones, options: IngestOptions, summary: Summary
    ) -> None:
        """Count in `summary`."""
        self.scans: Scans = Here()
        self.latest: Source | None = None
        self._store = store
        self._sources = sources
        self._zones = zones
        self._options = options
        self._scan_options = ScanOptions(options.zone.name, options.finished)
        self._summary = summary
        self._waiting: list[Whole] = []
        self._rows_waiting = 0
        self._waiting_since = 0.0

    def read(self, log: LogFile, source: Source) -> State | None:
        """Read a log as the rest of a source; return how it was left, or `None` if it is empty.

        Raises:
            NotTheSame: it isn't.
        """
        checkpoint, counters = self._sources.resume(source)
        remembered = recall(checkpoint)[0]
        if remembered.provisional is None and remembered.counters != counters:
            raise NotTheSame
        state: State | None = None
        try:
            for batch in self.scans.scan(log, checkpoint, self._scan_options):
                if state is None:
                    self._zones.note_known(log.stored_path, log.shown, source.timezone)
                source = self._commit(batch, log, source, counters)
                state, counters = batch.state, batch.counters
        finally:
            self._store.wait()
        self._summary.files_read += state is not None
        return state

    def read_anew(self, log: LogFile, zone: str | None = None) -> State | None:
        """Read a log from its start, as a new source; again, if it is rewritten meanwhile."""
        state: State | None = "replaced"
        for _ in range(TRIES):
            state = self._read_new(log, zone)
            if state != "replaced":
                break
        return state

    def _read_new(self, log: LogFile, zone: str | None) -> State | None:
        options = replace(self._scan_options, zone=zone or self._options.zone_of(log.stored_path))
        source: Source | None = None
        state: State | None = None
        counters = Counters()
        try:
            for batch in self.scans.scan(log, None, options):
                if source is None and self._may_wait(batch, log):
                    self._wait_for_others(Whole(batch, log))
                else:
                    source = self._commit(batch, log, source, counters)
                state, counters = batch.state, batch.counters
        finally:
            self._store.wait()
        self._summary.files_read += source is not None
        if state is not None and zone is None:
            self._zones.note_new(log.stored_path, log.shown)
        return state

    def _commit(self, batch: Batch, log: LogFile, source: Source | None, before: Counters) -> Source:
        self.settle()
        ahead = batch.state == "reading" and not log.is_stream
        stored = self._store.commit(batch, log, source, ahead=ahead)
        self._sources.take(stored.source)
        self.latest = stored.source
        self._summary.add(batch, before, stored, log.shown)
        return stored.source

    # Together

    def _may_wait(self, batch: Batch, log: LogFile) -> bool:
        """Whether a log was read wholly, as nothing to speak of: nobody asks for a source that is new."""
        return (
            batch.state in ("complete", "unterminated")
            and len(batch.rows) < MAX_TOGETHER_ROWS
            and not (batch.problem or batch.remarks or log.is_stream or self._options.full)
        )

    def _wait_for_others(self, whole: Whole) -> None:
        if not self._waiting:
            self._waiting_since = time.monotonic()
        self._waiting.append(whole)
        self._rows_waiting += len(whole.batch.rows)
        if (
            len(self._waiting) >= MAX_TOGETHER_LOGS
            or self._rows_waiting >= MAX_TOGETHER_ROWS
            or time.monotonic() - self._waiting_since >= MAX_TOGETHER_SECONDS
        ):
            self.settle()

    def settle(self) -> None:
        """Store what waits for others."""
        waiting, self._waiting, self._rows_waiting = self._waiting, [], 0
        if not waiting:
            return
        for whole, stored in zip(waiting, self._store.commit_whole(waiting), strict=True):
            self._sources.take(stored.source)
            self._summary.add(whole.batch, Counters(), stored, whole.log.shown)
            self._summary.files_read += 1
