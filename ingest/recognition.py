"""Which source a log is, by its bytes; and what became of the source that was read at its path before.

Where a log's bytes are not those that were read at its path, it is another log: a rewrite, a rotation, a
swapped link. What was there is looked for, where a link led or among the rotations beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain

from ingest.errors import LogUnreadable
from ingest.files.discover import Rotations, target_of
from ingest.files.listing import Files
from ingest.files.logfile import FileState, LogFile, Sample, digest
from ingest.files.paths import is_url
from ingest.notices import Notice
from ingest.reading.batch import Batch, Rows
from ingest.reading.checkpoint import Counters
from ingest.reading.resume import (
    DamagedCheckpoint,
    NotTheSame,
    evidence_of,
    head_of,
    is_source,
    piped_again,
    recall,
    standing_in,
)
from ingest.reading.scan import ScanOptions, scan
from ingest.storing.known_sources import KnownSources
from ingest.storing.sources import REPLACED, Source
from ingest.storing.store import Store
from ingest.summary import IngestOptions
from ingest.zones import Zones


@dataclass(slots=True)
class Reading:
    """A log that is read as the rest of a source, or as a new one (`None`) in a zone.

    `batches` are those of a known source. `counters` are the source's, all told; `last` is the batch that was
    added last. `reread` are the sources that a full reading stands for when it has come as far.
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
    """Recognise the files of one ingest run; `flush` stores what was read of them so far."""

    def __init__(
        self, store: Store, files: Files, options: IngestOptions, zones: Zones, flush: Callable[[], None]
    ) -> None:
        """Know the sources of a database as they are before the run; `files` are those of the run."""
        self.sources = KnownSources(store.connection, files)
        self._store = store
        self._options = options
        self._zones = zones
        self._flush = flush
        self._scan_options = ScanOptions(
            options.zone.name, options.finished, watcher=options.watcher, prefix=options.prefix
        )
        self._rivals = Rivals((), self.sources)
        self._renamed: set[LogFile] = set()
        self._rewritten: list[tuple[LogFile, Source, str]] = []
        self._gone: list[Notice] = []
        self._damaged: dict[LogFile, Notice] = {}

    def seems_new(self, log: LogFile, state: FileState) -> bool:
        """Whether a log seems to be read from its start, as far as that is known without opening it."""
        return bool(state.size_bytes) and (self._options.full or not self.sources.knows(log, state))

    def is_unchanged(self, log: LogFile, state: FileState) -> bool:
        """Whether nothing of a log is new: its file looks as before, and its end where its time is fresh."""
        source = None if self._options.full else self.sources.unchanged(state, self._options.finished)
        if source is None:
            return False
        before = source.file.ending if source.file else None
        if source.file and before is not None and not log.ends_as(source.file):
            return False
        ending = before if state.is_fresh else None
        moved = log.found_at is not None and source.real_path != log.real_path
        if moved or (source.path, before) != (log.stored_path, ending):
            self._store.keep_state(source, log, ending)
        self.sources.take(source)
        self._note_renamed(log, source)
        self._zones.add_known(log, source.timezone)
        return True

    def resume(self, log: LogFile, state: FileState | None) -> Reading:
        """Find out by its bytes which source a log is, and how to read on in it.

        Raises:
            LogUnreadable, LogUnfinished: it can't be opened.
        """
        if state is None:
            return self._piped_reading(log)
        head = b"" if self.sources.is_empty else head_of(log)
        candidates = standing(log, state, head, self.sources)
        if self._options.full:
            return self._full_reading(log, head, candidates)
        for source in candidates:
            if not source.has_grown_into(state) and self._rivals.others_hold(source, log):
                continue
            try:
                reading = self._rest_of(source, log)
            except DamagedCheckpoint:
                self._damaged[log] = _damaged(log, source)
            except NotTheSame:
                continue
            else:
                self._note_renamed(log, source)
                return reading
        return Reading(log, zone=self._zone_of_original(log, head))

    def _piped_reading(self, log: LogFile) -> Reading:
        """Read a pipe as the rest of one, if all that came through that comes first, else from its start."""
        before: dict[int, tuple[Sample, list[Sample]]] = {}
        pipes = self.sources.pipes()
        for source in pipes:
            with suppress(NotTheSame):
                checkpoint = self.sources.resume(source)[0]
                remembered = recall(checkpoint)[0]
                if remembered.piped is not None:
                    before[source.source_id] = (remembered.piped, evidence_of(checkpoint, remembered))
        if not before or log.pipe is None:
            return Reading(log)
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
        checkpoint, counters = self.sources.resume(source)
        remembered = recall(checkpoint)[0]
        if remembered.provisional is None and remembered.counters != counters:
            raise DamagedCheckpoint
        batches = scan(log, checkpoint, self._scan_options)
        first = next(batches, None)  # opens it: whether it is the source shows before anything is read
        if first is None:
            return Reading(log, source, counters, iter(()))
        self._zones.add_known(log, source.timezone)
        return Reading(log, source, counters, chain([first], batches))

    def _full_reading(self, log: LogFile, head: bytes, candidates: Iterable[Source]) -> Reading:
        """Read a log from its start; the sources that it was read as before go when it is read as far."""
        before = [source for source in candidates if is_still(log, source, self.sources)]
        for source in before:
            self.sources.take(source)
        if not before:
            return Reading(log, zone=self._zone_of_original(log, head))
        asked = self._options.zone_asked_of(log.stored_path)
        return Reading(log, zone=asked or before[0].timezone, reread=before)

    def _zone_of_original(self, log: LogFile, head: bytes) -> str | None:
        """Return the zone in which the log is read that a new one is a copy of: one event, one time."""
        zone = self._options.zone_of(log.stored_path)
        if all(source.timezone == zone for source in self.sources.alike(head)):
            return None
        self._flush()  # the original may have been read on
        for source in self.sources.alike(head):
            if source.timezone != zone and is_still(log, source, self.sources):
                self._zones.add_known(log, source.timezone)
                return source.timezone
        return None

    def zone_of(self, reading: Reading) -> str:
        """Return the zone that a new source is read in."""
        return reading.zone or self._options.zone_of(reading.log.stored_path)

    def prefix_of(self, reading: Reading) -> str | None:
        """Return the template that a new source is read with: the one that was kept, if none is named."""
        return self._options.prefix or (reading.reread[0].prefix if reading.reread else None)

    def scanned(self, reading: Reading) -> Iterator[Batch]:
        """Read a log from its start, or behind what a worker read of it, in this process.

        Where another log is now in its place, the last batch says so, as that of a scan does.
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
        """Take away the sources that a full reading stands for now; say what went with them."""
        offset = -1 if reading.last is None or reading.source is None else reading.source.offset
        gone = sum(self._store.remove(source) for source in reading.reread if source.offset <= offset)
        if not gone:
            return None
        former_zone = reading.reread[0].timezone
        events = f"{gone} event{'s' if gone > 1 else ''}"
        if reading.zone == former_zone:
            return f"{reading.log.shown}: removed {events} that it no longer tells"
        return (
            f"{reading.log.shown}: read as {reading.zone} now, not as {former_zone}: "
            f"{events} of other times replaced"
        )

    # What was read at a path before

    def begin(self, logs: Mapping[LogFile, FileState | None]) -> None:
        """Look at all files of the run before any of them is recognised."""
        files = [(log, state) for log, state in logs.items() if state is not None]
        for log, state in files:
            self._mark_rewritten(log, state)
        self._rivals = Rivals([log for log, _ in files], self.sources)

    def _mark_rewritten(self, log: LogFile, state: FileState) -> None:
        """Let the sources go whose file is another one now, before any of their copies is looked at."""
        for other in self.sources.others_read(log, state):
            if not self._may_be(log, state, other):
                self.sources.leave(other)
        before = self.sources.read_before(log, state)
        if before is not None and not self._may_be(log, state, before):
            self.sources.release(before)
            if before.state != REPLACED:
                self._store.mark_replaced(before)
                if self._is_damaged(before):  # so whether it is still there can't be told
                    self._damaged[log] = _damaged(log, before)
                    return
                text = (
                    f"{log.shown}: truncated or rewritten since it was read up to offset {before.offset} "
                    f"(it has {state.size_bytes} bytes now): read from its start"
                )
                self._rewritten.append((log, before, text))

    def _is_damaged(self, source: Source) -> bool:
        try:
            recall(self.sources.resume(source)[0])
        except DamagedCheckpoint:
            return True
        return False

    def _may_be(self, log: LogFile, state: FileState, source: Source) -> bool:
        """Whether a log may still be what was read of it: if it can't be opened, that is said later."""
        if source.is_unchanged(state, finished=False):
            return True
        try:
            return is_still(log, source, self.sources)
        except LogUnreadable:
            return True

    def _note_renamed(self, log: LogFile, source: Source) -> None:
        """Remember that a log has the name of another one now, as rotations do."""
        if source.path != log.stored_path:
            self._renamed.add(log)

    def replaced_sources(self, log: LogFile) -> list[Source]:
        """Return what was read at a log's path before and no file of this run is, the newest first."""
        return [] if log.is_stream else self.sources.former(log)

    def mark_gone(self, log: LogFile, replaced: Source) -> None:
        """Mark a source that was read at a log's path, and warn of it unless it is known where it went."""
        if self.sources.is_taken(replaced) or self.sources.is_released(replaced):  # it was said already
            return
        self._store.mark_replaced(replaced)
        if self.sources.is_older(replaced) or log in self._renamed:  # a link or a rotation of long ago
            return
        with suppress(LogUnreadable):
            if is_still(log, replaced, self.sources):  # read twice, by a full reading that was cut short
                return
        text = (
            f"{log.shown}: another log than the one that was read here up to offset {replaced.offset}, and "
            "that one is gone: if more was written to it before it was moved, name the folder where it is now"
        )
        self._gone.append(Notice("warning", "source-gone", log.shown, text))

    def notices(self) -> Iterator[Notice]:
        """Say which sources are gone, and which logs were rewritten.

        That is no reason to worry where a copy or a rotation shows that nothing is missing.
        """
        yield from self._gone
        yield from self._damaged.values()
        for log, before, text in self._rewritten:
            is_found = self.sources.is_taken(before) or log in self._renamed or self._has_copy(before)
            yield Notice("note" if is_found else "warning", "replaced", log.shown, text)

    def _has_copy(self, source: Source) -> bool:
        """Whether a log that was read for itself, before this run, holds all that was read of a source."""
        for copy in self.sources.twins(source):
            if copy.offset >= source.offset:
                with suppress(LogUnreadable):
                    if is_still(LogFile(copy.real_path or copy.path, named=False), source, self.sources):
                        return True
        return False


