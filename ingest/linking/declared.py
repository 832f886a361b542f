"""The deliverable paths that a phase's lines declare, and the guards on them.

Applied files, and the lists of required and of missing deliverables, come after the event; each
counts only for the events of its phase's window, and only where its length agrees with the number
of deliverables that the event itself logged. Scope paths come before the event.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ingest.linking.context import MAX_PATHS, Context, Deliverables, deliverables
from ingest.linking.windows import OpenEvent, PathList, Window, Windows
from parsers.records import (
    AppliedFiles,
    DeliverablesRefused,
    ListedPath,
    ListRest,
    MissingList,
    MissingPath,
    RequiredList,
)

LINES_TO_LIST = 8
"""How many lines below the refusal the list of required deliverables may begin."""

NAMED_MISSING = 5
"""The executor names at most so many missing deliverables."""

Told = Iterator[tuple[OpenEvent, Context]]
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

    def take(self, record: DeclaringRecord, ordinal: int, windows: Windows, crowded: bool) -> Told:
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
        paths, count = opened.listed.paths, opened.listed.count + rest
        for event in windows.followed_events(opened.phase) if paths else ():
            if event.declared in (0, count):
                yield event, Context(deliverables=deliverables("required", paths, complete=rest == 0))


def _applied(record: AppliedFiles, windows: Windows) -> Told:
    for event in windows.followed_events(record.phase):
        if record.paths and len(record.paths) == (event.declared or event.estimated):
            yield event, Context(deliverables=deliverables("applied", record.paths, complete=True))


def _missing(record: MissingPath, windows: Windows) -> Told:
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
