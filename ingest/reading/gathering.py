"""Lines in, rows out: what a stretch of a source becomes in the database.

Each marker line becomes a sighting or a reject, and is counted with it; all other lines tell the
linker what is around them. Of a block only the lines with a marker are looked at.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from ingest.linking.context import merged
from ingest.linking.identity import Seen, quick_group_key
from ingest.linking.linker import Linker
from ingest.linking.state import Logged
from ingest.linking.timestamps import time_text
from ingest.reading.batch import Reject, Rows, SeenEscalation, Sighting
from ingest.reading.blocks import Block, Numbering
from ingest.reading.checkpoint import Counters, Remembered
from ingest.reading.lines import SAMPLE_BYTES, Line
from ingest.reading.sample import sample_of
from ingest.reading.zone import Zone
from parsers.line import (
    ParsedLine,
    has_marker,
    is_event_line,
    parse_line,
    read_message,
    shows_both_prefixes,
)
from parsers.quick import QuickEvent, QuickEvents, match_prefix
from parsers.records import Escalation, EstimationEvent, ListedPath, ListRest, Malformed, Noted

MAX_REJECT_TEXT = 4_000
"""Characters of a rejected line that are kept; the file and the offset tell where the rest is."""

_SECONDS = {b"%02d" % second: timedelta(seconds=second) for second in range(60)}
_NO_CONTEXT = (EstimationEvent, Malformed, Noted, Escalation)


class Gathering:
    """The rows of one stretch after another of one source; `remembered` is kept up to date.

    `remarks` are sentences' ends, worth saying once.
    """

    def __init__(self, remembered: Remembered, zone: Zone) -> None:
        """Go on from what a checkpoint remembers."""
        self._remembered = remembered
        self._zone = zone
        self._linker = Linker(remembered.linker)
        self._rows = Rows()
        self._by_offset: dict[int, Sighting] = {}
        self._quick = QuickEvents()
        self._marker: tuple[int, bytes] | None = None  # the newest that stays as it is, not hashed yet
        self.remarks: list[str] = []

    def __len__(self) -> int:
        """Count the rows gathered since they were handed over last."""
        return len(self._rows)

    @property
    def _counters(self) -> Counters:
        return self._remembered.counters

    def counters(self) -> Counters:
        """Return what was counted so far, as a copy."""
        self._counters.calls_without_telemetry = self._linker.calls_without_telemetry
        if self._marker is not None:
            self._remembered.last_marker, self._marker = sample_of(*self._marker), None
        return replace(self._counters)

    def hand_over(self) -> Rows:
        """Return the rows gathered since the last time, and begin anew."""
        rows, self._rows, self._by_offset = self._rows, Rows(), {}
        return rows

    def wants(self, data: bytes) -> bool:
        """Whether a line may say anything."""
        return self._linker.is_listing or has_marker(data)

    def take_block(self, block: Block, numbering: Numbering) -> None:
        """Read the lines of a block that hold a marker, and move the position past all of them."""
        data, offset = block.data, block.offset
        counted = done = last_end = number = 0
        if self._linker.is_listing:
            number = numbering.before(offset)
            done = last_end = counted = self._take_listed(block, 0, number)
            number += data.count(b"\n", 0, done)
        elif block.found:
            number = numbering.before(offset)
        for _, found, _ in block.found:
            if found < done:
                continue
            start = data.rfind(b"\n", done, found) + 1 or done
            number += data.count(b"\n", counted, start) + 1
            event = self._quick.read(data, start)
            if event is not None and self._sight_quick(event, offset + start, number):
                done = data.find(b"\n", found) + 1
                self._marker = (offset + start, data[start : done - 1].rstrip(b"\r")[:SAMPLE_BYTES])
            else:
                done = data.find(b"\n", found) + 1
                self._take_from(block, start, done, number)
                if self._linker.is_listing:
                    listed = self._take_listed(block, done, number)
                    number += data.count(b"\n", done, listed)
                    done = listed
            counted = last_end = done
        numbering.pass_block(block, number, last_end)

    def _take_from(self, block: Block, start: int, end: int, number: int) -> None:
        """Read a line of a block."""
        data, offset = block.data, block.offset
        prefix = match_prefix(data, start, end)
        if prefix is not None:
            record = read_message(data, prefix.end(), end - 1)
            if record is None:
                return
            if not isinstance(record, _NO_CONTEXT):
                moment = self._moment(prefix[1] or prefix[2], prefix[3])
                if moment is not None:
                    self._linker.context_line(record, number, moment)
                    self._collect_amendments()
                    return
        text = data[start : end - 1].rstrip(b"\r")
        self.take(Line(offset + start, offset + end, number, number, text, end - 1 - start))

    def _take_listed(self, block: Block, start: int, number: int) -> int:
        """Read the lines of a list that go on directly behind another; return where they end."""
        data = block.data
        while self._linker.is_listing and start < len(data):
            end = data.find(b"\n", start) + 1
            number += 1
            text = data[start : end - 1].rstrip(b"\r")
            parsed = self._parse_listed(text)
            if parsed is None:
                self.reach(number)
                break
            self._take_context(parsed, number)
            start = end
        return start

    def _moment(self, second: bytes, milliseconds: bytes | None) -> datetime | None:
        """Return the time of a line as aware UTC; `None` where it is none, or to be read with more care."""
        minute, seconds = self._zone.minute(second[:16]), _SECONDS.get(second[17:])
        if minute is None or seconds is None:
            return None
        moment = minute.start + seconds
        return moment + timedelta(milliseconds=int(milliseconds)) if milliseconds else moment

    def reach(self, ordinal: int) -> None:
        """Say that a line was reached, wanted or not: some tellings wait for the lines behind them."""
        self._linker.reach(ordinal)
        self._collect_amendments()

    def take(self, line: Line) -> None:
        """Read one line, as slowly as it needs."""
        if line.foreign and not self._remembered.foreign:
            self._remembered.foreign = True
            self.remarks.append(f"the encoding changes at offset {line.offset}: read as what it is")
        if line.is_cut:
            self._counters.long_lines += 1
            if is_event_line(line.data):
                self._reject(line, f"longer than the limit: {line.size_bytes} bytes")
            return
        if self._linker.is_listing:
            listed = self._parse_listed(line.data)
            if listed is not None:
                self._take_context(listed, line.ordinal)
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
                self._take_context(parsed, line.ordinal)

    def _take_context(self, parsed: ParsedLine, ordinal: int) -> None:
        moment = self._zone.to_utc(parsed.stamp.moment) if parsed.stamp is not None else None
        self._linker.context_line(parsed.record, ordinal, moment)
        self._collect_amendments()

    def _sight_quick(self, event: QuickEvent, offset: int, number: int) -> bool:
        """Take an event line that was read at once; `False` if its time needs more care."""
        second = event.second
        minute, seconds = self._zone.minute(second[:16]), _SECONDS.get(second[17:])
        if minute is None or seconds is None:
            return False
        if event.milliseconds is None:
            text = second.decode("ascii")
            timestamp = f"{minute.shown}{text[17:]}.000000"
        else:
            text = f"{second.decode('ascii')},{event.milliseconds.decode('ascii')}"
            timestamp = f"{minute.shown}{text[17:19]}.{text[20:]}000"
        context = self._linker.event(event.payload, offset, number, Logged(timestamp, text))
        if self._linker.amendments:
            self._collect_amendments()
        group = quick_group_key(event, minute.text, minute.digits, second[17:])
        seen = Seen(event.payload, timestamp, text, context, False, group)
        sighting = Sighting(offset, number, seen)
        self._rows.sightings.append(sighting)
        self._by_offset[offset] = sighting
        self._counters.marker_lines += 1
        self._counters.sightings += 1
        return True

    def _sight(self, line: Line, parsed: ParsedLine, record: EstimationEvent) -> None:
        if parsed.stamp is None:  # the parser makes such an event a reject
            return
        logged = Logged(time_text(self._zone.to_utc(parsed.stamp.moment)), parsed.stamp.text)
        context = self._linker.event(record, line.offset, line.ordinal, logged)
        self._collect_amendments()
        seen = Seen(record, *logged, context, is_cut=not line.terminated)
        sighting = Sighting(line.offset, line.number, seen)
        self._rows.sightings.append(sighting)
        self._by_offset[line.offset] = sighting
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
        for amendment in self._linker.amendments:
            sighting = self._by_offset.get(amendment.offset)
            if sighting is None or sighting.seen.context.phase is None:
                self._rows.amendments.append(amendment)
            else:
                context = merged(sighting.seen.context, amendment.context)
                sighting.seen = sighting.seen._replace(context=context)
        self._linker.amendments.clear()
