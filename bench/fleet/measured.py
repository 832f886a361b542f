"""What was measured, as tables: the workload, the sample with the check of the formula, the growth."""

from __future__ import annotations

from collections.abc import Sequence

from bench.fleet.growing import Held
from bench.fleet.model import Costs
from bench.fleet.simulation import Backfill, Simulated
from bench.fleet.ways import Way
from bench.table import Rows


def seconds(value: float) -> str:
    """Return a time with a unit that fits."""
    for limit, factor, unit in (
        (1e-3, 1e6, "us"),
        (1.0, 1e3, "ms"),
        (600.0, 1.0, "s"),
        (7200.0, 1 / 60, "min"),
    ):
        if abs(value) < limit:
            return f"{value * factor:,.1f} {unit}"
    return f"{value / 3600:,.1f} h"


def size(value: float) -> str:
    """Return so many bytes with a unit that fits."""
    for limit, unit in ((1e3, "B"), (1e6, "kB"), (1e9, "MB"), (1e12, "GB")):
        if value < limit:
            return f"{value / (limit / 1e3):,.1f} {unit}" if unit != "B" else f"{value:.0f} B"
    return f"{value / 1e12:,.2f} TB"


def percent(value: float, of: float) -> str:
    """Return by how much a value is off."""
    return f"{100 * (value / of - 1):+.0f}%"


def workload(simulated: Simulated) -> Rows:
    """Return what is assumed."""
    sample, costs = simulated.sample, simulated.costs
    fleet = sample.fleet
    return [
        ["assumed", ""],
        ["fleet", f"{fleet.executors:,} executors, {fleet.days:,} days"],
        ["phases of an executor", f"{fleet.phases_per_hour} an hour, day and night"],
        ["events of an executor", f"{costs.events_per_executor_day:.1f} a day: a truncated call is repeated"],
        [
            "log of an executor",
            f"{size(costs.bytes_per_executor_day)} a day, "
            f"{costs.bytes_per_executor_day / costs.events_per_executor_day:,.0f} bytes an event",
        ],
        ["rotation", f"at midnight, gzip a day later, {fleet.logs_kept_days} kept"],
        ["pruning", f"after {fleet.prune_days} days"],
        [
            "simulated",
            f"{sample.executors:,} executors on {sample.days:,} days spread evenly over the time: "
            f"{simulated.merged.events:,} events, {size(simulated.merged.bytes_logged)} of logs",
        ],
    ]


def _way(name: str, way: Way, costs: Costs) -> list[str]:
    by_formula = costs.of_ingests(len(way.ingests), way.files_looked_up, way.files_opened, way.bytes_logged)
    return [
        name,
        f"{len(way.ingests):,}",
        f"{way.files_opened:,}",
        size(way.bytes_read),
        f"{way.events:,}",
        seconds(way.cpu_s),
        seconds(way.wall_s),
        seconds(by_formula),
        percent(by_formula, way.cpu_s),
    ]


def ways(simulated: Simulated) -> Rows:
    """Return each way of ingesting the sample, and what the formula says of it."""
    costs, merged = simulated.costs, simulated.merged
    header = [
        "way",
        "ingests",
        "logs opened",
        "read",
        "events stored",
        "CPU",
        "wall clock",
        "formula",
        "off by",
    ]
    return [
        header,
        *(_way(f"one machine, {one.rate} a day", one, costs) for one in simulated.one_machine),
        _way(f"each executor, {merged.rate} a day", merged, costs),
    ]


def merges(simulated: Simulated) -> Rows:
    """Return the merges of the sample."""
    merged, costs = simulated.merged, simulated.costs
    assert merged.all_new is not None and merged.all_known is not None  # noqa: PT018  set by `ways.merged`
    rows: Rows = [["merge", "databases", "CPU", "wall clock", "an event"]]
    databases = f"{len(merged.databases):,}"
    for name, run, each in (
        ("every event is new", merged.all_new, costs.merge_new_s),
        ("every event is known", merged.all_known, costs.merge_known_s),
    ):
        rows.append(
            [
                f"{merged.events:,} events: {name}",
                databases,
                seconds(run.cpu_s),
                seconds(run.wall_s),
                seconds(each),
            ]
        )
    return rows


def backfills(found: Sequence[Backfill]) -> Rows:
    """Return what old logs take."""
    header = [
        "backfill, one process",
        "events",
        "log",
        "on disk",
        "events per MB",
        "CPU",
        "CPU hours per TB of log",
    ]
    return [
        header,
        *(
            [
                one.name,
                f"{one.events:,}",
                size(one.log_bytes),
                size(one.file_bytes),
                f"{one.events / one.log_bytes * 1e6:.0f}",
                seconds(one.run.cpu_s),
                f"{one.hours_per_tb:.1f}",
            ]
            for one in found
        ),
    ]


def costs_of(costs: Costs) -> Rows:
    """Return the constants of the formula."""
    return [
        ["cost of", "", "is"],
        ["an ingest that finds anything", "start", seconds(costs.start_s)],
        ["a log that is there and unchanged", "look-up", seconds(costs.lookup_s)],
        ["a log that has grown", "opening", seconds(costs.opening_s)],
        ["a MB of log, its events included", "reading", seconds(costs.byte_s * 1e6)],
        ["a database in a merge", "merge", seconds(costs.merge_database_s)],
        ["an event in a merge that is new", "merge", seconds(costs.merge_new_s)],
        ["an event in a merge that is known", "merge", seconds(costs.merge_known_s)],
        ["an event in a report", "report", seconds(costs.report_event_s)],
        ["an event in a backup", "backup", seconds(costs.backup_event_s)],
        ["an event in a pruning of half of them", "prune", seconds(costs.prune_event_s)],
        ["an event on disk, with its sightings and context", "disk", f"{costs.event_bytes:.0f} B"],
    ]


_TIMED = ("further_s", "report_s", "backup_s", "prune_s", "export_s")


def growth(held: Sequence[Held]) -> Rows:
    """Return how the commands grow with the database; between the ends, what a straight line says."""
    more = f"{held[0].further_events:,} more events"
    rows: Rows = [
        ["events held", "bytes an event", more, "report", "backup", "prune half", "export to Parquet"]
    ]
    first, last = held[0], held[-1]
    for one in held:
        times = [seconds(getattr(one, name)) for name in _TIMED]
        rows.append([f"{one.events:,}", f"{one.size_bytes / one.events:.0f}", *times])
        if one not in (first, last):
            share = (one.events - first.events) / (last.events - first.events)
            line = [
                seconds(getattr(first, name) + share * (getattr(last, name) - getattr(first, name)))
                for name in _TIMED
            ]
            rows.append([f"{one.events:,}, by a straight line", "", *line])
    return rows
