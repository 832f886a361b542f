"""Compare one log with what the database knows of it, line by line.

Both are read side by side in the order of offsets, so nothing is kept in memory. Each difference names
the file and the line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlite_utils import Database

from ingest.files.logfile import LogFile
from ingest.identity import Fact
from ingest.linking.context import NO_CONTEXT, Attributed, Context, better_deliverables, merged
from ingest.linking.state import Amendment
from ingest.reading.batch import Batch, Reject, SeenEscalation, Sighting
from ingest.reading.checkpoint import COUNTED, Counters
from ingest.reading.unread import Unread, keys_text, unread_text
from ingest.storing.escalations import row_of
from ingest.storing.proof import UNREADABLE
from ingest.storing.retention import cutoff_of
from ingest.storing.rows import (
    ESCALATION_COLUMNS,
    READ_COLUMNS,
    Row,
    context_of,
    fact_of,
    fact_of_row,
    payload_row,
)

_SIGHTED = f"""
SELECT sighting.byte_offset, sighting.line_number,
    NOT EXISTS (
        SELECT 1 FROM event_sightings AS other WHERE other.event_id = sighting.event_id
            AND (other.source_id <> sighting.source_id OR other.byte_offset <> sighting.byte_offset)
    ),
    sighting.phase_known, sighting.line_cut, sighting.own_values,
    {", ".join(f"event.{name}" for name in READ_COLUMNS)}
FROM event_sightings AS sighting LEFT JOIN token_estimation_v2_events AS event USING (event_id)
WHERE sighting.source_id = ?
ORDER BY sighting.byte_offset
"""
_EVENT_AT = f"""
SELECT sighting.line_number, sighting.phase_known, sighting.own_values,
    {", ".join(f"event.{name}" for name in READ_COLUMNS)}
FROM event_sightings AS sighting JOIN token_estimation_v2_events AS event USING (event_id)
WHERE sighting.source_id = ? AND sighting.byte_offset = ?
"""
_REJECTED = (
    "SELECT byte_offset, line_number, reason FROM rejected_lines WHERE source_id = ? ORDER BY byte_offset"
)
_ESCALATED = f"""
SELECT place.byte_offset, place.line_number, place.own_values, escalation.event_id,
    {", ".join(f"escalation.{name}" for name in ESCALATION_COLUMNS)}
FROM escalation_sightings AS place LEFT JOIN token_budget_escalation_events AS escalation USING (event_id)
WHERE place.source_id = ?
ORDER BY place.byte_offset
"""
_PRUNED = "SELECT pruned_sightings, pruned_rejects FROM log_sources WHERE source_id = ?"
_COUNTS = f"SELECT {', '.join(COUNTED)} FROM log_sources WHERE source_id = ?"


@dataclass(slots=True)
class Verification:
    """What was compared, and every difference, as sentences that name file and line."""

    files: int = 0
    occurrences: int = 0
    marker_lines: int = 0
    sightings: int = 0
    rejects: int = 0
    write_failures: int = 0
    quoted_lines: int = 0
    unread_lines: int = 0
    pruned: int = 0
    sources_without_log: int = 0
    differences: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


_OCCURRING = ("write_failures", "quoted_lines", "unread_lines")
_OTHERS = ("legacy_lines", "skipped_events", "long_lines", "calls_without_telemetry")
"""Counters of lines with the event's marker, and of others; the rest is compared line by line."""


class _Told(NamedTuple):
    """What a place says of its event beyond the line, and what the log told of it so far.

    `phase_known` is the column of the place.
    """

    line_number: int
    logged: Context
    stored: Context
    phase_known: bool

    @property
    def agrees(self) -> bool:
        return self.logged == self.stored and self.phase_known == (self.logged.phase is not None)


