"""Events before which nothing was said: most of a log that has been grepped, and all of a dense one.

Of such an event there is its own line, and the run that writes there, if it is one. They are taken in
passing; what they leave in the state is made of them only when somebody looks.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ingest.linking.calls import NOT_PREPARED
from ingest.linking.context import Told
from ingest.linking.phases import Phases
from ingest.linking.state import LinkerState, Logged, Unanchored
from ingest.linking.windows import OpenEvent
from parsers.quick import Ending


class BareEvent(Protocol):
    """An event line, as far as it matters where nothing else is known."""

    @property
    def timestamp(self) -> str:
        """Its time, as the database writes it."""

    @property
    def timestamp_text(self) -> str:
        """Its time, as logged."""

    @property
    def actual(self) -> int:
        """Its tokens."""

    @property
    def ending(self) -> Ending:
        """What its line says behind its three numbers."""


class Bare(NamedTuple):
    """A bare event, and where it was seen."""

    offset: int
    ordinal: int
    event: BareEvent

    def unanchored(self) -> Unanchored:
        """Return what it leaves in the state: its phase may still be told from behind."""
        event = self.event
        budget, _, _, declared, success, *_ = event.ending.values
        opened = OpenEvent(self.offset, declared, None, budget, None, event.actual)
        logged = Logged(event.timestamp, event.timestamp_text)
        return Unanchored(self.offset, self.ordinal, success, opened, logged)


class BareEvents:
    """The bare events of one source: of several in a row, what the last one leaves in the state is enough."""

    def __init__(self, state: LinkerState, phases: Phases) -> None:
        """Begin without one; the state is changed in place."""
        self._state = state
        self._phases = phases
        self._last: Bare | None = None  # if no other event came since, and it is not settled

    @property
    def is_next(self) -> bool:
        """Whether the next event is one: nothing that was said may belong to it, but which run it is of."""
        state = self._state
        return not (
            state.anchors.pending
            or state.preparation is not NOT_PREPARED
            or state.declared.open_list is not None
            or state.runs.crowded
            or state.windows.overlapping
        )

    @property
    def run(self) -> Told | None:
        """The run that the next one is of, if it is one."""
        return self._phases.run_of(None)

    def take(self, event: BareEvent, offset: int, ordinal: int) -> None:
        """Take one."""
        self._last = Bare(offset, ordinal, event)

    def forget(self) -> None:
        """Say that another event came."""
        self._last = None

    def settle(self) -> None:
        """Leave in the state what the last one does."""
        if self._last is not None:
            self._state.unanchored, self._last = self._last.unanchored(), None
