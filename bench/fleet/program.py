"""Our program, measured as a whole process; what it said, and how many events its database has."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import measure
from bench.children.bare import EVENTS
from bench.measure import Failed
from bench.ours import TOKENTAIL
from bench.program import ENVIRONMENT, script


@dataclass(frozen=True, slots=True)
class Run:
    """One run, and the JSON object that it printed; empty where it prints none."""

    wall_s: float
    cpu_s: float
    said: dict[str, Any]


def tokentail(*arguments: object) -> Run:
    """Run a command to its end.

    Raises:
        Failed: it failed, or had anything to complain of.
    """
    command = [script(TOKENTAIL), *map(str, arguments)]
    done = measure.run(command, ENVIRONMENT)
    said = json.loads(done.output) if "--json" in command else {}
    trouble = [said[key] for key in ("problems", "warnings", "rejects") if said.get(key)]
    if trouble:
        raise Failed(f"{command}: {trouble}")
    return Run(done.wall_s, done.cpu_s, said)


def ingest(database: Path, logs: Path) -> Run:
    """Read what is new, as cron would."""
    return tokentail("ingest", "--json", "--tz", "UTC", "--jobs", 1, "--db", database, logs)


def merge(database: Path, others: Sequence[Path]) -> Run:
    """Unite databases."""
    return tokentail("merge", "--json", "--db", database, *others)


def events_in(database: Path) -> int:
    """Count the events of a database."""
    with closing(sqlite3.connect(database)) as connection:
        (events,) = connection.execute(f"SELECT COUNT(*) FROM {EVENTS}").fetchone()
    return int(events)


def must_be(what: str, found: int, expected: int) -> None:
    """Hold a count against what was generated.

    Raises:
        Failed: they differ; nothing that was measured counts.
    """
    if found != expected:
        raise Failed(f"{what}: {found:,} events, but there are {expected:,}")
