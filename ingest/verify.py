"""The proof: read the logs again, slowly and plainly, and compare them with the database.

Every line is read from its file's start, in one pass, without checkpoints and without the cheap
test that skips uninteresting lines. Each event line must be a sighting of a row that says the same,
each other marker line a reject, each escalation a sighting of its row, and the database must know of nothing
that is not in the log.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from sqlite_utils import Database

from ingest.assign import Assigned, assign
from ingest.compare import Comparison, Verification
from ingest.errors import LogUnfinished, LogUnreadable, NotALog
from ingest.evidence import FileEvidence
from ingest.files.discover import discover
from ingest.files.listing import Files
from ingest.files.logfile import FileState, LogFile
from ingest.memory import rare_garbage_collection
from ingest.reading.batch import Batch
from ingest.reading.checkpoint import RULES, Provisional
from ingest.reading.resume import recall
from ingest.reading.scan import ScanOptions, scan
from ingest.storing.database import StrPath, files_of, open_for_reading
from ingest.storing.false_values import said_of_false_values
from ingest.storing.first_look import bookkeeping_trouble
from ingest.storing.known_sources import checkpoint_of, count_without, logs_known, paths_there
from ingest.storing.proof import escalations_that_differ, rows_that_differ
from ingest.storing.sources import Source

PROGRESS_BYTES = 4 << 20
"""After how much of a log progress is reported: half a second's reading."""

Report = Callable[[int, int], None]

_BALANCE = """
SELECT path, marker_lines, pruned_sightings + pruned_rejects,
    (SELECT COUNT(*) FROM event_sightings AS sighting WHERE sighting.source_id = source.source_id),
    (SELECT COUNT(*) FROM rejected_lines AS reject WHERE reject.source_id = source.source_id)
FROM log_sources AS source
"""
_UNSEEN = """
SELECT event_id FROM token_estimation_v2_events AS event
WHERE NOT EXISTS (SELECT 1 FROM event_sightings AS sighting WHERE sighting.event_id = event.event_id)
    AND event_key IS NOT NULL
"""
_OF_NO_EVENT = (
    "SELECT COUNT(*) FROM event_sightings WHERE event_id NOT IN "
    "(SELECT event_id FROM token_estimation_v2_events)"
)
_MENDS = "`tokentail backfill --full LOGS` mends it"
_OWN = "SELECT COUNT(*) FROM token_estimation_v2_events WHERE event_key IS NULL"


def verify(
    paths: Sequence[str], database: StrPath, globs: Sequence[str] = (), report: Report | None = None
) -> Verification:
    """Compare logs with a database; without paths, those that the database knows and that are there.

    `report` is called with the bytes read so far of those there are, as they are on disk.

    Raises:
        DatabaseUnusable: there is no such database, or it is not ours.
    """
    result = Verification()
    with open_for_reading(database, result.notes.append) as db, rare_garbage_collection():
        db.conn.execute("BEGIN")  # one moment of the database, whatever is ingested meanwhile
        _check_balance(db, result)
        result.differences += said_of_false_values(db.conn)
        result.differences += rows_that_differ(db.conn)
        result.differences += escalations_that_differ(db.conn)
        asked = list(paths) or paths_there(db.conn)
        found = discover(asked, globs, files_of(database))
        result.problems += found.problems
        result.notes += found.notes
        reading = _Reading(found.logs, report)
        assigned = _assigned(db.conn, found.logs)
        for log in found.logs:
            try:
                _check_log(db, log, assigned, result, reading)
            except NotALog as error:
                (result.problems if log.named else result.notes).append(str(error))
            except LogUnfinished as error:
                result.notes.append(str(error))
            except LogUnreadable as error:
                result.problems.append(str(error))
            reading.end(log)
        known = [match.source.source_id for match in assigned.values() if match.source is not None]
        result.sources_without_log = count_without(db.conn, known)
    return result


def _assigned(connection: sqlite3.Connection, logs: Sequence[LogFile]) -> dict[LogFile, Assigned]:
    """Assign logs to sources; a file that has several names is one log."""
    seen, files = Files(), dict[LogFile, FileState]()
    for log in logs:
        with suppress(LogUnreadable):
            state = None if log.is_stream else log.state()
            if state is not None and seen.add(*state.number):
                files[log] = state
    sources = logs_known(connection)
    return assign(files, sources, FileEvidence(connection, sources, files, seen), anew=True)


