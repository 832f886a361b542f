"""Changes: seen where there is one, at its time and no other, and not seen where only the mix changes."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterable

import pytest

from reports.changes import ESTIMATES, MIN_SEGMENT, MIX, Change, Unit, find_changes, last_changes
from reports.changes import largest_difference as difference

DOCS, TESTS, CODE = ("docs",), ("tests",), ("code",)


def units(*parts: tuple[int, tuple[str, ...], float], seed: int = 1, spread: float = 0.4) -> list[Unit]:
    """Return phases in the order of time: so many of a stratum at a level, then so many of another."""
    chance = random.Random(seed)
    kinds = [(key, level) for count, key, level in parts for _ in range(count)]
    return [
        Unit(f"{number:06}", key, level * math.exp(chance.gauss(0, spread)))
        for number, (key, level) in enumerate(kinds)
    ]


def shuffled(found: Iterable[Unit], seed: int = 2) -> list[Unit]:
    """Return phases with their times dealt anew."""
    found = list(found)
    order = random.Random(seed).sample(range(len(found)), len(found))
    return [unit._replace(at=f"{place:06}") for unit, place in zip(found, order, strict=True)]


def test_a_change_is_seen_with_its_time_and_both_medians() -> None:
    """From 8.7 to 0.4: one change over all, at the first phase after it, with what is usual on both sides."""
    found = units((25, DOCS, 8.7), (9, DOCS, 0.4))
    (change,) = find_changes(found)
    assert (change.key, change.of, change.at) == (None, ESTIMATES, "000025")
    assert (change.phases_before, change.phases_after) == (25, 9)
    assert change.before == statistics.median(unit.ratio for unit in found[:25])
    assert change.after == statistics.median(unit.ratio for unit in found[25:])
    assert change.p_value < 0.001


def test_order_of_the_rows_is_nothing_and_time_is_all() -> None:
    """Phases are put into the order of time first; in another order of time there is no change."""
    found = units((30, DOCS, 1), (30, DOCS, 3))
    assert find_changes(found[::-1]) == find_changes(found) != []
    assert find_changes(shuffled(found)) == []


def test_several_changes_are_all_seen() -> None:
    """There and back: both, the oldest first; what counts is the last."""
    found = find_changes(units((40, DOCS, 1), (40, DOCS, 3), (40, DOCS, 1)))
    assert [change.at for change in found] == ["000040", "000080"]
    assert last_changes(found, [DOCS, TESTS]) == {DOCS: "000080", TESTS: "000080"}


def test_a_change_of_one_stratum_is_that_strata_alone() -> None:
    """Others go on as they were: only this one is used from then on."""
    before, after = [(DOCS, 1.0), (TESTS, 1.0), (CODE, 1.0)], [(DOCS, 2.5), (TESTS, 1.0), (CODE, 1.0)]
    found = units(
        *((1, *answer) for answer in before * 40), *((1, *answer) for answer in after * 8), spread=0.5
    )
    changes = find_changes(found)
    assert [(change.key, change.of) for change in changes] == [(DOCS, ESTIMATES)]
    assert list(last_changes(changes, [DOCS, TESTS])) == [DOCS]
    assert abs(int(changes[0].at) - 120) <= 9


def test_another_mix_is_reported_as_that_and_changes_nothing() -> None:
    """First mostly short work, then mostly long: ratios rise, no stratum's do."""
    early = shuffled(units((50, DOCS, 0.5), (10, TESTS, 5)))
    late = shuffled(units((10, DOCS, 0.5), (50, TESTS, 5), seed=3))
    found = find_changes([*early, *(unit._replace(at=f"1{unit.at}") for unit in late)])
    assert [change.of for change in found] == [MIX]
    assert found[0].before < 1 < found[0].after
    assert last_changes(found, [DOCS, TESTS]) == {}


@pytest.mark.parametrize("strata", [1, 4, 12])
@pytest.mark.parametrize("order", ["mixed", "one after the other", "skewed"])
def test_without_a_change_one_is_rarely_seen(strata: int, order: str) -> None:
    """Strata of other levels and spreads, in any order: in at most 5 of 100 samples."""
    seen = 0
    for seed in range(150):
        chance = random.Random(seed)
        keys = [chance.randrange(strata) for _ in range(60)]
        found = []
        for number, key in enumerate(sorted(keys) if order == "one after the other" else keys):
            noise = (
                chance.expovariate(1) * (-1) ** key if order == "skewed" else chance.gauss(0, 0.2 + key / 9)
            )
            found.append(Unit(f"{number:06}", (str(key),), math.exp(key + noise)))
        seen += any(change.of == ESTIMATES for change in find_changes(found))
    assert seen <= 7


