"""What budgets cost: tokens that were not used, and tokens that were lacking.

The newsvendor's question. If a token that an answer lacks costs so much, and one that it leaves over so
much, the multiple of the prediction with the least expected cost is a quantile of actual / predicted:
the one that the share cost of waste / (both) of the answers goes beyond. What a cut answer lacked is
not known; it is taken from the whole ones that needed more than it got.

Source: Arrow, Harris and Marschak, Optimal inventory policy, 1951.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, compress

from reports.answers import Answers

CALLS = 1000
"""Costs are said for so many answers."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What a token costs that an answer lacked, and one of its budget that it left over."""

    of_truncation: float
    of_waste: float

    @property
    def limit(self) -> float:
        """The share of answers that may be truncated at the least expected cost."""
        return self.of_waste / (self.of_truncation + self.of_waste)


@dataclass(frozen=True, slots=True)
class Costs:
    """Per 1,000 answers, over the `n` whose ceiling is known: as it was, and with the budget.

    `spare` and `short` are tokens left over and lacking, `truncated` answers; `cost` is in what the
    prices are of. `at_least` is whether some were cut beyond all whole ones, so that what they lacked
    is known as a lower bound only.
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
    """Return what the answers' ceilings cost, and what a budget would; `None` of no ceiling or budget."""
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
    """The ratios of whole answers, to say what a cut one may have needed: any of those beyond it."""

    def __init__(self, ratios: Iterable[float]) -> None:
        self.ratios = sorted(ratios)
        self.sums = [0.0, *accumulate(self.ratios)]

    def above(self, ratio: float) -> int:
        """Return how many needed more."""
        return len(self.ratios) - bisect_right(self.ratios, ratio)

    def beyond(self, bound: float, budget: float) -> tuple[float, float, float]:
        """Return spare, short and the chance of a cut, on average over those beyond a bound."""
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
    spare: float = 0.0
    short: float = 0.0
    truncated: float = 0.0

    def add(self, ratio: float, cut: int, predicted: int, budget: float, whole: _Whole) -> None:
        """Take in an answer with a budget; both are multiples of its prediction."""
        left = budget - ratio
        spare, short, truncated = (
            whole.beyond(ratio, budget) if cut else (max(0.0, left), max(0.0, -left), float(left < 0))
        )
        self.spare += spare * predicted
        self.short += short * predicted
        self.truncated += truncated

    def cost(self, prices: Prices) -> float:
        """Return what the tokens cost."""
        return prices.of_truncation * self.short + prices.of_waste * self.spare
