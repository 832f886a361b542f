"""A phase's window: from the line that opens the phase to the line that says what became of it.

Lines that name their phase reach the events of its window, and those alone. The bounds here keep
what a checkpoint must remember small; a phase so old that it was dropped keeps its gaps.

The deliverable paths that such lines declare have guards of their own. Applied files, and the lists of
required and of missing deliverables, come after the event; each counts only where its length agrees with
the number of deliverables that the event itself logged. Scope paths come before the event.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ingest.linking.context import MAX_PATHS, Context, Deliverables, Told, deliverables
from parsers.records import (
    AppliedFiles,
    DeliverablesRefused,
    Estimate,
    EstimationEvent,
    ListedPath,
    ListRest,
    MissingList,
    MissingPath,
    RequiredList,
)

MAX_WINDOWS = 32
MAX_EVENTS = 16
"""Events of one window that can still gain context: the last ones."""

LINES_TO_LIST = 8
"""How many lines below the refusal the list of required deliverables may begin."""

NAMED_MISSING = 5
"""The executor names at most so many missing deliverables."""


class OpenEvent(NamedTuple):
    """An event that may still gain context, as far as the guards and escalations need it.

    `offset` names the sighting within the source. `declared` is the number of deliverables that
    the event logged, `estimated` the one of the estimate before it.
    """

    offset: int
    declared: int
    estimated: int | None
    selected_budget: int | None
    max_tokens: int | None
    actual_tokens: int

    @classmethod
    def of(
        cls, record: EstimationEvent, offset: int, estimate: Estimate | None, ceiling: int | None
    ) -> OpenEvent:
        """Return what must be remembered of an event, whose estimate and ceiling may be known."""
        return cls(
            offset=offset,
            declared=record.deliverable_count,
            estimated=estimate.deliverable_count if estimate else None,
            selected_budget=record.selected_budget,
            max_tokens=ceiling,
            actual_tokens=record.actual_output_tokens,
        )


@dataclass(frozen=True, slots=True)
class PathList:
    """The first paths of a list, and how many it had, all told."""

    paths: tuple[str, ...]
    count: int


@dataclass(slots=True)
class Window:
    """One opening of a phase.

    `generated` once a builder call began, until it is closed; `contested` where two runs may have
    opened it, so that what follows may be either's; `closed` once its outcome is known or its process
    is over; `awaits_builder` while its last event is not followed by the end of its call.
    """

    run: Told | None = None
    generated: bool = False
    contested: bool = False
    closed: bool = False
    awaits_builder: bool = False
    scope_is_deliverables: bool = False
    scope: PathList | None = None
    missing: PathList | None = None
    outcome: str | None = None
    events: list[OpenEvent] = field(default_factory=list)

    def add(self, event: OpenEvent) -> None:
        """Remember an event of this window."""
        self.events = [*self.events, event][-MAX_EVENTS:]
        self.awaits_builder = True

    def close(self) -> None:
        """Begin no call here any more: what only one could need is not remembered."""
        self.closed = True
        self.generated = self.scope_is_deliverables = False
        self.scope = None


@dataclass(slots=True)
class Windows:
    """The newest windows of a source, by phase, in the order in which they were opened."""

    by_phase: dict[str, Window] = field(default_factory=dict)
    current: str | None = None
    overlapping: bool = False

    def get(self, phase: str) -> Window | None:
        """Return the newest window of a phase, open or closed."""
        return self.by_phase.get(phase)

    def followed(self, phase: str) -> Window | None:
        """Return the window whose events a line about this phase may complete."""
        window = self.by_phase.get(phase)
        return None if window is None or window.contested else window

    def followed_events(self, phase: str) -> list[OpenEvent]:
        """Return the events that a line about this phase may complete."""
        window = self.followed(phase)
        return [] if window is None else window.events

    def open(self, phase: str, window: Window) -> Window:
        """Make a window the newest; the oldest is forgotten when there are too many."""
        self.by_phase.pop(phase, None)
        if self.overlapping:
            self.overlapping = not all(other.closed for other in self.by_phase.values())
        self.by_phase[phase] = window
        self.current = phase
        while len(self.by_phase) > MAX_WINDOWS:
            self.by_phase.pop(next(iter(self.by_phase)))
        return window

    def alive(self, phase: str) -> None:
        """Take a sign of life of a phase: if another was opened since, the two run side by side."""
        window = self.by_phase.get(phase)
        current = self.by_phase.get(self.current) if self.current is not None else None
        if window is None or current is None or window is current:
            return
        if window.generated and not window.closed and not current.closed:
            self.overlapping = True

    def close(self, run: Told | None) -> None:
        """Close the windows of a run whose process is over or begins anew; `None` closes all."""
        for window in self.by_phase.values():
            if run is None or (window.run is not None and window.run.name == run.name):
                window.close()


# Declared paths

_Completed = Iterator[tuple[OpenEvent, Context]]
DeclaringRecord = (
    AppliedFiles | DeliverablesRefused | RequiredList | ListedPath | ListRest | MissingList | MissingPath
)


@dataclass(frozen=True, slots=True)
class OpenList:
    """The list of required deliverables that is being read; `ordinal` is that of its last line."""

    phase: str
    ordinal: int
    listed: PathList = field(default_factory=lambda: PathList((), 0))


@dataclass(slots=True)
class Declared:
    """The lists under way. The list of required deliverables names no phase; its refusal does."""

    refused: tuple[str, int] | None = None
    open_list: OpenList | None = None

    def take(self, record: DeclaringRecord, ordinal: int, windows: Windows, crowded: bool) -> _Completed:
        """Take a line; yield what it tells of which events."""
        match record:
            case AppliedFiles():
                yield from _applied(record, windows)
            case DeliverablesRefused():
                self.refused = None if crowded else (record.phase, ordinal)
            case RequiredList():
                refused, self.refused = self.refused, None
                if refused is not None and ordinal - refused[1] <= LINES_TO_LIST and not crowded:
                    self.open_list = OpenList(refused[0], ordinal)
            case ListedPath() | ListRest():
                yield from self._list(record, ordinal, windows)
            case MissingList():
                window = windows.followed(record.phase)
                if window is not None:
                    window.missing = PathList((), record.count)
            case MissingPath():
                yield from _missing(record, windows)

    def reach(self, ordinal: int, windows: Windows) -> _Completed:
        """Take note that all lines up to this one were read: a list that did not go on has ended."""
        if self.open_list is not None and ordinal > self.open_list.ordinal:
            yield from self._end_list(self.open_list, 0, windows)

    def _list(self, record: ListedPath | ListRest, ordinal: int, windows: Windows) -> _Completed:
        opened = self.open_list
        if opened is None or ordinal != opened.ordinal + 1:
            return
        if isinstance(record, ListRest):
            yield from self._end_list(opened, record.count, windows)
        else:
            paths = (*opened.listed.paths, record.path)[: MAX_PATHS + 1]
            self.open_list = OpenList(opened.phase, ordinal, PathList(paths, opened.listed.count + 1))

    def _end_list(self, opened: OpenList, rest: int, windows: Windows) -> _Completed:
        self.open_list = None
        paths, count = opened.listed.paths, opened.listed.count + rest
        for event in windows.followed_events(opened.phase) if paths else ():
            if event.declared in (0, count):
                yield event, Context(deliverables=deliverables("required", paths, complete=rest == 0))


def _applied(record: AppliedFiles, windows: Windows) -> _Completed:
    for event in windows.followed_events(record.phase):
        if record.paths and len(record.paths) == (event.declared or event.estimated):
            yield event, Context(deliverables=deliverables("applied", record.paths, complete=True))


def _missing(record: MissingPath, windows: Windows) -> _Completed:
    window = windows.followed(record.phase)
    if window is None or window.missing is None:
        return
    paths, count = (*window.missing.paths, record.path), window.missing.count
    window.missing = PathList(paths, count)
    if len(paths) < min(count, NAMED_MISSING):
        return
    window.missing = None
    for event in window.events:
        if event.declared == 0 or count <= event.declared:
            complete = len(paths) == count == event.declared
            yield event, Context(deliverables=deliverables("missing", paths, complete))


def from_scope(window: Window, event: OpenEvent) -> Deliverables | None:
    """Return the scope's paths, where their number is that of the event's deliverables."""
    if window.scope is None or window.scope.count != event.declared or event.declared == 0:
        return None
    return deliverables("scope", window.scope.paths, complete=True)
