"""The workload: how many executors, how much each of them logs, and the logs of a sample as they grow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from bench import shapes
from bench.logs import BYTES_PER_EVENT, Executor

FIRST_DAY = datetime(2024, 3, 10)  # noqa: DTZ001  logs tell local times without an offset
CURRENT = "executor.log"
HOURS = 24


@dataclass(frozen=True, slots=True)
class Fleet:
    """What is asked about. `logs_kept_days` is how long rotations stay in the folders of logs."""

    executors: int = 1000
    days: int = 365
    phases_per_hour: int = 4
    logs_kept_days: int = 14
    prune_days: int = 180

    @property
    def phases_per_day(self) -> int:
        """Phases of one executor."""
        return HOURS * self.phases_per_hour


@dataclass(frozen=True, slots=True)
class Sample:
    """What is simulated of it: so many executors, on days spread evenly over the time."""

    fleet: Fleet
    executors: int
    days: int
    seed: int = 1

    @property
    def executor_days(self) -> int:
        """Daily logs."""
        return self.executors * self.days

    def date(self, day: int) -> datetime:
        """Return the midnight that a simulated day begins with."""
        return FIRST_DAY + timedelta(days=day * (self.fleet.days // self.days))

    def horizon(self) -> datetime:
        """Return the moment before which is pruned, at the end of the last day."""
        return self.date(self.days - 1) + timedelta(days=1 - self.fleet.prune_days)


class Life:
    """One executor of the sample: it logs into a folder of its own, and its log is rotated each midnight."""

    def __init__(self, folder: Path, fleet: Fleet, seed: int) -> None:
        self.folder, self._fleet = folder, fleet
        self._executor = Executor(seed)
        self._phase = 0
        self.bytes_written = 0
        folder.mkdir(parents=True)

    @property
    def events(self) -> int:
        """Events logged so far."""
        return self._executor.tally.events

    def work(self, midnight: datetime, part: int, parts: int) -> None:
        """Log one part of a day's phases; they begin at even intervals."""
        phases = self._fleet.phases_per_day
        with (self.folder / CURRENT).open("ab", buffering=1 << 16) as file:
            for number in range(phases * part // parts, phases * (part + 1) // parts):
                self._executor.wait_for(midnight + timedelta(hours=HOURS * number / phases))
                for block in self._a_phase():
                    self.bytes_written += file.write(block)

    def _a_phase(self) -> Iterator[bytes]:
        yield from self._executor.phase(self._phase)
        yield from self._executor.noise(self.events * BYTES_PER_EVENT - self.bytes_written)
        self._phase += 1

    def rotate(self, date: datetime) -> None:
        """Give the log of this day its date; compress the one of the day before, as `delaycompress` does."""
        for older in self.folder.glob(f"{CURRENT}-????????"):
            shapes.write_gzip(older, older.with_name(f"{older.name}.gz"))
            older.unlink()
        (self.folder / CURRENT).rename(self.folder / f"{CURRENT}-{date:%Y%m%d}")


class Lives:
    """All executors of a sample, side by side."""

    def __init__(self, folder: Path, sample: Sample) -> None:
        self.folder, self._sample = folder, sample
        seeds = range(sample.seed * 10_000, sample.seed * 10_000 + sample.executors)
        self.each = [Life(folder / f"executor-{seed}", sample.fleet, seed) for seed in seeds]
        self.events_by_day: list[int] = []

    @property
    def events(self) -> int:
        """Events logged so far."""
        return sum(one.events for one in self.each)

    @property
    def bytes_written(self) -> int:
        """Bytes logged so far."""
        return sum(one.bytes_written for one in self.each)

    def days(self, parts: int) -> Iterator[int]:
        """Live each day in so many parts; yield its number after each part, before any rotation."""
        for day in range(self._sample.days):
            before, midnight = self.events, self._sample.date(day)
            for part in range(parts):
                for one in self.each:
                    one.work(midnight, part, parts)
                yield day
            self.events_by_day.append(self.events - before)
            for one in self.each:
                one.rotate(midnight)

    def events_kept(self) -> int:
        """Return how many events are not older than the horizon."""
        horizon = self._sample.horizon()
        return sum(
            events for day, events in enumerate(self.events_by_day) if self._sample.date(day) >= horizon
        )
