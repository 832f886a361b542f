"""A short slice of `make scale`: a tiny fleet, lived in both ways, exact; and the arithmetic. No times."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench import table
from bench.fleet import ways
from bench.fleet.__main__ import tables
from bench.fleet.growing import Held, growth
from bench.fleet.model import Costs, Starts, Year, fit
from bench.fleet.program import Run, events_in, merge, must_be, tokentail
from bench.fleet.simulation import Backfill, Simulated
from bench.fleet.told import Prices, what_to_use, year_of
from bench.fleet.workload import Fleet, Lives, Sample
from bench.inputs import Inputs
from bench.measure import Failed
from conftest import ROOT

SAMPLE = Sample(Fleet(executors=10, days=365, phases_per_hour=1), executors=2, days=2)
COSTS = Costs(
    start_s=0.1,
    lookup_s=0.001,
    opening_s=0.01,
    byte_s=1e-6,
    merge_start_s=0.1,
    merge_database_s=0.01,
    merge_new_s=1e-4,
    merge_known_s=1e-5,
    report_event_s=1e-5,
    backup_event_s=1e-6,
    prune_event_s=1e-5,
    event_bytes=1000,
    events_per_executor_day=100,
    bytes_per_executor_day=1e6,
    rotations_opened=1,
)
COSTED = Held(600, 60, 600_000, 0.1, 0.1, 0.1, 0.1, 0.1)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    """Return a fleet that was lived in both ways; what each step must be is checked on the way."""
    folder = tmp_path_factory.mktemp("fleet")
    one = ways.one_machine(SAMPLE, 2, folder / "one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ways, "MERGES", 1)
        merged = ways.merged(SAMPLE, 1, folder / "merged")
    kept = ways.housekeeping(one, SAMPLE, folder / "one")
    tokentail("prune", "--older-than", f"{SAMPLE.horizon():%Y-%m-%d}", "--db", merged.database)
    merge(merged.database, merged.databases)
    held = [
        *growth(Inputs(folder / "inputs"), (60,)),
        *(replace(COSTED, events=events) for events in (600, 6000)),
    ]
    few = replace(one, rate=1)
    costs = fit(SAMPLE, Starts(0.1, 0.0, 0.1), [few, one], merged, kept, held)
    backfill = Backfill("plain", 73, 1_000_000, 1_000_000, Run(0.1, 0.1, {}))
    return Simulated(SAMPLE, [few, one], merged, kept, held, [backfill], costs)


def test_both_ways_store_exactly_what_was_logged(simulated: Simulated, tmp_path: Path) -> None:
    """One machine, and merges of what each executor read, have the events that were written; no more."""
    lives = Lives(tmp_path / "again", SAMPLE)
    assert list(lives.days(3)) == [0, 0, 0, 1, 1, 1]
    one, merged = simulated.one_machine[0], simulated.merged
    assert one.events == merged.events == lives.events == sum(lives.events_by_day) > 90
    assert one.bytes_logged == merged.bytes_logged == lives.bytes_written


def test_what_is_pruned_does_not_come_back(simulated: Simulated) -> None:
    """Of two days half a year apart the later one is kept, though both were read and merged again."""
    one, merged = simulated.one_machine[0], simulated.merged
    assert 0 < one.events_kept < one.events
    assert events_in(one.database) == events_in(merged.database) == one.events_kept == merged.events_kept


def test_rotations_are_dated_and_compressed_a_day_later(tmp_path: Path) -> None:
    """The folder of an executor looks as logrotate leaves it."""
    lives = Lives(tmp_path / "logs", replace(SAMPLE, executors=1, days=3))
    seen = [sorted(path.name for path in lives.each[0].folder.iterdir()) for _ in lives.days(1)]
    assert seen[2] == ["executor.log", "executor.log-20240310.gz", "executor.log-20240709"]


def test_a_missing_event_ends_the_simulation() -> None:
    """Nothing that was measured counts if a row is missing."""
    with pytest.raises(Failed, match="merged: 9 events, but there are 10"):
        must_be("merged", 9, 10)


def test_a_fleet_is_computed_by_the_formula() -> None:
    """Each cost times how often it occurs, and nothing else."""
    year = Year(Fleet(executors=10, days=100, logs_kept_days=1, prune_days=50), COSTS)
    assert (year.events, year.log_bytes, year.events_kept) == (100_000, 1e9, 50_000)
    assert year.database_bytes == 5e7
    runs, opened = 100 * 24, 1000 * 25
    assert year.ingests_s(24) == pytest.approx(runs * 0.1 + runs * 20 * 0.001 + opened * 0.01 + 1000)
    assert year.ingests_s(24, 10) == pytest.approx(
        10 * runs * 0.1 + 10 * runs * 2 * 0.001 + opened * 0.01 + 1000
    )
    assert year.merges_s(1) == pytest.approx(100 * (0.1 + 10 * 0.01 + 1000 * 1e-4 + 49_000 * 1e-5))
    assert (year.reports_s(), year.copies_s()) == (pytest.approx(50), pytest.approx(5))
    prices = {row[0]: row[3] for row in year_of(year, Prices(3600, 10))}
    assert prices["a report every day"] == "50.00"
    assert prices["the database on disk: 50.0 MB"] == f"{0.05 * 10 * 100 / (365 / 12):.2f}"


def test_the_formula_is_that_of_ways_which_follow_it(tmp_path: Path) -> None:
    """Where processor times are a formula's, its costs are found again."""

    def lived(rate: int, runs: int, opened: int) -> ways.Way:
        cpu = 0.2 * runs + 0.01 * opened + 0.5
        said = {"files": 0, "files_read": opened / runs, "bytes_read": 0}
        run = Run(0.0, cpu / runs, said)
        return ways.Way(rate, tmp_path, [run] * runs, events=100, bytes_logged=1_000_000)

    known, new, first = (Run(0, cpu, {}) for cpu in (0.1 + 0.04 + 0.1, 0.1 + 0.04 + 0.2, 0.1 + 0.04 + 0.05))
    merged = ways.Merged(
        1,
        tmp_path,
        events=100,
        databases=[tmp_path] * 4,
        first_day_again=first,
        first_day_events=50,
        all_new=new,
        all_known=known,
    )
    kept = ways.Kept(known, known, known, 100_000, 50_000)
    held = [COSTED, replace(COSTED, events=1600, report_s=0.2, backup_s=0.3, prune_s=0.4)]
    found = fit(SAMPLE, Starts(0.1, 0.0, 0.21), [lived(2, 11, 110), lived(24, 101, 2010)], merged, kept, held)
    assert (found.start_s, found.opening_s, found.byte_s) == pytest.approx((0.2, 0.01, 5e-7))
    merging = (found.merge_database_s, found.merge_known_s, found.merge_new_s)
    assert merging == pytest.approx((0.01, 0.001, 0.002))
    of_event = (found.report_event_s, found.backup_event_s, found.prune_event_s, found.event_bytes)
    assert of_event == pytest.approx((1e-4, 2e-4, 3e-4, 1000))


