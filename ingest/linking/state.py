"""What linking remembers of a source: its live runs, its builder calls under way, and its phases.

Runs that write to one file at the same time must not get each other's context. While exactly one run
writes, every line belongs to it. As soon as two may be writing, a line that names neither its run nor its
phase is ignored: ambiguous means unknown, never a guess. A line that names its phase then counts only for
the window of that phase, and not at all if two runs may have opened that window.

`LinkerState` is stored with the checkpoint as JSON. Everything in it is bounded, whatever the log holds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from ingest.linking.context import RUN_SOURCES, Attributed, Context, better_name
from ingest.linking.windows import DeclaredLists, OpenEvent, Window, Windows
from parsers.records import (
    BudgetUse,
    BuilderModel,
    Ceiling,
    Estimate,
    EstimationEvent,
    PhaseOpened,
    RunEnded,
    RunNamed,
    SoftCap,
)

MAX_PENDING = 32
"""Anchors that wait for their event. Real logs have one at a time, or one for each concurrent run."""

MAX_LIVE = 64
"""Live runs that are remembered by name; beyond that it is only known that there are more."""

SILENCE_SECONDS = 3600.0
"""After so long without a line the run that was writing is taken to be over: an executor polls every ten
seconds and gives up a call after minutes."""


@dataclass(slots=True)
class LiveRuns:
    """The runs that have started, or been named, and have not ended.

    A run that was killed logs no end, so a run that starts soon after it counts as a second one.

    `anonymous` is set while a run works whose name is not known (its start is in an older
    file). `beginning` is how its name begins, where the line with the name was cut.
    `nameless_ends` counts processes that ended without saying whose they were.
    `last_line_at` is the time of the newest line (seconds since the epoch) while a single run wrote, of two
    readings the last: so no silence is taken to be longer than it was.
    """

    live: dict[str, Attributed] = field(default_factory=dict)
    anonymous: bool = False
    nameless_ends: int = 0
    drained: str | None = None
    beginning: str | None = None
    last_line_at: float | None = field(default=None, metadata={"stored_as": "heard"})

    @property
    def concurrent(self) -> bool:
        """Whether more than one run may be writing."""
        return len(self.live) + self.anonymous > 1

    def only(self) -> Attributed | None:
        """Return the one run that is writing, if it is one and has a name."""
        if len(self.live) == 1 and not self.anonymous:
            return next(iter(self.live.values()))
        if not self.live and self.drained is not None:
            return Attributed(self.drained, "drain")
        return None

    def name(self, run: str, source: str, starts: bool) -> None:
        """Apply a line that names a run: a new one if it `starts` one, else perhaps the anonymous one."""
        began = self.beginning is not None and run.startswith(self.beginning)
        if self.anonymous and (began or run == self.drained or (not starts and not self.live)):
            self.anonymous, self.beginning = False, None
        attributed = Attributed(run, source)
        if run in self.live:
            self.live[run] = better_name(self.live[run], attributed, RUN_SOURCES) or attributed
            return
        if len(self.live) >= MAX_LIVE:
            self.live.pop(next(iter(self.live)))
            self.anonymous = True
        self.live[run] = attributed

    def drain(self, run: str) -> None:
        """Apply the drain script's printed line, which may come before or after the run's own."""
        self.drained = run

    def work(self) -> None:
        """Note a builder call: if no run is known, an anonymous one is working."""
        if not self.live and self.drained is None:
            self.anonymous = True

    def doubt(self, beginning: str) -> None:
        """Note that a run may have started; of its name only the beginning is known, or nothing."""
        self.anonymous, self.beginning = True, beginning or None

    def end(self, run: str | None) -> None:
        """Apply the end of a process; nameless ends count once there are as many as live runs."""
        if run is not None:
            self.live.pop(run, None)
            self.nameless_ends = max(0, self.nameless_ends - 1)
        else:
            self.nameless_ends += 1
        if self.nameless_ends >= len(self.live) + self.anonymous:
            self.clear()

    def clear(self) -> None:
        """Forget all runs, since each of them is over."""
        self.live.clear()
        self.anonymous, self.beginning = False, None
        self.nameless_ends = 0
        self.drained = None

    def is_over(self, seconds: float | None) -> bool:
        """Whether the single run that was writing has logged nothing for too long."""
        if seconds is None or self.last_line_at is None or self.concurrent:
            return False
        return seconds - self.last_line_at >= SILENCE_SECONDS


# The calls under way


class Anchored(NamedTuple):
    """What the anchors say of an event: its phase, and its own anchor.

    The phase may be known where the anchor is not, if two runs may be in a phase of the same name.
    `undecided` is set where anchors of several phases could be the event's.
    """

    phase: str | None
    anchor: BudgetUse | None
    undecided: bool = False


_NO_ANCHOR = Anchored(None, None)


@dataclass(slots=True)
class Anchors:
    """The anchors that wait for their event, oldest first; `lost` counts those that were given up.

    An anchor (`[TOKEN_BUDGET] phase=...`) fits an event that has the same actual tokens.
    `undecided` counts events that belong to one of several anchors, without knowing which.
    """

    pending: deque[BudgetUse] = field(default_factory=deque)
    lost: int = 0
    undecided: int = 0

    @property
    def without_event(self) -> int:
        """Count the anchored calls whose event was not seen, or not yet."""
        return max(0, self.lost + len(self.pending) - self.undecided)

    def add(self, anchor: BudgetUse) -> None:
        """Remember an anchor."""
        self.pending.append(anchor)
        while len(self.pending) > MAX_PENDING:
            self.pending.popleft()
            self.lost += 1

    def drop(self, phase: str | None) -> bool:
        """Give up the anchors of a phase, or all; say whether there were any."""
        if not self.pending:
            return False
        gone = [anchor for anchor in self.pending if phase is None or anchor.phase == phase]
        for anchor in gone:
            self.pending.remove(anchor)
        self.lost += len(gone)
        return bool(gone)

    def pop_for(self, event: EstimationEvent, concurrent: bool) -> Anchored:
        """Find the anchor of an event, and remove it from those that wait."""
        if not self.pending:
            return _NO_ANCHOR
        fitting = [anchor for anchor in self.pending if _fits(anchor, event)]
        if len(fitting) == 1 and not concurrent:
            self.pending.remove(fitting[0])
            return Anchored(fitting[0].phase, fitting[0])
        undecided = len({anchor.phase for anchor in fitting}) > 1
        if undecided or concurrent:
            fitting = [
                anchor
                for anchor in fitting
                if (anchor.model, anchor.complexity) == (event.model, event.complexity)
            ]
        if len({anchor.phase for anchor in fitting}) != 1:
            self.undecided += undecided
            return Anchored(None, None, undecided)
        anchor = fitting[-1]
        self.pending.remove(anchor)
        is_sure = not concurrent or all(other == anchor for other in fitting)
        return Anchored(anchor.phase, anchor if is_sure else None)


def _fits(anchor: BudgetUse, event: EstimationEvent) -> bool:
    tokens = anchor.total_tokens if event.actual_is_total else anchor.output_tokens
    return tokens == event.actual_output_tokens


@dataclass(slots=True)
class Preparation:
    """The newest line of each kind that prepares a call.

    Such lines name neither run nor phase, so they count only while a single run writes, and only for the
    very next event.
    """

    estimate: Estimate | None = None
    selection: Estimate | None = None
    ceiling: Ceiling | None = None
    model: BuilderModel | None = None

    def estimate_for(self, event: EstimationEvent) -> Estimate | None:
        """Return the estimate that led to this event: the one with the event's numbers."""
        for estimate in (self.estimate, self.selection):
            if estimate is None or estimate.output_tokens != event.predicted_output_tokens:
                continue
            if event.selected_budget in (None, estimate.selected_budget):
                return estimate
        return None

    def ceiling_for(self, event: EstimationEvent) -> int | None:
        """Return the max tokens of the call, where its budget is the event's."""
        if self.ceiling is None or self.ceiling.selected_budget not in (None, event.selected_budget):
            return None
        return self.ceiling.max_tokens

    def attempt_for(self, event: EstimationEvent) -> int | None:
        """Return the attempt (0-based) of the call, where its model is the event's."""
        if self.model is None or self.model.model != event.model:
            return None
        return self.model.attempt_index


