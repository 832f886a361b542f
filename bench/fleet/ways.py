"""The two ways to one database: one machine that reads all logs, and a merge of what each one read."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.fleet.program import Run, events_in, ingest, merge, must_be, tokentail
from bench.fleet.workload import Lives, Sample

MERGES = 5
"""Of which the one in the middle is taken: they are short, and differ by more than they should."""


@dataclass(slots=True)
class Way:
    """What the runs of one way took; `rate` is the number of ingests a day."""

    rate: int
    database: Path
    ingests: list[Run] = field(default_factory=list)
    merges: list[Run] = field(default_factory=list)
    events: int = 0
    bytes_logged: int = 0
    events_kept: int = 0

    @property
    def cpu_s(self) -> float:
        """Processor time of all ingests."""
        return sum(one.cpu_s for one in self.ingests)

    @property
    def wall_s(self) -> float:
        """Wall clock of all ingests."""
        return sum(one.wall_s for one in self.ingests)

    @property
    def files_opened(self) -> int:
        """Logs opened by all ingests."""
        return sum(one.said["files_read"] for one in self.ingests)

    @property
    def files_looked_up(self) -> int:
        """Logs found by all ingests, opened or not."""
        return sum(one.said["files"] for one in self.ingests)

    @property
    def bytes_read(self) -> int:
        """Bytes read by all ingests."""
        return sum(one.said["bytes_read"] for one in self.ingests)

    def lived(self, lives: Lives) -> None:
        """Take over what was logged, and see that the database has exactly that."""
        self.events, self.bytes_logged = lives.events, lives.bytes_written
        self.events_kept = lives.events_kept()
        must_be(self.database.name, events_in(self.database), self.events)


def one_machine(sample: Sample, rate: int, folder: Path) -> Way:
    """Read the logs of all executors, so many times a day, into one database.

    Raises:
        Failed: its rows aren't what was logged.
    """
    lives = Lives(folder / "logs", sample)
    way = Way(rate, folder / "one.db")
    for _day in lives.days(rate):
        way.ingests.append(ingest(way.database, lives.folder))
    way.ingests.append(ingest(way.database, lives.folder))  # the rotations of the last day
    way.lived(lives)
    return way


@dataclass(slots=True)
class Merged(Way):
    """As each executor reads its own logs. The last merges are all new, and all known, of `databases`."""

    databases: list[Path] = field(default_factory=list)
    first_day_again: Run | None = None
    first_day_events: int = 0
    all_new: Run | None = None
    all_known: Run | None = None


def merged(sample: Sample, rate: int, folder: Path) -> Merged:
    """Have each executor read its own logs into a database of its own, and unite them every evening.

    Raises:
        Failed: its rows aren't what was logged.
    """
    lives = Lives(folder / "logs", sample)
    way = Merged(rate, folder / "merged.db")
    way.databases = [folder / f"{one.folder.name}.db" for one in lives.each]
    first_day: list[Path] = []
    for part, day in enumerate(lives.days(rate), 1):
        for one, database in zip(lives.each, way.databases, strict=True):
            way.ingests.append(ingest(database, one.folder))
        if part % rate == 0:
            way.merges.append(merge(way.database, way.databases))
            if day == 0:
                way.first_day_events = lives.events
                first_day = _copies(way.databases, folder / "first-day")
    way.lived(lives)
    _merge_again(way, first_day, folder)
    return way


def _copies(databases: Sequence[Path], folder: Path) -> list[Path]:
    """Copy databases that nobody has open."""
    folder.mkdir()
    return [Path(shutil.copy(database, folder)) for database in databases]


def _merge_again(way: Merged, first_day: Sequence[Path], folder: Path) -> None:
    """Unite all, and those of the first day, where they are new and where they are known, in turn."""
    new, known, few_known = [], [], []
    for number in range(MERGES):
        whole, few = folder / f"again-{number}.db", folder / "few.db"
        new.append(merge(whole, way.databases))
        known.append(merge(whole, way.databases))
        must_be("merged at once, twice", events_in(whole), way.events)
        merge(few, first_day)
        few_known.append(merge(few, first_day))
        must_be("merged on the first day", events_in(few), way.first_day_events)
    way.all_new, way.all_known, way.first_day_again = map(_middle, (new, known, few_known))


def _middle(runs: Sequence[Run]) -> Run:
    return sorted(runs, key=lambda run: run.cpu_s)[len(runs) // 2]


@dataclass(frozen=True, slots=True)
class Kept:
    """What the whole database takes, before and after pruning; sizes in bytes."""

    report: Run
    backup: Run
    prune: Run
    size_bytes: int
    size_after_bytes: int


def housekeeping(way: Way, sample: Sample, folder: Path) -> Kept:
    """Report, copy, prune at the simulated date; see that exactly the old events went, for good.

    Raises:
        Failed: other events are there than those that are young enough.
    """
    database = way.database
    report = tokentail("report", "--json", "--db", database)
    backup = tokentail("backup", "--json", "--force", "--db", database, folder / "backup.db")
    size = (folder / "backup.db").stat().st_size
    moment = f"{sample.horizon():%Y-%m-%dT%H:%M}"
    prune = tokentail("prune", "--json", "--older-than", moment, "--db", database)
    must_be(f"{database.name}, pruned", events_in(database), way.events_kept)
    if isinstance(way, Merged):
        merge(database, way.databases)
    else:
        tokentail("backfill", "--json", "--full", "--tz", "UTC", "--db", database, folder / "logs")
    must_be(f"{database.name}, pruned and read again", events_in(database), way.events_kept)
    tokentail("backup", "--json", "--force", "--db", database, folder / "backup.db")
    return Kept(report, backup, prune, size, (folder / "backup.db").stat().st_size)
