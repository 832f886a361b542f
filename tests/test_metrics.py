"""The metrics against published values, other people's code, and what must be true of any numbers."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.bootstrap import MIN_VALUES, paired_difference
from reports.metrics import (
    mean,
    median,
    moments,
    p90,
    percentile,
    smape,
    spread,
    united_moments,
    waste_ratio,
)

NUMBERS = st.floats(-1e9, 1e9, allow_nan=False)
LISTS = st.lists(NUMBERS, min_size=1, max_size=60)
TOKENS = st.one_of(st.integers(1, 20_000), st.integers(1, 10**18 - 1))

# Middle and spread


@pytest.mark.parametrize("metric", [mean, median, lambda values: moments(values).sd, p90])
def test_metrics_of_nothing_are_none(metric: Callable[[list[float]], float | None]) -> None:
    """Where there is nothing to measure there is no number, and no error either."""
    assert metric([]) is None


def test_one_value_has_no_spread() -> None:
    """The sample standard deviation divides by n - 1: of one value there is none, not 0."""
    assert moments([7.0]).sd is None
    assert moments([7.0, 7.0]).sd == 0


@given(st.lists(NUMBERS, min_size=2, max_size=60))
def test_sample_sd_agrees_with_the_standard_library(values: list[float]) -> None:
    """Divided by n - 1, to as many digits as floats of that size have."""
    size = max(map(abs, values))
    assert moments(values).sd == pytest.approx(statistics.stdev(values), rel=1e-9, abs=1e-12 * size + 1e-150)
    assert mean(values) == statistics.fmean(values)
    assert median(values) == statistics.median(values)


@given(st.lists(st.lists(NUMBERS, max_size=12), max_size=6))
def test_united_moments_are_those_of_all_numbers(parts: list[list[float]]) -> None:
    """Moments of parts, some of them empty, unite to those of the whole, in any order of the parts."""
    whole = moments([value for part in parts for value in part])
    size = max((abs(value) for part in parts for value in part), default=0)
    for ordered in (parts, parts[::-1]):
        found = united_moments([moments(part) for part in ordered])
        assert found.n == whole.n
        assert found.mean == pytest.approx(whole.mean, abs=1e-12 * size)
        assert found.squares == pytest.approx(whole.squares, rel=1e-9, abs=1e-12 * size**2)
        assert (found.sd is None) == (whole.n < 2)


# Percentiles


@pytest.mark.parametrize("n", range(1, 10))
def test_p90_of_fewer_than_ten_is_the_maximum(n: int) -> None:
    """With fewer than ten values the 90th percentile is the largest one, wherever it stands."""
    values = [float(value) for value in range(n)]
    random.Random(n).shuffle(values)
    assert p90(values) == n - 1


@given(st.lists(NUMBERS, min_size=10, max_size=60))
def test_p90_of_ten_or_more_is_the_last_decile(values: list[float]) -> None:
    """From ten values on it is what `statistics.quantiles(n=10)` cuts off last, in any order."""
    assert p90(values) == statistics.quantiles(values, n=10)[-1]
    assert p90(values) == p90(values[::-1])
    low, high = min(values), max(values)
    slack = 1e-9 * max(1, abs(low), abs(high))
    assert low - slack <= (p90(values) or 0) <= high + slack


@given(LISTS, st.floats(0, 100), st.floats(0, 100))
def test_percentile_rises_within_the_values(values: list[float], one: float, other: float) -> None:
    """It lies between least and largest, reaches both, and a higher one is never lower."""
    low, high = sorted((one, other))
    at_low, at_high = percentile(values, low), percentile(values, high)
    assert at_low is not None
    assert at_high is not None
    slack = 1e-9 * max(1, *map(abs, values))
    assert min(values) - slack <= at_low <= at_high + slack
    assert at_high <= max(values) + slack
    assert (percentile(values, 0), percentile(values, 100)) == (min(values), max(values))


@given(st.lists(NUMBERS, min_size=2, max_size=60))
def test_percentile_agrees_with_the_inclusive_quantiles(values: list[float]) -> None:
    """The interpolation is the inclusive one of the standard library; the 50th is the median."""
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    slack = 1e-9 * max(1, *map(abs, values))
    assert [percentile(values, 5 * k) for k in range(1, 20)] == pytest.approx(cuts, abs=slack)
    assert percentile(values, 50) == pytest.approx(median(values), abs=slack)


@pytest.mark.parametrize("percent", [-0.001, 100.001, math.nan, math.inf])
def test_percentile_outside_of_0_to_100_is_refused(percent: float) -> None:
    """A share mistaken for a percentage may be wrong by a hundred, but what can't be one is an error."""
    with pytest.raises(ValueError, match="not a percentage"):
        percentile([1.0], percent)
    with pytest.raises(ValueError, match="not a percentage"):
        percentile([], percent)


def test_percentile_of_nothing_is_none() -> None:
    """There is no percentile of no values."""
    assert percentile([], 50) is None


