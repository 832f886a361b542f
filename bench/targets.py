"""What is wanted, and whether a run met it: a target compares two competitors of a case, or bounds one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import median

from bench.program import LAST_VERSION
from bench.results import Result, named


class Kind(StrEnum):
    """How a target's value is computed."""

    AT_MOST_TIMES = "time of ours / time of the other, at most"
    TIMES_FASTER = "time of the other / time of ours, at least"
    ABOVE = "seconds of ours above those of the other, at most"
    CPU_ABOVE = "processor seconds of ours above those of the other, at most"
    PEAK = "peak of ours in MB, below"
    SECONDS = "time of ours in seconds, below"


@dataclass(frozen=True, slots=True)
class Target:
    """One target; `other` is empty for a bound on ours alone. Those that say most lead."""

    ours: str
    kind: Kind
    limit: float
    other: str = ""
    leads: bool = False

    @property
    def text(self) -> str:
        """Say it in words."""
        match self.kind:
            case Kind.AT_MOST_TIMES:
                return f"{self.ours}: at most {self.limit:g} x {self.other}"
            case Kind.TIMES_FASTER if self.limit < 1:
                return f"{self.ours}: at least {self.limit:g} of the rate of {self.other}"
            case Kind.TIMES_FASTER:
                return f"{self.ours}: at least {self.limit:g} x as fast as {self.other}"
            case Kind.ABOVE:
                return f"{self.ours}: at most {self.limit:g} s above {self.other}"
            case Kind.CPU_ABOVE:
                return f"{self.ours}: below {self.limit:g} s CPU above {self.other}"
            case Kind.PEAK:
                return f"{self.ours}: peak below {self.limit:g} MB"
            case Kind.SECONDS:
                return f"{self.ours}: below {self.limit:g} s"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target and its value in a run; `None` where a competitor was not there.

    `by_cpu` is the same ratio in processor time, which a busy machine or a slow disk changes less. It
    never decides. `None` where there is none.
    """

    case: str
    target: Target
    value: float | None
    by_cpu: float | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether it was met; `None` where it was not measured."""
        if self.value is None:
            return None
        if self.target.kind is Kind.TIMES_FASTER:
            return self.value >= self.target.limit
        if self.target.kind in (Kind.AT_MOST_TIMES, Kind.ABOVE):
            return self.value <= self.target.limit
        return self.value < self.target.limit

    @property
    def shown(self) -> str:
        """Say the value with its unit."""
        if self.value is None:
            return "not measured"
        if self.target.kind is Kind.SECONDS:
            return f"{self.value:.4f} s"
        unit = {Kind.ABOVE: " s", Kind.CPU_ABOVE: " s", Kind.PEAK: " MB"}.get(self.target.kind, " x")
        return f"{self.value:.0f}{unit}" if self.target.kind is Kind.PEAK else f"{self.value:.2f}{unit}"

    @property
    def cpu_shown(self) -> str:
        """Say the ratio in processor time."""
        return "" if self.by_cpu is None else f"{self.by_cpu:.2f} x"

    @property
    def word(self) -> str:
        """Say what came of it."""
        return {True: "met", False: "NOT MET", None: "-"}[self.is_met]


def _value(target: Target, results: Sequence[Result]) -> float | None:
    ours, other = named(results, target.ours), named(results, target.other)
    if ours is None:
        return None
    if target.kind is Kind.PEAK:
        return ours.peak_bytes / 1e6
    if target.kind is Kind.SECONDS:
        return ours.wall_s
    if other is None:
        return None
    if target.kind is Kind.CPU_ABOVE:
        return ours.cpu_s - other.cpu_s
    walls = [(run.wall_s, other_run.wall_s) for run, other_run in zip(ours.runs, other.runs, strict=False)]
    if target.kind is Kind.ABOVE:
        return median(wall - other_wall for wall, other_wall in walls)
    return _ratio(target, walls)


def _ratio(target: Target, pairs: Sequence[tuple[float, float]]) -> float:
    """Return the median over the rounds: a machine that gets slower does so for both of a pair."""
    if target.kind is Kind.AT_MOST_TIMES:
        return median(ours / other for ours, other in pairs)
    return median(other / ours for ours, other in pairs)


def _by_cpu(target: Target, results: Sequence[Result]) -> float | None:
    ours, other = named(results, target.ours), named(results, target.other)
    if ours is None or other is None or target.kind not in (Kind.AT_MOST_TIMES, Kind.TIMES_FASTER):
        return None
    pairs = [(run.cpu_s, other_run.cpu_s) for run, other_run in zip(ours.runs, other.runs, strict=False)]
    is_measured = ours.has_cpu and other.has_cpu and all(min(pair) > 0 for pair in pairs)
    return _ratio(target, pairs) if is_measured else None


def judge(case: str, targets: Sequence[Target], results: Sequence[Result]) -> list[Verdict]:
    """Hold a case's results against its targets."""
    return [Verdict(case, target, _value(target, results), _by_cpu(target, results)) for target in targets]


def faster(ours: str, times: float, other: str) -> Target:
    """Ours is at least so many times as fast."""
    return Target(ours, Kind.TIMES_FASTER, times, other)


def at_most(ours: str, times: float, other: str) -> Target:
    """Ours takes at most so many times as long."""
    return Target(ours, Kind.AT_MOST_TIMES, times, other)


NOT_SLOWER = 1.05
"""On a quiet machine a version that is measured against itself differs by less."""


def not_slower(ours: str, times: float = NOT_SLOWER) -> Target:
    """Ours takes no longer than the last version did, or so many times as long at most."""
    return at_most(ours, times, f"{ours}{LAST_VERSION}")


def above(ours: str, seconds: float, other: str) -> Target:
    """Ours takes at most so much longer."""
    return Target(ours, Kind.ABOVE, seconds, other)


def cpu_above(ours: str, seconds: float, other: str) -> Target:
    """Ours takes less than so much more processor time."""
    return Target(ours, Kind.CPU_ABOVE, seconds, other)


def in_seconds(ours: str, seconds: float) -> Target:
    """Ours takes less than that."""
    return Target(ours, Kind.SECONDS, seconds)


def leading(target: Target) -> Target:
    """Show this target first."""
    return replace(target, leads=True)


def below_200_mb(*ours: str) -> list[Target]:
    """All processes of ours together never had 200 MB."""
    return [Target(name, Kind.PEAK, 200) for name in ours]


def below_100_mb(*ours: str) -> list[Target]:
    """None of the processes of ours ever had 100 MB."""
    return [Target(name, Kind.PEAK, 100) for name in ours]
