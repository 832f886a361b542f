"""Our program as a competitor, in every state of its database, and the floors that use its rows."""

from __future__ import annotations

import pickle
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from bench.children.bare import EVENTS, SIGHTINGS
from bench.competitor import DATABASE, Competitor, child, fixed
from bench.inputs import Input
from bench.measure import Failed
from bench.program import COMMAND, ROOT, THIS, Program, script
from bench.tally import Tally, of_table

TOKENTAIL = "tokentail"
ONE_JOB, TWO_JOBS = "tokentail --jobs 1", "tokentail --jobs 2"
TWO_WEIGHED = "tokentail --jobs 2, both processes"
AGAIN = "tokentail, rows known"
SCHEMA = ROOT / "ingest" / "schema.sql"


def _backfill(log: Path, database: Path, jobs: int) -> list[str]:
    return ["backfill", "--quiet", "--tz", "UTC", "--db", str(database), "--jobs", str(jobs), str(log)]


def _tokentail(*arguments: str) -> list[str]:
    return [*COMMAND, *arguments]


def _done(program: Program, *arguments: str) -> None:
    """Have a version do something, untimed.

    Raises:
        Failed: it did not.
    """
    done = program.call(*arguments)
    if done.returncode:
        raise Failed(f"{arguments[0]}: {done.stdout}{done.stderr}")


def found_in(place: Path, _output: str = "") -> Tally:
    """Count the events of the database of a run."""
    return of_table(place / DATABASE, EVENTS, "predicted_output_tokens", "actual_output_tokens")


def _verified(place: Path, program: Program = THIS) -> None:
    """Have the program prove the database of a run against the logs."""
    _done(program, "verify", "--quiet", "--db", str(place / DATABASE))


def first(name: str, log: Path, expected: Tally, jobs: int = 1, program: Program = THIS) -> Competitor:
    """Return the first ingest of a log, into a new database."""
    return Competitor(
        program.named(name),
        lambda place: _tokentail(*_backfill(log, place / DATABASE, jobs)),
        expected,
        found_in,
        prove=lambda place: _verified(place, program),
        environment=program.environment,
        by=lambda other: first(name, log, expected, jobs, other),
    )


def with_jobs(log: Path, expected: Tally) -> list[Competitor]:
    """Return the first ingest with one process, and with two."""
    return [first(ONE_JOB, log, expected), first(TWO_JOBS, log, expected, 2)]


def weighed(log: Path, expected: Tally) -> list[Competitor]:
    """Return the first ingest with two processes, whose memory is summed where the system shows it."""
    if not Path("/proc/self/smaps_rollup").exists():
        return []
    ingest = first(TWO_WEIGHED, log, expected, 2)
    return [replace(ingest, command=lambda place: child("memory", *ingest.command(place)), by=None)]


def version(name: str, program: Program = THIS) -> Competitor:
    """Return a start that does nothing."""
    return Competitor(
        program.named(name),
        fixed(_tokentail("--version")),
        environment=program.environment,
        by=lambda other: version(name, other),
    )


