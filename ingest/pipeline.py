"""The whole of one ingest: which files, from which checkpoints, in which order, into one writer.

A library call first: it takes paths and options, returns a `Summary`, prints nothing. One bad file
never ends the run: it is named among the problems, and the others are read.
"""

from __future__ import annotations

import gc
import os
import platform
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from ingest.linking.timestamps import time_text
from ingest.reading.listing import Listing
from ingest.round import Round
from ingest.storing.database import StrPath, connected_for_writing, files_of, immediate
from ingest.storing.ingest_runs import begin_run, end_run
from ingest.storing.journal import network_kind
from ingest.storing.lock import ingest_lock
from ingest.storing.settled import has_own_rows
from ingest.summary import IngestOptions, Summary
from ingest.version import program_version


def ingest(paths: Sequence[str], database: StrPath, options: IngestOptions) -> Summary:
    """Read logs into a database, each from where it was read last.

    Raises:
        DatabaseBusy: another ingest, or another writer, holds the database.
        DatabaseUnusable: the database cannot be used as it is.
    """
    network = network_kind(database)
    is_new = not os.path.exists(database)
    with (
        ingest_lock(database, options.wait_seconds),
        connected_for_writing(database, network) as connection,
    ):
        listing = Listing(paths, options.globs, files_of(database))
        found = Round(connection, options, listing)
        summary = Summary(str(database), options.zone.name, is_new, files=listing.files)
        summary.problems += listing.problems
        summary.notes += listing.notes
        if network:
            summary.notes.append(
                f"{database}: on {network}, so kept with a rollback journal instead of WAL: slower, and "
                "readers and the ingest wait for each other; a local disk is better"
            )
        if has_own_rows(connection):
            from ingest.storing.executors_rows import match_all  # noqa: PLC0415 - of an adopted database only

            with immediate(connection):
                match_all(connection)
        with _recorded(connection, options, summary), _few_collections():
            found.read(summary)
    return summary


COLLECT_EVERY = 50_000
"""Objects made before cycles among them are looked for: rows have none, and looking often takes a third of
the time of a dense log; looking never lets those of the interpreter's own libraries pile up."""


@contextmanager
def _few_collections() -> Iterator[None]:
    """Look for cycles of objects seldom."""
    before = gc.get_threshold()
    gc.set_threshold(COLLECT_EVERY, 20, 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def _recorded(connection: sqlite3.Connection, options: IngestOptions, summary: Summary) -> Iterator[None]:
    """Keep a row of this invocation; one that was killed stays unfinished."""
    started: dict[str, str | int | None] = {
        "command": options.command,
        "started_at": time_text(datetime.now(UTC)),
        "timezone": options.zone.name,
        "host": platform.node(),
        "version": program_version(),
    }
    ingest_run_id = begin_run(connection, {**started, **_counts(summary)})
    yield
    if summary.problems or (options.fail_on_reject and summary.rejects):
        summary.exit_code = 1
    ended: dict[str, str | int | None] = {
        "finished_at": time_text(datetime.now(UTC)),
        "exit_code": summary.exit_code,
    }
    end_run(connection, ingest_run_id, {**ended, **_counts(summary)})


def _counts(summary: Summary) -> dict[str, int]:
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
