"""From records to events with their context: one source, line after line.

What stands before an event goes with it; what comes after is an `Amendment` to it, minutes or a
week later. Everything that must be remembered for that is `LinkerState`, which is stored with the
checkpoint, so cutting a file anywhere changes nothing.

Interleaved runs in one file must not take each other's context: an anchor counts for the event whose
actual it equals, and two phases that both could be it are unknown; see `ingest.linking.state` for all
other lines.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast, get_args

from ingest.linking.context import MAX_PATHS, NOTHING_TOLD, Context, Told
from ingest.linking.state import (
    NOT_PREPARED,
    Amendment,
    EscalationContext,
    LinkerState,
    Logged,
    Preparation,
    Unanchored,
)
from ingest.linking.windows import (
    DeclaringRecord,
    OpenEvent,
    PathList,
    Window,
    attempted,
    known_before,
)
from parsers.records import (
    AppliedFiles,
    AttemptedFiles,
    BudgetUse,
    BuilderFinished,
    BuilderModel,
    Ceiling,
    DeliverablesRefused,
    Draining,
    Escalation,
    Estimate,
    EstimationEvent,
    ListedPath,
    ListRest,
    PhaseOpened,
    PhaseStatus,
    ProtectedPaths,
    Record,
    RequiredList,
    RunEnded,
    RunNamed,
    ScopeInferred,
    ScopePaths,
    SoftCap,
)

MAX_ID_LENGTH = 200
"""Characters of a run's or phase's id; a longer one is no id but a line gone wrong."""

LINES_BEHIND = 3
"""How many lines after its event the builder's own line may stand and still tell its phase."""

_LISTED = frozenset({ListedPath, ListRest})
_MOVING = frozenset(
    {
        RunNamed,
        RunEnded,
        SoftCap,
        Draining,
        PhaseOpened,
        BudgetUse,
        BuilderFinished,
        AppliedFiles,
        ScopeInferred,
        ProtectedPaths,
    }
)
"""What may change which runs write, or which phases are under way."""

PLACED = frozenset({BuilderFinished, AttemptedFiles, DeliverablesRefused, RequiredList, *_LISTED})
"""What counts only within so many lines of another."""

_NAMING_PHASE = frozenset(kind for kind in get_args(Record) if "phase" in kind.__annotations__)
_NAMING_RUN = frozenset(kind for kind in get_args(Record) if "run" in kind.__annotations__)

When = float | str | None
"""When a line was logged: seconds since the epoch, or what they are made of when they are asked for."""

_Taker = Callable[[Any, int, When], None]
"""Takes a record of one kind, the number of its line, and when it was logged."""


