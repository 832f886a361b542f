"""One way from a log to rows, or to a count: how it is started, and what it must find."""

from __future__ import annotations

import importlib.util
import shutil
import sqlite3
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from bench.measure import Failed
from bench.program import ENVIRONMENT, Program, script
from bench.tally import Tally, of_table
from parsers.event import MARKER

DATABASE = "events.db"


def _nothing(_place: Path) -> None:
    return None


def _nothing_found(_place: Path, _output: str) -> Tally | None:
    return None


@dataclass(frozen=True, slots=True)
class Competitor:
    """One way. Each run has a folder of its own, empty but for what `prepare` puts there, untimed.

    `find` returns what it found, which must be `expected`; `None` where there is nothing to find.
    `prove` is called once, after the first run. `added` is how many events a run adds, where that is
    less than what `find` finds. `by` makes the same competitor of another version of ours.
    """

    name: str
    command: Callable[[Path], Sequence[str]]
    expected: Tally | None = None
    find: Callable[[Path, str], Tally | None] = _nothing_found
    prepare: Callable[[Path], None] = _nothing
    prove: Callable[[Path], None] = _nothing
    added: int | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: ENVIRONMENT)
    by: Callable[[Program], Competitor] | None = None


def fixed(command: Sequence[str]) -> Callable[[Path], Sequence[str]]:
    """Return a command that is the same in every folder."""
    return lambda _place: command


def child(name: str, *arguments: str) -> list[str]:
    """Return the command of a program of `bench.children`."""
    return [sys.executable, "-m", f"bench.children.{name}", *arguments]


def shell(line: str, *arguments: str) -> list[str]:
    """Return a pipeline's command; its arguments are `$1`, `$2`, ..."""
    return ["/bin/sh", "-c", line, "sh", *arguments]


def _counted(_place: Path, output: str) -> Tally:
    return Tally(int(output.rsplit(maxsplit=1)[-1]), None, None)


def _table(place: Path, actual: str) -> Tally:
    return of_table(place / DATABASE, "events", "predicted", actual)


def _phases_known(place: Path) -> None:
    """Check that each event has its phase.

    Raises:
        Failed: an event has no phase.
    """
    with closing(sqlite3.connect(place / DATABASE)) as connection:
        (missing,) = connection.execute("SELECT COUNT(*) FROM events WHERE phase IS NULL").fetchone()
    if missing:
        raise Failed(f"{missing} events without a phase")


def scanners(log: Path, expected: Tally) -> list[Competitor]:
    """Return the tools that only count the lines with the marker, where they are installed."""
    found = []
    for tool, flags in (("grep", "-cF"), ("rg", "-cF --include-zero")):
        if shutil.which(tool):
            command = [tool, *flags.split(), MARKER, str(log)]
            found.append(Competitor(f"{tool} -cF", fixed(command), expected, _counted))
    return found


def least(log: Path, expected: Tally) -> Competitor:
    """Return what makes records of lines, and nothing of them: the floor for reading with Python."""
    return Competitor("records alone, in Python", fixed(child("least", str(log))), expected, _counted)


def lnav(log: Path, expected: Tally) -> list[Competitor]:
    """Return lnav, which selects only, where it is installed."""
    query = f";SELECT count(*) AS n FROM all_logs WHERE log_body LIKE '%{MARKER}%'"
    command = ["lnav", "-n", "-c", query, str(log)]
    there = shutil.which("lnav") is not None
    return [Competitor("lnav, select count", fixed(command), expected, _counted)] if there else []


def gzip_grep(log: Path, expected: Tally) -> Competitor:
    """Return the pipe that counts in a compressed log."""
    command = shell('gzip -dc -- "$1" | grep -cF -- "$2"', str(log), MARKER)
    return Competitor("gzip -dc | grep -cF", fixed(command), expected, _counted)


def plain(log: Path, expected: Tally) -> Competitor:
    """Return the script that anybody would write."""
    return Competitor(
        "regex + upsert_all",
        lambda place: child("plain", str(log), str(place / DATABASE)),
        expected,
        lambda place, _: _table(place, "coalesce(actual, total)"),
    )


def piped(log: Path, expected: Tally) -> Competitor:
    """Return the pipe into sqlite-utils."""
    from bench.children.pattern import CONVERT  # noqa: PLC0415  long text, wanted here alone

    search = 'rg -F -N -- "$1" "$2"' if shutil.which("rg") else 'grep -F -- "$1" "$2"'
    line = f'{search} | "$3" insert "$4" events - --lines --import re --convert "$5"'
    return Competitor(
        "rg | sqlite-utils" if shutil.which("rg") else "grep | sqlite-utils",
        lambda place: shell(line, MARKER, str(log), script("sqlite-utils"), str(place / DATABASE), CONVERT),
        expected,
        lambda place, _: _table(place, "coalesce(actual, total)"),
    )


def duckdb(log: Path, expected: Tally, with_context: bool = False) -> list[Competitor]:
    """Return DuckDB where it is installed."""
    if importlib.util.find_spec("duckdb") is None:
        return []
    extra = ["context"] if with_context else []
    return [
        Competitor(
            "DuckDB with context" if with_context else "DuckDB",
            lambda place: child("duck", str(log), str(place / DATABASE), *extra),
            expected,
            lambda place, _: _table(place, "coalesce(nullif(output, ''), total)"),
            prove=_phases_known if with_context else _nothing,
        )
    ]
