"""`make syscalls`: one life of a log, and at each of its calls of the system an error, errors or a kill.

strace gives a call that touches the logs, the database or what stands beside them an error, once or from
there on, or kills the process before it. What went wrong must be said, with an exit code; and the same
command again, then the rest of the life, must end in the tables of a life that nobody disturbed.
"""

from __future__ import annotations

import gzip
import multiprocessing
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from faults import children, injection
from faults.calls import Call, text_of
from faults.tables import check_invariants, tables

ERRORS = {
    **dict.fromkeys(("open", "openat", "read", "pread64", "fsync", "fdatasync", "ftruncate"), "EIO"),
    **dict.fromkeys(("rename", "renameat", "renameat2", "unlink", "fcntl", "flock"), "EIO"),
    **dict.fromkeys(("write", "pwrite64"), "ENOSPC"),
}
"""The calls that are disturbed, and the error that each gets."""

FAULTS = {
    "once": "error={error}:when={number}",
    "on": "error={error}:when={number}+",
    "kill": "signal=KILL:when={number}",
}
"""What strace does at the n-th call: an error, an error from there on, or SIGKILL before it."""

STEPS = ("init", "ingest", "ingest-again", "merge", "prune", "backup")
_AGAIN = {"init": ["--force"], "backup": ["--force"]}
_LINE = re.compile(r"(\d+) +(\w+)\(")
_PROGRAM = [sys.executable, "-m", "faults.program"]
_ROOT = Path(__file__).resolve().parent.parent
_TIMEOUT_SECONDS = 120
_SHARE = 100
_KILLED = -signal.SIGKILL
PART = "part"
"""What stands in the names of unfinished files, where the program puts a random text otherwise."""

State = dict[str, object]


@dataclass(frozen=True, slots=True)
class Point:
    """The n-th call of a kind in a step of the life, and what happens there."""

    step: str
    call: str
    number: int
    fault: str

    def __str__(self) -> str:
        """Name it as the command line takes it."""
        return f"{self.step}/{self.call}/{self.number}/{self.fault}"

    @property
    def injection(self) -> str:
        """Return it in strace's words."""
        return f"inject={self.call}:" + FAULTS[self.fault].format(error=ERRORS[self.call], number=self.number)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a step ended, what it said, and the calls that strace saw."""

    status: int
    said: str
    trace: str


class Life:
    """A folder with logs, another machine's database, and all that the program makes there."""

    def __init__(self, root: Path) -> None:
        """Write the first log, and ingest the other machine's."""
        self.root, self.logs, self.db = root, root / "logs", root / "db"
        self.log, self.database, self.copy = self.logs / "run.log", self.db / "t.db", self.db / "copy.db"
        self.settings, self.other = self.db / "tokentail.toml", self.db / "other.db"
        self.logs.mkdir()
        self.db.mkdir()
        self.log.write_text(text_of([Call(number) for number in range(1, 9)]))
        far = root / "far.log"
        far.write_text(text_of([Call(number) for number in range(100, 105)]))
        self.must(["ingest", str(far), "--tz", "UTC", "--db", str(self.other)])

    def command(self, step: str) -> list[str]:
        """Return the command of a step."""
        settings = ["--config", str(self.settings)]
        return {
            "init": ["init", str(self.logs), "--tz", "UTC", "--db", str(self.database), *settings],
            "ingest": ["ingest", *settings],
            "ingest-again": ["ingest", *settings],
            "merge": ["merge", str(self.other), *settings],
            "prune": ["prune", "--older-than", f"{Call(4).moment:%Y-%m-%dT%H:%M:%S}", *settings],
            "backup": ["backup", str(self.copy), *settings],
        }[step]

    def happen(self, step: str) -> None:
        """Before the second ingest, rotate the log, compress the rotation, and begin another log."""
        if step == "ingest-again":
            packed = self.log.rename(self.logs / "run.log.1")
            self.logs.joinpath("run.log.1.gz").write_bytes(gzip.compress(packed.read_bytes()))
            packed.unlink()
            self.log.write_text(text_of([Call(number) for number in range(9, 15)]))

    def must(self, command: list[str]) -> None:
        """Run a command without a fault, which must leave with 0."""
        errors = self.root / children.ERRORS
        if status := children.end(children.start(command, errors)):
            raise AssertionError(f"{command[0]} left with {status}: {errors.read_text()[-300:]}")

    def traced(self, step: str, *options: str) -> Ended:
        """Run a step under strace, which sees the calls on the files of this life and on no others."""
        trace, calls = self.root / "trace", "trace=" + ",".join(f"?{call}" for call in ERRORS)
        strace = ["strace", "-f", "-qq", "-o", str(trace), "-e", calls]
        files = [option for path in self.files() for option in ("-P", str(path))]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TOKENTAIL")}
        ended = subprocess.run(
            [*strace, *options, *files, *_PROGRAM, *self.command(step)],
            env=kept | {injection.BATCH_RECORDS: str(children.BATCH_RECORDS), injection.PART: PART},
            cwd=_ROOT,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout + ended.stderr, trace.read_text(errors="replace"))

    def files(self) -> Iterator[Path]:
        """Name the logs, the databases, and what may stand beside them."""
        yield from (self.logs, self.log, self.logs / "run.log.1.gz", self.db, self.settings)
        for file in (self.database, self.other, self.copy, self.db / f".tokentail-{PART}.part"):
            for ending in ("", "-wal", "-shm", "-journal", ".lock"):
                yield file.with_name(file.name + ending)

    def state(self) -> State:
        """Return all that was made so far, as values that can be compared."""
        made: State = {}
        if self.settings.exists():
            made["settings"] = self.settings.read_text().replace(str(self.root), "")
        for database in (self.database, self.copy):
            if database.exists():
                try:
                    made[database.name] = tables(database)
                except sqlite3.Error as error:
                    made[database.name] = f"can't be read: {error}"
        return made


