"""Logs of any size, made from a seed: real-shaped ones, ones without our lines, ones of nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from bench import calls
from bench.events import Values, draw
from bench.noise import STAMP, Noise
from bench.tally import Tally

BYTES_PER_EVENT = 13_717
"""72,900 events in a GB, as in real logs: about seven lines of a thousand."""

FEW = 0.1
"""The share of calls that have the lines around them, in a log with few."""

PHASES_PER_RUN = 300
PHASES_PER_QUEUE = 10

LOG_BYTES = 340_000
"""What a log file has on average; most are shorter, a few are a hundred times as long."""

_LOG_BYTES_SPREAD, _LARGEST_LOG_BYTES = 1.4, 30_000_000
_STAMP = STAMP.encode()
_BEGAN = datetime(2024, 3, 1, 6, 0, 0)  # noqa: DTZ001  logs have local times without an offset


class Clock:
    """The time that lines are stamped with; it only goes forward."""

    def __init__(self, seed: int) -> None:
        self._now = _BEGAN + timedelta(hours=seed % 97)
        self.stamp = b""
        self.pass_by(0)

    def pass_by(self, seconds: int) -> None:
        """Go forward, by no second or more."""
        self._now += timedelta(seconds=seconds)
        self.stamp = f"[{self._now:%Y-%m-%d %H:%M:%S}] ".encode()

    def stamped(self, block: bytes) -> bytes:
        """Put the time where a block has a place for it."""
        return block.replace(_STAMP, self.stamp)


class Executor:
    """An executor that goes from run to run and phase to phase, with as much noise as room is left for.

    `with_context` is the share of phases whose calls have the usual lines; of the others there is nothing
    but the event.
    """

    def __init__(self, seed: int, with_context: float = 1.0) -> None:
        self._rng = Random(f"calls {seed}")
        self._noise = Noise(seed)
        self._clock = Clock(seed)
        self._tag = f"s{seed}"
        self._with_context = with_context
        self.tally = Tally()

    def noise(self, room_bytes: int) -> Iterator[bytes]:
        """Yield blocks until the room is filled; the last one may go a little beyond."""
        while room_bytes > 0:
            self._clock.pass_by(int(self._rng.random() * 3))
            block = self._clock.stamped(self._noise.block())
            room_bytes -= len(block)
            yield block

    def _said(self, lines: list[str]) -> bytes:
        return self._clock.stamped(("\n".join(lines) + "\n").encode())

    def phase(self, number: int) -> Iterator[bytes]:
        """Yield the lines of a phase with one event, or two where the call is repeated with more room."""
        rng, run = self._rng, f"{self._tag}-run-{number // PHASES_PER_RUN}"
        name = f"{run}-p{number % PHASES_PER_RUN}-{rng.randrange(10**6):06d}"
        if number % PHASES_PER_RUN == 0:
            if number:
                yield self._said([calls.LOOP_FINISHED])
            yield self._said(calls.run_lines(run, rng))
        values = draw(rng)
        if number and self._with_context < 1 and rng.random() >= self._with_context:
            yield from self.noise(7500)
            yield self._said([f"{calls.INFO}{values.line()}"])
            self.tally.add(values)
            return
        yield from self._phase(run, name, values)

    def _phase(self, run: str, name: str, values: Values) -> Iterator[bytes]:
        rng = self._rng
        paths = calls.paths_of(values, rng)
        yield from self.noise(2500)
        yield self._said(calls.opening(run, name, paths, rng))
        yield from self.noise(2500)
        yield from self._call(run, name, 0, values)
        if values.truncated and rng.random() < 0.7:
            yield self._said(calls.escalating(name, 0, values))
            yield from self.noise(5000)
            values = draw(rng)
            yield from self._call(run, name, 1, values)
        yield from self.noise(2500)
        yield self._said(calls.closing(name, paths, values, rng))

    def process(self, number: int) -> Iterator[bytes]:
        """Yield the lines of a process that a queue starts for one phase; its call succeeds."""
        rng, run = self._rng, f"{self._tag}-queue-{number // PHASES_PER_QUEUE}"
        name = f"{run}-p{number % PHASES_PER_QUEUE}-{rng.randrange(10**6):06d}"
        values = replace(draw(rng), success=True)
        parts = calls.drained(run, name, number, values, calls.paths_of(values, rng), rng)
        for lines, room_bytes in zip(parts, (800, 400, 1500, 0), strict=True):
            yield self._said(lines)
            self._clock.pass_by(1 + rng.randrange(20))
            yield from self.noise(room_bytes)
        self.tally.add(values)

    def log(self, number: int, size_bytes: int) -> Iterator[bytes]:
        """Yield a log file of about so many bytes: one run from its start to its end, or a queue's processes.

        Some have nothing of ours: the executor found nothing to do, or somebody else wrote it.
        """
        rng, run, written, before = self._rng, f"{self._tag}-run-{number}", 0, self.tally.events
        kind = rng.choices(("run", "queue", "nothing"), (0.6, 0.25, 0.15))[0]
        if kind == "nothing":
            yield from self.noise(size_bytes)
            return
        if kind == "run":
            yield self._said(calls.run_lines(run, rng))
        while written < size_bytes:
            events = self.tally.events
            phase = (
                self.process(events) if kind == "queue" else self._phase(run, f"{run}-p{events}", draw(rng))
            )
            for block in phase:
                written += len(block)
                yield block
            for block in self.noise((self.tally.events - before) * BYTES_PER_EVENT - written):
                written += len(block)
                yield block
        if kind == "run":
            yield self._said([calls.LOOP_FINISHED])

    def _call(self, run: str, name: str, attempt: int, values: Values) -> Iterator[bytes]:
        yield self._said(calls.asking(run, name, attempt, values, self._rng))
        self._clock.pass_by(2 + self._rng.randrange(60))
        yield self._said(calls.answering(name, values))
        self.tally.add(values)


def write_sparse(path: Path, size_bytes: int, seed: int, with_context: float = 1.0) -> Tally:
    """Write a real-shaped log of about so many bytes, as an `Executor` does; return what is in it."""
    executor = Executor(seed, with_context)
    written = number = 0
    with path.open("wb", buffering=1 << 20) as file:
        while written < size_bytes:
            for block in executor.phase(number):
                written += file.write(block)
            for block in executor.noise(executor.tally.events * BYTES_PER_EVENT - written):
                written += file.write(block)
            number += 1
    return executor.tally


def write_drained(path: Path, size_bytes: int, seed: int) -> Tally:
    """Write a log of about so many bytes in which each call has a process of its own."""
    executor = Executor(seed)
    written = number = 0
    with path.open("wb", buffering=1 << 20) as file:
        while written < size_bytes:
            for block in executor.process(number):
                written += file.write(block)
            for block in executor.noise(executor.tally.events * BYTES_PER_EVENT - written):
                written += file.write(block)
            number += 1
    return executor.tally


def write_many(folder: Path, size_bytes: int, seed: int) -> Tally:
    """Write a folder of log files, of all sizes that logs have, together of about so many bytes."""
    executor, rng = Executor(seed), Random(f"sizes {seed}")
    typical = math.log(LOG_BYTES) - _LOG_BYTES_SPREAD**2 / 2
    written = number = 0
    folder.mkdir()
    while written < size_bytes:
        room_bytes = min(int(rng.lognormvariate(typical, _LOG_BYTES_SPREAD)), _LARGEST_LOG_BYTES)
        with (folder / f"executor-{number:05d}.log").open("wb", buffering=1 << 20) as file:
            for block in executor.log(number, min(room_bytes, size_bytes - written)):
                written += file.write(block)
        number += 1
    return executor.tally


def write_none(path: Path, size_bytes: int, seed: int) -> Tally:
    """Write a log of about so many bytes without a line of ours."""
    executor = Executor(seed)
    with path.open("wb", buffering=1 << 20) as file:
        for block in executor.noise(size_bytes):
            file.write(block)
    return executor.tally


def write_dense(path: Path, events: int, seed: int) -> Tally:
    """Write a log of event lines alone, all distinct: what a second has twice is drawn again."""
    rng, clock, tally = Random(f"dense {seed}"), Clock(seed), Tally()
    seen: set[str] = set()
    with path.open("wb", buffering=1 << 20) as file:
        while tally.events < events:
            if seconds := int(rng.random() * 5):
                clock.pass_by(seconds)
                seen.clear()
            values = draw(rng)
            line = values.line()
            if line not in seen:
                seen.add(line)
                file.write(b"%sINFO: %s\n" % (clock.stamp, line.encode()))
                tally.add(values)
    return tally
