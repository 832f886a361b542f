"""The assignment of a run's files to sources: one question about all files, answered before any is read.

Here a rotated log is recognised: a file that holds what was read of a source is that source, whatever it is
named now. A pure function on values. Questions that need a file's bytes go to an `Evidence`, and only if they
must: a file that looks as it did when it was read to its end is not opened at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from ingest.errors import LogUnreadable, damage_suppressed
from ingest.files.logfile import FileState, LogFile
from ingest.storing.known_sources import KnownSources
from ingest.storing.sources import REPLACED, Source


@dataclass(frozen=True, slots=True)
class Assigned:
    """The source that a file is, to be resumed at its offset unless it `is_unchanged`; `None` for a new one.

    `rewritten` is the source that was read from this file before it was truncated or rewritten. After an
    error of the system nobody can know which source it is: it is not read now, and the `trouble` is reported.
    """

    source: Source | None = None
    is_unchanged: bool = False
    rewritten: Source | None = None
    trouble: LogUnreadable | None = None


class Evidence(Protocol):
    """Answers from the bytes of files. Each method raises `LogUnreadable` if a file can't be opened."""

    def has_same_tail(self, log: LogFile, source: Source) -> bool:
        """Whether a file ends as the source did; asked because its time may have been too fresh to trust."""

    def matching(self, log: LogFile, sources: Sequence[Source]) -> Sequence[Source]:
        """Return those of some sources that match a file: all their samples are in it, at their offsets."""

    def candidates(self, log: LogFile) -> Sequence[Source]:
        """Return the sources whose fingerprint a file begins with."""

    def is_in_place(self, source: Source) -> bool:
        """Whether a source is still in its own file, where it was read last."""

    def others(self, log: LogFile, source: Source) -> Iterable[LogFile]:
        """Return the other files that begin like a source, and the rotations beside a file."""


def assign(  # noqa: PLR0913 - each by its name
    files: Mapping[LogFile, FileState],
    sources: KnownSources,
    evidence: Evidence,
    claimed: Collection[int] = (),
    *,
    finished: bool = False,
    anew: bool = False,
) -> dict[LogFile, Assigned]:
    """Return for each file which source it is; no source is given to two files, nor one that is `claimed`.

    A file first gets a source that was read from it. A source that is no longer in its own file goes on in
    another file that matches it, unless two do: a copy in which one call was changed looks just like its log.

    If logs are `finished`, a last line without its newline is new. If they are read `anew`, no file is
    unchanged, a source that matches two files does no harm, and the file at its path gets it first.
    """
    claims = _Claims(files, evidence, claimed, anew)
    found = {log: Assigned() for log in files}
    for log, state in files.items() if not anew else ():
        unchanged = (source for source in sources.read_from(state) if source.is_unchanged(state, finished))
        source = next(unchanged, None)
        with _noting_trouble(found, log):
            if source is not None and evidence.has_same_tail(log, source):
                claims.made.add(source.source_id)
                found[log] = Assigned(source, is_unchanged=True)
    changed = [log for log, assigned in found.items() if not (assigned.is_unchanged or assigned.trouble)]
    for log in changed if anew else ():  # a file made anew may have the number of another one that is gone
        with _noting_trouble(found, log):
            there = [source for source in evidence.candidates(log) if source.path == log.stored_path]
            found[log] = Assigned(claims.make(log, evidence.matching(log, there)))
    for log in changed:
        with _noting_trouble(found, log):
            own = sources.read_from(files[log])
            matching = evidence.matching(log, own)
            source = found[log].source or claims.make(log, matching)
            found[log] = Assigned(source, rewritten=_rewritten(log, own, matching))
    for log in changed:
        with _noting_trouble(found, log):
            if found[log].source is None and found[log].trouble is None:
                left = (source for source in evidence.candidates(log) if source.source_id not in claims.made)
                moved = [source for source in left if not evidence.is_in_place(source)]
                found[log] = replace(found[log], source=claims.make(log, evidence.matching(log, moved)))
    return found


@contextmanager
def _noting_trouble(found: dict[LogFile, Assigned], log: LogFile) -> Iterator[None]:
    """Note an error of the system; one that lies in the file itself is reported by who reads it."""
    try:
        yield
    except LogUnreadable as error:
        if error.may_pass:
            found[log] = Assigned(trouble=error)


class _Claims:
    """The sources that files have got so far, by their ids."""

    def __init__(
        self, files: Mapping[LogFile, FileState], evidence: Evidence, made: Collection[int], anew: bool
    ) -> None:
        self.made = set(made)
        self._files = files
        self._evidence = evidence
        self._anew = anew

    def make(self, log: LogFile, candidates: Iterable[Source]) -> Source | None:
        """Give a file the likeliest of some sources that is not claimed yet, if none else may be it."""
        left = (source for source in candidates if source.source_id not in self.made)
        state = self._files[log]
        for source in sorted(left, key=lambda candidate: _likelihood(candidate, log, state)):
            is_sure = self._anew or source.is_still_in(state)
            if is_sure or _is_only_match(source, log, self._evidence):
                self.made.add(source.source_id)
                return source
        return None


def _likelihood(source: Source, log: LogFile, state: FileState) -> tuple[bool, bool, bool, int]:
    """Order candidates: the smallest is the likeliest."""
    is_elsewhere = source.path != log.stored_path
    return is_elsewhere, not source.is_still_in(state), source.state == REPLACED, -source.offset


def _is_only_match(source: Source, log: LogFile, evidence: Evidence) -> bool:
    """Whether no other file matches a source."""
    for other in evidence.others(log, source):
        with damage_suppressed():
            if evidence.matching(other, [source]):
                return False
    return True


def _rewritten(log: LogFile, own: Iterable[Source], matching: Collection[Source]) -> Source | None:
    """Return the source read last from a file under its path, if the file doesn't match it any more."""
    before = (
        source
        for source in own
        if source.path == log.stored_path and source.real_path in (None, log.real_path)
    )
    newest = max(before, key=lambda source: source.source_id, default=None)
    return None if newest in matching or log.found_at is not None else newest
