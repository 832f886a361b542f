"""The records that lines become: one class for each thing that a line can say.

Most are named tuples rather than dataclasses: a log has millions of them, and named tuples are made, and sent
between processes, several times as fast.

Token counts are whole numbers of tokens. `phase` and `run` are the executor's ids, as logged.
A field that is `None` was logged as `None`, or is not in this form of the line.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple


class Stamp(NamedTuple):
    """A time as a line logged it.

    `text` is the time exactly as written. `moment` is naive if the line has local time without an offset (the
    executor's own prefixes), and aware if it has an offset (a container's prefix, or a JSON object's time).
    """

    text: str
    moment: datetime


class EstimationEvent(NamedTuple):
    """The outcome of one builder call: the fields of a `[TokenEstimationV2]` line.

    `actual_is_total` marks the fallback form, whose actual is input and output together.
    `smape_percent` is what the executor computed (0..200), rounded by it to one decimal.
    """

    predicted_output_tokens: int
    actual_output_tokens: int
    actual_is_total: bool
    smape_percent: float | None
    selected_budget: int | None
    category: str | None
    complexity: str | None
    deliverable_count: int
    success: bool | None
    stop_reason: str | None
    truncated: bool | None
    model: str | None


class Malformed(NamedTuple):
    """A line with the event's marker that cannot become an event, and why."""

    reason: str


class Noted(NamedTuple):
    """A line that is only counted."""

    kind: Literal["legacy", "write_failure", "skipped_event"]


class BudgetUse(NamedTuple):
    """The anchor of an event: a phase's call, with the tokens that it used of its ceiling (`max_tokens`)."""

    phase: str
    complexity: str
    input_tokens: int
    output_tokens: int
    max_tokens: int
    total_tokens: int
    model: str


class RunNamed(NamedTuple):
    """A line that names the run; `starts` is set if an executor process logs it when it starts."""

    run: str
    source: Literal["initialized", "lock", "verified", "manifest"]
    starts: bool


class RunEnded(NamedTuple):
    """An executor process has ended; `run` is `None` if the line doesn't name it."""

    run: str | None


class SoftCap(NamedTuple):
    """The one prefixed line that names run and phase together; `run` is `None` for `unknown`."""

    run: str | None
    phase: str


class Draining(NamedTuple):
    """A printed line: this run is drained next, starting with this phase (often, not always)."""

    run: str
    requested_phase: str


class PhaseOpened(NamedTuple):
    """A phase begins (`requested`), or a builder call for it does."""

    phase: str
    by: Literal["requested", "generating"]


class BuilderFinished(NamedTuple):
    """The builder call of a phase is over; `total_tokens` is input and output together."""

    phase: str
    succeeded: bool
    total_tokens: int | None


class PhaseStatus(NamedTuple):
    """A phase changed its status; `is_outcome` is false for a status that it only passes through."""

    phase: str
    status: str
    is_outcome: bool


class Estimate(NamedTuple):
    """The estimate before a call. `confidence` is 0..1; `deliverable_count` may be unknown."""

    output_tokens: int
    selected_budget: int
    confidence: float
    deliverable_count: int | None


class Ceiling(NamedTuple):
    """The max tokens that a call will get."""

    max_tokens: int
    selected_budget: int | None


class BuilderModel(NamedTuple):
    """The model chosen for a builder call; `attempt_index` counts from 0."""

    model: str
    attempt_index: int
    category: str


class AppliedFiles(NamedTuple):
    """The paths that were written for a phase."""

    phase: str
    paths: tuple[str, ...]


class DeliverablesRefused(NamedTuple):
    """A phase's answer lacks deliverables; the required ones are listed a few lines below."""

    phase: str


@dataclass(frozen=True, slots=True)
class RequiredList:
    """The header of the list of required deliverables; below it each line is a `ListedPath`."""


class ListedPath(NamedTuple):
    """An item of the list of required deliverables."""

    path: str


@dataclass(frozen=True, slots=True)
class ListRest:
    """The last line of a list that was shortened: the number of items that are not named."""

    count: int


@dataclass(frozen=True, slots=True)
class MissingList:
    """The number of required deliverables of a phase that are missing; up to five are named below."""

    phase: str
    count: int


class MissingPath(NamedTuple):
    """An item of a phase's list of missing deliverables."""

    phase: str
    path: str


class ScopeInferred(NamedTuple):
    """The phase's scope paths will be its deliverables."""

    phase: str


class ScopePaths(NamedTuple):
    """Paths of the scope of a phase, which the line doesn't name."""

    paths: tuple[str, ...]


class ProtectedPaths(NamedTuple):
    """Paths that a phase declared and may not write; `whole` is false if the line leaves some out."""

    phase: str
    paths: tuple[str, ...]
    whole: bool


class AttemptedFiles(NamedTuple):
    """The paths that an answer tried to write; the line doesn't name the phase."""

    paths: tuple[str, ...]


class Escalation(NamedTuple):
    """A call will be repeated with a larger ceiling.

    The new ceiling was computed from `base_tokens`, and `base_source` says what that number is.
    `utilization_percent` is set if it was the reason, and not a truncation.
    """

    phase: str
    attempt_index: int
    base_tokens: int
    base_source: str | None
    retry_max_tokens: int
    factor: float | None
    reason: Literal["truncation", "utilization"]
    utilization_percent: float | None


Record = (
    EstimationEvent
    | Malformed
    | Noted
    | BudgetUse
    | RunNamed
    | RunEnded
    | SoftCap
    | Draining
    | PhaseOpened
    | BuilderFinished
    | PhaseStatus
    | Estimate
    | Ceiling
    | BuilderModel
    | AppliedFiles
    | DeliverablesRefused
    | RequiredList
    | ListedPath
    | ListRest
    | MissingList
    | MissingPath
    | ScopeInferred
    | ScopePaths
    | ProtectedPaths
    | AttemptedFiles
    | Escalation
)
