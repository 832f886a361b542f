"""Read rejects again: after an upgrade that understands more, some of them become events.

If the log is still there, it is read from its start into the same source, in one transaction, so that the
events get the context that they would have got the first time. If it is gone, the stored line is read alone:
its event has its numbers and its time, and no context.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlite_utils import Database

from ingest.errors import LogUnfinished, LogUnreadable, UsageMistake
from ingest.evidence import is_still
from ingest.files.discover import Rotations
from ingest.files.logfile import LogFile
from ingest.files.paths import STANDARD_INPUT
from ingest.identity import Fact
from ingest.linking.context import NO_CONTEXT
from ingest.linking.timestamps import time_text
from ingest.reading.batch import Sighting
from ingest.reading.batch_builder import MAX_REJECT_TEXT
from ingest.reading.clock import moment_of_line
from ingest.reading.resume import NotTheSame, recall
from ingest.reading.scan import ScanOptions, scan
from ingest.reading.zone import Zone, zone_recorded
from ingest.recognition import places_of
from ingest.storing.database import StrPath, open_for_writing, require_database
from ingest.storing.ingest_runs import ingest_lock
from ingest.storing.known_sources import checkpoint_of, source_known
from ingest.storing.sources import IMPORTED, Source
from ingest.storing.store import Store
from parsers.line import ParsedLine, parse_line
from parsers.records import EstimationEvent
from parsers.template import TemplateMistake, template

_REJECTS = """
SELECT byte_offset, line_number, line FROM rejected_lines WHERE source_id = ? ORDER BY byte_offset
"""
_WITH_REJECTS = "SELECT DISTINCT source_id FROM rejected_lines ORDER BY source_id"
_COUNT = "SELECT COUNT(*) FROM rejected_lines WHERE source_id = ?"
_REPLACED_BYTE = re.compile(r"\\x[0-9a-f]{2}")
"""What stands for a byte that was no UTF-8: only the log has that byte."""


@dataclass(slots=True)
class Retried:
    """What became of rejects; `whole` and `alone` are those that are events now, with their log and without.

    `notes` name the logs of which only the stored lines could be read.
    """

    rejects: int = 0
    whole: int = 0
    alone: int = 0
    events_new: int = 0
    notes: list[str] = field(default_factory=list)


def retry_rejects(database: StrPath, wait_seconds: float = 0.0) -> Retried:
    """Read the rejects of a database again, each source in a transaction of its own.

    Raises:
        DatabaseBusy, DatabaseUnusable: see `ingest.storing.database`.
    """
    require_database(database)
    done = Retried()
    with ingest_lock(database, wait_seconds), open_for_writing(database, makes=False) as db:
        retry = _Retry(db, done)
        for (source_id,) in db.conn.execute(_WITH_REJECTS).fetchall():
            source = source_known(db.conn, source_id)
            if source is not None and source.state != IMPORTED:
                retry.read(source)
    return done


@dataclass(frozen=True, slots=True)
class _Understood:
    """The stored rejects that are events now, and whether others need their log to be read."""

    sightings: list[Sighting]
    needs_log: bool


class _Retry:
    """One retry."""

    def __init__(self, db: Database, done: Retried) -> None:
        self._db = db
        self._store = Store(db.conn)
        self._done = done

    def read(self, source: Source) -> None:
        """Read the rejects of a source again."""
        before = self._count(source)
        self._done.rejects += before
        understood = self._understood(source)
        if not understood.sightings and not understood.needs_log:
            return
        if self._reread(source):
            self._done.whole += before - self._count(source)
        elif understood.sightings:
            new = self._store.convert_rejects(source.source_id, understood.sightings)
            self._done.alone += len(understood.sightings)
            self._done.events_new += new
            self._done.notes.append(
                f"{source.path}: not as it was read, or gone: lines read without their context "
                "(if it comes back: `tokentail backfill --full`)"
            )

    def _count(self, source: Source) -> int:
        (count,) = self._db.conn.execute(_COUNT, [source.source_id]).fetchone()
        return int(count)

    def _understood(self, source: Source) -> _Understood:
        try:
            zone = zone_recorded(source.timezone)
            container_logs = recall(checkpoint_of(self._db.conn, source)[0])[0].container_logs
            own = None if source.prefix is None else template(source.prefix)
        except (NotTheSame, UsageMistake, TemplateMistake):
            return _Understood([], needs_log=True)
        sightings: list[Sighting] = []
        needs_log = False
        for offset, number, line in self._db.conn.execute(_REJECTS, [source.source_id]):
            if len(line) >= MAX_REJECT_TEXT or _REPLACED_BYTE.search(line):
                needs_log = True
                continue
            parsed = parse_line(line.encode("utf-8", "surrogatepass"), container_logs, own)
            seen = _seen(line, parsed, zone, is_cut=offset >= source.offset)
            if seen is not None:
                sightings.append(Sighting(offset, number, seen))
        return _Understood(sightings, needs_log)

    def _reread(self, source: Source) -> bool:
        """Read a source's log from its start, if it is there and is what was read."""
        for log in self._places(source):
            try:
                if not is_still(self._db.conn, log, source):
                    continue
                finished = recall(checkpoint_of(self._db.conn, source)[0])[0].provisional is not None
                options = ScanOptions(source.timezone, finished, prefix=source.prefix)
                stored = self._store.reread(scan(log, None, options), log, source)
            except (LogUnreadable, LogUnfinished, NotTheSame):
                continue
            self._done.events_new += stored.events_new
            return True
        return False

    def _places(self, source: Source) -> Sequence[LogFile]:
        """Return where a source's log may be: where it was read, and the rotations beside that."""
        if source.path == STANDARD_INPUT:
            return ()
        there = LogFile(source.path)
        places = [there, *places_of([source], there, Rotations())]
        return [log for log in places if os.path.isfile(log.path)]


def _seen(line: str, parsed: ParsedLine | None, zone: Zone, is_cut: bool) -> Fact | None:
    """Return what a stored line says; `None` where it still is no event."""
    data = line.encode("utf-8", "surrogatepass")
    if parsed is None or parsed.stamp is None or not isinstance(parsed.record, EstimationEvent):
        return None
    moment = moment_of_line(zone, data, parsed.stamp)
    if moment is None:
        return None
    return Fact(parsed.record, time_text(moment), parsed.stamp.text, NO_CONTEXT, is_cut)
