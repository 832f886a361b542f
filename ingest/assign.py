"""Which source each file of a run is: one question about all of them, answered before any is read.

A pure function on values. What needs a file's bytes it asks of an `Evidence`, and no more than it must:
a file that looks as it did when it was read to its end is not opened at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from ingest.errors import LogUnreadable
from ingest.files.logfile import FileState, LogFile
from ingest.storing.known_sources import KnownSources
from ingest.storing.sources import REPLACED, Source


@dataclass(frozen=True, slots=True)
class Assigned:
    """What a file is: a source, which goes on at its offset or `is_unchanged`, or a new one (`None`).

    `rewritten` is what was read of this very file before it was truncated or rewritten.
    """

    source: Source | None = None
    is_unchanged: bool = False
    rewritten: Source | None = None


class Evidence(Protocol):
    """What files say that are opened. `LogUnreadable` is raised where one can't be."""

    def ends_as(self, log: LogFile, source: Source) -> bool:
        """Whether a file ends as the source did, where its time was too fresh to trust."""

    def standing(self, log: LogFile, sources: Sequence[Source]) -> Sequence[Source]:
        """Return those of some sources of which all that is remembered is where it was in a file."""

    def alike(self, log: LogFile) -> Sequence[Source]:
        """Return the sources whose fingerprint a file begins with."""

    def is_at_home(self, source: Source) -> bool:
        """Whether a source is still in its own file, where it was read last."""

    def others(self, log: LogFile, source: Source) -> Iterable[LogFile]:
        """Return the other files that begin as a source does, and the rotations beside a file."""


def assign(  # noqa: PLR0913 - each by its name
    files: Mapping[LogFile, FileState],
    sources: KnownSources,
    evidence: Evidence,
    claimed: Collection[int] = (),
    *,
    finished: bool = False,
    anew: bool = False,
) -> dict[LogFile, Assigned]:
    """Tell for each file which source it is, each source for one file; those `claimed` are others' already.

    A file is first what was read from it. What isn't in its own file any more goes on in another one in which
    it stands, unless it stands in two: a copy in which one call was changed looks just like its log.

    Where logs are `finished`, a last line without its newline is new. Where they are read `anew`, none is
    unchanged, and that a source may stand in two is no harm.
    """
    claims = set(claimed)

    def claim(log: LogFile, candidates: Iterable[Source]) -> Source | None:
        left = (source for source in candidates if source.source_id not in claims)
        for source in sorted(left, key=lambda one: _likelihood(one, log)):
            if anew or source.has_grown_into(files[log]) or _stands_alone(source, log, evidence):
                claims.add(source.source_id)
                return source
        return None

    found = {log: Assigned() for log in files}
    for log, state in files.items() if not anew else ():
        unchanged = (one for one in sources.read_from(state) if one.is_unchanged(state, finished))
        source = next(unchanged, None)
        with suppress(LogUnreadable):  # here and below: who reads it says so
            if source is not None and evidence.ends_as(log, source):
                claims.add(source.source_id)
                found[log] = Assigned(source, is_unchanged=True)
    changed = [log for log, one in found.items() if not one.is_unchanged]
    for log in changed:
        with suppress(LogUnreadable):
            own = sources.read_from(files[log])
            standing = evidence.standing(log, own)
            found[log] = Assigned(claim(log, standing), rewritten=_rewritten(log, own, standing))
    for log in changed:
        with suppress(LogUnreadable):
            if found[log].source is None:
                left = (source for source in evidence.alike(log) if source.source_id not in claims)
                near = [source for source in left if not evidence.is_at_home(source)]
                found[log] = replace(found[log], source=claim(log, evidence.standing(log, near)))
    return found


def _likelihood(source: Source, log: LogFile) -> tuple[bool, bool, int]:
    return source.path != log.stored_path, source.state == REPLACED, -source.offset


def _stands_alone(source: Source, log: LogFile, evidence: Evidence) -> bool:
    """Whether a file is the only one in which a source stands."""
    for other in evidence.others(log, source):
        with suppress(LogUnreadable):
            if evidence.standing(other, [source]):
                return False
    return True


def _rewritten(log: LogFile, own: Iterable[Source], standing: Collection[Source]) -> Source | None:
    """Return what was read last of a file by its name, if the file holds it no more."""
    before = (
        source
        for source in own
        if source.path == log.stored_path and source.real_path in (None, log.real_path)
    )
    newest = max(before, key=lambda source: source.source_id, default=None)
    return None if newest in standing or log.found_at is not None else newest
