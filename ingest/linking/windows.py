"""A phase's window: from the line that opens the phase to the line that says what became of it.

Lines that name their phase reach the events of its window, and those alone. The bounds here keep
what a checkpoint must remember small; a phase so old that it was dropped keeps its gaps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ingest.linking.context import Deliverables, Told
from parsers.records import Estimate, EstimationEvent

MAX_WINDOWS = 32
MAX_EVENTS = 16
"""Events of one window that can still gain context: the last ones."""


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
    is over; `awaits_builder` while its last event is not followed by the end of its call. `complete` is the
    newest list of all paths that the phase had to deliver, in this run.
    """

    run: Told | None = None
    generated: bool = False
    contested: bool = False
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
        """Begin no call here any more: what only one could need is not remembered."""
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
        return None if window is None or window.contested else window

    def followed_events(self, phase: str) -> list[OpenEvent]:
        """Return the events that a line about this phase may complete."""
        window = self.followed(phase)
        return [] if window is None else window.events

    def under_way(self) -> Window | None:
        """Return the window opened last, while it is open."""
        window = None if self.current is None else self.followed(self.current)
        return None if window is None or window.closed else window

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
