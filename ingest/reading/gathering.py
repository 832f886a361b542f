"""Lines in, rows out: what a stretch of a source becomes in the database.

Each marker line becomes a sighting or a reject, and is counted with it; all other lines tell the
linker what is around them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from ingest.events import Fact
from ingest.files.logfile import LogFile, sample_of
from ingest.linking.context import NO_CONTEXT, Context, merged
from ingest.linking.linker import MAX_ID_LENGTH, POSITIONAL, Linker
from ingest.linking.state import Amendment, Logged
from ingest.linking.timestamps import time_text
from ingest.reading.batch import Reject, Rows, SeenEscalation, Sighting
from ingest.reading.blocks import Block
from ingest.reading.checkpoint import Counters, Remembered
from ingest.reading.clock import NO_SUCH_TIME, moment_of_line, what_the_zone_leaves
from ingest.reading.lines import MAX_LINE_BYTES, SAMPLE_BYTES, Line
from ingest.reading.sifting import Sifted, SiftedEvent, has_marker
from ingest.reading.unread import Unread
from ingest.reading.zone import Zone
from parsers.event import MAX_NEW_KEYS
from parsers.line import (
    MARKER,
    ParsedLine,
    Part,
    is_event_line,
    may_be_listed,
    parts_of,
    shows_both_prefixes,
    standing_of,
    template_for,
)
from parsers.prefix import time_in
from parsers.records import Escalation, EstimationEvent, ListedPath, ListRest, Malformed, Noted
from parsers.template import Template

MAX_REJECT_TEXT = 4_000
"""Characters of a rejected line that are kept; the file and the offset tell where the rest is."""


class Watcher(Protocol):
    """Whoever wants to see what becomes of each line, to explain it; lines are read one by one then."""

    def begin(self, log: LogFile, template: Template | None) -> None:
        """See of which log the lines are that follow, and the template that they are read with."""

    def see(self, line: Line, container_logs: bool) -> None:
        """See a line before it is read, and whether one with a container's prefix alone was logged."""

    def sighted(self, offset: int, context: Context) -> None:
        """See what is known of the event of the line that was seen last."""

    def amended(self, amendment: Amendment) -> None:
        """See what that line tells of an event before it."""


