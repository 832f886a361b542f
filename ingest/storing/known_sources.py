"""The sources that the database knows, and which of them a log file on disk is.

The hints (device, inode, path) and the fingerprint only choose where to look; the bytes before the
checkpoint decide, and a file that is none of the known sources is read from its start.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator

from ingest.files.discover import is_rotation
from ingest.files.listing import Files
from ingest.files.logfile import FileState, LogFile, digest
from ingest.files.paths import is_there
from ingest.reading.checkpoint import COUNTED, UNCLAIMED, Checkpoint, Counters
from ingest.reading.resume import DamagedCheckpoint
from ingest.storing.sources import REPLACED, SELECT_ONE, Source, integer, source_of_row

_INDEX = """
SELECT source_id, path, fingerprint_bytes, fingerprint, device, inode, state, real_path <> path
FROM log_sources WHERE path <> '-' AND state <> 'imported' AND host IS NULL
"""

_PIPES = """
SELECT source_id FROM log_sources WHERE path = '-' AND state <> 'imported' AND host IS NULL
ORDER BY byte_offset DESC, source_id
"""


class KnownSources:
    """All sources of a database; each is continued by at most one file of a run.

    Where to look for which is loaded at once, as it was before the run; a source itself when it is asked for.
    """

    def __init__(self, connection: sqlite3.Connection, held: Files | None = None) -> None:
        """Load where the sources are; `held` are files that this run has found, all by itself in time."""
        self._connection = connection
        self._by_fingerprint: dict[tuple[int, str], list[int]] = {}
        self._by_file: dict[tuple[int, int], list[int]] = {}
        self._by_path: dict[str, list[int]] = {}
        self._replaced: set[int] = set()
        self._elsewhere: set[str] = set()
        self._taken: set[int] = set()
        self._held = Files() if held is None else held
        self._released: set[int] = set()
        self._left: set[int] = set()
        for row in connection.execute(_INDEX):
            self._add(row)
        sizes = {size for size, _ in self._by_fingerprint}
        self._sizes = sorted(sizes, reverse=True)

    def _add(self, row: tuple[object, ...]) -> None:
        source_id, path, size, fingerprint, device, inode, state, is_elsewhere = row
        assert isinstance(source_id, int)  # noqa: S101 - for the type checker: a row has one
        self._by_path.setdefault(str(path), []).append(source_id)
        self._by_fingerprint.setdefault((integer(size), str(fingerprint)), []).append(source_id)
        if isinstance(device, int) and isinstance(inode, int):
            self._by_file.setdefault((device, inode), []).append(source_id)
        if state == REPLACED:
            self._replaced.add(source_id)
        elif is_elsewhere:
            self._elsewhere.add(str(path))

    def _sources(self, source_ids: Iterable[int]) -> Iterator[Source]:
        """Load sources by their ids, as they are now; one that this run took away is left out."""
        for source_id in source_ids:
            row = self._connection.execute(SELECT_ONE, [source_id]).fetchone()
            if row is not None:
                yield source_of_row(row)

    def source(self, source_id: int) -> Source | None:
        """Return a source by its id."""
        return next(self._sources([source_id]), None)

    @property
    def is_empty(self) -> bool:
        """Whether no source was known before this run: no log can be any of them."""
        return not self._by_path

    def hold(self, file: FileState | None) -> None:
        """Say that this run reads a file: the source that it was is left to it by its copies."""
        if file is not None:
            self._held.add(file.device, file.inode)

    def is_held(self, file: FileState) -> bool:
        """Whether this run reads a file already, under another name."""
        return self._held.holds(file.device, file.inode)

    def knows(self, log: LogFile, file: FileState) -> bool:
        """Whether anything was read at a log's path, or of its very file; its bytes are not asked."""
        return (file.device, file.inode) in self._by_file or log.stored_path in self._by_path

    def unchanged(self, file: FileState, finished: bool) -> Source | None:
        """Return the source that a file is, if nothing of it is new; costs no open."""
        sources = self._sources(self._by_file.get((file.device, file.inode), ()))
        return next((source for source in sources if source.is_unchanged(file, finished)), None)

    def candidates(self, log: LogFile, file: FileState, head: bytes) -> Iterator[Source]:
        """Yield the sources that a file with this head may be, the likeliest first."""
        for source in sorted(self.alike(head), key=lambda one: _likelihood(one, log, file)):
            own = source.file
            is_anothers = (
                own is not None
                and (own.device, own.inode) != (file.device, file.inode)
                and self.is_held(own)
                and self._is_at_its_file(source)
            )
            if not is_anothers and source.source_id not in self._taken:
                yield source

    def _is_at_its_file(self, source: Source) -> bool:
        """Whether a source's own file is still the source, as far as it is known."""
        if source.file is None or source.source_id in self._released | self._left:
            return False
        newest = max(self._by_file.get((source.file.device, source.file.inode), [source.source_id]))
        return source.source_id >= newest  # nothing else was read from that file since

    def alike(self, head: bytes) -> list[Source]:
        """Return all sources that begin as a file does, whoever continues them."""
        found: list[Source] = []
        for size in self._sizes:
            if size <= len(head):
                found += self._sources(self._by_fingerprint.get((size, digest(head[:size])), ()))
        return found

    def pipes(self) -> list[Source]:
        """Return what came through pipes, the longest first."""
        return list(self._sources(source_id for (source_id,) in self._connection.execute(_PIPES).fetchall()))

    def twins(self, source: Source) -> Iterator[Source]:
        """Yield the other sources that begin as a source does: copies of it, mostly."""
        key = (source.fingerprint.size_bytes, source.fingerprint.digest)
        alike = self._by_fingerprint.get(key, ())
        return self._sources(one for one in alike if one != source.source_id)

    def take(self, source: Source) -> None:
        """Say that a file of this run continues a source."""
        self._taken.add(source.source_id)

    def read_before(self, log: LogFile, file: FileState) -> Source | None:
        """Return the newest source that was read from this very file, though it may be another now."""
        at = [
            source
            for source in self._sources(self._by_file.get((file.device, file.inode), ()))
            if source.path == log.stored_path
            and source.real_path in (None, log.real_path)
            and source.source_id not in self._taken
        ]
        return max(at, key=lambda source: source.source_id, default=None)

    def others_read(self, log: LogFile, file: FileState) -> Iterator[Source]:
        """Yield the sources that were read from this very file when it had another name."""
        for source in self._sources(self._by_file.get((file.device, file.inode), ())):
            if source.path != log.stored_path and source.source_id not in self._taken:
                yield source

    def former(self, log: LogFile) -> list[Source]:
        """Return what was read at a path before and no file of this run continues: first the newest."""
        at = self._by_path.get(log.stored_path, ())
        left = [one for one in at if one not in self._replaced and one not in self._taken]
        return list(self._sources(sorted(left, reverse=True)))

    def vanished(self, folders: Collection[str]) -> list[str]:
        """Return the paths in folders (as they are stored) that led elsewhere and are not there any more."""
        return sorted(
            path for path in self._elsewhere if os.path.dirname(path) in folders and not os.path.lexists(path)
        )

    def is_older(self, source: Source) -> bool:
        """Whether something else was read at a source's path before this run, and after the source.

        That may have a smaller number: of several rotations between two runs, the log is read first.
        """
        others = [one for one in self._by_path.get(source.path, ()) if one != source.source_id]
        return any(
            is_rotation(source.real_path, other.real_path)
            or (other.source_id > source.source_id and not is_rotation(other.real_path, source.real_path))
            for other in self._sources(others)
        )

    def is_taken(self, source: Source) -> bool:
        """Whether a file of this run continues a source."""
        return source.source_id in self._taken

    def paths_there(self) -> list[str]:
        """Return the paths at which sources were read last and something still is."""
        real = self._connection.execute("SELECT real_path FROM log_sources WHERE real_path IS NOT NULL")
        known = {*self._by_path, *(path for (path,) in real)}
        return sorted(path for path in known if is_there(path))

    def left(self) -> int:
        """Count the sources that no file of this run continues."""
        known = {source_id for at in self._by_path.values() for source_id in at}
        query = (
            "SELECT COUNT(*) FROM log_sources WHERE path <> '-' AND (state = 'imported' OR host IS NOT NULL)"
        )
        return len(known - self._taken) + int(self._connection.execute(query).fetchone()[0])

    def release(self, source: Source) -> None:
        """Say that the file a source was read from is another one now: a copy may be the source."""
        self._released.add(source.source_id)

    def leave(self, source: Source) -> None:
        """Say that a source's own file has become another log's: wherever the source is, it is not there."""
        self._left.add(source.source_id)

    def is_released(self, source: Source) -> bool:
        """Whether the file a source was read from turned out to be another one now."""
        return source.source_id in self._released

    def resume(self, source: Source) -> tuple[Checkpoint, Counters]:
        """Load what must be known to go on in a source, and what was counted in it.

        Raises:
            DamagedCheckpoint: the counts are no numbers, so that nothing of it can be believed.
        """
        query = f"SELECT remembered, {', '.join(COUNTED)} FROM log_sources WHERE source_id = ?"
        remembered, *counts = self._connection.execute(query, [source.source_id]).fetchone()
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


def _likelihood(source: Source, log: LogFile, file: FileState) -> tuple[bool, bool, int]:
    there = source.file and (source.file.device, source.file.inode)
    return (there != (file.device, file.inode), source.path != log.stored_path, -source.offset)
