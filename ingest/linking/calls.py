"""The builder calls under way: their anchors, and what was said before them.

An anchor (`[TOKEN_BUDGET] phase=...`) is right for the event whose actual it equals. The lines
before a call name nothing at all, so they count only while a single run writes, and only for the
very next event.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from parsers.records import BudgetUse, BuilderModel, Ceiling, Estimate, EstimationEvent

MAX_PENDING = 32
"""Anchors that wait for their event; in real logs it is one, or one for each parallel run."""


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
    """What was said before the next call, each in its last version."""

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