class _Reading:
    """How far all logs together were read."""

    def __init__(self, logs: Sequence[LogFile], report: Report | None) -> None:
        self._report = report
        self._sizes = {log: _size_of(log) for log in logs} if report is not None else {}
        self._total = sum(self._sizes.values())
        self._done = 0

    def say(self, batch: Batch) -> None:
        """Report how far a log was read, on top of those before it."""
        if self._report is not None:
            self._report(self._done + batch.disk_offset, self._total)

    def end(self, log: LogFile) -> None:
        """Count a log as done, whether it was read or not."""
        self._done += self._sizes.get(log, 0)


def _size_of(log: LogFile) -> int:
    with suppress(LogUnreadable):
        return 0 if log.is_stream else log.state().size_bytes
    return 0


def _check_balance(db: Database, result: Verification) -> None:
    for path, markers, pruned, sightings, rejects in db.conn.execute(_BALANCE):
        if markers != sightings + rejects + pruned:
            result.differences.append(
                f"{path}: {markers} marker lines were read, but the database holds {sightings} sightings "
                f"and {rejects} rejects of it" + (f", and {pruned} were pruned" if pruned else "")
            )
    if (trouble := bookkeeping_trouble(db.conn)) is not None:
        result.differences.append(f"{trouble}: {_MENDS}")
    (lost,) = db.conn.execute(_OF_NO_EVENT).fetchone()
    if lost:
        result.differences.append(f"{lost} sightings are of events that have no row: {_MENDS}")
    for (event_id,) in db.conn.execute(_UNSEEN):
        result.differences.append(f"event {event_id}: in the database, but seen in no log")
    (own,) = db.conn.execute(_OWN).fetchone()
    if own:
        result.notes.append(f"{own} rows of the executor's own that no log told")


def _check_log(
    db: Database,
    log: LogFile,
    assigned: Mapping[LogFile, Assigned],
    result: Verification,
    reading: _Reading,
) -> None:
    if log.is_stream:
        result.notes.append("standard input can't be read again, so it is not verified")
        return
    state = log.state()
    if log not in assigned:  # another name of a file that is compared
        return
    result.files += 1
    if (trouble := assigned[log].trouble) is not None:
        raise trouble
    found = assigned[log].source
    if found is None:
        _say_unknown(log, result)
        return
    remembered = recall(checkpoint_of(db.conn, found)[0])[0]
    checker = Comparison(db, log, found.source_id, result, by_older_rules=remembered.rules < RULES)
    end = _end_of(found, remembered.provisional)
    plainly = ScanOptions(
        found.timezone,
        finished=True,
        plain=True,
        end_offset=end,
        batch_bytes=PROGRESS_BYTES,
        prefix=found.prefix,
    )
    problem: str | None = None
    for batch in scan(log, None, plainly):
        reading.say(batch)
        checker.compare(batch)
        problem = batch.problem
        if problem is not None:  # one that is still being written, or was cut, is read up to there
            (result.notes if batch.state == "unfinished" else result.problems).append(problem)
    checker.finish()
    if problem is None and found.state == "damaged" and found.file == state:
        text = f"{log.shown}: damaged behind offset {found.offset}: what follows is not proven"
        result.problems.append(text)
    if found.file is not None and state.size_bytes > found.file.size_bytes:
        grown = state.size_bytes - found.file.size_bytes
        result.notes.append(f"{log.shown}: has grown by {grown} bytes since: the next ingest reads them")


def _end_of(source: Source, provisional: Provisional | None) -> int:
    """Return where reading must stop to see what the database saw."""
    return source.offset if provisional is None else provisional.end_offset


def _say_unknown(log: LogFile, result: Verification) -> None:
    markers = 0
    for batch in scan(log, None, ScanOptions("UTC", finished=True, plain=True)):
        markers = batch.counters.marker_lines
    if markers:
        result.marker_lines += markers
        result.differences.append(
            f"{log.shown}: {markers} marker lines, and nothing of this file was ingested: "
            "run `tokentail ingest` on it"
        )
    else:
        result.notes.append(f"{log.shown}: not ingested, and has no marker lines")