def _damaged(log: LogFile, source: Source) -> Notice:
    text = (
        f"{log.shown}: what the database keeps of source {source.source_id}, to go on in it, is damaged: the "
        "log was read again from its start, and no event is doubled"
    )
    return Notice("warning", "damaged-checkpoint", log.shown, text)


def places_of(sources: Sequence[Source], log: LogFile, rotations: Rotations) -> list[LogFile]:
    """Return where what was read at a log's path may be now."""
    changed = [source.file.modified_ns for source in sources if source.file is not None]
    targets = [target for source in sources for target in target_of(source.real_path, log)]
    former = [source.real_path for source in sources]
    return [*targets, *rotations.of(log, min(changed, default=0), former)]


def is_still(log: LogFile, source: Source, sources: KnownSources) -> bool:
    """Whether a log holds what was read of a source, where it was read.

    Raises:
        LogUnreadable: it can't be opened.
    """
    with suppress(NotTheSame):
        return is_source(log, sources.resume(source)[0])
    return False


def standing(log: LogFile, state: FileState, head: bytes, sources: KnownSources) -> list[Source]:
    """Return the sources that a log may be, the likeliest first; one pass over it for all of them.

    Raises:
        LogUnreadable: it can't be opened.
    """
    near = sources.candidates(log, state, head)
    candidates = [source for source in near if not _is_at_home(source, state, sources)]
    if len(candidates) < 2:
        return candidates
    evidence: dict[int, list[Sample]] = {}
    for source in candidates:
        try:
            checkpoint = sources.resume(source)[0]
            evidence[source.source_id] = evidence_of(checkpoint, recall(checkpoint)[0])
        except DamagedCheckpoint:  # by its first bytes alone: who goes on with it says so
            evidence[source.source_id] = []
    there = standing_in(log, {sample for samples in evidence.values() for sample in samples})
    return [
        source
        for source in candidates
        if source.source_id in evidence and there.issuperset(evidence[source.source_id])
    ]