class Linker:
    """Link the records of one source, in the order of its lines."""

    def __init__(self, state: LinkerState, seconds_of: Callable[[str], float]) -> None:
        """Go on from a state, which is changed in place."""
        self.state = state
        self._seconds_of = seconds_of
        if state.preparation == NOT_PREPARED:
            state.preparation = NOT_PREPARED
        self.amendments: list[Amendment] = []
        self._takers: dict[type, _Taker] = {
            Estimate: self._take_estimate,
            Ceiling: self._take_ceiling,
            BuilderModel: self._take_model,
            PhaseOpened: lambda record, _, __: state.open_phase(record),
            BudgetUse: self._take_use,
            BuilderFinished: self._finish_call,
            PhaseStatus: self._take_status,
            RunNamed: self._name_run,
            RunEnded: lambda record, _, __: state.end_run(record),
            SoftCap: lambda record, _, __: state.cap(record),
            Draining: lambda record, _, __: state.runs.drain(record.run),
            ScopeInferred: self._infer_scope,
            ScopePaths: self._take_scope,
            AttemptedFiles: self._take_attempted,
            **dict.fromkeys(get_args(DeclaringRecord), self._take_declared),
        }
        self._of_run = NOTHING_TOLD
        self._look_who_writes()
        self._heard: When = None  # of the newest line, unless that is in the state already

    @property
    def calls_without_telemetry(self) -> int:
        """Builder calls seen so far whose event was not."""
        return self.state.calls_lost + self.state.anchors.without_event

    @property
    def is_listing(self) -> bool:
        """Whether the lines directly below may go on with a list."""
        return self.state.declared.open_list is not None

    def reach(self, ordinal: int) -> None:
        """Say that all lines up to this one (counted from 1) were read, wanted or not."""
        for event, context in self.state.declared.reach(ordinal, self.state.windows):
            self._amend(event, context)

    def event(
        self,
        record: EstimationEvent,
        offset: int,
        ordinal: int,
        logged: Logged | None = None,
    ) -> Context:
        """Return what is known of an event at its line."""
        state = self.state
        if state.declared.open_list is not None:
            self.reach(ordinal)
        crowded = not self._may_prepare
        if state.preparation is NOT_PREPARED and not (crowded or state.anchors.pending):
            return self._bare_event(record, offset, ordinal, logged)
        anchored = state.anchors.take(record, crowded)
        phase, anchor = anchored.phase, anchored.anchor
        window = state.window_of(phase) if phase is not None else None
        if window is not None:
            window.contested |= anchor is None
            anchor = None if window.contested else anchor
        prepared = not crowded and phase in (None, state.windows.current)
        preparation = state.preparation if prepared else NOT_PREPARED
        estimate = preparation.estimate_for(record)
        ceiling = anchor.max_tokens if anchor is not None else preparation.ceiling_for(record)
        opened = OpenEvent.of(record, offset, estimate, ceiling)
        state.preparation = NOT_PREPARED
        state.unanchored = None
        if window is not None:
            window.add(opened)
            self._look_who_writes()  # the window may have been opened here
        elif not anchored.undecided and not crowded:
            state.unanchored = Unanchored(offset, ordinal, record.success, opened, logged)
        return Context(
            state.run_of(window),
            Told(phase, "budget") if phase is not None else None,
            actual_max_tokens=ceiling,
            input_tokens=anchor.input_tokens if anchor is not None else None,
            total_tokens=anchor.total_tokens if anchor is not None else None,
            confidence=estimate.confidence if estimate else None,
            attempt_index=preparation.attempt_for(record),
            estimated_deliverable_count=opened.estimated,
            deliverables=None if window is None else known_before(window, opened, crowded),
        )

    def _bare_event(
        self, record: EstimationEvent, offset: int, ordinal: int, logged: Logged | None
    ) -> Context:
        """Return what is known of an event before which nothing was said: its run, if it is one."""
        values = (offset, record.deliverable_count, None, record.selected_budget, None)
        opened = tuple.__new__(OpenEvent, (*values, record.actual_output_tokens))
        unanchored = (offset, ordinal, record.success, opened, logged)
        self.state.unanchored = tuple.__new__(Unanchored, unanchored)
        run = self.state.runs.only()
        if run is None:
            return NOTHING_TOLD
        if self._of_run.run != run:
            self._of_run = Context(run)
        return self._of_run

    def settle(self) -> None:
        """Bring the state up to date: what the newest time leaves in it waits until then."""
        if self._heard is not None:
            self.state.runs.heard, self._heard = self._seconds(self._heard), None

    def _seconds(self, when: When) -> float | None:
        return self._seconds_of(when) if isinstance(when, str) else when

    def escalation(self, record: Escalation) -> EscalationContext:
        """Return what is known around an escalation at its line."""
        window = self.state.windows.get(record.phase)
        if window is None or window.contested or not window.events:
            return EscalationContext(self.state.run_of(window), None, None, None)
        last = window.events[-1]
        return EscalationContext(
            self.state.run_of(window), last.selected_budget, last.max_tokens, last.actual_tokens
        )

    def context_line(self, record: Record, ordinal: int, when: When = None) -> None:
        """Take a line that tells something of events around it; not one whose run or phase is too long."""
        kind, named = type(record), cast(Any, record)
        if kind in _NAMING_PHASE and len(named.phase) > MAX_ID_LENGTH:
            return
        if kind in _NAMING_RUN and len(named.run or "") > MAX_ID_LENGTH:
            return
        self.take(record, ordinal, when)

    def take(self, record: Record, ordinal: int, when: When = None) -> None:
        """Take a line that is itself no longer than an id may be."""
        kind = type(record)
        if self.state.declared.open_list is not None and kind not in _LISTED:
            self.reach(ordinal)
        self._takers[kind](record, ordinal, when)
        if kind in _MOVING:
            self._look_who_writes()
        if when is not None and self._is_one_run:
            self._heard = when

    def doubt_run(self, beginning: str) -> None:
        """Take a torn line in which a run may have started whose name begins so, as far as that is known."""
        self.state.runs.doubt(beginning)
        self._look_who_writes()

    def _look_who_writes(self) -> None:
        """See whether all lines are of one run; what was said before a call may be another run's, if not."""
        runs_are_one = not self.state.runs.crowded
        self._is_one_run = runs_are_one
        self._may_prepare = runs_are_one and not self.state.windows.overlapping
        if not self._may_prepare:
            self.state.preparation = NOT_PREPARED

    # Before an event

    def _name_run(self, record: RunNamed, _: int, when: When) -> None:
        self.settle()
        self.state.name_run(record, self._seconds(when))

    def _prepared(self) -> Preparation:
        """Return what is said before the next call, to be added to: in vain where it may be anybody's."""
        if self.state.preparation is not NOT_PREPARED:
            return self.state.preparation
        preparation = Preparation()
        if self._may_prepare:
            self.state.preparation = preparation
        return preparation

    def _take_estimate(self, record: Estimate, _: int, __: When) -> None:
        if record.deliverable_count is None:
            self._prepared().selection = record
        else:
            self._prepared().estimate = record

    def _take_ceiling(self, record: Ceiling, _: int, __: When) -> None:
        self._prepared().ceiling = record

    def _take_model(self, record: BuilderModel, _: int, __: When) -> None:
        self._prepared().model = record

    def _take_use(self, record: BudgetUse, _: int, __: When) -> None:
        self.state.windows.alive(record.phase)
        self.state.window_of(record.phase)
        self.state.anchors.add(record)

    def _infer_scope(self, record: ScopeInferred, _: int, __: When) -> None:
        if not self.state.crowded:
            self.state.window_of(record.phase).scope_is_deliverables = True

    def _take_scope(self, record: ScopePaths, _: int, __: When) -> None:
        windows = self.state.windows
        window = windows.get(windows.current) if windows.current is not None else None
        if window is not None and window.scope_is_deliverables and not self.state.crowded:
            window.scope = PathList(record.paths[: MAX_PATHS + 1], len(record.paths))

    # What comes after an event

    def _amend(self, event: OpenEvent, context: Context) -> None:
        self.amendments.append(Amendment(event.offset, context))

    def _finish_call(self, record: BuilderFinished, ordinal: int, _: When) -> None:
        state = self.state
        state.windows.alive(record.phase)
        last, state.unanchored = state.unanchored, None
        window = state.windows.get(record.phase)
        told = (
            last is not None
            and not state.crowded
            and ordinal - last.ordinal <= LINES_BEHIND
            and last.success in (None, record.succeeded)
            and not (window is not None and window.awaits_builder)  # it ends that event's call
        )
        if last is not None and told:
            window = state.window_of(record.phase)
            window.add(last.opened)
            context = Context(phase=Told(record.phase, "builder"), run=state.run_of(window))
            self.amendments.append(Amendment(last.offset, context))
        if window is None or not window.contested:
            self._end_call(record.phase, window)

    def _end_call(self, phase: str, window: Window | None) -> None:
        """Count a builder call that ended without an event."""
        state = self.state
        dropped = state.anchors.drop(phase)
        if not dropped and (window is None or not window.awaits_builder):
            state.calls_lost += 1
        if window is not None:
            window.awaits_builder = False

    def _take_status(self, record: PhaseStatus, _: int, __: When) -> None:
        window = self.state.windows.followed(record.phase)
        if window is None or not record.is_outcome:
            return
        if window.outcome is None:
            window.outcome = record.status
            for event in window.events:
                self._amend(event, Context(phase_outcome=record.status))
        window.close()

    def _take_declared(self, record: DeclaringRecord, ordinal: int, _: When) -> None:
        state = self.state
        if isinstance(record, AppliedFiles):
            state.windows.alive(record.phase)
        elif isinstance(record, ProtectedPaths):
            state.window_of(record.phase)
        for event, context in state.declared.take(record, ordinal, state.windows, state.crowded):
            self._amend(event, context)

    def _take_attempted(self, record: AttemptedFiles, ordinal: int, _: When) -> None:
        state, window, last = self.state, self.state.windows.under_way(), self.state.unanchored
        if last is not None:
            window = Window(events=[last.opened]) if ordinal - last.ordinal <= LINES_BEHIND else None
        if window is None or state.crowded or state.anchors.pending:
            return
        for event, context in attempted(record, window):
            self._amend(event, context)
