"""An interval of 95% leaves out one in forty on either side, neither more nor less."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from reports.bootstrap import paired_difference
from reports.metrics import p90

NORMAL = statistics.NormalDist()


def test_interval_reaches_as_far_on_either_side_as_the_normal_one() -> None:
    """On the average of many samples both halves are 1.96 standard errors, to three in a hundred."""
    below, above = [], []
    for seed in range(30):
        chance = random.Random(seed)
        values = [chance.gauss(4, 20) for _ in range(60)]
        interval = paired_difference(values).interval
        assert interval is not None
        error = statistics.pstdev(values) / math.sqrt(len(values))
        middle = statistics.fmean(values)
        below.append((middle - interval.low) / error)
        above.append((interval.high - middle) / error)
    wanted = NORMAL.inv_cdf(0.975)
    assert statistics.fmean(below) == pytest.approx(wanted, rel=0.03)
    assert statistics.fmean(above) == pytest.approx(wanted, rel=0.03)


def test_too_few_pairs_are_neither_higher_nor_lower() -> None:
    """Without an interval nothing is beyond doubt."""
    found = paired_difference([3.0] * 4)
    assert (found.interval, found.is_higher, found.is_lower) == (None, False, False)


def test_ninetieth_percentile_of_ten_is_between_the_largest_two() -> None:
    """From ten values on it is that of the quantiles: one in ten lies beyond."""
    assert p90([float(number) for number in range(1, 11)]) == pytest.approx(9.9)
    assert p90([float(number) for number in range(1, 10)]) == 9
