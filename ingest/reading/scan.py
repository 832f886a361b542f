"""Read one source from its checkpoint on: bytes to lines to records to linked batches.

Pure but for reading the log: no database. So it can run in another process, and what it yields is
all that the store needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from ingest.errors import LogUnfinished, LogUnreadable
from ingest.linking.context import merged
from ingest.linking.identity import Seen
from ingest.linking.linker import Linker
from ingest.linking.state import Logged
from ingest.reading.batch import Batch, Reject, Rows, SeenEscalation, Sighting, State
from ingest.reading.checkpoint import Checkpoint, Sample
from ingest.reading.fingerprint import Recent, digest
from ingest.reading.lines import Line, Position, split_lines
from ingest.reading.logfile import LogFile, chunks
from ingest.reading.remembered import as_text
from ingest.reading.resume import Opened, stand_at
from ingest.reading.wrap import Joiner
from ingest.reading.zone import Zone, zone_recorded
from parsers.line import ParsedLine, is_event_line, is_wanted, parse_line, shows_both_prefixes
from parsers.records import Escalation, EstimationEvent, Malformed, Noted

MAX_BATCH_RECORDS = 5_000
"""Rows of one transaction: few enough for memory, many enough that commits cost nothing."""

MAX_BATCH_BYTES = 64 << 20
"""Bytes of one transaction, so that a kill in a log without events loses little work."""

SAMPLE_BYTES = 256
"""Bytes of a marker line that are remembered by their hash; the time stands at its beginning."""

MAX_REJECT_TEXT = 4_000
"""Characters of a rejected line that are kept; the file and the offset tell where the rest is."""


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """How to scan: the zone of a source read for the first time, and whether the log is finished.

    `plain` reads line by line and parses every one, instead of by chunks with a cheap test first;
    `verify` does, and reads no further than `end_offset`.
    """

    zone: str
    finished: bool = False
    plain: bool = False
    end_offset: int | None = None


def scan(log: LogFile, checkpoint: Checkpoint | None, options: ScanOptions) -> Iterator[Batch]:
    """Yield what a log file holds from a checkpoint on, at least one batch if it holds any bytes.

    Damage ends the last batch and is told in its `problem`; what came before it counts.

    Raises:
        NotALog: it is something else altogether.
        LogUnreadable: the file can't be opened.
        NotTheSame: its bytes before the checkpoint are not those of the source.
    """
    with log.opened() as (stream, compression):
        try:
            opened = stand_at(log, stream, compression, checkpoint)
        except LogUnfinished:
            return  # not even its head is there yet
        if opened is not None:
            yield from _Scan(log, opened, compression, options, checkpoint).batches()


def _every_line(_: bytes) -> bool:
    return True


class _Scan:
    """One pass over one source; its parts are the reader's and the linker's, in turn."""

    def __init__(
        self,
        log: LogFile,
        opened: Opened,
        compression: str | None,
        options: ScanOptions,
        checkpoint: Checkpoint | None,
    ) -> None:
        self._log = log
        self._opened = opened
        self._compression = compression
        self._options = options
        self._zone: Zone = zone_recorded(checkpoint.zone if checkpoint else options.zone)
        self._remembered = opened.remembered
        self._remembered.position.offset = opened.offset
        self._was_provisional = self._remembered.provisional
        self._taken_back_from = opened.offset if self._was_provisional else None
        self._remembered.provisional = False
        self._counters = self._remembered.counters
        self._linker = Linker(self._remembered.linker)
        self._recent = Recent(self._remembered.position, opened.before)
        self._joiner = Joiner(self._remembered.position, self._remembered.width)
        self._rows = Rows()
        self._by_offset: dict[int, Sighting] = {}
        self._batch_start = opened.offset
        self._bytes_read = 0  # in this batch
        self._bytes_seen = opened.offset  # in the whole file

    @property
    def _position(self) -> Position:
        return self._remembered.position

    def batches(self) -> Iterator[Batch]:
        last: Line | None = None
        state: State = "complete"
        problem: str | None = None
        try:
            for line in self._lines():
                if not line.terminated:
                    last = line
                    break
                self._take(line)
                if self._is_full():
                    yield self._batch(self._checkpoint(), "reading")
        except LogUnfinished as error:
            state, problem = "unfinished", str(error)
        except LogUnreadable as error:
            state, problem = "damaged", str(error)
        self._linker.reach(self._position.ordinal)
        self._collect_amendments()
        taken = last is not None and state == "complete" and self._counts_unterminated(last)
        self._remembered.provisional = taken
        checkpoint = self._checkpoint()
        if last is not None and taken:
            self._take(last)
            self._linker.reach(last.ordinal)
            self._collect_amendments()
        unread = 0 if taken else max(0, self._bytes_seen - self._position.offset)
        if unread and state == "complete":
            state = "unterminated"
        yield self._batch(checkpoint, state, unread, problem)

    def _counts_unterminated(self, line: Line) -> bool:
        """Whether the last line is read though no newline ends it.

        Where nothing can follow, any line is. In a finished log an event or a reject is: it can be
        taken back, should the file turn out to go on. A context line that is only a fragment could
        tell something wrong, which no later reading could take back.
        """
        if self._compression is not None or self._log.is_stream:
            return True
        parsed = parse_line(line.data, self._remembered.container_logs)
        marker = parsed is not None and isinstance(parsed.record, EstimationEvent | Malformed)
        finished = self._options.finished or self._was_provisional  # what was stored once stays stored
        return finished and (marker or line.is_cut)

    def _lines(self) -> Iterator[Line]:
        """Yield the lines from the checkpoint on; captures that may be wrapped are joined."""
        opened = self._opened
        wanted: Callable[[bytes], object] = _every_line if self._options.plain else is_wanted
        if not opened.encoding.is_wide:
            return split_lines(self._bytes(), self._position, opened.encoding, wanted)
        physical = replace(self._position)
        return self._joiner.joined(split_lines(self._bytes(), physical, opened.encoding, _every_line))

    def _bytes(self) -> Iterator[bytes]:
        def ahead_first() -> Iterator[bytes]:
            if self._opened.ahead:
                yield self._opened.ahead
            yield from chunks(self._opened.stream, self._log.shown, by_line=self._options.plain)

        for chunk in self._recent.through(self._limited(ahead_first())):
            self._bytes_read += len(chunk)
            self._bytes_seen += len(chunk)
            yield chunk

    def _limited(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        end = self._options.end_offset
        for chunk in chunks:
            left = len(chunk) if end is None else end - self._bytes_seen
            if left > 0:
                yield chunk[:left]
            if left < len(chunk):
                return

    def _take(self, line: Line) -> None:
        if line.is_cut:
            self._counters.long_lines += 1
            if is_event_line(line.data):
                self._reject(line, f"longer than the limit: {line.size_bytes} bytes")
            return
        parsed = self._parse(line)
        if parsed is not None:
            self._take_parsed(line, parsed)

    def _parse(self, line: Line) -> ParsedLine | None:
        remembered = self._remembered
        if remembered.container_logs and not line.data.startswith(b"[") and shows_both_prefixes(line.data):
            remembered.container_logs = False
        return parse_line(line.data, remembered.container_logs)

    def _take_parsed(self, line: Line, parsed: ParsedLine) -> None:
        record = parsed.record
        match record:
            case EstimationEvent():
                self._sight(line, parsed, record)
            case Malformed():
                self._reject(line, record.reason)
            case Noted():
                self._note(record)
            case Escalation():
                self._escalate(parsed, record)
            case _:
                moment = self._zone.to_utc(parsed.stamp.moment) if parsed.stamp is not None else None
                self._linker.context_line(record, line.ordinal, moment)
                self._collect_amendments()

    def _sight(self, line: Line, parsed: ParsedLine, record: EstimationEvent) -> None:
        if parsed.stamp is None:  # the parser makes such an event a reject
            return
        moment = self._zone.to_utc(parsed.stamp.moment)
        logged = Logged(moment.isoformat(), parsed.stamp.text)
        context = self._linker.event(record, line.offset, line.ordinal, logged)
        self._collect_amendments()
        sighting = Sighting(line.offset, line.number, Seen(record, moment, parsed.stamp.text, context))
        self._rows.sightings.append(sighting)
        self._by_offset[line.offset] = sighting
        self._mark(line)
        self._counters.sightings += 1

    def _mark(self, line: Line) -> None:
        """Count a marker line, and remember its bytes where they are in the file as they are here."""
        self._counters.marker_lines += 1
        if line.terminated and not self._opened.encoding.is_wide:
            covered = line.data[:SAMPLE_BYTES]
            self._remembered.last_marker = Sample(line.offset, len(covered), digest(covered))

    def _reject(self, line: Line, reason: str) -> None:
        text = line.data[: 4 * MAX_REJECT_TEXT].decode("utf-8", "backslashreplace")[:MAX_REJECT_TEXT]
        self._rows.rejects.append(Reject(line.offset, line.number, reason, text))
        self._mark(line)
        self._counters.rejects += 1

    def _note(self, record: Noted) -> None:
        match record.kind:
            case "legacy":
                self._counters.legacy_lines += 1
            case "write_failure":
                self._counters.write_failures += 1
            case "skipped_event":
                self._counters.skipped_events += 1

    def _escalate(self, parsed: ParsedLine, record: Escalation) -> None:
        if parsed.stamp is None:
            return
        moment = self._zone.to_utc(parsed.stamp.moment)
        around = self._linker.escalation(record)
        self._rows.escalations.append(SeenEscalation(record, moment, parsed.stamp.text, around))

    def _collect_amendments(self) -> None:
        for amendment in self._linker.amendments:
            sighting = self._by_offset.get(amendment.offset)
            if sighting is None or sighting.seen.context.phase is None:
                self._rows.amendments.append(amendment)
            else:
                context = merged(sighting.seen.context, amendment.context)
                sighting.seen = replace(sighting.seen, context=context)
        self._linker.amendments.clear()

    def _is_full(self) -> bool:
        return (
            len(self._rows) >= MAX_BATCH_RECORDS
            or self._position.offset - self._batch_start >= MAX_BATCH_BYTES
        )

    def _checkpoint(self) -> Checkpoint:
        self._remembered.width = self._joiner.width
        self._counters.calls_without_telemetry = self._linker.calls_without_telemetry
        return Checkpoint(
            fingerprint=self._opened.fingerprint,
            tail=self._recent.tail_before(self._position.offset),
            offset=self._position.offset,
            encoding=self._opened.encoding.name,
            zone=self._zone.name,
            remembered=as_text(self._remembered),
        )

    def _batch(
        self, checkpoint: Checkpoint, state: State, unread_bytes: int = 0, problem: str | None = None
    ) -> Batch:
        """Hand over what was gathered since the last batch, and begin the next one."""
        self._counters.calls_without_telemetry = self._linker.calls_without_telemetry
        batch = Batch(
            rows=self._rows,
            checkpoint=checkpoint,
            counters=replace(self._counters),
            state=state,
            compression=self._compression,
            bytes_read=self._bytes_read,
            unread_bytes=unread_bytes,
            taken_back_from=self._taken_back_from,
            problem=problem,
        )
        self._rows, self._by_offset, self._taken_back_from = Rows(), {}, None
        self._batch_start, self._bytes_read = self._position.offset, 0
        return batch
