"""How a database behaves that holds ten, a hundred times as many events, so that a line can be drawn."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench import measure
from bench.children.bare import EVENTS
from bench.competitor import DATABASE
from bench.fleet.program import events_in, must_be, tokentail
from bench.inputs import Input, Inputs
from bench.ours import Known, more
from bench.program import ENVIRONMENT

FURTHER_EVENTS = 10_000


@dataclass(frozen=True, slots=True)
class Held:
    """What a database of so many events takes. Processor seconds, but for the size."""

    events: int
    further_events: int
    size_bytes: int
    further_s: float
    report_s: float
    backup_s: float
    prune_s: float
    export_s: float


def _median_time(database: Path, events: int) -> str:
    with closing(sqlite3.connect(database)) as connection:
        query = f"SELECT timestamp FROM {EVENTS} ORDER BY timestamp LIMIT 1 OFFSET ?"
        (moment,) = connection.execute(query, (events // 2,)).fetchone()
    return str(moment)[:19].replace(" ", "T")


def _held(log: Input, further: Input, folder: Path) -> Held:
    """Measure each command once, on a copy of the database."""
    place = folder / "place"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    known, events = Known(log.path, log.tally, folder), log.tally.events
    command = more("further", known, further, log.tally)
    command.prepare(place)
    database, size = place / DATABASE, known.database().stat().st_size
    export = ("export", "--format", "parquet", "--partition-by", "date", "--output", place / "parquet")
    report = tokentail("report", "--json", "--db", database)
    backup = tokentail("backup", "--json", "--db", database, place / "backup.db")
    exported = tokentail(*export, "--db", database)
    added = measure.run(command.command(place), ENVIRONMENT)
    must_be("a database that grew", events_in(database), events + further.tally.events)
    moment = _median_time(database, events)
    prune = tokentail("prune", "--json", "--older-than", moment, "--db", database)
    shutil.rmtree(place)
    return Held(
        events,
        further.tally.events,
        size,
        added.cpu_s,
        report.cpu_s,
        backup.cpu_s,
        prune.cpu_s,
        exported.cpu_s,
    )


def growth(inputs: Inputs, sizes: tuple[int, ...]) -> list[Held]:
    """Measure databases of these sizes, of event lines alone; they are kept in the folder of the inputs.

    Raises:
        Failed: a command failed, or events are missing.
    """
    further = Inputs(inputs.folder, 1, inputs.seed + 1).events(min(FURTHER_EVENTS, max(sizes)))
    folder = inputs.folder / "held"
    return [_held(inputs.events(size), further, folder) for size in sizes]
