"""Budgets: against exact sums, by their examples, and as often exceeded as is said."""

from __future__ import annotations

import math
import random
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from needed import Needed, budget, needs
from reports.budgets import OWN, POOLED, expected_cut
from reports.shrinkage import pooled_factors
from reports.strata import Key

RATIOS = st.sampled_from((0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 8.0, 1e9))
CUT = st.sampled_from((False, False, False, False, False, True))
ANSWERS = st.lists(st.builds(Needed, RATIOS, CUT, st.integers(0, 60), st.just(math.inf)), max_size=70)
LIMITS = st.sampled_from((Fraction(1, 2), Fraction(2, 5), Fraction(1, 5), Fraction(1, 10), Fraction(1, 20)))


def exact_budget(answers: Sequence[Needed], limit: Fraction) -> float | None:
    """Return the split-conformal budget by phase in exact fractions, in the plainest way there is."""
    sizes = Counter(answer.phase for answer in answers)
    for ratio in sorted({answer.ratio for answer in answers if not answer.cut}):
        weights = [
            Fraction(1, sizes[answer.phase]) for answer in answers if not answer.cut and answer.ratio <= ratio
        ]
        if sum(weights, Fraction(0)) >= (1 - limit) * (len(sizes) + 1):
            return ratio
    return None


def exact_safe(answers: Sequence[Needed], limit: Fraction) -> float | None:
    """Return the least ratio with so few phases beyond that 5% of samples have as few; exact."""
    phases = {answer.phase for answer in answers}
    for ratio in sorted({answer.ratio for answer in answers if not answer.cut}):
        n, beyond = (
            len(phases),
            len({answer.phase for answer in answers if answer.cut or answer.ratio > ratio}),
        )
        chances = (math.comb(n, k) * limit**k * (1 - limit) ** (n - k) for k in range(beyond + 1))
        if sum(chances, Fraction(0)) <= Fraction(1, 20):
            return ratio
    return None


@settings(max_examples=100)
@given(ANSWERS, LIMITS)
def test_budgets_are_what_exact_sums_give(answers: list[Needed], limit: Fraction) -> None:
    """Both budgets agree with a few exact lines of our own, ties, tries and cut answers and all."""
    found = budget(answers, float(limit))
    assert (found.own_factor, found.safe_factor) == (exact_budget(answers, limit), exact_safe(answers, limit))
    assert found.factor == found.own_factor
    assert (found.n, found.censored) == (len(answers), sum(answer.cut for answer in answers))
    assert found.phases == len({answer.phase for answer in answers})
    assert found.largest == max((answer.ratio for answer in answers if not answer.cut), default=None)


@settings(max_examples=100)
@given(ANSWERS, LIMITS)
def test_what_is_lacking_is_enough_when_it_is_there(answers: list[Needed], limit: Fraction) -> None:
    """With so many more phases at the same share of cuts there is a budget, with one less there is none."""
    found = budget(answers, float(limit))
    sizes = Counter(answer.phase for answer in answers)
    cut = sum((Fraction(1, sizes[answer.phase]) for answer in answers if answer.cut), Fraction(0))
    share = cut / len(sizes) if sizes else Fraction(0)
    if found.own_factor is not None:
        assert found.phases_needed == 0
    elif found.phases_needed is None:
        assert share >= limit
        assert "higher" in found.why
    else:
        enough, less = (len(sizes) + found.phases_needed - lacking for lacking in (0, 1))
        assert enough * (1 - share) >= (1 - limit) * (enough + 1)
        assert less * (1 - share) < (1 - limit) * (less + 1)
        assert f"takes {found.phases_needed:,} more phases" in found.why


def pooled(strata: Mapping[Key, Sequence[Needed]], limits: Sequence[float]) -> list[dict[Key, float]]:
    """Return the pooled budgets of strata."""
    return pooled_factors({key: needs(answers) for key, answers in strata.items()}, limits)


def single(ratios: Sequence[float]) -> list[Needed]:
    """Return whole answers, each of a phase of its own."""
    return [Needed(ratio, False, number) for number, ratio in enumerate(ratios)]


@pytest.mark.parametrize(
    ("n", "limit", "place"),
    [(50, 0.02, 50), (49, 0.02, 49), (100, 0.02, 99), (99, 0.01, 99), (199, 0.02, 196)],
)
def test_of_single_answers_it_is_an_order_statistic(n: int, limit: float, place: int) -> None:
    """The ceil((n + 1)(1 - q))-th smallest: of fifty answers for 2% the largest, not the one before."""
    ratios = [1 + number / 100 for number in range(n)]
    assert budget(single(ratios), limit).factor == ratios[place - 1]


