"""Rows that somebody changed: checkpoints that can't be, deleted events, databases of other versions."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from importlib.resources import files
from pathlib import Path

from faults.injection import DIED, FAULT
from faults.scenarios.scenario import FOLDER, Scenario
from faults.tables import check_invariants
from faults.tailers import run_process, verify_command
from faults.world import World


def altered(world: World, statement: str, *values: object) -> None:
    """Change a world's database by hand."""
    with contextlib.closing(sqlite3.connect(world.database)) as connection:
        connection.execute(statement, values)
        connection.commit()


IMPOSSIBLE = {
    "byte_offset": (-1, -(2**62), 2**62, "text", None, b"\0"),
    "tail_fingerprint": (None, "x", 7),
    "fingerprint": ("", b"\xff"),
    "fingerprint_bytes": (-5, 2**40, "much"),
    "remembered": ("", "{", "[]", "{}", '{"position":{"offset":-1}}', '{"last_marker":{"offset":-9}}'),
    "encoding": ("utf-9", ""),
    "marker_lines": ("many",),
    "timezone": ("Nowhere/Land",),
    "modified_ns": ("then", None),
    "state": ("odd",),
}


def impossible_checkpoint(world: World) -> None:
    """Checkpoints that somebody broke, each in turn: the log is read again, or named; nothing doubles."""
    world.write(20)
    for column, values in IMPOSSIBLE.items():
        for value in values:
            world.read(exits=(0, 1))
            with contextlib.suppress(sqlite3.IntegrityError):
                altered(world, f"UPDATE log_sources SET {column} = ? WHERE state <> 'replaced'", value)
            world.write(1)
            unknown = column == "timezone"
            world.read(exits=(1 if unknown else 0), says="Nowhere/Land" if unknown else ())
            if unknown:
                altered(world, "UPDATE log_sources SET timezone = 'UTC'")
    world.read()
    altered(world, "DELETE FROM log_sources WHERE marker_lines = 'many'")
    altered(world, "DELETE FROM event_sightings WHERE source_id NOT IN (SELECT source_id FROM log_sources)")
    world.verified = False


def rows_deleted(world: World) -> None:
    """Deleted rows whose log is still there: only asked for do they come back, and `verify` says so."""
    world.write(20)
    world.read()
    altered(world, "DELETE FROM token_estimation_v2_events WHERE event_id <= 5")
    world.write(5)
    world.read()
    world.require(len(world.tailer.seen(world).counts) == 20, "deleted rows came back unasked")
    found = run_process(world, verify_command(world))
    world.check(found, 1, "but not its row")
    mode, world.mode = world.mode, "backfill"
    world.read("--full")
    world.mode = mode
    world.read()


def newer_version(world: World) -> None:
    """A database that a newer version made is refused by this one; an older one is migrated once."""
    world.write(20)
    world.read()
    migration = "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES (?, ?, ?)"
    altered(world, migration, "tokentail", "m999_tomorrow", "2027-01-01")
    world.write(20)
    world.read(exits=1, says="made by a newer version")
    altered(world, "DELETE FROM _sqlite_migrations WHERE name = 'm999_tomorrow'")
    make_older(world.database)
    for statement in range(10, 25, 4):
        world.outcomes.append(world.tailer.run(world, (), {FAULT: f"die:statement:{statement}"}))
        world.require(world.outcomes[-1].exit_code == DIED, "it did not die in the migration")
        check_invariants(world.database)
    world.read()


LATER = (
    "real_path TEXT",
    "ending TEXT",
    "line_cut INTEGER",
    "CREATE INDEX event_sightings_cut",
    "_timestamp ON",
    "pruned_sightings INTEGER",
    "pruned_rejects INTEGER",
    "host TEXT  ",
)
"""How the lines of the schema begin, or what they hold, that the first version did not have."""


def make_older(database: Path) -> None:
    """Turn a database into one of the first version, with the rows that it has."""
    lines = files("ingest").joinpath("schema.sql").read_text(encoding="utf-8").splitlines()
    schema = "\n".join(line for line in lines if not any(later in line for later in LATER))
    older = database.with_name(f"{database.name}.older")
    with contextlib.closing(sqlite3.connect(older)) as connection:
        connection.executescript(re.sub(r",(\s*--[^\n]*)?\n\);", r"\1\n);", schema))
        connection.execute("ATTACH ? AS newer", [str(database)])
        made = "SELECT sql FROM newer.sqlite_master WHERE name = '_sqlite_migrations'"
        connection.execute(connection.execute(made).fetchone()[0])
        tables = "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        for (table,) in connection.execute(tables).fetchall():
            names = [row[1] for row in connection.execute(f"PRAGMA main.table_info({table})")]
            columns = ", ".join(names)
            connection.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table}")
        connection.execute("DELETE FROM main._sqlite_migrations WHERE name <> 'm001_initial'")
        connection.execute("UPDATE main.token_estimation_v2_events SET event_key = SUBSTR(event_key, 15)")
        connection.commit()
    for ending in ("", "-wal", "-shm"):
        database.with_name(database.name + ending).unlink(missing_ok=True)
    older.rename(database)


SCENARIOS = (
    Scenario("R35d", "impossible checkpoints", impossible_checkpoint, FOLDER, False, quick=False),
    Scenario("R50", "deleted rows whose log is there: --full", rows_deleted, FOLDER, False),
    Scenario("R52", "two versions of the program; killed in a migration", newer_version, FOLDER, False),
)