NOT_PREPARED = Preparation()
"""The preparation of a call before which no such line was logged."""


# All of it together


class Amendment(NamedTuple):
    """Context that came after its event, which was seen at `offset` of the same source."""

    offset: int
    context: Context


class Unanchored(NamedTuple):
    """The last event, while a line after it may still name its phase."""

    offset: int
    ordinal: int
    success: bool | None
    opened: OpenEvent


class EscalationContext(NamedTuple):
    """The context of an escalation: its run, and the answer that led to it."""

    run: Attributed | None
    selected_budget: int | None
    actual_max_tokens: int | None
    tokens_used: int | None


@dataclass(slots=True)
class LinkerState:
    """All that linking must remember between lines."""

    runs: LiveRuns = field(default_factory=LiveRuns)
    windows: Windows = field(default_factory=Windows)
    anchors: Anchors = field(default_factory=Anchors)
    preparation: Preparation = field(default_factory=Preparation)
    unanchored: Unanchored | None = None
    declared: DeclaredLists = field(default_factory=DeclaredLists)
    calls_lost: int = 0

    @property
    def concurrent(self) -> bool:
        """Whether more than one run may be writing, or phases overlap: earlier lines may be another's."""
        return self.windows.overlapping or self.runs.concurrent

    def window_of(self, phase: str) -> Window:
        """Return the window that a line about a call belongs to; open one if none is open."""
        self.runs.work()
        window = self.windows.get(phase)
        return self._open_window(phase) if window is None or window.closed else window

    def run_of(self, window: Window | None) -> Attributed | None:
        """Return the run that a line belongs to, given its window (if it has one)."""
        if window is not None and (window.ambiguous or window.run is not None):
            return None if window.ambiguous else window.run
        return None if self.concurrent else self.runs.only()

    def open_phase(self, record: PhaseOpened) -> None:
        """Apply a line that opens a phase."""
        self.runs.work()
        generating, concurrent = record.by == "generating", self.concurrent
        known = self.windows.get(record.phase)
        if generating and known is not None and not (known.generated or known.closed or known.events):
            known.generated = True  # the second line of one opening, unless a second run came between
            known.ambiguous |= concurrent and known.run is not None
            return
        if not concurrent:
            self.anchors.drop(None)
            self.preparation = NOT_PREPARED
        self._open_window(record.phase).generated = generating

    def _open_window(self, phase: str) -> Window:
        concurrent = self.concurrent
        earlier = self.windows.get(phase)
        run = None if concurrent else self.runs.only()
        window = Window(run=run, ambiguous=concurrent and earlier is not None)
        if earlier is not None and _is_same_run(run, earlier.run):
            window.complete = earlier.complete
        return self.windows.open(phase, window)

    def name_run(self, record: RunNamed, seconds: float | None) -> None:
        """Apply a line that names a run; it was logged at `seconds` since the epoch, at the earliest."""
        runs = self.runs
        if record.starts and runs.is_over(seconds):
            runs.clear()
            self.windows.close(None)
        runs.name(record.run, record.source, record.starts)
        if record.starts and record.source == "initialized":
            self.windows.close(Attributed(record.run, record.source))

    def end_run(self, record: RunEnded) -> None:
        """Apply the end of an executor process."""
        is_single = not self.runs.concurrent
        self.runs.end(record.run)
        if is_single:
            self.windows.close(None)
        elif record.run is not None:
            self.windows.close(Attributed(record.run, "lock"))

    def cap(self, record: SoftCap) -> None:
        """Apply a line that names run and phase together."""
        if record.run is None:
            return
        self.runs.name(record.run, "soft_cap", starts=False)
        window = self.windows.get(record.phase)
        if window is not None and window.run is None and not window.ambiguous:
            window.run = Attributed(record.run, "soft_cap")


def _is_same_run(run: Attributed | None, other: Attributed | None) -> bool:
    return run is not None and other is not None and run.name == other.name
