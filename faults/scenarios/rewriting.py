"""Truncation and rewriting: what stands at an offset is no longer what stood there."""

from __future__ import annotations

import os
import shutil

from faults.calls import text_of
from faults.scenarios.scenario import CRON, FINISHED, FOLDER, Impossible, Scenario
from faults.world import World, append

BANNER = "".join(
    f"# the same banner in every generation, line {number:03d} of 60\n" for number in range(60)
).encode()
"""Three kilobytes that every generation of a log begins with."""


def copied_and_truncated_smaller(world: World) -> None:
    """copytruncate; what follows is smaller than what was read."""
    world.write(100)
    world.read()
    world.write(50)
    world.copytruncate()
    world.write(20)
    world.read()


def copied_and_truncated_same_size(world: World) -> None:
    """Copytruncate at once after a run, and regrown to the very size that was read."""
    world.write(100)
    world.read()
    size = world.log.stat().st_size
    world.copytruncate()
    calls = world.made(100)
    append(world.log, text_of(calls).encode()[: size - 1].ljust(size - 1, b" ") + b"\n")
    world.gone([call for call in calls if call.event.encode() not in world.log.read_bytes()])
    world.require(world.log.stat().st_size == size, "the scenario itself is wrong")
    world.read()


def copied_and_truncated_regrown(world: World) -> None:
    """copytruncate, and regrown past the old offset before the next run."""
    world.write(100)
    world.read()
    world.write(50)
    world.copytruncate()
    world.write(200)
    world.read()


def truncated_regrown(world: World) -> None:
    """Truncated without a copy, and regrown past the old offset."""
    world.write(100)
    world.read()
    os.truncate(world.log, 0)
    world.write(200)
    world.read()


def truncated_regrown_with_banner(world: World) -> None:
    """The same, with the same banner at the head of both generations."""
    append(world.log, BANNER)
    world.write(100)
    world.read()
    os.truncate(world.log, 0)
    append(world.log, BANNER)
    world.write(200)
    world.read()


def truncated_regrown_with_banner_and_footer(world: World) -> None:
    """The same, and both generations have the same bytes before the old offset too."""
    footer = b"=" * 79 + b"\n"
    world.gone(world.made(100))  # from here on, all numbers have three digits
    append(world.log, BANNER)
    world.write(100)
    append(world.log, footer * 5)
    world.read()
    size = world.log.stat().st_size
    os.truncate(world.log, 0)
    append(world.log, BANNER)
    world.write(100)
    append(world.log, footer * 5)
    world.require(world.log.stat().st_size == size, "the scenario itself is wrong")
    world.write(20)
    world.read()


def rewritten_within_a_tick(world: World) -> None:
    """Rewritten at once with as many bytes, and the time of modification is the same."""
    world.gone(world.made(100))
    world.write(50)
    world.read()
    times = world.log.stat()
    world.log.write_bytes(text_of(world.made(50)).encode())
    os.utime(world.log, ns=(times.st_atime_ns, times.st_mtime_ns))
    world.require(world.log.stat().st_size == times.st_size, "the scenario itself is wrong")
    world.read()


def truncated_before_any_event(world: World) -> None:
    """What was read held no event; the next file begins the same, and has events before the old offset."""
    append(world.log, BANNER * 3)
    world.read()
    os.truncate(world.log, 0)
    append(world.log, BANNER)
    world.write(100)
    world.read()


def truncated_to_a_prefix(world: World) -> None:
    """Truncated to a part of what was read; different lines follow."""
    world.write(100)
    world.read()
    old = world.log.stat().st_size
    os.truncate(world.log, old // 2 // 100 * 100)
    append(world.log, b"\n")
    world.write(20)
    world.read(says=("run.log: truncated or rewritten", f"offset {old}", f"{world.log.stat().st_size} bytes"))


def recreated_on_the_same_inode(world: World) -> None:
    """Deleted and made anew, larger, on the same inode."""
    world.write(50)
    world.read()
    before = world.log.stat().st_ino
    for _ in range(50):
        world.log.unlink()
        world.log.touch()
        if world.log.stat().st_ino == before:
            break
    else:
        raise Impossible("this file system does not give an inode out again at once")
    world.write(100)
    world.read()


def rewritten_atomically(world: World) -> None:
    """Another file takes the name, with the old lines and new ones, as `sed -i` does."""
    world.write(100)
    world.read()
    fresh = world.root / "fresh"
    fresh.write_bytes(world.log.read_bytes())
    world.write(50, fresh)
    os.replace(fresh, world.log)
    world.read()


def rewritten_in_the_middle(world: World) -> None:
    """The same, and the new lines stand between the old ones."""
    first = world.write(50)
    second = world.write(50)
    world.read()
    world.log.write_bytes(
        text_of(first).encode() + text_of(world.made(50)).encode() + text_of(second).encode()
    )
    world.read()


def backup_restored(world: World) -> None:
    """The log grows, then a backup taken earlier is put back, and written on."""
    world.write(50)
    world.read()
    backup = world.root / "backup"
    shutil.copy2(world.log, backup)
    world.write(50)
    world.read()
    shutil.copy2(backup, world.log)
    world.write(50)
    world.read()


def hole_at_the_head(world: World) -> None:
    """Truncated under a writer that goes on at its old offset: a hole of NULs, then lines."""
    world.write(50)
    world.read()
    size = world.log.stat().st_size
    world.copytruncate()
    with world.log.open("r+b") as file:
        file.seek(size)
        world.write(50, file)
    world.read()
    world.write(10)
    world.read()


def large_hole_at_the_head(world: World) -> None:
    """A hole of two gigabytes, then lines."""
    with world.log.open("wb") as file:
        file.seek(2 << 30)
        world.write(50, file)
    world.read()
    world.write(10)
    world.read()


SCENARIOS = (
    Scenario("R06", "copytruncate, smaller than the old offset", copied_and_truncated_smaller, CRON),
    Scenario("R06b", "copytruncate, the same size at once", copied_and_truncated_same_size, CRON),
    Scenario("R06c", "rewritten within a tick: same size, same time", rewritten_within_a_tick, CRON),
    Scenario("R07", "copytruncate, regrown past the old offset", copied_and_truncated_regrown, CRON),
    Scenario("R08", "truncated, regrown past the old offset", truncated_regrown, CRON),
    Scenario("R09", "the same, identical banner of 3 KB", truncated_regrown_with_banner, CRON),
    Scenario("R09b", "the same banner, and the same tail", truncated_regrown_with_banner_and_footer, CRON),
    Scenario("R09c", "the same banner, and no event before it", truncated_before_any_event, CRON),
    Scenario("R10", "truncated to a part, other lines appended", truncated_to_a_prefix, CRON),
    Scenario("R11", "deleted and recreated on the same inode", recreated_on_the_same_inode, CRON),
    Scenario("R20", "hole of NULs at the head", hole_at_the_head, FOLDER),
    Scenario("R20b", "hole of 2 GB", large_hole_at_the_head, FINISHED, False, quick=False),
    Scenario("R26", "atomic rewrite: old lines and 50 new", rewritten_atomically, CRON),
    Scenario("R26b", "atomic rewrite, the new lines in the middle", rewritten_in_the_middle, CRON),
    Scenario("R26c", "a backup put back over the log, and written on", backup_restored, CRON),
)