class Known:
    """A database that has a log's events, made when it is first asked for, and what is made of it."""

    def __init__(self, log: Path, expected: Tally, folder: Path) -> None:
        self._log, self._expected, self._folder = log, expected, folder

    def database(self) -> Path:
        """Return the database, closed and without a WAL beside it."""
        path = self._folder / f"known-{self._log.name}.db"
        if not path.exists():
            unready = path.with_suffix(".unready")
            unready.unlink(missing_ok=True)
            _done(THIS, *_backfill(self._log, unready, 1))
            with closing(sqlite3.connect(unready)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            unready.rename(path)
        return path

    def copy(self, place: Path) -> None:
        """Put a copy into the folder of a run."""
        shutil.copyfile(self.database(), place / DATABASE)

    def copy_that_forgot(self, place: Path) -> None:
        """Put a copy there that has the events, and no memory of having read any log."""
        self.copy(place)
        with closing(sqlite3.connect(place / DATABASE)) as connection, connection:
            for table in (SIGHTINGS, "rejected_lines", "log_sources"):
                connection.execute(f"DELETE FROM {table}")

    def rows(self) -> Path:
        """Return a file with the pickled tuples of events and sightings, without what is always NULL."""
        path = self._folder / f"rows-{self._log.name}.pickle"
        if not path.exists():
            with closing(sqlite3.connect(self.database())) as connection:
                rows = {}
                for table in (EVENTS, SIGHTINGS):
                    names = ", ".join(_used_columns(connection, table))
                    rows[table] = (
                        names.split(", "),
                        connection.execute(f"SELECT {names} FROM {table}").fetchall(),
                    )
            path.write_bytes(pickle.dumps(rows, protocol=pickle.HIGHEST_PROTOCOL))
        return path

    def again(self) -> Competitor:
        """Return an ingest that finds all rows there, and no checkpoint."""
        return replace(first(AGAIN, self._log, self._expected), prepare=self.copy_that_forgot, by=None)

    def _bare(self, name: str, mode: str, prepare: Callable[[Path], None]) -> Competitor:
        return Competitor(
            name,
            lambda place: child("bare", mode, str(self.rows()), str(place / DATABASE), str(SCHEMA)),
            self._expected,
            found_in,
            prepare,
        )

    def floors(self) -> list[Competitor]:
        """Return the bare statements over the same tuples."""
        return [
            self._bare("bare executemany", "insert", lambda _: None),
            self._bare("bare executemany, sightings too", "both", lambda _: None),
            self._bare("bare upsert, rows known", "upsert", self.copy),
        ]


def _used_columns(connection: sqlite3.Connection, table: str) -> list[str]:
    """Return the columns that have a value in any row."""
    columns = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
    counts = connection.execute(
        f"SELECT {', '.join(f'COUNT({name})' for name in columns)} FROM {table}"
    ).fetchone()
    return [name for name, count in zip(columns, counts, strict=True) if count]


SETTLE_SECONDS = 2.5
"""How long a file that was just written is looked at again by the next run: inputs may be that fresh."""


def unchanged(name: str, log: Path, folder: Path, program: Program = THIS) -> Competitor:
    """Return an ingest that finds nothing new; its database is made by the first run's preparation."""
    database = folder / f"unchanged-{log.name}{program.suffix}.db"
    arguments = ("ingest", "--tz", "UTC", "--quiet", "--db", str(database), str(log))

    def prepare(_place: Path) -> None:
        if not database.exists():
            time.sleep(SETTLE_SECONDS)
            _done(program, *arguments)

    def idle(_place: Path) -> None:
        with closing(sqlite3.connect(database)) as connection:
            last = connection.execute(
                "SELECT files_read FROM ingest_runs ORDER BY ingest_run_id DESC"
            ).fetchone()
        if last != (0,):
            raise Failed(f"{last} files were read, but none had changed")

    return Competitor(
        program.named(name),
        fixed(_tokentail(*arguments)),
        prepare=prepare,
        prove=idle,
        environment=program.environment,
        by=lambda other: unchanged(name, log, folder, other),
    )


def more(name: str, known: Known, log: Input, held: Tally) -> Competitor:
    """Return an ingest of another log into a database that holds many events."""
    ingest = first(name, log.path, held.plus(log.tally))
    return replace(ingest, prepare=known.copy, added=log.tally.events, by=None)


def followed(name: str, mode: str, logs: Path) -> Competitor:
    """Return a follow of a copy of some logs, which times itself; see `bench.children.following`."""

    def prepare(place: Path) -> None:
        copied = place / "logs"
        shutil.copytree(logs, copied)
        (copied / "0.log").touch()

    return Competitor(
        name,
        lambda place: child("following", mode, str(place / "logs"), str(place / DATABASE), script(TOKENTAIL)),
        prepare=prepare,
    )
