"""Budgets of small strata: their locations shrunk towards the whole, their residuals pooled.

A stratum of nine phases can't tell where one in fifty lies. But strata differ in where their answers
lie more than in how far these spread: so each stratum's location is estimated (on the logarithm of
actual / predicted), the less its own phases tell the nearer to the mean of all (empirical Bayes), and
what is left over, in units of how far off it may be, is pooled over all strata. A phase's own answers
take no part in the location that they are held against, so that what is left over is what it would be
for a phase yet to come. The multiple is then split-conformal (`reports.budgets`), over all phases.

Sources: Efron and Morris, Data analysis using Stein's estimator, 1975; DerSimonian and Laird,
Meta-analysis in clinical trials, 1986; Barber and others, Predictive inference with the jackknife+, 2021.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

from reports.budgets import conformal, under_ceilings
from reports.strata import Key
from reports.survival import Needed

_NORMAL = NormalDist()

MIN_STRATA = 2
"""With one stratum there is nothing to shrink towards."""


@dataclass(frozen=True, slots=True)
class Locations:
    """The strata's mean logarithms by phase, and how these vary: within strata, and between them."""

    phases: dict[Key, dict[int, float]]
    sums: dict[Key, float]
    center: float
    within: float
    between: float

    def expected(self, key: Key, without: float | None = None) -> tuple[float, float]:
        """Return where the next phase of a stratum lies, and how far off it may be (a deviation).

        `without` leaves out a phase with this mean.
        """
        n, total = len(self.phases[key]), self.sums[key]
        if without is not None:
            n, total = n - 1, total - without
        if not n or not self.between:
            return self.center, math.sqrt(self.within + self.between / (n + 1))
        kept = self.between / (self.between + self.within / n)
        unsure = kept * self.within / n
        return self.center + kept * (total / n - self.center), math.sqrt(self.within + unsure)


def pooled_factors(strata: Mapping[Key, Sequence[Needed]], limits: Sequence[float]) -> list[dict[Key, float]]:
    """Return the budget of each stratum from all of them, for each limit; none where even all can't tell."""
    told = {key: answers for key, answers in strata.items() if answers}
    locations = _locations(told) if len(told) >= MIN_STRATA else None
    if locations is None or not locations.within:
        return [{} for _ in limits]
    left_over: list[tuple[float, float]] = []
    cut: list[float] = []
    for key, answers in told.items():
        means = locations.phases[key]
        sizes = _sizes(answers)
        expected = {phase: locations.expected(key, mean) for phase, mean in means.items()}
        for answer in answers:
            middle, deviation = expected[answer.phase]
            value = math.inf if answer.cut else (math.log(answer.ratio) - middle) / deviation
            left_over.append((value, 1 / sizes[answer.phase]))
        for answer in under_ceilings(answers):
            middle, deviation = expected[answer.phase]
            cut.append(1 - _NORMAL.cdf((math.log(answer.ceiling) - middle) / deviation))
    phases = sum(len(means) for means in locations.phases.values())
    left_over.sort()
    found: list[dict[Key, float]] = []
    for limit in limits:
        reach = conformal(left_over, phases, limit)
        if reach is None or (cut and fmean(cut) > limit):
            found.append({})
        else:
            found.append({key: _at(locations, key, reach) for key in told})
    return found


def _at(locations: Locations, key: Key, reach: float) -> float:
    """Return the ratio that lies so many deviations beyond where a stratum's next phase does."""
    middle, deviation = locations.expected(key)
    return math.exp(middle + reach * deviation)


def _sizes(answers: Sequence[Needed]) -> defaultdict[int, int]:
    sizes: defaultdict[int, int] = defaultdict(int)
    for answer in answers:
        sizes[answer.phase] += 1
    return sizes


def _locations(strata: Mapping[Key, Sequence[Needed]]) -> Locations:
    """Estimate the strata's means and variances by moments; cut answers count with their bounds."""
    phases: dict[Key, dict[int, float]] = {}
    for key, answers in strata.items():
        logarithms: defaultdict[int, list[float]] = defaultdict(list)
        for answer in answers:
            logarithms[answer.phase].append(math.log(answer.ratio))
        phases[key] = {phase: fmean(values) for phase, values in logarithms.items()}
    sums = {key: math.fsum(means.values()) for key, means in phases.items()}
    sizes = {key: len(means) for key, means in phases.items()}
    total = sum(sizes.values())
    squares = math.fsum(
        (mean - sums[key] / sizes[key]) ** 2 for key, means in phases.items() for mean in means.values()
    )
    within = squares / (total - len(phases)) if total > len(phases) else 0.0
    center, between = _between(sums, sizes, within)
    return Locations(phases, sums, center, within, between)


def _between(sums: Mapping[Key, float], sizes: Mapping[Key, int], within: float) -> tuple[float, float]:
    """Return the mean of the strata and their variance beyond chance (DerSimonian and Laird)."""
    total = sum(sizes.values())
    center = math.fsum(sums.values()) / total
    spread = math.fsum(n * (sums[key] / n - center) ** 2 for key, n in sizes.items())
    scale = total - sum(n * n for n in sizes.values()) / total
    between = max(0.0, (spread - (len(sizes) - 1) * within) / scale) if scale > 0 else 0.0
    if between:
        weights = {key: 1 / (between + within / n) for key, n in sizes.items()}
        center = math.fsum(weights[key] * sums[key] / sizes[key] for key in sums) / math.fsum(
            weights.values()
        )
    return center, between
