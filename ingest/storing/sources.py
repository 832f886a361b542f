"""A source: what a log file is, as far as the database knows, as a value and as a row."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ingest.errors import DatabaseBusy
from ingest.files.logfile import FileState, LogFile
from ingest.linking.timestamps import time_text
from ingest.reading.batch import Batch
from ingest.reading.checkpoint import COUNTED, Fingerprint
from ingest.storing import writes
from ingest.storing.rows import Row

SELECT = """
SELECT source_id, path, fingerprint, fingerprint_bytes, tail_fingerprint, device, inode, modified_ns,
    size_bytes, ending, byte_offset, unread_bytes, encoding, compression, timezone, state, real_path, prefix
FROM log_sources
"""
REPLACED = "replaced"
"""The state of a source whose file was replaced by another one."""

IMPORTED = "imported"
"""The state of a source that is an export of events: it is no log, and no log goes on with it."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a log file is, as far as the database knows; see `log_sources` in the schema."""

    source_id: int
    path: str
    fingerprint: Fingerprint
    tail: str | None
    file: FileState | None
    offset: int
    unread_bytes: int
    encoding: str
    compression: str | None
    timezone: str
    state: str
    real_path: str | None
    prefix: str | None

    def is_unchanged(self, file: FileState, finished: bool) -> bool:
        """Whether a file, by its `stat` alone, holds nothing that was not read."""
        if self.file != file or self.state not in ("complete", "unterminated"):
            return False
        return not (finished and self.unread_bytes)

    def is_still_in(self, file: FileState) -> bool:
        """Whether a file, by its `stat` alone, is the one that was read: as it was then, or grown since.

        One of the same size and another time may be another file that got the inode of a deleted one.
        """
        own = self.file
        return own is not None and (
            own == file or (own.number == file.number and own.size_bytes < file.size_bytes)
        )


def source_of(batch: Batch, row: Row, source_id: int) -> Source:
    """Return a source as it is once a batch of it is stored; `row` has the paths at which it was found."""
    checkpoint = batch.checkpoint
    return Source(
        source_id=source_id,
        path=row["path"],
        fingerprint=checkpoint.fingerprint,
        tail=checkpoint.tail,
        file=batch.file,
        offset=checkpoint.offset,
        unread_bytes=batch.unread_bytes,
        encoding=checkpoint.encoding,
        compression=batch.compression,
        timezone=checkpoint.zone,
        state=batch.state,
        real_path=row["real_path"],
        prefix=checkpoint.prefix,
    )


def source_of_row(row: tuple[object, ...]) -> Source:
    """Return a source as `SELECT` reads it."""
    (source_id, path, fingerprint, size, tail, device, inode, modified, disk, ending, *rest) = row
    offset, unread, encoding, compression, zone, state, real_path, prefix = rest
    file = None
    if isinstance(device, int) and isinstance(inode, int):
        file = FileState(
            device, inode, integer(disk), integer(modified), None if ending is None else str(ending)
        )
    return Source(
        source_id=integer(source_id),
        path=str(path),
        fingerprint=Fingerprint(integer(size), str(fingerprint)),
        tail=None if tail is None else str(tail),
        file=file,
        offset=integer(offset),
        unread_bytes=integer(unread),
        encoding=str(encoding),
        compression=None if compression is None else str(compression),
        timezone=str(zone),
        state=str(state),
        real_path=None if real_path is None else str(real_path),
        prefix=None if prefix is None else str(prefix),
    )


def integer(value: object) -> int:
    """Return a number that a column holds, or 0 where somebody wrote something else into it."""
    return value if isinstance(value, int) else 0


# As rows, inside the transaction of a batch


def write_source(connection: sqlite3.Connection, batch: Batch, log: LogFile, source: Source | None) -> Source:
    """Store the checkpoint and the counts of a batch; a new source (`None`) gets its row.

    Raises:
        DatabaseBusy: the checkpoint is not where this batch began: somebody has moved it meanwhile.
    """
    now = time_text(datetime.now(UTC))
    values = _values(batch, log) | {"last_seen": now}
    if source is None:
        source_id = writes.insert_source(connection, values | {"first_seen": now})
        return source_of(batch, values, source_id)
    if not writes.update_source(connection, source.source_id, values, was=source.offset):
        raise DatabaseBusy(f"{log.shown}: another ingest has read it meanwhile; run the command again")
    return source_of(batch, values, source.source_id)


def _values(batch: Batch, log: LogFile) -> Row:
    checkpoint, file = batch.checkpoint, batch.file
    return {
        "path": log.stored_path,
        "fingerprint": checkpoint.fingerprint.digest,
        "fingerprint_bytes": checkpoint.fingerprint.size_bytes,
        "tail_fingerprint": checkpoint.tail,
        "device": file.device if file else None,
        "inode": file.inode if file else None,
        "modified_ns": file.modified_ns if file else None,
        "size_bytes": file.size_bytes if file else checkpoint.offset,
        "byte_offset": checkpoint.offset,
        "unread_bytes": batch.unread_bytes,
        "encoding": checkpoint.encoding,
        "compression": batch.compression,
        "timezone": checkpoint.zone,
        "state": batch.state,
        **{name: getattr(batch.counters, name) for name in COUNTED},
        "remembered": checkpoint.remembered,
        "real_path": log.real_path,
        "ending": file.tail_hash if file else None,
        "prefix": checkpoint.prefix,
    }


def keep_state(connection: sqlite3.Connection, source: Source, log: LogFile, ending: str | None) -> None:
    """Store where a source is found now, and its tail hash while its time is too fresh to trust."""
    found = {"path": log.stored_path, "real_path": log.real_path, "ending": ending}
    writes.update_source(connection, source.source_id, found)


def mark_replaced(connection: sqlite3.Connection, source: Source) -> None:
    """Store that a source's file was replaced by another one."""
    writes.update_source(connection, source.source_id, {"state": REPLACED})


def shift_rejects(
    connection: sqlite3.Connection, source_id: int, offsets: Sequence[int], pruned: int = 0
) -> None:
    """Count rejects that became sightings as such; `pruned` of them are not kept.

    The columns count all of them, the checkpoint only those before its offset.
    """
    query = "SELECT byte_offset FROM log_sources WHERE source_id = ?"
    (end_offset,) = connection.execute(query, [source_id]).fetchone()
    remembered = sum(offset < end_offset for offset in offsets)
    writes.shift_rejects(connection, source_id, len(offsets), remembered, pruned)
