"""A scenario's world: a folder of logs, the executor that writes them, and a tailer that reads them.

The world remembers every call whose event could be read at some moment: that is the oracle.
"""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from faults.calls import Call, text_of

MODES = {"folder": "ingest", "named": "ingest", "backfill": "backfill", "follow": "follow"}
"""How logs are read: a folder, one file by its name, a folder of finished logs, a folder that is followed
until it is quiet; and the command for it."""


@dataclass(slots=True)
class Outcome:
    """What one process of a tailer came to."""

    exit_code: int
    output: str = ""
    errors: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a tailer gave: how often the event of each call, and events that no log ever held."""

    counts: dict[int, int]
    damaged: list[str]


class Tailer(Protocol):
    """Something that reads logs which grow, and is to give each line once."""

    name: str

    def run(self, world: World, options: Sequence[str], environment: dict[str, str]) -> Outcome:
        """Read what is new, in a process of its own."""

    def seen(self, world: World) -> Seen:
        """Return what it gave so far."""


@dataclass
class World:
    """One scenario's folder and what was written there.

    `expected` are the numbers of the calls that must be there in the end, `complaints` what else was not
    as it should be, `awaited` what isn't yet. `needs_phase` is false where an event may lose its
    surroundings, `verified` where `verify` can't compare in the end. `watched` returns what is read
    instead of what the mode says.
    """

    root: Path
    tailer: Tailer
    mode: str = "folder"
    calls: dict[int, Call] = field(default_factory=dict)
    expected: set[int] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)
    awaited: list[str] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    needs_phase: bool = True
    verified: bool = True
    watched: Callable[[], list[Path]] | None = None
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        """Make the folder of logs."""
        self.logs.mkdir(parents=True)

    # Places

    @property
    def logs(self) -> Path:
        """The folder that holds the logs."""
        return self.root / "logs"

    @property
    def log(self) -> Path:
        """The log that is written."""
        return self.logs / "run.log"

    @property
    def database(self) -> Path:
        """The database, outside the folder of logs."""
        return self.root / "db" / "telemetry.db"

    @property
    def is_tokentail(self) -> bool:
        """Whether it is our own program that is tried."""
        return self.tailer.name == "tokentail"

    @property
    def paths(self) -> list[Path]:
        """What the tailer is given to read."""
        if self.watched is not None:
            return self.watched()
        return [self.log] if self.mode == "named" or not self.is_tokentail else [self.logs]

    def watch(self, pattern: str) -> None:
        """Have other tailers read all files of a pattern, each as a log of its own."""
        if not self.is_tokentail:
            self.watched = lambda: sorted(self.logs.glob(pattern))

    # Writing

    def made(self, count: int, **details: Any) -> list[Call]:
        """Make up calls that must be found in the end; the caller writes them."""
        first = len(self.calls) + 1
        calls = [Call(number, **details) for number in range(first, first + count)]
        self.calls |= {call.number: call for call in calls}
        self.expected |= {call.number for call in calls}
        return calls

    def write(self, count: int, to: Path | IO[bytes] | None = None) -> list[Call]:
        """Append calls to a log, or to one that a writer holds open."""
        calls = self.made(count)
        data = text_of(calls).encode()
        if to is None or isinstance(to, Path):
            append(to or self.log, data)
        else:
            to.write(data)
            to.flush()
        return calls

    def gone(self, calls: list[Call]) -> None:
        """Say that nobody could have read these."""
        self.expected -= {call.number for call in calls}

    # Rotating

    def rotate(self) -> Path:
        """Shift the rotations by one and rename the log to `.1`; return its new name."""
        for number in range(9, 0, -1):
            for ending in ("", ".gz"):
                older = self.log.with_name(f"run.log.{number}{ending}")
                if older.exists():
                    older.rename(self.log.with_name(f"run.log.{number + 1}{ending}"))
        return self.log.rename(self.log.with_name("run.log.1"))

    def copytruncate(self) -> Path:
        """Copy the log to `.1` and truncate it, as logrotate does."""
        copy = self.log.with_name("run.log.1")
        shutil.copyfile(self.log, copy)
        os.truncate(self.log, 0)
        return copy

    def compress(self, path: Path) -> Path:
        """Compress a file as gzip does: another file, the same times, the first one gone."""
        packed = path.with_name(f"{path.name}.gz")
        packed.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        shutil.copystat(path, packed)
        path.unlink()
        return packed

    # Reading

    def read(
        self,
        *options: str,
        exits: int | tuple[int, ...] = 0,
        says: str | tuple[str, ...] = (),
        faults: dict[str, str] | None = None,
    ) -> Outcome:
        """Let the tailer read what is new; ours must leave with `exits` and say all of `says`."""
        outcome = self.tailer.run(self, options, faults or {})
        self.outcomes.append(outcome)
        if self.is_tokentail:
            self.check(outcome, exits, says)
        return outcome

    def check(self, outcome: Outcome, exits: int | tuple[int, ...], says: str | tuple[str, ...]) -> None:
        """Hold what our program said and left with against what it should."""
        allowed = (exits,) if isinstance(exits, int) else exits
        if outcome.exit_code not in allowed:
            self.complaints.append(f"exit {outcome.exit_code}, not {exits}: {outcome.errors.strip()[-300:]}")
        for text in (says,) if isinstance(says, str) else says:
            if text not in outcome.errors + outcome.output:
                self.complaints.append(f"does not say {text!r}: {outcome.errors.strip()[-300:]!r}")
        if "Traceback" in outcome.errors:
            self.complaints.append(f"a traceback: {outcome.errors.strip()[-300:]}")

    def await_rule(self, holds: bool, rule: str) -> None:
        """Note what doesn't hold yet, in a scenario that says what it awaits."""
        if not holds:
            self.awaited.append(rule)

    def require(self, holds: bool, rule: str) -> None:
        """Complain unless something holds; only our program promises it."""
        if self.is_tokentail and not holds:
            self.complaints.append(rule)

    @contextmanager
    def writer(self) -> Iterator[IO[bytes]]:
        """Hold the log open for writing, as the executor does."""
        with self.log.open("ab") as file:
            yield file


def append(path: Path, data: bytes) -> None:
    """Write at the end of a file."""
    with path.open("ab") as file:
        file.write(data)
