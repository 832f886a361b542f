"""How sure a difference between two estimators is: a sign-flip (randomization) test by phase.

Were both equally good, each phase's difference could as well have had the other sign. So the mean difference
is compared with those under other signs: under all of them for few phases, under 10,000 drawn with a fixed
seed for more, by the normal approximation for very many. The same flips give the interval, from the means of
all sets of phases (Hartigan's typical values): it excludes 0 exactly where the test finds a difference.

Sources: Fisher, The Design of Experiments, 1935, section 21; Hartigan, Using Subsample Values as Typical
Values, 1969; Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import getitem
from statistics import NormalDist, fmean

from reports.metrics import Interval
from reports.phases import SEED, by_phase

LEVEL = 0.05
"""The significance level: how often a difference is found where there is none, at most."""

MIN_PHASES = 6
"""Phases with a difference below which there is no verdict: five signs agree by chance in 6% of the cases."""

MAX_EXACT = 12
"""Phases up to which all signs are tried: 4,096 combinations."""

DRAWN = 10_000
"""Combinations of signs drawn for more phases: a p-value of 5% is found to within 0.4 points."""

MAX_DRAWN = 2_000
"""Phases above which the normal approximation is as good."""

_ROUNDING = 1e-9
"""As a share of the mean absolute difference: what is nearer to 0 counts as 0, so that ties are ties."""

_BYTE = 8
"""Phases whose sums are looked up at once: bits of a byte."""

_Z = NormalDist().inv_cdf(1 - LEVEL / 2)


@dataclass(frozen=True, slots=True)
class Difference:
    """Paired differences (new - old): `value` is their mean over all `n` events.

    `phase_mean` is the mean over the `phases` of each one's own mean, `interval` its 95% interval, and `p`
    its two-sided p-value; these two are `None` where fewer than `MIN_PHASES` phases differ at all.
    """

    n: int
    value: float | None
    phases: int
    phase_mean: float | None
    interval: Interval | None
    p: float | None

    def verdict(self, p: float | None) -> str:
        """Return the verdict, less being better; `p` is the p-value, corrected where several are judged.

        `better`, `worse`, `no difference shown`, or `too few` (phases).
        """
        if p is None or self.phase_mean is None:
            return "too few" if self.phases < MIN_PHASES else "no difference shown"
        if p > LEVEL:
            return "no difference shown"
        return "better" if self.phase_mean < 0 else "worse"


def paired_difference(values: Sequence[float], phases: Sequence[int]) -> Difference:
    """Return the difference that paired differences come to; `phases` has the number of each one's phase."""
    if not values:
        return Difference(0, None, 0, None, None, None)
    means = [fmean(unit) for unit in by_phase(values, phases)]
    flipped = _normal if len(means) > MAX_DRAWN else _by_flips
    differing = sum(value != 0 for value in means)
    interval, p = flipped(means) if differing >= MIN_PHASES else (None, None)
    return Difference(len(values), fmean(values), len(means), fmean(means), interval, p)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Correct p-values for their number; `None` stays, and doesn't count.

    Without any true difference, one of them or more is at most 5% in at most 5% of the cases.
    """
    found = sorted((p, place) for place, p in enumerate(ps) if p is not None)
    corrected: list[float | None] = [None] * len(ps)
    largest = 0.0
    for rank, (p, place) in enumerate(found):
        largest = max(largest, min(1.0, p * (len(found) - rank)))
        corrected[place] = largest
    return corrected


def _by_flips(values: list[float]) -> tuple[Interval | None, float]:
    """Return the interval and the p-value from the means of sets of phases."""
    means, empty = _set_means(values)
    total, near = len(means) + empty, _ROUNDING * fmean(map(abs, values))
    tail = empty + min(sum(mean <= near for mean in means), sum(mean >= -near for mean in means))
    left_out = math.floor(LEVEL / 2 * total) - empty
    means.sort()
    interval = Interval(means[left_out], means[-1 - left_out]) if left_out >= 0 else None
    return interval, min(1.0, 2 * tail / total)


def _set_means(values: list[float]) -> tuple[list[float], int]:
    """Return the means of the non-empty sets of values, and how many sets were empty."""
    tables = [_sums(values[start : start + _BYTE]) for start in range(0, len(values), _BYTE)]
    sets = _sets(len(values))
    means = [sum(map(getitem, tables, bits)) / size for bits, size in sets if size]
    return means, len(sets) - len(means)


@lru_cache(maxsize=4)
def _sets(size: int) -> list[tuple[bytes, int]]:
    """Return subsets of `size` values, as bits and their number: all, or the empty one and `DRAWN` others."""
    if size <= MAX_EXACT:
        sets: Iterable[int] = range(1 << size)
    else:
        chance = random.Random(SEED)  # noqa: S311 - statistics, not secrets
        sets = (0, *(chance.getrandbits(size) for _ in range(DRAWN)))
    width = -(-size // _BYTE)
    return [(bits.to_bytes(width, "little"), bits.bit_count()) for bits in sets]


def _sums(values: Sequence[float]) -> list[float]:
    """Return the sum of each subset of at most eight values; the index has a bit for each member."""
    sums = [0.0]
    for value in values:
        sums += [total + value for total in sums]
    return sums


def _normal(values: list[float]) -> tuple[Interval | None, float]:
    """Return the interval and the p-value by the normal approximation."""
    n, mean = len(values), fmean(values)
    size = math.sqrt(math.fsum(value * value for value in values))
    p = math.erfc(abs(mean) * n / size / math.sqrt(2))
    apart = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n * n - _Z**2 * n))
    return Interval(mean - _Z * apart, mean + _Z * apart), p
