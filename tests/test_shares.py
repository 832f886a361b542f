"""How sure a share is: against scipy, by phase, and as often as is said."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta as scipy_beta
from scipy.stats import binom, binomtest

from reports.sureness import (
    Share,
    beta,
    binomial_below,
    effective_number,
    exact_interval,
    median_shares,
    share_by_phase,
)

CASES = st.integers(1, 5000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))


@given(CASES)
def test_interval_is_that_of_clopper_and_pearson(case: tuple[int, int]) -> None:
    """For whole numbers the interval is the exact one that scipy computes."""
    count, total = case
    found, known = exact_interval(count, total), binomtest(count, total).proportion_ci(method="exact")
    assert found is not None
    assert found.low == pytest.approx(known.low, abs=1e-9)
    assert found.high == pytest.approx(known.high, abs=1e-9)


@given(st.floats(0.001, 0.999), st.floats(0.05, 3000), st.floats(0.05, 3000))
def test_beta_is_the_function_of_that_name(share: float, a: float, b: float) -> None:
    """The incomplete beta function agrees with scipy's, also where nothing is a whole number."""
    assert beta(share, a, b) == pytest.approx(float(scipy_beta.cdf(share, a, b)), abs=1e-9)


@given(CASES, st.floats(0.001, 0.999))
def test_binomial_sums_are_those_of_scipy(case: tuple[int, int], share: float) -> None:
    """How likely at most so many are, none and all among them."""
    assert binomial_below(*case, share) == pytest.approx(float(binom.cdf(*case, share)), abs=1e-9)


@pytest.mark.parametrize("total", [6, 7, 10, 29, 30, 57, 200, 1001])
def test_median_lies_between_the_order_statistics_of_the_sign_test(total: int) -> None:
    """The r-th value from either end, r the largest that leaves out at most 2.5% on a side."""
    shares = median_shares(total)
    assert shares is not None
    rank = max(r for r in range(1, total) if binom.cdf(r - 1, total, 0.5) <= 0.025)
    assert math.floor(shares.low * total + 1 + 1e-9) == rank
    assert shares.high == pytest.approx(1 - shares.low)


def test_five_values_have_no_interval_of_the_median() -> None:
    """Even from the smallest to the largest they hold it in only 15 of 16 samples."""
    assert [median_shares(n) is None for n in (0, 0.5, 1, 5, 6)] == [True, True, True, True, False]


def test_tries_with_one_result_are_as_sure_as_their_phases() -> None:
    """Three tries that end the same say what one says: the interval is that of the phases."""
    chance = random.Random(5)
    hit = [number for number in range(60) if chance.random() < 0.3]
    sizes = dict.fromkeys(range(60), 3)
    found = share_by_phase(dict.fromkeys(hit, 3), sizes)
    assert (found.count, found.total, found.effective) == (3 * len(hit), 180, pytest.approx(60))
    assert found.interval == exact_interval(len(hit), 60)


def test_answers_apart_are_as_sure_as_they_are_many() -> None:
    """Where tries have nothing to do with each other, they count nearly as answers do."""
    chance = random.Random(6)
    hits = Counter(number for number in range(400) for _ in range(3) if chance.random() < 0.3)
    found = share_by_phase(hits, dict.fromkeys(range(400), 3))
    assert 900 < found.effective <= 1200


def test_single_answers_are_what_they_are() -> None:
    """With one answer a phase the interval is the usual exact one, few or many."""
    for n in (1, 20, 29, 30, 400):
        hits = dict.fromkeys(range(n // 5), 1)
        assert share_by_phase(hits, dict.fromkeys(range(n), 1)).effective == pytest.approx(n)


def test_few_phases_count_as_phases_whatever_they_look_like() -> None:
    """Of fewer than 30 it is unknown how much their answers differ: they count as equal ones."""
    hits = {number: number % 4 for number in range(29)}
    assert share_by_phase(hits, dict.fromkeys(range(29), 3)).effective == pytest.approx(29)
    assert share_by_phase({0: 1}, {0: 8, 1: 1, 2: 1}).effective == pytest.approx(100 / 66)


def test_share_of_nothing_has_no_rate_and_no_interval() -> None:
    """Of no events nothing is said: not 0%, and no interval from 0 to 1."""
    assert (Share(0, 0, 0).rate, share_by_phase({}, {}).interval, exact_interval(0, 0)) == (None, None, None)
    assert Share(1, 4, 4).rate == 0.25


@given(st.floats(0.01, 0.99), st.floats(0, 1), st.integers(1, 100))
def test_effective_number_is_between_phases_and_answers(share: float, variance: float, phases: int) -> None:
    """Neither less sure than the phases alone nor surer than all answers apart."""
    assert phases <= effective_number(share, variance, phases, phases, 3 * phases) <= 3 * phases


def test_shares_of_similar_phases_are_held_as_often_as_is_said() -> None:
    """Of 400 samples of 40 phases, five tries each, nearly equal, the interval holds the truth in 95%."""
    held = 0
    for seed in range(400):
        chance = random.Random(seed)
        hits = Counter[int]()
        for number in range(40):
            common = chance.random() < 0.2
            hits[number] = sum(common if chance.random() < 0.8 else chance.random() < 0.2 for _ in range(5))
        found = share_by_phase(+hits, dict.fromkeys(range(40), 5)).interval
        assert found is not None
        held += found.low <= 0.2 <= found.high
    assert 372 <= held < 400


def test_answers_one_by_one_would_not_hold() -> None:
    """The same samples, each answer for itself, hold the truth in far fewer than 95%: the unit matters."""
    held = 0
    for seed in range(100):
        chance = random.Random(seed)
        count = sum(5 * (chance.random() < 0.2) for _ in range(40))
        found = exact_interval(count, 200)
        assert found is not None
        held += found.low <= 0.2 <= found.high
    assert held < 80
