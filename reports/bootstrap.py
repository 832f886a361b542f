"""How sure a difference is: the paired bootstrap, the same every time it is asked.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, percentile intervals.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

from reports.metrics import Interval, percentile

RESAMPLES = 2000
"""Enough for the ends of a 95% interval to move less with the seed than with another sample."""

MAX_BLOCKS = 500
"""More values than that are dealt into as many blocks first, which bounds the work, not the interval."""

MIN_VALUES = 5
"""Fewer paired values say nothing of how sure their mean is."""

_SEED = 20260114


@dataclass(frozen=True, slots=True)
class Difference:
    """The mean of paired differences (new - old) and its 95% interval; `None` of too few pairs."""

    n: int
    value: float | None
    interval: Interval | None

    @property
    def is_lower(self) -> bool:
        """Whether new is lower than old beyond doubt."""
        return self.interval is not None and self.interval.high < 0

    @property
    def is_higher(self) -> bool:
        """Whether new is higher than old beyond doubt."""
        return self.interval is not None and self.interval.low > 0


def paired_difference(differences: Sequence[float]) -> Difference:
    """Return the mean difference with the interval in which 95% of resampled means lie."""
    n = len(differences)
    if not n:
        return Difference(0, None, None)
    value = fsum(differences) / n
    if n < MIN_VALUES:
        return Difference(n, value, None)
    chance = random.Random(_SEED)  # noqa: S311 - statistics, not secrets
    blocks = _blocks(differences, chance)
    means = []
    for _ in range(RESAMPLES):
        drawn = chance.choices(blocks, k=len(blocks))
        means.append(fsum(total for total, _ in drawn) / sum(size for _, size in drawn))
    return Difference(n, value, _middle_95(means))


def _middle_95(values: Sequence[float]) -> Interval:
    low, high = percentile(values, 2.5), percentile(values, 97.5)
    assert low is not None  # noqa: S101 - there are resamples
    assert high is not None  # noqa: S101
    return Interval(low, high)


def _blocks(values: Sequence[float], chance: random.Random) -> list[tuple[float, int]]:
    """Deal values into blocks, each as its sum and its size; few values are blocks of one."""
    if len(values) <= MAX_BLOCKS:
        return [(value, 1) for value in values]
    shuffled = list(values)
    chance.shuffle(shuffled)
    dealt = (shuffled[start::MAX_BLOCKS] for start in range(MAX_BLOCKS))
    return [(fsum(block), len(block)) for block in dealt]
