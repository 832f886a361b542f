"""Change points: whether, when, and from what to what actual / predicted changed.

A rank test on the medians of phases in the order of time. Ratios are divided by their stratum's median,
ranked, and compared within strata (aligned ranks), so that another mix of strata is no change of the
estimates. The largest difference over all moments is judged as a maximum, and 5% of error in all are divided
among the tests: of the whole, of each stratum, and of the mix. Each part before and after a change is
searched again.

Sources: Hodges and Lehmann, Rank methods for combination of independent experiments, 1962; Miller and
Siegmund, Maximally selected chi-square statistics, 1982; Holm, A simple sequentially rejective multiple
test procedure, 1979; Vostrikova, Detecting disorder in multidimensional random processes, 1981.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from reports.metrics import median
from reports.strata import Key

WHOLE_DOUBT = 0.03
STRATA_DOUBT = 0.01
MIX_DOUBT = 0.01
"""The probability, at most, of finding a change without one: in the whole, in any stratum, in the mix."""

MIN_SEGMENT = 5
"""Phases on either side of a change, at least."""

MIN_CHANGE = 1.1
"""The factor by which the median must change at least: less is nothing to act on, however sure it is."""

UNLIKE = 2.5
"""Standard deviations by which one stratum must differ from the others for a change to be its own."""

ESTIMATES, MIX = "estimates", "mix"
"""What changed: actual / predicted within strata, or only how often each stratum occurs."""


class Unit(NamedTuple):
    """A phase within a stratum: when it began (a time as stored), and its median of actual / predicted."""

    at: str
    key: Key
    ratio: float


@dataclass(frozen=True, slots=True)
class Change:
    """From `at` on, the median of actual / predicted is `after` instead of `before`.

    `key` is the stratum, `None` where it is over all of them; `of` is `ESTIMATES` or `MIX`. `at` is in UTC as
    stored. The medians are of `phases_before` and `phases_after` phases. `p_value` is the probability of so
    large a difference at any moment without a change, corrected for the number of strata where it is of one.
    """

    key: Key | None
    of: str
    at: str
    before: float
    after: float
    phases_before: int
    phases_after: int
    p_value: float


def find_changes(units: Sequence[Unit]) -> list[Change]:
    """Return the changes, oldest first."""
    ordered = sorted(units, key=lambda unit: unit.at)
    found: list[Change] = []
    for segment in _segments(ordered, None, WHOLE_DOUBT, found):
        changed = _strata_changes(segment, found)
        if not changed and len({unit.key for unit in segment}) > 1:
            _mix_change(segment, found)
    return sorted(found, key=lambda change: (change.at, change.key is not None))


def last_changes(changes: Sequence[Change], keys: Sequence[Key]) -> dict[Key, str]:
    """Return when the estimates of each stratum last changed, of those that ever did; `MIX` doesn't count."""
    since: dict[Key, str] = {}
    for change in changes:
        if change.of == ESTIMATES:
            since |= {key: max(change.at, since.get(key, "")) for key in keys if change.key in (None, key)}
    return since


def _segments(
    units: Sequence[Unit], key: Key | None, doubt: float, found: list[Change], looks: int = 1
) -> Iterator[Sequence[Unit]]:
    """Yield the segments between changes, in order; changes are appended to `found`.

    `key` is the stratum whose units these are, `None` for all; `looks` is the factor by which p-values are
    corrected.
    """
    place, p_value = largest_difference([(unit.key, unit.ratio) for unit in units], _starts(units))
    if place is None or p_value * looks > doubt or not _matters(units, place) or _is_of_one(units, place):
        yield units
        return
    found.append(_change(units, place, key, ESTIMATES, min(1.0, p_value * looks)))
    yield from _segments(units[:place], key, doubt, found, looks)
    yield from _segments(units[place:], key, doubt, found, looks)


