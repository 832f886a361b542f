"""Budgets: the multiple of a prediction that at most a given share of new answers exceeds.

Split-conformal prediction by phase. Each answer weighs 1 / (answers of its phase), a phase yet to come
weighs as one more at infinity, and a cut answer counts as infinite: nobody knows how much it needed.
The budget is the smallest multiple up to which the weights reach 1 - the limit of their total. On average
over samples like this one, whatever the distribution, at most the limit's share of new answers exceeds it.

That average includes samples in which so many answers are cut that there is no budget. Where there is one
only by luck, since the ceilings are expected to cut more of such answers than the limit, it is not shown.

The safe budget holds the limit in 95 of 100 samples: so few phases have an answer beyond it that, were
their share as large as the limit, it would happen in less than 5% of all samples (Clopper and Pearson).

Sources: Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005; Dunn, Wasserman and
Ramdas, Distribution-free prediction sets for two-layer hierarchical models, 2022.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, compress
from statistics import fmean

from reports.metrics import moments
from reports.sureness import binomial_below
from reports.survival import Needs

SURENESS = 0.95
"""The one-sided confidence of the safe budget."""

OWN, POOLED = "own", "pooled"
"""Which of the two budgets is advised: of the stratum's own answers, or of all strata's together."""

_ROUNDING = 1e-9
"""Sums of weights that differ by less are equal."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The budget that truncates at most `max_truncation` (0..1), from `n` answers, `censored` of them cut.

    Factors are multiples of the prediction: `factor` is the one that is advised, `own_factor` or
    `pooled_factor`, as `advised` says and for the reason in `why`. `safe_factor` holds in 95 of 100 samples.
    Each is `None` where the data isn't enough. `phases_needed` is how many more phases it takes for an
    `own_factor`, at the share of cuts seen: 0 where there is one, `None` where no number of them would do.
    `largest` is what a whole answer needed at most, as such a multiple.
    """

    max_truncation: float
    n: int
    phases: int
    censored: int
    factor: float | None
    advised: str | None
    own_factor: float | None
    pooled_factor: float | None
    safe_factor: float | None
    largest: float | None
    phases_needed: int | None
    why: str


class Sample:
    """Values in rising order, the cumulative weights at each, and the number of phases that these are of."""

    def __init__(self, values: Sequence[float], weights: Iterable[float], phases: int) -> None:
        self.values, self.reached, self.phases = values, array("d", accumulate(weights)), phases

    def conformal(self, limit: float) -> float | None:
        """Return the smallest value up to which the weight is 1 - `limit`, one more phase being at infinity.

        `None`: it is reached at infinity only.
        """
        place = bisect_left(self.reached, (1 - limit) * (self.phases + 1) - _ROUNDING)
        return self.values[place] if place < len(self.values) else None


class Budgets:
    """Computes budgets of any limit from what answers needed; cut answers are at infinity.

    `phases_of_whole` and `phases_of_cut` are the phases of the answers, one by one; `share_cut` is the weight
    of the cut ones, 0..1, and `expected_cut` what their ceilings are expected to cut.
    """

    def __init__(self, needs: Needs) -> None:
        whole = [not cut for cut in needs.cut]
        self.n, self.phases = len(needs), len(needs.sizes)
        self.phases_of_whole = array("q", compress(needs.phases, whole))
        self.phases_of_cut = array("q", compress(needs.phases, needs.cut))
        ratios = array("d", compress(needs.ratios, whole))
        self.sample = Sample(ratios, compress(needs.weights, whole), self.phases)
        cut = math.fsum(compress(needs.weights, needs.cut))
        self.share_cut = cut / self.phases if self.phases else 0.0
        self.expected_cut = expected_cut(needs)

    def at(self, limit: float, pooled: float | None = None) -> Budget:
        """Return the budget for a limit, 0..1; `pooled` is the stratum's factor by `reports.shrinkage`."""
        enough = (1 - limit) * (self.phases + 1) <= self.phases + _ROUNDING
        lucky = enough and self.expected_cut > limit  # of fewer phases there is no budget at all
        own = None if lucky else self.sample.conformal(limit)
        needed = self._phases_needed(limit, self.expected_cut if lucky else 0.0) if own is None else 0
        advised = POOLED if own is None and pooled is not None else OWN if own is not None else None
        return Budget(
            max_truncation=limit,
            n=self.n,
            phases=self.phases,
            censored=len(self.phases_of_cut),
            factor=pooled if own is None else own,
            advised=advised,
            own_factor=own,
            pooled_factor=pooled,
            safe_factor=None if lucky else self._surely_enough(limit),
            largest=self.sample.values[-1] if self.sample.values else None,
            phases_needed=needed,
            why=_explained(advised, needed, self.phases, limit),
        )

    def _phases_needed(self, limit: float, expected: float) -> int | None:
        """Return how many more phases it takes at the share of cuts seen or expected; `None`: none do."""
        spare = limit - max(expected, self.share_cut)
        if spare <= _ROUNDING:
            return None
        return max(1, math.ceil((1 - limit) / spare - _ROUNDING) - self.phases)

    def _surely_enough(self, limit: float) -> float | None:
        """Return the safe budget: the smallest ratio that answers of only `_allowed` phases exceed."""
        allowed, beyond = _allowed(self.phases, limit), set(self.phases_of_cut)
        if len(beyond) > allowed:
            return None
        for ratio, phase in zip(reversed(self.sample.values), reversed(self.phases_of_whole), strict=True):
            beyond.add(phase)
            if len(beyond) > allowed:
                return ratio
        return None


def cutting_ceilings(needs: Needs) -> list[tuple[float, int]]:
    """Return the known ceilings, as multiples of the predictions, each with the number of its phase.

    None are returned if a whole answer exceeds its own: then ceilings don't cut.
    """
    known = [math.isfinite(ceiling) for ceiling in needs.ceilings]
    cases = zip(needs.ratios, needs.ceilings, needs.cut, strict=True)
    if any(ratio > ceiling and not cut for ratio, ceiling, cut in compress(cases, known)):
        return []
    return [*compress(zip(needs.ceilings, needs.phases, strict=True), known)]


def expected_cut(needs: Needs) -> float:
    """Return which share of answers, 0..1, their ceilings are expected to cut, if ratios are log-normal.

    0 of fewer than two known ceilings.
    """
    ceilings = cutting_ceilings(needs)
    if len(ceilings) < 2:
        return 0.0
    spread = moments([*map(math.log, needs.ratios)])
    scale = (spread.sd or _ROUNDING) * math.sqrt(2)
    return fmean([math.erfc((math.log(ceiling) - spread.mean) / scale) / 2 for ceiling, _ in ceilings])


def _explained(advised: str | None, needed: int | None, phases: int, limit: float) -> str:
    if advised == OWN:
        return f"its own {phases:,} phases are enough for {limit * 100:.3g}%"
    lacking = (
        f"its ceilings cut more than {limit * 100:.3g}% of such answers: it takes higher ones"
        if needed is None
        else f"it takes {needed:,} more phases"
    )
    if advised == POOLED:
        return f"pooled with the other strata; for one of its own {lacking}"
    return lacking


def _allowed(phases: int, limit: float) -> int:
    """Return how many phases may have an answer beyond a safe budget; -1: even none leaves too much doubt."""
    low, high = -1, phases
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if binomial_below(middle, phases, limit) <= 1 - SURENESS else (low, middle)
    return low
