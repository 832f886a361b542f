"""Rows that somebody changed: checkpoints that can't be, deleted events, databases of other versions."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from importlib.resources import files
from itertools import chain, count
from pathlib import Path

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from faults.injection import DIED, FAULT
from faults.scenarios.scenario import FOLDER, Scenario
from faults.tables import check_invariants, tables
from faults.tailers import call, program, run_process, verify_command
from faults.world import World
from ingest.storing.facts_migration import key_of_0_1_0
from ingest.storing.migrations import MIGRATION_SET, MIGRATIONS
from ingest.storing.rows import READ_COLUMNS, fact_of_row


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
    """Checkpoints that somebody broke, each in turn: the log is read again, or the time zone is named."""
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
    """Rows are deleted whose log is still there: `verify` misses them, `backfill --full` brings them back."""
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
    """A newer version's database is refused; an older one is migrated, after runs that died in between."""
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


def migration_killed(world: World) -> None:
    """Killed at every 16th statement of the migrations from the first version, and around the commit."""
    _killed_in_migrations(world, [1], 16)


def every_migration_killed(world: World) -> None:
    """Killed at each statement of the migrations of each older version's database."""
    _killed_in_migrations(world, range(1, len(MIGRATIONS)), 1)


def _killed_in_migrations(world: World, versions: Iterable[int], every: int) -> None:
    """Kill in the migrations from each version: the old or the new database is left; the next run goes on."""
    world.write(20)
    world.read()
    kept = world.root / "kept.db"
    call(world, "backup", "--db", world.database, kept)
    world.write(5)
    world.read()
    expected = tables(world.database)  # but for what older versions did not count
    expected["sources"] = [(*row[:-2], None, None) for row in expected["sources"]]
    for version in versions:
        older = world.root / f"{version}.db"
        shutil.copyfile(kept, older)
        make_older(older)
        migrate(older, version)
        newer = world.root / f"{version}-new.db"
        shutil.copyfile(older, newer)
        migrate(newer, len(MIGRATIONS))
        for fault in _until_new(world, older, newer, every):
            _go_on(world, fault)
            world.require(tables(world.database) == expected, f"{fault}: other tables than without the kill")


def _until_new(world: World, older: Path, newer: Path, every: int) -> Iterator[str]:
    """Kill before and after the commit, then at one statement after the other until the migration is done.

    Yield where, with the database that is left then. Killed is the command that does nothing but migrate.
    """
    old, new = content(older), content(newer)
    command = program("upgrade", "--db", str(world.database))
    statements = (f"kill:statement:{number}" for number in count(every, every))
    seen = []
    for fault in chain(("kill:commit:1", "kill:committed:1"), statements):
        for ending in ("", "-wal", "-shm", ".lock"):
            world.database.with_name(world.database.name + ending).unlink(missing_ok=True)
        shutil.copyfile(older, world.database)
        killed = run_process(world, command, {FAULT: fault})
        found = content(world.database)
        ended = killed.exit_code == 0
        world.require(ended or killed.exit_code == -signal.SIGKILL, f"{fault}: it was not killed")
        world.require(found == new or not ended, f"{fault}: it ended, and the database is not the new one")
        world.require(found in (old, new), f"{fault}: neither the old database nor the new one")
        seen.append(found == new)
        yield fault
        if ended or (len(seen) > 2 and found != old):
            break
    world.require(seen[:2] == [False, True], "before its commit the database is old, and new after it")
    world.require(len(seen) > 5, "the scenario itself is wrong: no statement was within the migration")


def content(database: Path) -> list[str]:
    """Return all of a database but when it was migrated, from a copy: opening it would change its files."""
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        copy = Path(folder) / "copy.db"
        for ending in ("", "-wal"):
            beside = database.with_name(database.name + ending)
            if beside.exists():
                shutil.copyfile(beside, f"{copy}{ending}")
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            connection.execute("UPDATE _sqlite_migrations SET applied_at = ''")
            return list(connection.iterdump())


