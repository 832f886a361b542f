"""The values that lines become: one record for each thing that a line can say.

Named tuples rather than dataclasses: a log has millions of them, and they are made, and sent from one
process to another, several times as fast.

Token counts are whole numbers of tokens. `phase` and `run` are the executor's ids, as logged.
A field that is `None` was logged as `None` or is not told by this form of the line.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple


class Stamp(NamedTuple):
    """A time as a line logged it.

    `text` is the time exactly as written. `moment` is naive where the line gives local time
    without an offset (the executor's own prefixes), aware where a container's prefix, or a JSON
    object's time, carries one.
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
    """A line that is counted and otherwise left alone."""

    kind: Literal["legacy", "write_failure", "skipped_event"]


class BudgetUse(NamedTuple):
    """The anchor of an event: which phase's call used how many tokens of which ceiling."""

    phase: str
    complexity: str
    input_tokens: int
    output_tokens: int
    max_tokens: int
    total_tokens: int
    model: str


class RunNamed(NamedTuple):
    """A line that names the run. `starts` where an executor process says so when it starts."""

    run: str
    source: Literal["initialized", "lock", "verified", "manifest"]
    starts: bool


class RunEnded(NamedTuple):
    """An executor process is over; `run` is `None` where the line doesn't name it."""

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
    """A phase changed its status; `is_outcome` unless the status is one on the way."""

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
    """The max tokens that a call will really be given."""

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
    """A phase's answer lacks deliverables; the required ones are listed a few lines on."""

    phase: str


@dataclass(frozen=True, slots=True)
class RequiredList:
    """The header of the list of required deliverables; one `ListedPath` a line follows."""


class ListedPath(NamedTuple):
    """An item of the list whose header stands above it."""

    path: str


@dataclass(frozen=True, slots=True)
class ListRest:
    """The last line of a list that was shortened: so many more, not named."""

    count: int


@dataclass(frozen=True, slots=True)
class MissingList:
    """So many required deliverables of a phase are missing; up to five are named below."""

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
    """Paths of the scope of whatever phase is being prepared."""

    paths: tuple[str, ...]


class ProtectedPaths(NamedTuple):
    """Paths that a phase declared and may not write; `whole` unless the line leaves some out."""

    phase: str
    paths: tuple[str, ...]
    whole: bool


class AttemptedFiles(NamedTuple):
    """The paths that an answer tried to write, whichever phase it is of."""

    paths: tuple[str, ...]


class Escalation(NamedTuple):
    """A call will be repeated with more room.

    `base_tokens` is where the new ceiling was computed from and `base_source` what that number
    is; `utilization_percent` is told where it, not a truncation, was the reason.
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
