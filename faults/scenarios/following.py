"""A follow that goes on while its logs are rotated, moved away and deleted; or that is killed."""

from __future__ import annotations

import os
import signal
import time

from faults.scenarios.processes import end_of, start_of, wait_until_caught_up
from faults.scenarios.scenario import FOLLOW, Scenario
from faults.world import World

LONG = ("--until-idle", "30")
"""Options of a follow that is ended before it ends by itself."""


def followed_through_rotations(world: World) -> None:
    """Renamed under its writer, copied and truncated, compressed, its folder away for a while."""
    world.write(20)
    process = start_of(world, *LONG)
    wait_until_caught_up(world, process)
    with world.writer() as held:
        rotated = world.rotate()
        world.write(10, held)
        world.write(10)
        world.write(10, held)
        wait_until_caught_up(world, process)
    world.compress(rotated)
    world.copytruncate()
    world.write(30)
    wait_until_caught_up(world, process)
    away = world.root / "away"
    world.logs.rename(away)
    world.write(10, away / "run.log")
    time.sleep(0.5)
    away.rename(world.logs)
    wait_until_caught_up(world, process)
    process.send_signal(signal.SIGTERM)
    world.check(end_of(world, process), 0, ("logs: no such file or folder", "no longer: "))


def followed_and_killed(world: World) -> None:
    """Killed, and another one begun at once; what was written in between is there as well."""
    for _ in range(3):
        world.write(20)
        process = start_of(world, *LONG)
        wait_until_caught_up(world, process)
        world.write(20)
        process.kill()
        end_of(world, process)
    world.read()


def followed_and_deleted(world: World) -> None:
    """Deleted under its writer: what was written before is read; nobody can see what comes after."""
    world.write(20)
    process = start_of(world, *LONG)
    wait_until_caught_up(world, process)
    with world.writer() as held:
        world.write(20, held)
        wait_until_caught_up(world, process)
        os.unlink(world.log)
        world.gone(world.write(5, held))
        world.write(10)
        wait_until_caught_up(world, process)
    process.send_signal(signal.SIGINT)
    world.check(end_of(world, process), 130, "that one is gone")


SCENARIOS = (
    Scenario("R16", "followed through every rotation", followed_through_rotations, FOLLOW, False),
    Scenario("R16b", "a follow is killed, again and again", followed_and_killed, FOLLOW, False, quick=False),
    Scenario("R16c", "followed, and deleted while written", followed_and_deleted, FOLLOW, False, quick=False),
)
