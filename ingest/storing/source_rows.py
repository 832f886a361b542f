"""Sources as rows: what the store writes of a log file, inside the transaction of its batch."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime

from ingest.errors import DatabaseBusy
from ingest.files.logfile import LogFile
from ingest.linking.timestamps import time_text
from ingest.reading.batch import Batch
from ingest.reading.checkpoint import COUNTED
from ingest.storing.rows import Row
from ingest.storing.sources import REPLACED, Source, source_of


def write_source(connection: sqlite3.Connection, batch: Batch, log: LogFile, source: Source | None) -> Source:
    """Store the checkpoint and the counts of a batch; a new source (`None`) gets its row here.

    Raises:
        DatabaseBusy: the checkpoint is not where this batch began: somebody has moved it meanwhile.
    """
    now = time_text(datetime.now(UTC))
    values = _values(batch, log) | {"last_seen": now}
    if source is None:
        row = values | {"first_seen": now}
        places = ", ".join(f":{name}" for name in row)
        made = connection.execute(f"INSERT INTO log_sources ({', '.join(row)}) VALUES ({places})", row)
        assert made.lastrowid is not None  # noqa: S101 - for the type checker: an insert has one
        return source_of(batch, values, made.lastrowid)
    assignments = ", ".join(f"{name} = :{name}" for name in values)
    moved = connection.execute(
        f"UPDATE log_sources SET {assignments} WHERE source_id = :source_id AND byte_offset = :was",
        values | {"source_id": source.source_id, "was": source.offset},
    )
    if moved.rowcount != 1:
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
        "ending": file.ending if file else None,
        "prefix": checkpoint.prefix,
    }


def keep_state(connection: sqlite3.Connection, source: Source, log: LogFile, ending: str | None) -> None:
    """Keep where a source is found now, and the hash of its end while its time is too fresh to trust."""
    connection.execute(
        "UPDATE log_sources SET path = ?, real_path = ?, ending = ? WHERE source_id = ?",
        [log.stored_path, log.real_path, ending, source.source_id],
    )


def mark_replaced(connection: sqlite3.Connection, source: Source) -> None:
    """Say that the file of a source is now another one."""
    connection.execute("UPDATE log_sources SET state = ? WHERE source_id = ?", [REPLACED, source.source_id])


_SHIFT = """
UPDATE log_sources SET sightings = sightings + :count, rejects = rejects - :count,
    pruned_sightings = pruned_sightings + :pruned
WHERE source_id = :source_id
"""
_REMEMBERED = """
UPDATE log_sources SET remembered = json_patch(remembered, json_object('counters', json_object(
    'sightings', COALESCE(json_extract(remembered, '$.counters.sightings'), 0) + :count,
    'rejects', COALESCE(json_extract(remembered, '$.counters.rejects'), 0) - :count
)))
WHERE source_id = :source_id
"""


def shift_rejects(
    connection: sqlite3.Connection, source_id: int, offsets: Sequence[int], pruned: int = 0
) -> None:
    """Count rejects at some offsets that became sightings as such; `pruned` of them are not kept.

    In the columns, and in what the checkpoint remembers: that knows nothing of a line behind it.
    """
    query = "SELECT byte_offset FROM log_sources WHERE source_id = ?"
    (end_offset,) = connection.execute(query, [source_id]).fetchone()
    values = {"source_id": source_id, "count": len(offsets), "pruned": pruned}
    connection.execute(_SHIFT, values)
    connection.execute(_REMEMBERED, values | {"count": sum(offset < end_offset for offset in offsets)})