class Comparison:
    """Compares one log with what the database knows of it, in the order of offsets.

    What a place says must be just what the log tells. Places of which later lines tell more are kept until
    those come. A source that an earlier version read knows what that one found, and may have values of other
    places: there it only counts whether something that the log tells is lost.
    """

    def __init__(
        self, db: Database, log: LogFile, source_id: int, result: Verification, by_older_rules: bool
    ) -> None:
        self._db = db
        self._log = log
        self._source_id = source_id
        self._result = result
        self._sighted = _Stored(db.conn.execute(_SIGHTED, [source_id]))
        self._escalated = _Stored(db.conn.execute(_ESCALATED, [source_id]))
        self._rejected = _Stored(db.conn.execute(_REJECTED, [source_id]))
        self._cutoff = cutoff_of(db.conn)
        self._pruned_events, self._pruned_rejects = db.conn.execute(_PRUNED, [source_id]).fetchone()
        self._old_events = 0
        self._missing: list[Reject] = []
        self._occurrences = 0
        self._counters = Counters()
        self._unread: Unread | None = None
        self._by_older_rules = by_older_rules
        self._lacking_paths: set[int] = set()
        self._unequal: dict[int, _Told] = {}
        self._new_keys: dict[str, int] = {}

    def compare(self, batch: Batch) -> None:
        """Compare the next stretch of the log."""
        self._result.marker_lines += len(batch.rows.sightings) + len(batch.rows.rejects)
        self._occurrences += batch.occurrences
        self._counters, self._unread = batch.counters, batch.unread
        for key, count in batch.new_keys.items():
            self._new_keys[key] = self._new_keys.get(key, 0) + count
        for sighting in batch.rows.sightings:
            self._compare_event(sighting)
        for reject in batch.rows.rejects:
            self._compare_reject(reject)
        for escalation in batch.rows.escalations:
            self._compare_escalation(escalation)
        for amendment in batch.rows.amendments:
            self._compare_amendment(amendment)

    def finish(self) -> None:
        """Name what the database has beyond the end of what was read."""
        for _, line_number, *_ in self._sighted.rest():
            self._differ(line_number, "the database has an event here, the log has not")
        for _, line_number, _ in self._rejected.rest():
            self._differ(line_number, "the database has a reject here, the log has no such line")
        for _, line_number, *_ in self._escalated.rest():
            self._differ(line_number, "the database has an escalation here, the log has not")
        for told in self._unequal.values():
            self._differ_context(told)
        if self._lacking_paths:
            self._result.notes.append(
                f"{self._log.shown}: read by an older version, which found no paths of "
                f"{len(self._lacking_paths)} of its events where this one does: `tokentail backfill --full` "
                "brings them"
            )
        self._balance_pruned()
        self._balance_occurrences()

    def _balance_occurrences(self) -> None:
        """Compare the occurrences of the marker, counted by a plain search, with what became of them."""
        result, name = self._result, self._log.shown
        stored = Counters(*self._db.conn.execute(_COUNTS, [self._source_id]).fetchone())
        counted = self._counters
        unread = counted.unread_lines or 0
        result.occurrences += self._occurrences
        result.write_failures += counted.write_failures
        result.quoted_lines += counted.quoted_lines or 0
        result.unread_lines += unread
        if self._new_keys:
            result.notes.append(keys_text(name, self._new_keys))
        if unread and self._unread is not None:
            result.notes.append(unread_text(name, unread, self._unread))
        if stored.quoted_lines is None or stored.unread_lines is None:
            if counted.quoted_lines or unread:
                result.notes.append(
                    f"{name}: was read before quotations and unread lines were counted: "
                    "`tokentail backfill --full` counts them"
                )
            stored.quoted_lines, stored.unread_lines = counted.quoted_lines, unread
        claimed = stored.sightings + stored.rejects + stored.write_failures
        if self._occurrences != claimed + (stored.quoted_lines or 0) + (stored.unread_lines or 0):
            result.differences.append(
                f"{name}: the marker stands in it {self._occurrences} times, but the database has "
                f"{stored.sightings} sightings, {stored.rejects} rejects, {stored.write_failures} failed "
                f"writes, {stored.quoted_lines} quotations and {stored.unread_lines} unread lines of it"
            )
        elif not self._by_older_rules:
            self._compare_counters(stored, _OCCURRING)
        if not self._by_older_rules:
            self._compare_counters(stored, _OTHERS)

    def _compare_counters(self, stored: Counters, names: Iterable[str]) -> None:
        for name in names:
            found, kept = getattr(self._counters, name), getattr(stored, name)
            if found != kept:
                self._result.differences.append(f"{self._log.shown}: {_unlike(name, found, kept)}")

    def _balance_pruned(self) -> None:
        """Compare what only the log has with how much was pruned."""
        self._result.pruned += self._old_events + self._pruned_rejects
        if self._cutoff is None and self._pruned_events:
            self._result.differences.append(
                f"{self._log.shown}: {self._pruned_events} events were pruned, and those of any time are "
                "kept again since: `tokentail backfill --full` brings them back"
            )
        elif self._old_events != self._pruned_events:
            self._result.differences.append(
                f"{self._log.shown}: {self._old_events} events from before {self._cutoff} UTC are not in "
                f"the database, but {self._pruned_events} were pruned"
            )
        if len(self._missing) != self._pruned_rejects:  # rejects have no time: their number must agree
            for reject in self._missing:
                what = f"a marker line ({reject.reason}) that the database has no reject of"
                self._differ(reject.line_number, what)

    def _compare_amendment(self, amendment: Amendment) -> None:
        told = self._unequal.pop(amendment.offset, None)
        if told is not None:
            self._compare_told(amendment.offset, told._replace(logged=merged(told.logged, amendment.context)))
            return
        found = self._db.conn.execute(_EVENT_AT, [self._source_id, amendment.offset]).fetchone()
        if found is None:
            return
        line_number, phase_known, own, *values = found
        row = dict(zip(READ_COLUMNS, values, strict=True))
        stored = self._stored_fact(row, own)
        if stored is None:
            return
        if self._by_older_rules:
            self._compare_older(line_number, amendment.context, row, own, alone=False)
            return
        known = stored.context  # which was what the log had told so far
        told = _Told(line_number, merged(known, amendment.context), known, bool(phase_known))
        self._compare_told(amendment.offset, told)

    def _compare_told(self, offset: int, told: _Told) -> None:
        if not told.agrees:
            self._unequal[offset] = told

    def _differ_context(self, told: _Told) -> None:
        for name in Context._fields:
            found, stored = getattr(told.logged, name), getattr(told.stored, name)
            if found != stored:
                self._differ(told.line_number, _unlike(name, found, stored))
        if told.phase_known != (told.logged.phase is not None):
            names = "names its phase" if told.logged.phase else "names no phase"
            text = f"the log {names}, but its sighting has phase_known = {int(told.phase_known)}"
            self._differ(told.line_number, text)

    def _differ(self, line_number: int, what: str) -> None:
        self._result.differences.append(f"{self._log.shown}:{line_number}: {what}")

    def _compare_event(self, sighting: Sighting) -> None:
        self._result.sightings += 1
        for _, line_number, *_ in self._sighted.before(sighting.offset):
            self._differ(line_number, "the database has an event here, the log has not")
        stored = self._sighted.at(sighting.offset)
        if stored is None and self._cutoff is not None and sighting.fact.timestamp < self._cutoff:
            self._old_events += 1
            return
        if stored is None:
            self._differ(sighting.line_number, "an event that the database does not have")
            return
        _, line_number, alone, phase_known, line_cut, own, *values = stored
        row = dict(zip(READ_COLUMNS, values, strict=True))
        if row["event_id"] is None:
            self._differ(sighting.line_number, "the database has the sighting of this event, but not its row")
            return
        if line_number != sighting.line_number:
            self._differ(sighting.line_number, f"the database has it at line {line_number}")
        fact = self._stored_fact(row, own)
        if fact is None:
            return
        self._compare_line(sighting, row if own is None else fact)
        if self._by_older_rules:
            self._compare_older(sighting.line_number, sighting.fact.context, row, own, bool(alone))
            return
        if bool(line_cut) != sighting.fact.is_cut:
            is_cut = "has no newline" if sighting.fact.is_cut else "is whole"
            self._differ(
                sighting.line_number, f"the line {is_cut}, but its sighting has line_cut = {line_cut}"
            )
        told = _Told(sighting.line_number, sighting.fact.context, fact.context, bool(phase_known))
        self._compare_told(sighting.offset, told)

    @staticmethod
    def _stored_fact(row: Row, own: str | None) -> Fact | None:
        """Return what a place says; `None` where that can't be read, which `rows_that_differ` has said."""
        try:
            return fact_of(fact_of_row(row), own)
        except UNREADABLE:
            return None

    def _compare_line(self, sighting: Sighting, stored: Row | Fact) -> None:
        """Compare the line itself with the place's values: those of its event's row, or its own."""
        if isinstance(stored, Fact):
            times = {"timestamp": stored.timestamp, "timestamp_text": stored.timestamp_text}
            stored = payload_row(stored.payload) | times
        for name, value in payload_row(sighting.fact.payload).items():
            cut = name == "model" and sighting.fact.is_cut and _begins(stored[name], value)
            if stored[name] != value and not cut:
                self._differ(sighting.line_number, _unlike(name, value, stored[name]))
        second = sighting.fact.timestamp[:19]
        if str(stored["timestamp"])[:19] != second:
            self._differ(
                sighting.line_number, f"logged at {second} UTC, {stored['timestamp']!r} in the database"
            )
        elif not self._by_older_rules:
            for name in ("timestamp", "timestamp_text"):
                if stored[name] != (value := getattr(sighting.fact, name)):
                    self._differ(sighting.line_number, _unlike(name, value, stored[name]))

    def _compare_older(
        self, line_number: int, logged: Context, row: Row, own: str | None, alone: bool
    ) -> None:
        """Compare the context in the log with that of a place of a source that an earlier version read.

        It kept no context of a place without a phase.
        """
        if logged == NO_CONTEXT:
            return
        known = of_event = context_of(row)
        if own is not None:
            known = fact_of(fact_of_row(row), own).context
            best = better_deliverables(known.deliverables, of_event.deliverables)
            known = known._replace(deliverables=best)
        if row["phase_source"] is not None and logged.phase is None and known.phase is None:
            return
        absorbed = merged(known, logged)  # lines that are read later may say it better
        for name in Context._fields:
            found, stored = getattr(logged, name), getattr(known, name)
            lost = getattr(absorbed, name) != stored
            other = alone and found is not None and found != stored and name != "deliverables"
            if lost and name == "deliverables" and not row["deliverables_complete"]:
                self._lacking_paths.add(line_number)
            elif lost or other:
                self._differ(line_number, _unlike(name, found, stored))

    def _compare_reject(self, reject: Reject) -> None:
        self._result.rejects += 1
        for _, number, _ in self._rejected.before(reject.offset):
            self._differ(number, "the database has a reject here, the log has no such line")
        stored = self._rejected.at(reject.offset)
        if stored is None:
            self._missing.append(reject)
        elif stored[1] != reject.line_number:
            self._differ(reject.line_number, f"the database has it at line {stored[1]}")

    def _compare_escalation(self, seen: SeenEscalation) -> None:
        """Compare an escalation with its place; what an earlier version read has none."""
        for _, number, *_ in self._escalated.before(seen.offset):
            self._differ(number, "the database has an escalation here, the log has not")
        stored, said = self._escalated.at(seen.offset), row_of(seen)
        if stored is None:
            is_kept = self._cutoff is None or said["timestamp"] >= self._cutoff
            if is_kept and not self._by_older_rules:
                self._differ(seen.line_number, "an escalation that the database does not have")
            return
        _, line_number, own, event_id, *values = stored
        if event_id is None:
            self._differ(
                seen.line_number, "the database has the sighting of this escalation, but not its row"
            )
            return
        if line_number != seen.line_number:
            self._differ(seen.line_number, f"the database has it at line {line_number}")
        row = dict(zip(ESCALATION_COLUMNS, values, strict=True))
        is_executors = own is None and row["timestamp_text"] is None
        if not (self._by_older_rules or is_executors):
            self._compare_said(seen.line_number, said, row, own)

    def _compare_said(self, line_number: int, said: Row, row: Row, own: str | None) -> None:
        """Compare what a line says of an escalation with what its place says."""
        try:
            stored = row if own is None else row | json.loads(own)
        except UNREADABLE:  # `escalations_that_differ` has said so
            return
        for name, value in said.items():
            if stored[name] != value:
                self._differ(line_number, _unlike(f"{name} of the escalation", value, stored[name]))


