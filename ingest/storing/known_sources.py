"""The sources that the database knows, indexed by inode, path and fingerprint.

These are hints of where to look; `ingest.assign` decides which file is which source.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterable, Sequence

from ingest.files.discover import is_rotation
from ingest.files.logfile import FileState
from ingest.files.paths import is_there
from ingest.reading.checkpoint import COUNTED, UNCLAIMED, Checkpoint, Counters, Fingerprint
from ingest.reading.resume import DamagedCheckpoint
from ingest.storing.sources import REPLACED, SELECT, Source, source_of_row

_LOGS = f"{SELECT} WHERE path <> '-' AND state <> 'imported' AND host IS NULL ORDER BY source_id"
_PIPES = f"""
{SELECT} WHERE path = '-' AND state <> 'imported' AND host IS NULL ORDER BY byte_offset DESC, source_id
"""
_ONE = f"{SELECT} WHERE source_id = ?"
_PATHS = """
SELECT path FROM log_sources WHERE path <> '-' AND state <> 'imported' AND host IS NULL
UNION SELECT real_path FROM log_sources WHERE real_path IS NOT NULL
"""


class KnownSources:
    """Sources as values, as they were when they were loaded."""

    def __init__(self, sources: Iterable[Source]) -> None:
        """Index them."""
        self._by_file: dict[tuple[int, int], list[Source]] = {}
        self._by_path: dict[str, list[Source]] = {}
        self._by_fingerprint: dict[Fingerprint, list[Source]] = {}
        for source in sources:
            self._by_path.setdefault(source.path, []).append(source)
            self._by_fingerprint.setdefault(source.fingerprint, []).append(source)
            if source.file is not None:
                self._by_file.setdefault(source.file.number, []).append(source)
        self.head_sizes = sorted({of.size_bytes for of in self._by_fingerprint}, reverse=True)

    def read_from(self, file: FileState) -> Sequence[Source]:
        """Return the sources that were read last from a file with this number."""
        return self._by_file.get(file.number, ())

    def beginning(self, fingerprint: Fingerprint) -> Sequence[Source]:
        """Return the sources that begin so."""
        return self._by_fingerprint.get(fingerprint, ())

    def replaced_at(self, path: str, claimed: Collection[int]) -> list[Source]:
        """Return the sources at a path that no file claims now, the newest first."""
        there = self._by_path.get(path, ())
        left = (source for source in there if source.state != REPLACED and source.source_id not in claimed)
        return sorted(left, key=lambda source: source.source_id, reverse=True)

    def vanished(self, folders: Collection[str]) -> list[str]:
        """Return the paths in folders (as they are stored) that led elsewhere and are not there any more."""
        return sorted(
            path
            for path, sources in self._by_path.items()
            if os.path.dirname(path) in folders
            and any(source.state != REPLACED and source.real_path not in (None, path) for source in sources)
            and not os.path.lexists(path)
        )

    def is_older(self, source: Source) -> bool:
        """Whether something else was read at a source's path after the source.

        That may have a smaller number: of several rotations between two runs, the log is read first.
        """
        return any(
            is_rotation(source.real_path, other.real_path)
            or (other.source_id > source.source_id and not is_rotation(other.real_path, source.real_path))
            for other in self._by_path[source.path]
            if other.source_id != source.source_id
        )


def logs_known(connection: sqlite3.Connection) -> KnownSources:
    """Load the sources that are logs of this machine."""
    return KnownSources(map(source_of_row, connection.execute(_LOGS)))


def pipes_known(connection: sqlite3.Connection) -> list[Source]:
    """Load the sources that came through pipes, the longest first."""
    return list(map(source_of_row, connection.execute(_PIPES)))


def source_known(connection: sqlite3.Connection, source_id: int) -> Source | None:
    """Load a source as it is now; `None` if it was removed."""
    return next(map(source_of_row, connection.execute(_ONE, [source_id])), None)


def paths_there(connection: sqlite3.Connection) -> list[str]:
    """Return the paths at which sources were read last and something still is."""
    return sorted(path for (path,) in connection.execute(_PATHS) if is_there(path))


def count_without(connection: sqlite3.Connection, claimed: Collection[int]) -> int:
    """Count the sources, pipes apart, that no file claims."""
    (count,) = connection.execute("SELECT COUNT(*) FROM log_sources WHERE path <> '-'").fetchone()
    return int(count) - len(claimed)


def checkpoint_of(connection: sqlite3.Connection, source: Source) -> tuple[Checkpoint, Counters]:
    """Load the checkpoint of a source, and its counters.

    Raises:
        DamagedCheckpoint: a counter is no number, so the rest can't be trusted either.
    """
    query = f"SELECT remembered, {', '.join(COUNTED)} FROM log_sources WHERE source_id = ?"
    remembered, *counts = connection.execute(query, [source.source_id]).fetchone()
    for name, count in zip(COUNTED, counts, strict=True):
        if not isinstance(count, int) and not (count is None and name in UNCLAIMED):
            raise DamagedCheckpoint
    checkpoint = Checkpoint(
        fingerprint=source.fingerprint,
        tail=source.tail,
        offset=source.offset,
        encoding=source.encoding,
        zone=source.timezone,
        remembered=remembered,
        prefix=source.prefix,
    )
    return checkpoint, Counters(*counts)
