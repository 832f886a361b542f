"""The one writer: batches into SQLite, each with the checkpoint that covers it, or not at all.

Every batch is stored in one `BEGIN IMMEDIATE` transaction, alone or with others. The checkpoint is
compared before it is moved, so even a second writer that slipped past the ingest lock could not store a
line twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager

from ingest.errors import LogUnreadable
from ingest.files.logfile import LogFile
from ingest.reading.batch import Batch, Sighting
from ingest.storing.horizon import NOTHING_PRUNED
from ingest.storing.pieces import Piece, Stored
from ingest.storing.source_rows import keep_state, mark_replaced
from ingest.storing.sources import Source
from ingest.storing.transactions import immediate
from ingest.storing.undoing import drop_unseen, forget_source, take_back
from ingest.storing.writing import Writing


class Store:
    """Write batches to one open database."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use a connection that `ingest.storing.database` opened for writing."""
        self._conn = connection
        self._writing = Writing(connection)

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection that it writes through."""
        return self._conn

    def transaction(self) -> AbstractContextManager[None]:
        """Commit everything inside, or nothing of it."""
        return immediate(self._conn)

    def commit(self, pieces: Sequence[Piece]) -> Stored:
        """Store batches of different sources, all or none; a new source gets its row here.

        Raises:
            DatabaseBusy: another process has moved a source's checkpoint meanwhile.
        """
        stored = Stored()
        with self.transaction():
            for some in self._writing.apart(pieces):
                self._writing.write(some, stored)
        return stored

    def reread(self, batches: Iterable[Batch], log: LogFile, source: Source) -> Stored:
        """Store all of a source anew in its place, as it was read from its start, in one transaction.

        Raises:
            LogUnreadable: it was not read as far as before; nothing was changed.
        """
        stored, now = Stored(), source
        with self.transaction():
            taken = take_back(self._conn, source.source_id, 0)
            self._conn.execute(NOTHING_PRUNED, [source.source_id])
            for batch in batches:
                self._writing.write([Piece(batch, log, now)], stored)
                now = stored.sources[-1]
            if not stored.sources or now.offset < source.offset:
                raise LogUnreadable(f"{log.shown}: shorter than it was")
            drop_unseen(self._conn, taken)
        return stored

    def take_rejects(self, source_id: int, sightings: list[Sighting]) -> int:
        """Make sightings of rejects, in one transaction; return how many events they brought."""
        with self.transaction():
            return self._writing.take_rejects(source_id, sightings)

    def keep_state(self, source: Source, log: LogFile, ending: str | None) -> None:
        """Keep where an unchanged source is found now, and the hash of its end while that is needed."""
        with self.transaction():
            keep_state(self._conn, source, log, ending)

    def mark_replaced(self, source: Source) -> None:
        """Say that the file of a source is now another one."""
        with self.transaction():
            mark_replaced(self._conn, source)

    def remove(self, source: Source) -> int:
        """Take a source away, since another reading of the same bytes stands for it.

        Returns:
            How many events went with it: those that no other place has.
        """
        with self.transaction():
            return forget_source(self._conn, source.source_id)