@given(LISTS)
def test_spread_is_each_metric_at_once(values: list[float]) -> None:
    """The description has what each metric says alone; of one value it has no standard deviation."""
    alone = list(values)
    found = spread(values)
    assert found.n == len(alone)
    slack = 1e-9 * max(1, *map(abs, alone))
    assert found.mean == pytest.approx(mean(alone), abs=slack)
    assert (found.median, found.p90) == (median(alone), p90(alone))
    assert (found.low, found.high) == (min(alone), max(alone))
    assert found.sd == (None if len(alone) == 1 else pytest.approx(moments(alone).sd, abs=slack))


def test_spread_of_nothing_is_none_throughout() -> None:
    """No values: n is 0 and nothing else is a number."""
    found = spread([])
    assert found.n == 0
    assert {found.mean, found.median, found.sd, found.p90, found.low, found.high} == {None}


# Error and waste


@given(TOKENS, TOKENS)
def test_smape_is_symmetric_and_within_200(predicted: int, actual: int) -> None:
    """SMAPE is 0 for equal numbers only, at most 200, and doesn't care which of the two is which."""
    found = smape(predicted, actual)
    assert found is not None
    assert found == smape(actual, predicted)
    assert 0 <= found <= 200
    assert found == pytest.approx(100 * abs(predicted - actual) / statistics.mean((predicted, actual)))
    assert (found == 0) == (predicted == actual)


@pytest.mark.parametrize(("predicted", "actual"), [(0, 5), (5, 0), (0, 0), (None, 5), (5, None)])
def test_error_and_waste_need_both_numbers(predicted: int | None, actual: int | None) -> None:
    """With 0 or nothing on either side there is no error and no ratio: not 200%, not infinity."""
    assert smape(predicted, actual) is None
    assert waste_ratio(predicted, actual) is None


def test_waste_is_predicted_by_actual() -> None:
    """Three times what was needed is 3."""
    assert (waste_ratio(300, 100), waste_ratio(100, 300)) == (3, pytest.approx(1 / 3))


# How sure a difference is


@settings(max_examples=50)
@given(st.lists(st.floats(-200, 200), min_size=MIN_VALUES, max_size=40))
def test_bootstrap_is_the_same_every_time_and_holds_the_mean(values: list[float]) -> None:
    """Asked twice, the interval is the same to the last digit; the mean is in it, and it in the values."""
    found = paired_difference(values)
    assert found == paired_difference(values)
    assert found.value == pytest.approx(statistics.fmean(values), abs=1e-9)
    assert found.interval is not None
    assert min(values) - 1e-9 <= found.interval.low <= statistics.fmean(values) + 1e-9
    assert statistics.fmean(values) - 1e-9 <= found.interval.high <= max(values) + 1e-9
    assert not (found.is_lower and found.is_higher)


@settings(max_examples=15)
@given(st.floats(-200, 200), st.sampled_from((MIN_VALUES, 6, 60, 500, 501, 777)))
def test_bootstrap_of_a_constant_is_that_constant(value: float, n: int) -> None:
    """If every pair differs by the same, there is no doubt about it: lower, higher, or neither if 0."""
    found = paired_difference([value] * n)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == (pytest.approx(value), pytest.approx(value))
    assert (found.is_lower, found.is_higher) == (value < 0, value > 0)


@pytest.mark.parametrize("n", range(MIN_VALUES))
def test_bootstrap_of_too_few_has_no_interval(n: int) -> None:
    """Fewer than five pairs give a mean (none gives none) and no interval, so no verdict."""
    found = paired_difference([-3.0] * n)
    assert (found.n, found.value, found.interval) == (n, -3.0 if n else None, None)
    assert not found.is_lower


def test_bootstrap_agrees_with_the_normal_approximation_and_shrinks() -> None:
    """For many values the interval is mean ± 1.96 sd / √n, on either side of dealing into blocks."""
    widths = []
    for n in (50, 200, 500, 501, 3000, 20_000):
        chance = random.Random(n)
        values = [chance.gauss(4, 20) for _ in range(n)]
        found = paired_difference(values).interval
        assert found is not None
        half = statistics.NormalDist().inv_cdf(0.975) * statistics.stdev(values) / math.sqrt(n)
        middle = statistics.fmean(values)
        assert found.low == pytest.approx(middle - half, abs=0.15 * half), n
        assert found.high == pytest.approx(middle + half, abs=0.15 * half), n
        widths.append(found.high - found.low)
    assert widths[0] > widths[1] > widths[2] > widths[4] > widths[5]


def test_bootstrap_interval_holds_the_true_mean_about_95_times_in_100() -> None:
    """Of 120 samples of 40 with a known mean, the interval holds it in nearly all, and not by its width."""
    held = 0
    for seed in range(120):
        chance = random.Random(seed)
        found = paired_difference([chance.uniform(-30, 50) for _ in range(40)]).interval
        assert found is not None
        held += found.low <= 10 <= found.high
    assert 105 <= held < 120
