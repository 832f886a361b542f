"""Calibration: by which factor estimates should change, and which budgets would hold.

A proposal, never applied. It rests on the answers since the estimates last changed. The factor is the
median of actual / predicted by phase; it is proposed only where its interval excludes 1 and where the
factor of the earlier half of the phases lessened the error of the later half. Factors and budgets take cut
answers for what they are: longer than what they got, unknown how much. Errors are over clean ones alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress, repeat
from typing import NamedTuple

from sqlite_utils import Database

from reports.answers import Answers, ByStratum, halves, read_answers, since, together, units
from reports.budgets import Budget, Budgets
from reports.changes import ESTIMATES, Change, find_changes, last_changes
from reports.costs import Costs, Prices, costs
from reports.futile import Futile, Try, futile
from reports.metrics import Interval, Ordered, Spread, mean, median, moments, rate, spread
from reports.selection import Selection
from reports.shrinkage import pooled_factors
from reports.strata import Key, Strata
from reports.survival import Curve, Median, Needs, median_needed
from reports.validation import UNDERESTIMATION_GATE

MIN_PHASES = 6
"""Phases with clean answers below which no factor for the center is proposed: of fewer, no median has a 95%
interval."""

MAX_TRUNCATION = 0.02
"""The share of answers, 0..1, that a budget may truncate."""

CENTER, GATE, BUDGET = "center", "gate", "budget"
PURPOSES = (CENTER, GATE, BUDGET)
"""What predictions are for: to be the median, to pass the report's gate, or to be the budget itself."""

MIN_GAIN = 1.0
"""Percentage points of SMAPE that a factor must gain forward in time, at least, to be proposed."""

MAX_FOLDS = 50
MAX_REPLAYED = 250_000
"""How many groups of phases are left out in turn, and how many answers are gone through for it, at most; but
there are two groups at least."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of a calibration: how much evidence it takes, for what, and what a budget may cost.

    `prices`, where there are any, take the place of `max_truncation` (0..1), since the cheapest budget has a
    share of truncated answers of its own. `all_time`: answers from before the last change count as well.
    """

    min_phases: int = MIN_PHASES
    max_truncation: float = MAX_TRUNCATION
    purpose: str = CENTER
    prices: Prices | None = None
    all_time: bool = False

    @property
    def limit(self) -> float:
        """The share of answers, 0..1, that a budget may truncate."""
        return self.prices.limit if self.prices else self.max_truncation

    @property
    def goal(self) -> float | None:
        """The share of answers, 0..1, that may exceed the new predictions; `None` for the median."""
        return {CENTER: None, GATE: UNDERESTIMATION_GATE, BUDGET: self.limit}[self.purpose]


@dataclass(frozen=True, slots=True)
class Forward:
    """A trial forward in time: the factor of the `fitted` earlier phases, tried on the `tried` later ones.

    `error_*` are the mean SMAPE in percent of the later clean answers, `beyond_*` the share (0..1) of all
    later answers that needed more than was predicted (cut ones did): as logged, and with the factor.
    """

    factor: float
    fitted: int
    tried: int
    error_before: float | None
    error_after: float | None
    beyond_before: float | None
    beyond_after: float | None


@dataclass(frozen=True, slots=True)
class Calibrated:
    """One stratum, over its answers `since` its estimates last changed (`None`: they didn't).

    `n` clean answers (parsed, whole, neither number 0) and `truncated` cut ones, of `phases`. Means in tokens
    and `smape` in percent are over the clean ones, and so are `ratio_*`: actual / predicted. `factor` is the
    median ratio of clean and cut ones. `error_before` and `error_after` are mean SMAPE as logged, and with
    the factor of the other phases (cross-validated): how well one factor fits. A forecast is tried by
    `forward`. `proposed_factor` is that for the purpose that was asked for, `None` for the reason in `why`;
    `gate` is the budget that at most 5% of new answers exceed.
    """

    key: Key
    since: str | None
    n: int
    truncated: int
    phases: int
    mean_predicted: float | None
    mean_actual: float | None
    smape: Spread
    ratio_median: float | None
    ratio_min: float | None
    ratio_max: float | None
    factor: float | None
    factor_interval: Interval | None
    error_before: float | None
    error_after: float | None
    forward: Forward | None
    proposed_factor: float | None
    why: str
    budget: Budget
    gate: Budget
    costs: Costs | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """The calibration over all selected answers, that of each stratum, and when the estimates changed.

    The `futile` answers, which more budget would not have helped, are left out of the numbers.
    """

    overall: Calibrated
    strata: list[Calibrated]
    changes: list[Change]
    futile: Futile


