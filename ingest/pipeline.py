"""The whole of one ingest: which files, from which checkpoints, in which order, into one writer.

A library call first: it takes paths and options, returns a `Summary`, prints nothing. One bad file
never ends the run: it is named among the problems, and the others are read.
"""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from ingest.files.listing import Listing
from ingest.linking.timestamps import time_text
from ingest.memory import little_tidying
from ingest.round import Round
from ingest.storing.database import StrPath, connected_for_writing, files_of
from ingest.storing.ingest_runs import begin_run, end_run
from ingest.storing.journal import network_kind
from ingest.storing.lock import ingest_lock
from ingest.storing.settled import has_own_rows
from ingest.storing.transactions import immediate
from ingest.summary import IngestOptions, Summary
from ingest.version import program_version


def ingest(paths: Sequence[str], database: StrPath, options: IngestOptions) -> Summary:
    """Read logs into a database, each from where it was read last.

    Raises:
        DatabaseBusy: another ingest, or another writer, holds the database.
        DatabaseUnusable: the database cannot be used as it is.
    """
    is_new = not os.path.exists(database)
    with held_for_ingest(database, options.wait_seconds) as (connection, notes):
        listing = Listing(paths, options.globs, files_of(database))
        found = Round(connection, options, listing)
        summary = Summary(str(database), options.zone.name, is_new, files=listing.files)
        summary.problems += listing.problems
        summary.notes += listing.notes + notes
        match_own_rows(connection)
        with _recorded(connection, options, summary), little_tidying():
            found.read(summary)
    return summary


@contextmanager
def held_for_ingest(database: StrPath, wait_seconds: float) -> Iterator[tuple[sqlite3.Connection, list[str]]]:
    """Open the database for this ingest alone; beside it, what is worth knowing of where it is.

    Raises:
        DatabaseBusy, DatabaseUnusable: as `ingest`.
    """
    network = network_kind(database)
    notes = [
        f"{database}: on {network}, so kept with a rollback journal instead of WAL: slower, and "
        "readers and the ingest wait for each other; a local disk is better"
    ]
    with (
        ingest_lock(database, wait_seconds),
        connected_for_writing(database, network) as connection,
    ):
        yield connection, notes if network else []


def match_own_rows(connection: sqlite3.Connection) -> None:
    """Match what the executor itself has written since, where the database is its own and was adopted."""
    if has_own_rows(connection):
        from ingest.storing.executors_rows import match_all  # noqa: PLC0415 - of an adopted database only

        with immediate(connection):
            match_all(connection)


@contextmanager
def _recorded(connection: sqlite3.Connection, options: IngestOptions, summary: Summary) -> Iterator[None]:
    """Keep a row of this invocation; one that was killed stays unfinished."""
    ingest_run_id = begin_run(connection, {**started(options), **counts_of(summary)})
    yield
    if summary.problems or (options.fail_on_reject and summary.rejects):
        summary.exit_code = 1
    end_run(connection, ingest_run_id, {**ended(summary.exit_code), **counts_of(summary)})


Recorded = dict[str, str | int | None]
"""Columns of `ingest_runs` with their values."""


def started(options: IngestOptions) -> Recorded:
    """Return what is recorded when an ingest begins."""
    return {
        "command": options.command,
        "started_at": time_text(datetime.now(UTC)),
        "timezone": options.zone.name,
        "host": platform.node(),
        "version": program_version(),
    }


def ended(exit_code: int | None) -> Recorded:
    """Return what is recorded when an ingest has ended; a follow that is alive has no exit code yet."""
    return {"finished_at": time_text(datetime.now(UTC)), "exit_code": exit_code}


def counts_of(summary: Summary) -> dict[str, int]:
    """Return what is recorded of what was done."""
    return {
        "files": summary.files,
        "files_read": summary.files_read,
        "bytes_read": summary.bytes_read,
        "marker_lines": summary.marker_lines,
        "events_new": summary.events_new,
        "events_updated": summary.events_updated,
        "further_sightings": summary.further_sightings,
        "rejects": summary.rejects,
        "problems": len(summary.problems),
    }
