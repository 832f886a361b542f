"""The database: full, locked, corrupt, gone, of another version; checkpoints that can't be."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from faults.calls import text_of
from faults.injection import BATCH_RECORDS, BUSY_SECONDS, DIED, FAULT
from faults.invariants import check_invariants
from faults.scenarios.scenario import FINISHED, FOLDER, Impossible, Scenario
from faults.tailers import command_of, environment_of
from faults.world import Outcome, World, append


def _alter(world: World, statement: str, *values: object) -> None:
    with contextlib.closing(sqlite3.connect(world.database)) as connection:
        connection.execute(statement, values)
        connection.commit()


def corrupt(world: World) -> None:
    """No database, or a damaged one: refused, named, and not changed by a byte."""
    world.write(20)
    world.database.parent.mkdir()
    world.database.write_bytes(b"this is no database, but somebody's notes\n" * 100)
    before = world.database.read_bytes()
    world.read(exits=1, says=("telemetry.db", "it is not a SQLite database"))
    world.require(world.database.read_bytes() == before, "it was changed")
    world.database.unlink()
    world.read()
    data = bytearray(world.database.read_bytes())
    for page in range(4096, len(data), 4096):
        data[page : page + 16] = b"\xff" * 16
    saved = world.database.read_bytes()
    world.database.write_bytes(bytes(data))
    world.write(20)
    world.read(exits=1, says="telemetry.db")
    world.require(world.database.exists(), "it was deleted")
    world.database.write_bytes(saved)
    world.read()


def deleted(world: World) -> None:
    """Deleted between two runs, its companions too or not: rebuilt whole from the logs."""
    for companions in (True, False):
        world.write(20)
        world.read()
        killed = world.tailer.run(world, (), {FAULT: "kill:committed:3"})
        world.outcomes.append(killed)
        world.database.unlink()
        if companions:
            for ending in ("-wal", "-shm", ".lock"):
                world.database.with_name(world.database.name + ending).unlink(missing_ok=True)
    world.read()


def not_writable(world: World) -> None:
    """A place where nothing can be written: exit 1 with the file's name."""
    world.write(20)
    world.read("--db", "/proc/telemetry.db", exits=1, says="/proc/telemetry.db")
    world.read("--db", str(world.root / "none" / "t.db"), exits=1, says="t.db")
    world.read()


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
                _alter(world, f"UPDATE log_sources SET {column} = ? WHERE state <> 'replaced'", value)
            world.write(1)
            unknown = column == "timezone"
            world.read(exits=(1 if unknown else 0), says="Nowhere/Land" if unknown else ())
            if unknown:
                _alter(world, "UPDATE log_sources SET timezone = 'UTC'")
    world.read()
    _alter(world, "DELETE FROM log_sources WHERE marker_lines = 'many'")
    _alter(world, "DELETE FROM event_sightings WHERE source_id NOT IN (SELECT source_id FROM log_sources)")
    world.verified = False


def locked_for_a_while(world: World) -> None:
    """Another program writes for three seconds: waited for."""
    world.write(20)
    world.read()
    world.write(20)
    with _writing(world.database, seconds=3):
        world.read()


def locked_for_ever(world: World) -> None:
    """Another program never lets go: exit 75 after the time-out, no row changed, the next run completes."""
    world.write(20)
    world.read()
    world.write(20)
    with _writing(world.database, seconds=6):
        world.read(exits=75, says="database is locked", faults={BUSY_SECONDS: "1.5"})
    world.read()


@contextlib.contextmanager
def _writing(database: Path, seconds: float) -> Iterator[None]:
    """Hold a write lock for some seconds from another connection."""
    database.parent.mkdir(exist_ok=True)
    begun, done = threading.Event(), threading.Event()

    def hold() -> None:
        with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            begun.set()
            done.wait(seconds)
            connection.execute("ROLLBACK")

    holder = threading.Thread(target=hold)
    holder.start()
    begun.wait()
    try:
        yield
    finally:
        holder.join()
        done.set()


def disk_full(world: World) -> None:
    """No more than some kilobytes can be written: exit 1, what is committed stands, then it completes."""
    world.write(300)
    for size in (40_000, 120_000, 200_000):
        outcome = _limited(world, size)
        world.outcomes.append(outcome)
        world.check(outcome, exits=1, says="telemetry.db")
        with contextlib.suppress(sqlite3.OperationalError):  # not even the schema found room
            check_invariants(world.database)
    world.read()


