"""A source as a value: what a log file is, as far as the database knows."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.files.logfile import FileState
from ingest.reading.batch import Batch
from ingest.reading.checkpoint import Fingerprint
from ingest.storing.rows import Row

SELECT_ONE = """
SELECT source_id, path, fingerprint, fingerprint_bytes, tail_fingerprint, device, inode, modified_ns,
    size_bytes, ending, byte_offset, unread_bytes, encoding, compression, timezone, state, real_path, prefix
FROM log_sources WHERE source_id = ?
"""
REPLACED = "replaced"
"""The state of a source whose file is now another one."""

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

    def has_grown_into(self, file: FileState) -> bool:
        """Whether a file, by its `stat` alone, is the one that was read, written on since.

        One that is as long as before may have been given the number of one that is gone.
        """
        own = self.file
        if own is None or (own.device, own.inode) != (file.device, file.inode):
            return False
        return file.size_bytes > own.size_bytes


def source_of(batch: Batch, row: Row, source_id: int) -> Source:
    """Return a source as it is once a batch of it is stored; `row` tells where it was found."""
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
    """Return a source as `SELECT_ONE` reads it."""
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
