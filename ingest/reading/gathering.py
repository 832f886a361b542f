"""Lines in, rows out: what a stretch of a source becomes in the database.

Each marker line becomes a sighting or a reject, and is counted with it; all other lines tell the
linker what is around them.
"""

from __future__ import annotations

from dataclasses import replace

from ingest.linking.context import merged
from ingest.linking.identity import Seen
from ingest.linking.linker import Linker
from ingest.linking.state import Logged
from ingest.reading.batch import Reject, Rows, SeenEscalation, Sighting
from ingest.reading.checkpoint import Counters, Remembered
from ingest.reading.lines import Line
from ingest.reading.zone import Zone
from parsers.line import ParsedLine, is_event_line, parse_line, shows_both_prefixes
from parsers.records import Escalation, EstimationEvent, Malformed, Noted

MAX_REJECT_TEXT = 4_000
"""Characters of a rejected line that are kept; the file and the offset tell where the rest is."""


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
        return replace(self._counters)

    def hand_over(self) -> Rows:
        """Return the rows gathered since the last time, and begin anew."""
        rows, self._rows, self._by_offset = self._rows, Rows(), {}
        return rows

    def reach(self, ordinal: int) -> None:
        """Say that a line was reached, wanted or not: some tellings wait for the lines behind them."""
        self._linker.reach(ordinal)
        self._collect_amendments()

    def take(self, line: Line) -> None:
        """Read one wanted line."""
        if line.foreign and not self._remembered.foreign:
            self._remembered.foreign = True
            self.remarks.append(f"the encoding changes at offset {line.offset}: read as what it is")
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
        seen = Seen(record, moment, parsed.stamp.text, context, is_cut=not line.terminated)
        sighting = Sighting(line.offset, line.number, seen)
        self._rows.sightings.append(sighting)
        self._by_offset[line.offset] = sighting
        self._mark(line)
        self._counters.sightings += 1

    def _mark(self, line: Line) -> None:
        """Count a marker line, and remember the newest that stays as it is."""
        self._counters.marker_lines += 1
        if line.terminated:
            self._remembered.last_marker = line.sample()

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
