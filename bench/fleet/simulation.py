"""The whole simulation: the sample lived in every way, the growing databases, and what a backfill takes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.fleet import model, ways
from bench.fleet.growing import Held, growth
from bench.fleet.program import Run, ingest, must_be, tokentail
from bench.fleet.ways import Kept, Merged, Way
from bench.fleet.workload import Sample
from bench.inputs import Inputs

STARTS, UNCHANGED_LOGS = 9, 2000
A_LINE = "[2025-02-03 04:05:06] INFO: an executor has nothing to do\n"


@dataclass(frozen=True, slots=True)
class Backfill:
    """What reading one large, finished log took; `log_bytes` are unpacked, `file_bytes` on disk."""

    name: str
    events: int
    log_bytes: int
    file_bytes: int
    run: Run

    @property
    def hours_per_tb(self) -> float:
        """Processor hours for a million million bytes of log, unpacked."""
        return self.run.cpu_s / self.log_bytes * 1e12 / 3600


@dataclass(frozen=True, slots=True)
class Simulated:
    """All that was measured."""

    sample: Sample
    one_machine: list[Way]
    merged: Merged
    kept: Kept
    held: list[Held]
    backfills: list[Backfill]
    costs: model.Costs


def _starts(inputs: Inputs, files: int, folder: Path) -> model.Starts:
    """Return what runs take that find next to nothing; in turn, so that all of them had the same machine."""
    few, many, growing = inputs.small(1).path, inputs.small(files).path, folder / "growing.log"
    growing.write_text(A_LINE, encoding="utf-8")
    taken: dict[Path, list[float]] = {logs: [] for logs in (few, many, growing)}
    for number in range(STARTS + 1):
        for logs, cpu in taken.items():
            run = ingest(folder / f"starts-{logs.name}.db", logs)
            if number:  # the first one reads all of it
                cpu.append(run.cpu_s)
        with growing.open("a", encoding="utf-8") as file:
            file.write(A_LINE)
    unchanged, more, grown = (median(cpu) for cpu in taken.values())
    return model.Starts(unchanged, max(0.0, more - unchanged) / max(1, files - 1), grown)


def _backfills(inputs: Inputs, folder: Path) -> list[Backfill]:
    plain, packed = inputs.sparse(), inputs.gz()
    found = []
    for name, log in (("plain", plain), ("gzip", packed)):
        command = ("backfill", "--json", "--tz", "UTC", "--jobs", 1, "--db", folder / f"{name}.db", log.path)
        run = tokentail(*command)
        must_be(f"backfill, {name}", run.said["events_new"], log.tally.events)
        found.append(Backfill(name, log.tally.events, plain.size_bytes, log.size_bytes, run))
    return found


def simulate(
    sample: Sample,
    rates: Sequence[int],
    sizes: Sequence[int],
    inputs: Inputs,
    work: Path,
    say: Callable[[str], None],
) -> Simulated:
    """Measure everything. `rates`: ingests a day, of which the first and the last make the formula.

    Raises:
        Failed: a command failed, or rows are not those that were generated.
    """
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    say("runs that find next to nothing")
    starts = _starts(inputs, UNCHANGED_LOGS, work)
    say("backfills")
    backfills = _backfills(inputs, work)
    alone = []
    for rate in rates:
        say(f"one machine, {rate} ingests a day")
        alone.append(ways.one_machine(sample, rate, work / f"one-{rate}"))
    say("each executor for itself, and merges")
    merged = ways.merged(sample, rates[0], work / "merged")
    say("reports, backups, pruning")
    must_be("merged", merged.events, alone[0].events)
    kept = ways.housekeeping(alone[0], sample, work / f"one-{rates[0]}")
    ways.housekeeping(merged, sample, work / "merged")
    say("databases that grow")
    held = growth(inputs, tuple(sizes))
    shutil.rmtree(work)
    costs = model.fit(sample, starts, alone, merged, kept, held)
    return Simulated(sample, alone, merged, kept, held, backfills, costs)