def _begins(whole: Any, cut: Any) -> bool:
    """Whether a model begins with what a cut line has of it."""
    return str(whole).startswith(str(cut).rstrip("\ufffd"))


def _unlike(name: str, logged: Any, stored: Any) -> str:
    return f"{name} is {_shown(logged)} in the log, {_shown(stored)} in the database"


def _shown(value: Any) -> str:
    return f"{value.name!r} ({value.source})" if isinstance(value, Attributed) else repr(value)


class _Stored:
    """The stored lines of one source in the order of their offsets, read one after another."""

    def __init__(self, rows: Iterator[tuple[Any, ...]]) -> None:
        self._rows = iter(rows)
        self._next = next(self._rows, None)

    def _pop(self) -> tuple[Any, ...]:
        first = self._next
        assert first is not None  # noqa: S101 - the callers look first
        self._next = next(self._rows, None)
        return first

    def before(self, offset: int) -> Iterator[tuple[Any, ...]]:
        while self._next is not None and self._next[0] < offset:
            yield self._pop()

    def at(self, offset: int) -> tuple[Any, ...] | None:
        return self._pop() if self._next is not None and self._next[0] == offset else None

    def rest(self) -> Iterator[tuple[Any, ...]]:
        while self._next is not None:
            yield self._pop()
