"""The database: locked, without room, corrupt, gone, read-only; and times of files that can't be trusted."""

from __future__ import annotations

import contextlib
import os
import resource
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from faults.calls import text_of
from faults.injection import BATCH_RECORDS, BUSY_SECONDS, FAULT
from faults.scenarios.powers import given_away, mounted, without_powers
from faults.scenarios.scenario import FINISHED, FOLDER, Scenario
from faults.tables import check_invariants
from faults.tailers import command_of, run_process
from faults.world import Outcome, World, append


def corrupt(world: World) -> None:
    """A file that is no database is refused and not changed by a byte; a damaged database is refused."""
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
    """Deleted after a killed run, its WAL and lock too or not: rebuilt whole from the logs."""
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


def read_only(world: World) -> None:
    """A database that may be read and not written: exit 1, nothing changed; permitted later."""
    world.write(20)
    world.read()
    before = world.database.read_bytes()
    world.database.chmod(0o444)
    world.database.parent.chmod(0o555)
    given_away(*world.database.parent.iterdir(), world.database.parent)
    world.write(20)
    outcome = without_powers(world)
    world.outcomes.append(outcome)
    world.check(outcome, 1, "telemetry.db")
    world.require(world.database.read_bytes() == before, "it was changed")
    world.database.parent.chmod(0o755)
    world.database.chmod(0o644)
    world.read()


def locked_for_a_while(world: World) -> None:
    """Another program writes for two seconds: waited for."""
    world.write(20)
    world.read()
    world.write(20)
    with _writing(world.database, seconds=2):
        world.read()


def locked_beyond_the_time_out(world: World) -> None:
    """Another program holds its lock beyond the time-out: exit 75, and the next run completes."""
    world.write(20)
    world.read()
    world.write(20)
    with _writing(world.database, seconds=4):
        world.read(exits=75, says="database is locked", faults={BUSY_SECONDS: "1.0"})
    world.read()


@contextlib.contextmanager
def _writing(database: Path, seconds: float) -> Iterator[None]:
    """Hold a write lock for some seconds from another connection."""
    database.parent.mkdir(exist_ok=True)
    begun = threading.Event()

    def hold() -> None:
        with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            begun.set()
            time.sleep(seconds)
            connection.execute("ROLLBACK")

    holder = threading.Thread(target=hold)
    holder.start()
    begun.wait()
    try:
        yield
    finally:
        holder.join()


def disk_full(world: World) -> None:
    """No file may be larger than some kilobytes: that is said, and what is committed stands."""
    world.write(300)
    for size in (40_000, 150_000):
        outcome = _limited(world, size)
        world.outcomes.append(outcome)
        world.check(outcome, exits=1, says=("telemetry.db", f"{size:,} bytes", "ulimit -f"))
        with contextlib.suppress(sqlite3.OperationalError):  # not even the schema found room
            check_invariants(world.database)
    world.read()


def _limited(world: World, size_bytes: int) -> Outcome:
    """Run with a limit on the size of files, which SQLite reports as a failure of the disk."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))

    return run_process(world, command_of(world), {BATCH_RECORDS: "20"}, limit)


def disk_full_really(world: World) -> None:
    """The same on a small file system that is really full, then freed."""
    place, kept = world.database.parent, world.root / "kept.db"
    with mounted(place, "-t", "tmpfs", "-o", "size=400k", "tmpfs"):
        filler = place / "filler"
        filler.write_bytes(b"x" * 200_000)
        world.write(2_000)
        world.read(exits=1, says="telemetry.db")
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)
        world.read()
        kept.write_bytes(_whole(world.database))
    kept.rename(world.database)


def _whole(database: Path) -> bytes:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return database.read_bytes()


def clock_set_back(world: World) -> None:
    """Times of files from 1970, from the future, and from yesterday; the log grows, and keeps its time."""
    for modified in (0, 4_000_000_000, time.time() - 86_400):
        world.write(20)
        os.utime(world.log, (modified, modified))
        world.read()
        append(world.log, text_of(world.made(5)).encode())
        os.utime(world.log, (modified, modified))
        world.read()


SCENARIOS = (
    Scenario("R33a", "locked by another program for a while", locked_for_a_while, FOLDER, False),
    Scenario("R33b", "locked for longer than the time-out", locked_beyond_the_time_out, FOLDER, False),
    Scenario("R34a", "no room for the database (limit on files)", disk_full, FINISHED, False),
    Scenario("R34b", "no room for the database (full tmpfs)", disk_full_really, FINISHED, False, quick=False),
    Scenario("R35a", "a file that is no database, a damaged database", corrupt, FOLDER, False),
    Scenario("R35b", "nowhere to write", not_writable, FOLDER, False),
    Scenario("R35e", "database read-only", read_only, FOLDER, False),
    Scenario("R35c", "database deleted between runs", deleted, FOLDER, False),
    Scenario("R39a", "file times of 1970, of the future, set back", clock_set_back, FOLDER, False),
)
