"""The metrics against published values, other people's code, and what must be true of any numbers."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from reports.bootstrap import median_interval
from reports.metrics import (
    Z_95,
    Share,
    mean,
    median,
    moments,
    p90,
    percentile,
    rate,
    smape,
    spread,
    united_moments,
    waste_ratio,
    wilson,
)

NUMBERS = st.floats(-1e9, 1e9, allow_nan=False)
LISTS = st.lists(NUMBERS, min_size=1, max_size=60)
TOKENS = st.one_of(st.integers(1, 20_000), st.integers(1, 10**18 - 1))

# Shares


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
    ids=["81-263", "15-148", "0-20", "1-29"],
)
def test_wilson_has_the_published_values(count: int, total: int, low: float, high: float) -> None:
    """Newcombe, Two-sided confidence intervals for the single proportion, 1998, table I, method 3."""
    found = wilson(count, total)
    assert found is not None
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@given(st.integers(1, 5000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_wilson_agrees_with_scipy(case: tuple[int, int]) -> None:
    """The interval is the one that scipy computes by the same name, within rounding."""
    count, total = case
    found, known = wilson(count, total), binomtest(count, total).proportion_ci(method="wilson")
    assert found is not None
    assert found.low == pytest.approx(known.low, abs=1e-9)
    assert found.high == pytest.approx(known.high, abs=1e-9)


@given(st.integers(1, 10**12).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_wilson_holds_its_share_and_stays_within_0_and_1(case: tuple[int, int]) -> None:
    """0 <= low <= share <= high <= 1, the ends exact at no and at every case, and never no width."""
    count, total = case
    found = wilson(count, total)
    assert found is not None
    assert 0 <= found.low <= count / total + 1e-12
    assert count / total - 1e-12 <= found.high <= 1
    assert found.low < found.high
    assert (found.low == 0.0) == (count == 0) or found.low < 1e-17
    assert count < total or found.high == 1.0


@given(st.integers(1, 400).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_wilson_is_symmetric_and_narrows_with_more_of_the_same(case: tuple[int, int]) -> None:
    """The interval of the others is its mirror image, and ten times the cases tell more."""
    count, total = case
    found, other, more = wilson(count, total), wilson(total - count, total), wilson(10 * count, 10 * total)
    assert found is not None
    assert other is not None
    assert more is not None
    assert (found.low, found.high) == (pytest.approx(1 - other.high), pytest.approx(1 - other.low))
    assert more.high - more.low < found.high - found.low


def test_wilson_ends_are_where_the_score_test_turns() -> None:
    """At each end the share differs from the end by 1.96 of the end's own standard errors."""
    for count, total in ((3, 17), (40, 50), (499, 1000)):
        found = wilson(count, total)
        assert found is not None
        for end in (found.low, found.high):
            score = (count / total - end) / math.sqrt(end * (1 - end) / total)
            assert abs(score) == pytest.approx(Z_95)


def test_share_of_nothing_has_no_rate_and_no_interval() -> None:
    """Of no events nothing is said: not 0%, and no interval from 0 to 1."""
    assert (Share(0, 0).rate, Share(0, 0).interval, wilson(0, 0), rate(0, 0)) == (None, None, None, None)
    assert Share(1, 4).rate == 0.25


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


def test_ninetieth_percentile_of_ten_is_between_the_largest_two() -> None:
    """From ten values on it is that of the quantiles: one in ten lies beyond."""
    assert p90([float(number) for number in range(1, 11)]) == pytest.approx(9.9)
    assert p90([float(number) for number in range(1, 10)]) == 9


# How sure a median is


@settings(max_examples=12)
@given(st.lists(st.floats(0.01, 100), min_size=2, max_size=20))
def test_median_interval_is_the_same_every_time_and_within_the_values(values: list[float]) -> None:
    """The interval of a median is reproducible and has plain floats from among the values' range."""
    found = median_interval(values)
    assert found == median_interval(values)
    assert (type(found.low), type(found.high)) == (float, float)
    assert min(values) <= found.low <= found.high <= max(values)


def test_median_interval_shrinks_and_agrees_with_order_statistics() -> None:
    """For 1,000 values its ends are near the 470th and 531st in order: those of the sign test."""
    chance = random.Random(8)
    values = sorted(chance.lognormvariate(0, 1) for _ in range(1000))
    found, few = median_interval(values), median_interval(values[::50])
    assert values[459] <= found.low <= values[479]
    assert values[520] <= found.high <= values[540]
    assert few.high - few.low > found.high - found.low
