"""Processes: killed, signalled, several at once, readers beside them; and clocks and zones."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time

from faults.calls import Call, text_of
from faults.injection import BATCH_RECORDS, FAULT
from faults.scenarios.scenario import ALL, BACKFILL, CRON, FINISHED, FOLDER, Scenario
from faults.tables import events
from faults.tailers import TIMEOUT_SECONDS, command_of, environment_of
from faults.world import Outcome, World, append

SOON_SECONDS = 30.0
"""How long what takes a fraction of a second may take on a machine that is busy."""


def start_of(world: World, *options: str, **environment: str) -> subprocess.Popen[str]:
    """Start the program in the manner of the world's mode, with batches of a few rows."""
    world.database.parent.mkdir(exist_ok=True)
    return subprocess.Popen(
        command_of(world, options),
        cwd=world.root,
        env=environment_of(world, {BATCH_RECORDS: "20", **environment}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end_of(world: World, process: subprocess.Popen[str]) -> Outcome:
    """Wait until a process ends."""
    output, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    outcome = Outcome(process.returncode, output, errors)
    world.outcomes.append(outcome)
    return outcome


def wait_until_caught_up(world: World, process: subprocess.Popen[str]) -> None:
    """Wait until a process that goes on has stored all that must be there."""
    deadline = time.monotonic() + SOON_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(sqlite3.OperationalError):  # it is being made
            if world.database.exists() and world.expected <= world.tailer.seen(world).counts.keys():
                return
        time.sleep(0.02)
    world.complaints.append(f"not caught up with {len(world.expected)} calls in {SOON_SECONDS:.0f} s")


def killed_at_random(world: World) -> None:
    """SIGKILL at random moments, appends between; the seed is the same in every run."""
    rng = random.Random(29)
    for _ in range(25):
        world.write(rng.randrange(1, 60))
        process = start_of(world)
        time.sleep(rng.random() * 0.45)
        process.kill()
        end_of(world, process)
    world.read()


def signalled(world: World) -> None:
    """SIGTERM, SIGINT and SIGHUP in the middle: over within two seconds, the next run completes."""
    terminated = 0 if world.mode == "follow" else 143
    for number, code in ((signal.SIGTERM, terminated), (signal.SIGINT, 130), (signal.SIGHUP, 130)):
        world.write(200)
        process = start_of(world, **{FAULT: "stop:committed:4"})
        os.waitpid(process.pid, os.WUNTRACED)
        process.send_signal(number)
        started = time.monotonic()
        process.send_signal(signal.SIGCONT)
        world.check(end_of(world, process), code, ())
        world.require(time.monotonic() - started < 2, f"signal {number}: took more than two seconds")
    world.read()


def broken_pipe(world: World) -> None:
    """Whoever read the output has gone: no traceback, and what was read is stored."""
    world.write(50)
    with start_of(world, "--json", **{FAULT: "stop:committed:1"}) as process:
        os.waitpid(process.pid, os.WUNTRACED)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.send_signal(signal.SIGCONT)
        errors = process.stderr.read()
    world.outcomes.append(Outcome(process.returncode, "", errors))
    world.check(world.outcomes[-1], 1, ())
    world.read()


def overlapping(world: World, count: int, waiting: bool) -> None:
    """Start several ingests into one database at the same time, with readers beside them."""
    for number in range(4):
        world.write(100, world.logs / f"{number}.log")
    options = ("--wait", "60") if waiting else ()
    first = start_of(world, *options, **{FAULT: "stop:committed:2"})
    os.waitpid(first.pid, os.WUNTRACED)
    others = [start_of(world, *options) for _ in range(count - 1)]
    readers = [_query(world) for _ in range(2)]
    time.sleep(0.5)
    if not waiting:
        for other in others:
            world.check(end_of(world, other), 75, f"(pid {first.pid})")
    first.send_signal(signal.SIGCONT)
    world.check(end_of(world, first), 0, ())
    for other in others if waiting else ():
        world.check(end_of(world, other), 0, ())
    for reader in readers:
        output, errors = reader.communicate(timeout=TIMEOUT_SECONDS)
        world.require(reader.returncode == 0 and "events" in output, f"a reader failed: {errors}")
    world.write(5)
    world.read()


def _query(world: World) -> subprocess.Popen[str]:
    query = "select count(*) as events from token_estimation_v2_events"
    return subprocess.Popen(
        [sys.executable, "-m", "sqlite_utils", str(world.database), query],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def two_overlapping(world: World) -> None:
    """Two at once: the second leaves with 75."""
    overlapping(world, 2, waiting=False)


def four_overlapping(world: World) -> None:
    """Four at once: three leave with 75 and name the holder."""
    overlapping(world, 4, waiting=False)


def eight_waiting(world: World) -> None:
    """Eight at once that wait for each other."""
    overlapping(world, 8, waiting=True)


def different_logs(world: World) -> None:
    """Four at once, each on a log of its own, into one database: they wait for each other."""
    started = []
    for number in range(4):
        log = world.logs / f"{number}.log"
        world.write(100, log)
        world.watched = lambda log=log: [log]
        started.append(start_of(world, "--wait", "60"))
    world.watched = None
    for process in started:
        world.check(end_of(world, process), 0, ())
    world.write(5)
    world.read()


def stale_lock(world: World) -> None:
    """A killed process leaves its lock file: it blocks nobody."""
    world.write(100)
    process = start_of(world, **{FAULT: "kill:committed:2"})
    world.require(end_of(world, process).exit_code == -signal.SIGKILL, "it was not killed")
    world.require(world.database.with_name("telemetry.db.lock").exists(), "there was no lock to be stale")
    world.read()


def hour_that_occurs_twice(world: World) -> None:
    """When the clock goes back, a time that occurs twice is the first of both; then another log."""
    world.needs_phase = False
    world.time_zone = "Australia/Sydney"
    line = Call(1).event.replace("2026-01-14 09:00:01", "2026-04-05 02:30:00")
    append(world.log, (line + "\n").encode())
    world.read()
    if world.is_tokentail:
        times = [row["timestamp"] for row in events(world.database)]
        world.require(times == ["2026-04-04 15:30:00.000000"], f"read as {times}")
        world.database.unlink()
    world.log.unlink()
    world.time_zone = "UTC"
    world.write(10)
    world.read(exits=(0, 1))


def zone_changed(world: World) -> None:
    """Another `--tz` for the same file, and for a copy of it: said, and no event doubled."""
    world.write(20)
    world.read()
    world.write(20)
    world.read("--tz", "Australia/Sydney", says=("times stay read as UTC", "not as Australia/Sydney"))
    copy = world.logs / "copy.log"
    copy.write_bytes(world.log.read_bytes())
    world.read("--tz", "Australia/Sydney", says="times stay read as UTC")
    world.write(5)
    world.read()


def part_elsewhere(world: World) -> None:
    """A log without its beginning, and its events alone, in another zone: said, and `--full` mends it."""
    world.write(40)
    world.read()
    lines = world.log.read_bytes().splitlines(keepends=True)
    event_lines = [line for line in lines if b"[TokenEstimationV2]" in line]
    for number, part in enumerate((lines[60:], event_lines)):
        (world.logs / f"part-{number}.log").write_bytes(b"".join(part))
        world.read("--tz", "Australia/Sydney", says="they are there twice, 11:00:00 apart")
        world.read("--tz", "UTC", "--full")


def clock_that_jumps(world: World) -> None:
    """Times that go back and forth: nothing depends on their order."""
    calls = world.made(30)
    random.Random(39).shuffle(calls)
    for start in range(0, 30, 10):
        append(world.log, text_of(calls[start : start + 10]).encode())
        world.read()


SCENARIOS = (
    Scenario("R29", "SIGKILL at random moments, appends between", killed_at_random, ALL, False, quick=False),
    Scenario("R31", "SIGTERM, SIGINT, SIGHUP", signalled, FINISHED, False),
    Scenario("R31b", "broken pipe", broken_pipe, FOLDER, False),
    Scenario("R32a", "two overlapping runs", two_overlapping, FOLDER, False),
    Scenario("R32b", "four overlapping runs, readers beside them", four_overlapping, FOLDER, False),
    Scenario("R32c", "eight runs that wait, readers beside them", eight_waiting, FOLDER, False, quick=False),
    Scenario("R32e", "four runs on different logs that wait", different_logs, FOLDER, False),
    Scenario("R32d", "a stale lock", stale_lock, FOLDER, False),
    Scenario("R39b", "an hour that occurs twice", hour_that_occurs_twice, FOLDER, False),
    Scenario("R39c", "a clock that jumps", clock_that_jumps, CRON),
    Scenario("R49", "--tz changed between two runs", zone_changed, FOLDER, False),
    Scenario("R49b", "parts of a log under another --tz", part_elsewhere, BACKFILL, False),
)
