"""One round over the listing: what a look at a file shows to be unchanged is done with, the rest is read.

Most runs find nothing new. They open no log and ask the database once; what reading and writing need
is not even imported.
"""

from __future__ import annotations

import sqlite3

from ingest.reading.listing import Listed, Listing
from ingest.reading.zone import is_same_zone, names_of
from ingest.storing.library import as_database
from ingest.storing.settled import Settled, settled_sources
from ingest.summary import IngestOptions, Summary


class Round:
    """One run over the logs that paths lead to."""

    def __init__(self, connection: sqlite3.Connection, options: IngestOptions, listing: Listing) -> None:
        """Look every file up; the database is open for writing."""
        self._connection = connection
        self._options = options
        self._listing = listing
        self._unchanged_bytes = 0
        self._changed = self._look()

    def _look(self) -> list[Listed]:
        """Return the files that are not plainly unchanged, in their order."""
        known = {} if self._options.full else self._settled()
        changed: list[Listed] = []
        for listed in self._listing:
            _, stored, state, _ = listed
            settled = known.get(stored)
            if (
                settled is None
                or state is None
                or settled[1:] != (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)
            ):
                changed.append(listed)
            else:
                self._unchanged_bytes += state.st_size
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

    def read(self, summary: Summary) -> None:
        """Read every log that holds anything new, and count it in `summary`."""
        if self._changed or self._listing.missing:
            db = as_database(self._connection)
            from ingest.changes import Changes  # noqa: PLC0415 - see above

            changes = Changes(db, self._options, summary, self._listing.met)
            changes.read(self._changed, self._listing.missing, self._unchanged_bytes)
        elif self._options.report is not None:
            self._options.report(self._unchanged_bytes, self._unchanged_bytes)
        if self._options.folders:
            from ingest.storing.labels import keep_labels  # noqa: PLC0415 - see above

            keep_labels(self._connection, self._options.folders)
