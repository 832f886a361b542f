"""The metrics: small, pure functions of plain numbers.

All of them return `None` where there is nothing to measure, not zero or NaN. Only `Moments`, from which
others are computed, are 0 of no numbers.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


def mean(values: Sequence[float]) -> float | None:
    """Return the arithmetic mean."""
    return statistics.fmean(values) if values else None


def median(values: Sequence[float]) -> float | None:
    """Return the median: the middle value, or the mean of the two in the middle."""
    return statistics.median(values) if values else None


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return a percentile, interpolated between values as `PERCENTILE.INC` of spreadsheets does.

    Raises:
        ValueError: `percent` is not within 0..100.
    """
    if not 0 <= percent <= 100:
        raise ValueError(f"{percent} is not a percentage from 0 to 100")
    if not values:
        return None
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def rate(count: int, total: int) -> float | None:
    """Return `count` / `total`; `None` of nothing."""
    return count / total if total else None


def smape(predicted: float | None, actual: float | None) -> float | None:
    """Return 200 |p - a| / (|p| + |a|), in percent, 0..200; `None` if either is 0 or unknown."""
    if not predicted or not actual:
        return None
    return 200 * abs(predicted - actual) / (abs(predicted) + abs(actual))


def waste_ratio(predicted: float | None, actual: float | None) -> float | None:
    """Return p / a; `None` if either is 0 or unknown."""
    return predicted / actual if predicted and actual else None


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed interval, from `low` to `high`."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Moments:
    """The mean of `n` numbers, and the sum of their squared deviations from it; 0 of no numbers."""

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @property
    def sd(self) -> float | None:
        """The sample standard deviation; `None` for fewer than two numbers."""
        return math.sqrt(self.squares / (self.n - 1)) if self.n > 1 else None


def moments(values: Sequence[float]) -> Moments:
    """Return the moments of numbers."""
    if not values:
        return Moments()
    middle = statistics.fmean(values)
    # math.dist is a square root of squares, summed without loss of digits and in C.
    return Moments(len(values), middle, math.dist(values, [middle] * len(values)) ** 2)


def merged_moments(parts: Sequence[Moments]) -> Moments:
    """Return the moments of the numbers of all parts together (Chan, Golub and LeVeque, 1979)."""
    n = sum(part.n for part in parts)
    if not n:
        return Moments()
    middle = math.fsum(part.n * part.mean for part in parts) / n
    return Moments(n, middle, math.fsum(part.squares + part.n * (part.mean - middle) ** 2 for part in parts))


@dataclass(frozen=True, slots=True)
class Spread:
    """The distribution of `n` numbers: `low` is the smallest, `high` the largest, `sd` the sample's.

    Each is `None` where there are too few numbers for it.
    """

    n: int
    mean: float | None
    median: float | None
    sd: float | None
    p90: float | None
    low: float | None
    high: float | None


class Ordered:
    """Numbers in order, held as sorted parts that are not copied into one list."""

    def __init__(self, *parts: Sequence[float]) -> None:
        self.parts = [part for part in parts if part]
        self.n = sum(map(len, self.parts))

    def __getitem__(self, place: int) -> float:
        """Return the number at a place, 0 for the smallest; in several parts by bisecting values."""
        if len(self.parts) == 1:
            return self.parts[0][place]
        low, high = min(part[0] for part in self.parts), max(part[-1] for part in self.parts)
        if sum(bisect_right(part, low) for part in self.parts) > place:
            return low
        while low < (middle := low + (high - low) / 2) < high:
            reached = sum(bisect_right(part, middle) for part in self.parts)
            low, high = (low, middle) if reached > place else (middle, high)
        return high

    @property
    def middle(self) -> list[float]:
        """The one or two numbers in the middle; empty without numbers."""
        return [self[place] for place in sorted({(self.n - 1) // 2, self.n // 2})] if self.n else []

    @property
    def p90(self) -> float | None:
        """The 90th percentile as `statistics.quantiles(n=10)` has it; of fewer than 10 the largest."""
        if self.n < 10:
            return self[self.n - 1] if self.n else None
        place, tenths = divmod(9 * (self.n + 1), 10)
        return (self[place - 1] * (10 - tenths) + self[place] * tenths) / 10


def spread(ordered: Ordered, known: Moments) -> Spread:
    """Return the distribution of ordered numbers, given their moments."""
    if not ordered.n:
        return Spread(0, None, None, None, None, None, None)
    low, high = ordered[0], ordered[ordered.n - 1]
    return Spread(known.n, known.mean, median(ordered.middle), known.sd, ordered.p90, low, high)
