"""Copies, excerpts and look-alikes: one event in many places, and files that seem to be one another."""

from __future__ import annotations

import shutil

from faults.calls import text_of
from faults.scenarios.scenario import CRON, FINISHED, FOLDER, Scenario
from faults.tables import events
from faults.world import World, append


def filled_later(world: World) -> None:
    """An empty file, then one line, then a file that is shorter than any fingerprint."""
    world.watch("*.log")
    world.log.touch()
    world.read()
    small = world.logs / "small.log"
    call = world.made(1)[0]
    world.needs_phase = False
    small.write_text(call.event + "\n")
    world.write(1)
    world.read()
    world.write(1)
    append(small, text_of(world.made(1)).encode())
    world.read()


def missing_then_made(world: World) -> None:
    """What is named is not there yet."""
    named = world.mode == "named"
    world.read(exits=1 if named else 0, says="no such file or folder" if named else "no logs in this folder")
    world.write(50)
    world.read()


def same_beginning(world: World) -> None:
    """Two different files with the same first four kilobytes."""
    world.watch("*.log")
    head = "".join(f"# shared head, line {number}\n" for number in range(250)).encode()
    for name in ("one.log", "two.log"):
        append(world.logs / name, head)
        world.write(40, world.logs / name)
    world.read()
    for name in ("two.log", "one.log"):
        world.write(40, world.logs / name)
    world.read()


def backup_copied(world: World) -> None:
    """An exact copy appears beside the log, which then grows."""
    world.watch("*.log*")
    world.write(50)
    world.read()
    shutil.copy2(world.log, world.logs / "backup.log")
    world.read()
    world.write(50)
    world.read()


def backup_within_a_line(world: World) -> None:
    """A copy was taken while a line was written: it ends in the middle of an event."""
    world.watch("*.log*")
    world.write(20)
    call = world.made(1)[0]
    text = text_of([call])
    append(world.log, text[:-10].encode())
    shutil.copyfile(world.log, world.logs / "a-backup.log")
    shutil.copyfile(world.log, world.root / "late")
    world.read()
    append(world.log, text[-10:].encode())
    world.write(5)
    world.read()
    shutil.copyfile(world.root / "late", world.logs / "z-backup.log")
    world.read()


def excerpt_first(world: World) -> None:
    """Grepped lines before the log itself, between two runs of it, and after it."""
    _excerpts(world, "first")


def excerpt_last(world: World) -> None:
    """Grepped lines only after the log has them."""
    _excerpts(world, "last")


def _excerpts(world: World, when: str) -> None:
    world.watch("*.*")
    first, second = world.made(30), world.made(30)
    samples = world.logs / "samples.txt"
    if when == "first":
        append(samples, "".join(call.event + "\n" for call in (*first, *second)).encode())
        world.read()
    append(world.log, text_of(first).encode())
    world.read()
    append(samples, "".join(call.event + "\n" for call in first).encode())
    world.read()
    append(world.log, text_of(second).encode())
    world.read()
    append(samples, "".join(call.event + "\n" for call in second).encode())
    world.read()


def context_in_a_later_run(world: World) -> None:
    """The line with the applied files is read in a later run: it completes its event, and no other."""
    calls = world.write(10)
    world.read()
    call = calls[-1]
    append(world.log, (call.applied("src/late.py") + "\n").encode())
    world.read()
    if world.is_tokentail:
        rows = {row["phase_id"]: row for row in events(world.database)}
        world.require("src/late.py" in rows[call.phase]["deliverables_json"], "the paths did not arrive")
        others = [row for phase, row in rows.items() if phase != call.phase]
        world.require(all(row["deliverables_json"] == "[]" for row in others), "others got paths")


def interleaved(world: World) -> None:
    """Four runs write into one file at once: an event has its own phase and run, or unknown ones."""
    world.needs_phase = False
    runs = [world.made(20, run=f"run-{letter}") for letter in "abcd"]
    opened = "".join(
        f"[2026-01-14 08:59:00] INFO: Initialized autonomous executor for run: run-{letter}\n"
        for letter in "abcd"
    )
    append(world.log, opened.encode())
    for calls in zip(*runs, strict=True):
        for lines in zip(*(call.lines for call in calls), strict=True):
            append(world.log, ("\n".join(lines) + "\n").encode())
    world.read()
    world.write(10)
    world.read()


SCENARIOS = (
    Scenario("R23", "empty, then filled; one line; shorter than a fingerprint", filled_later, FINISHED),
    Scenario("R23b", "missing, then made", missing_then_made, CRON),
    Scenario("R24", "two files with the same first 4 KB", same_beginning, FINISHED),
    Scenario("R25", "an exact copy in the folder; the log grows", backup_copied, FINISHED),
    Scenario("R45b", "copies cut within an event line, early and late", backup_within_a_line, FINISHED),
    Scenario("R46", "excerpt before, between and after its log", excerpt_first, FINISHED),
    Scenario("R46b", "excerpt only after its log", excerpt_last, FINISHED),
    Scenario("R47", "context arrives in a later run", context_in_a_later_run, FOLDER, False),
    Scenario("R48", "four parallel runs interleaved in one file", interleaved, FINISHED),
)
