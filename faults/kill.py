"""`make kill`: the ingest is killed at every boundary in turn, and at thousands of random moments.

Each time the database must be sound, and the next run must end in the tables of a run that was never
killed. It starts from nothing, from a database that has read half of the logs, and from one of the first
version that has, so that it dies in a migration too; or it is a backfill that goes on with the half.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

import click

from faults import children
from faults.injection import KINDS, Boundaries
from faults.scenarios.versions import make_older
from faults.tables import Tables, check_invariants, tables

LOGS = Path(__file__).resolve().parent.parent / "examples" / "logs"
SHARE = 250
"""Kills that one process does before it says how far it is."""

STARTS = ("nothing", "half", "older", "finished")
"""What there is before the run that is killed: `older` is `half` as the first version made it; from
`finished` the half is gone on with by `backfill`."""


@dataclass
class Setup:
    """A folder with the logs, the databases to start from, and what must come of each."""

    root: Path
    expected: dict[str, Tables] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    boundaries: dict[str, dict[str, int]] = field(default_factory=dict)

    def prepare(self) -> None:
        """Make the starting points, and run from each of them once without a fault."""
        self.logs.mkdir()
        for log in sorted(LOGS.iterdir()):
            data = log.read_bytes()
            (self.logs / log.name).write_bytes(data if log.suffix == ".gz" else data[: len(data) // 2])
        half = self.root / "half.db"
        if self.run(half, "half"):
            raise AssertionError((self.root / children.ERRORS).read_text(encoding="utf-8"))
        shutil.copyfile(half, self.root / "older.db")
        make_older(self.root / "older.db")
        shutil.copytree(LOGS, self.logs, dirs_exist_ok=True)
        for start in STARTS:
            database = self.begin(start, "unkilled")
            began = time.monotonic()
            if self.run(database, start):
                raise AssertionError(f"a run that nobody disturbed failed, from {start}")
            self.seconds[start] = time.monotonic() - began
            self.expected[start] = tables(database)
            self.boundaries[start] = self._count(self.begin(start, "counted"), start)

    @property
    def logs(self) -> Path:
        """The folder of logs."""
        return self.root / "logs"

    def begin(self, start: str, name: str) -> Path:
        """Return a fresh database of one of the starting points."""
        database = self.root / f"{name}.db"
        for ending in ("", "-wal", "-shm", ".lock"):
            database.with_name(database.name + ending).unlink(missing_ok=True)
        if start != "nothing":
            shutil.copyfile(self.root / ("older.db" if start == "older" else "half.db"), database)
        return database

    def start(self, database: Path, start: str, fault: Boundaries | None = None) -> int:
        """Start an ingest in a process of its own."""
        command = "backfill" if start == "finished" else "ingest"
        arguments = [command, str(self.logs), "--db", str(database), "--tz", "UTC"]
        return children.start(arguments, self.root / children.ERRORS, fault)

    def run(self, database: Path, start: str) -> int:
        """Run an ingest to its end."""
        return children.end(self.start(database, start))

    def _count(self, database: Path, start: str) -> dict[str, int]:
        counts = self.root / "counts"
        fault = Boundaries()
        fault.counts_file = str(counts)
        children.end(self.start(database, start, fault))
        lines = counts.read_text(encoding="ascii").split()
        return {kind: int(number) for kind, number in zip(lines[::2], lines[1::2], strict=True)}

    def trouble_after_kill(self, database: Path, start: str) -> str | None:
        """Check what a killed run left, run again, and compare; return what is wrong, if anything is."""
        try:
            with contextlib.suppress(sqlite3.OperationalError):  # the schema itself was not made yet
                check_invariants(database)
            if status := self.run(database, start):
                errors = (self.root / children.ERRORS).read_text(encoding="utf-8", errors="replace")
                return f"the next run left with {status}: {errors[-300:]}"
            check_invariants(database)
        except (AssertionError, sqlite3.DatabaseError) as error:
            return f"not sound: {error}"
        return None if tables(database) == self.expected[start] else "other tables than without the kill"


@dataclass
class Result:
    """How often an ingest was killed, and what went wrong after it."""

    killed: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Result) -> None:
        """Add up."""
        self.killed += other.killed
        self.wrong += other.wrong


def at_random(number: int, seed: int) -> Result:
    """Kill at random moments until `number` kills have hit a run; some of the next runs are killed too."""
    rng, result = random.Random(seed), Result()
    with tempfile.TemporaryDirectory(prefix="kill-") as folder:
        setup = Setup(Path(folder))
        setup.prepare()
        while result.killed < number:
            start = rng.choice(STARTS)
            database = setup.begin(start, "killed")
            for _ in range(rng.choice((1, 1, 1, 2, 4))):
                moment = rng.random() * setup.seconds[start]
                result.killed += children.killed_after(setup.start(database, start), moment)
            if trouble := setup.trouble_after_kill(database, start):
                result.wrong.append(f"seed {seed}, after {result.killed} kills, from {start}: {trouble}")
    return result


def at_boundaries(start: str, every: int, first: int) -> Result:
    """Kill at every boundary in turn, or at each `every`-th of a kind from `first` on."""
    result = Result()
    with tempfile.TemporaryDirectory(prefix="kill-") as folder:
        setup = Setup(Path(folder))
        setup.prepare()
        for kind in KINDS:
            for number in range(first, setup.boundaries[start].get(kind, 0) + 1, every):
                database = setup.begin(start, "killed")
                fault = Boundaries("kill", kind, number)
                result.killed += children.end(setup.start(database, start, fault)) != 0
                if trouble := setup.trouble_after_kill(database, start):
                    result.wrong.append(f"from {start}, at {kind} {number}: {trouble}")
    return result


@click.command()
@click.option("--number", default=5_000, help="Kills at random moments.")
@click.option("--every", default=1, help="Of the boundaries, take each N-th; 0 leaves them out.")
@click.option("--seed", type=int, help="For the random moments; another one each time if it is left out.")
@click.option("--jobs", default=2, help="Processes that do this side by side.")
def main(number: int, every: int, seed: int | None, jobs: int) -> None:
    """Kill the ingest, again and again, and see that nothing is lost and nothing doubled."""
    chosen = random.SystemRandom().randrange(1 << 30) if seed is None else seed
    places = f"at 1 of {every} boundaries" if every else "at no boundary"
    click.echo(f"seed {chosen}: {number:,} kills at random moments, and {places}")
    started = time.monotonic()
    moments, boundaries = Result(), Result()
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        works = {
            pool.submit(at_random, min(SHARE, number - first), chosen + first): moments
            for first in range(0, number, SHARE)
        }
        if every:
            works |= {
                pool.submit(at_boundaries, start, every, 1 + chosen % every): boundaries for start in STARTS
            }
        for work in as_completed(works):
            works[work].add(work.result())
            click.echo(f"{moments.killed:,} of {number:,}, {boundaries.killed:,} at boundaries", err=True)
    wrong = [*moments.wrong, *boundaries.wrong]
    for text in wrong[:20]:
        click.echo(f"WRONG: {text}")
    click.echo(
        f"{moments.killed:,} kills at random moments and {boundaries.killed:,} at boundaries: {len(wrong)} "
        f"not recovered exactly ({time.monotonic() - started:.0f} s)"
    )
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
