"""The whole of one ingest: which files, from which checkpoints, in which order, into one writer.

A library call first: it takes paths and options, returns a `Summary`, prints nothing. One bad file
never ends the run: it is named among the problems, and the others are read.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlite_utils import Database

from ingest.errors import LogUnreadable, LogVanished, NotALog
from ingest.reading.batch import Batch
from ingest.reading.checkpoint import Counters
from ingest.reading.discover import Discovered, discover
from ingest.reading.logfile import FileState, LogFile
from ingest.reading.resume import NotTheSame, head_of
from ingest.reading.scan import ScanOptions, scan
from ingest.reading.zone import Zone
from ingest.storing.database import files_of, immediate, open_for_writing
from ingest.storing.lock import ingest_lock
from ingest.storing.rows import time_text
from ingest.storing.sources import KnownSources, Source
from ingest.storing.store import Store, Stored
from ingest.version import program_version


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """How to ingest.

    `zone` reads the times of sources that are new; `zone_asked` says that a person named it.
    `finished` logs have their unterminated last line counted. `report` is called with the bytes
    read so far of those there are (compressed files count as they are on disk).
    """

    command: str
    zone: Zone
    zone_asked: bool = False
    finished: bool = False
    globs: tuple[str, ...] = ()
    wait_seconds: float = 0.0
    fail_on_reject: bool = False
    report: Callable[[int, int], None] | None = None


@dataclass(slots=True)
class Summary:
    """What one ingest did.

    `problems` are files that could not be read, or not wholly; `warnings` may mean that bytes were
    gone before anybody could read them, or need a look; `notes` are worth knowing once. All are
    sentences that name the file.
    """

    database: str
    timezone: str
    exit_code: int = 0
    files: int = 0
    files_read: int = 0
    bytes_read: int = 0
    marker_lines: int = 0
    events_new: int = 0
    events_updated: int = 0
    further_sightings: int = 0
    rejects: int = 0
    legacy_lines: int = 0
    calls_without_telemetry: int = 0
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, batch: Batch, before: Counters, stored: Stored) -> None:
        """Count a committed batch, whose source's counters stood at `before`."""
        self.bytes_read += batch.bytes_read
        self.events_new += stored.events_new
        self.events_updated += stored.events_updated
        self.further_sightings += stored.further_sightings
        self.marker_lines += batch.counters.marker_lines - before.marker_lines
        self.rejects += batch.counters.rejects - before.rejects
        self.legacy_lines += batch.counters.legacy_lines - before.legacy_lines
        self.calls_without_telemetry += (
            batch.counters.calls_without_telemetry - before.calls_without_telemetry
        )


def ingest(paths: Sequence[str], database: Path, options: IngestOptions) -> Summary:
    """Read logs into a database, each from where it was read last.

    Raises:
        DatabaseBusy: another ingest, or another writer, holds the database.
        DatabaseUnusable: the database cannot be used as it is.
    """
    with ingest_lock(database, options.wait_seconds), open_for_writing(database) as db:
        found = discover(paths, options.globs, files_of(database))
        summary = Summary(str(database), options.zone.name, files=len(found.logs))
        summary.problems += found.problems
        summary.notes += found.notes
        with _recorded(db, options, summary):
            _Ingest(db, options, summary).read(found)
    return summary


@contextmanager
def _recorded(db: Database, options: IngestOptions, summary: Summary) -> Iterator[None]:
    """Keep a row of this invocation; one that was killed stays unfinished."""
    runs = db.table("ingest_runs")
    started = {
        "command": options.command,
        "started_at": time_text(datetime.now(UTC)),
        "finished_at": None,
        "exit_code": None,
        "timezone": options.zone.name,
        "host": socket.gethostname(),
        "version": program_version(),
    }
    with immediate(db.conn):
        run_id = runs.insert({**started, **_counts(summary)}, pk="ingest_run_id").last_rowid
    yield
    if summary.problems or (options.fail_on_reject and summary.rejects):
        summary.exit_code = 1
    ended = {"finished_at": time_text(datetime.now(UTC)), "exit_code": summary.exit_code}
    with immediate(db.conn):
        runs.update(run_id or 0, {**ended, **_counts(summary)})