def _strata_changes(units: Sequence[Unit], found: list[Change]) -> bool:
    """Search each stratum by itself, corrected for their number (Holm); return whether any changed."""
    by_key: defaultdict[Key, list[Unit]] = defaultdict(list)
    for unit in units:
        by_key[unit.key].append(unit)
    if len(by_key) == 1:
        return False
    tried = [
        (largest_difference([((), unit.ratio) for unit in own], _starts(own))[1], key)
        for key, own in by_key.items()
    ]
    known = len(found)
    looks = len(tried)
    for p_value, key in sorted(tried, key=lambda pair: pair[0]):
        if p_value * looks > STRATA_DOUBT:
            break
        list(_segments(by_key[key], key, STRATA_DOUBT, found, looks))
        looks -= 1
    return len(found) > known


def _mix_change(units: Sequence[Unit], found: list[Change]) -> None:
    """Append a change of the ratios over all strata, where none is found within them: another mix."""
    place, p_value = largest_difference([((), unit.ratio) for unit in units], _starts(units))
    if (
        place is not None
        and p_value <= MIX_DOUBT
        and _matters([unit._replace(key=()) for unit in units], place)
    ):
        found.append(_change(units, place, None, MIX, p_value))


def _matters(units: Sequence[Unit], place: int) -> bool:
    """Whether the median changed by `MIN_CHANGE`, each ratio taken as a multiple of its stratum's median."""
    relative = _relative([(unit.key, unit.ratio) for unit in units])
    before, after = statistics.median(relative[:place]), statistics.median(relative[place:])
    return max(before, after) >= MIN_CHANGE * min(before, after)


def _is_of_one(units: Sequence[Unit], place: int) -> bool:
    """Whether only one stratum changed: it differs from the others together by more than `UNLIKE`.

    Compared are the sums of scores before the place, each divided by its variance.
    """
    series = [(unit.key, unit.ratio) for unit in units]
    scores = _scores(series)
    parts = _differences(series, scores, place)
    if len(parts) < 2:
        return False
    largest = max(parts, key=lambda key: parts[key][0] ** 2 / parts[key][1])
    sum_of_one, variance_of_one = parts.pop(largest)
    sum_of_others, variance = (math.fsum(part[which] for part in parts.values()) for which in (0, 1))
    gap = sum_of_one / variance_of_one - sum_of_others / variance
    return abs(gap) / math.sqrt(1 / variance_of_one + 1 / variance) > UNLIKE


def _differences(
    series: Sequence[tuple[Key, float]], scores: Sequence[float], place: int
) -> dict[Key, tuple[float, float]]:
    """Return the sum of each stratum's scores before a place and its variance under no change, if not 0."""
    by_key: defaultdict[Key, list[tuple[bool, float]]] = defaultdict(list)
    for number, ((key, _), score) in enumerate(zip(series, scores, strict=True)):
        by_key[key].append((number < place, score))
    found = {}
    for key, own in by_key.items():
        before, n = [score for is_before, score in own if is_before], len(own)
        squares = math.fsum(score * score for _, score in own)
        variance = squares * len(before) * (n - len(before)) / n / (n - 1) if n > 1 else 0.0
        if variance > 1e-9:
            found[key] = math.fsum(before), variance
    return found


def _relative(series: Sequence[tuple[Key, float]]) -> list[float]:
    """Return each value as a multiple of its stratum's median."""
    by_key: defaultdict[Key, list[float]] = defaultdict(list)
    for key, value in series:
        by_key[key].append(value)
    usual = {key: statistics.median(values) for key, values in by_key.items()}
    return [value / usual[key] for key, value in series]


def _starts(units: Sequence[Unit]) -> list[bool]:
    """Return of each unit whether a segment may begin with it: not between units of the same moment."""
    return [False, *(before.at < after.at for before, after in pairwise(units))]


def _change(units: Sequence[Unit], place: int, key: Key | None, of: str, p_value: float) -> Change:
    before, after = (median([unit.ratio for unit in part]) for part in (units[:place], units[place:]))
    return Change(key, of, units[place].at, before or 0.0, after or 0.0, place, len(units) - place, p_value)


