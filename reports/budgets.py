"""Budgets: the multiple of a prediction beyond which at most a given share of new answers goes.

Split-conformal prediction by phase. Each answer weighs 1 / (answers of its phase), a phase yet to come
weighs as one more at infinity, and a cut answer counts as infinite: nobody knows how much it needed.
The budget is the smallest multiple whose weight reaches 1 - the limit. On average over samples like
this one, whatever the distribution, at most so many new answers go beyond it.

That is so over all samples, those too in which so many answers are cut that there is no number. Where
one is had only by luck, since the ceilings would cut more of such answers than happened to be cut, it
is not shown.

The safe budget holds the limit in 95 of 100 samples: so few phases have an answer beyond it that, were
their share as large as the limit, it would happen in less than 5% of all samples (Clopper and Pearson).

Sources: Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005; Dunn, Wasserman and
Ramdas, Distribution-free prediction sets for two-layer hierarchical models, 2022.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

from reports.sureness import binomial_below
from reports.survival import Needed

SURENESS = 0.95
"""How sure the safe budget is, one-sided."""

OWN, POOLED = "own", "pooled"
"""Which of the two budgets is advised: of the stratum's own answers, or of all strata's together."""

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Budget:
    """The budget that truncates at most `max_truncation` (0..1), over `n` answers, `censored` of them cut.

    `factor` is the one that is advised, `own_factor` or `pooled_factor`, as `advised` says and for the
    reason in `why`. `safe_factor` holds in 95 of 100 samples. Each is `None` where the data can't tell;
    `phases_needed` is how many more phases it takes for a number of the stratum's own, at the share of
    cuts seen, 0 where it has one, and `None` where no number of them would do. `largest` is what a
    whole answer needed at most.
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


def weighted(answers: Sequence[Needed]) -> list[tuple[float, float]]:
    """Return what each answer needed, infinite where it was cut, and its weight within its phase."""
    sizes = Counter(answer.phase for answer in answers)
    return [(math.inf if answer.cut else answer.ratio, 1 / sizes[answer.phase]) for answer in answers]


def conformal(answers: Iterable[tuple[float, float]], phases: int, limit: float) -> float | None:
    """Return the smallest value whose weight reaches 1 - `limit`, one more phase at infinity among them."""
    wanted, reached = (1 - limit) * (phases + 1) - _ROUNDING, 0.0
    for value, weight in sorted(answers):
        reached += weight
        if reached >= wanted:
            return value if math.isfinite(value) else None
    return None


def under_ceilings(answers: Sequence[Needed]) -> list[Needed]:
    """Return the answers whose ceiling is known; none if a whole one went beyond: then they cut nothing."""
    told = [answer for answer in answers if math.isfinite(answer.ceiling)]
    return [] if any(answer.ratio > answer.ceiling and not answer.cut for answer in told) else told


def expected_cut(answers: Sequence[Needed]) -> float:
    """Return which share of such answers their ceilings cut, if logarithms are spread normally."""
    ceilings = [math.log(answer.ceiling) for answer in under_ceilings(answers)]
    if len(ceilings) < 2:
        return 0.0
    logarithms = [math.log(answer.ratio) for answer in answers]
    fitted = NormalDist(fmean(logarithms), stdev(logarithms) or _ROUNDING)
    return fmean(1 - fitted.cdf(ceiling) for ceiling in ceilings)


def budget(answers: Sequence[Needed], limit: float, pooled: float | None = None) -> Budget:
    """Return the budget of a stratum whose answers are at hand; `pooled` is the one of all strata."""
    phases = len({answer.phase for answer in answers})
    cut = expected_cut(answers)
    lucky = cut > limit
    own = None if lucky else conformal(weighted(answers), phases, limit)
    needed = _phases_needed(answers, phases, limit, cut if lucky else 0.0) if own is None else 0
    advised = POOLED if own is None and pooled is not None else OWN if own is not None else None
    return Budget(
        max_truncation=limit,
        n=len(answers),
        phases=phases,
        censored=sum(answer.cut for answer in answers),
        factor=pooled if own is None else own,
        advised=advised,
        own_factor=own,
        pooled_factor=pooled,
        safe_factor=None if lucky else _surely_enough(answers, limit),
        largest=max((answer.ratio for answer in answers if not answer.cut), default=None),
        phases_needed=needed,
        why=_explained(advised, needed, phases, limit),
    )


def _explained(advised: str | None, needed: int | None, phases: int, limit: float) -> str:
    if advised == OWN:
        return f"its own {phases:,} phases are enough for {limit * 100:g}%"
    lacking = (
        f"its ceilings cut more than {limit * 100:g}% of such answers: it takes higher ones"
        if needed is None
        else f"it takes {needed:,} more phases"
    )
    if advised == POOLED:
        return f"pooled with the other strata; for one of its own {lacking}"
    return lacking


def _phases_needed(answers: Sequence[Needed], phases: int, limit: float, expected: float) -> int | None:
    """Return how many more phases it takes at the share of cuts seen or expected; `None` if none would do."""
    seen = sum(weight for value, weight in weighted(answers) if math.isinf(value))
    spare = limit - max(expected, seen / phases if phases else 0)
    return max(1, math.ceil((1 - limit) / spare - _ROUNDING) - phases) if spare > _ROUNDING else None


def _surely_enough(answers: Sequence[Needed], limit: float) -> float | None:
    """Return the ratio beyond which so few phases have an answer, cut ones among them, that it is sure."""
    most: dict[int, float] = {}
    for answer in answers:
        needed = math.inf if answer.cut else answer.ratio
        most[answer.phase] = max(needed, most.get(answer.phase, 0.0))
    allowed = _allowed(len(most), limit)
    if allowed < 0:
        return None
    found = sorted(most.values())[len(most) - 1 - allowed]
    return found if math.isfinite(found) else None


def _allowed(phases: int, limit: float) -> int:
    """Return how many phases may lie beyond and still leave less than 5% of doubt; -1 if none may."""
    low, high = -1, phases
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if binomial_below(middle, phases, limit) <= 1 - SURENESS else (low, middle)
    return low
