"""Whether the events are enough to believe a validation, and why (not)."""

from __future__ import annotations

from dataclasses import dataclass

from reports.metrics import rate
from reports.terminal import counted
from reports.validation import MIN_STABLE_N, Validation

MIN_PHASES = 30
"""Phases below which the data is not enough to judge the estimator: the usual rule of thumb."""

MIN_REAL_SHARE = 0.5
"""The share of events that must have real deliverable paths, at least: of others it isn't known what was
estimated."""

MIN_COVERED_SHARE = 0.5
"""The share of strata that must be covered, at least: have `MIN_STABLE_N` phases of their own."""

NOT_ENOUGH = "not enough data"
INCOMPLETE = "validation incomplete"
VALIDATED = "validated on real data"


@dataclass(frozen=True, slots=True)
class Readiness:
    """The status and what it rests on: `samples` events of `phases`; the phases are what is counted.

    `real_share` is the share of events with real deliverable paths, 0..1. Of `strata_seen` strata,
    `strata_covered` have at least `MIN_STABLE_N` phases.
    """

    status: str
    reason: str
    samples: int
    phases: int
    real_share: float | None
    strata_seen: int
    strata_covered: int


def readiness(validation: Validation) -> Readiness:
    """Judge whether the events of a validation are enough; not whether its gates are passed."""
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