def calibrate(db: Database, selection: Selection, strata: Strata, wish: Wish | None = None) -> Calibration:
    """Return the calibration of the selected events."""
    nothing = tuple(None for _ in strata.dimensions)
    return calibrated(read_answers(db, selection, strata), nothing, wish or Wish())


def calibrated(by_stratum: ByStratum, everything: Key, wish: Wish) -> Calibration:
    """Return the calibration of answers, each stratum's oldest first; `everything` is the whole's key."""
    changes = find_changes(units(by_stratum))
    starts = {} if wish.all_time else last_changes(changes, list(by_stratum))
    used = {key: since(own, starts[key]) if key in starts else own for key, own in by_stratum.items()}
    kept, left_out = _without_futile(used)
    needs = {key: own.needs() for key, own in kept.items()}
    pooled, pooled_gate = pooled_factors(needs, (wish.limit, UNDERESTIMATION_GATE))
    common = [change.at for change in changes if change.of == ESTIMATES and change.key is None]
    start = None if wish.all_time else max(common, default=None)
    groups = [
        _Group(key, own, needs[key], starts.get(key), pooled.get(key), pooled_gate.get(key))
        for key, own in kept.items()
    ]
    whole = together([*kept.values()])
    return Calibration(
        _calibrated(_Group(everything, whole, Needs.together([*needs.values()]), start), wish),
        [_calibrated(group, wish) for group in groups],
        changes,
        left_out,
    )


def _without_futile(by_stratum: ByStratum) -> tuple[ByStratum, Futile]:
    """Return the answers without those that more budget would not have helped, and how many these are."""
    kept: ByStratum = {}
    phases: list[int] = []
    for key, answers in by_stratum.items():
        longest = max(compress(answers.actual, [not cut for cut in answers.cut]), default=0)
        columns = (answers.phase, answers.cut_at, answers.actual, answers.cut)
        out = futile([*map(Try._make, zip(*columns, strict=True))], longest)
        kept[key] = answers.only([place not in out for place in range(len(answers))]) if out else answers
        phases += [answers.phase[place] for place in out]
    return kept, Futile(len(phases), len(set(phases)))


class _Group(NamedTuple):
    """The answers of a stratum that are used, what they needed, since when, and the pooled factors."""

    key: Key
    answers: Answers
    needs: Needs
    since: str | None
    pooled: float | None = None
    pooled_gate: float | None = None


def _calibrated(group: _Group, wish: Wish) -> Calibrated:
    answers, clean = group.answers, group.answers.only(group.answers.clean)
    ratios, errors = sorted(clean.ratios), _errors(clean.predicted, clean.actual, repeat(1.0))
    usable = Curve(group.needs.only(group.needs.usable))
    middle = median_needed(usable)
    phases = len(set(clean.phase))
    enough = phases >= wish.min_phases
    error = spread(Ordered(sorted(errors)), moments(errors))
    budgets = Budgets(group.needs)
    limit, gate = budgets.at(wish.limit, group.pooled), budgets.at(UNDERESTIMATION_GATE, group.pooled_gate)
    forward = _forward(group, clean, errors, usable, wish) if enough else None
    if wish.purpose == CENTER:
        proposed, why = _centered(phases, wish.min_phases, middle, forward)
    else:
        proposed, why = _reached(gate if wish.purpose == GATE else limit, forward)
    return Calibrated(
        key=group.key,
        since=group.since,
        n=len(clean),
        truncated=sum(answers.cut),
        phases=len(usable.needs.sizes),
        mean_predicted=rate(sum(clean.predicted), len(clean)),
        mean_actual=rate(sum(clean.actual), len(clean)),
        smape=error,
        ratio_median=median(ratios),
        ratio_min=ratios[0] if ratios else None,
        ratio_max=ratios[-1] if ratios else None,
        factor=middle.value,
        factor_interval=middle.interval if enough else None,
        error_before=error.mean if enough else None,
        error_after=_error_left_out(clean, usable) if enough else None,
        forward=forward,
        proposed_factor=proposed,
        why=why,
        budget=limit,
        gate=gate,
        costs=costs(answers, limit.factor, wish.prices) if wish.prices else None,
    )


