"""Budgets of small strata: their locations shrunk towards the whole, their residuals pooled.

From nine phases of a stratum its 98th percentile can't be computed. But strata differ in the location of
their answers more than in their spread. So each stratum's location is estimated on the logarithm of actual /
predicted, shrunk towards the mean of all the more, the fewer phases it has (empirical Bayes), and the
residuals, each divided by its expected deviation, are pooled over all strata. A phase's own answers are left
out of the location that they are compared with, so that their residuals are what those of a new phase would
be. Their quantile is split-conformal (`reports.budgets`), over all phases.

Sources: Efron and Morris, Data analysis using Stein's estimator, 1975; DerSimonian and Laird,
Meta-analysis in clinical trials, 1986; Barber and others, Predictive inference with the jackknife+, 2021.
"""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from statistics import fmean

from reports.budgets import Sample, cutting_ceilings
from reports.strata import Key
from reports.survival import Needs

MIN_STRATA = 2
"""With one stratum there is nothing to shrink towards."""


@dataclass(frozen=True, slots=True)
class Locations:
    """The mean logarithm of actual / predicted of each phase by stratum, `sums` of these, and how they vary.

    `center` is the mean of the strata's means; `within` and `between` are variances within and between
    strata.
    """

    phases: dict[Key, dict[int, float]]
    sums: dict[Key, float]
    center: float
    within: float
    between: float

    def shrunk(self, n: int) -> tuple[float, float]:
        """Return the weight, 0..1, of the mean of a stratum's n phases, and the next one's deviation."""
        if not n or not self.between:
            return 0.0, math.sqrt(self.within + self.between / (n + 1))
        kept = self.between / (self.between + self.within / n)
        return kept, math.sqrt(self.within + kept * self.within / n)

    def expected(self, key: Key) -> tuple[float, float]:
        """Return the expected mean logarithm of a stratum's next phase, and its standard deviation."""
        n = len(self.phases[key])
        kept, deviation = self.shrunk(n)
        return self.center + kept * (self.sums[key] / n - self.center), deviation

    def without_each(self, key: Key) -> tuple[dict[int, float], float]:
        """Return what the other phases of a stratum let expect of each one, and the standard deviation."""
        means, total = self.phases[key], self.sums[key]
        others = len(means) - 1
        kept, deviation = self.shrunk(others)
        of_center, of_others = (1 - kept) * self.center, kept / (others or 1)
        return {phase: of_center + of_others * (total - mean) for phase, mean in means.items()}, deviation


def pooled_factors(strata: Mapping[Key, Needs], limits: Sequence[float]) -> list[dict[Key, float]]:
    """Return for each limit (0..1) a factor for each stratum, from the answers of all of them.

    There are none for a limit that too few phases are known for, or that ceilings are expected to exceed.
    """
    known = {key: needs for key, needs in strata.items() if len(needs)}
    locations = _locations(known) if len(known) >= MIN_STRATA else None
    if locations is None or not locations.within:
        return [{} for _ in limits]
    cut = _expected_cut(known, locations)
    if cut > max(limits):
        return [{} for _ in limits]
    residuals = _residuals(known, locations)
    quantiles = [None if cut > limit else residuals.conformal(limit) for limit in limits]
    return [
        {} if quantile is None else {key: _at(locations, key, quantile) for key in known}
        for quantile in quantiles
    ]


def _expected_cut(strata: Mapping[Key, Needs], locations: Locations) -> float:
    """Return which share of answers, 0..1, ceilings are expected to cut, by `Locations.without_each`."""
    cut: list[float] = []
    for key, needs in strata.items():
        ceilings = cutting_ceilings(needs)
        middles, deviation = locations.without_each(key) if ceilings else ({}, 1.0)
        scale = deviation * math.sqrt(2)
        cut += [math.erfc((math.log(ceiling) - middles[phase]) / scale) / 2 for ceiling, phase in ceilings]
    return fmean(cut) if cut else 0.0


def _residuals(strata: Mapping[Key, Needs], locations: Locations) -> Sample:
    """Return the residuals of the whole answers, in units of the standard deviations of their phases."""
    values, weights = array("d"), array("d")
    for key, needs in strata.items():
        middles, deviation = locations.without_each(key)
        columns = zip(map(math.log, needs.ratios), needs.phases, needs.cut, strict=True)
        values.extend((log - middles[phase]) / deviation for log, phase, cut in columns if not cut)
        weights.extend(compress(needs.weights, [not cut for cut in needs.cut]))
    order = sorted(range(len(values)), key=values.__getitem__)
    phases = sum(map(len, locations.phases.values()))
    return Sample([values[place] for place in order], [weights[place] for place in order], phases)


def _at(locations: Locations, key: Key, residual: float) -> float:
    """Return the ratio whose residual in a stratum's next phase is so many standard deviations."""
    middle, deviation = locations.expected(key)
    return math.exp(middle + residual * deviation)


def _locations(strata: Mapping[Key, Needs]) -> Locations:
    """Estimate means and variances by the method of moments; cut answers count with their bounds."""
    phases = {key: _means(needs) for key, needs in strata.items()}
    sums = {key: math.fsum(means.values()) for key, means in phases.items()}
    sizes = {key: len(means) for key, means in phases.items()}
    total = sum(sizes.values())
    squares = math.fsum(
        (mean - sums[key] / sizes[key]) ** 2 for key, means in phases.items() for mean in means.values()
    )
    within = squares / (total - len(phases)) if total > len(phases) else 0.0
    center, between = _between(sums, sizes, within)
    return Locations(phases, sums, center, within, between)


def _means(needs: Needs) -> dict[int, float]:
    """Return the mean logarithm of actual / predicted of each phase."""
    sums: defaultdict[int, float] = defaultdict(float)
    for phase, ratio, weight in zip(needs.phases, needs.ratios, needs.weights, strict=True):
        sums[phase] += weight * math.log(ratio)
    return sums


def _between(sums: Mapping[Key, float], sizes: Mapping[Key, int], within: float) -> tuple[float, float]:
    """Return the mean of strata's means, and their variance beyond sampling error (DerSimonian, Laird)."""
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
