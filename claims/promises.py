"""What is promised of the reports' numbers, and whether worlds with a known truth bear it out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from claims.trials import Found
from claims.world import World
from reports.calibration import MAX_TRUNCATION, Wish

RARELY, USUALLY = 0.1, 0.9
"""In fewer samples than the first a number is shown by luck, in more than the second as a rule."""

WORLDS: tuple[tuple[World, Wish], ...] = tuple(
    (World(phases, tries, cut, skewed, strata, mixed), Wish(max_truncation=limit))
    for phases in (10, 30, 100, 300)
    for cut, limits in ((0.0, (MAX_TRUNCATION,)), (0.05, (MAX_TRUNCATION, 0.1)), (0.3, (MAX_TRUNCATION,)))
    for limit in limits
    for tries in (1, 3)
    for skewed in (False, True)
    for strata, mixed in ((1, True), (4, True), (4, False))
    if mixed or (not cut and tries == 1)
)
"""Worlds in which nothing changes: whatever is claimed must hold in each."""

USEFUL: tuple[tuple[World, Wish], ...] = (
    (World(30), Wish()),
    (World(60), Wish()),
    (World(90, spread=0.4, changes_at=60, changes_by=1.5), Wish()),
    (World(130, strata=13), Wish()),
)
"""Worlds in which the numbers must be of use: enough phases, or a change that is to be seen."""


@dataclass(frozen=True, slots=True)
class Promise:
    """One claim: to which findings it applies, the number that is held against `wanted`, and its format.

    `wanted` is a least value where `least`, else a largest one.
    """

    name: str
    applies: Callable[[Found], bool]
    measured: Callable[[Found], float | None]
    wanted: float
    least: bool = False
    shown: str = "{:.1%}"

    def is_kept(self, value: float) -> bool:
        """Whether a number is what was promised."""
        return value >= self.wanted if self.least else value <= self.wanted

    def worst(self, found: Sequence[Found]) -> tuple[float, Found] | None:
        """Return the worst number and where it was found; `None` if there is none at all."""
        values = [
            (value, case)
            for case in found
            if self.applies(case) and (value := self.measured(case)) is not None
        ]
        return (min if self.least else max)(values, key=lambda pair: pair[0], default=None)


def _nothing_changes(found: Found) -> bool:
    return found.world.changes_at is None


def _one_stratum(found: Found) -> bool:
    return _nothing_changes(found) and found.world.strata == 1


def _enough(found: Found) -> bool:
    return _one_stratum(found) and found.world.phases >= 30


def _few(found: Found) -> bool:
    return _one_stratum(found) and found.world.phases < 30


def _usually(found: Found) -> bool:
    return _nothing_changes(found) and not found.world.cut and found.shown("budget") >= USUALLY


def _above(found: Found) -> float | None:
    """Return how many points more than the target are truncated, over all samples, with a budget or not."""
    truncated = found.mean("budget")
    return None if truncated is None else 100 * (truncated * found.shown("budget") - found.wish.limit)


def _unsafe(found: Found) -> float | None:
    """Return in which share of all samples there is a safe budget that isn't."""
    held = found.mean("safe held")
    return None if held is None else (1 - held) * found.shown("safe")


def _below(found: Found) -> float | None:
    """Return how many points less than is promised at least is truncated."""
    truncated, least = found.mean("budget"), found.mean("budget least")
    return None if truncated is None or least is None else 100 * (least - truncated)


def _is(world: World) -> Callable[[Found], bool]:
    return lambda found: found.world == world


def _smaller(found: Found) -> float | None:
    """Return by how much budgets by stratum are smaller than one for all, on average."""
    own, whole = found.mean("budget size"), found.mean("whole size")
    return None if own is None or whole is None else 1 - math.exp(own - whole)


PROMISES = (
    Promise(
        "points that budgets truncate above their target, on average",
        _nothing_changes,
        _above,
        0.3,
        shown="{:+.2f}",
    ),
    Promise(
        "points below target - 100 / (phases + 1), on average, none cut",
        _usually,
        _below,
        0.3,
        shown="{:+.2f}",
    ),
    Promise("samples with a safe budget that isn't", _nothing_changes, _unsafe, 0.06),
    Promise(
        "95% intervals of the factor that hold the truth, from 30 phases on",
        _enough,
        lambda found: found.mean("factor covered"),
        0.93,
        least=True,
    ),
    Promise(
        "the same, of fewer phases (exact, or none is shown)",
        lambda found: _few(found) and found.shown("factor covered") >= RARELY,
        lambda found: found.mean("factor covered"),
        0.93,
        least=True,
    ),
    Promise(
        "95% intervals of the share truncated that hold the truth",
        _one_stratum,
        lambda found: found.mean("truncated covered"),
        0.93,
        least=True,
    ),
    Promise(
        "95% intervals of the share underestimated that hold the truth",
        _one_stratum,
        lambda found: found.mean("underestimated covered"),
        0.93,
        least=True,
    ),
    Promise(
        "factors proposed though predictions are right",
        _one_stratum,
        lambda found: found.mean("proposed"),
        0.06,
    ),
    Promise("changes seen where there are none", _nothing_changes, lambda found: found.mean("change"), 0.05),
    Promise(
        "factors shown at 30 phases, none cut",
        _is(USEFUL[0][0]),
        lambda found: found.shown("factor"),
        0.9,
        least=True,
    ),
    Promise(
        "2% budgets shown at 60 phases, none cut",
        _is(USEFUL[1][0]),
        lambda found: found.shown("budget"),
        0.95,
        least=True,
    ),
    Promise(
        "changes by 1.5 x seen, 60 phases before and 30 after, spread 0.4",
        _is(USEFUL[2][0]),
        lambda found: found.mean("change"),
        0.8,
        least=True,
    ),
    Promise(
        "by how much budgets pooled over 13 strata of 10 phases are smaller than one for all",
        _is(USEFUL[3][0]),
        _smaller,
        0.25,
        least=True,
    ),
)
