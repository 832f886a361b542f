"""What is tried: our program, and other tailers where they are installed, each in its own best set-up.

The others keep an offset for each file and print the lines that are new; ours keeps a database.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from faults.calls import FIRST_PREDICTION, Call, number_in
from faults.world import MODES, Outcome, Seen, Tailer, World

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_SECONDS = 300

QUIET_SECONDS = "0.7"
"""How long nothing is new before a follow ends."""

_EVENTS = """
SELECT predicted_output_tokens, actual_output_tokens, timestamp, timestamp_text, phase_id, run_id, category,
    selected_budget, success, truncated, stop_reason, model
FROM token_estimation_v2_events
"""


def environment_of(world: World, more: dict[str, str]) -> dict[str, str]:
    """Return the environment of a process, without settings of the program from outside."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("DATABASE_", "TOKENTAIL"))
    }
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "TZ": world.time_zone, **more}


def command_of(world: World, options: Sequence[str] = ()) -> list[str]:
    """Return the command that reads a world's logs into its database."""
    zone = () if "--tz" in options else ("--tz", world.time_zone)
    until = ("--until-idle", QUIET_SECONDS) if world.mode == "follow" else ()
    return program(
        MODES[world.mode], *until, "--db", str(world.database), *zone, *options, *map(str, world.paths)
    )


def program(*arguments: str) -> list[str]:
    """Return a command of our program, with faults built in as the environment asks."""
    return [sys.executable, "-m", "faults.program", *arguments]


def verify_command(world: World) -> list[str]:
    """Return the command that compares a world's database with all logs that it knows."""
    return program("verify", "--quiet", "--db", str(world.database))


class Tokentail:
    """Our own program, through its command line."""

    name = "tokentail"

    def run(self, world: World, options: Sequence[str], environment: dict[str, str]) -> Outcome:
        """Read what is new by the command of the mode."""
        return run_process(world, command_of(world, options), environment)

    def seen(self, world: World) -> Seen:
        """Read the events back, and compare each with the call that it is of."""
        counts: Counter[int] = Counter()
        damaged = []
        if not world.database.exists():
            return Seen({}, [])
        with closing(sqlite3.connect(world.database)) as connection:
            for row in connection.execute(_EVENTS):
                number = int(row[0]) - FIRST_PREDICTION
                counts[number] += 1
                call = world.calls.get(number)
                if call is None or not _is_of(row, call, world.needs_phase):
                    damaged.append(f"event {row}")
        return Seen(dict(counts), damaged)


def _is_of(row: tuple[object, ...], call: Call, needs_phase: bool) -> bool:
    predicted, actual, timestamp, text, phase, run, category, *rest = row
    second = f"{call.moment:%Y-%m-%d %H:%M:%S}"
    return (
        (predicted, actual, timestamp, text) == (call.predicted, call.actual, f"{second}.000000", second)
        and (phase == call.phase or (phase == "unknown" and not needs_phase))
        and run in (call.run, "unknown")
        and category == call.category
        and rest == [8192, 1, 0, "end_turn", "some-model-4"]
    )


def run_process(
    world: World,
    command: Sequence[str],
    environment: dict[str, str] | None = None,
    prepare: Callable[[], None] | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Outcome:
    """Run a process to its end in the world's folder; `prepare` is called in it, before the command."""
    world.database.parent.mkdir(exist_ok=True)
    done = subprocess.run(
        command,
        cwd=world.root,
        env=environment_of(world, environment or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=timeout_seconds,
        preexec_fn=prepare,
    )
    output, errors = (text.decode("utf-8", "replace") for text in (done.stdout, done.stderr))
    return Outcome(done.returncode, output, errors)


def call(
    world: World, *arguments: object, exits: int | tuple[int, ...] = 0, says: str | tuple[str, ...] = ()
) -> Outcome:
    """Run any command of our program, which must leave with `exits` and say all of `says`."""
    outcome = run_process(world, program(*map(str, arguments)))
    world.outcomes.append(outcome)
    world.check(outcome, exits, says)
    return outcome


class _Printing:
    """A tailer that prints new lines; `command` reads one log and keeps its offset in a file."""

    name = ""

    def command(self, log: Path, offset: Path) -> list[str]:
        """Return the command for one log."""
        raise NotImplementedError

    def run(self, world: World, options: Sequence[str], environment: dict[str, str]) -> Outcome:  # noqa: ARG002
        """Append what is new of each log to one output."""
        world.database.parent.mkdir(exist_ok=True)
        worst = 0
        for log in world.paths:
            offset = world.database.with_name(f"{log.name}.offset")
            outcome = subprocess.run(
                self.command(log, offset), capture_output=True, check=False, timeout=TIMEOUT_SECONDS
            )
            worst = worst or outcome.returncode
            with world.database.with_name("output").open("ab") as output:
                output.write(outcome.stdout)
        return Outcome(worst)

    def seen(self, world: World) -> Seen:
        """Count the event lines of the output; a line that no executor wrote is damaged."""
        written = {call.event: number for number, call in world.calls.items()}
        counts: Counter[int] = Counter()
        damaged = []
        output = world.database.with_name("output")
        data = output.read_bytes() if output.exists() else b""
        for line in data.decode("utf-8", "replace").splitlines():
            if line in written:
                counts[written[line]] += 1
            elif number_in(line) is not None:
                damaged.append(line[:80])
        return Seen(dict(counts), damaged)


class Logtail(_Printing):
    """Debian's logtail."""

    name = "logtail"

    def command(self, log: Path, offset: Path) -> list[str]:
        """Return the command for one log."""
        return ["logtail", "-f", str(log), "-o", str(offset)]


class Logtail2(_Printing):
    """Debian's logtail2, which looks for rotations."""

    name = "logtail2"

    def command(self, log: Path, offset: Path) -> list[str]:
        """Return the command for one log."""
        return ["logtail2", "-f", str(log), "-o", str(offset)]


class Since(_Printing):
    """Debian's since, which knows files by their inode."""

    name = "since"

    def command(self, log: Path, offset: Path) -> list[str]:
        """Return the command for one log."""
        return ["since", "-q", "-s", str(offset.with_name("since")), str(log)]


class Pygtail(_Printing):
    """Pygtail, from PyPI."""

    name = "pygtail"

    def command(self, log: Path, offset: Path) -> list[str]:
        """Return the command for one log."""
        return [str(Path(sys.executable).with_name("pygtail")), "--full_lines", "-o", str(offset), str(log)]


OTHERS: tuple[_Printing, ...] = (Logtail(), Logtail2(), Since(), Pygtail())


def installed() -> list[Tailer]:
    """Return the other tailers that are on this machine."""
    return [tailer for tailer in OTHERS if shutil.which(tailer.command(Path("log"), Path("offset"))[0])]
