"""Medians where some answers were cut: against exact sums, order statistics, and a known truth."""

from __future__ import annotations

import math
import random
import statistics
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import CensoredData, binom, ecdf

from needed import Needed, median_of, needs
from reports.survival import Curve

RATIOS = st.sampled_from((0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 8.0, 1e9))
ANSWERS = st.lists(
    st.builds(Needed, RATIOS, st.booleans(), st.integers(0, 12), st.just(math.inf)), max_size=30
)


def exact_shares(answers: Sequence[Needed]) -> list[tuple[float, Fraction]]:
    """Return Kaplan and Meier's curve by phase in exact fractions, in the plainest way there is."""
    sizes = Counter(answer.phase for answer in answers)
    beyond, shares = Fraction(1), []
    for ratio in sorted({answer.ratio for answer in answers if not answer.cut}):
        at_risk = sum(
            (Fraction(1, sizes[answer.phase]) for answer in answers if answer.ratio >= ratio), Fraction(0)
        )
        ended = sum(
            (
                Fraction(1, sizes[answer.phase])
                for answer in answers
                if answer.ratio == ratio and not answer.cut
            ),
            Fraction(0),
        )
        beyond *= 1 - ended / at_risk
        shares.append((ratio, 1 - beyond))
    return shares


@settings(max_examples=120)
@given(ANSWERS)
def test_median_is_where_the_exact_curve_reaches_one_half(answers: list[Needed]) -> None:
    """By phase, ties and cut answers and all; midway where just half lie on either side, else none."""
    shares = exact_shares(answers)
    low = next((ratio for ratio, share in shares if share >= Fraction(1, 2)), None)
    high = next((ratio for ratio, share in shares if share > Fraction(1, 2)), None)
    found = median_of(answers)
    assert found.value == (None if low is None or high is None else (low + high) / 2)
    if found.interval is not None:
        assert found.value is not None
        assert found.interval.low <= found.value <= found.interval.high


@given(st.lists(st.tuples(st.floats(0.01, 100), st.booleans()), min_size=1, max_size=60))
def test_curve_is_that_of_scipy_where_each_phase_has_one_answer(cases: list[tuple[float, bool]]) -> None:
    """Kaplan and Meier as others compute them."""
    whole = [ratio for ratio, cut in cases if not cut]
    if not whole:
        return
    known = ecdf(CensoredData(uncensored=whole, right=[ratio for ratio, cut in cases if cut])).cdf
    found = dict(Curve(needs(Needed(*case, number) for number, case in enumerate(cases))).steps())
    for ratio in whole:
        assert found[ratio] == pytest.approx(float(known.evaluate(ratio)), abs=1e-9)


@pytest.mark.parametrize("n", [6, 10, 29, 30, 101, 1000])
def test_interval_of_whole_answers_is_that_of_the_sign_test(n: int) -> None:
    """One answer a phase, none cut: from the r-th smallest to the r-th largest, exactly."""
    chance = random.Random(n)
    values = sorted(chance.lognormvariate(0, 1) for _ in range(n))
    found = median_of([Needed(value, False, number) for number, value in enumerate(values)])
    rank = max(r for r in range(1, n) if binom.cdf(r - 1, n, 0.5) <= 0.025)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == (values[rank - 1], values[n - rank])
    assert found.value == pytest.approx(statistics.median(values))


def test_of_five_phases_there_is_a_median_and_no_interval() -> None:
    """Not even from the smallest to the largest it would be sure to 95%."""
    found = median_of([Needed(float(number), False, number) for number in range(1, 6)])
    assert (found.value, found.interval) == (3, None)


def test_where_most_are_cut_there_is_no_median() -> None:
    """Half of the answers needed more than anybody saw: nobody knows the middle."""
    cut = [Needed(5, True, number) for number in range(60)]
    assert median_of([*cut, *(Needed(1, False, 100 + number) for number in range(6))]).value is None
    assert median_of([]).value is None


def test_few_phases_count_their_cut_answers_on_both_sides() -> None:
    """As if they had needed just their bound, and as if no end: with many cut the upper end is open."""
    whole = [Needed(1 + number / 100, False, number) for number in range(10)]
    free = median_of(whole).interval
    cut = [answer._replace(cut=answer.phase == 2) for answer in whole]
    some = median_of(cut).interval
    assert free is not None
    assert some is not None
    assert (free.low, free.high) == (1.01, 1.08)
    assert (some.low, some.high) == (1.01, 1.09)
    assert median_of([answer._replace(cut=answer.phase in {2, 3, 5}) for answer in whole]).interval is None


def drawn(seed: int, phases: int, tries: int, cut: bool, likeness: float = 0.75) -> list[Needed]:
    """Return answers whose true median is 1, tries of a phase equal, cut at ceilings drawn apart."""
    chance, found = random.Random(seed), []
    for phase in range(phases):
        common = chance.gauss(0, math.sqrt(likeness))
        for _ in range(tries):
            needed = common + chance.gauss(0, math.sqrt(1 - likeness))
            ceiling = chance.gauss(0.6, 0.5) if cut else 99
            found.append(Needed(math.exp(min(needed, ceiling)), needed > ceiling, phase))
    return found


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "30% cut"])
@pytest.mark.parametrize("tries", [1, 3])
@pytest.mark.parametrize("phases", [10, 30, 100])
def test_interval_holds_the_truth_as_often_as_is_said(phases: int, tries: int, cut: bool) -> None:
    """In 93 of 100 samples or more it holds, or none is shown; the median is not pulled down by cuts."""
    found = [median_of(drawn(seed, phases, tries, cut)) for seed in range(150)]
    shown = [median.interval for median in found if median.interval is not None]
    assert sum(not median.low <= 1 <= median.high for median in shown) <= 0.08 * 150
    if phases >= 30:
        assert len(shown) >= 135
        values = [math.log(median.value) for median in found if median.value is not None]
        assert statistics.fmean(values) == pytest.approx(0, abs=0.07)


def test_interval_is_as_wide_as_that_of_phases_drawn_anew() -> None:
    """On average its ends are where the 2.5% and 97.5% of the medians of resampled phases lie."""
    below, above = [], []
    for seed in range(8):
        answers = drawn(seed, 60, 3, cut=True)
        by_phase: dict[int, list[Needed]] = {}
        for answer in answers:
            by_phase.setdefault(answer.phase, []).append(answer)
        chance, medians = random.Random(seed), []
        for _ in range(200):
            again = chance.choices(list(by_phase.values()), k=60)
            value = Curve(
                needs(answer._replace(phase=place) for place, own in enumerate(again) for answer in own)
            ).median()
            medians.append(math.inf if value is None else value)
        medians.sort()
        found = median_of(answers).interval
        assert found is not None
        below.append(math.log(found.low / medians[5]))
        above.append(math.log(found.high / medians[194]))
    assert statistics.fmean(below) == pytest.approx(0, abs=0.08)
    assert statistics.fmean(above) == pytest.approx(0, abs=0.08)
