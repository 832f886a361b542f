"""The proof: read the logs again, slowly and plainly, and hold them against the database.

Every line is read from its file's start, in one pass, without checkpoints and without the cheap
test that skips uninteresting lines. Each event line must be a sighting of a row that says the same,
each other marker line a reject, and the database must know of nothing that is not in the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from ingest.errors import LogUnfinished, LogUnreadable, NotALog
from ingest.linking.context import NOTHING_TOLD, Context, merged
from ingest.linking.linker import Amendment
from ingest.reading.batch import Batch, Reject, Sighting
from ingest.reading.discover import discover
from ingest.reading.logfile import FileState, LogFile
from ingest.reading.resume import is_source, read_head, recall
from ingest.reading.scan import ScanOptions, scan
from ingest.storing.database import open_for_reading
from ingest.storing.rows import PAYLOAD_COLUMNS, READ_COLUMNS, Row, context_of, payload_row, time_text
from ingest.storing.sources import KnownSources, Source

_COLUMNS = (*READ_COLUMNS, *PAYLOAD_COLUMNS)
_SIGHTED = f"""
SELECT sighting.byte_offset, sighting.line_number,
    (SELECT COUNT(*) FROM event_sightings AS other WHERE other.event_id = sighting.event_id),
    {", ".join(f"event.{name}" for name in _COLUMNS)}
FROM event_sightings AS sighting LEFT JOIN token_estimation_v2_events AS event USING (event_id)
WHERE sighting.source_id = ?
ORDER BY sighting.byte_offset
"""
_EVENT_AT = f"""
SELECT sighting.line_number, {", ".join(f"event.{name}" for name in READ_COLUMNS)}
FROM event_sightings AS sighting JOIN token_estimation_v2_events AS event USING (event_id)
WHERE sighting.source_id = ? AND sighting.byte_offset = ?
"""
_REJECTED = (
    "SELECT byte_offset, line_number, reason FROM rejected_lines WHERE source_id = ? ORDER BY byte_offset"
)
_BALANCE = """
SELECT path, marker_lines,
    (SELECT COUNT(*) FROM event_sightings AS sighting WHERE sighting.source_id = source.source_id),
    (SELECT COUNT(*) FROM rejected_lines AS reject WHERE reject.source_id = source.source_id)
FROM log_sources AS source
"""
_UNSEEN = """
SELECT event_id FROM token_estimation_v2_events AS event
WHERE NOT EXISTS (SELECT 1 FROM event_sightings AS sighting WHERE sighting.event_id = event.event_id)
"""


@dataclass(slots=True)
class Verification:
    """What was compared, and every difference, as sentences that name file and line."""

    files: int = 0
    marker_lines: int = 0
    sightings: int = 0
    rejects: int = 0
    sources_without_log: int = 0
    differences: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verify(paths: Sequence[str], database: Path, globs: Sequence[str] = ()) -> Verification:
    """Compare logs with a database; without paths, those that the database knows and that are there.

    Raises:
        DatabaseUnusable: there is no such database, or it is not ours.
    """
    result = Verification()
    with open_for_reading(database) as db:
        db.conn.execute("BEGIN")  # one moment of the database, whatever is ingested meanwhile
        _check_balance(db, result)
        sources = KnownSources(db)
        asked = list(paths) or sources.paths_there()
        beside = [database.with_name(database.name + end) for end in ("", "-wal", "-shm", ".lock")]
        found = discover(asked, globs, beside)
        result.problems += found.problems
        result.notes += found.notes
        for log in found.logs:
            try:
                _check_log(db, sources, log, result)
            except NotALog as error:
                (result.problems if log.named else result.notes).append(str(error))
            except LogUnreadable as error:
                result.problems.append(str(error))
        result.sources_without_log = sources.left()
    return result


def _check_balance(db: Database, result: Verification) -> None:
    for path, markers, sightings, rejects in db.conn.execute(_BALANCE):
        if markers != sightings + rejects:
            result.differences.append(
                f"{path}: {markers} marker lines were read, but the database holds {sightings} sightings "
                f"and {rejects} rejects of it"
            )
    for (event_id,) in db.conn.execute(_UNSEEN):
        result.differences.append(f"event {event_id}: in the database, but seen in no log")


def _check_log(db: Database, sources: KnownSources, log: LogFile, result: Verification) -> None:
    if log.is_stream:
        result.notes.append("standard input can't be read again, so it is not verified")
        return
    state = log.state()
    found = _source_of(sources, log, state)
    result.files += 1
    if found is None:
        _say_unknown(log, result)
        return
    checker = _Checker(db, log, found.source_id, result)
    end = _end_of(found, recall(sources.resume(found)[0]).provisional)
    for batch in scan(log, None, ScanOptions(found.timezone, finished=True, plain=True, end_offset=end)):
        checker.compare(batch)
        if batch.problem is not None:
            result.problems.append(batch.problem)
    checker.finish()
    if end is not None and found.file is not None and state.size_bytes > found.file.size_bytes:
        grown = state.size_bytes - found.file.size_bytes
        result.notes.append(f"{log.shown}: has grown by {grown} bytes since: the next ingest reads them")


def _end_of(source: Source, provisional: bool) -> int | None:
    """Return where reading must stop to see what the database saw; `None` is the file's end."""
    if not provisional:
        return source.offset
    return source.file.size_bytes if source.file is not None and source.compression is None else None


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


