"""What follows from the costs, as tables: a fleet's year, its price, and where each way ends."""

from __future__ import annotations

from dataclasses import dataclass

from bench.fleet.measured import seconds, size
from bench.fleet.model import Year
from bench.fleet.simulation import Backfill, Simulated
from bench.table import Rows

FIVE_MINUTES, HOURLY = 288, 24
NIGHT_S = 8 * 3600
PATIENCE_S = 60
"""Longer than this nobody waits for a report."""

GB_MONTH_DAYS = 365 / 12


@dataclass(frozen=True, slots=True)
class Prices:
    """What is paid for a processor's hour and for a GB on disk in a month, in any currency."""

    cpu_hour: float
    gb_month: float

    def of_cpu(self, cpu_s: float) -> str:
        """Return what processor time costs."""
        return f"{cpu_s / 3600 * self.cpu_hour:,.2f}"

    def of_disk(self, size_bytes: float, days: float) -> str:
        """Return what so many bytes cost that are kept so long."""
        return f"{size_bytes / 1e9 * days / GB_MONTH_DAYS * self.gb_month:,.2f}"


def volumes(year: Year) -> Rows:
    """Return how much there is."""
    fleet, costs = year.fleet, year.costs
    return [
        ["of the whole fleet and time", "", "how it is computed"],
        ["daily logs", f"{year.executor_days:,.0f}", "executors x days"],
        ["events", f"{year.events / 1e6:,.2f} million", f"daily logs x {costs.events_per_executor_day:.1f}"],
        ["logs", size(year.log_bytes), f"daily logs x {size(costs.bytes_per_executor_day)}"],
        [
            "events in the database, at most",
            f"{year.events_kept / 1e6:,.2f} million",
            f"executors x {min(fleet.days, fleet.prune_days)} days x {costs.events_per_executor_day:.1f}",
        ],
        ["database", size(year.database_bytes), f"those x {costs.event_bytes:.0f} B"],
        ["room that pruning needs for a while", size(year.database_bytes), "the database once more"],
    ]


def _ingest_rows(year: Year, prices: Prices) -> Rows:
    fleet = year.fleet
    rows: Rows = []
    for name, per_day in (("5 minutes", FIVE_MINUTES), ("hour", HOURLY)):
        cpu = year.ingests_s(per_day)
        busy = 100 * cpu / (fleet.days * 86_400)
        rows.append([f"one machine ingests every {name}", seconds(cpu), f"{busy:.2g}%", prices.of_cpu(cpu)])
    for name, per_day in (("5 minutes", FIVE_MINUTES), ("hour", HOURLY)):
        cpu = year.ingests_s(per_day, fleet.executors)
        busy = 100 * cpu / (fleet.days * 86_400) / fleet.executors
        rows.append(
            [f"each executor ingests every {name}", seconds(cpu), f"{busy:.2g}% of each", prices.of_cpu(cpu)]
        )
    return rows


def year_of(year: Year, prices: Prices) -> Rows:
    """Return what each part takes and costs."""
    span_s = year.fleet.days * 86_400
    rows: Rows = [
        ["in the whole time", "CPU", "of one processor", "cost"],
        *_ingest_rows(year, prices),
    ]
    for name, cpu in (
        ("a merge every day", year.merges_s(1)),
        ("a merge every week", year.merges_s(7)),
        ("a report every day", year.reports_s()),
        ("a backup every day", year.copies_s()),
        ("a pruning every month", year.prunes_s()),
    ):
        rows.append([name, seconds(cpu), f"{100 * cpu / span_s:.2g}%", prices.of_cpu(cpu)])
    for name, copies in (("the database on disk", 1), ("its backup, and room to prune", 2)):
        disk = copies * year.database_bytes
        rows.append([f"{name}: {size(disk)}", "", "", prices.of_disk(disk, year.fleet.days)])
    return rows


def _executors_at(year: Year, per_day: int) -> float:
    """Return how many executors keep half a processor busy, on one machine that ingests so often."""
    fleet, costs = year.fleet, year.costs
    a_day = (
        per_day * (1 + fleet.logs_kept_days) * costs.lookup_s
        + (per_day + costs.rotations_opened) * costs.opening_s
        + costs.bytes_per_executor_day * costs.byte_s
    )
    return (86_400 / 2 - per_day * costs.start_s) / a_day


def what_to_use(year: Year, plain: Backfill) -> Rows:
    """Return what fits which size, and where it ends by these costs."""
    costs = year.costs
    patience = PATIENCE_S / costs.report_event_s
    days = patience / (year.fleet.executors * costs.events_per_executor_day)
    nightly = (NIGHT_S - year.fleet.executors * costs.merge_database_s) / costs.merge_known_s
    night_tb = NIGHT_S / 3600 / plain.hours_per_tb
    machines = plain.run.cpu_s / (plain.events * costs.merge_new_s)
    return [
        ["you have", "use", "until", "because then"],
        [
            "old logs and one processor",
            "`tokentail backfill`",
            f"{night_tb:.2f} TB of log",
            "it takes a night (8 h)",
        ],
        [
            "more old logs, one folder or bucket",
            "`backfill --scheduler` with a Dask cluster",
            "its writer is busy",
            "more workers wait: [cluster.md](cluster.md)",
        ],
        [
            "more than that",
            "a `backfill` on each of several machines, then `merge`",
            f"{machines:.0f} machines",
            "merging takes as long as reading did",
        ],
        [
            "one machine that sees all logs",
            "`ingest` from cron, every 5 minutes",
            f"{_executors_at(year, FIVE_MINUTES):,.0f} executors",
            "half a processor is busy with it",
        ],
        ["", "every hour", f"{_executors_at(year, HOURLY):,.0f} executors", "the same"],
        [
            "executors that share no file system",
            "`ingest` on each, `merge` every night",
            f"{nightly / 1e6:,.0f} million events kept",
            "a merge of all that is known takes a night (8 h)",
        ],
        [
            "reports that people wait for",
            "`tokentail report`",
            f"{patience / 1e6:,.1f} million events",
            f"it takes {PATIENCE_S} s: {days:,.0f} days of this fleet",
        ],
        [
            "more events than that",
            "`export --format parquet --partition-by date`, and DuckDB or a warehouse",
            "",
            "SQLite stays where events come in",
        ],
    ]


def of(simulated: Simulated, prices: Prices) -> tuple[Rows, Rows, Rows]:
    """Return all three tables: what to use, how much there is, what it takes."""
    year = Year(simulated.sample.fleet, simulated.costs)
    return what_to_use(year, simulated.backfills[0]), volumes(year), year_of(year, prices)
