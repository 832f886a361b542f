"""A phase's window: from the line that opens the phase to the line that says what became of it.

A line that names its phase changes only events in the newest window of that phase. The limits here keep
checkpoints small; events of a phase whose window was dropped gain no more context.

The deliverable paths in such lines have guards of their own. Applied files, and the lists of required and
of missing deliverables, come after the event; each counts only if its length agrees with the number of
deliverables that the event itself logged. Scope paths come before the event, and so do protected ones.
A complete list also counts for later tries of its phase.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ingest.linking.context import MAX_PATHS, Attributed, Context, Deliverables, deliverables
from parsers.deliverables import looks_like_path
from parsers.records import (
    AppliedFiles,
    AttemptedFiles,
    DeliverablesRefused,
    Estimate,
    EstimationEvent,
    ListedPath,
    ListRest,
    MissingList,
    MissingPath,
    ProtectedPaths,
    RequiredList,
)

MAX_WINDOWS = 32
MAX_EVENTS = 16
"""The last events of a window, which can still gain context."""

LINES_TO_LIST = 8
"""How many lines below the refusal the list of required deliverables may begin."""

NAMED_MISSING = 5
"""The executor names at most so many missing deliverables."""


class OpenEvent(NamedTuple):
    """An event that may still gain context: what the guards and escalations must know of it.

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
        """Return what must be remembered of an event, with its estimate and ceiling if known."""
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
    """The first paths of a list, and how many it had in all."""

    paths: tuple[str, ...]
    count: int


@dataclass(slots=True)
class Window:
    """One opening of a phase.

    `generated` is set once a builder call began, until the window is closed. `ambiguous` is set where two
    runs may have opened it, so that later lines may belong to either. `closed` is set once its outcome is
    known or its process is over, `awaits_builder` until the end of its last event's call is logged.
    `complete` is the newest list of all paths that the phase had to deliver in this run.
    """

    run: Attributed | None = None
    generated: bool = False
    ambiguous: bool = field(default=False, metadata={"stored_as": "contested"})
    closed: bool = False
    awaits_builder: bool = False
    scope_is_deliverables: bool = False
    scope: PathList | None = None
    missing: PathList | None = None
    protected: Deliverables | None = None
    complete: Deliverables | None = None
    outcome: str | None = None
    events: list[OpenEvent] = field(default_factory=list)

    def add(self, event: OpenEvent) -> None:
        """Remember an event of this window."""
        self.events = [*self.events, event][-MAX_EVENTS:]
        self.awaits_builder = True

    def close(self) -> None:
        """Close it: no call begins here any more, so what only a call needs is forgotten."""
        self.closed = True
        self.generated = self.scope_is_deliverables = False
        self.scope = self.protected = None


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
        return None if window is None or window.ambiguous else window

    def under_way(self) -> Window | None:
        """Return the window opened last, while it is open."""
        window = None if self.current is None else self.followed(self.current)
        return None if window is None or window.closed else window

    def open(self, phase: str, window: Window) -> Window:
        """Make a window the newest one; drop the oldest when there are too many."""
        self.by_phase.pop(phase, None)
        if self.overlapping:
            self.overlapping = not all(other.closed for other in self.by_phase.values())
        self.by_phase[phase] = window
        self.current = phase
        while len(self.by_phase) > MAX_WINDOWS:
            self.by_phase.pop(next(iter(self.by_phase)))
        return window

    def saw_activity(self, phase: str) -> None:
        """Note a line of a phase's builder call: if another phase was opened since, the two overlap."""
        window = self.by_phase.get(phase)
        current = self.by_phase.get(self.current) if self.current is not None else None
        if window is None or current is None or window is current:
            return
        if window.generated and not window.closed and not current.closed:
            self.overlapping = True

    def close(self, run: Attributed | None) -> None:
        """Close the windows of a run whose process ended or started again; `None` closes all."""
        for window in self.by_phase.values():
            if run is None or (window.run is not None and window.run.name == run.name):
                window.close()


# Declared paths

_Completed = Iterator[tuple[OpenEvent, Context]]
DeclaringRecord = (
    AppliedFiles
    | ProtectedPaths
    | DeliverablesRefused
    | RequiredList
    | ListedPath
    | ListRest
    | MissingList
    | MissingPath
)


@dataclass(frozen=True, slots=True)
class OpenList:
    """A list of required deliverables that is being read; `ordinal` is that of its last line so far."""

    phase: str
    ordinal: int
    listed: PathList = field(default_factory=lambda: PathList((), 0))


