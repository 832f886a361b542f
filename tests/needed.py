"""What answers needed one by one, as tests make them up, and side by side, as the reports take them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from reports.budgets import Budget, Budgets
from reports.survival import Curve, Median, Needs, median_needed


class Needed(NamedTuple):
    """What an answer needed, and its ceiling, as multiples of the prediction; of a cut one, at least that."""

    ratio: float
    cut: bool
    phase: int
    ceiling: float = math.inf


def needs(answers: Iterable[Needed]) -> Needs:
    """Put answers side by side, all of which show what a good one needs."""
    some = [*answers]
    ratios, cut, phases, ceilings = zip(*some, strict=True) if some else ((), (), (), ())
    return Needs.ordered(ratios, cut, phases, ceilings, [1] * len(some))


def median_of(answers: Iterable[Needed]) -> Median:
    """Return the median of what answers needed."""
    return median_needed(Curve(needs(answers)))


def budget(answers: Iterable[Needed], limit: float, pooled: float | None = None) -> Budget:
    """Return the budget of a stratum."""
    return Budgets(needs(answers)).at(limit, pooled)
