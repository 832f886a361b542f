"""Lines in, rows out: what a stretch of a source becomes in the database.

Each marker line becomes a sighting or a reject, and is counted with it; all other lines tell the
linker what is around them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ingest.files.logfile import LogFile
from ingest.files.sample import sample_of
from ingest.linking.context import Context, merged
from ingest.linking.identity import GROUP_LENGTH, Seen
from ingest.linking.linker import MAX_ID_LENGTH, PLACED, Linker
from ingest.linking.state import Amendment, Logged
from ingest.linking.timestamps import time_text
from ingest.reading.batch import Reject, Rows, SeenEscalation, Sighting
from ingest.reading.blocks import Block
from ingest.reading.checkpoint import Counters, Remembered
from ingest.reading.lines import MAX_LINE_BYTES, SAMPLE_BYTES, Line
from ingest.reading.markers import has_marker
from ingest.reading.sifting import Sifted, SiftedEvent
from ingest.reading.wide import WideBlock
from ingest.reading.zone import Zone
from parsers.line import (
    ParsedLine,
    is_event_line,
    parse_line,
    shows_both_prefixes,
)
from parsers.prefix import time_in
from parsers.records import Escalation, EstimationEvent, ListedPath, ListRest, Malformed, Noted

MAX_REJECT_TEXT = 4_000
"""Characters of a rejected line that are kept; the file and the offset tell where the rest is."""


class Watcher(Protocol):
    """Whoever wants to see what becomes of each line, to explain it; lines are read one by one then."""

    def begin(self, log: LogFile) -> None:
        """See of which log the lines are that follow."""

    def see(self, line: Line, container_logs: bool) -> None:
        """See a line before it is read, and whether one with a container's prefix alone was logged."""

    def sighted(self, offset: int, context: Context) -> None:
        """See what is known of the event of the line that was seen last."""

    def amended(self, amendment: Amendment) -> None:
        """See what that line tells of an event before it."""