@contextmanager
def new_life() -> Iterator[Life]:
    """Begin a life in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="syscalls-") as folder:
        yield Life(Path(folder))


def undisturbed() -> tuple[dict[str, State], list[Point]]:
    """Live without a fault: what there is after each step, and every point at which there could be one."""
    states, counts = dict[str, State](), dict[tuple[str, str], int]()
    with new_life() as life:
        for step in STEPS:
            life.happen(step)
            ended = life.traced(step)
            if ended.status:
                raise AssertionError(f"{step} left with {ended.status} undisturbed: {ended.said}")
            states[step] = life.state()
            made = Counter(found.groups() for found in map(_LINE.match, ended.trace.splitlines()) if found)
            for (_, call), count in made.items():  # `when=` counts the calls of each thread by itself
                counts[step, call] = max(count, counts.get((step, call), 0))
    points = [
        Point(step, call, number, fault)
        for fault in FAULTS
        for (step, call), count in counts.items()
        for number in range(1, count + 1)
    ]
    return states, points


def played(point: Point, expected: dict[str, State]) -> tuple[str, str]:
    """Live with a fault; return what the program made of it, and what is wrong, if anything is."""
    with new_life() as life:
        outcome, wrong = "undisturbed", ""
        try:
            for step in STEPS:
                life.happen(step)
                if step != point.step:
                    life.must(life.command(step))
                    continue
                outcome, wrong = _judged(
                    life, life.traced(step, "-e", point.injection), point, expected[step]
                )
                life.must([*life.command(step), *_AGAIN.get(step, ())])
                wrong = wrong or differences(expected[step], life.state())
            check_invariants(life.database)
            return outcome, wrong or differences(expected[STEPS[-1]], life.state())
        except (AssertionError, sqlite3.Error, subprocess.TimeoutExpired) as error:
            return outcome, wrong or f"{error}"


def _judged(life: Life, ended: Ended, point: Point, expected: State) -> tuple[str, str]:
    """Return what came of a step with a fault, and what is wrong: an error is not said, or is a traceback."""
    if point.fault == "kill":
        return ("killed", "") if ended.status == _KILLED else ("not reached", "")
    if "(INJECTED)" not in ended.trace:
        return "not reached", ""
    if ended.status:
        is_said = ended.said.strip() and "Traceback" not in ended.said and ended.status > 0
        return "said", "" if is_said else f"left with {ended.status}, saying {ended.said[-600:]!r}"
    difference = differences(expected, life.state())
    return "without effect", f"silent: {difference}; said {ended.said!r}" if difference else ""


def differences(expected: State, found: State) -> str:
    """Name the rows that are missing or too many, if any are."""
    wanted, got = Counter(_rows(expected)), Counter(_rows(found))
    differing = {"lost": list((wanted - got).elements()), "too many": list((got - wanted).elements())}
    return "; ".join(f"{len(rows)} {what}: {rows[0][:200]}" for what, rows in differing.items() if rows)


def _rows(state: State) -> Iterator[str]:
    for name, made in state.items():
        if not isinstance(made, dict):
            yield f"{name}: {made}"
            continue
        for table, rows in made.items():
            yield from (f"{name} {table}: {row}" for row in rows)


@click.command()
@click.argument("names", nargs=-1)
@click.option("--every", default=1, help="Of the points, take each N-th.")
@click.option("--first", default=0, help="Points to leave out first.")
@click.option("--jobs", default=2, help="Processes that do this side by side.")
def main(names: tuple[str, ...], every: int, first: int, jobs: int) -> None:
    """Disturb every call of the system in one life, or those of these NAMES (merge/pwrite64/12/once)."""
    if shutil.which("strace") is None:
        raise click.ClickException("strace is not installed, which puts the faults in")
    started = time.monotonic()
    expected, points = undisturbed()
    chosen = [point for point in points if str(point) in names] if names else points[first::every]
    click.echo(f"{len(points):,} points, of which {len(chosen):,} are played")
    outcomes, troubles = Counter[str](), 0
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        for point, (outcome, wrong) in zip(
            chosen, pool.map(partial(played, expected=expected), chosen), strict=True
        ):
            outcomes[f"{point.fault}: {outcome}"] += 1
            troubles += bool(wrong)
            if outcomes.total() % _SHARE == 0:
                click.echo(f"{outcomes.total():,} of {len(chosen):,}", err=True)
            if wrong:
                click.echo(f"WRONG: {point}: {wrong}")
    counts = ", ".join(f"{count:,} {what}" for what, count in sorted(outcomes.items()))
    click.echo(f"{len(chosen):,} points ({counts}): {troubles} wrong ({time.monotonic() - started:.0f} s)")
    sys.exit(1 if troubles or not chosen else 0)


if __name__ == "__main__":
    main()