def _errors(predicted: Iterable[int], actual: Iterable[int], factors: Iterable[float]) -> list[float]:
    """Return the SMAPE in percent of each prediction multiplied by its factor."""
    return [
        200 * abs(factor * estimate - answer) / (factor * estimate + answer)
        for estimate, answer, factor in zip(predicted, actual, factors, strict=False)
    ]


def _centered(
    phases: int, min_phases: int, middle: Median, forward: Forward | None
) -> tuple[float | None, str]:
    """Return the factor that makes predictions the median, if it is proposed, and why (not)."""
    if phases < min_phases:
        return None, f"{phases} of {min_phases} phases with clean answers"
    if middle.value is None:
        return None, "so many answers were cut that nobody knows the median"
    if middle.interval is None:
        return None, "cut answers leave the interval open"
    if middle.interval.low <= 1 <= middle.interval.high:
        return None, "the interval includes 1"
    if forward is None or forward.error_before is None or forward.error_after is None:
        return None, "it can't be tried forward in time: the earlier half tells no factor"
    gain = forward.error_before - forward.error_after
    if gain < MIN_GAIN:
        return None, f"tried forward in time, it did not help by {MIN_GAIN:g} point"
    return middle.value, f"tried forward in time, it lessened the error by {gain:.1f} points"


def _reached(goal: Budget, forward: Forward | None) -> tuple[float | None, str]:
    """Return the factor of a budget as the proposal, and why, with how it did forward in time."""
    if goal.factor is None or forward is None or forward.beyond_after is None:
        return goal.factor, goal.why
    return (
        goal.factor,
        f"{goal.why}; tried forward in time, {forward.beyond_after:.1%} of the answers needed more",
    )


def _forward(
    group: _Group, clean: Answers, errors: Sequence[float], usable: Curve, wish: Wish
) -> Forward | None:
    """Try the factor of the earlier half of the phases on the later one.

    `None` if the earlier half gives no factor, or the later has no clean answer. `errors` are the SMAPE of
    the clean answers as logged.
    """
    earlier, later = halves(group.answers)
    if wish.goal is None:
        factor = usable.median(without=later)
    else:
        fitted = group.needs.only([phase in earlier for phase in group.needs.phases])
        factor = Budgets(fitted).sample.conformal(wish.goal)
    tried = [phase in later for phase in clean.phase]
    if factor is None or not any(tried):
        return None
    needs = group.needs
    of_later = zip(needs.ratios, needs.cut, needs.phases, strict=True)
    needed = [math.inf if cut else ratio for ratio, cut, phase in of_later if phase in later]
    predicted, actual = compress(clean.predicted, tried), compress(clean.actual, tried)
    return Forward(
        factor=factor,
        fitted=len(earlier),
        tried=len(later),
        error_before=mean([*compress(errors, tried)]),
        error_after=mean(_errors(predicted, actual, repeat(factor))),
        beyond_before=rate(sum([ratio > 1 for ratio in needed]), len(needed)),
        beyond_after=rate(sum([ratio > factor for ratio in needed]), len(needed)),
    )


def _error_left_out(clean: Answers, usable: Curve) -> float | None:
    """Return mean SMAPE of the clean answers, each with the factor of the other phases.

    Phases are left out one by one, or, where there are many, in `MAX_FOLDS` groups or fewer. `None` if the
    rest tells no factor for one of them.
    """
    phases = [*dict.fromkeys(usable.needs.phases)]
    number = min(len(phases), MAX_FOLDS, max(2, MAX_REPLAYED // len(usable.needs)))
    found = [usable.median(without=set(phases[start::number])) for start in range(number)]
    factors = [factor for factor in found if factor is not None]
    if len(factors) < number:
        return None
    of_phase = {phase: factors[place % number] for place, phase in enumerate(phases)}
    return mean(_errors(clean.predicted, clean.actual, map(of_phase.__getitem__, clean.phase)))
