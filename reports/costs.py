"""What budgets cost: tokens that were not used, and tokens that were lacking.

This is the newsvendor problem. Given the cost of a token that an answer lacks (truncation) and of one that it
leaves over (waste), the multiple of the prediction with the least expected cost is a quantile of actual /
predicted: the one that a share of waste / (truncation + waste) of the answers exceeds. What a cut answer
lacked is not known; it is estimated from the whole ones that needed more than it got.

Source: Arrow, Harris and Marschak, Optimal inventory policy, 1951.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, compress

from reports.answers import Answers

CALLS = 1000
"""Costs are given per so many answers."""


@dataclass(frozen=True, slots=True)
class Prices:
    """The cost of a token that an answer lacked, and of one that it left over, in any unit."""

    of_truncation: float
    of_waste: float

    @property
    def limit(self) -> float:
        """The share of answers, 0..1, that is truncated at the least expected cost."""
        return self.of_waste / (self.of_truncation + self.of_waste)


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs per 1,000 answers, from the `n` with a known ceiling: under it (`before`) and a budget (`after`).

    `spare` and `short` are tokens left over and lacking, `truncated` counts answers; `cost` is in the unit of
    the prices. `at_least` is whether an answer was cut beyond all whole ones, so that what it lacked is only
    known as a lower bound.
    """

    n: int
    cost_before: float
    cost_after: float
    spare_before: float
    spare_after: float
    short_before: float
    short_after: float
    truncated_before: float
    truncated_after: float
    at_least: bool


def costs(answers: Answers, factor: float | None, prices: Prices) -> Costs | None:
    """Return what the answers' ceilings cost, and what a budget of `factor` x predicted would.

    `None` where no ceiling is known, or there is no budget.
    """
    known = answers.only(answers.ceiling)
    if not len(known) or factor is None:
        return None
    ratios = known.ratios
    whole = _Whole(ratio for ratio, cut in zip(ratios, known.cut, strict=True) if not cut)
    before, after = _Sums(), _Sums()
    columns = (ratios, known.cut, known.predicted, known.needed, known.ceiling)
    for ratio, cut, predicted, needed, ceiling in zip(*columns, strict=True):
        before.add(ratio, cut, predicted, (needed if cut else ceiling) / predicted, whole)
        after.add(ratio, cut, predicted, factor, whole)
    scale = CALLS / len(known)
    return Costs(
        n=len(known),
        cost_before=scale * before.cost(prices),
        cost_after=scale * after.cost(prices),
        spare_before=scale * before.spare,
        spare_after=scale * after.spare,
        short_before=scale * before.short,
        short_after=scale * after.short,
        truncated_before=scale * before.truncated,
        truncated_after=scale * after.truncated,
        at_least=any(not whole.above(ratio) for ratio in compress(ratios, known.cut)),
    )


class _Whole:
    """The ratios of whole answers: a cut one may have needed any of those beyond its own."""

    def __init__(self, ratios: Iterable[float]) -> None:
        self.ratios = sorted(ratios)
        self.sums = [0.0, *accumulate(self.ratios)]

    def above(self, ratio: float) -> int:
        """Return how many whole answers needed more than a ratio."""
        return len(self.ratios) - bisect_right(self.ratios, ratio)

    def beyond(self, bound: float, budget: float) -> tuple[float, float, float]:
        """Return spare, short and the probability of a cut by a budget, averaged over ratios beyond a bound.

        Without any, the bound itself is taken for what was needed, and a budget of that size cuts it. All are
        multiples of the prediction.
        """
        above = self.above(bound)
        if not above:
            return 0.0, max(0.0, bound - budget), float(budget <= bound)
        first = len(self.ratios) - above
        middle = max(first, bisect_right(self.ratios, budget))
        spare = budget * (middle - first) - (self.sums[middle] - self.sums[first])
        short = self.sums[-1] - self.sums[middle] - budget * (len(self.ratios) - middle)
        return spare / above, short / above, (len(self.ratios) - middle) / above


@dataclass(slots=True)
class _Sums:
    """Tokens left over and lacking, and answers truncated (those expected, where it isn't known)."""

    spare: float = 0.0
    short: float = 0.0
    truncated: float = 0.0

    def add(self, ratio: float, cut: int, predicted: int, budget: float, whole: _Whole) -> None:
        """Add an answer under a budget; `ratio` and `budget` are multiples of its prediction."""
        left = budget - ratio
        spare, short, truncated = (
            whole.beyond(ratio, budget) if cut else (max(0.0, left), max(0.0, -left), float(left < 0))
        )
        self.spare += spare * predicted
        self.short += short * predicted
        self.truncated += truncated

    def cost(self, prices: Prices) -> float:
        """Return the cost of the tokens, in the unit of the prices."""
        return prices.of_truncation * self.short + prices.of_waste * self.spare