def _go_on(world: World, fault: str) -> None:
    """Now and then let `prune` be the next command; then ingest what is left."""
    if fault.endswith(("1", "6")):
        call(world, "prune", "--db", world.database, "--older-than", "2020-01-01")
    world.read()


def migrate(database: Path, version: int) -> None:
    """Bring an older database to a version: that of so many migrations."""
    migrations = Migrations(MIGRATION_SET)
    for migration in MIGRATIONS[:version]:
        migrations()(migration)
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
        migrations.apply(Database(connection))


LATER = (
    "real_path TEXT",
    "ending TEXT",
    "line_cut INTEGER",
    "CREATE INDEX event_sightings_cut",
    "_timestamp ON",
    "pruned_sightings INTEGER",
    "pruned_rejects INTEGER",
    "host TEXT,",
    "quoted_lines INTEGER",
    "unread_lines INTEGER",
    "prefix TEXT",
    "own_values TEXT",
    "CREATE INDEX event_sightings_event",
)
"""What the lines of the schema hold that the first version did not have."""


EARLIER = (
    "DROP TABLE phase_deliverables",
    "DROP TABLE escalation_sightings",
    "ALTER TABLE token_estimation_v2_events ADD COLUMN context_parts TEXT",
    "CREATE INDEX event_sightings_event ON event_sightings (event_id)",
)
"""What makes the rest of the schema the first version's."""


def _older_keys(connection: sqlite3.Connection) -> Iterator[tuple[str, list[object]]]:
    """Yield the statements that give each event its first version's key: that of 0.1.0 without the time."""
    columns = ", ".join(f"event.{name}" for name in READ_COLUMNS)
    for values in connection.execute(f"SELECT {columns} FROM newer.token_estimation_v2_events AS event"):
        row = dict(zip(READ_COLUMNS, values, strict=True))
        fact = fact_of_row(row)
        key = key_of_0_1_0(fact.payload, fact.timestamp, fact.phase)[14:]
        query = "UPDATE main.token_estimation_v2_events SET event_key = ? WHERE event_id = ?"
        yield query, [key, row["event_id"]]


def make_older(database: Path) -> None:
    """Turn a database into one of the first version, with the rows that it has."""
    lines = files("ingest").joinpath("schema.sql").read_text(encoding="utf-8").splitlines()
    schema = "\n".join(line for line in lines if not any(later in line for later in LATER))
    older = database.with_name(f"{database.name}.older")
    with contextlib.closing(sqlite3.connect(older)) as connection:
        connection.executescript(re.sub(r",(\s*--[^\n]*)?\n\);", r"\1\n);", schema))
        for statement in EARLIER:
            connection.execute(statement)
        connection.execute("ATTACH ? AS newer", [str(database)])
        made = "SELECT sql FROM newer.sqlite_master WHERE name = '_sqlite_migrations'"
        connection.execute(connection.execute(made).fetchone()[0])
        tables = "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        for (table,) in connection.execute(tables).fetchall():
            newer = {row[1] for row in connection.execute(f"PRAGMA newer.table_info({table})")}
            names = [
                row[1] for row in connection.execute(f"PRAGMA main.table_info({table})") if row[1] in newer
            ]
            columns = ", ".join(names)
            connection.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table}")
        connection.execute("DELETE FROM main._sqlite_migrations WHERE name <> 'm001_initial'")
        for query, values in _older_keys(connection):
            connection.execute(query, values)
        connection.commit()
    for ending in ("", "-wal", "-shm"):
        database.with_name(database.name + ending).unlink(missing_ok=True)
    older.rename(database)


SCENARIOS = (
    Scenario("R35d", "impossible checkpoints", impossible_checkpoint, FOLDER, False, quick=False),
    Scenario("R50", "deleted rows whose log is there: --full", rows_deleted, FOLDER, False),
    Scenario("R52", "two versions of the program; killed in a migration", newer_version, FOLDER, False),
    Scenario("R65", "killed in a migration: the old database or the new", migration_killed, FOLDER, False),
    Scenario(
        "R65b",
        "the same, at each statement, from each older version",
        every_migration_killed,
        FOLDER,
        False,
        quick=False,
    ),
)