@dataclass(slots=True)
class DeclaredLists:
    """The lists being read. A list of required deliverables names no phase; the refusal above it does."""

    refused: tuple[str, int] | None = None
    open_list: OpenList | None = None

    def apply(self, record: DeclaringRecord, ordinal: int, windows: Windows, concurrent: bool) -> _Completed:
        """Apply a line; yield the events that gain context by it, with that context."""
        match record:
            case AppliedFiles():
                yield from _applied(record, windows)
            case ProtectedPaths():
                yield from _protected(record, windows)
            case DeliverablesRefused():
                self.refused = None if concurrent else (record.phase, ordinal)
            case RequiredList():
                refused, self.refused = self.refused, None
                if refused is not None and ordinal - refused[1] <= LINES_TO_LIST and not concurrent:
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
        """Note that all lines up to this one were read: a list that did not go on has ended."""
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
        listed, count = opened.listed.paths, opened.listed.count + rest
        paths, window = _only_paths(listed), windows.followed(opened.phase)
        if window is None or not paths:
            return
        for event in window.events:
            if event.declared in (0, count):
                complete = rest == 0 and len(paths) == len(listed)
                yield _with_paths(window, event, deliverables("required", paths, complete))


def _with_paths(window: Window, event: OpenEvent, found: Deliverables) -> tuple[OpenEvent, Context]:
    """Return an event with its paths; a complete list is kept for later tries of the phase."""
    if found.complete:
        window.complete = found
    return event, Context(deliverables=found)


def _only_paths(listed: tuple[str, ...]) -> tuple[str, ...]:
    """Leave out the names of buckets (`code`, `docs`), which a list has if its phase groups deliverables."""
    return tuple(path for path in listed if looks_like_path(path))


def _applied(record: AppliedFiles, windows: Windows) -> _Completed:
    window = windows.followed(record.phase)
    return iter(()) if window is None else _written("applied", record.paths, window, window.events)


def attempted(record: AttemptedFiles, window: Window) -> _Completed:
    """Return the last event of a window with the paths that its answer tried to write."""
    return _written("attempted", record.paths, window, window.events[-1:])


def _written(source: str, paths: tuple[str, ...], window: Window, events: list[OpenEvent]) -> _Completed:
    for event in events:
        if paths and len(paths) == (event.declared or event.estimated):
            yield _with_paths(window, event, deliverables(source, paths, complete=True))


def _protected(record: ProtectedPaths, windows: Windows) -> _Completed:
    window = windows.followed(record.phase)
    if window is None:
        return
    window.protected = deliverables("protected", record.paths, record.whole)
    for event in window.events:
        found = _protected_in(window, event)
        if found is not None:
            yield _with_paths(window, event, found)


def _missing(record: MissingPath, windows: Windows) -> _Completed:
    window = windows.followed(record.phase)
    if window is None or window.missing is None:
        return
    named, count = (*window.missing.paths, record.path), window.missing.count
    window.missing = PathList(named, count)
    if len(named) < min(count, NAMED_MISSING):
        return
    window.missing, paths = None, _only_paths(named)
    for event in window.events if paths else ():
        if event.declared == 0 or count <= event.declared:
            complete = len(paths) == count == event.declared
            yield _with_paths(window, event, deliverables("missing", paths, complete))


def known_before(window: Window, event: OpenEvent, concurrent: bool) -> Deliverables | None:
    """Return the best paths that are known of an event when its line is read."""
    if window.ambiguous:
        return None
    scope = None if concurrent else _scope_of(window, event)
    if scope is not None and scope.complete:
        window.complete = scope
    return scope or _earlier(window, event) or _protected_in(window, event)


def _scope_of(window: Window, event: OpenEvent) -> Deliverables | None:
    """Return the scope's paths, if there are as many as the event has deliverables."""
    if window.scope is None or window.scope.count != event.declared or event.declared == 0:
        return None
    return deliverables("scope", window.scope.paths, complete=True)


def _earlier(window: Window, event: OpenEvent) -> Deliverables | None:
    """Return the complete list of an earlier try, unless the event logs another number."""
    found = window.complete
    if found is None or (event.declared or event.estimated or len(found.paths)) != len(found.paths):
        return None
    return found


def _protected_in(window: Window, event: OpenEvent) -> Deliverables | None:
    """Return the scope's protected paths, unless the event logs fewer deliverables."""
    found = window.protected
    if found is None or (event.declared and len(found.paths) > event.declared):
        return None
    return found._replace(complete=found.complete and len(found.paths) == event.declared)