def _source_of(sources: KnownSources, log: LogFile, state: FileState) -> Source | None:
    head = b""
    with log.opened() as (stream, _), suppress(LogUnfinished):
        head = read_head(stream, log)
    for source in sources.candidates(log, state, head):
        if is_source(log, sources.resume(source)[0]):
            sources.take(source)
            return source
    return None


class _Checker:
    """Walk one log and the database's knowledge of it side by side, in the order of offsets."""

    def __init__(self, db: Database, log: LogFile, source_id: int, result: Verification) -> None:
        self._db = db
        self._log = log
        self._source_id = source_id
        self._result = result
        self._sighted = _Stored(db.conn.execute(_SIGHTED, [source_id]))
        self._rejected = _Stored(db.conn.execute(_REJECTED, [source_id]))

    def compare(self, batch: Batch) -> None:
        self._result.marker_lines += len(batch.rows.sightings) + len(batch.rows.rejects)
        for sighting in batch.rows.sightings:
            self._compare_event(sighting)
        for reject in batch.rows.rejects:
            self._compare_reject(reject)
        for amendment in batch.rows.amendments:
            self._compare_amendment(amendment)

    def finish(self) -> None:
        for _, line_number, *_ in self._sighted.rest():
            self._differ(line_number, "the database has an event here, the log has not")
        for _, line_number, _ in self._rejected.rest():
            self._differ(line_number, "the database has a reject here, the log has no such line")

    def _compare_amendment(self, amendment: Amendment) -> None:
        for line_number, *values in self._db.conn.execute(_EVENT_AT, [self._source_id, amendment.offset]):
            row = dict(zip(READ_COLUMNS, values, strict=True))
            self._compare_context(line_number, amendment.context, row, alone=False)

    def _differ(self, line_number: int, what: str) -> None:
        self._result.differences.append(f"{self._log.shown}:{line_number}: {what}")

    def _compare_event(self, sighting: Sighting) -> None:
        self._result.sightings += 1
        for _, line_number, *_ in self._sighted.before(sighting.offset):
            self._differ(line_number, "the database has an event here, the log has not")
        stored = self._sighted.at(sighting.offset)
        if stored is None:
            self._differ(sighting.line_number, "an event that the database does not have")
            return
        _, line_number, seen_in, *values = stored
        row = dict(zip(_COLUMNS, values, strict=True))
        if row["event_id"] is None:
            self._differ(sighting.line_number, "the database has the sighting of this event, but not its row")
            return
        if line_number != sighting.line_number:
            self._differ(sighting.line_number, f"the database has it at line {line_number}")
        self._compare_payload(sighting, row)
        self._compare_context(sighting.line_number, sighting.seen.context, row, alone=seen_in == 1)

    def _compare_payload(self, sighting: Sighting, row: Row) -> None:
        for name, value in payload_row(sighting.seen.payload).items():
            if row[name] != value:
                self._differ(
                    sighting.line_number, f"{name} is {value!r} in the log, {row[name]!r} in the database"
                )
        second = time_text(sighting.seen.moment)[:19]
        if row["timestamp"][:19] != second:
            self._differ(
                sighting.line_number, f"logged at {second} UTC, {row['timestamp']!r} in the database"
            )

    def _compare_context(self, line_number: int, told: Context, row: Row, alone: bool) -> None:
        """Hold what this place tells against the row; another place may have told better, if there is one."""
        known = context_of(row)
        stray = (
            told.phase is None and known.phase is not None
        )  # believed only while nothing speaks against it
        if told == NOTHING_TOLD or stray:
            return
        absorbed = merged(known, told)  # a row holds the best of all that was told of its event
        for one in fields(Context):
            here, there = getattr(told, one.name), getattr(known, one.name)
            lost = getattr(absorbed, one.name) != there
            other = alone and here is not None and here != there and one.name != "deliverables"
            if lost or other:
                self._differ(
                    line_number, f"{one.name} is {_shown(here)} in the log, {_shown(there)} in the database"
                )

    def _compare_reject(self, reject: Reject) -> None:
        self._result.rejects += 1
        for _, number, _ in self._rejected.before(reject.offset):
            self._differ(number, "the database has a reject here, the log has no such line")
        if self._rejected.at(reject.offset) is None:
            self._differ(
                reject.line_number, f"a marker line ({reject.reason}) that the database has no reject of"
            )


def _shown(value: Any) -> str:
    return repr(getattr(value, "name", value))


class _Stored:
    """The stored lines of one source in the order of their offsets, taken from the front."""

    def __init__(self, rows: Iterator[tuple[Any, ...]]) -> None:
        self._rows = iter(rows)
        self._next = next(self._rows, None)

    def _take(self) -> tuple[Any, ...]:
        taken = self._next
        assert taken is not None  # noqa: S101 - the callers look first
        self._next = next(self._rows, None)
        return taken

    def before(self, offset: int) -> Iterator[tuple[Any, ...]]:
        while self._next is not None and self._next[0] < offset:
            yield self._take()

    def at(self, offset: int) -> tuple[Any, ...] | None:
        return self._take() if self._next is not None and self._next[0] == offset else None

    def rest(self) -> Iterator[tuple[Any, ...]]:
        while self._next is not None:
            yield self._take()
