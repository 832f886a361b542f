"""The metrics against published values, other people's code, and what must be true of any numbers."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.metrics import (
    Ordered,
    mean,
    median,
    merged_moments,
    moments,
    percentile,
    smape,
    spread,
    waste_ratio,
)

NUMBERS = st.floats(-1e9, 1e9, allow_nan=False)
LISTS = st.lists(NUMBERS, min_size=1, max_size=60)
TOKENS = st.one_of(st.integers(1, 20_000), st.integers(1, 10**18 - 1))


def p90(values: list[float]) -> float | None:
    """Return the 90th percentile of numbers in any order."""
    return Ordered(sorted(values)).p90


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
def test_merged_moments_are_those_of_all_numbers(parts: list[list[float]]) -> None:
    """Moments of parts, some of them empty, merge to those of the whole, in any order of the parts."""
    whole = moments([value for part in parts for value in part])
    size = max((abs(value) for part in parts for value in part), default=0)
    for ordered in (parts, parts[::-1]):
        found = merged_moments([moments(part) for part in ordered])
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
def test_percentile_rises_within_the_values(values: list[float], share: float, other_share: float) -> None:
    """It lies between least and largest, reaches both, and a higher one is never lower."""
    low, high = sorted((share, other_share))
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


@given(LISTS, st.lists(st.integers(0, 2), min_size=60, max_size=60))
def test_spread_is_each_metric_at_once(values: list[float], places: list[int]) -> None:
    """It has what each metric says alone, though the numbers lie in several lists; one has no deviation."""
    parts: list[list[float]] = [[], [], []]
    for value, place in zip(sorted(values), places, strict=False):
        parts[place].append(value)
    found = spread(Ordered(*parts), moments(values))
    assert found.n == len(values)
    slack = 1e-9 * max(1, *map(abs, values))
    assert found.mean == pytest.approx(mean(values), abs=slack)
    assert (found.median, found.p90) == (median(values), p90(values))
    assert (found.low, found.high) == (min(values), max(values))
    assert found.sd == (None if len(values) == 1 else pytest.approx(moments(values).sd, abs=slack))


@given(st.lists(LISTS, min_size=1, max_size=5))
def test_numbers_in_several_lists_stand_where_they_would_in_one(parts: list[list[float]]) -> None:
    """Each place of all lists together is that of one sorted list, the largest and the least ones too."""
    ordered = Ordered(*map(sorted, parts))
    assert [ordered[place] for place in range(ordered.n)] == sorted(value for part in parts for value in part)


def test_spread_of_nothing_is_none_throughout() -> None:
    """No values: n is 0 and nothing else is a number."""
    found = spread(Ordered(), moments([]))
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