@pytest.mark.parametrize(("whole", "cut", "needed"), [(48, 0, 1), (0, 0, 49), (60, 1, 211), (99, 1, None)])
def test_phases_that_it_takes(whole: int, cut: int, needed: int | None) -> None:
    """49 phases of which none was cut are the least for 2%; with cuts it takes more, or none would do."""
    answers = single([1.0] * whole) + [Needed(9, True, 1000 + number) for number in range(cut)]
    found = budget(answers, 0.02)
    if needed is None:
        assert (found.factor, found.phases_needed) == (1.0, 0)
    else:
        assert (found.factor, found.phases_needed) == (None, needed)
    assert (
        budget([*single([1.0] * 90), *([Needed(9, True, n) for n in range(900, 910)])], 0.02).phases_needed
        is None
    )


def test_tries_weigh_as_one_phase() -> None:
    """Ten tries of one phase that needed much count as one phase in sixty, and move no 5% budget."""
    answers = single([1.0] * 60)
    assert budget([*answers, *(Needed(9.0, False, 60) for _ in range(10))], 0.05).factor == 1.0
    assert budget([*answers, *(Needed(9.0, False, 60 + number) for number in range(10))], 0.05).factor == 9.0


def test_new_answers_go_beyond_it_as_often_as_is_said() -> None:
    """On average over samples at most 2% and at least 2% - 1 / (n + 1), also of tries with one result."""
    for phases, tries in ((60, 1), (100, 1), (100, 3)):
        beyond = []
        for seed in range(200):
            chance, answers = random.Random(seed), []
            for phase in range(phases):
                common = chance.gauss(0, 0.8)
                answers += [
                    Needed(math.exp(common + chance.gauss(0, 0.6)), False, phase) for _ in range(tries)
                ]
            factor = budget(answers, 0.02).factor
            assert factor is not None
            beyond.append(1 - statistics.NormalDist().cdf(math.log(factor)))
        assert 0.02 - 1 / (phases + 1) - 0.003 <= statistics.fmean(beyond) <= 0.023, (phases, tries)


def test_a_budget_had_by_luck_is_not_shown() -> None:
    """None of a hundred was cut, though the ceilings, as they are, would cut 5% of such answers."""
    chance = random.Random(4)
    ratios = [math.exp(chance.uniform(-1.7, 1.6)) for _ in range(100)]
    low = [Needed(ratio, False, number, math.exp(1.65)) for number, ratio in enumerate(ratios)]
    high = [answer._replace(ceiling=math.exp(4)) for answer in low]
    assert expected_cut(needs(low)) > 0.02 > expected_cut(needs(high))
    assert (budget(low, 0.02).factor, budget(low, 0.02).safe_factor) == (None, None)
    assert "ceilings cut more than 2%" in budget(low, 0.02).why
    assert budget(high, 0.02).factor == budget(single(ratios), 0.02).factor is not None


def test_what_ceilings_would_cut_is_unknown_from_a_few_answers() -> None:
    """Of fewer phases than a budget takes there is no luck to see through: it is said how many it takes."""
    few = [Needed(1.0, False, 0, 1.3), Needed(1.2, False, 1, 1.3)]
    assert expected_cut(needs(few)) > 0.02
    assert (budget(few, 0.02).phases_needed, budget(few, 0.02).why) == (47, "it takes 47 more phases")


def test_ceilings_that_whole_answers_went_beyond_are_none() -> None:
    """Where a whole answer is longer than what it is said to have been given, that is not what cuts."""
    low = [Needed(1 + number / 100, False, number, 1.6) for number in range(60)]
    beyond = [*low, Needed(1.7, False, 60, 1.6)]
    assert (budget(low, 0.02).factor, expected_cut(needs(beyond))) == (None, 0)
    assert budget(beyond, 0.02).factor == 1.7


# Small strata


def strata(seed: int, sizes: Sequence[int], apart: float = 0.8) -> tuple[dict, dict]:  # type: ignore[type-arg]
    """Return answers by stratum, and where each stratum lies."""
    chance, found, levels, phase = random.Random(seed), {}, {}, 0
    for number, size in enumerate(sizes):
        levels[number,] = chance.gauss(0, apart)
        found[number,] = [
            Needed(math.exp(levels[number,] + chance.gauss(0, 0.5)), False, phase + place)
            for place in range(size)
        ]
        phase += size
    return found, levels


