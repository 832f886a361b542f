"""`make fleet`: a fleet of executors writes, `follow` reads, is killed and started again: all is exact.

In the first third it is ended at any moment, by SIGKILL, SIGTERM or SIGINT. Then it is left alone, and its
memory and its open files must not grow. In the last tenth it is ended again, and what is started then has to
find all that was written.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path
from statistics import median

import click

from faults.calls import FIRST_PREDICTION, Call
from faults.fleet_writer import Writer
from faults.injection import CACHE_BYTES
from faults.tables import check_invariants
from faults.tailers import ROOT
from ingest.pipeline import ingest
from ingest.reading.zone import zone_named
from ingest.summary import IngestOptions
from ingest.verify import verify

STEP_SECONDS = 0.02
"""How long nobody writes before the next of the writers does."""

ROTATIONS = 40
"""About how often each log is rotated, however long the fleet runs."""

CATCH_UP_SECONDS = 60.0
"""How long a follow may take to read the rest when all have stopped writing."""

WARM_UP_SECONDS = 1.5
"""How long a follow needs to start and to import what it needs."""

GROWTH_BYTES = 8_000_000
MOST_FILES = 24
"""How much memory may grow while nobody ends it, and how many files it may have open at any moment."""

_EVENTS = "SELECT predicted_output_tokens, timestamp_text, model FROM token_estimation_v2_events"
_EXITS = {signal.SIGKILL: (-signal.SIGKILL,), signal.SIGTERM: (0,), signal.SIGINT: (130, -signal.SIGINT)}
"""What a signal makes of a follow. Python ends by the signal itself, which a shell sees as 130, if that came
while a class was being made."""


@dataclass
class Fleet:
    """The writers, the follow, and what was wrong so far."""

    root: Path
    rng: random.Random
    wrong: list[str] = field(default_factory=list)
    ended: Counter[str] = field(default_factory=Counter)
    memory: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the folder of logs."""
        self.logs = self.root / "logs"
        self.logs.mkdir()
        self.database = self.root / "telemetry.db"
        self.output = self.root / "output"
        self.begun = self.root / "begun"
        self.start()

    # The follow

    def start(self) -> None:
        """Start to follow."""
        self.begun.unlink(missing_ok=True)
        self.started = time.monotonic()
        command = [sys.executable, "-m", "faults.program", "follow", "--tz", "UTC"]
        with self.begun.open("ab") as begun, self.output.open("ab") as output:
            self.follow = subprocess.Popen(
                [*command, "--db", str(self.database), str(self.logs)],
                # The usual cache takes hours to fill, which would look as if memory grew.
                env={**os.environ, "PYTHONPATH": str(ROOT), CACHE_BYTES: "1000000"},
                stdout=begun,
                stderr=output,
            )

    def end(self, number: signal.Signals) -> None:
        """End the follow by a signal, and hold its exit code against what it should be."""
        while number != signal.SIGKILL and not self.begun.stat().st_size and self.follow.poll() is None:
            time.sleep(0.01)  # until it has said that it began, so it handles signals
        with suppress(ProcessLookupError):
            self.follow.send_signal(number)
        code = self.follow.wait(CATCH_UP_SECONDS)
        self.ended[number.name] += 1
        if code not in _EXITS[number]:
            self.wrong.append(f"ended by {number.name} with {code}: {self.said()}")

    def said(self) -> str:
        """Return the last that the follows said of trouble."""
        return self.output.read_text(encoding="utf-8", errors="replace")[-600:]

    def measure(self) -> None:
        """Note how much memory the follow has, and how many open files."""
        if sys.platform == "linux" and time.monotonic() - self.started > WARM_UP_SECONDS:
            with suppress(OSError):
                pages = int(Path(f"/proc/{self.follow.pid}/statm").read_text(encoding="ascii").split()[1])
                self.memory.append(pages * os.sysconf("SC_PAGE_SIZE"))
                self.files.append(len(os.listdir(f"/proc/{self.follow.pid}/fd")))

    # What is stored

    def numbers(self) -> Counter[int]:
        """Return how often each call is stored."""
        with closing(sqlite3.connect(self.database)) as connection:
            return Counter(row[0] - FIRST_PREDICTION for row in connection.execute(_EVENTS))

    def has(self, numbers: set[int]) -> bool:
        """Whether calls are stored."""
        with suppress(sqlite3.OperationalError):
            return numbers <= self.numbers().keys()
        return False

    def run(self, seconds: float, count_of_writers: int) -> list[int]:
        """Let the fleet live; return the numbers of all calls that it wrote."""
        numbers = count(1)
        writers = [
            Writer(self.logs / f"executor-{number}", numbers, random.Random(self.rng.random()), self.has)
            for number in range(count_of_writers)
        ]
        ends = cycle([signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
        began = time.monotonic()
        next_end, rotated = began + self.rng.random(), [began] * len(writers)
        while (now := time.monotonic()) < began + seconds:
            place = self.rng.randrange(len(writers))
            writers[place].write()
            if now - rotated[place] > self.rng.uniform(0.5, 1.5) * seconds / ROTATIONS:
                writers[place].rotate()
                rotated[place] = now
            share = (now - began) / seconds
            if self.follow.poll() is not None:
                self.wrong.append(f"follow ended by itself with {self.follow.returncode}: {self.said()}")
                self.start()
            if 1 / 3 < share < 0.9:
                self.measure()
            elif now >= next_end:
                self.end(next(ends))
                self.start()
                next_end = time.monotonic() + self.rng.expovariate(1 / (0.4 + seconds / 100))
            time.sleep(STEP_SECONDS)
        for writer in writers:
            writer.close()
        return [number for writer in writers for number in writer.written]

    # The end

    def catch_up(self, written: list[int]) -> None:
        """Wait until all is stored."""
        deadline = time.monotonic() + CATCH_UP_SECONDS
        while not self.has(set(written)) and time.monotonic() < deadline:
            time.sleep(0.1)
        self.end(signal.SIGTERM)

    def check(self, written: list[int]) -> None:
        """Hold the database against what was written, and against the logs."""
        stored = self.numbers()
        lost, more = set(written) - stored.keys(), stored.keys() - set(written)
        doubled = [number for number, times in stored.items() if times > 1]
        for what, found in (("lost", sorted(lost)), ("never written", sorted(more)), ("doubled", doubled)):
            if found:
                self.wrong.append(f"{len(found)} {what}: {found[:5]}")
        with closing(sqlite3.connect(self.database)) as connection:
            for predicted, text, model in connection.execute(_EVENTS):
                call = Call(predicted - FIRST_PREDICTION)
                if (text, model) != (f"{call.moment:%Y-%m-%d %H:%M:%S}", "some-model-4"):
                    self.wrong.append(f"damaged: call {call.number}: {text}, {model}")
        check_invariants(self.database)
        again = ingest([str(self.logs)], self.database, IngestOptions("ingest", zone_named("UTC")))
        if again.events_new or again.problems:
            self.wrong.append(f"the next ingest found {again.events_new} more, {again.problems}")
        found_differences = verify([str(self.logs)], self.database)
        self.wrong += [
            f"verify: {text}" for text in (*found_differences.differences, *found_differences.problems)
        ]
        if "Traceback" in self.output.read_text(encoding="utf-8", errors="replace"):
            self.wrong.append(f"a traceback: {self.said()}")
        self._check_flat()

    def _check_flat(self) -> None:
        quarter = len(self.memory) // 4
        if quarter:
            first, last = max(self.memory[quarter : 2 * quarter]), max(self.memory[-quarter:])
            if last > first + GROWTH_BYTES:
                self.wrong.append(f"memory grew from {first:,} to {last:,} bytes")
            before, after = median(self.files[quarter : 2 * quarter]), median(self.files[-quarter:])
            if after > before + 2 or max(self.files) > MOST_FILES:
                self.wrong.append(
                    f"open files: {before:g} at first, {after:g} at last, {max(self.files)} at most"
                )

    def summary(self, written: int) -> str:
        """Say what was tried."""
        ended = ", ".join(f"{times} by {name}" for name, times in sorted(self.ended.items()))
        flat = "not measured here"
        if self.memory:
            quarter = len(self.memory) // 4
            flat = (
                f"{max(self.memory[quarter : 2 * quarter] or [0]) / 1e6:.1f} MB at first, "
                f"{max(self.memory[-quarter:]) / 1e6:.1f} MB at last, {max(self.files)} open files at most"
            )
        return f"{written:,} calls; follow ended {ended}; left alone it had {flat}"


@click.command()
@click.option("--seconds", default=300.0, help="How long the fleet writes.")
@click.option("--writers", default=12, help="How many executors.")
@click.option("--seed", type=int, help="Another one each time if it is left out.")
def main(seconds: float, writers: int, seed: int | None) -> None:
    """Follow a fleet that writes and rotates; whatever ends the follow, each call must be there once."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background would have it ignored
    chosen = random.SystemRandom().randrange(1 << 30) if seed is None else seed
    click.echo(f"seed {chosen}: {writers} executors, {seconds:g} s")
    with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
        fleet = Fleet(Path(folder), random.Random(chosen))
        try:
            written = fleet.run(seconds, writers)
            fleet.catch_up(written)
        finally:
            fleet.follow.kill()
            fleet.follow.wait()
        fleet.check(written)
    for text in fleet.wrong[:20]:
        click.echo(f"WRONG: {text}")
    click.echo(f"{fleet.summary(len(written))}: {len(fleet.wrong)} wrong")
    sys.exit(1 if fleet.wrong else 0)


if __name__ == "__main__":
    main()