def test_the_ends_follow_from_the_costs() -> None:
    """A report of a minute, a night of reading, as many machines as merging keeps up with."""
    year = Year(Fleet(), COSTS)
    backfill = Backfill("plain", 100, 1_000_000, 1_000_000, Run(1, 1, {}))
    ends = {row[1]: row[2] for row in what_to_use(year, backfill)}
    assert ends["`tokentail report`"] == "6.0 million events"
    assert ends["`tokentail backfill`"] == "0.03 TB of log"
    assert ends["a `backfill` on each of several machines, then `merge`"] == "100 machines"
    assert ends["every hour"] == f"{(43_200 - 2.4) / (24 * 15 * 0.001 + 25 * 0.01 + 1):,.0f} executors"


def test_the_tables_go_into_the_document(simulated: Simulated) -> None:
    """The document has one place for the tables, and in it each table that the command makes."""
    text = (ROOT / "docs/scale.md").read_text(encoding="utf-8")
    assert (text.count(table.BEGIN), text.count(table.END)) == (1, 1)
    written = text.partition(table.BEGIN)[2].partition(table.END)[0]
    for title, rows in tables(simulated, Prices(1, 1)):
        assert f"### {title.partition(', at ')[0]}" in written, title
        assert f"\n| {rows[0][0]} | {rows[0][1]} |" in written, title
