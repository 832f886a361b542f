"""Confidence intervals of shares and medians, where answers of one phase resemble each other.

A share of answers has the interval of as many independent answers as their *effective number* (the
effective sample size of a cluster sample). That is computed from how much phases differ, and lies between
the effective number of phases, (sum of sizes)^2 / sum of sizes^2, and the number of answers. The interval is
the exact one of the binomial distribution. The interval of a median holds the values below which the share
of answers may be one half.

Sources: Clopper and Pearson, The use of confidence or fiducial limits, 1934; Kish, Survey Sampling,
1965; Korn and Graubard, Confidence intervals for proportions with small expected number of positive
counts, 1998; Woodruff, Confidence intervals for medians and other position measures, 1952.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from reports.metrics import Interval, rate

DOUBT = 0.025
"""The probability that a 95% interval leaves out on either side."""

Z_95 = 1.959963984540054
"""The 97.5% quantile of the normal distribution."""

ENOUGH_PHASES = 30
"""Of fewer phases it isn't known how much answers of a phase differ: they count as if all were equal."""


@dataclass(frozen=True, slots=True)
class Share:
    """`count` of `total` answers; the share varies as one of `effective` independent answers would."""

    count: int
    total: int
    effective: float

    @property
    def rate(self) -> float | None:
        """The share, 0..1; `None` of no answers."""
        return rate(self.count, self.total)

    @property
    def interval(self) -> Interval | None:
        """The 95% interval of the share, 0..1; `None` of no answers."""
        return exact_interval((self.rate or 0) * self.effective, self.effective)


def share_by_phase(hits: Mapping[int, int], sizes: Mapping[int, int]) -> Share:
    """Return a share from counts by phase: `hits` of its answers are counted, `sizes` is how many it has."""
    count, total = sum(hits.values()), sum(sizes.values())
    if not total:
        return Share(0, 0, 0)
    if total == len(sizes):  # one answer a phase: all are independent
        return Share(count, total, total)
    share, squares = count / total, sum(size * size for size in sizes.values())
    crossed = sum(hit * (hit - 2 * share * sizes[phase]) for phase, hit in hits.items())
    variance = (crossed + share * share * squares) / total**2
    return Share(count, total, effective_number(share, variance, len(sizes), total * total / squares, total))


def effective_number(share: float, variance: float, phases: int, least: float, most: float) -> float:
    """Return of how many independent answers a share would vary as much as this one does over the phases.

    `variance` is that of the share over samples of phases. With fewer than `ENOUGH_PHASES` it says too
    little, and `least` is returned; else the number is corrected by Student's t (Korn and Graubard) and kept
    within `least` and `most`.
    """
    if phases < ENOUGH_PHASES or variance <= 0:
        return least
    counted = share * (1 - share) / variance * (phases - 1) / phases
    return min(most, max(least, counted * (Z_95 / _student(phases - 1)) ** 2))


def _student(freedom: int) -> float:
    """Return the 97.5% quantile of Student's t, right to three decimals from 29 degrees of freedom on."""
    return (
        Z_95 + (Z_95**3 + Z_95) / (4 * freedom) + (5 * Z_95**5 + 16 * Z_95**3 + 3 * Z_95) / (96 * freedom**2)
    )


def exact_interval(count: float, total: float) -> Interval | None:
    """Return the exact 95% interval of `count` / `total`, which need not be whole; `None` of total 0."""
    if not total:
        return None
    low = 0.0 if count <= 0 else _root(lambda share: beta(share, count, total - count + 1) - DOUBT)
    high = 1.0 if count >= total else _root(lambda share: beta(share, count + 1, total - count) - 1 + DOUBT)
    return Interval(low, high)


def median_shares(total: float) -> Interval | None:
    """Return the shares of the ordered answers between which their median lies with 95%; `None` of too few.

    `total` is the effective number of answers.
    """
    if total < 1 or beta(0.5, total, 1) > DOUBT:
        return None
    rank = total * _root(
        lambda part: beta(0.5, total - part * total + 1, part * total) - DOUBT, 1 / total, 0.5
    )
    return Interval((rank - 1) / total, 1 - (rank - 1) / total)


def binomial_below(count: int, total: int, share: float) -> float:
    """Return the binomial probability of at most `count` of `total`, each with the probability `share`."""
    return 1.0 if count >= total else 1 - beta(share, count + 1, total - count)


def _root(rising: Callable[[float], float], low: float = 0.0, high: float = 1.0) -> float:
    """Return where a rising function is 0, by bisection to the last digit."""
    while True:
        middle = (low + high) / 2
        if not low < middle < high:
            return middle
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)


def beta(share: float, a: float, b: float) -> float:
    """Return the regularized incomplete beta function I(share; a, b), by its continued fraction (Lentz)."""
    if not 0 < share < 1:
        return float(share >= 1)
    if share > (a + 1) / (a + b + 2):
        return 1 - beta(1 - share, b, a)
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(logarithm + a * math.log(share) + b * math.log1p(-share)) / a
    above, below = 1.0, 1 / ((1 - (a + b) * share / (a + 1)) or 1e-300)
    fraction = below
    for step in range(1, 100_000):
        even = a + 2 * step
        for part in (
            step * (b - step) * share / ((even - 1) * even),
            -(a + step) * (a + b + step) * share / (even * (even + 1)),
        ):
            below = 1 / ((1 + part * below) or 1e-300)
            above = (1 + part / above) or 1e-300
            fraction *= above * below
        if abs(above * below - 1) < 1e-13:
            break
    return front * fraction