def _limited(world: World, size_bytes: int) -> Outcome:
    """Run with a limit on the size of files: what a full disk looks like to SQLite."""
    world.database.parent.mkdir(exist_ok=True)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))

    done = subprocess.run(
        command_of(world),
        env=environment_of(world, {BATCH_RECORDS: "20"}),
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def disk_full_really(world: World) -> None:
    """The same on a small file system that is really full, then freed."""
    if os.geteuid() != 0:
        raise Impossible("only root can mount a small file system")
    place = world.database.parent
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        raise Impossible("no file system can be mounted here")
    try:
        filler = place / "filler"
        filler.write_bytes(b"x" * 200_000)
        world.write(2_000)
        world.read(exits=1, says="telemetry.db")
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)
        world.read()
        world.outcomes.append(world.tailer.run(world, (), {}))
        (world.root / "kept.db").write_bytes(_whole(world.database))
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)
    world.database.write_bytes((world.root / "kept.db").read_bytes())


def _whole(database: Path) -> bytes:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return database.read_bytes()


def rows_deleted(world: World) -> None:
    """Deleted rows whose log is still there: only asked for do they come back, and `verify` says so."""
    world.write(20)
    world.read()
    _alter(world, "DELETE FROM token_estimation_v2_events WHERE event_id <= 5")
    world.write(5)
    world.read()
    world.require(len(world.tailer.seen(world).counts) == 20, "deleted rows came back unasked")
    found = subprocess.run(
        [sys.executable, "-m", "faults.program", "verify", "--db", str(world.database)],
        env=environment_of(world, {}),
        capture_output=True,
        text=True,
        check=False,
    )
    world.check(Outcome(found.returncode, found.stdout, found.stderr), 1, "but not its row")
    mode, world.mode = world.mode, "backfill"
    world.read("--full")
    world.mode = mode
    world.read()


def newer_version(world: World) -> None:
    """A database that a newer version made is refused by this one; an older one is migrated once."""
    world.write(20)
    world.read()
    _alter(
        world,
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('tokentail', 'm999_x', 'now')",
    )
    world.write(20)
    world.read(exits=1, says="made by a newer version")
    _alter(world, "DELETE FROM _sqlite_migrations WHERE name = 'm999_tomorrow'")
    make_older(world.database)
    for statement in range(10, 25):
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
)
"""How the lines of the schema begin, or what they hold, that the first version did not have."""


def make_older(database: Path) -> None:
    """Turn a database into one of the first version, with the rows that it has."""
    lines = files("ingest").joinpath("schema.sql").read_text(encoding="utf-8").splitlines()
    schema = "\n".join(line for line in lines if not any(later in line for later in LATER))
    older = database.with_name("older.db")
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
        connection.commit()
    for ending in ("", "-wal", "-shm"):
        database.with_name(database.name + ending).unlink(missing_ok=True)
    older.rename(database)


def clock_set_back(world: World) -> None:
    """Times of files from 1970 and from the future, equal sizes, and a clock that is set back."""
    for modified in (0, 4_000_000_000, time.time() - 86_400):
        world.write(20)
        os.utime(world.log, (modified, modified))
        world.read()
        append(world.log, text_of(world.made(5)).encode())
        os.utime(world.log, (modified, modified))
        world.read()


SCENARIOS = (
    Scenario("R33a", "locked by another program for a while", locked_for_a_while, FOLDER, False),
    Scenario("R33b", "locked for ever", locked_for_ever, FOLDER, False),
    Scenario("R34a", "no room for the database (limit on files)", disk_full, FINISHED, False),
    Scenario("R34b", "no room for the database (full tmpfs)", disk_full_really, FINISHED, False),
    Scenario("R35a", "database corrupt or none", corrupt, FOLDER, False),
    Scenario("R35b", "nowhere to write", not_writable, FOLDER, False),
    Scenario("R35c", "database deleted between runs", deleted, FOLDER, False),
    Scenario("R35d", "impossible checkpoints", impossible_checkpoint, FOLDER, False, quick=False),
    Scenario("R39a", "file times of 1970, of the future, set back", clock_set_back, FOLDER, False),
    Scenario("R50", "deleted rows whose log is there: --full", rows_deleted, FOLDER, False),
    Scenario("R52", "two versions of the program; killed in a migration", newer_version, FOLDER, False),
)