class Gathering:
    """The rows of one stretch after another of one source; `remembered` is kept up to date.

    `remarks` are sentences' ends, worth saying once.
    """

    def __init__(self, remembered: Remembered, zone: Zone, watcher: Watcher | None = None) -> None:
        """Go on from what a checkpoint remembers."""
        self._remembered = remembered
        self._zone = zone
        self._watcher = watcher
        self._linker = Linker(remembered.linker, lambda prefix: zone.to_utc(time_in(prefix)).timestamp())
        self._rows = Rows()
        self._by_offset: dict[int, int] = {}
        self._marker_at: int | None = None  # where the newest begins in the block that is taken
        self._marker: tuple[int, bytes] | None = None  # the newest that stays as it is, not hashed yet
        self.remarks: list[str] = []

    def __len__(self) -> int:
        """Count the rows gathered since they were handed over last."""
        return len(self._rows)

    @property
    def _counters(self) -> Counters:
        return self._remembered.counters

    def settle(self) -> None:
        """Bring what is remembered up to date, and what was counted in it."""
        self._linker.settle()
        self._counters.calls_without_telemetry = self._linker.calls_without_telemetry
        if self._marker is not None:
            self._remembered.last_marker, self._marker = sample_of(*self._marker), None

    def hand_over(self) -> Rows:
        """Return the rows gathered since the last time, and begin anew."""
        rows, self._rows, self._by_offset = self._rows, Rows(), {}
        return rows

    def wants(self, data: bytes) -> bool:
        """Whether a line may say anything."""
        return self._linker.is_listing or has_marker(data)

    def take_block(self, block: Block | WideBlock, sifted: Iterable[Sifted]) -> None:
        """Take what was sifted out of a block, and move the position past all of its lines."""
        linker, events, last_end = self._linker, 0, -1
        amendments, declared = linker.amendments, linker.state.declared
        for start, end, what, prefix in sifted:
            if last_end < 0 < start and declared.open_list is not None:  # it did not go on in this block
                self._end_list()
            last_end = end
            kind = type(what)
            if kind is SiftedEvent:
                events += 1
                self._take_event(what, block, start)  # type: ignore[arg-type]
            elif kind is bytes:
                self._take_line(what, block, start, end)  # type: ignore[arg-type]
            else:
                is_placed = kind in PLACED or declared.open_list is not None
                take = linker.take if end - start <= MAX_ID_LENGTH else linker.context_line
                take(what, block.place(start).ordinal if is_placed else 0, prefix or None)  # type: ignore[arg-type]
            if amendments:
                self._collect_amendments()
        if last_end < len(block.data) and declared.open_list is not None:
            self._end_list()
        self._counters.marker_lines += events
        self._counters.sightings += events
        if self._marker_at is not None:
            start, self._marker_at = self._marker_at, None
            self._marker = (block.offset_at(start), block.sample(start))
        block.pass_by()

    def _take_event(self, event: SiftedEvent, block: Block | WideBlock, start: int) -> None:
        key, timestamp, text, predicted, actual, smape, ending = event
        offset, number, ordinal = block.place(start)
        payload = tuple.__new__(EstimationEvent, (predicted, actual, False, smape, *ending.values))
        context = self._linker.event(payload, offset, ordinal, tuple.__new__(Logged, (timestamp, text)))
        seen = tuple.__new__(Seen, (payload, timestamp, text, context, False, key[:GROUP_LENGTH]))
        rows = self._rows.sightings
        if context.phase is not None:
            self._by_offset[offset] = len(rows)
        rows.append(tuple.__new__(Sighting, (offset, number, seen)))
        self._marker_at = start

    def _take_line(self, data: bytes, block: Block | WideBlock, start: int, end: int) -> None:
        before = self._counters.marker_lines
        offset, number, ordinal = block.place(start)
        self.take(Line(offset, block.offset_at(end), number, ordinal, data, len(data)))
        if self._counters.marker_lines > before:
            self._marker_at = start

    def _end_list(self) -> None:
        """Say that what stands below a list is no longer part of it."""
        listed = self._linker.state.declared.open_list
        if listed is not None:
            self.reach(listed.ordinal + 1)

    def reach(self, ordinal: int) -> None:
        """Say that a line was reached, wanted or not: some tellings wait for the lines behind them."""
        self._linker.reach(ordinal)
        self._collect_amendments()

    def take(self, line: Line) -> None:
        """Read one line, as slowly as it needs."""
        if self._watcher is not None:
            self._watcher.see(line, self._remembered.container_logs)
        if line.foreign and not self._remembered.foreign:
            self._remembered.foreign = True
            self.remarks.append(f"the encoding changes at offset {line.offset}: read as what it is")
        if line.size_bytes > MAX_LINE_BYTES:
            self._counters.long_lines += 1
            if is_event_line(line.data):
                self._reject(line, f"longer than the limit: {line.size_bytes} bytes")
            return
        if self._linker.is_listing:
            listed = self._parse_listed(line.data)
            if listed is not None:
                self._take_other(listed, line.ordinal)
                return
            self.reach(line.ordinal)
        parsed = self._parse(line) if has_marker(line.data) else None
        if parsed is not None:
            self._take_parsed(line, parsed)

    def _parse_listed(self, data: bytes) -> ParsedLine | None:
        """Read an item of a list; anything else ends it."""
        parsed = parse_line(data, self._remembered.container_logs)
        return parsed if parsed is not None and isinstance(parsed.record, ListedPath | ListRest) else None

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
                self._take_other(parsed, line.ordinal)

    def _take_other(self, parsed: ParsedLine, ordinal: int) -> None:
        seconds = None if parsed.stamp is None else self._zone.to_utc(parsed.stamp.moment).timestamp()
        self._linker.context_line(parsed.record, ordinal, seconds)
        self._collect_amendments()

    def _sight(self, line: Line, parsed: ParsedLine, record: EstimationEvent) -> None:
        if parsed.stamp is None:  # the parser makes such an event a reject
            return
        logged = Logged(time_text(self._zone.to_utc(parsed.stamp.moment)), parsed.stamp.text)
        context = self._linker.event(record, line.offset, line.ordinal, logged)
        if self._watcher is not None:
            self._watcher.sighted(line.offset, context)
        self._collect_amendments()
        seen = Seen(record, *logged, context, is_cut=not line.terminated)
        if context.phase is not None:
            self._by_offset[line.offset] = len(self._rows.sightings)
        self._rows.sightings.append(Sighting(line.offset, line.number, seen))
        self._mark(line)
        self._counters.sightings += 1

    def _mark(self, line: Line) -> None:
        """Count a marker line, and remember the newest that stays as it is."""
        self._counters.marker_lines += 1
        if line.terminated:
            self._marker = (line.offset, (line.raw or line.data)[:SAMPLE_BYTES])

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
        rows = self._rows
        for amendment in self._linker.amendments:
            if self._watcher is not None:
                self._watcher.amended(amendment)
            index = self._by_offset.get(amendment.offset)
            if index is None:
                rows.amendments.append(amendment)
            else:
                sighting = rows.sightings[index]
                payload, moment, text, context, is_cut, group = sighting.seen
                seen = Seen(payload, moment, text, merged(context, amendment.context), is_cut, group)
                rows.sightings[index] = Sighting(sighting.offset, sighting.line_number, seen)
        self._linker.amendments.clear()
