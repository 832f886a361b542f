"""Pipes: ended by signals, and the same one again and again, as cron and `journalctl` make them."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from faults.calls import text_of
from faults.scenarios.processes import end_of, wait_until_caught_up
from faults.scenarios.scenario import Scenario
from faults.tables import tables
from faults.tailers import command_of, environment_of
from faults.world import World


def _begun(world: World, data: bytes) -> subprocess.Popen[str]:
    """Start an ingest of a pipe that stays open, with something in it."""
    world.watched = lambda: [Path("-")]
    world.database.parent.mkdir(exist_ok=True)
    process = subprocess.Popen(
        command_of(world),
        cwd=world.root,
        env=environment_of(world, {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _feed(process, data)
    return process


def _feed(process: subprocess.Popen[str], data: bytes) -> None:
    assert process.stdin is not None
    os.write(process.stdin.fileno(), data)


def pipe_signalled(world: World) -> None:
    """SIGTERM, SIGINT, SIGHUP while more waits in the pipe, a last line without its newline: it is stored."""
    for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 130)):
        process = _begun(world, text_of(world.made(20)).encode())
        wait_until_caught_up(world, process)
        process.send_signal(signal.SIGSTOP)
        _feed(process, text_of(world.made(20)).encode().removesuffix(b"\n"))
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        world.check(end_of(world, process), code, ())


def pipe_again(world: World) -> None:
    """A log that grows, piped whole each time; once only its first half, and once with a call changed."""
    data = b""
    for turn in range(6):
        data += text_of(world.made(100)).encode()
        world.check(end_of(world, _begun(world, data)), 0, ())
        if turn == 3:
            world.check(end_of(world, _begun(world, data[: len(data) // 2])), 0, ())
    for _ in range(2):
        world.check(end_of(world, _begun(world, data)), 0, ())
    # The changed pipe begins as the half did, so it goes on with that one's source.
    other = data.replace(text_of([world.calls[300]]).encode(), text_of(world.made(1)).encode())
    world.check(end_of(world, _begun(world, other)), 0, ())
    pipes = [marker_lines for _, _, _, _, _, _, marker_lines, *_ in tables(world.database)["sources"]]
    world.require(sorted(pipes) == [600, 600], f"places in the pipes: {pipes}")


SCENARIOS = (
    Scenario("R67", "a pipe ended by SIGTERM, SIGINT, SIGHUP", pipe_signalled, ("named",), False),
    Scenario("R68", "the same pipe again and again", pipe_again, ("named",), False),
)
