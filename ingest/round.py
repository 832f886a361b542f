"""One round over the listing: what a look at a file shows to be unchanged is done with, the rest is read.

Most runs find nothing new. They open no log and ask the database once; what reading and writing need
is not even imported.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from ingest.files.listing import Listed, Listing
from ingest.reading.zone import is_same_zone, names_of
from ingest.storing.settled import Settled, settled_sources
from ingest.summary import IngestOptions, Summary

if TYPE_CHECKING:  # a round that finds nothing new needs neither
    from ingest.files.watch import Watch
    from ingest.storing.store import Store


class Round:
    """One run over the logs that paths lead to; one of many where a `watch` remembers the last one."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        options: IngestOptions,
        listing: Listing,
        watch: Watch | None = None,
    ) -> None:
        """Look every file up; the database is open for writing."""
        self._connection = connection
        self._options = options
        self._listing = listing
        self._watch = watch
        self._unchanged_bytes = 0
        self.changed = self._look()

    def _look(self) -> list[Listed]:
        """Return the files that are not plainly unchanged, in their order."""
        watch = self._watch
        known = {} if self._options.full else self._settled()
        changed: list[Listed] = []
        unchanged_bytes = 0
        for listed in self._listing:
            _, stored, state, _ = listed
            if watch is not None:
                watch.see(listed)
            settled = known.get(stored)
            if state is not None and settled == (
                stored,
                state.st_dev,
                state.st_ino,
                state.st_size,
                state.st_mtime_ns,
            ):
                unchanged_bytes += state.st_size
            elif watch is None or watch.wants(listed, is_sure=settled is None or settled[0] != ""):
                changed.append(listed)
        self._unchanged_bytes = unchanged_bytes
        return changed

    def _settled(self) -> dict[str, Settled]:
        options = self._options
        if not any(folder.zone for folder in options.folders):
            zones = names_of(options.zone.name) if options.zone_asked else None
            return settled_sources(self._connection, options.finished, zones)
        known = settled_sources(self._connection, options.finished, None)
        for path, zone in self._connection.execute("SELECT path, timezone FROM log_sources"):
            asked = options.zone_asked_of(path)
            if asked is not None and not is_same_zone(zone, asked):
                known.pop(path, None)
        return known

    def read(self, summary: Summary, store: Store | None = None) -> Store | None:
        """Read every log that holds anything new, and count it in `summary`.

        Returns:
            What wrote it, for the next round; nothing where nothing ever had to be.
        """
        if self.changed or self._listing.missing:
            if store is None:
                from ingest.storing.store import Store  # noqa: PLC0415 - see above

                store = Store(self._connection)
            from ingest.changes import Changes  # noqa: PLC0415 - see above

            changes = Changes(self._connection, store, self._options, summary, self._listing.met)
            changes.read(self.changed, self._listing.missing, self._unchanged_bytes)
        elif self._options.report is not None:
            self._options.report(self._unchanged_bytes, self._unchanged_bytes)
        if self._listing.empty:
            from ingest.emptied import tell_emptied  # noqa: PLC0415 - most folders hold some

            tell_emptied(self._connection, self._listing, summary)
        if self._options.folders and (self._watch is None or self.changed):
            from ingest.storing.labels import keep_labels  # noqa: PLC0415 - see above

            keep_labels(self._connection, self._options.folders)
        return store
