"""The median of actual / predicted where some answers were cut: Kaplan and Meier's, by phase.

A cut answer needed more than its bound, nobody knows how much more. Taking the bound for what it needed
would pull the median down; Kaplan and Meier share its weight out among those that needed more. Each
answer weighs 1 / (answers of its phase): the median is that of an answer of a phase yet to come.

Sources: Kaplan and Meier, Nonparametric estimation from incomplete observations, 1958; for how sure it
is, the influence of each phase on the estimate (Reid, Influence functions for censored data, 1981).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from reports.metrics import Interval
from reports.sureness import ENOUGH_PHASES, effective_number, median_shares

_ROUNDING = 1e-9
"""Sums of weights agree to it."""


class Needed(NamedTuple):
    """What an answer needed, as actual / predicted; of a cut one, at least that.

    `ceiling` is what it was given, as a multiple of the prediction; infinite where that isn't known.
    """

    ratio: float
    cut: bool
    phase: int
    ceiling: float = math.inf


@dataclass(frozen=True, slots=True)
class Median:
    """The median and its 95% interval; `None` where cut answers leave it open, or of too few phases."""

    value: float | None
    interval: Interval | None


class Curve:
    """The shares of answers that needed at most so much: it rises at the whole ones."""

    def __init__(self, answers: Iterable[Needed]) -> None:
        self.answers = sorted(answers)  # of equal ones the cut come last: they needed more
        self.sizes = Counter(answer.phase for answer in self.answers)

    def steps(self) -> Iterator[tuple[float, float]]:
        """Yield each ratio of a whole answer, and the share that needed at most that."""
        at_risk, beyond = float(len(self.sizes)), 1.0
        for ratio, cut, phase, _ in self.answers:
            weight = 1 / self.sizes[phase]
            if not cut:
                beyond *= 1 - weight / at_risk
                yield ratio, 1 - beyond
            at_risk -= weight

    def median(self) -> float | None:
        """Return the median: the middle, or midway where just half of them lie on either side."""
        steps = ((ratio, share) for ratio, share in self.steps() if share >= 0.5 - _ROUNDING)
        low = next(steps, None)
        high = low if low and low[1] >= 0.5 + _ROUNDING else next(steps, None)
        return None if low is None or high is None else (low[0] + high[0]) / 2

    def median_interval(self) -> Interval | None:
        """Return the interval of the median; cut answers count on both sides where phases are few."""
        middle = self._reached(0.5 - _ROUNDING)
        if middle is None:
            return None
        few = len(self.sizes) < ENOUGH_PHASES
        shares = median_shares(len(self.sizes) if few else self._effective_number(middle))
        if shares is None:
            return None
        lower, upper = _ends(self) if few and self.has_cut else (self, self)
        low, high = lower._reached(shares.low + _ROUNDING), upper._reached(shares.high - _ROUNDING)
        return None if low is None or high is None else Interval(low, high)

    @property
    def has_cut(self) -> bool:
        """Whether any answer was cut."""
        return any(answer.cut for answer in self.answers)

    def _reached(self, share: float) -> float | None:
        """Return the first ratio that at least so large a share needed at most."""
        return next((ratio for ratio, reached in self.steps() if reached >= share), None)

    def _effective_number(self, ratio: float) -> float:
        """Return of how many answers, all apart, the share up to a ratio would vary as much."""
        influence: defaultdict[int, float] = defaultdict(float)
        at_risk, hazard, beyond = float(len(self.sizes)), 0.0, 1.0
        for answer in self.answers:
            weight = 1 / self.sizes[answer.phase]
            ends = answer.ratio <= ratio and not answer.cut
            if ends:
                hazard += weight / at_risk**2
                beyond *= 1 - weight / at_risk
            influence[answer.phase] += weight * ((1 / at_risk if ends else 0) - hazard)
            at_risk -= weight
        variance = sum(one * one for one in influence.values()) * beyond**2
        phases = len(self.sizes)
        return effective_number(
            1 - beyond, variance, phases, 1 if self.has_cut else phases, len(self.answers)
        )


def median_needed(answers: Iterable[Needed]) -> Median:
    """Return the median of what answers needed, and how sure it is."""
    curve = Curve(answers)
    value = curve.median()
    return Median(value, None if value is None else curve.median_interval())


def _ends(curve: Curve) -> tuple[Curve, Curve]:
    """Return the curve if cut answers needed just their bound, and if they needed no end."""
    least = Curve(answer._replace(cut=False) for answer in curve.answers)
    most = Curve(answer._replace(ratio=math.inf) if answer.cut else answer for answer in curve.answers)
    return least, most
