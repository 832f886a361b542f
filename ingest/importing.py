"""Import of events that another database exported: whole or not at all, twice as once.

The export becomes a source of its own, with a sighting of each of its events, so that every event
was seen somewhere and the balance of sources holds. Identity is by content, as everywhere: an event
that is known already only gains what it lacks.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from sqlite_utils import Database

from ingest.errors import LogUnfinished, LogUnreadable, LogVanished, UnusableImport
from ingest.exported import exported_event
from ingest.files.logfile import LogFile, chunks
from ingest.files.paths import STANDARD_INPUT, shown
from ingest.linking.timestamps import time_text
from ingest.storing.database import EVENTS_TABLE, StrPath, immediate, open_for_writing
from ingest.storing.horizon import horizon_of
from ingest.storing.ingest_runs import ingest_lock
from ingest.storing.settling import NewEvent, Settling, add_events
from ingest.storing.sources import IMPORTED

BATCH = 1000
"""Events that are settled at once: enough for speed, few enough for memory."""


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
    """Take the events of a full export (NDJSON; `-` is standard input) into a database.

    Raises:
        UnusableImport: the file can't be read, or a line is no event of an export; nothing was changed.
        DatabaseBusy, DatabaseUnusable: see `ingest.storing.database`.
    """
    with ExitStack() as stack:
        lines = stack.enter_context(_opened(file))
        stack.enter_context(ingest_lock(database, wait_seconds))
        db = stack.enter_context(open_for_writing(database))
        with immediate(db.conn):
            return _import(db, lines, file)


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
    source_id = _source(db, file, digest, size_bytes)
    columns = frozenset(column.name for column in db.table(EVENTS_TABLE).columns)
    horizon = horizon_of(db.conn)
    settling = Settling(db.conn)
    count = new = updated = pruned = 0
    for found in _batches(lines, columns, file):
        events = [one for one in found if horizon is None or time_text(one.event.moment) >= horizon]
        count += len(found)
        pruned += len(found) - len(events)
        added = add_events(db.conn, settling, events, source_id)
        new += added.events_new
        updated += added.events_updated
    db.conn.execute(
        "UPDATE log_sources SET (marker_lines, sightings, pruned_sightings) = "
        "(SELECT COUNT(*) + ?2, COUNT(*) + ?2, ?2 FROM event_sightings WHERE source_id = ?1) "
        "WHERE source_id = ?1",
        [source_id, pruned],
    )
    return ImportedEvents(count, new, updated, pruned)


def _batches(lines: IO[bytes], columns: frozenset[str], file: str) -> Iterator[list[NewEvent]]:
    """Yield the events of the file in batches; each knows the offset and the number of its line."""
    batch: list[NewEvent] = []
    offset = 0
    for number, line in enumerate(lines, start=1):
        where = f"{file}:{number}"
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise UnusableImport(
                f"{where}: not UTF-8; nothing was imported: write it with `tokentail export --full -o FILE`, "
                "not with PowerShell's >"
            ) from error
        if text.strip():
            batch.append(exported_event(text, columns, (offset, number), where))
        offset += len(line)
        if len(batch) >= BATCH:
            yield batch
            batch = []
    yield batch


def _content(lines: IO[bytes], file: str) -> tuple[str, int]:
    """Return the hash and the size of an export, and go back to its start."""
    found = hashlib.blake2b(digest_size=16)
    size_bytes = 0
    try:
        while chunk := lines.read(1 << 20):
            found.update(chunk)
            size_bytes += len(chunk)
    except OSError as error:
        raise UnusableImport(f"{file}: {error.strerror or error}") from error
    lines.seek(0)
    return found.hexdigest(), size_bytes


def _source(db: Database, file: str, digest: str, size_bytes: int) -> int:
    """Return the source that an export is: the same content is the same source, whatever its name."""
    known = db.conn.execute(
        "SELECT source_id FROM log_sources WHERE state = ? AND fingerprint = ? AND fingerprint_bytes = ?",
        [IMPORTED, digest, size_bytes],
    ).fetchone()
    if known:
        return int(known[0])
    now = time_text(datetime.now(UTC))
    counts = dict.fromkeys(
        (
            *("unread_bytes", "marker_lines", "sightings", "rejects", "legacy_lines", "write_failures"),
            *("skipped_events", "long_lines", "calls_without_telemetry", "quoted_lines", "unread_lines"),
        ),
        0,
    )
    row = {
        "path": file if file == STANDARD_INPUT else shown(os.path.abspath(file)),
        "fingerprint": digest,
        "fingerprint_bytes": size_bytes,
        "size_bytes": size_bytes,
        "byte_offset": size_bytes,
        "encoding": "utf-8",
        "timezone": "UTC",
        "state": IMPORTED,
        "remembered": "{}",
        "first_seen": now,
        "last_seen": now,
    }
    source_id = db.table("log_sources").insert(row | counts, pk="source_id").last_rowid
    assert source_id is not None  # noqa: S101 - for the type checker: an insert has one
    return source_id
