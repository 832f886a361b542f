"""The whole of one ingest: which files, from which checkpoints, in which order, into one writer.

A library call first: it takes paths and options, returns a `Summary`, prints nothing. One bad file
never ends the run: it is named among the problems, and the others are read.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlite_utils import Database

from ingest.linking.timestamps import time_text
from ingest.reading.discover import discover
from ingest.round import Round
from ingest.storing.database import files_of, immediate, open_for_writing
from ingest.storing.journal import network_kind
from ingest.storing.lock import ingest_lock
from ingest.summary import IngestOptions, Summary
from ingest.version import program_version


def ingest(paths: Sequence[str], database: Path, options: IngestOptions) -> Summary:
    """Read logs into a database, each from where it was read last.

    Raises:
        DatabaseBusy: another ingest, or another writer, holds the database.
        DatabaseUnusable: the database cannot be used as it is.
    """
    with ingest_lock(database, options.wait_seconds), open_for_writing(database) as db:
        found = discover(paths, options.globs, files_of(database))
        summary = Summary(str(database), options.zone.name, files=len(found.logs))
        summary.problems += found.problems
        summary.notes += found.notes
        if kind := network_kind(database):
            summary.notes.append(
                f"{database}: on {kind}, so kept with a rollback journal instead of WAL: slower, and readers "
                "and the ingest wait for each other; a local disk is better"
            )
        with _recorded(db, options, summary):
            Round(db, options, summary).read(found)
    return summary


@contextmanager
def _recorded(db: Database, options: IngestOptions, summary: Summary) -> Iterator[None]:
    """Keep a row of this invocation; one that was killed stays unfinished."""
    runs = db.table("ingest_runs")
    started = {
        "command": options.command,
        "started_at": time_text(datetime.now(UTC)),
        "finished_at": None,
        "exit_code": None,
        "timezone": options.zone.name,
        "host": socket.gethostname(),
        "version": program_version(),
    }
    with immediate(db.conn):
        run_id = runs.insert({**started, **_counts(summary)}, pk="ingest_run_id").last_rowid
    yield
    if summary.problems or (options.fail_on_reject and summary.rejects):
        summary.exit_code = 1
    ended = {"finished_at": time_text(datetime.now(UTC)), "exit_code": summary.exit_code}
    with immediate(db.conn):
        runs.update(run_id or 0, {**ended, **_counts(summary)})


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
