"""What was read at a path before, where another log is now: a rewrite, a rotation, a swapped link.

It is looked for where a link led, or among the rotations beside a named file; what is gone is said
once.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from ingest.errors import LogUnreadable
from ingest.files.discover import rotations_of, target_of
from ingest.files.logfile import FileState, LogFile
from ingest.recognition import is_still
from ingest.storing.known_sources import KnownSources
from ingest.storing.sources import REPLACED, Source
from ingest.storing.store import Store
from ingest.summary import Summary


class Formers:
    """The sources that the files of one run were before."""

    def __init__(self, store: Store, sources: KnownSources, summary: Summary) -> None:
        """Tell in `summary` what is gone."""
        self._store = store
        self._sources = sources
        self._summary = summary
        self._moved_here: set[LogFile] = set()
        self._replaced: list[tuple[LogFile, Source, str]] = []

    def release(self, log: LogFile, state: FileState) -> None:
        """Let the sources go whose file is another one now, before any of their copies is looked at."""
        for other in self._sources.others_read(log, state):
            if not self._may_be(log, state, other):
                self._sources.leave(other)
        before = self._sources.read_before(log, state)
        if before is not None and not self._may_be(log, state, before):
            self._note_replaced(log, state, before)

    def _may_be(self, log: LogFile, state: FileState, source: Source) -> bool:
        """Whether a log may still be what was read of it: if it can't be opened, that is told later."""
        if source.is_unchanged(state, finished=False):
            return True
        try:
            return is_still(log, source, self._sources)
        except LogUnreadable:
            return True

    def _note_replaced(self, log: LogFile, state: FileState, before: Source) -> None:
        self._sources.release(before)
        if before.state != REPLACED:
            self._store.mark_replaced(before)
            text = (
                f"{log.shown}: truncated or rewritten since it was read up to offset {before.offset} "
                f"(it has {state.size_bytes} bytes now): read from its start"
            )
            self._replaced.append((log, before, text))

    def note_moved(self, log: LogFile, source: Source) -> None:
        """Remember that a log has the name of another one now, as rotations do."""
        if source.path != log.stored_path:
            self._moved_here.add(log)

    def tell_replaced(self) -> None:
        """Warn of what was rewritten, unless a copy or a rotation shows that nothing is missing."""
        for log, before, text in self._replaced:
            found = self._sources.is_taken(before) or log in self._moved_here or self._has_copy(before)
            (self._summary.notes if found else self._summary.warnings).append(text)

    def _has_copy(self, source: Source) -> bool:
        """Whether a log that was read for itself, before this run, holds all that was read of a source."""
        for twin in self._sources.twins(source):
            if twin.offset >= source.offset:
                with suppress(LogUnreadable):
                    if is_still(LogFile(twin.real_path or twin.path, named=False), source, self._sources):
                        return True
        return False

    def tell_gone(self, log: LogFile, former: Source) -> None:
        """Warn of a source that was read at a log's path, unless it is known where it went."""
        if self._sources.is_taken(former) or self._sources.is_released(former):  # told already
            return
        self._store.mark_replaced(former)
        if self._sources.is_older(former) or log in self._moved_here:  # a link or a rotation of long ago
            return
        with suppress(LogUnreadable):
            if is_still(log, former, self._sources):  # read twice, by a full reading that was cut short
                return
        self._summary.warnings.append(
            f"{log.shown}: another log than the one that was read here up to offset {former.offset}, and that"
            " one is gone: if more was written to it before it was moved, name the folder where it is now"
        )


def places_of(formers: Sequence[Source], log: LogFile) -> list[LogFile]:
    """Return where what was read at a log's path may be now."""
    changed = [former.file.modified_ns for former in formers if former.file is not None]
    targets = [target for former in formers for target in target_of(former.real_path, log)]
    return [*targets, *rotations_of(log, min(changed, default=0))]
