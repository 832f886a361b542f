"""Whether the events are enough to believe a validation, and why (not)."""

from __future__ import annotations

from dataclasses import dataclass

from reports.metrics import rate
from reports.terminal import counted
from reports.validation import MIN_STABLE_N, Validation

MIN_PHASES = 30
"""Phases below which nothing is said of the estimator: what is usually taken for the least."""

MIN_REAL_SHARE = 0.5
"""Most of the events must have real deliverable paths; else the estimates were of something made up."""

MIN_COVERED_SHARE = 0.5
"""At least half of the strata that occur must have enough events of their own."""

NOT_ENOUGH = "not enough data"
INCOMPLETE = "validation incomplete"
VALIDATED = "validated on real data"


@dataclass(frozen=True, slots=True)
class Readiness:
    """The status line and what it rests on: `samples` events of `phases`, which are what is counted.

    `real_share` is the share of events with real deliverable paths, 0..1; a stratum is covered if it
    has at least `MIN_STABLE_N` phases.
    """

    status: str
    reason: str
    samples: int
    phases: int
    real_share: float | None
    strata_seen: int
    strata_covered: int


def readiness(validation: Validation) -> Readiness:
    """Judge how much the events of a validation can carry; not whether the gates are passed."""
    overall = validation.overall
    real, strata = rate(overall.with_deliverables, overall.n), len(validation.strata)
    covered = sum(stratum.phases >= MIN_STABLE_N for stratum in validation.strata)
    enough_real = (real or 0) >= MIN_REAL_SHARE
    enough_covered = covered >= MIN_COVERED_SHARE * strata
    if overall.phases < MIN_PHASES:
        status = NOT_ENOUGH
    else:
        status = VALIDATED if enough_real and enough_covered else INCOMPLETE
    reason = (
        f"{overall.phases:,} of at least {MIN_PHASES} phases, whose tries are alike "
        f"({counted(overall.n, 'event')}); {_percent(real)} with real deliverable paths "
        f"(at least {_percent(MIN_REAL_SHARE)}); {covered} of {strata} strata with {MIN_STABLE_N} phases or "
        "more (at least half)"
    )
    return Readiness(status, reason, overall.n, overall.phases, real, strata, covered)


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share:.0%}"
