"""Trace lines of a log: which lines say what is known of an event, and what a line says of events.

The log is read by the code of an ingest, which is watched line by line, so the trace shows what an ingest
does. Logs are only read, and no database is needed.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from ingest.files.logfile import LogFile
from ingest.linking.context import NO_CONTEXT, Context, merged
from ingest.linking.state import Amendment
from ingest.linking.timestamps import time_text
from ingest.reading.clock import NO_SUCH_TIME
from ingest.reading.extractor import has_marker
from ingest.reading.lines import Line
from ingest.reading.scan import ScanOptions, scan
from ingest.reading.zone import Zone, zone_recorded
from ingest.storing.rows import CONTEXT_COLUMNS, context_values, payload_row
from parsers.explain import Explanation, explain
from parsers.line import parse_line
from parsers.records import (
    BudgetUse,
    BuilderModel,
    Ceiling,
    Draining,
    Estimate,
    EstimationEvent,
    Malformed,
    Record,
    RequiredList,
    RunNamed,
    ScopePaths,
    SoftCap,
)
from parsers.template import Template

_SOURCE_LINES = {
    "initialized": "the line that starts the run",
    "lock": "the line that locks the run",
    "verified": "the line that verifies the run",
    "manifest": "the manifest line",
    "soft_cap": "the soft cap line",
    "drain": "the drain line",
    "budget": "the budget line",
    "builder": "the builder line",
    "applied": "the applied files",
    "required": "the list of required deliverables",
    "missing": "the list of missing deliverables",
    "scope": "the scope line",
    "status": "the status line",
    "estimate": "the estimate line",
    "ceiling": "the line of the final max tokens",
    "model": "the line that selects the model",
    "imported": "an import",
    "executor": "the executor's own row",
}
"""What a person calls the kinds of context lines."""

MAX_REMEMBERED = 10_000
"""Lines that are remembered since they may be context of later events."""

MAX_NAMED = 3
"""Events that are named of those that a line says something of."""

BATCH_BYTES = 4 << 20
"""After how much of a log `is_enough` is called."""

_MAX_SHOWN = 2_000
"""Bytes that are kept of a line around one that was asked for."""


class KnownValue(NamedTuple):
    """Something known of an event: `what`, its value, which kind of line said it, and that line's number.

    `line` is `None` where it is not known.
    """

    what: str
    value: Any
    source: str | None
    line: int | None

    def value_text(self) -> str:
        """Return the value as a person reads it."""
        if isinstance(self.value, tuple | list):
            return ", ".join(map(str, self.value)) or "none"
        return f"{self.value:,}" if isinstance(self.value, int) else str(self.value)

    def said_by(self, path: str) -> str:
        """Return which line of a log said it, as the end of a sentence."""
        by = _SOURCE_LINES.get(self.source or "", f"the {self.source} line")
        return f", from {by}" + (f", {os.path.basename(path)}:{self.line}" if self.line else "")


@dataclass(slots=True)
class TracedLine:
    """A line that was asked for.

    An event has `facts`, and `row` is what is stored of it. Another line says something of `event_count`
    events, of which the first are in `tells`: their line numbers, and what. `around` are the lines before
    and after it and itself, with their numbers.
    """

    line: Line
    explanation: Explanation
    timestamp: str | None
    context: Context = NO_CONTEXT
    facts: dict[str, KnownValue] = field(default_factory=dict)
    tells: list[tuple[int, str]] = field(default_factory=list)
    event_count: int = 0
    around: list[tuple[int, str]] = field(default_factory=list)

    @property
    def row(self) -> dict[str, Any] | None:
        """The columns of the event that the line is; `None` of any other line."""
        record = self.explanation.record
        if not isinstance(record, EstimationEvent):
            return None
        context = dict(zip(CONTEXT_COLUMNS, context_values(self.context), strict=True))
        return {"timestamp": self.timestamp, **payload_row(record), **context}


class ReadWith(NamedTuple):
    """The zone and the prefix that a log is read with, as its source has them."""

    zone: str
    prefix: str | None


def trace(
    log: LogFile,
    read_with: ReadWith,
    wants: Callable[[Line], bool],
    around: int = 0,
    is_enough: Callable[[list[TracedLine]], bool] | None = None,
) -> list[TracedLine]:
    """Read a log from its start and return the lines that are wanted, with `around` lines on each side.

    It is read to its end, since context of an event may stand far after it, unless `is_enough`, which is
    called now and then with what was found, returns true.

    Raises:
        LogUnreadable, LogUnfinished: it can't be opened.
    """
    tracer = _Tracer(zone_recorded(read_with.zone), wants, around)
    options = ScanOptions(
        read_with.zone, finished=True, watcher=tracer, batch_bytes=BATCH_BYTES, prefix=read_with.prefix
    )
    for batch in scan(log, None, options):
        if is_enough is not None and batch.state == "reading" and is_enough(tracer.traced):
            break
    return tracer.traced


class _Tracer:
    """Watches the lines of one log; the newest line of each kind and name is remembered."""

    def __init__(self, zone: Zone, wants: Callable[[Line], bool], around: int) -> None:
        self.traced: list[TracedLine] = []
        self._zone = zone
        self._template: Template | None = None
        self._wants = wants
        self._around = around
        self._newest: deque[tuple[int, str]] = deque(maxlen=around + 1)
        self._followed: deque[TracedLine] = deque()
        self._places: dict[tuple[Any, ...], int] = {}
        self._events: dict[int, int] = {}
        self._by_number: dict[int, TracedLine] = {}
        self._by_offset: dict[int, TracedLine] = {}
        self._number = 0
        self._record: Record | None = None

    def begin(self, log: LogFile, template: Template | None) -> None:  # noqa: ARG002
        """Note what the lines are read with; there is one log."""
        self._template = template

    def see(self, line: Line, container_logs: bool) -> None:
        """Look at a line, and remember what it may say of later events."""
        self._number = line.number
        parsed = parse_line(line.data, container_logs, self._template) if has_marker(line.data) else None
        self._record = None if parsed is None else parsed.record
        if self._record is not None:
            for key in _keys(self._record):
                _remember(self._places, key, line.number)
        self._look_around(line)
        if self._wants(line):
            self._add(line, container_logs)

    def _add(self, line: Line, container_logs: bool) -> None:
        explanation = explain(line.data, container_logs, self._template)
        stamp = explanation.stamp
        moment = None if stamp is None else self._zone.in_utc(stamp.moment)
        timestamp = None if moment is None else time_text(moment)
        if stamp is not None and moment is None and isinstance(explanation.record, EstimationEvent):
            explanation = replace(explanation, record=Malformed(NO_SUCH_TIME))
        traced = TracedLine(line, explanation, timestamp, around=list(self._newest))
        self.traced.append(traced)
        self._followed.append(traced)
        self._by_number[line.number] = self._by_offset[line.offset] = traced

    def _look_around(self, line: Line) -> None:
        shown = (line.number, line.data[:_MAX_SHOWN].decode("utf-8", "replace"))
        self._newest.append(shown)
        for traced in self._followed:
            traced.around.append(shown)
        while self._followed and line.ordinal >= self._followed[0].line.ordinal + self._around:
            self._followed.popleft()

    def sighted(self, offset: int, context: Context) -> None:
        """Find out which lines said what is known of an event at its line."""
        _remember(self._events, offset, self._number)
        assert isinstance(self._record, EstimationEvent)  # noqa: S101 - a line that was sighted is one
        event, places = self._record, self._places
        for what, value, source, key in _facts_before(context, event):
            self._say(offset, KnownValue(what, value, source, places.get(key)))
        if offset in self._by_offset:
            self._by_offset[offset].context = context

    def amended(self, amendment: Amendment) -> None:
        """Add what the line that was seen last says of an event before it."""
        if amendment.offset in self._by_offset:
            traced = self._by_offset[amendment.offset]
            traced.context = merged(traced.context, amendment.context)
        for what, value, source in _facts_after(amendment.context):
            by_list = source == "required"  # whose end is seen at the line below it
            line = self._places.get(("required",)) if by_list else self._number
            self._say(amendment.offset, KnownValue(what, value, source, line))

    def _say(self, offset: int, fact: KnownValue) -> None:
        """Note a fact with its event, and with the line that said it, if these were asked for."""
        if offset in self._by_offset:
            self._by_offset[offset].facts.setdefault(fact.what, fact)
        source_line = self._by_number.get(fact.line or 0)
        event = self._events.get(offset)
        if source_line is not None and event is not None:
            last = source_line.tells[-1][0] if source_line.tells else None
            source_line.event_count += event != last
            if event == last:
                source_line.tells[-1] = (event, f"{source_line.tells[-1][1]}, {fact.what}")
            elif len(source_line.tells) < MAX_NAMED:
                source_line.tells.append((event, fact.what))


def _remember(places: dict[Any, int], key: Any, line: int) -> None:
    places.pop(key, None)
    if len(places) >= MAX_REMEMBERED:
        places.pop(next(iter(places)))
    places[key] = line


def _keys(record: Record) -> list[tuple[Any, ...]]:
    """Return the keys by which a line is looked up that says something of later events."""
    match record:
        case RunNamed():
            return [(record.source, record.run)]
        case SoftCap():
            return [("soft_cap", record.run)]
        case Draining():
            return [("drain", record.run)]
        case BudgetUse():
            used = {record.output_tokens, record.total_tokens}
            return [("budget", record.phase, tokens) for tokens in used]
        case Estimate():
            return [("estimate", record.output_tokens)]
        case Ceiling():
            return [("ceiling", record.max_tokens)]
        case BuilderModel():
            return [("model", record.attempt_index)]
        case ScopePaths():
            return [("scope",)]
        case RequiredList():
            return [("required",)]
    return []


def _facts_before(
    context: Context, event: EstimationEvent
) -> list[tuple[str, Any, str | None, tuple[Any, ...]]]:
    """Return what was known of an event at its line: what, value, kind of line, and how that is looked up."""
    budget = ("budget", context.phase.name if context.phase else None, event.actual_output_tokens)
    anchored = context.input_tokens is not None
    ceiling = budget if anchored else ("ceiling", context.actual_max_tokens)
    estimate = ("estimate", event.predicted_output_tokens)
    run, phase, paths = context.run, context.phase, context.deliverables
    found = [
        ("run", run and run.name, run and run.source, run and (run.source, run.name)),
        ("phase", phase and phase.name, phase and phase.source, budget),
        ("max tokens", context.actual_max_tokens, ceiling[0], ceiling),
        ("input tokens", context.input_tokens, "budget", budget),
        ("total tokens", context.total_tokens, "budget", budget),
        ("confidence", context.confidence, "estimate", estimate),
        ("estimated deliverables", context.estimated_deliverable_count, "estimate", estimate),
        ("attempt", context.attempt_index, "model", ("model", context.attempt_index)),
        ("deliverables", paths and paths.paths, paths and paths.source, ("scope",)),
    ]
    return [(what, value, source, key or ()) for what, value, source, key in found if value is not None]


def _facts_after(context: Context) -> list[tuple[str, Any, str]]:
    """Return what a line says of an event before it: what, value, kind of line."""
    found: list[tuple[str, Any, str]] = []
    if context.phase is not None:
        found.append(("phase", context.phase.name, context.phase.source))
    if context.run is not None:
        found.append(("run", context.run.name, context.run.source))
    if context.phase_outcome is not None:
        found.append(("outcome", context.phase_outcome, "status"))
    if context.deliverables is not None:
        found.append(("deliverables", context.deliverables.paths, context.deliverables.source))
    return found
