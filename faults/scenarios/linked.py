"""Folders of links, as /var/log/containers is one: their targets rotate where nobody looks for logs."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

from faults.scenarios.scenario import CRON, Scenario
from faults.world import World


def _target(world: World, name: str = "0.log") -> Path:
    """Make the log a link to a file in another folder, and return that file."""
    target = world.root / "pods" / "web" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = world.log.with_name("fresh")
    fresh.symlink_to(os.path.relpath(target, world.logs))
    os.replace(fresh, world.log)
    return target


def target_rotated(world: World) -> None:
    """Rotated by date beside the target, twice between two runs; compressed later, then deleted: no word."""
    target = _target(world)
    for day in range(1, 4):
        world.write(40, target)
        world.read("--quiet")
        for hour in (6, 18):
            world.write(20, target)
            target.rename(target.with_name(f"0.log.202601{day:02}-{hour:02}0000"))
        world.write(20, target)
        world.read("--quiet")
        for rotated in target.parent.glob("0.log.*0000"):
            rotated.with_name(f"{rotated.name}.gz").write_bytes(gzip.compress(rotated.read_bytes()))
            rotated.unlink()
        world.read("--quiet")
        for packed in target.parent.glob("0.log.*.gz"):
            packed.unlink()
    world.read("--quiet")
    world.verified = False  # what was deleted can't be compared
    world.require(not any(outcome.errors for outcome in world.outcomes), "cron would have sent mail")


def target_rotated_and_link_made_anew(world: World) -> None:
    """A container that is started again: its log was rotated, and the link leads to the next one."""
    target = _target(world)
    world.write(50, target)
    world.read()
    world.write(50, target)
    target.rename(target.with_name("0.log.20260114-194002"))
    world.write(50, target)
    world.write(50, _target(world, "1.log"))
    world.read()


SCENARIOS = (
    Scenario("R66", "targets of a folder of links rotate, are packed, deleted", target_rotated, CRON, False),
    Scenario(
        "R66b",
        "a target rotates, and its link leads to another one",
        target_rotated_and_link_made_anew,
        CRON,
        False,
    ),
)