class Gathering:
    """The rows of one stretch after another of one source; `remembered` is kept up to date.

    `remarks` and `warnings` are sentences' ends, worth saying once.
    """

    def __init__(
        self,
        remembered: Remembered,
        zone: Zone,
        template: Template | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        """Go on from what a checkpoint remembers; `template` is that of a prefix of one's own."""
        self._template = template
        self._remembered = remembered
        self._zone = zone
        self._watcher = watcher
        self._linker = Linker(remembered.linker, lambda prefix: zone.to_utc(time_in(prefix)).timestamp())
        self._rows = Rows()
        self._by_offset: dict[int, int] = {}
        self._marker_at: int | None = None  # where the newest begins in the block that is taken
        self._marker: tuple[int, bytes] | None = None  # the newest that stays as it is, not hashed yet
        self.remarks: list[str] = []
        self.warnings: list[str] = []
        self.new_keys: dict[str, int] = {}  # since they were handed over last

    def __len__(self) -> int:
        """Count the rows gathered since they were handed over last."""
        return len(self._rows)

    @property
    def _counters(self) -> Counters:
        return self._remembered.counters

    def sync_state(self) -> None:
        """Bring what is remembered up to date, and what was counted in it."""
        self._linker.sync_state()
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

    def take_block(self, block: Block, sifted: Iterable[Sifted]) -> None:
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
                self._take_line(block, start, end)
            else:
                is_placed = kind in POSITIONAL or declared.open_list is not None
                apply = linker.apply if end - start <= MAX_ID_LENGTH else linker.context_line
                apply(what, block.place(start).ordinal if is_placed else 0, prefix or None)  # type: ignore[arg-type]
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
        block.pass_by()

    def _take_event(self, event: SiftedEvent, block: Block, start: int) -> None:
        stem, timestamp, text, predicted, actual, smape, ending = event
        offset, number, ordinal = block.place(start)
        payload = tuple.__new__(EstimationEvent, (predicted, actual, False, smape, *ending.values))
        context = self._linker.event(payload, offset, ordinal, tuple.__new__(Logged, (timestamp, text)))
        fact = tuple.__new__(Fact, (payload, timestamp, text, context, False, stem, None))
        rows = self._rows.sightings
        self._by_offset[offset] = len(rows)
        rows.append(tuple.__new__(Sighting, (offset, number, fact)))
        self._marker_at = start

    def _take_line(self, block: Block, start: int, end: int) -> None:
        before = self._counters.marker_lines
        self.take(block.line(start, end))
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
            self._take_long(line)
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
            self._take_part(line, part, is_listing)

    def _take_long(self, line: Line) -> None:
        """Take a line of which only the beginning is there: no event, whatever it is."""
        self._counters.long_lines += 1
        occurrences = line.data.count(MARKER) + line.dropped_markers
        if not occurrences:
            return
        is_event = is_event_line(line.data)
        standing = "reject" if is_event else standing_of(line.data)
        if standing == "reject":
            too_long = f"longer than the limit: {line.size_bytes} bytes"
            self._reject(line, too_long if is_event else "behind other text")
            self._mark(line)
        elif standing == "unread":
            self._pass_over(line)
        quoted = occurrences - (standing != "quotation")
        self._counters.count_unclaimed(quoted, int(standing == "unread"))

    def _parts(self, line: Line, is_listing: bool = False) -> list[Part]:
        remembered, data = self._remembered, line.data
        begins_as_own = data.startswith(b"[") and data[1:2].isdigit()
        if remembered.container_logs and not begins_as_own and shows_both_prefixes(data):
            remembered.container_logs = False
        return parts_of(data, remembered.container_logs, self._template, is_listing, line.is_torn)

    def _take_part(self, line: Line, part: Part, is_listing: bool) -> None:
        here = line if part.start == 0 else line._replace(offset=line.offset_at(part.start))
        here = here._replace(data=part.text)
        if part.parsed is not None:
            self._take_parsed(line, here, part)
        elif is_listing and part.start == 0 and part.is_cut:  # the path is not believed, but one was there
            self._take_other(ParsedLine(None, ListRest(1)), line.ordinal)
        if part.may_start_run is not None:
            self._linker.doubt_run(part.may_start_run)
        if part.standing == "unread":
            self._pass_over(here)
        self._counters.count_unclaimed(part.quoted, int(part.standing == "unread"))

    def _pass_over(self, line: Line) -> None:
        """Remember that a line with the event's marker is not understood."""
        if self._remembered.unread is None:
            self._remembered.unread = Unread(line.offset, line.number)
        self._remembered.unread.add(template_for(line.data))

    def _take_parsed(self, line: Line, here: Line, part: Part) -> None:
        parsed = part.parsed
        assert parsed is not None  # noqa: S101 - for the type checker
        record = parsed.record
        match record:
            case EstimationEvent():
                self._sight(here, parsed, record, part.is_cut or not line.terminated)
                self._mark(line)
            case Malformed():
                self._reject(here, record.reason)
                self._mark(line)
            case Noted():
                self._note(record)
            case _ if parsed.alone:  # the lines around it in the log are not those around it here
                return
            case Escalation():
                self._escalate(here, parsed, record)
            case _:
                self._take_other(parsed, line.ordinal)

    def _take_other(self, parsed: ParsedLine, ordinal: int) -> None:
        seconds = None if parsed.stamp is None else self._zone.to_utc(parsed.stamp.moment).timestamp()
        self._linker.context_line(parsed.record, ordinal, seconds)
        self._collect_amendments()

    def _sight(self, line: Line, parsed: ParsedLine, record: EstimationEvent, is_cut: bool) -> None:
        if parsed.stamp is None:  # the parser makes such an event a reject
            return
        moment = moment_of_line(self._zone, line.data, parsed.stamp)
        if moment is None:
            self._reject(line, NO_SUCH_TIME)
            return
        logged = Logged(time_text(moment), parsed.stamp.text)
        self._compare_clocks(line.data)
        context = NO_CONTEXT
        if not parsed.alone:
            context = self._linker.event(record, line.offset, line.ordinal, logged)
        if self._watcher is not None:
            self._watcher.sighted(line.offset, context)
        self._collect_amendments()
        self._count_keys(parsed.new_keys)
        fact = Fact(record, *logged, context, is_cut=is_cut)
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
        """Count event lines by the keys in them that we don't know; the first ones are told apart."""
        for counts in (self.new_keys, self._remembered.new_keys):
            for key in keys:
                if key in counts or len(counts) < MAX_NEW_KEYS:
                    counts[key] = counts.get(key, 0) + 1

    def _mark(self, line: Line) -> None:
        """Count a marker line, and remember the newest that stays as it is."""
        self._counters.marker_lines += 1
        if line.terminated:
            self._marker = (line.offset, (line.raw or line.data)[:SAMPLE_BYTES])

    def _reject(self, line: Line, reason: str) -> None:
        text = line.data[: 4 * MAX_REJECT_TEXT].decode("utf-8", "backslashreplace")[:MAX_REJECT_TEXT]
        self._rows.rejects.append(Reject(line.offset, line.number, reason, text))
        self._counters.rejects += 1

    def _note(self, record: Noted) -> None:
        match record.kind:
            case "legacy":
                self._counters.legacy_lines += 1
            case "write_failure":
                self._counters.write_failures += 1
            case "skipped_event":
                self._counters.skipped_events += 1

    def _escalate(self, line: Line, parsed: ParsedLine, record: Escalation) -> None:
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
