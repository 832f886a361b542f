"""One world, sampled many times: how often what the reports claim of it is so."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from statistics import fmean

from claims.world import Rows, World
from reports.budgets import OWN
from reports.calibration import Calibrated, Wish, calibrate
from reports.changes import ESTIMATES
from reports.metrics import Interval
from reports.selection import Selection
from reports.strata import Strata
from reports.sureness import Share
from reports.validation import validate

NEW_ANSWERS = 1000
"""New answers of the same world, drawn for each sample: its budgets must hold for them."""


@dataclass(slots=True)
class Found:
    """What came of a world, by name: of each repeat a number, where there was one to be had."""

    world: World
    wish: Wish
    repeats: int = 0
    numbers: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def mean(self, name: str) -> float | None:
        """Return the mean of what was found under a name."""
        return fmean(self.numbers[name]) if self.numbers[name] else None

    def shown(self, name: str) -> float:
        """Return in which share of the repeats (and of their strata, for budgets) there was a number."""
        strata = self.world.strata if name in {"budget", "safe"} else 1
        return len(self.numbers[name]) / self.repeats / strata


def try_out(world: World, wish: Wish, repeats: int, seed: int) -> Found:
    """Calibrate and report so many samples of a world, and hold each against its truth."""
    found, chance = Found(world, wish), random.Random(f"{seed} {world} {wish}")
    with closing(Rows()) as rows:
        for _ in range(repeats):
            _once(found, rows, chance)
    return found


def _once(found: Found, rows: Rows, chance: random.Random) -> None:
    world, add = found.world, found.numbers
    levels = world.levels(chance)
    db = rows.hold(world.rows(levels, chance))
    calibration = calibrate(db, Selection(min_actual=0), Strata(("category",)), found.wish)
    found.repeats += 1
    new_answers = sorted(world.new_answers(chance, NEW_ANSWERS))
    add["change"].append(any(change.of == ESTIMATES for change in calibration.changes))
    for stratum in calibration.strata:
        level = math.exp(levels[int(str(stratum.key[0]).removeprefix("work-"))])
        _truncated(found, stratum, level, new_answers)
        if calibration.overall.budget.factor is not None:
            add["whole size"].append(math.log(calibration.overall.budget.factor / level))
    if world.strata == 1:
        _centered(found, calibration.overall)
        _risk(found, rows)


def _truncated(found: Found, stratum: Calibrated, level: float, new_answers: list[float]) -> None:
    """See how many new answers of a stratum go beyond its budgets."""
    budgets = {"budget": stratum.budget.factor, "safe": stratum.budget.safe_factor}
    for name, factor in budgets.items():
        if factor is not None:
            share = 1 - bisect_right(new_answers, factor / level) / len(new_answers)
            found.numbers[name].append(share)
            found.numbers[f"{name} size"].append(math.log(factor / level))
            found.numbers[f"{name} held"].append(share <= stratum.budget.max_truncation)
            own = stratum.budget.phases if stratum.budget.advised == OWN else found.world.phases
            found.numbers[f"{name} least"].append(stratum.budget.max_truncation - 1 / (own + 1))


def _centered(found: Found, stratum: Calibrated) -> None:
    if stratum.factor is not None:
        found.numbers["factor"].append(stratum.factor)
    if stratum.factor_interval is not None:
        found.numbers["factor covered"].append(
            stratum.factor_interval.low <= 1 <= stratum.factor_interval.high
        )
    found.numbers["proposed"].append(stratum.proposed_factor is not None)


def _risk(found: Found, rows: Rows) -> None:
    """See whether the intervals of the report hold the shares that are true."""
    overall = validate(rows.db, Selection(min_actual=0), Strata(("category",))).overall
    found.numbers["truncated covered"].append(_holds(overall.truncated, found.world.cut))
    if not found.world.cut:  # else cut answers look like less than they needed
        found.numbers["underestimated covered"].append(_holds(overall.underestimated, 0.5))


def _holds(share: Share, truth: float) -> bool:
    interval: Interval | None = share.interval
    return interval is not None and interval.low <= truth <= interval.high
