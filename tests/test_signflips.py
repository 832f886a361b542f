"""How sure a difference is: sign flips of whole phases, against plain counting and against chance."""

from __future__ import annotations

import itertools
import math
import random
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.signflips import (
    DRAWN,
    LEVEL,
    MAX_DRAWN,
    MAX_EXACT,
    MIN_PHASES,
    Difference,
    holm,
    paired_difference,
)

NORMAL = statistics.NormalDist()


def alone(values: list[float]) -> Difference:
    """Return the difference of events that are each a phase of its own."""
    return paired_difference(values, range(len(values)))


def by_counting(values: list[float]) -> float:
    """Return how many of all sign patterns have a sum as far from 0 as the one that was seen."""
    seen = abs(math.fsum(values)) - 1e-9 * math.fsum(map(abs, values))
    signs = itertools.product((1, -1), repeat=len(values))
    sums = [abs(math.fsum(sign * value for sign, value in zip(some, values, strict=True))) for some in signs]
    return sum(total >= seen for total in sums) / len(sums)


VALUES = st.lists(
    st.one_of(
        st.floats(-200, 200).map(lambda value: round(value, 6)), st.sampled_from((-1.0, 1.0, 1.0, 2.5))
    ),
    min_size=6,
    max_size=9,
)
"""None so small beside the others that it is a matter of rounding whether sums tie."""


@settings(max_examples=60)
@given(VALUES)
def test_probability_of_few_phases_is_that_of_all_their_signs(values: list[float]) -> None:
    """To the last one of them, ties among them."""
    found = alone(values)
    if sum(value != 0 for value in values) < MIN_PHASES:
        assert (found.p, found.interval) == (None, None)
    else:
        assert found.p == pytest.approx(by_counting(values))


@settings(max_examples=30)
@given(st.lists(st.floats(-200, 200).map(lambda value: round(value, 3)), min_size=6, max_size=8, unique=True))
def test_interval_holds_the_differences_that_the_test_does_not_refuse(values: list[float]) -> None:
    """Moved to just within its ends the values differ from 0 no more; moved to just beyond, they do."""
    found = alone(values)
    if found.interval is None:
        return
    width = found.interval.high - found.interval.low
    for end, inwards in ((found.interval.low, 1), (found.interval.high, -1)):
        within, beyond = (end + inwards * step * width * 1e-6 for step in (1, -1))
        assert by_counting([value - within for value in values]) > LEVEL
        assert by_counting([value - beyond for value in values]) <= LEVEL


@pytest.mark.parametrize("sizes", [(1, 2, 3, 5, 8, 13, 21), (1, 1, 1, 1, 1, 1, 50), (3,) * 8])
def test_equal_estimators_differ_in_at_most_one_of_twenty_patterns(sizes: tuple[float, ...]) -> None:
    """Whatever the sizes: of all signs that chance may give, 5% or fewer are called a difference."""
    patterns = list(itertools.product((1, -1), repeat=len(sizes)))
    found = [alone([sign * size for sign, size in zip(signs, sizes, strict=True)]) for signs in patterns]
    wrong = sum(difference.verdict(difference.p) in ("better", "worse") for difference in found)
    assert 0 < wrong <= LEVEL * len(patterns)


@pytest.mark.parametrize(("tries", "unlike"), [(1, 1.0), (3, 0.0), (3, 0.3)])
def test_equal_estimators_rarely_differ_with_retries_either(tries: int, unlike: float) -> None:
    """Equal tries are one piece of evidence: counted singly, 24 to 32% would differ."""
    chance = random.Random(11)
    wrong = 0
    for _ in range(120):
        values, phases = [], []
        for phase in range(10):
            common = chance.gauss(0, 20) ** 3
            values += [common + unlike * chance.gauss(0, 20) for _ in range(tries)]
            phases += [phase] * tries
        found = paired_difference(values, phases)
        wrong += found.verdict(found.p) != "no difference shown"
    assert wrong <= 11  # 6 are expected; more than 11 would come in less than 2% of all samples


def test_fewer_than_six_phases_give_no_verdict_however_many_tries() -> None:
    """Five signs agree by chance in 6% of the cases."""
    found = paired_difference([-30.0 - number for number in range(50)], [number % 5 for number in range(50)])
    assert (found.n, found.phases, found.interval, found.p) == (50, 5, None, None)
    assert found.verdict(found.p) == "too few"
    six = paired_difference([-30.0 - number for number in range(6)], range(6))
    assert (six.p, six.verdict(six.p)) == (2 / 64, "better")
    assert (six.interval.low, six.interval.high) == (-35, -30)  # type: ignore[union-attr]