def _counts(summary: Summary) -> dict[str, int]:
    return {
        "files": summary.files,
        "files_read": summary.files_read,
        "bytes_read": summary.bytes_read,
        "marker_lines": summary.marker_lines,
        "events_new": summary.events_new,
        "events_updated": summary.events_updated,
        "further_sightings": summary.further_sightings,
        "rejects": summary.rejects,
        "problems": len(summary.problems),
    }


class _Ingest:
    """One run over the discovered logs."""

    def __init__(self, db: Database, options: IngestOptions, summary: Summary) -> None:
        self._options = options
        self._summary = summary
        self._store = Store(db)
        self._sources = KnownSources(db)
        self._scan_options = ScanOptions(zone=options.zone.name, finished=options.finished)
        self._other_zones: dict[str, list[str]] = {}

    def read(self, found: Discovered) -> None:
        """Read every log that holds anything new."""
        live: dict[LogFile, FileState | None] = {}
        for log in found.logs:
            with self._told(log):
                state = None if log.is_stream else log.state()
                if state is None or not self._sources.is_held(state):
                    live[log] = state
                    self._sources.hold(state)
        total = sum(state.size_bytes for state in live.values() if state is not None)
        done = 0
        for log, state in live.items():
            with self._told(log):
                self._read_unless_unchanged(log, state)
            done += state.size_bytes if state is not None else 0
            if self._options.report is not None:
                self._options.report(done, total)
        self._say_other_zones()

    @contextmanager
    def _told(self, log: LogFile) -> Iterator[None]:
        """Name a log that can't be read, and go on with the others."""
        try:
            yield
        except (LogVanished, NotALog) as error:  # nothing to worry about if nobody named it
            (self._summary.problems if log.named else self._summary.notes).append(str(error))
        except LogUnreadable as error:
            self._summary.problems.append(str(error))

    def _read_unless_unchanged(self, log: LogFile, state: FileState | None) -> None:
        if state is None:
            self._read_as(log, None, None)
            return
        unchanged = self._sources.unchanged(state, self._options.finished)
        if unchanged is None:
            self._read_log(log, state)
            return
        self._note_zone(log, unchanged)
        if unchanged.path != log.stored_path:
            self._store.rename(unchanged, log)

    def _read_log(self, log: LogFile, state: FileState) -> None:
        """Find out which source a log is, by its bytes, and read what is new of it."""
        head = head_of(log)
        before = self._sources.read_before(log, state)
        candidates = list(self._sources.candidates(log, state, head))
        if before is not None and before not in candidates:
            self._say_replaced(log, state, before)
            candidates = list(self._sources.candidates(log, state, head))
        for source in candidates:
            try:
                self._read_as(log, state, source)
            except NotTheSame:
                if source is before:
                    self._say_replaced(log, state, source)
            else:
                return
        self._read_as(log, state, None)

    def _say_replaced(self, log: LogFile, state: FileState, before: Source) -> None:
        self._sources.release(before)
        if before.state != "replaced":
            self._store.mark_replaced(before)
            self._summary.warnings.append(
                f"{log.shown}: truncated or rewritten since it was read up to offset {before.offset} "
                f"(it has {state.size_bytes} bytes now): read from its start"
            )

    def _note_zone(self, log: LogFile, source: Source) -> None:
        if self._options.zone_asked and source.timezone != self._options.zone.name:
            self._other_zones.setdefault(source.timezone, []).append(log.shown)

    def _say_other_zones(self) -> None:
        for zone, logs in self._other_zones.items():
            more = f" and {len(logs) - 1:,} more" if len(logs) > 1 else ""
            self._summary.warnings.append(
                f"{logs[0]}{more}: times stay read as {zone}, as they were the first time, "
                f"not as {self._options.zone.name}"
            )

    def _read_as(self, log: LogFile, state: FileState | None, source: Source | None) -> None:
        checkpoint, counters = (None, Counters()) if source is None else self._sources.resume(source)
        batches = 0
        for batch in scan(log, checkpoint, self._scan_options):
            if source is not None and batches == 0:
                self._note_zone(log, source)
            stored = self._store.commit(batch, log, state, source)
            source = stored.source
            self._sources.take(source)
            self._summary.add(batch, counters, stored)
            counters = batch.counters
            batches += 1
            if batch.problem is not None:
                told = self._summary.problems if batch.state == "damaged" else self._summary.warnings
                told.append(f"{batch.problem}: read up to offset {source.offset}, the rest when it is whole")
        self._summary.files_read += batches > 0
