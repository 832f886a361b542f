"""Calibration: by which factor estimates should change, and which budgets would hold.

A proposal, never applied. The factor is the median of actual / predicted; it is proposed only where
its interval excludes 1 and, each event left out in turn, it would have lessened the error. Budgets
take truncated answers as what they are: right-censored at their ceiling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlite_utils import Database

from reports.bootstrap import median_interval
from reports.extras import imported
from reports.metrics import Interval, Spread, mean, median, smape, spread
from reports.selection import Selection
from reports.strata import Key, Strata
from reports.survival import BudgetFactor, budget_factor
from reports.tokens import Kinds, tokens_by_stratum

MIN_SAMPLES = 5
"""Clean events below which nothing is proposed for a stratum."""

MAX_TRUNCATION = 0.02
"""The share of truncated answers that a budget may lead to."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """One stratum. `n` clean events (parsed, whole, neither number 0), `truncated` cut answers.

    Means in tokens and `smape` in percent are over the clean events, and so are `ratio_*`: actual /
    predicted. `factor` is the median ratio with truncated answers at their lower bound, and
    `factor_is_lower_bound` where these reach below it. `error_before` and `error_after` are mean
    SMAPE as logged, and with the factor found from all other events.
    `proposed_factor` is `None` where none would have helped, for the reason in `why`.
    """

    key: Key
    n: int
    truncated: int
    mean_predicted: float | None
    mean_actual: float | None
    smape: Spread
    ratio_median: float | None
    ratio_min: float | None
    ratio_max: float | None
    factor: float | None
    factor_interval: Interval | None
    factor_is_lower_bound: bool
    error_before: float | None
    error_after: float | None
    proposed_factor: float | None
    why: str
    budget: BudgetFactor


@dataclass(frozen=True, slots=True)
class _Answers:
    """Answers as (predicted, actual), truncated ones with their ceiling; none of the first two is 0.

    `unparsed` answers are whole and could not be parsed, or nobody knows: they say nothing of what a
    good answer needs, but they did need their tokens, so that budgets must hold them as well.
    """

    clean: list[tuple[int, int]] = field(default_factory=list)
    unparsed: list[tuple[int, int]] = field(default_factory=list)
    truncated: list[tuple[int, int, int]] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        return [actual / predicted for predicted, actual in self.clean]

    @property
    def bounds(self) -> list[float]:
        """What truncated answers needed at least, as actual / predicted."""
        return [max(actual, ceiling) / predicted for predicted, actual, ceiling in self.truncated]

    def add(self, other: _Answers) -> None:
        """Take in the answers of another stratum."""
        self.clean.extend(other.clean)
        self.unparsed.extend(other.unparsed)
        self.truncated.extend(other.truncated)


def calibrate(
    db: Database,
    selection: Selection,
    strata: Strata,
    min_samples: int = MIN_SAMPLES,
    max_truncation: float = MAX_TRUNCATION,
) -> tuple[Calibrated, list[Calibrated]]:
    """Return the calibration over all selected events, and that of each stratum.

    Raises:
        MissingExtra: scipy is not installed.
    """
    imported("scipy.stats", "stats")  # its lack is said at once, not where data happens to need it
    by_stratum = {key: _answers(kinds) for key, kinds in tokens_by_stratum(db, selection, strata).items()}
    everything = _Answers()
    for answers in by_stratum.values():
        everything.add(answers)
    overall = _calibrated(tuple(None for _ in strata.dimensions), everything, min_samples, max_truncation)
    return overall, [
        _calibrated(key, answers, min_samples, max_truncation) for key, answers in by_stratum.items()
    ]


def _answers(kinds: Kinds) -> _Answers:
    answers = _Answers()
    for kind, tokens in kinds.items():
        if kind.clean:
            answers.clean.extend(tokens.pairs())
        elif kind.truncated is False:
            answers.unparsed.extend(tokens.pairs())
        elif kind.truncated:
            both = zip(tokens.predicted, tokens.actual, tokens.ceiling, strict=True)
            answers.truncated.extend(one for one in both if one[0] and one[1])
    return answers


def _calibrated(key: Key, answers: _Answers, min_samples: int, max_truncation: float) -> Calibrated:
    ratios, bounds = sorted(answers.ratios), answers.bounds
    known = sorted([*ratios, *bounds])
    factor = median(known)
    error = spread([200 * abs(p - a) / (p + a) for p, a in answers.clean])
    enough = len(ratios) >= min_samples
    interval = median_interval(known) if enough else None
    before, after = (error.mean, _error_after(answers, known)) if enough else (None, None)
    useful, why = _judged(len(ratios), min_samples, interval, before, after)
    clean = len(ratios)
    unparsed = (actual / predicted for predicted, actual in answers.unparsed)
    return Calibrated(
        key=key,
        n=clean,
        truncated=len(answers.truncated),
        mean_predicted=sum(predicted for predicted, _ in answers.clean) / clean if clean else None,
        mean_actual=sum(actual for _, actual in answers.clean) / clean if clean else None,
        smape=error,
        ratio_median=median(ratios),
        ratio_min=ratios[0] if ratios else None,
        ratio_max=ratios[-1] if ratios else None,
        factor=factor,
        factor_interval=interval,
        factor_is_lower_bound=factor is not None and any(bound <= factor for bound in bounds),
        error_before=before,
        error_after=after,
        proposed_factor=factor if useful else None,
        why=why,
        budget=budget_factor([*ratios, *unparsed], bounds, max_truncation),
    )


def _judged(
    n: int, min_samples: int, interval: Interval | None, before: float | None, after: float | None
) -> tuple[bool, str]:
    """Decide whether the factor is proposed, and say why (not)."""
    if interval is None or before is None or after is None:
        return False, f"{n} of {min_samples} clean samples"
    if interval.low <= 1 <= interval.high:
        return False, "the interval includes 1"
    if after >= before:
        return False, "it would not have helped"
    return True, f"it would have lessened the error by {before - after:.1f} points"


def _error_after(answers: _Answers, ordered: Sequence[float]) -> float | None:
    """Return mean SMAPE of the clean events, each predicted with the factor of all the others."""
    return mean(
        [
            smape(predicted * _median_without(ordered, ratio), actual) or 0.0
            for (predicted, actual), ratio in zip(answers.clean, answers.ratios, strict=True)
        ]
    )


def _median_without(ordered: Sequence[float], left_out: float) -> float:
    """Return the median of sorted values of which one is left out."""
    middle = (len(ordered) - 2) // 2, (len(ordered) - 1) // 2
    low, high = (ordered[place + (left_out <= ordered[place])] for place in middle)
    return (low + high) / 2
