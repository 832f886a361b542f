"""How sure a median is: the bootstrap, the same every time it is asked.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, percentile intervals.
"""

from __future__ import annotations

from collections.abc import Sequence

from reports.extras import imported
from reports.metrics import Interval, percentile

RESAMPLES = 2000
"""Enough for the ends of a 95% interval to stand still in the second digit."""

MIN_RESAMPLES = 200
MAX_DRAWN = 20_000_000
"""Numbers drawn for the interval of a median at most: fewer resamples of very many values do."""

_SEED = 20260114


def median_interval(values: Sequence[float]) -> Interval:
    """Return the 95% bootstrap interval of the median of at least two values.

    Raises:
        MissingExtra: numpy, which comes with scipy, is not installed.
    """
    numpy = imported("numpy", "stats")
    chance = numpy.random.default_rng(_SEED)
    numbers, n = numpy.asarray(values), len(values)
    resamples = max(MIN_RESAMPLES, min(RESAMPLES, MAX_DRAWN // n))
    medians = [float(numpy.median(numbers[chance.integers(n, size=n)])) for _ in range(resamples)]
    return _middle_95(medians)


def _middle_95(values: Sequence[float]) -> Interval:
    low, high = percentile(values, 2.5), percentile(values, 97.5)
    assert low is not None  # noqa: S101 - there are resamples
    assert high is not None  # noqa: S101
    return Interval(low, high)
