"""The results of a competitor's runs: medians, spread, peaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.measure import Measured


@dataclass(slots=True)
class Result:
    """The runs of one competitor in one case; `disk_bytes` is its database's size, 0 where it has none.

    `added` is the part of the events that a run brought; `None`: all of them.
    """

    case: str
    name: str
    events: int | None = None
    added: int | None = None
    disk_bytes: int = 0
    runs: list[Measured] = field(default_factory=list)

    @property
    def wall_s(self) -> float:
        """Median of the wall clock."""
        return median(run.wall_s for run in self.runs)

    @property
    def rate(self) -> float | None:
        """Events a second; `None` where there are none."""
        events = self.events if self.added is None else self.added
        return events / self.wall_s if events else None

    @property
    def cpu_s(self) -> float:
        """Median of user and system time together."""
        return median(run.cpu_s for run in self.runs)

    @property
    def has_cpu(self) -> bool:
        """Whether the processor time is of what the wall clock timed, and of nothing else."""
        return not any(run.own_clock for run in self.runs)

    @property
    def peak_bytes(self) -> int:
        """The highest peak of any run: see `Measured`."""
        return max(run.peak_bytes for run in self.runs)

    @property
    def spread_s(self) -> tuple[float, float]:
        """The fastest and the slowest run."""
        walls = [run.wall_s for run in self.runs]
        return min(walls), max(walls)


def named(results: Sequence[Result], name: str) -> Result | None:
    """Return the result of this competitor, `None` where it was not there."""
    return next((result for result in results if result.name == name), None)
