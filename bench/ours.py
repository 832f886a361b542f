"""Our program as a competitor, in every state of its database, and the floors that use its rows."""

from __future__ import annotations

import pickle
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path

from bench.children.bare import EVENTS, SIGHTINGS
from bench.competitor import DATABASE, ROOT, Competitor, child, fixed, script
from bench.inputs import Input
from bench.measure import Failed
from bench.tally import Tally, of_table

TOKENTAIL = "tokentail"
ONE_JOB, TWO_JOBS = "tokentail --jobs 1", "tokentail --jobs 2"
AGAIN = "tokentail, rows known"
SCHEMA = ROOT / "ingest" / "schema.sql"


@cache
def knows_jobs() -> bool:
    """Whether this version reads with as many processes as it is told."""
    help_text = subprocess.run(
        [script(TOKENTAIL), "backfill", "--help"], capture_output=True, text=True, check=True
    )
    return "--jobs" in help_text.stdout


def _backfill(log: Path, database: Path, jobs: int) -> list[str]:
    flags = ["--jobs", str(jobs)] if knows_jobs() else []
    return [script(TOKENTAIL), "backfill", "--quiet", "--tz", "UTC", "--db", str(database), *flags, str(log)]


def found_in(place: Path, _output: str = "") -> Tally:
    """Count the events of the database of a run."""
    return of_table(place / DATABASE, EVENTS, "predicted_output_tokens", "actual_output_tokens")


def verified(place: Path) -> None:
    """Have the program prove the database of a run against the logs.

    Raises:
        Failed: it found a difference.
    """
    command = [script(TOKENTAIL), "verify", "--quiet", "--db", str(place / DATABASE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"verify: {done.stdout}{done.stderr}")


def first(name: str, log: Path, expected: Tally, jobs: int = 1) -> Competitor:
    """Return the first ingest of a log, into a new database."""
    return Competitor(
        name, lambda place: _backfill(log, place / DATABASE, jobs), expected, found_in, prove=verified
    )


def with_jobs(log: Path, expected: Tally) -> list[Competitor]:
    """Return the first ingest with one process, and with two where the program knows how."""
    found = [first(ONE_JOB, log, expected)]
    return [*found, first(TWO_JOBS, log, expected, 2)] if knows_jobs() else found


class Known:
    """A database that has a log's events, made when it is first asked for, and what is made of it."""

    def __init__(self, log: Path, expected: Tally, folder: Path) -> None:
        self._log, self._expected, self._folder = log, expected, folder

    def database(self) -> Path:
        """Return the database, closed and without a log of its own beside it."""
        path = self._folder / f"known-{self._log.name}.db"
        if not path.exists():
            unready = path.with_suffix(".unready")
            unready.unlink(missing_ok=True)
            subprocess.run(_backfill(self._log, unready, 1), check=True, capture_output=True)
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
        """Return a file with the pickled tuples of events and sightings."""
        path = self._folder / f"rows-{self._log.name}.pickle"
        if not path.exists():
            with closing(sqlite3.connect(self.database())) as connection:
                rows = {}
                for table in (EVENTS, SIGHTINGS):
                    found = connection.execute(f"SELECT * FROM {table}")
                    rows[table] = ([one[0] for one in found.description], found.fetchall())
            path.write_bytes(pickle.dumps(rows, protocol=pickle.HIGHEST_PROTOCOL))
        return path

    def again(self) -> Competitor:
        """Return an ingest that finds all rows there, and no checkpoint."""
        command: Callable[[Path], list[str]] = lambda place: _backfill(self._log, place / DATABASE, 1)  # noqa: E731
        return Competitor(AGAIN, command, self._expected, found_in, self.copy_that_forgot, verified)

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


SETTLES_SECONDS = 2.5
"""A file that was written a moment ago is looked at again: inputs may have been made just now."""


def unchanged(name: str, log: Path, folder: Path) -> Competitor:
    """Return an ingest that finds nothing new; its database is made by the first run's preparation."""
    database = folder / f"unchanged-{log.name}.db"
    command = [script(TOKENTAIL), "ingest", "--tz", "UTC", "--quiet", "--db", str(database), str(log)]

    def prepare(_place: Path) -> None:
        if not database.exists():
            time.sleep(SETTLES_SECONDS)
            subprocess.run(command, check=True, capture_output=True)

    def idle(_place: Path) -> None:
        with closing(sqlite3.connect(database)) as connection:
            last = connection.execute(
                "SELECT files_read FROM ingest_runs ORDER BY ingest_run_id DESC"
            ).fetchone()
        if last != (0,):
            raise Failed(f"{last} files were read, but none had changed")

    return Competitor(name, fixed(command), prepare=prepare, prove=idle)


def more(name: str, known: Known, log: Input, held: Tally) -> Competitor:
    """Return an ingest of another log into a database that holds many events."""
    return Competitor(
        name,
        lambda place: _backfill(log.path, place / DATABASE, 1),
        held.plus(log.tally),
        found_in,
        known.copy,
        verified,
        log.tally.events,
    )


LINES_FOLLOWED = 60


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