def test_pooled_budgets_truncate_as_little_and_are_much_smaller() -> None:
    """Thirteen strata of ten phases: each gets a budget, together they hold, and save a quarter or more."""
    beyond, saved, normal = [], [], statistics.NormalDist()
    for seed in range(100):
        found, levels = strata(seed, [10] * 13)
        factors = pooled(found, [0.02])[0]
        whole = budget([answer for own in found.values() for answer in own], 0.02).factor
        assert whole is not None
        assert factors.keys() == found.keys()
        beyond += [1 - normal.cdf((math.log(factors[key]) - levels[key]) / 0.5) for key in found]
        saved += [math.log(factor / whole) for factor in factors.values()]
    assert 0.02 - 1 / 131 - 0.003 <= statistics.fmean(beyond) <= 0.023
    assert statistics.fmean(saved) < math.log(0.75)


def test_the_smallest_strata_are_truncated_as_little_as_the_others() -> None:
    """One phase leaves more doubt of where a stratum lies than a hundred do: its budget has room for it."""
    normal = statistics.NormalDist()
    for sizes, small in (([100, *[1] * 10], slice(1, 11)), ([2] * 30, slice(0, 30))):
        beyond = []
        for seed in range(120):
            found, levels = strata(seed, sizes)
            factors = pooled(found, [0.02])[0]
            keys = list(found)[small]
            beyond += [1 - normal.cdf((math.log(factors[key]) - levels[key]) / 0.5) for key in keys]
        assert statistics.fmean(beyond) <= 0.025, sizes


def test_strata_of_one_distribution_get_nearly_the_same_budget() -> None:
    """Where there is nothing between strata, all are taken as one."""
    found, _ = strata(3, [8] * 8, apart=0)
    factors = pooled(found, [0.05])[0]
    assert max(factors.values()) < 1.35 * min(factors.values())


def test_few_of_its_own_draw_a_stratum_to_the_whole_many_don_t() -> None:
    """Two phases far away move a stratum's budget less than forty do."""
    found, _ = strata(5, [40] * 6, apart=0.3)
    few, many = found | {(9,): single([9.0, 9.5])}, found | {(9,): single([9.0, 9.5] * 20)}
    few[9,] = [answer._replace(phase=9000 + answer.phase) for answer in few[9,]]
    many[9,] = [answer._replace(phase=9000 + answer.phase) for answer in many[9,]]
    assert pooled(few, [0.05])[0][9,] < pooled(many, [0.05])[0][9,]


def test_what_ceilings_cut_is_a_share_of_each_stratum_too() -> None:
    """Ceilings two deviations above each stratum's middle cut 2.3%: no budget for less, one for more."""
    found, levels = strata(6, [40] * 6)
    under = {
        key: [
            answer._replace(ratio=min(answer.ratio, ceiling), cut=answer.ratio > ceiling, ceiling=ceiling)
            for answer in own
        ]
        for key, own in found.items()
        for ceiling in [math.exp(levels[key] + 2 * 0.5)]
    }
    assert [set(factors) for factors in pooled(under, [0.01, 0.05])] == [set(), set(found)]


def test_of_one_stratum_or_too_few_phases_nothing_is_pooled() -> None:
    """There is nothing to pool, or not enough of it."""
    found, _ = strata(1, [60])
    assert pooled(found, [0.02])[0] == {}
    assert pooled(strata(1, [5] * 9)[0], [0.02])[0] == {}
    assert pooled({}, [0.02])[0] == pooled({("a",): [], ("b",): single([1.0])}, [0.02])[0] == {}
    assert pooled({("a",): single([1.0] * 30), ("b",): single([1.0] * 30)}, [0.02])[0] == {}


def test_which_one_is_advised_and_why() -> None:
    """Its own where there is one, else the pooled one; both are shown."""
    own, pooled = budget(single([1.0] * 60), 0.02, 0.7), budget(single([1.0] * 6), 0.02, 0.7)
    assert (own.factor, own.advised, own.own_factor, own.pooled_factor) == (1.0, OWN, 1.0, 0.7)
    assert (pooled.factor, pooled.advised, pooled.own_factor) == (0.7, POOLED, None)
    assert own.why == "its own 60 phases are enough for 2%"
    assert pooled.why == "pooled with the other strata; for one of its own it takes 43 more phases"
