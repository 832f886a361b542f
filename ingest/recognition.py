"""Recognition of files, rotated logs too: how each is read, and what becomes of a source at its path.

Which file is which source, a renamed or packed rotation among them, is decided by `ingest.assign`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain

from ingest.assign import Assigned, assign
from ingest.errors import LogUnreadable
from ingest.evidence import FileEvidence, is_damaged, is_still
from ingest.files.discover import Rotations, target_of
from ingest.files.listing import Files
from ingest.files.logfile import FileState, LogFile, Sample
from ingest.notices import Notice
from ingest.reading.batch import Batch, Rows
from ingest.reading.checkpoint import Counters
from ingest.reading.resume import (
    DamagedCheckpoint,
    NotTheSame,
    evidence_of,
    piped_again,
    recall,
)
from ingest.reading.scan import ScanOptions, scan
from ingest.storing.known_sources import checkpoint_of, logs_known, pipes_known, source_known
from ingest.storing.sources import REPLACED, Source
from ingest.storing.store import Store
from ingest.summary import IngestOptions
from ingest.zones import Zones


@dataclass(slots=True)
class Reading:
    """A log that is read as the rest of a source, or as a new one (`None`) in a zone.

    `batches` are those of a known source. `counters` are those of the whole source; `last` is the batch that
    was added last. `reread` are the sources that a full reading replaces once it has come as far as they.
    """

    log: LogFile
    source: Source | None = None
    counters: Counters = field(default_factory=Counters)
    batches: Iterator[Batch] | None = None
    zone: str | None = None
    reread: Sequence[Source] = ()
    last: Batch | None = None

    @property
    def is_new(self) -> bool:
        """Whether the log is read from its start."""
        return self.batches is None

    def begin_anew(self) -> None:
        """Read the log from its start, as a new source."""
        self.source, self.counters, self.batches, self.last = None, Counters(), None, None


class Recognition:
    """Recognise the files of one ingest run, all of them before any is read."""

    def __init__(self, store: Store, options: IngestOptions, zones: Zones) -> None:
        """Load the sources of a database as they are before the run."""
        self.sources = logs_known(store.connection)
        self._store = store
        self._options = options
        self._zones = zones
        self._scan_options = ScanOptions(
            options.zone.name, options.finished, watcher=options.watcher, prefix=options.prefix
        )
        self._files: dict[LogFile, FileState] = {}
        self._assigned: dict[LogFile, Assigned] = {}
        self._new: dict[LogFile, Reading] = {}
        self._claimed: set[int] = set()
        self._marked: set[int] = set()
        self._renamed: set[LogFile] = set()
        self._rewritten: list[tuple[LogFile, Source, str]] = []
        self._gone: list[Notice] = []
        self._damaged: dict[LogFile, Notice] = {}

    def assign(self, logs: Mapping[LogFile, FileState | None], met: Files) -> None:
        """Assign logs to sources; `met` are all files of the run, including unchanged ones."""
        files = {log: state for log, state in logs.items() if state is not None}
        self._files |= files
        evidence = FileEvidence(self._store.connection, self.sources, self._files, met)
        options = self._options
        found = assign(
            files, self.sources, evidence, self._claimed, finished=options.finished, anew=options.full
        )
        self._assigned |= found
        self._claimed.update(
            assigned.source.source_id for assigned in found.values() if assigned.source is not None
        )
        for log, assigned in found.items():
            if assigned.trouble is None and (assigned.source is None or options.full):
                self._new[log] = Reading(log)
                with suppress(LogUnreadable):  # reading it will report it
                    self._new[log] = self._new_reading(log, assigned.source, evidence)
            if assigned.rewritten is not None and assigned.rewritten.state != REPLACED:
                self._mark_rewritten(log, assigned.rewritten)

    def _new_reading(self, log: LogFile, source: Source | None, evidence: FileEvidence) -> Reading:
        """Return how to read a log from its start, and which sources that replaces."""
        candidates = evidence.candidates(log)
        unclaimed = [known for known in candidates if known.source_id not in self._claimed]
        for known in unclaimed:
            was_read_here = (
                known.path == log.stored_path or (known.file and known.file.number) == self._files[log].number
            )
            if was_read_here and known.state != REPLACED and is_damaged(self._store.connection, known):
                self._damaged[log] = _damaged(log, known)
        asked, reread = self._options.zone_asked_of(log.stored_path), [] if source is None else [source]
        if self._options.full:
            reread += evidence.matching(
                log, [known for known in unclaimed if not evidence.is_in_place(known)]
            )
            self._claimed.update(known.source_id for known in reread)
        if reread:
            return Reading(log, zone=asked or reread[0].timezone, reread=reread)
        zone = self._options.zone_of(log.stored_path)
        originals = [known for known in candidates if known.timezone != zone]
        if self._options.full and asked:  # they will be read in that zone, too
            originals = []
        for original in evidence.matching(log, originals)[:1]:
            self._zones.add_known(log, original.timezone)  # one event, one time
            return Reading(log, zone=original.timezone)
        return Reading(log)

    def is_new(self, log: LogFile) -> bool:
        """Whether a log is read from its start."""
        return log in self._new

    def resume(self, log: LogFile, state: FileState | None) -> Reading | None:
        """Return how to read on in the source that a log is; `None` if there is nothing new in it.

        Raises:
            LogUnreadable, LogUnfinished: it can't be opened.
        """
        if state is None:
            return self._piped_reading(log)
        assigned = self._assigned[log]
        if assigned.trouble is not None:
            raise assigned.trouble
        if assigned.source is None or log in self._new:
            return self._new[log]
        try:
            reading = None if assigned.is_unchanged else self._rest_of(assigned.source, log)
        except NotTheSame as error:  # it was changed since it was assigned
            if isinstance(error, DamagedCheckpoint):
                self._damaged[log] = _damaged(log, assigned.source)
            self._claimed.discard(assigned.source.source_id)
            return Reading(log)
        if reading is None:
            self._keep_state(log, state, assigned.source)
        if assigned.source.path != log.stored_path:
            self._renamed.add(log)
        return reading

    def _keep_state(self, log: LogFile, state: FileState, source: Source) -> None:
        before = source.file.tail_hash if source.file else None
        tail_hash = before if state.is_fresh else None
        moved = log.found_at is not None and source.real_path != log.real_path
        if moved or (source.path, before) != (log.stored_path, tail_hash):
            self._store.keep_state(source, log, tail_hash)
        self._zones.add_known(log, source.timezone)

    def _piped_reading(self, log: LogFile) -> Reading:
        """Resume the source of an earlier pipe if this one repeats all of it, else read from the start."""
        before: dict[int, tuple[Sample, list[Sample]]] = {}
        pipes = pipes_known(self._store.connection)
        for source in pipes:
            with suppress(NotTheSame):
                checkpoint = checkpoint_of(self._store.connection, source)[0]
                remembered = recall(checkpoint)[0]
                if remembered.piped is not None:
                    before[source.source_id] = (remembered.piped, evidence_of(checkpoint, remembered))
        if not before:
            return Reading(log)
        assert log.pipe is not None  # noqa: S101 - for the type checker
        again = piped_again(log.pipe.kept_chunks(log.shown), before)
        same = [source for source in pipes if source.source_id in again]
        if same and self._options.full:
            return Reading(
                log, zone=self._options.zone_asked_of(log.stored_path) or same[0].timezone, reread=same
            )
        for source in same:
            with suppress(NotTheSame):
                return self._rest_of(source, log)
        return Reading(log)

    def _rest_of(self, source: Source, log: LogFile) -> Reading:
        """Read a log on as the rest of a source.

        Raises:
            NotTheSame: it isn't.
        """
        checkpoint, counters = checkpoint_of(self._store.connection, source)
        remembered = recall(checkpoint)[0]
        if remembered.provisional is None and remembered.counters != counters:
            raise DamagedCheckpoint
        batches = scan(log, checkpoint, self._scan_options)
        first = next(batches, None)  # opens the log, and raises before anything is read
        if first is None:
            return Reading(log, source, counters, iter(()))
        self._zones.add_known(log, source.timezone)
        return Reading(log, source, counters, chain([first], batches))

    def zone_of(self, reading: Reading) -> str:
        """Return the zone that a new source is read in."""
        return reading.zone or self._options.zone_of(reading.log.stored_path)

    def prefix_of(self, reading: Reading) -> str | None:
        """Return the template that a new source is read with: the recorded one, if none is given."""
        return self._options.prefix or (reading.reread[0].prefix if reading.reread else None)

    def scanned(self, reading: Reading) -> Iterator[Batch]:
        """Read a log in this process, from its start or from where a worker stopped.

        If another log has taken its place, a last batch has the state `replaced`, as in a scan.
        """
        options, last = self._scan_options, reading.last
        zone, prefix = self.zone_of(reading), self.prefix_of(reading)
        if (zone, prefix) != (options.zone, options.prefix):
            options = replace(options, zone=zone, prefix=prefix)
        try:
            yield from scan(reading.log, last.checkpoint if last else None, options)
        except NotTheSame:
            if last is None:
                raise
            yield replace(
                last,
                rows=Rows(),
                state="replaced",
                bytes_read=0,
                taken_back_from=None,
                remarks=(),
                warnings=(),
            )

    def remove_reread(self, reading: Reading) -> str | None:
        """Remove the sources that a full reading replaces; return a message about events that went."""
        offset = -1 if reading.last is None or reading.source is None else reading.source.offset
        gone = sum(self._store.remove(source) for source in reading.reread if source.offset <= offset)
        if not gone:
            return None
        old_zone = reading.reread[0].timezone
        events = f"{gone} event{'s' if gone > 1 else ''}"
        if reading.zone == old_zone:
            return f"{reading.log.shown}: removed {events} that it no longer tells"
        return (
            f"{reading.log.shown}: read as {reading.zone} now, not as {old_zone}: "
            f"{events} of other times replaced"
        )

    # What was read at a path before

    def _mark_rewritten(self, log: LogFile, before: Source) -> None:
        self._mark_replaced(before)
        if log in self._damaged:  # then nobody knows whether the log still holds it
            return
        text = (
            f"{log.shown}: truncated or rewritten since it was read up to offset {before.offset} "
            f"(it has {self._files[log].size_bytes} bytes now): read from its start"
        )
        self._rewritten.append((log, before, text))

    def _mark_replaced(self, source: Source) -> None:
        self._store.mark_replaced(source)
        self._marked.add(source.source_id)

    def replaced_sources(self, log: LogFile) -> list[Source]:
        """Return the sources read at a log's path before that no file of this run is, the newest first."""
        return self.sources.replaced_at(log.stored_path, self._claimed)

    def mark_gone(self, log: LogFile, replaced: Source) -> None:
        """Mark a source that was read at a log's path, and warn unless it is known where it went."""
        if replaced.source_id in self._claimed | self._marked:  # it is found, or was reported
            return
        self._mark_replaced(replaced)
        if self.sources.is_older(replaced) or log in self._renamed:  # a link or a rotation of long ago
            return
        with suppress(LogUnreadable):
            if is_still(self._store.connection, log, replaced):  # read twice: a full reading was interrupted
                return
        text = (
            f"{log.shown}: another log than the one that was read here up to offset {replaced.offset}, and "
            "that one is gone: if more was written to it before it was moved, name the folder where it is now"
        )
        self._gone.append(Notice("warning", "source-gone", log.shown, text))

    def notices(self) -> Iterator[Notice]:
        """Yield notices of sources that are gone, and of logs that were rewritten.

        The latter are only notes if a copy or a rotation shows that nothing is missing.
        """
        yield from self._gone
        yield from self._damaged.values()
        for log, before, text in self._rewritten:
            is_found = before.source_id in self._claimed or log in self._renamed or self._has_copy(before)
            yield Notice("note" if is_found else "warning", "replaced", log.shown, text)

    def _has_copy(self, source: Source) -> bool:
        """Whether another source's log, from before this run, holds all that was read of a source."""
        for other in self.sources.beginning(source.fingerprint):
            copy = source_known(self._store.connection, other.source_id)  # with what this run read of it
            if copy is not None and copy.source_id != source.source_id and copy.offset >= source.offset:
                with suppress(LogUnreadable):
                    there = LogFile(copy.real_path or copy.path, named=False)
                    if is_still(self._store.connection, there, source):
                        return True
        return False


def _damaged(log: LogFile, source: Source) -> Notice:
    text = (
        f"{log.shown}: what the database keeps of source {source.source_id}, to go on in it, is damaged: the "
        "log was read again from its start, and no event is doubled"
    )
    return Notice("warning", "damaged-checkpoint", log.shown, text)


def places_of(sources: Sequence[Source], log: LogFile, rotations: Rotations) -> list[LogFile]:
    """Return the files in which sources that were read at a log's path may be now."""
    changed = [source.file.modified_ns for source in sources if source.file is not None]
    targets = [target for source in sources for target in target_of(source.real_path, log)]
    earlier_paths = [source.real_path for source in sources]
    return [*targets, *rotations.of(log, min(changed, default=0), earlier_paths)]
