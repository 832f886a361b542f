"""The evidence for assigning files to sources: their first bytes, and the samples of a source's bytes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from ingest.errors import LogUnreadable, damage_suppressed
from ingest.files.discover import Rotations
from ingest.files.listing import Files
from ingest.files.logfile import LogFile, Sample, digest
from ingest.files.urls import is_url
from ingest.reading.checkpoint import Fingerprint
from ingest.reading.resume import (
    DamagedCheckpoint,
    NotTheSame,
    evidence_of,
    head_of,
    is_source,
    matching_samples,
    recall,
)
from ingest.storing.known_sources import KnownSources, checkpoint_of
from ingest.storing.sources import Source


class FileEvidence:
    """The evidence of some files of one run; `met` are all of its files, those that didn't change too."""

    def __init__(
        self, connection: sqlite3.Connection, sources: KnownSources, files: Iterable[LogFile], met: Files
    ) -> None:
        """Begin with no file opened."""
        self._connection = connection
        self._sources = sources
        self._files = files
        self._met = met
        self._rotations = Rotations()
        self._fingerprints: dict[LogFile, list[Fingerprint]] = {}
        self._by_fingerprint: dict[Fingerprint, list[LogFile]] = {}

    def has_same_tail(self, log: LogFile, source: Source) -> bool:
        """Whether a file ends as the source did; true if the source's time was not too fresh to trust."""
        return source.file is None or source.file.tail_hash is None or log.has_same_tail(source.file)

    def candidates(self, log: LogFile) -> list[Source]:
        """Return the sources whose fingerprint a file begins with."""
        return [source for begins in self._begins(log) for source in self._sources.beginning(begins)]

    def _begins(self, log: LogFile) -> list[Fingerprint]:
        if log not in self._fingerprints:
            sizes = self._sources.head_sizes
            head = head_of(log) if sizes else b""
            begins = [Fingerprint(size, digest(head[:size])) for size in sizes if size <= len(head)]
            self._fingerprints[log] = [
                fingerprint for fingerprint in begins if self._sources.beginning(fingerprint)
            ]
        return self._fingerprints[log]

    def matching(self, log: LogFile, sources: Sequence[Source]) -> list[Source]:
        """Return those of some sources that match a file, in one pass over it for all of them."""
        if len(sources) < 2:  # the same check as when it is opened to be read
            return [source for source in sources if is_still(self._connection, log, source)]
        samples = {source.source_id: _samples_of(self._connection, source) for source in sources}
        there = matching_samples(log, {sample for of_source in samples.values() for sample in of_source})
        return [
            source
            for source in sources
            if samples[source.source_id] and there.issuperset(samples[source.source_id])
        ]

    def is_in_place(self, source: Source) -> bool:
        """Whether a source is still in its own file, where it was read last.

        Version 0.1.0 stored no `real_path`, only the path that led there.
        """
        own, path = source.file, source.real_path or source.path
        if own is None:
            return False
        if is_url(path):
            return self._met.holds(*own.number)
        home = LogFile(path, named=False)
        is_own = False
        try:
            there = home.state()
            is_own = there.number == own.number
            return is_own and (
                source.is_unchanged(there, finished=False) or is_still(self._connection, home, source)
            )
        except LogUnreadable as error:
            if error.may_pass:
                raise
            return is_own

    def others(self, log: LogFile, source: Source) -> Iterator[LogFile]:
        """Yield the other files that begin like a source, and the rotations beside a file."""
        if not self._by_fingerprint:
            for other in self._files:
                with damage_suppressed():
                    for begins in self._begins(other):
                        self._by_fingerprint.setdefault(begins, []).append(other)
        oldest_ns = source.file.modified_ns if source.file is not None else 0
        yield from (other for other in self._by_fingerprint.get(source.fingerprint, ()) if other is not log)
        beside = self._rotations.of(log, oldest_ns, [source.real_path])
        yield from (other for other in beside if other.real_path != log.real_path)


def is_still(connection: sqlite3.Connection, log: LogFile, source: Source) -> bool:
    """Whether a log still holds, at its offsets, what was read of a source.

    Raises:
        LogUnreadable: it can't be opened.
    """
    with suppress(NotTheSame):
        return is_source(log, checkpoint_of(connection, source)[0])
    return False


def is_damaged(connection: sqlite3.Connection, source: Source) -> bool:
    """Whether the checkpoint of a source is damaged, so that no file can match it."""
    return not _samples_of(connection, source)


def _samples_of(connection: sqlite3.Connection, source: Source) -> list[Sample]:
    with suppress(DamagedCheckpoint):
        checkpoint = checkpoint_of(connection, source)[0]
        return evidence_of(checkpoint, recall(checkpoint)[0])
    return []