def test_many_strata_do_not_make_more_false_alarms() -> None:
    """Eight strata of thirty phases, each looked at by itself: still in at most 5 of 100 samples."""
    seen = 0
    for seed in range(100):
        chance = random.Random(seed)
        kinds = [(str(chance.randrange(8)),) for _ in range(240)]
        found = [Unit(f"{n:06}", key, math.exp(chance.gauss(0, 0.5))) for n, key in enumerate(kinds)]
        seen += any(change.of == ESTIMATES for change in find_changes(found))
    assert seen <= 5


def test_a_change_by_half_is_usually_seen() -> None:
    """By 1.5 with a spread of 0.4, sixty phases before and thirty after: in more than 80 of 100."""
    seen = [find_changes(units((60, DOCS, 1), (30, DOCS, 1.5), seed=seed)) for seed in range(100)]
    assert sum(bool(changes) for changes in seen) >= 84
    assert statistics.median(int(changes[-1].at) for changes in seen if changes) == pytest.approx(60, abs=2)


def test_chances_are_those_of_shuffling() -> None:
    """The chance that is computed is no less than that of so large a difference in any order."""
    chance = random.Random(7)
    largest = []
    for _ in range(400):
        series = [(DOCS if chance.random() < 0.7 else TESTS, chance.random()) for _ in range(80)]
        largest.append(difference(series, [True] * 80)[1])
    for level in (0.2, 0.1, 0.05):
        assert 0.2 * level <= sum(p_value <= level for p_value in largest) / 400 <= 1.4 * level


def test_too_few_phases_and_one_moment_are_no_change() -> None:
    """A stretch has five phases at least, and what happened at one time is never torn apart."""
    assert find_changes(units((40, DOCS, 1), (MIN_SEGMENT - 2, DOCS, 9))) == []
    assert find_changes([unit._replace(at="now") for unit in units((40, DOCS, 1), (40, DOCS, 9))]) == []
    assert find_changes([]) == []


def rising(strata: int) -> list[tuple[tuple[str, ...], float]]:
    """Return strata of two phases, all low ones before all high ones, and between them some of one phase."""
    keys = [(f"two {number}",) for number in range(strata)]
    alone = [((f"one {number}",), 1.0) for number in range(2 * MIN_SEGMENT)]
    return [*((key, 1.0) for key in keys), *alone, *((key, 9.0) for key in keys)]


def test_where_strata_have_nothing_to_compare_there_is_no_place() -> None:
    """Strata of one phase show no change: it takes as much as five strata of two, one phase on each side."""
    few, enough, many = (rising(strata) for strata in (MIN_SEGMENT - 1, MIN_SEGMENT, 12))
    assert difference(few, [True] * len(few)) == (None, 1.0)
    assert difference(enough, [True] * len(enough))[0] is not None
    place, p_value = difference(many, [True] * len(many))
    assert place == len(many) - 12
    assert p_value < 0.01


def test_a_change_that_is_nothing_to_act_on_is_not_said() -> None:
    """However sure: 3% more is not what anybody would change an estimator for."""
    assert find_changes(units((200, DOCS, 1), (200, DOCS, 1.03), spread=0.01)) == []
    assert find_changes(units((200, DOCS, 1), (200, DOCS, 1.2), spread=0.01)) != []


def test_equal_ratios_have_no_order() -> None:
    """All equal: no difference, no division by nothing."""
    found = [Unit(f"{number:03}", DOCS, 1.0) for number in range(50)]
    assert find_changes(found) == []
    assert difference([(DOCS, 1.0)] * 50, [True] * 50)[1] == 1


def test_the_last_change_of_a_stratum_counts_whether_its_own_or_that_of_all() -> None:
    """A mix is none; the later of both is since when."""

    def change(key: tuple[str, ...] | None, at: str, of: str = ESTIMATES) -> Change:
        return Change(key, of, at, 1, 2, 9, 9, 0.001)

    found = [change(None, "2"), change(DOCS, "1"), change(TESTS, "3"), change(None, "4", MIX)]
    assert last_changes(found, [DOCS, TESTS, CODE]) == {DOCS: "2", TESTS: "3", CODE: "2"}
