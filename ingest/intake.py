"""Logs read into the store: each batch with the checkpoint that covers it, short ones together.

What is read waits for its transaction until others have joined it: a commit costs as much as reading a
short log does. What waits is not stored, and not counted; whoever kills the run has it read again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from ingest.files.logfile import LogFile
from ingest.pool.here import Here, Scans
from ingest.reading.batch import State
from ingest.reading.checkpoint import Checkpoint, Counters
from ingest.reading.resume import NotTheSame, recall
from ingest.reading.scan import ScanOptions
from ingest.storing.known_sources import KnownSources
from ingest.storing.pieces import Piece
from ingest.storing.sources import Source
from ingest.storing.store import Store
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
        self._waiting: list[Piece] = []
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
        return self._read(log, source, checkpoint, counters, self._scan_options)

    def read_anew(self, log: LogFile, zone: str | None = None) -> State | None:
        """Read a log from its start, as a new source; again, if it is rewritten meanwhile."""
        options = self._options_in(zone or self._options.zone_of(log.stored_path))
        state: State | None = "replaced"
        for _ in range(TRIES):
            state = self._read(log, None, None, Counters(), options)
            if state is not None and zone is None:
                self._zones.note_new(log.stored_path, log.shown)
            if state != "replaced":
                break
        return state

    def _options_in(self, zone: str) -> ScanOptions:
        if zone != self._scan_options.zone:
            return replace(self._scan_options, zone=zone)
        return self._scan_options

    def _read(
        self,
        log: LogFile,
        source: Source | None,
        checkpoint: Checkpoint | None,
        counters: Counters,
        options: ScanOptions,
    ) -> State | None:
        state: State | None = None
        for batch in self.scans.scan(log, checkpoint, options):
            if state is None and source is not None:
                self._zones.note_known(log.stored_path, log.shown, source.timezone)
            piece = Piece(batch, log, source, counters)
            if state is None and self._may_wait(piece):
                self._wait_for_others(piece)
            else:
                self.settle()
                source = self._commit([piece])
            state, counters = batch.state, batch.counters
        return state

    def _commit(self, pieces: Sequence[Piece]) -> Source:
        """Store and count pieces; return the source of the last one."""
        stored = self._store.commit(pieces)
        for piece, source in zip(pieces, stored.sources, strict=True):
            self._sources.take(source)
            self._summary.add(piece.batch, piece.before, source.offset, piece.log.shown)
            self._summary.files_read += piece.batch.state != "reading"
        self._summary.count(stored)
        self.latest = stored.sources[-1]
        return self.latest

    # Together

    def _may_wait(self, piece: Piece) -> bool:
        """Whether a piece is all that is to be read of its log, short, and nothing to speak of."""
        batch = piece.batch
        return (
            batch.state in ("complete", "unterminated")
            and len(batch.rows) < MAX_TOGETHER_ROWS
            and not (batch.problem or batch.remarks or piece.log.is_stream or self._options.full)
        )

    def _wait_for_others(self, piece: Piece) -> None:
        if piece.source is not None:
            self._sources.take(piece.source)
        if not self._waiting:
            self._waiting_since = time.monotonic()
        self._waiting.append(piece)
        self._rows_waiting += len(piece.batch.rows)
        if (
            len(self._waiting) >= MAX_TOGETHER_LOGS
            or self._rows_waiting >= MAX_TOGETHER_ROWS
            or time.monotonic() - self._waiting_since >= MAX_TOGETHER_SECONDS
        ):
            self.settle()

    def settle(self) -> None:
        """Store what waits for others."""
        waiting, self._waiting, self._rows_waiting = self._waiting, [], 0
        if waiting:
            self._commit(waiting)
