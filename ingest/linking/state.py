"""What linking remembers of a source: the runs that write to it, the calls under way, and its phases.

Interleaved runs in one file must not take each other's context. While exactly one run writes, every line
is its own. As soon as two may, a line that names neither its run nor its phase is nobody's: ambiguous
means unknown, never a guess; and a line that names its phase counts only for the window of that phase,
and not at all where two runs may have opened it.

`LinkerState` is stored with the checkpoint as JSON; everything in it is bounded, whatever the log.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from ingest.linking.context import RUN_SOURCES, Context, Told, better_told
from ingest.linking.windows import Declared, OpenEvent, Window, Windows
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
"""Anchors that wait for their event; in real logs it is one, or one for each parallel run."""

MAX_LIVE = 64
"""More runs than that in one file at once are not told apart; they stay "more than one"."""

SILENCE_SECONDS = 3600.0
"""An executor polls every ten seconds and gives up a call after minutes: if a log had no line for so
long, whoever wrote to it before is over."""


@dataclass(slots=True)
class LiveRuns:
    """The runs that have started, or shown themselves, and not ended.

    A run that was killed leaves no trace of its end, so another run's start soon after it counts as a
    second one.

    `anonymous` is a run that works here without having said its name (its start is in an older
    file). `nameless_ends` counts processes that ended without saying whose they were.
    """

    live: dict[str, Told] = field(default_factory=dict)
    anonymous: bool = False
    nameless_ends: int = 0
    drained: str | None = None
    beginning: str | None = None  # of the anonymous one's name, where a line that told it was cut
    heard: float | None = None  # seconds since the epoch, of the newest line while one run wrote

    @property
    def crowded(self) -> bool:
        """Whether more than one run may be writing."""
        return len(self.live) + self.anonymous > 1

    def only(self) -> Told | None:
        """Return the one run that is writing, if it is one and has a name."""
        if len(self.live) == 1 and not self.anonymous:
            return next(iter(self.live.values()))
        if not self.live and self.drained is not None:
            return Told(self.drained, "drain")
        return None

    def name(self, run: str, source: str, starts: bool) -> None:
        """Take a line that names a run; unless it `starts` one, it may name the anonymous one."""
        began = self.beginning is not None and run.startswith(self.beginning)
        if self.anonymous and (began or run == self.drained or (not starts and not self.live)):
            self.anonymous, self.beginning = False, None
        told = Told(run, source)
        if run in self.live:
            self.live[run] = better_told(self.live[run], told, RUN_SOURCES) or told
            return
        if len(self.live) >= MAX_LIVE:
            self.live.pop(next(iter(self.live)))
            self.anonymous = True
        self.live[run] = told

    def drain(self, run: str) -> None:
        """Take the printed line of the drain script, which may stand before or after the run's own."""
        self.drained = run

    def work(self) -> None:
        """Take note that somebody works here, whose name may not have been said."""
        if not self.live and self.drained is None:
            self.anonymous = True

    def doubt(self, beginning: str) -> None:
        """Take note that a run may have started of whose name the beginning is known, or nothing."""
        self.anonymous, self.beginning = True, beginning or None

    def end(self, run: str | None) -> None:
        """Take the end of a process; a nameless one is attributed once all must have ended."""
        if run is not None:
            self.live.pop(run, None)
            self.nameless_ends = max(0, self.nameless_ends - 1)
        else:
            self.nameless_ends += 1
        if self.nameless_ends >= len(self.live) + self.anonymous:
            self.clear()

    def clear(self) -> None:
        """Forget all runs: each of them is over."""
        self.live.clear()
        self.anonymous, self.beginning = False, None
        self.nameless_ends = 0
        self.drained = None

    def is_over(self, seconds: float | None) -> bool:
        """Whether the one run that was writing has been silent for too long to be alive."""
        if seconds is None or self.heard is None or self.crowded:
            return False
        return seconds - self.heard >= SILENCE_SECONDS


# The calls under way


class Anchored(NamedTuple):
    """What the anchors tell of an event: its phase, and its own anchor.

    The phase may be sure where the anchor is not: two runs may be at a phase of the same name.
    `undecided` where anchors of several phases could be the event's.
    """

    phase: str | None
    anchor: BudgetUse | None
    undecided: bool


_NO_ANCHOR = Anchored(None, None, undecided=False)


