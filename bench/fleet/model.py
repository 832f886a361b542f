"""The model: each cost is so much for each run, log, byte or event. What it says of a fleet is linear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.fleet.growing import Held
from bench.fleet.ways import Kept, Merged, Way
from bench.fleet.workload import Fleet, Sample


@dataclass(frozen=True, slots=True)
class Costs:
    """Processor seconds for one of each, and bytes of database for an event."""

    start_s: float
    lookup_s: float
    opening_s: float
    byte_s: float
    merge_start_s: float
    merge_database_s: float
    merge_new_s: float
    merge_known_s: float
    report_event_s: float
    backup_event_s: float
    prune_event_s: float
    event_bytes: float
    events_per_executor_day: float
    bytes_per_executor_day: float
    rotations_opened: float
    """Logs opened per daily log besides one for each ingest: what rotation and compression cause."""

    def of_ingests(self, runs: float, looked_up: float, opened: float, size_bytes: float) -> float:
        """Return the processor seconds of ingests."""
        return (
            runs * self.start_s
            + looked_up * self.lookup_s
            + opened * self.opening_s
            + size_bytes * self.byte_s
        )

    def of_merge(self, databases: float, new: float, known: float) -> float:
        """Return the processor seconds of one merge."""
        return (
            self.merge_start_s
            + databases * self.merge_database_s
            + new * self.merge_new_s
            + known * self.merge_known_s
        )


@dataclass(frozen=True, slots=True)
class Starts:
    """Processor seconds of runs over short logs: one that is unchanged, each one more, one that has grown."""

    unchanged_s: float
    lookup_s: float
    grown_s: float


def _start_opening_byte(starts: Starts, few: Way, many: Way) -> tuple[float, float, float]:
    """Return what a start, an opened log and a byte cost: three equations.

    Two are the ways, which read the same bytes in fewer and in more runs; the third is a start and
    an opened log together.
    """
    left = [one.cpu_s - one.files_looked_up * starts.lookup_s for one in (few, many)]
    runs, opened = len(many.ingests) - len(few.ingests), many.files_opened - few.files_opened
    opening_s = (left[1] - left[0] - runs * starts.grown_s) / max(1, opened - runs)
    start_s = starts.grown_s - opening_s
    byte_s = (left[0] - len(few.ingests) * start_s - few.files_opened * opening_s) / few.bytes_logged
    return start_s, opening_s, byte_s


def _slope(held: Sequence[Held], name: str) -> float:
    first, last = held[0], held[-1]
    return float(getattr(last, name) - getattr(first, name)) / (last.events - first.events)


def fit(
    sample: Sample,
    starts: Starts,
    ways: Sequence[Way],
    merged: Merged,
    kept: Kept,
    held: list[Held],
) -> Costs:
    """Return the costs, from the fewest and the most ingests a day; those between are for the check."""
    few, many = ways[0], ways[-1]
    start_s, opening_s, byte_s = _start_opening_byte(starts, few, many)
    first_day, known, new = merged.first_day_again, merged.all_known, merged.all_new
    assert first_day is not None and known is not None and new is not None  # noqa: PT018  set by `merged`
    more_known = merged.events - merged.first_day_events
    known_s = (known.cpu_s - first_day.cpu_s) / max(1, more_known)
    base_s = known.cpu_s - merged.events * known_s
    return Costs(
        start_s=start_s,
        lookup_s=starts.lookup_s,
        opening_s=opening_s,
        byte_s=byte_s,
        merge_start_s=starts.unchanged_s,
        merge_database_s=max(0.0, base_s - starts.unchanged_s) / len(merged.databases),
        merge_new_s=(new.cpu_s - base_s) / merged.events,
        merge_known_s=known_s,
        report_event_s=_slope(held, "report_s"),
        backup_event_s=_slope(held, "backup_s"),
        prune_event_s=_slope(held, "prune_s"),
        event_bytes=kept.size_bytes / few.events,
        events_per_executor_day=few.events / sample.executor_days,
        bytes_per_executor_day=few.bytes_logged / sample.executor_days,
        rotations_opened=few.files_opened / sample.executor_days - few.rate,
    )


@dataclass(frozen=True, slots=True)
class Year:
    """A fleet and its whole time, by a model."""

    fleet: Fleet
    costs: Costs

    @property
    def executor_days(self) -> float:
        """Daily logs."""
        return self.fleet.executors * self.fleet.days

    @property
    def events(self) -> float:
        """Events logged."""
        return self.executor_days * self.costs.events_per_executor_day

    @property
    def log_bytes(self) -> float:
        """Bytes logged."""
        return self.executor_days * self.costs.bytes_per_executor_day

    @property
    def events_kept(self) -> float:
        """Events in the database once pruning takes as many as come."""
        days = min(self.fleet.days, self.fleet.prune_days)
        return self.fleet.executors * days * self.costs.events_per_executor_day

    @property
    def database_bytes(self) -> float:
        """Its size then."""
        return self.events_kept * self.costs.event_bytes

    def ingests_s(self, per_day: int, machines: int = 1) -> float:
        """Return the processor seconds of all ingests, so many a day on each of so many machines."""
        runs = self.fleet.days * per_day * machines
        logs_in_a_folder = self.fleet.executors / machines * (1 + self.fleet.logs_kept_days)
        opened = self.executor_days * (per_day + self.costs.rotations_opened)
        return self.costs.of_ingests(runs, runs * logs_in_a_folder, opened, self.log_bytes)

    def merges_s(self, days_between: int) -> float:
        """Return the processor seconds of all merges: databases that keep what the fleet's keeps."""
        merges = self.fleet.days / days_between
        new = self.fleet.executors * days_between * self.costs.events_per_executor_day
        known = max(0.0, self.events_kept - new)
        return merges * self.costs.of_merge(self.fleet.executors, new, known)

    def reports_s(self) -> float:
        """Return the processor seconds of a report a day."""
        return self.fleet.days * self.events_kept * self.costs.report_event_s

    def copies_s(self) -> float:
        """Return the processor seconds of a backup a day."""
        return self.fleet.days * self.events_kept * self.costs.backup_event_s

    def prunes_s(self) -> float:
        """Return the processor seconds of a pruning a month, each writing the database anew."""
        return self.fleet.days / 30 * self.events_kept * self.costs.prune_event_s