def _is_at_home(source: Source, state: FileState, sources: KnownSources) -> bool:
    """Whether a source is in another file than this one still, where it was read last: this is a copy."""
    own = source.file
    if own is None or source.real_path is None or is_url(source.real_path):
        return False
    if (own.device, own.inode) == (state.device, state.inode):
        return False
    home = LogFile(source.real_path, named=False)
    with suppress(LogUnreadable):
        there = home.state()
        if (there.device, there.inode) == (own.device, own.inode):
            return source.is_unchanged(there, finished=False) or is_still(home, source, sources)
    return False


class Rivals:
    """The changed files of one run: a source that is not in its own file any more may be in one of them.

    If it may be in two, nobody knows in which: its evidence is a few places, and a copy may differ elsewhere.
    """

    def __init__(self, logs: Iterable[LogFile], sources: KnownSources) -> None:
        """Look at no file yet."""
        self._logs = list(logs)
        self._sources = sources
        self._by_head: dict[int, dict[str, list[LogFile]]] = {}
        self._rotations = Rotations()

    def others_hold(self, source: Source, log: LogFile) -> bool:
        """Whether another of them, or a rotation beside the log, holds what was read of a source too."""
        begun = self._begun(source.fingerprint.size_bytes).get(source.fingerprint.digest, ())
        oldest_ns = source.file.modified_ns if source.file is not None else 0
        rotations = self._rotations.of(log, oldest_ns, [source.real_path])
        for other in (*begun, *(one for one in rotations if one.real_path != log.real_path)):
            with suppress(LogUnreadable):
                if other is not log and is_still(other, source, self._sources):
                    return True
        return False

    def _begun(self, size_bytes: int) -> dict[str, list[LogFile]]:
        """Return the files by the hash of so many first bytes."""
        if size_bytes not in self._by_head:
            found = self._by_head[size_bytes] = {}
            for log in self._logs:
                with suppress(LogUnreadable):
                    found.setdefault(digest(head_of(log)[:size_bytes]), []).append(log)
        return self._by_head[size_bytes]
