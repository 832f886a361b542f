"""Import of what other databases hold: events of a full export, or the rows that an executor wrote itself.

An import happens wholly or not at all, and importing twice changes nothing. The file becomes a source, with a
sighting of each of its events, so that every event has a place and the counters of sources balance. Identity
is by content, as everywhere: an event that is known already only gains what it lacks.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sqlite_utils import Database

from ingest.errors import LogUnfinished, LogUnreadable, LogVanished, UnusableImport
from ingest.exported import NOTHING, exported_fact
from ingest.files.logfile import LogFile, chunks, is_database
from ingest.files.paths import STANDARD_INPUT
from ingest.storing import writes
from ingest.storing.database import (
    EVENTS_TABLE,
    StrPath,
    immediate,
    is_unused,
    open_for_writing,
    opened_as_it_is,
    remove_database,
)
from ingest.storing.escalations import Said
from ingest.storing.executors_rows import executors_facts, own_escalations
from ingest.storing.groups import Place, Placed
from ingest.storing.imports import as_batches, source_at, source_of_content
from ingest.storing.ingest_runs import ingest_lock
from ingest.storing.retention import cutoff_of
from ingest.storing.store import SourceWriter

BATCH = 1000
"""Events that are computed at once: enough for speed, few enough for memory."""


@dataclass(frozen=True, slots=True)
class ImportedEvents:
    """What an import did; of `events` in the file the rest was known and complete already.

    `events_pruned` are older than what is kept.
    """

    events: int
    events_new: int
    events_updated: int
    events_pruned: int = 0


def import_events(file: str, database: StrPath, wait_seconds: float = 0.0) -> ImportedEvents:
    """Import events of a full export (NDJSON; `-` is standard input), or of an executor's own database.

    Raises:
        UnusableImport: the file can't be read, or a line is no event of an export; nothing was changed.
        DatabaseBusy, DatabaseUnusable: see `ingest.storing.database`.
    """
    if file != STANDARD_INPUT and is_database(file):
        if os.path.exists(database) and os.path.samefile(file, database):
            raise UnusableImport(f"{file}: the database itself, which --db names: import into another one")
        with opened_as_it_is(file, not_ours=True) as theirs, _held(database, wait_seconds) as db:
            return _import_rows(db.conn, theirs, file)
    with _opened(file) as lines, _held(database, wait_seconds) as db:
        return _import(db, lines, file)


@contextmanager
def _held(database: StrPath, wait_seconds: float) -> Iterator[Database]:
    """Hold a database in a transaction; one that is made in vain is removed."""
    with ingest_lock(database, wait_seconds):
        is_new = not os.path.exists(database)
        try:
            with open_for_writing(database, is_unused(database)) as db, immediate(db.conn):
                yield db
        except BaseException:
            if is_new:
                remove_database(database)
            raise


def _import_rows(connection: sqlite3.Connection, theirs: sqlite3.Connection, file: str) -> ImportedEvents:
    """Import all that an executor has written, in place of what was imported before."""
    digest = hashlib.blake2b(os.path.abspath(file).encode(), digest_size=16).hexdigest()
    source_id = source_at(connection, file, digest, 0)
    try:
        theirs.execute("BEGIN")  # one moment of it, whatever the executor writes meanwhile
        found = executors_facts(theirs, file)
        rows = (Placed(Place(source_id, event_id, 0), fact) for event_id, fact in found)
        return _replace(connection, source_id, rows, own_escalations(theirs, source_id))
    except sqlite3.Error as error:
        raise UnusableImport(f"{file}: can't be read: {error}; nothing was imported") from error


def _replace(
    connection: sqlite3.Connection,
    source_id: int,
    facts: Iterable[Placed],
    escalations: Iterable[Said] = (),
) -> ImportedEvents:
    """Replace what a source holds by these facts and escalations."""
    writer, cutoff = SourceWriter(connection), cutoff_of(connection)
    writer.begin()
    writer.remove(source_id)
    count = new = updated = pruned = 0
    for batch in as_batches(facts, BATCH):
        kept = [placed for placed in batch if cutoff is None or placed.fact.timestamp >= cutoff]
        count += len(batch)
        pruned += len(batch) - len(kept)
        stored = writer.put(kept)
        new += stored.events_new
        updated += stored.events_updated
    writer.add_escalations(escalations)
    updated += writer.finish().events_updated
    writes.update_source(connection, source_id, {"pruned_sightings": pruned})
    writes.count_places(connection, source_id)
    return ImportedEvents(count, new, updated, pruned)


def _opened(file: str) -> IO[bytes]:
    """Open an export so that it can be read twice: what can't be, or is compressed, is kept aside."""
    log = LogFile(file)
    try:
        with log.opened() as opened:
            if opened.is_plain:
                return Path(file).open("rb")
            with ExitStack() as failed:
                kept = failed.enter_context(tempfile.TemporaryFile())
                kept.writelines(chunks(opened.stream, log.shown))
                kept.seek(0)
                failed.pop_all()
    except LogVanished as error:
        raise UnusableImport(f"{log.shown}: no such file; nothing was imported") from error
    except (LogUnreadable, LogUnfinished) as error:
        raise UnusableImport(f"{error}; nothing was imported") from error
    return kept


def _import(db: Database, lines: IO[bytes], file: str) -> ImportedEvents:
    digest, size_bytes = _content(lines, file)
    source_id = source_of_content(db.conn, file, digest, size_bytes)
    columns = frozenset(column.name for column in db.table(EVENTS_TABLE).columns)
    return _replace(db.conn, source_id, _facts(lines, columns, source_id, file))


def _facts(lines: IO[bytes], columns: frozenset[str], source_id: int, file: str) -> Iterator[Placed]:
    """Yield the events of an export; each knows the offset and the number of its line."""
    offset = 0
    for number, line in enumerate(lines, start=1):
        where = f"{file}:{number}"
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise UnusableImport(f"{where}: not UTF-8; {NOTHING}, not with PowerShell's >") from error
        if text.strip():
            yield exported_fact(text, columns, Place(source_id, offset, number), where)
        offset += len(line)


def _content(lines: IO[bytes], file: str) -> tuple[str, int]:
    """Return the hash and the size of an export, and go back to its start."""
    found = hashlib.blake2b(digest_size=16)
    size_bytes = 0
    try:
        while chunk := lines.read(1 << 20):
            found.update(chunk)
            size_bytes += len(chunk)
    except OSError as error:
        raise UnusableImport(f"{file}: can't be read ({error.strerror}); nothing was imported") from error
    lines.seek(0)
    return found.hexdigest(), size_bytes