@dataclass(slots=True)
class Anchors:
    """The anchors that no event has taken yet, oldest first; `lost` counts those that none will.

    An anchor (`[TOKEN_BUDGET] phase=...`) is right for the event whose actual it equals.
    `undecided` counts events that had one of several anchors, nobody knows which.
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

    def take(self, event: EstimationEvent, crowded: bool) -> Anchored:
        """Find the anchor of an event, and take it out."""
        if not self.pending:
            return _NO_ANCHOR
        fitting = [anchor for anchor in self.pending if _fits(anchor, event)]
        if len(fitting) == 1 and not crowded:
            self.pending.remove(fitting[0])
            return Anchored(fitting[0].phase, fitting[0], undecided=False)
        undecided = len({anchor.phase for anchor in fitting}) > 1
        if undecided or crowded:
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
        one = not crowded or all(other == anchor for other in fitting)
        return Anchored(anchor.phase, anchor if one else None, undecided=False)


def _fits(anchor: BudgetUse, event: EstimationEvent) -> bool:
    told = anchor.total_tokens if event.actual_is_total else anchor.output_tokens
    return told == event.actual_output_tokens


@dataclass(slots=True)
class Preparation:
    """What was said before the next call, each in its last version.

    Such lines name nothing at all, so they count only while a single run writes, and only for the very
    next event.
    """

    estimate: Estimate | None = None
    selection: Estimate | None = None
    ceiling: Ceiling | None = None
    model: BuilderModel | None = None

    def estimate_for(self, event: EstimationEvent) -> Estimate | None:
        """Return the estimate that led to this event: its numbers are the event's own."""
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
"""What was said before a call of which nothing was."""


# All of it together


class Logged(NamedTuple):
    """The time of an event's line: as the database writes it, and as logged."""

    moment: str
    text: str


class Amendment(NamedTuple):
    """Context that came after its event, which was seen at `offset` of the same source."""

    offset: int
    context: Context


class Unanchored(NamedTuple):
    """The last event, while its phase may still be told from behind."""

    offset: int
    ordinal: int
    success: bool | None
    opened: OpenEvent
    logged: Logged | None = None


class EscalationContext(NamedTuple):
    """What is known around an escalation: its run, and the answer that led to it."""

    run: Told | None
    selected_budget: int | None
    actual_max_tokens: int | None
    tokens_used: int | None


@dataclass(slots=True)
class LinkerState:
    """All that linking must remember of what was read; bounded, whatever the log."""

    runs: LiveRuns = field(default_factory=LiveRuns)
    windows: Windows = field(default_factory=Windows)
    anchors: Anchors = field(default_factory=Anchors)
    preparation: Preparation = field(default_factory=Preparation)
    unanchored: Unanchored | None = None
    declared: Declared = field(default_factory=Declared)
    calls_lost: int = 0

    @property
    def crowded(self) -> bool:
        """Whether more than one run may be writing: what was said before may be another's."""
        return self.windows.overlapping or self.runs.crowded

    def window_of(self, phase: str) -> Window:
        """Return the window that a line about a call belongs to; without an opening line, open it."""
        self.runs.work()
        window = self.windows.get(phase)
        return self._open_window(phase) if window is None or window.closed else window

    def run_of(self, window: Window | None) -> Told | None:
        """Return the run that a line in a window, or in none, belongs to."""
        if window is not None and (window.contested or window.run is not None):
            return None if window.contested else window.run
        return None if self.crowded else self.runs.only()

    def open_phase(self, record: PhaseOpened) -> None:
        """Take a line that opens a phase."""
        self.runs.work()
        generating, crowded = record.by == "generating", self.crowded
        known = self.windows.get(record.phase)
        if generating and known is not None and not (known.generated or known.closed or known.events):
            known.generated = True  # the second line of one opening, unless a second run came between
            known.contested |= crowded and known.run is not None
            return
        if not crowded:
            self.anchors.drop(None)
            self.preparation = NOT_PREPARED
        self._open_window(record.phase).generated = generating

    def _open_window(self, phase: str) -> Window:
        crowded = self.crowded
        former = self.windows.get(phase)
        run = None if crowded else self.runs.only()
        window = Window(run=run, contested=crowded and former is not None)
        if former is not None and _are_same(run, former.run):
            window.complete = former.complete
        return self.windows.open(phase, window)

    def name_run(self, record: RunNamed, seconds: float | None) -> None:
        """Take a line that names a run, logged so many seconds after the epoch."""
        runs = self.runs
        if record.starts and runs.is_over(seconds):
            runs.clear()
            self.windows.close(None)
        runs.name(record.run, record.source, record.starts)
        if record.starts and record.source == "initialized":
            self.windows.close(Told(record.run, record.source))

    def end_run(self, record: RunEnded) -> None:
        """Take the end of an executor process."""
        alone = not self.runs.crowded
        self.runs.end(record.run)
        if alone:
            self.windows.close(None)
        elif record.run is not None:
            self.windows.close(Told(record.run, "lock"))

    def cap(self, record: SoftCap) -> None:
        """Take a line that names run and phase together."""
        if record.run is None:
            return
        self.runs.name(record.run, "soft_cap", starts=False)
        window = self.windows.get(record.phase)
        if window is not None and window.run is None and not window.contested:
            window.run = Told(record.run, "soft_cap")


def _are_same(run: Told | None, other: Told | None) -> bool:
    return run is not None and other is not None and run.name == other.name
