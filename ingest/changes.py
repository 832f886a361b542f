"""The logs that may hold anything new: each from where it was read last, into one writer.

Which source a log is, is told by its bytes. Where they are not those that were read at its path
before, what was there is looked for, and read on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from ingest.errors import ClusterUnusable, LogUnfinished, LogUnreadable, LogVanished, NotALog
from ingest.files.listing import Files, Listed
from ingest.files.logfile import FileState, LogFile
from ingest.formers import Formers, places_of
from ingest.intake import Intake
from ingest.pool.processes import Processes
from ingest.pool.scans import scans_of
from ingest.reading.batch import State
from ingest.reading.resume import NotTheSame, head_of
from ingest.recognition import Rivals, is_still, standing
from ingest.storing.known_sources import KnownSources
from ingest.storing.sources import Source
from ingest.storing.store import Store
from ingest.summary import IngestOptions, Summary
from ingest.zones import Zones


class Changes:
    """What one run reads."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        store: Store,
        options: IngestOptions,
        summary: Summary,
        held: Files,
    ) -> None:
        """Count in `summary`; the database is open for writing. `held` are the files of this run."""
        self._options = options
        self._summary = summary
        self._store = store
        self._sources = KnownSources(connection, held)
        self._formers = Formers(self._store, self._sources, summary)
        self._processes = Processes(options.jobs) if options.jobs > 1 else None
        self._zones = Zones(options)
        self._intake = Intake(store, self._sources, self._zones, options, summary)
        self._rivals = Rivals((), self._sources)
        self._identified: dict[LogFile, None] = {}

    def read(self, changed: Iterable[Listed], missing: Sequence[str], unchanged_bytes: int) -> None:
        """Read every log that holds anything new, and what was read before where one is missing now."""
        try:
            self._read(changed, missing, unchanged_bytes)
        except ClusterUnusable as error:
            self._summary.problems.append(str(error))
        finally:
            if self._processes is not None:
                self._processes.close()
            self._intake.settle()  # who stops a run keeps what was read

    def _read(self, changed: Iterable[Listed], missing: Sequence[str], unchanged_bytes: int) -> None:
        live = dict(self._looked_up(changed))
        for log, state in live.items():
            if state is not None:
                self._formers.release(log, state)
        self._rivals = Rivals([log for log, state in live.items() if state], self._sources)
        new = [state.size_bytes for log, state in live.items() if state and self._is_new(log, state)]
        with scans_of(self._options, self._summary, self._processes, new) as scans:
            self._intake.scans = scans
            self._read_live(live, unchanged_bytes)
            self._intake.settle()
        for log in (*self._identified, *map(LogFile, missing)):
            self._follow_former(log)
        self._intake.settle()  # before anything is told of sources
        self._formers.tell_replaced()
        self._zones.tell(self._store.connection, self._summary)

    def _read_live(self, live: Mapping[LogFile, FileState | None], unchanged_bytes: int) -> None:
        done = unchanged_bytes
        total = done + sum(state.size_bytes for state in live.values() if state is not None)
        for log, state in self._intake.scans.through(live.items(), self._is_new):
            with self._told(log):
                self._read_unless_unchanged(log, state)
            done += state.size_bytes if state is not None else 0
            if self._options.report is not None:
                self._options.report(done, total)

    def _looked_up(self, changed: Iterable[Listed]) -> Iterator[tuple[LogFile, FileState | None]]:
        """Yield the logs with what they are; those that couldn't be looked up are tried once more."""
        for path, stored, found, named in changed:
            log = LogFile(path, named=named, stored=stored)
            with self._told(log):
                state = None if log.is_stream else log.state(found)
                if found is not None or state is None or not self._sources.is_held(state):
                    self._sources.hold(state)
                    yield log, state

    def _is_new(self, log: LogFile, state: FileState) -> bool:
        """Whether a log seems to be read from its start: worth beginning with before that is certain."""
        return bool(state.size_bytes) and (self._options.full or not self._sources.knows(log, state))

    @contextmanager
    def _told(self, log: LogFile) -> Iterator[None]:
        """Name a log that can't be read, and go on with the others."""
        try:
            yield
        except (LogVanished, NotALog) as error:  # nothing to worry about if nobody named it
            (self._summary.problems if log.named else self._summary.notes).append(str(error))
        except LogUnreadable as error:
            self._summary.problems.append(str(error))
        except LogUnfinished as error:
            self._summary.warnings.append(f"{error}: the rest when it is whole")

    def _follow_former(self, log: LogFile) -> None:
        """Read on what a path led to before, wherever it is now, or say that it is gone."""
        formers = [] if log.is_stream else self._sources.former(log)
        for other in places_of(formers, log) if formers else ():
            with self._told(other):
                state = other.state()
                if not self._sources.is_held(state):
                    self._sources.hold(state)
                    self._read_unless_unchanged(other, state)
        if log in self._identified:
            for former in formers:
                self._formers.tell_gone(log, former)

    # Which source a log is

    def _read_unless_unchanged(self, log: LogFile, state: FileState | None) -> None:
        if state is None:
            self._intake.read_anew(log)
            return
        unchanged = None if self._options.full else self._sources.unchanged(state, self._options.finished)
        kept = unchanged is not None and self._keep_unchanged(log, state, unchanged)
        if kept or self._read_log(log, state) is not None or not state.size_bytes:
            self._identified[log] = None

    def _keep_unchanged(self, log: LogFile, state: FileState, source: Source) -> bool:
        """Whether a file that looks unchanged is; where its time was too fresh to trust, its end tells."""
        before = source.file.ending if source.file else None
        if source.file and before is not None and not log.ends_as(source.file):
            return False
        ending = before if state.is_fresh else None
        moved = log.found_at is not None and source.real_path != log.real_path
        if moved or (source.path, before) != (log.stored_path, ending):
            self._store.keep_state(source, log, ending)
        self._sources.take(source)
        self._formers.note_moved(log, source)
        self._zones.note_known(log.stored_path, log.shown, source.timezone)
        return True

    def _read_log(self, log: LogFile, state: FileState) -> State | None:
        """Find out by its bytes which source a log is, and read what is new of it; return how it was left."""
        head = b"" if self._sources.is_empty else head_of(log)
        candidates = standing(log, state, head, self._sources)
        if self._options.full:
            return self._read_full(log, head, candidates)
        for source in candidates:
            if not source.has_grown_into(state) and self._rivals.others_hold(source, log):
                continue
            try:
                left = self._intake.read(log, source)
            except NotTheSame:
                continue
            self._formers.note_moved(log, source)
            return self._intake.read_anew(log) if left == "replaced" else left
        return self._intake.read_anew(log, self._zone_of_original(log, head))

    def _zone_of_original(self, log: LogFile, head: bytes) -> str | None:
        """Return the zone in which the log is read that a new one is a copy of: one event, one time."""
        zone = self._options.zone_of(log.stored_path)
        if all(source.timezone == zone for source in self._sources.alike(head)):
            return None
        self._intake.settle()  # the original may have been read on
        for source in self._sources.alike(head):
            if source.timezone != zone and is_still(log, source, self._sources):
                self._zones.note_known(log.stored_path, log.shown, source.timezone)
                return source.timezone
        return None

    def _read_full(self, log: LogFile, head: bytes, candidates: list[Source]) -> State | None:
        """Read a log from its start; the sources that it was read as before go when it is read as far."""
        before = [source for source in candidates if is_still(log, source, self._sources)]
        for source in before:
            self._sources.take(source)
        former_zone = before[0].timezone if before else self._zone_of_original(log, head)
        zone = (self._options.zone_asked_of(log.stored_path) if before else None) or former_zone
        left, latest = self._intake.read_anew(log, zone), self._intake.latest
        read_upto = latest.offset if left is not None and latest is not None else -1
        gone = sum(self._store.remove(source) for source in before if source.offset <= read_upto)
        if gone:
            events = f"{gone} event{'s' if gone > 1 else ''}"
            changed = f"read as {zone} now, not as {former_zone}: {events} of other times replaced"
            same = f"removed {events} that it no longer tells"
            self._summary.notes.append(f"{log.shown}: {same if zone == former_zone else changed}")
        return left