def largest_difference(
    series: Sequence[tuple[Key, float]], starts: Sequence[bool]
) -> tuple[int | None, float]:
    """Return the index from which on values differ most from those before, and the p-value of that.

    The index is `None` where no second part may begin. Values are compared within their stratum only;
    `starts` says of each whether the second part may begin with it.
    """
    scores = _scores(series)
    squares: defaultdict[Key, float] = defaultdict(float)
    sizes = Counter(key for key, _ in series)
    for (key, _), score in zip(series, scores, strict=True):
        squares[key] += score * score
    scan = _Scan(sizes, squares)
    best, largest, steps = None, 0.0, []
    for place, ((key, _), score) in enumerate(zip(series, scores, strict=True)):
        inside = MIN_SEGMENT <= place <= len(series) - MIN_SEGMENT and scan.pairs >= MIN_SEGMENT / 2
        if inside and starts[place] and scan.difference >= largest - 1e-9:
            best, largest = (
                place,
                scan.difference,
            )  # of equal ones the last: the newer part then holds nothing older
        unlike = scan.step(key, score)
        if inside:
            steps.append(unlike)
    return best, _chance_of(largest, steps)


class _Scan:
    """The sum of scores before a place that moves on, and its variance under no change.

    `pairs` is how many values can be compared there: the sum over strata of left * right / size.
    """

    def __init__(self, sizes: Mapping[Key, int], squares: Mapping[Key, float]) -> None:
        self.sizes, self.squares = sizes, squares
        self.left: Counter[Key] = Counter()
        self.sum = self.variance = self.pairs = 0.0

    @property
    def difference(self) -> float:
        """The absolute sum in standard deviations."""
        return abs(self.sum) / math.sqrt(self.variance) if self.variance > 1e-9 else 0.0

    def step(self, key: Key, score: float) -> float:
        """Take in one more value; return 1 - the correlation of the sums before and after it."""
        size, left = self.sizes[key], self.left[key]
        unit = self.squares[key] / (size - 1) / size if size > 1 else 0.0
        right, before = size - left, self.variance
        together = before - unit * left  # left * right becomes left * (right - 1)
        self.variance += unit * ((left + 1) * (right - 1) - left * right)
        self.pairs += ((left + 1) * (right - 1) - left * right) / size
        self.left[key] += 1
        self.sum += score
        product = before * self.variance
        return 1 - together / math.sqrt(product) if product > 1e-18 else 1.0


def _scores(series: Sequence[tuple[Key, float]]) -> list[float]:
    """Return the aligned rank of each value: its rank less the mean rank of its stratum.

    Ranked, as shares of 0..1, are multiples of the stratum's median.
    """
    ranks = _ranks(_relative(series))
    sums: defaultdict[Key, float] = defaultdict(float)
    for (key, _), rank in zip(series, ranks, strict=True):
        sums[key] += rank
    sizes = Counter(key for key, _ in series)
    return [rank - sums[key] / sizes[key] for (key, _), rank in zip(series, ranks, strict=True)]


def _ranks(values: Sequence[float]) -> list[float]:
    """Return the rank of each value as a share of their number; equal ones have the mean of their ranks."""
    ordered = sorted(values)
    return [
        (bisect_left(ordered, value) + bisect_right(ordered, value)) / 2 / len(values) for value in values
    ]


def _chance_of(largest: float, unlike: Sequence[float]) -> float:
    """Return the p-value of the largest difference over all places.

    `unlike` has 1 - correlation of the sums before and after each step, which is what the step adds; for one
    stratum, this is Miller and Siegmund's formula.
    """
    if largest <= 1:
        return 1.0
    density = math.exp(-largest * largest / 2) / math.sqrt(2 * math.pi)
    alone = math.erfc(largest / math.sqrt(2))
    added = sum(min(alone, density * (largest - 1 / largest) * 2 * difference) for difference in unlike)
    return min(1.0, 4 * density / largest + added)