def test_phases_without_a_difference_are_no_evidence() -> None:
    """Nothing is shown of a hundred of which five differ, nor an interval from 0 to 0 of none that does."""
    for differing in (0, 5):
        found = alone([-1.0] * differing + [0.0] * (100 - differing))
        assert (found.phases, found.value, found.interval, found.p) == (100, -differing / 100, None, None)
        assert found.verdict(found.p) == "no difference shown"
    assert alone([-1.0] * 6 + [0.0] * 4).p == 2 / 64


def test_each_phase_weighs_the_same_however_often_it_was_tried() -> None:
    """The mean over events stays what it was; beside it is that over phases, which the rest is about."""
    values, phases = [8.0, 8.0, 8.0, -1.0, -2.0, -3.0, -4.0, -5.0, -6.0], [7, 7, 7, 1, 2, 3, 4, 5, 6]
    found = paired_difference(values, phases)
    assert (found.n, found.phases) == (9, 7)
    assert found.value == pytest.approx(3 / 9)
    assert found.phase_mean == pytest.approx(-13 / 7)
    assert found.p == pytest.approx(by_counting([8, -1, -2, -3, -4, -5, -6]))


@pytest.mark.parametrize("n", [MAX_EXACT, MAX_EXACT + 1, 60, MAX_DRAWN, MAX_DRAWN + 1])
def test_drawn_flips_and_the_normal_distribution_go_on_from_one_another(n: int) -> None:
    """On either side of each bound the ends are 1.96 standard errors away, the probability that of z."""
    chance = random.Random(n)
    values = [chance.gauss(5, 20) for _ in range(n)]
    shift = statistics.fmean(values) - 2.1 * statistics.pstdev(values) / math.sqrt(n)
    values = [value - shift for value in values]
    found = alone(values)
    assert found == alone(values)
    assert found.interval is not None
    middle, error = statistics.fmean(values), statistics.stdev(values) / math.sqrt(n)
    rough = 0.2 if n < 20 else 0.05
    assert found.interval.low == pytest.approx(middle - 1.96 * error, abs=rough * error * 2)
    assert found.interval.high == pytest.approx(middle + 1.96 * error, abs=rough * error * 2)
    z = math.fsum(values) / math.sqrt(math.fsum(value * value for value in values))
    assert found.p == pytest.approx(2 * NORMAL.cdf(-abs(z)), abs=0.02 if n < 20 else 0.006)
    assert (found.interval.low > 0) == (found.p <= LEVEL)


@pytest.mark.parametrize("z", [1.9595, 1.9605])
def test_normal_interval_leaves_out_nothing_just_where_the_test_does(z: float) -> None:
    """To the fourth digit of z, though the interval's error is that of the values around their own mean."""
    chance, n = random.Random(5), MAX_DRAWN + 1
    values = [chance.gauss(0, 20) for _ in range(n)]
    middle = statistics.fmean(values)
    squares = math.fsum((value - middle) ** 2 for value in values)
    shift = z * math.sqrt(squares / (1 - z * z / n)) / n
    found = alone([value - middle + shift for value in values])
    assert found.interval is not None
    assert found.p == pytest.approx(2 * NORMAL.cdf(-z))
    assert (found.interval.low > 0) == (z > 1.96)


def test_no_probability_is_smaller_than_the_flips_can_show() -> None:
    """Of 10,000 drawn ones none as far away is one in 10,001, on either side."""
    assert alone([-1.0 - number / 100 for number in range(50)]).p == 2 / (DRAWN + 1)


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=8))
def test_holm_is_the_largest_multiple_up_to_each(ps: list[float | None]) -> None:
    """The smallest counts m times, the next m - 1 times, and none less than one before it."""
    known = sorted(p for p in ps if p is not None)
    for p, corrected in zip(ps, holm(ps), strict=True):
        if p is None:
            assert corrected is None
        else:
            multiples = [(len(known) - rank) * value for rank, value in enumerate(known) if value <= p]
            first = [
                multiple
                for rank, multiple in enumerate(multiples)
                if known[rank] < p or known.index(p) == rank
            ]
            assert corrected is not None
            assert min(1, max(first)) <= corrected <= min(1, max(multiples))


def test_holm_by_hand() -> None:
    """Holm's own way: 0.01 x 3, 0.02 x 2, 0.5 x 1; what was not tested does not count."""
    assert holm([0.02, None, 0.5, 0.01]) == [pytest.approx(0.04), None, 0.5, pytest.approx(0.03)]
    assert holm([0.04, 0.03]) == [pytest.approx(0.06), pytest.approx(0.06)]
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []
