"""The deliverable paths that a phase's lines declare, and the guards on them.

Applied files, and the lists of required and of missing deliverables, come after the event; each
counts only for the events of its phase's window, and only where its length agrees with the number
of deliverables that the event itself logged. Scope paths come before the event, and so do the protected
ones among them. A complete list goes for the later tries of its phase, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ingest.linking.context import MAX_PATHS, Context, Deliverables, deliverables
from ingest.linking.windows import OpenEvent, PathList, Window, Windows
from parsers.deliverables import looks_like_path
from parsers.records import (
    AppliedFiles,
    AttemptedFiles,
    DeliverablesRefused,
    ListedPath,
    ListRest,
    MissingList,
    MissingPath,
    ProtectedPaths,
    RequiredList,
)

LINES_TO_LIST = 8
"""How many lines below the refusal the list of required deliverables may begin."""

NAMED_MISSING = 5
"""The executor names at most so many missing deliverables."""

Told = Iterator[tuple[OpenEvent, Context]]
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
    """The list of required deliverables that is being read; `ordinal` is that of its last line."""

    phase: str
    ordinal: int
    listed: PathList = field(default_factory=lambda: PathList((), 0))


@dataclass(slots=True)
class Declared:
    """The lists under way. The list of required deliverables names no phase; its refusal does."""

    refused: tuple[str, int] | None = None
    open_list: OpenList | None = None

    def take(self, record: DeclaringRecord, ordinal: int, windows: Windows, crowded: bool) -> Told:
        """Take a line; yield what it tells of which events."""
        match record:
            case AppliedFiles():
                yield from _applied(record, windows)
            case ProtectedPaths():
                yield from _protected(record, windows)
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

    def reach(self, ordinal: int, windows: Windows) -> Told:
        """Take note that all lines up to this one were read: a list that did not go on has ended."""
        if self.open_list is not None and ordinal > self.open_list.ordinal:
            yield from self._end_list(self.open_list, 0, windows)

    def _list(self, record: ListedPath | ListRest, ordinal: int, windows: Windows) -> Told:
        opened = self.open_list
        if opened is None or ordinal != opened.ordinal + 1:
            return
        if isinstance(record, ListRest):
            yield from self._end_list(opened, record.count, windows)
        else:
            paths = (*opened.listed.paths, record.path)[: MAX_PATHS + 1]
            self.open_list = OpenList(opened.phase, ordinal, PathList(paths, opened.listed.count + 1))

    def _end_list(self, opened: OpenList, rest: int, windows: Windows) -> Told:
        self.open_list = None
        listed, count = opened.listed.paths, opened.listed.count + rest
        paths, window = _only_paths(listed), windows.followed(opened.phase)
        if window is None or not paths:
            return
        for event in window.events:
            if event.declared in (0, count):
                complete = rest == 0 and len(paths) == len(listed)
                yield _told(window, event, deliverables("required", paths, complete))


def _told(window: Window, event: OpenEvent, found: Deliverables) -> tuple[OpenEvent, Context]:
    """Tell an event its paths; where these are all, the later tries of the phase have them, too."""
    if found.complete:
        window.complete = found
    return event, Context(deliverables=found)


def _only_paths(listed: tuple[str, ...]) -> tuple[str, ...]:
    """Leave out the names of buckets, which a list holds where the phase has its deliverables in some."""
    return tuple(path for path in listed if looks_like_path(path))


def _applied(record: AppliedFiles, windows: Windows) -> Told:
    window = windows.followed(record.phase)
    return iter(()) if window is None else _written("applied", record.paths, window, window.events)


def attempted(record: AttemptedFiles, window: Window) -> Told:
    """Tell the last event of a window what its answer tried to write."""
    return _written("attempted", record.paths, window, window.events[-1:])


def _written(source: str, paths: tuple[str, ...], window: Window, events: list[OpenEvent]) -> Told:
    for event in events:
        if paths and len(paths) == (event.declared or event.estimated):
            yield _told(window, event, deliverables(source, paths, complete=True))


def _protected(record: ProtectedPaths, windows: Windows) -> Told:
    window = windows.followed(record.phase)
    if window is None:
        return
    window.protected = deliverables("protected", record.paths, record.whole)
    for event in window.events:
        found = _protected_in(window, event)
        if found is not None:
            yield _told(window, event, found)


def _missing(record: MissingPath, windows: Windows) -> Told:
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
            yield _told(window, event, deliverables("missing", paths, complete))


def known_before(window: Window, event: OpenEvent, crowded: bool) -> Deliverables | None:
    """Return the paths of an event that are known at its line: the best that was told of its phase."""
    if window.contested:
        return None
    scope = None if crowded else _scope_of(window, event)
    if scope is not None and scope.complete:
        window.complete = scope
    return scope or _earlier(window, event) or _protected_in(window, event)


def _scope_of(window: Window, event: OpenEvent) -> Deliverables | None:
    """Return the scope's paths, where their number is that of the event's deliverables."""
    if window.scope is None or window.scope.count != event.declared or event.declared == 0:
        return None
    return deliverables("scope", window.scope.paths, complete=True)


def _earlier(window: Window, event: OpenEvent) -> Deliverables | None:
    """Return the complete list of an earlier try, where the event doesn't log another number."""
    found = window.complete
    if found is None or (event.declared or event.estimated or len(found.paths)) != len(found.paths):
        return None
    return found


def _protected_in(window: Window, event: OpenEvent) -> Deliverables | None:
    """Return the protected paths of the scope, where the event doesn't log fewer deliverables."""
    found = window.protected
    if found is None or (event.declared and len(found.paths) > event.declared):
        return None
    return found._replace(complete=found.complete and len(found.paths) == event.declared)
