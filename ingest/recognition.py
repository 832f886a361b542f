"""Which of the sources that are known a log is: told by its bytes, for an ingest and for the proof alike."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from ingest.errors import LogUnreadable
from ingest.files.discover import rotations_of
from ingest.files.logfile import FileState, LogFile
from ingest.files.sample import Sample, digest
from ingest.files.urls import is_url
from ingest.reading.evidence import standing_in
from ingest.reading.resume import NotTheSame, evidence_of, head_of, is_source, recall
from ingest.storing.known_sources import KnownSources
from ingest.storing.sources import Source


def is_still(log: LogFile, source: Source, sources: KnownSources) -> bool:
    """Whether a log holds what was read of a source, where it was read.

    Raises:
        LogUnreadable: it can't be opened.
    """
    with suppress(NotTheSame):
        return is_source(log, sources.resume(source)[0])
    return False


def standing(log: LogFile, state: FileState, head: bytes, sources: KnownSources) -> list[Source]:
    """Return the sources that a log may be, the likeliest first; one pass over it for all of them.

    Raises:
        LogUnreadable: it can't be opened.
    """
    near = sources.candidates(log, state, head)
    candidates = [source for source in near if not _is_at_home(source, state, sources)]
    if len(candidates) < 2:
        return candidates
    evidence: dict[int, list[Sample]] = {}
    for source in candidates:
        with suppress(NotTheSame):
            checkpoint = sources.resume(source)[0]
            evidence[source.source_id] = evidence_of(checkpoint, recall(checkpoint)[0])
    there = standing_in(log, {sample for samples in evidence.values() for sample in samples})
    return [
        source
        for source in candidates
        if source.source_id in evidence and there.issuperset(evidence[source.source_id])
    ]


def _is_at_home(source: Source, state: FileState, sources: KnownSources) -> bool:
    """Whether a source is in another file than this one still, where it was read last: this is a copy."""
    own = source.file
    if own is None or source.real_path is None or is_url(source.real_path):
        return False
    if (own.device, own.inode) == (state.device, state.inode):
        return False
    home = LogFile(source.real_path, named=False)
    with suppress(LogUnreadable):
        there = home.state()
        if (there.device, there.inode) == (own.device, own.inode):
            return source.is_unchanged(there, finished=False) or is_still(home, source, sources)
    return False


class Rivals:
    """The changed files of one run: a source that is not in its own file any more may be in one of them.

    If it may be in two, nobody knows in which: its evidence is a few places, and a copy may differ elsewhere.
    """

    def __init__(self, logs: Iterable[LogFile], sources: KnownSources) -> None:
        """Look at no file yet."""
        self._logs = list(logs)
        self._sources = sources
        self._by_head: dict[int, dict[str, list[LogFile]]] = {}

    def others_hold(self, source: Source, log: LogFile) -> bool:
        """Whether another of them, or a rotation beside a named log, holds what was read of a source too."""
        begun = self._begun(source.fingerprint.size_bytes).get(source.fingerprint.digest, ())
        oldest_ns = source.file.modified_ns if source.file is not None else 0
        for other in (*begun, *rotations_of(log, oldest_ns)):
            with suppress(LogUnreadable):
                if other is not log and is_still(other, source, self._sources):
                    return True
        return False

    def _begun(self, size_bytes: int) -> dict[str, list[LogFile]]:
        """Return the files by the hash of so many first bytes."""
        if size_bytes not in self._by_head:
            found = self._by_head[size_bytes] = {}
            for log in self._logs:
                with suppress(LogUnreadable):
                    found.setdefault(digest(head_of(log)[:size_bytes]), []).append(log)
        return self._by_head[size_bytes]
