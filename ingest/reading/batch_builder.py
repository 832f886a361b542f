"""From lines to the rows of a batch: what a stretch of a source becomes in the database.

Each marker line becomes a sighting or a reject, and is counted. All other lines go to the linker as context.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from ingest import memory
from ingest.files.logfile import LogFile, sample_of
from ingest.identity import Fact
from ingest.linking.context import NO_CONTEXT, Context, merged
from ingest.linking.linker import MAX_ID_LENGTH, POSITIONAL, Linker
from ingest.linking.state import Amendment
from ingest.linking.timestamps import time_text
from ingest.reading.batch import Reject, Rows, SeenEscalation, Sighting, TwoReadings
from ingest.reading.blocks import Block
from ingest.reading.checkpoint import Counters, Remembered
from ingest.reading.clock import NO_SUCH_TIME, moment_of_line, what_the_zone_leaves
from ingest.reading.extractor import Extracted, ExtractedEvent, has_marker
from ingest.reading.lines import SAMPLE_BYTES, Line
from ingest.reading.unread import Unread
from ingest.reading.zone import Zone
from parsers.event import MAX_NEW_KEYS
from parsers.line import (
    MARKER,
    ParsedLine,
    Part,
    is_event_line,
    marker_role_of,
    may_be_listed,
    parts_of,
    shows_both_prefixes,
    template_for,
)
from parsers.prefix import time_in
from parsers.records import Escalation, EstimationEvent, ListedPath, ListRest, Malformed, Noted
from parsers.template import Template

MAX_REJECT_TEXT = 4_000
"""Characters of a rejected line that are kept; the rest is in the file, at the offset."""


class Watcher(Protocol):
    """An observer of what becomes of each line, to explain it; with one, lines are read one by one."""

    def begin(self, log: LogFile, template: Template | None) -> None:
        """Note which log the next lines are from, and the template that they are read with."""

    def see(self, line: Line, container_logs: bool) -> None:
        """Note a line before it is read; `container_logs` as for `parse_line`."""

    def sighted(self, offset: int, context: Context) -> None:
        """Note the context of the event in the line that was seen last."""

    def amended(self, amendment: Amendment) -> None:
        """Note what that line adds to an earlier event."""


class BatchBuilder:
    """Build the rows of one batch after another of one source; `remembered` is kept up to date.

    `remarks` and `warnings` are the ends of sentences, to be said once. `new_keys` counts the event lines
    with keys that we don't know, since the last batch.
    """

    def __init__(
        self,
        remembered: Remembered,
        zone: Zone,
        template: Template | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        """Go on from what a checkpoint remembers; `template` is that of a custom prefix."""
        self._template = template
        self._remembered = remembered
        self._zone = zone
        self._watcher = watcher
        self._linker = Linker(remembered.linker, self._seconds)
        self._rows = Rows()
        self._by_offset: dict[int, int] = {}
        self._marker_at: int | None = None  # where the newest marker line begins in the current block
        self._marker: tuple[int, bytes] | None = None  # the newest whole one: offset and bytes to be hashed
        self.remarks: list[str] = []
        self.warnings: list[str] = []
        self.new_keys: dict[str, int] = {}

    def __len__(self) -> int:
        """Count the rows since the last batch."""
        return len(self._rows)

    @property
    def _counters(self) -> Counters:
        return self._remembered.counters

    def sync_state(self) -> None:
        """Write what waits in here and in the linker into `remembered`, before it is stored."""
        self._linker.sync_state()
        self._counters.calls_without_telemetry = self._linker.calls_without_telemetry
        if self._marker is not None:
            self._remembered.last_marker, self._marker = sample_of(*self._marker), None

    def build(self) -> Rows:
        """Return the rows since the last batch, and begin the next one."""
        rows, self._rows, self._by_offset = self._rows, Rows(), {}
        return rows

    def wants(self, data: bytes) -> bool:
        """Whether a line may say anything."""
        return self._linker.is_listing or has_marker(data)

    def add_block(self, block: Block, extracted: Iterable[Extracted]) -> None:
        """Add what was extracted from a block, and move the position past all of its lines."""
        linker, events, last_end = self._linker, 0, -1
        amendments, declared = linker.amendments, linker.state.declared
        for start, end, what, prefix in extracted:
            if last_end < 0 < start and declared.open_list is not None:  # the list did not go on here
                self._end_list()
            last_end = end
            kind = type(what)
            if kind is ExtractedEvent:
                events += 1
                self._add_event(what, block, start)  # type: ignore[arg-type]
            elif kind is bytes:
                self._add_single_line(block, start, end)
            else:
                is_positional = kind in POSITIONAL or declared.open_list is not None
                apply = linker.apply if end - start <= MAX_ID_LENGTH else linker.context_line
                apply(what, block.place(start).ordinal if is_positional else 0, prefix or None)  # type: ignore[arg-type]
            if amendments:
                self._collect_amendments()
        if last_end < len(block.data) and declared.open_list is not None:
            self._end_list()
        self._counters.marker_lines += events
        self._counters.sightings += events
        if self._marker_at is not None:
            start, self._marker_at = self._marker_at, None
            self._marker = (block.offset_at(start), block.sample(start))
            if not self._remembered.container_logs:
                self._compare_clocks(block.data[start : block.data.find(b"\n", start)])
        block.advance()

    def _add_event(self, event: ExtractedEvent, block: Block, start: int) -> None:
        stem, timestamp, text, payload = event
        offset, number, ordinal = block.place(start)
        context = self._linker.event(payload, offset, ordinal)
        fact = tuple.__new__(Fact, (payload, timestamp, text, context, False, stem, None))
        rows = self._rows.sightings
        self._by_offset[offset] = len(rows)
        rows.append(tuple.__new__(Sighting, (offset, number, fact)))
        self._marker_at = start

    def _add_single_line(self, block: Block, start: int, end: int) -> None:
        before = self._counters.marker_lines
        self.add_line(block.line(start, end))
        if self._counters.marker_lines > before:
            self._marker_at = start

    def _end_list(self) -> None:
        """Tell the linker that a list has ended."""
        listed = self._linker.state.declared.open_list
        if listed is not None:
            self.reach(listed.ordinal + 1)

    def reach(self, ordinal: int) -> None:
        """Note that a line was reached, whatever it says: a list may have ended before it."""
        self._linker.reach(ordinal)
        self._collect_amendments()

    def add_line(self, line: Line) -> None:
        """Add one line, read by itself."""
        if self._watcher is not None:
            self._watcher.see(line, self._remembered.container_logs)
        if line.foreign and not self._remembered.foreign:
            self._remembered.foreign = True
            self.remarks.append(f"the encoding changes at offset {line.offset}: read as what it is")
        if line.size_bytes > memory.MAX_LINE_BYTES:
            self._add_long_line(line)
            return
        is_listing = self._linker.is_listing
        may_go_on = is_listing and may_be_listed(line.data, self._template)
        parts = self._parts(line, is_listing=True) if may_go_on else []
        if is_listing and not _goes_on_with_list(parts):
            self.reach(line.ordinal)
            is_listing = False
        if not is_listing:
            parts = self._parts(line) if has_marker(line.data) else []
        for part in parts:
            self._add_part(line, part, is_listing)

    def _add_long_line(self, line: Line) -> None:
        """Add a line that was cut at the limit: whatever it is, it is no event."""
        self._counters.long_lines += 1
        occurrences = line.data.count(MARKER) + line.dropped_markers
        if not occurrences:
            return
        is_event = is_event_line(line.data)
        marker_role = "reject" if is_event else marker_role_of(line.data)
        if marker_role == "reject":
            too_long = f"longer than the limit: {line.size_bytes} bytes"
            self._add_reject(line, too_long if is_event else "behind other text")
            self._count_marker(line)
        elif marker_role == "unread":
            self._add_unread(line)
        quoted = occurrences - (marker_role != "quotation")
        self._counters.count_unclaimed(quoted, int(marker_role == "unread"))

    def _parts(self, line: Line, is_listing: bool = False) -> list[Part]:
        remembered, data = self._remembered, line.data
        begins_as_own = data.startswith(b"[") and data[1:2].isdigit()
        if remembered.container_logs and not begins_as_own and shows_both_prefixes(data):
            remembered.container_logs = False
        return parts_of(data, remembered.container_logs, self._template, is_listing, line.is_torn)

    def _add_part(self, line: Line, part: Part, is_listing: bool) -> None:
        part_line = line if part.start == 0 else line._replace(offset=line.offset_at(part.start))
        part_line = part_line._replace(data=part.text)
        if part.parsed is not None:
            self._add_parsed(line, part_line, part)
        elif is_listing and part.start == 0 and part.is_cut:  # a path that was cut: counted, not believed
            self._add_context_line(ParsedLine(None, ListRest(1)), line.ordinal)
        if part.may_start_run is not None:
            self._linker.doubt_run(part.may_start_run)
        if part.marker_role == "unread":
            self._add_unread(part_line)
        self._counters.count_unclaimed(part.quoted, int(part.marker_role == "unread"))

    def _add_unread(self, line: Line) -> None:
        """Remember a line with the event's marker that is not understood."""
        if self._remembered.unread is None:
            self._remembered.unread = Unread(line.offset, line.number)
        self._remembered.unread.add(template_for(line.data))

    def _add_parsed(self, line: Line, part_line: Line, part: Part) -> None:
        parsed = part.parsed
        assert parsed is not None  # noqa: S101 - for the type checker
        record = parsed.record
        match record:
            case EstimationEvent():
                self._add_sighting(part_line, parsed, record, part.is_cut or not line.terminated)
                self._count_marker(line)
            case Malformed():
                self._add_reject(part_line, record.reason)
                self._count_marker(line)
            case Noted():
                self._count_noted(record)
            case _ if parsed.alone:  # the lines around it in the log are not those around it here
                return
            case Escalation():
                self._add_escalation(part_line, parsed, record)
            case _:
                self._add_context_line(parsed, line.ordinal)

    def _add_context_line(self, parsed: ParsedLine, ordinal: int) -> None:
        self._linker.context_line(parsed.record, ordinal, parsed.stamp and parsed.stamp.moment)
        self._collect_amendments()

    def _seconds(self, when: datetime | str, is_last_reading: bool) -> float:
        """Return the seconds since the epoch of a line's time, or of its own prefix; see `SecondsOf`."""
        moment = time_in(when) if isinstance(when, str) else when
        read = self._zone.to_utc_last if is_last_reading else self._zone.to_utc
        return read(moment).timestamp()

    def _add_sighting(self, line: Line, parsed: ParsedLine, record: EstimationEvent, is_cut: bool) -> None:
        if parsed.stamp is None:  # the parser makes such an event a reject
            return
        moment = moment_of_line(self._zone, line.data, parsed.stamp)
        if moment is None:
            self._add_reject(line, NO_SUCH_TIME)
            return
        self._compare_clocks(line.data)
        local = parsed.stamp.moment
        if self._zone.occurs_twice(local):
            readings = self._zone.to_utc(local), self._zone.to_utc_last(local)
            self._rows.two_readings.append(TwoReadings(*map(time_text, readings)))
        context = NO_CONTEXT
        if not parsed.alone:
            context = self._linker.event(record, line.offset, line.ordinal)
        if self._watcher is not None:
            self._watcher.sighted(line.offset, context)
        self._collect_amendments()
        self._count_keys(parsed.new_keys)
        fact = Fact(record, time_text(moment), parsed.stamp.text, context, is_cut=is_cut)
        self._by_offset[line.offset] = len(self._rows.sightings)
        self._rows.sightings.append(Sighting(line.offset, line.number, fact))
        self._counters.sightings += 1

    def _compare_clocks(self, line: bytes) -> None:
        """Say once of a source that a container's clock and the executor's differ by more than the zone."""
        if self._remembered.doubted or self._remembered.container_logs:
            return
        doubt = what_the_zone_leaves(self._zone, line)
        if doubt is not None:
            self._remembered.doubted = True
            self.warnings.append(doubt)

    def _count_keys(self, keys: tuple[str, ...]) -> None:
        """Count event lines by the keys in them that we don't know, for the first few of such keys."""
        for counts in (self.new_keys, self._remembered.new_keys):
            for key in keys:
                if key in counts or len(counts) < MAX_NEW_KEYS:
                    counts[key] = counts.get(key, 0) + 1

    def _count_marker(self, line: Line) -> None:
        """Count a marker line, and remember the newest one that is whole."""
        self._counters.marker_lines += 1
        if line.terminated:
            self._marker = (line.offset, (line.raw or line.data)[:SAMPLE_BYTES])

    def _add_reject(self, line: Line, reason: str) -> None:
        text = line.data[: 4 * MAX_REJECT_TEXT].decode("utf-8", "backslashreplace")[:MAX_REJECT_TEXT]
        self._rows.rejects.append(Reject(line.offset, line.number, reason, text))
        self._counters.rejects += 1

    def _count_noted(self, record: Noted) -> None:
        match record.kind:
            case "legacy":
                self._counters.legacy_lines += 1
            case "write_failure":
                self._counters.write_failures += 1
            case "skipped_event":
                self._counters.skipped_events += 1

    def _add_escalation(self, line: Line, parsed: ParsedLine, record: Escalation) -> None:
        if parsed.stamp is None:
            return
        moment = moment_of_line(self._zone, line.data, parsed.stamp)
        around = self._linker.escalation(record)
        if moment is None:
            return
        seen = SeenEscalation(line.offset, line.number, record, moment, parsed.stamp.text, around)
        self._rows.escalations.append(seen)

    def _collect_amendments(self) -> None:
        rows = self._rows
        for amendment in self._linker.amendments:
            if self._watcher is not None:
                self._watcher.amended(amendment)
            index = self._by_offset.get(amendment.offset)
            if index is None:
                rows.amendments.append(amendment)
            else:
                offset, number, fact = rows.sightings[index]
                known = (*fact[:3], merged(fact.context, amendment.context), *fact[4:])
                fact = tuple.__new__(Fact, known)
                rows.sightings[index] = tuple.__new__(Sighting, (offset, number, fact))
        self._linker.amendments.clear()


def _goes_on_with_list(parts: Sequence[Part]) -> bool:
    """Whether a line is an item of a list, or a torn one; anything else ends it."""
    if not parts:
        return False
    parsed = parts[0].parsed
    return parts[0].is_cut if parsed is None else isinstance(parsed.record, ListedPath | ListRest)
