"""The median of actual / predicted where answers were cut (right-censored): Kaplan and Meier's, by phase.

A cut answer needed more than its bound, unknown how much more. Taking the bound for what it needed
would pull the median down; Kaplan and Meier share its weight out among those that needed more. Each
answer weighs 1 / (answers of its phase): the median is that of an answer of a phase yet to come.

Sources: Kaplan and Meier, Nonparametric estimation from incomplete observations, 1958; for its
variance, the influence of each phase on the estimate (Reid, Influence functions for censored data, 1981).
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import chain, compress

from reports.metrics import Interval
from reports.sureness import ENOUGH_PHASES, effective_number, median_shares

_ROUNDING = 1e-9
"""Sums of weights that differ by less are equal."""


@dataclass(frozen=True, slots=True)
class Median:
    """A median and its 95% interval; each `None` where cut answers leave it open, or of too few phases."""

    value: float | None
    interval: Interval | None


class Needs:
    """What answers needed, as multiples of their predictions, in order; of a cut one, at least that.

    The order is rising; of equal ones the cut come last, since they needed more. `ceilings` are multiples of
    the predictions too, infinite where they aren't known. `usable` marks answers that show what a good one
    needs: those that were parsed, or cut. `sizes` counts the answers of each phase, `weights` are 1 / that.
    Columns, since a million objects in that order would be all over memory.
    """

    def __init__(
        self,
        ratios: Iterable[float],
        cut: Iterable[int],
        phases: Iterable[int],
        ceilings: Iterable[float],
        usable: Iterable[int],
    ) -> None:
        self.ratios, self.ceilings = array("d", ratios), array("d", ceilings)
        self.cut, self.usable, self.phases = array("b", cut), array("b", usable), array("q", phases)
        self.sizes = Counter(self.phases)
        self.weights = array("d", [1.0]) * len(self)
        if len(self.sizes) < len(self):
            self.weights = array("d", [1 / self.sizes[phase] for phase in self.phases])

    def __len__(self) -> int:
        return len(self.ratios)

    @classmethod
    def ordered(
        cls,
        ratios: Sequence[float],
        cut: Sequence[int],
        phases: Sequence[int],
        ceilings: Sequence[float],
        usable: Sequence[int],
    ) -> Needs:
        """Make one of columns that are in any order."""
        order = sorted(range(len(ratios)), key=[*zip(ratios, cut, phases, strict=True)].__getitem__)
        return cls(
            map(ratios.__getitem__, order),
            map(cut.__getitem__, order),
            map(phases.__getitem__, order),
            map(ceilings.__getitem__, order),
            map(usable.__getitem__, order),
        )

    @classmethod
    def together(cls, parts: Sequence[Needs]) -> Needs:
        """Merge those of several strata into one."""
        return cls.ordered(
            [*chain.from_iterable(part.ratios for part in parts)],
            [*chain.from_iterable(part.cut for part in parts)],
            [*chain.from_iterable(part.phases for part in parts)],
            [*chain.from_iterable(part.ceilings for part in parts)],
            [*chain.from_iterable(part.usable for part in parts)],
        )

    def only(self, chosen: Sequence[int]) -> Needs:
        """Return the answers whose place in `chosen` is true, weighted anew."""
        return Needs(
            compress(self.ratios, chosen),
            compress(self.cut, chosen),
            compress(self.phases, chosen),
            compress(self.ceilings, chosen),
            compress(self.usable, chosen),
        )


class Curve:
    """The estimated distribution function: which share of answers needs at most a ratio."""

    def __init__(self, needs: Needs) -> None:
        self.needs = needs

    def steps(self, least: float = 0.0, without: Set[int] = frozenset()) -> Iterator[tuple[float, float]]:
        """Yield each whole answer's ratio with the share that needs at most that, from the share `least` on.

        `without`: phases that are left out.
        """
        needs = self.needs
        at_risk, beyond = float(len(needs.sizes) - len(needs.sizes.keys() & without)), 1.0
        for ratio, cut, phase, weight in zip(
            needs.ratios, needs.cut, needs.phases, needs.weights, strict=True
        ):
            if phase in without:
                continue
            if not cut:
                beyond *= 1 - weight / at_risk
                if 1 - beyond >= least:
                    yield ratio, 1 - beyond
            at_risk -= weight

    def median(self, without: Set[int] = frozenset()) -> float | None:
        """Return the median, or the middle between two ratios where exactly half lies on either side."""
        steps = self.steps(0.5 - _ROUNDING, without)
        low = next(steps, None)
        high = low if low and low[1] >= 0.5 + _ROUNDING else next(steps, None)
        return None if low is None or high is None else (low[0] + high[0]) / 2

    def median_interval(self) -> Interval | None:
        """Return the 95% interval of the median.

        Where phases are few and some answers cut, the low end is that if these needed just their bounds, and
        the high end that if they needed any amount.
        """
        middle = self._reached(0.5 - _ROUNDING)
        if middle is None:
            return None
        phases = len(self.needs.sizes)
        few = phases < ENOUGH_PHASES
        shares = median_shares(phases if few else self._effective_number(middle))
        if shares is None:
            return None
        lower, upper = _ends(self.needs) if few and any(self.needs.cut) else (self, self)
        low, high = lower._reached(shares.low + _ROUNDING), upper._reached(shares.high - _ROUNDING)
        return None if low is None or high is None else Interval(low, high)

    def _reached(self, share: float) -> float | None:
        """Return the first ratio that at least this share of answers doesn't exceed."""
        return next((ratio for ratio, _ in self.steps(share)), None)

    def _effective_number(self, ratio: float) -> float:
        """Return of how many independent answers the share up to a ratio would vary as much."""
        needs, phases = self.needs, len(self.needs.sizes)
        place = bisect_right(needs.ratios, ratio)
        at_risk, hazard, beyond = float(phases), 0.0, 1.0
        influences: list[float] = []
        for cut, weight in zip(needs.cut[:place], needs.weights[:place], strict=True):
            if not cut:
                hazard += weight / at_risk**2
                beyond *= 1 - weight / at_risk
            influences.append(weight * ((0 if cut else 1 / at_risk) - hazard))
            at_risk -= weight
        influences += [-weight * hazard for weight in needs.weights[place:]]
        variance = sum([influence * influence for influence in _by_phase(influences, needs)]) * beyond**2
        least = 1 if any(needs.cut) else phases
        return effective_number(1 - beyond, variance, phases, least, len(needs))


def _by_phase(influences: Sequence[float], needs: Needs) -> Collection[float]:
    """Add up the influences of each phase."""
    if len(needs.sizes) == len(needs):
        return influences
    sums: defaultdict[int, float] = defaultdict(float)
    for influence, phase in zip(influences, needs.phases, strict=True):
        sums[phase] += influence
    return sums.values()


def median_needed(curve: Curve) -> Median:
    """Return the median of what answers needed, with its interval."""
    value = curve.median()
    return Median(value, None if value is None else curve.median_interval())


def _ends(needs: Needs) -> tuple[Curve, Curve]:
    """Return the curves if cut answers needed just their bounds, and if they needed infinitely much."""
    endless = [math.inf if cut else ratio for ratio, cut in zip(needs.ratios, needs.cut, strict=True)]
    rest = needs.phases, needs.ceilings, needs.usable
    return Curve(Needs(needs.ratios, bytes(len(needs)), *rest)), Curve(
        Needs.ordered(endless, needs.cut, *rest)
    )
