"""From records to events with their context: one source, line after line.

When two lines are one event is decided elsewhere, in `ingest.identity`.

Lines before an event give it its first context. Lines after it, even a week later, become an `Amendment`.
All that must be remembered for that is in `LinkerState`, which is stored with the checkpoint, so it makes
no difference where a file is cut.

Runs that write to one file at the same time must not get each other's context. An anchor counts for the
event that has the same actual tokens; if anchors of two phases fit, the phase is unknown. The rules for
all other lines are in `ingest.linking.state`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, cast, get_args

from ingest.linking.context import MAX_PATHS, NO_CONTEXT, Attributed, Context
from ingest.linking.state import (
    NOT_PREPARED,
    Amendment,
    EscalationContext,
    LinkerState,
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
"""Characters of a run's or phase's id; a longer one is a damaged line."""

MAX_LINES_AFTER = 3
"""How many lines after its event the builder's own line may still name its phase."""

_LISTED = frozenset({ListedPath, ListRest})
_CHANGING_CONCURRENCY = frozenset(
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
"""Records that may change which runs are live, or which phases are open."""

POSITIONAL = frozenset({BuilderFinished, AttemptedFiles, DeliverablesRefused, RequiredList, *_LISTED})
"""Records that count only within some lines of another, so that the numbers of their lines are needed."""

_NAMING_PHASE = frozenset(kind for kind in get_args(Record) if "phase" in kind.__annotations__)
_NAMING_RUN = frozenset(kind for kind in get_args(Record) if "run" in kind.__annotations__)

When = datetime | str | None
"""When a line was logged, or the prefix that says it: seconds are computed from it if they are needed."""

SecondsOf = Callable[[datetime | str, bool], float]
"""Computes the seconds since the epoch at the first reading of a time, or where asked at the last one."""

_Apply = Callable[[Any, int, When], None]
"""Applies a record of one kind, given the number of its line and when it was logged."""


class Linker:
    """Link the records of one source, in the order of its lines."""

    def __init__(self, state: LinkerState, seconds_of: SecondsOf) -> None:
        """Go on from a state, which is changed in place."""
        self.state = state
        self._seconds_of = seconds_of
        if state.preparation == NOT_PREPARED:
            state.preparation = NOT_PREPARED
        self.amendments: list[Amendment] = []
        self._apply_by_kind: dict[type, _Apply] = {
            Estimate: self._apply_estimate,
            Ceiling: self._apply_ceiling,
            BuilderModel: self._apply_model,
            PhaseOpened: lambda record, _, __: state.open_phase(record),
            BudgetUse: self._apply_budget_use,
            BuilderFinished: self._finish_call,
            PhaseStatus: self._apply_status,
            RunNamed: self._name_run,
            RunEnded: lambda record, _, __: state.end_run(record),
            SoftCap: lambda record, _, __: state.cap(record),
            Draining: lambda record, _, __: state.runs.drain(record.run),
            ScopeInferred: self._infer_scope,
            ScopePaths: self._apply_scope,
            AttemptedFiles: self._apply_attempted,
            **dict.fromkeys(get_args(DeclaringRecord), self._apply_declared),
        }
        self._run_context = NO_CONTEXT
        self._update_concurrency()
        self._last_line_at: When = None  # not in the state yet: see `sync_state`

    @property
    def calls_without_telemetry(self) -> int:
        """Builder calls seen so far whose event was not."""
        return self.state.calls_lost + self.state.anchors.without_event

    @property
    def is_listing(self) -> bool:
        """Whether the lines directly below may go on with a list."""
        return self.state.declared.open_list is not None

    def reach(self, ordinal: int) -> None:
        """Note that all lines up to this one (counted from 1) were read, whatever they say."""
        for event, context in self.state.declared.reach(ordinal, self.state.windows):
            self._amend(event, context)

    def event(self, record: EstimationEvent, offset: int, ordinal: int) -> Context:
        """Apply an event line; return the event's context as far as it is known by then."""
        state = self.state
        if state.declared.open_list is not None:
            self.reach(ordinal)
        concurrent = not self._may_prepare
        if state.preparation is NOT_PREPARED and not (concurrent or state.anchors.pending):
            return self._bare_event(record, offset, ordinal)
        anchored = state.anchors.pop_for(record, concurrent)
        phase, anchor = anchored.phase, anchored.anchor
        window = state.window_of(phase) if phase is not None else None
        if window is not None:
            window.ambiguous |= anchor is None
            anchor = None if window.ambiguous else anchor
        prepared = not concurrent and phase in (None, state.windows.current)
        preparation = state.preparation if prepared else NOT_PREPARED
        estimate = preparation.estimate_for(record)
        ceiling = anchor.max_tokens if anchor is not None else preparation.ceiling_for(record)
        opened = OpenEvent.of(record, offset, estimate, ceiling)
        state.preparation = NOT_PREPARED
        state.unanchored = None
        if window is not None:
            window.add(opened)
            self._update_concurrency()  # the window may have been opened here
        elif not anchored.undecided and not concurrent:
            state.unanchored = Unanchored(offset, ordinal, record.success, opened)
        return Context(
            state.run_of(window),
            Attributed(phase, "budget") if phase is not None else None,
            actual_max_tokens=ceiling,
            input_tokens=anchor.input_tokens if anchor is not None else None,
            total_tokens=anchor.total_tokens if anchor is not None else None,
            confidence=estimate.confidence if estimate else None,
            attempt_index=preparation.attempt_for(record),
            estimated_deliverable_count=opened.estimated,
            deliverables=None if window is None else known_before(window, opened, concurrent),
        )

    def _bare_event(self, record: EstimationEvent, offset: int, ordinal: int) -> Context:
        """Return the context of an event with no anchor and no preparation: its run, if it is known."""
        values = (offset, record.deliverable_count, None, record.selected_budget, None)
        opened = tuple.__new__(OpenEvent, (*values, record.actual_output_tokens))
        self.state.unanchored = tuple.__new__(Unanchored, (offset, ordinal, record.success, opened))
        run = self.state.runs.only()
        if run is None:
            return NO_CONTEXT
        if self._run_context.run != run:
            self._run_context = Context(run)
        return self._run_context

    def sync_state(self) -> None:
        """Write the time of the newest line into the state, before the state is stored or compared."""
        if self._last_line_at is not None:
            self.state.runs.last_line_at = self._seconds_of(self._last_line_at, True)
            self._last_line_at = None

    def escalation(self, record: Escalation) -> EscalationContext:
        """Return the context of an escalation when its line is read."""
        window = self.state.windows.get(record.phase)
        if window is None or window.ambiguous or not window.events:
            return EscalationContext(self.state.run_of(window), None, None, None)
        last = window.events[-1]
        return EscalationContext(
            self.state.run_of(window), last.selected_budget, last.max_tokens, last.actual_tokens
        )

    def context_line(self, record: Record, ordinal: int, when: When = None) -> None:
        """Apply a context line, unless its run or phase is too long to be an id."""
        kind, named = type(record), cast(Any, record)
        if kind in _NAMING_PHASE and len(named.phase) > MAX_ID_LENGTH:
            return
        if kind in _NAMING_RUN and len(named.run or "") > MAX_ID_LENGTH:
            return
        self.apply(record, ordinal, when)

    def apply(self, record: Record, ordinal: int, when: When = None) -> None:
        """Apply a context line that is so short that the ids in it can't be too long."""
        kind = type(record)
        if self.state.declared.open_list is not None and kind not in _LISTED:
            self.reach(ordinal)
        self._apply_by_kind[kind](record, ordinal, when)
        if kind in _CHANGING_CONCURRENCY:
            self._update_concurrency()
        if when is not None and self._is_single_run:
            self._last_line_at = when

    def doubt_run(self, beginning: str) -> None:
        """Apply a torn line in which a run may have started; `beginning` is what is known of its name."""
        self.state.runs.doubt(beginning)
        self._update_concurrency()

    def _update_concurrency(self) -> None:
        """Look again whether a single run writes; if not, lines before a call may be another run's."""
        runs_are_one = not self.state.runs.concurrent
        self._is_single_run = runs_are_one
        self._may_prepare = runs_are_one and not self.state.windows.overlapping
        if not self._may_prepare:
            self.state.preparation = NOT_PREPARED

    # Before an event

    def _name_run(self, record: RunNamed, _: int, when: When) -> None:
        self.sync_state()
        self.state.name_run(record, None if when is None else self._seconds_of(when, False))

    def _prepared(self) -> Preparation:
        """Return the preparation of the next call, to be changed; a throw-away one if runs are concurrent."""
        if self.state.preparation is not NOT_PREPARED:
            return self.state.preparation
        preparation = Preparation()
        if self._may_prepare:
            self.state.preparation = preparation
        return preparation

    def _apply_estimate(self, record: Estimate, _: int, __: When) -> None:
        if record.deliverable_count is None:
            self._prepared().selection = record
        else:
            self._prepared().estimate = record

    def _apply_ceiling(self, record: Ceiling, _: int, __: When) -> None:
        self._prepared().ceiling = record

    def _apply_model(self, record: BuilderModel, _: int, __: When) -> None:
        self._prepared().model = record

    def _apply_budget_use(self, record: BudgetUse, _: int, __: When) -> None:
        self.state.windows.saw_activity(record.phase)
        self.state.window_of(record.phase)
        self.state.anchors.add(record)

    def _infer_scope(self, record: ScopeInferred, _: int, __: When) -> None:
        if not self.state.concurrent:
            self.state.window_of(record.phase).scope_is_deliverables = True

    def _apply_scope(self, record: ScopePaths, _: int, __: When) -> None:
        windows = self.state.windows
        window = windows.get(windows.current) if windows.current is not None else None
        if window is not None and window.scope_is_deliverables and not self.state.concurrent:
            window.scope = PathList(record.paths[: MAX_PATHS + 1], len(record.paths))

    # What comes after an event

    def _amend(self, event: OpenEvent, context: Context) -> None:
        self.amendments.append(Amendment(event.offset, context))

    def _finish_call(self, record: BuilderFinished, ordinal: int, _: When) -> None:
        state = self.state
        state.windows.saw_activity(record.phase)
        last, state.unanchored = state.unanchored, None
        state.preparation = NOT_PREPARED  # it was this call's, whether or not it had an event
        window = state.windows.get(record.phase)
        names_phase = (
            last is not None
            and not state.concurrent
            and ordinal - last.ordinal <= MAX_LINES_AFTER
            and last.success in (None, record.succeeded)
            and not (window is not None and window.awaits_builder)  # it ends that event's call
        )
        if last is not None and names_phase:
            window = state.window_of(record.phase)
            window.add(last.opened)
            context = Context(phase=Attributed(record.phase, "builder"), run=state.run_of(window))
            self.amendments.append(Amendment(last.offset, context))
        if window is None or not window.ambiguous:
            self._end_call(record.phase, window)

    def _end_call(self, phase: str, window: Window | None) -> None:
        """Count a builder call that ended without an event."""
        state = self.state
        dropped = state.anchors.drop(phase)
        if not dropped and (window is None or not window.awaits_builder):
            state.calls_lost += 1
        if window is not None:
            window.awaits_builder = False

    def _apply_status(self, record: PhaseStatus, _: int, __: When) -> None:
        window = self.state.windows.followed(record.phase)
        if window is None or not record.is_outcome:
            return
        if window.outcome is None:
            window.outcome = record.status
            for event in window.events:
                self._amend(event, Context(phase_outcome=record.status))
        window.close()

    def _apply_declared(self, record: DeclaringRecord, ordinal: int, _: When) -> None:
        state = self.state
        if isinstance(record, AppliedFiles):
            state.windows.saw_activity(record.phase)
        elif isinstance(record, ProtectedPaths):
            state.window_of(record.phase)
        for event, context in state.declared.apply(record, ordinal, state.windows, state.concurrent):
            self._amend(event, context)

    def _apply_attempted(self, record: AttemptedFiles, ordinal: int, _: When) -> None:
        state, window, last = self.state, self.state.windows.under_way(), self.state.unanchored
        if last is not None:
            window = Window(events=[last.opened]) if ordinal - last.ordinal <= MAX_LINES_AFTER else None
        if window is None or state.concurrent or state.anchors.pending:
            return
        for event, context in attempted(record, window):
            self._amend(event, context)
