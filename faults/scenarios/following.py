"""A follow that goes on while all of it happens: what it reads from, and what reads it, comes and goes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from contextlib import suppress

from faults.scenarios.processes import end_of, start_of
from faults.scenarios.scenario import Scenario
from faults.world import World

SOON_SECONDS = 30.0
"""How long what takes a fraction of a second may take on a machine that is busy."""

LONG = ("--until-idle", "30")


def _caught_up(world: World, process: subprocess.Popen[str]) -> None:
    """Wait until all is stored that must be there."""
    deadline = time.monotonic() + SOON_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(sqlite3.OperationalError):  # it is being made
            if world.database.exists() and world.expected <= world.tailer.seen(world).counts.keys():
                return
        time.sleep(0.02)
    world.complaints.append(f"not caught up with {len(world.expected)} calls in {SOON_SECONDS:.0f} s")


def followed_through_rotations(world: World) -> None:
    """Renamed under its writer, copied and truncated, compressed, its folder away for a while."""
    world.write(20)
    process = start_of(world, *LONG)
    _caught_up(world, process)
    with world.writer() as held:
        rotated = world.rotate()
        world.write(10, held)
        world.write(10)
        world.write(10, held)
        _caught_up(world, process)
    world.compress(rotated)
    world.copytruncate()
    world.write(30)
    _caught_up(world, process)
    away = world.root / "away"
    world.logs.rename(away)
    world.write(10, away / "run.log")
    time.sleep(0.5)
    away.rename(world.logs)
    _caught_up(world, process)
    process.send_signal(signal.SIGTERM)
    world.check(end_of(world, process), 0, ("logs: no such file or folder", "no longer: "))


def followed_and_killed(world: World) -> None:
    """Killed, and another one begun at once; what was written in between is there as well."""
    for _ in range(3):
        world.write(20)
        process = start_of(world, *LONG)
        _caught_up(world, process)
        world.write(20)
        process.kill()
        end_of(world, process)
    world.read()


def followed_and_deleted(world: World) -> None:
    """Deleted under its writer: what was written before is read; nobody can see what comes after."""
    world.write(20)
    process = start_of(world, *LONG)
    _caught_up(world, process)
    with world.writer() as held:
        world.write(20, held)
        _caught_up(world, process)
        os.unlink(world.log)
        world.gone(world.write(5, held))
        world.write(10)
        _caught_up(world, process)
    process.send_signal(signal.SIGINT)
    world.check(end_of(world, process), 130, "that one is gone")


SCENARIOS = (
    Scenario("R16", "followed through every rotation", followed_through_rotations, ("follow",), False),
    Scenario(
        "R16b", "a follow is killed, again and again", followed_and_killed, ("follow",), False, quick=False
    ),
    Scenario(
        "R16c", "followed, and deleted while written", followed_and_deleted, ("follow",), False, quick=False
    ),
)
