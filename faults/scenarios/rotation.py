"""Rotations: renamed, compressed, several between two runs, with and without a writer that holds on."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from faults.calls import text_of
from faults.scenarios.powers import mounted
from faults.scenarios.scenario import ALL, CRON, FINISHED, FOLDER, Scenario
from faults.tables import rows_as_stored
from faults.world import World


def appended(world: World) -> None:
    """Append, read, append, read, read again: the third run changes nothing."""
    for _ in range(2):
        world.write(50)
        world.read()
    if world.is_tokentail:
        before = rows_as_stored(world.database)
        world.read()
        world.require(rows_as_stored(world.database) == before, "a run that found nothing new changed rows")
    else:
        world.read()


def renamed(world: World) -> None:
    """The log is renamed with unread lines, and another one begun."""
    world.write(100)
    world.read()
    world.write(100)
    world.rotate()
    world.write(100)
    world.read()


def renamed_without_a_new_one(world: World) -> None:
    """The log is renamed with unread lines; the next one comes only after a run."""
    world.write(100)
    world.read()
    world.write(100)
    world.rotate()
    world.read(exits=1 if world.mode == "named" else 0)  # what was named is not there
    world.write(100)
    world.read()


def renamed_twice(world: World) -> None:
    """Two rotations between two runs: `.1` and `.2` hold unread lines."""
    world.write(50)
    world.read()
    for _ in range(2):
        world.write(50)
        world.rotate()
    world.write(50)
    world.read()


def renamed_nine_times_by_date(world: World) -> None:
    """Nine rotations with dates in their names, and days without a run."""
    for day in range(1, 10):
        world.write(20)
        if day % 3 == 1:
            world.read()
        world.write(5)
        world.log.rename(world.log.with_name(f"run.log-202601{day:02d}"))
    world.write(20)
    world.read()


def renamed_while_written(world: World) -> None:
    """The writer goes on in the renamed file, before and after a run, and in the new one."""
    with world.writer() as old:
        world.write(50, old)
        world.read()
        world.rotate()
        world.write(50, old)
        with world.writer() as new:
            world.write(50, new)
            world.read()
            world.write(50, old)
            world.write(50, new)
            world.read()
            world.write(10, old)
    world.rotate()
    world.write(10)
    world.read()


def compressed_after_reading(world: World) -> None:
    """What was read to its end is renamed, and compressed a run later (`delaycompress`)."""
    world.write(100)
    world.read()
    world.rotate()
    world.write(50)
    world.read()
    if world.is_tokentail:
        before = rows_as_stored(world.database)
        world.compress(world.log.with_name("run.log.1"))
        world.read()
        world.require(rows_as_stored(world.database) == before, "compressing a read file changed rows")
    else:
        world.compress(world.log.with_name("run.log.1"))
        world.read()


def compressed_with_unread_tail(world: World) -> None:
    """The unread tail is only inside the compressed rotation."""
    world.write(100)
    world.read()
    world.write(100)
    world.compress(world.rotate())
    world.write(50)
    world.read()


def compressed_otherwise(world: World) -> None:
    """The same with bzip2 and xz; then gzip copies appear beside the plain log that they are of."""
    packers: tuple[tuple[Callable[[bytes], bytes], str], ...] = ((bz2.compress, "bz2"), (lzma.compress, "xz"))
    for number, (pack, ending) in enumerate(packers, start=1):
        world.write(60)
        world.read()
        world.write(60)
        older = world.log.rename(world.log.with_name(f"run.log.{9 - number}"))
        older.with_name(f"{older.name}.{ending}").write_bytes(pack(older.read_bytes()))
        older.unlink()
        world.read(exits=(0, 1))  # 1 where it was named: it is not there now
    world.write(40)
    world.read()
    kept = world.log.with_name("run.log.3")
    shutil.copy2(world.log, kept)
    shutil.copy2(world.compress(kept), world.log.with_name("run.log.4.gz"))
    world.read()


def compressed_in_members(world: World) -> None:
    """A gzip file to which two members are added between two runs."""
    packed = world.logs / "run.log"
    packed.write_bytes(gzip.compress(text_of(world.made(30)).encode()))
    world.read()
    with packed.open("ab") as file:
        for _ in range(2):
            file.write(gzip.compress(text_of(world.made(30)).encode()))
    world.read()


def compression_not_finished(world: World) -> None:
    """A gzip file that is still being written: no failure, and complete a run later."""
    data = gzip.compress(text_of(world.made(2_000)).encode())
    world.log.write_bytes(data[: len(data) // 2])
    world.read(says="the rest when it is whole")
    world.log.write_bytes(data)
    world.read()


def compression_damaged(world: World) -> None:
    """A damaged gzip file: named, what could be read counts, the others are read."""
    first, second = text_of(world.made(500)).encode(), text_of(world.made(500)).encode()
    packed = bytearray(gzip.compress(first))
    rest = gzip.compress(second)
    packed += rest[:10] + b"\xff" * 60 + rest[70:]
    for name, data in (("a.log.1.gz", bytes(packed)), ("b.log", b"")):
        (world.logs / name).write_bytes(data)
    world.write(50, world.logs / "b.log")
    world.read(exits=1, says="a.log.1.gz: damaged")
    (world.logs / "a.log.1.gz").write_bytes(gzip.compress(first) + gzip.compress(second))
    world.read()


def rotated_for_weeks(world: World) -> None:
    """Eight rotations that keep two, the oldest deleted each time: nothing is missing, so nothing is said."""

    def rotate() -> None:
        world.log.with_name("run.log.2").unlink(missing_ok=True)
        world.rotate()

    _for_weeks(world, 8, rotate)


def copytruncated_for_weeks(world: World) -> None:
    """Six copies and truncations that keep two: the copies have it all, so nothing is said."""

    def rotate() -> None:
        with contextlib.suppress(FileNotFoundError):
            world.log.with_name("run.log.1").replace(world.log.with_name("run.log.2"))
        world.copytruncate()

    _for_weeks(world, 6, rotate)


def _for_weeks(world: World, rotations: int, rotate: Callable[[], object]) -> None:
    """Rotate again and again, with a run before and after; any word on standard error is a complaint."""
    for _ in range(rotations):
        world.write(20)
        world.read("--quiet")
        rotate()
        world.write(5)
        world.read("--quiet")
    world.verified = False
    world.require(not any(outcome.errors for outcome in world.outcomes), "cron would have sent mail")


def link_swapped(world: World) -> None:
    """`current.log` leads to another file now; the old one has an unread tail, and grows on."""
    world.watched = lambda: [world.log]
    _led_to(world, "a")
    world.write(50)
    world.read()
    world.write(50)
    _led_to(world, "b")
    world.write(50)
    world.read()
    world.write(20, _target(world, "a"))
    world.write(20)
    world.read()
    _led_to(world, "c")
    world.write(20)
    _target(world, "a").unlink()
    world.read()
    world.require("gone" not in world.outcomes[-1].errors, "an old target that was read is missed")


def _target(world: World, name: str) -> Path:
    return world.root / "targets" / f"{name}.txt"


def _led_to(world: World, name: str) -> None:
    """Swap the link as `ln -sfn` does: another one is renamed over it."""
    target = _target(world, name)
    target.parent.mkdir(exist_ok=True)
    target.touch()
    fresh = world.log.with_name("fresh")
    fresh.symlink_to(target)
    os.replace(fresh, world.log)


def folder_renamed(world: World) -> None:
    """The folder has another name now: the same sources, and nothing doubled."""
    world.write(50)
    world.read()
    world.write(50)
    moved = world.root / "moved"
    world.logs.rename(moved)
    world.watched = lambda: [moved]
    log = moved / "run.log"
    world.write(50, log)
    if not world.is_tokentail:
        world.watched = lambda: [log]
    world.read()


def bound_elsewhere(world: World) -> None:
    """The folder is mounted at another place too, and read there."""
    world.write(50)
    world.read()
    elsewhere = world.root / "elsewhere"
    with mounted(elsewhere, "--bind", str(world.logs)):
        world.watched = lambda: [elsewhere if world.is_tokentail else elsewhere / "run.log"]
        world.write(50)
        world.read()
    world.watched = lambda: [world.logs if world.is_tokentail else world.log]
    world.write(50)
    world.read()


SCENARIOS = (
    Scenario("R01", "append, run, append, run, run again", appended, ALL),
    Scenario("R02", "rename rotation with 100 unread calls, new file", renamed, CRON),
    Scenario("R02b", "the same, the new file only after a run (nocreate)", renamed_without_a_new_one, CRON),
    Scenario("R03", "two rotations between runs", renamed_twice, CRON),
    Scenario("R04", "nine rotations by date, missed days", renamed_nine_times_by_date, CRON, quick=False),
    Scenario("R04b", "rotated for weeks, the oldest deleted: no word", rotated_for_weeks, CRON),
    Scenario("R06d", "copytruncate for weeks: no word", copytruncated_for_weeks, CRON),
    Scenario("R05", "renamed while the writer holds the old file", renamed_while_written, CRON),
    Scenario("R12", "gz of an already read file, a run later", compressed_after_reading, CRON),
    Scenario("R13", "unread tail that is only inside the .gz", compressed_with_unread_tail, CRON),
    Scenario("R13b", "the same in bz2 and xz; plain and gz both there", compressed_otherwise, CRON),
    Scenario("R14a", "gz of several members, members added", compressed_in_members, FINISHED, False),
    Scenario("R14b", "gz still being written", compression_not_finished, FINISHED, False),
    Scenario("R14c", "damaged gz, mended later", compression_damaged, FOLDER, False),
    Scenario("R27", "symbolic link swapped, unread tail in the old target", link_swapped),
    Scenario("R28", "folder renamed", folder_renamed),
    Scenario("R28b", "folder mounted at another place", bound_elsewhere, quick=False),
)
