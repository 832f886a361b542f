"""The one writer: batches into SQLite, each with the checkpoint that covers it, or not at all.

Every batch is stored in one `BEGIN IMMEDIATE` transaction, alone or with others. The checkpoint is
compared before it is moved, so even a second writer that slipped past the ingest lock could not store a
line twice. The end of a large one, which is SQLite's alone, goes on in a thread while the next batch is read.
What was stored is taken away again at the end of this module, inside a transaction of whoever asks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ingest.errors import LogUnreadable
from ingest.files.logfile import LogFile
from ingest.linking.timestamps import time_text
from ingest.reading.batch import Batch, Reject, Rows, Sighting
from ingest.reading.checkpoint import Counters
from ingest.storing.database import immediate
from ingest.storing.executors_rows import match_batch, release
from ingest.storing.horizon import (
    NOTHING_PRUNED,
    forget_provisional,
    horizon_of,
    kept,
    kept_escalations,
    prune_batch,
)
from ingest.storing.rows import INSERT_ESCALATION, REJECT, escalation_values
from ingest.storing.settled import has_own_rows
from ingest.storing.settling import Settling, tell
from ingest.storing.sightings import Sightings, group_seen
from ingest.storing.sources import Source, keep_state, mark_replaced, shift_rejects, write_source
from ingest.storing.staging import Insert, Span, nothing

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

LARGE_ROWS = 2_000
"""Rows of a transaction whose end is worth a thread."""


@dataclass(slots=True)
class Stored:
    """What batches changed, and the source of each as it is now.

    What the same store made before, and they completed, is not among the updated.
    """

    sources: list[Source] = field(default_factory=list)
    events_new: int = 0
    events_updated: int = 0
    further_sightings: int = 0
    pruned: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """A batch, of which log, and of which source: `None` for one that is new.

    `before` are the source's counters without it.
    """

    batch: Batch
    log: LogFile
    source: Source | None = None
    before: Counters = field(default_factory=Counters)


class Store:
    """Write batches to one open database."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use a connection that `ingest.storing.database` opened for writing."""
        self._conn = connection
        self._writing = _Writing(connection)
        self._thread: ThreadPoolExecutor | None = None
        self._unfinished: Future[None] | None = None

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection that it writes through."""
        self.wait()
        return self._conn

    def wait(self) -> None:
        """Wait until what was committed last is; who uses the connection otherwise waits first.

        Raises:
            sqlite3.Error: it could not be, and nothing of it was stored.
        """
        unfinished, self._unfinished = self._unfinished, None
        if unfinished is not None:
            unfinished.result()

    def transaction(self) -> AbstractContextManager[None]:
        """Commit everything inside, or nothing of it."""
        self.wait()
        return immediate(self._conn)

    def commit(self, pieces: Sequence[Piece]) -> Stored:
        """Store batches of different sources, all or none; a new source gets its row here.

        It may be on the way still: see `wait`.

        Raises:
            DatabaseBusy: another process has moved a source's checkpoint meanwhile.
        """
        stored, insert = Stored(), nothing
        with ExitStack() as transaction:
            transaction.enter_context(self.transaction())
            for some in self._writing.apart(pieces):
                insert()
                insert = self._writing.write(some, stored)
            if insert is not nothing and sum(len(piece.batch.rows) for piece in pieces) >= LARGE_ROWS:
                self._finish_behind(insert, transaction.pop_all())
            else:
                insert()
        return stored

    def _finish_behind(self, insert: Insert, transaction: ExitStack) -> None:
        """Insert the last rows of a transaction and commit it, in a thread."""
        if self._thread is None:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - most runs store little

            self._thread = ThreadPoolExecutor(1)

        def finish() -> None:
            with transaction:
                insert()

        self._unfinished = self._thread.submit(finish)

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
                self._writing.write([Piece(batch, log, now)], stored)()
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

    def take_back_false_values(self, sources: Iterable[Source]) -> None:
        """Say that what an earlier version read wrongly is not known of sources that are read anew."""
        from ingest.storing.false_values import take_back_false_values  # noqa: PLC0415 - seldom needed

        with self.transaction():
            for source in sources:
                take_back_false_values(self._conn, source.source_id)

    def remove(self, source: Source) -> int:
        """Take a source away, since another reading of the same bytes stands for it.

        Returns:
            How many events went with it: those that no other place has.
        """
        with self.transaction():
            return forget_source(self._conn, source.source_id)


@dataclass(slots=True)
class _Begun:
    """Pieces of which the sources are written: what they saw, of which source each, what was taken back.

    Events from `first_id` on are new to the transaction. What is counted goes into `stored`.
    """

    pieces: Sequence[Piece]
    stored: Stored
    now: str
    horizon: str | None
    first_id: int
    sightings: list[Sighting] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    taken: list[tuple[int]] = field(default_factory=list)


@dataclass(slots=True)
class _Told:
    """What lines behind their events changed: `moved` sightings are of events that were made so."""

    inserted: int = 0
    moved: int = 0
    updated: set[int] = field(default_factory=set)


class _Writing:
    """Write the batches of one store, one after another or several at once."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use a connection that is open for writing."""
        self._conn = connection
        self._settling = Settling(connection)
        self._sightings = Sightings(connection, self._settling)
        self._first_id = 0  # of the events that it makes, once it does

    def apart(self, pieces: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
        """Yield pieces together that can have nothing to do with each other: as if one came after another.

        What two tell is by itself, and quicker so; what changes stored events, too. Where a cut line or an
        executor's own row may be any event's, each piece is.
        """
        if len(pieces) == 1:
            yield pieces
            return
        some: list[Piece] = []
        told: set[str] = set()
        own_rows = has_own_rows(self._conn)
        for piece in pieces:
            alone = own_rows or self._sightings.has_cut or _reaches_back(piece.batch)
            groups = {group_seen(one) for one in piece.batch.rows.sightings}
            if some and (alone or not told.isdisjoint(groups)):
                yield some
                some, told = [], set()
            if alone:
                yield [piece]
            else:
                some.append(piece)
                told |= groups
        if some:
            yield some

    def write(self, pieces: Sequence[Piece], stored: Stored) -> Insert:
        """Write batches, and count in `stored` what they changed.

        Returns:
            What is to be called before anything else is done with the connection: it inserts the plain
            events, which SQLite does alone.
        """
        conn = self._conn
        begun = _Begun(pieces, stored, time_text(datetime.now(UTC)), horizon_of(conn), self._settling.begin())
        self._first_id = self._first_id or begun.first_id
        for piece in pieces:
            self._begin(piece, begun)
        return self._finish(begun)

    def take_rejects(self, source_id: int, sightings: list[Sighting]) -> int:
        """Make sightings of rejects; return how many events they brought."""
        now = time_text(datetime.now(UTC))
        self._settling.begin()
        horizon = horizon_of(self._conn)
        places = [(source_id, one.offset) for one in sightings]
        self._conn.executemany("DELETE FROM rejected_lines WHERE source_id = ? AND byte_offset = ?", places)
        wanted = kept(list(sightings), horizon)
        placed = self._sightings.place(wanted, [Span(source_id, 0, len(wanted))], now)
        placed.insert()
        offsets = [one.offset for one in sightings]
        shift_rejects(self._conn, source_id, offsets, len(sightings) - len(wanted))
        return placed.inserted

    def _begin(self, piece: Piece, begun: _Begun) -> None:
        """Write the row of a source, with its checkpoint, and what depends on nothing else."""
        batch, source = piece.batch, piece.source
        takes_back = batch.taken_back_from is not None
        if takes_back and begun.horizon is not None and source is not None:
            forget_provisional(self._conn, source.source_id)
        begun.stored.sources.append(write_source(self._conn, batch, piece.log, source))
        source_id = begun.stored.sources[-1].source_id
        if batch.taken_back_from is not None:
            begun.taken += take_back(self._conn, source_id, batch.taken_back_from)
        self._write_others(batch.rows, source_id, begun.now, begun.horizon)
        first = len(begun.sightings)
        begun.sightings += kept(batch.rows.sightings, begun.horizon)
        begun.spans.append(Span(source_id, first, len(begun.sightings)))

    def _finish(self, begun: _Begun) -> Insert:
        """Write events, and what lines behind them tell of them; count all that changed."""
        conn, stored, sightings = self._conn, begun.stored, begun.sightings
        placed = self._sightings.place(sightings, begun.spans, begun.now)
        told, own, insert = _Told(), set[int](), placed.insert
        if self._reads_events(begun):
            insert()
            insert = nothing
            told = self._tell(begun)
            own = match_batch(conn, self._settling, sightings)
            drop_unseen(conn, begun.taken)
        completed = placed.updated | told.updated | own
        seen_before = len(sightings) - placed.inserted - told.moved - len(begun.taken)
        stored.events_new += placed.inserted + told.inserted - sum(one >= begun.first_id for one in own)
        stored.events_updated += sum(event_id < self._first_id for event_id in completed)
        stored.further_sightings += max(0, seen_before)
        if begun.horizon is not None:
            for piece, span in zip(begun.pieces, begun.spans, strict=True):
                stored.pruned += prune_batch(conn, piece.batch, span.source_id, begun.horizon)
        return insert

    def _reads_events(self, begun: _Begun) -> bool:
        """Whether what follows the events of these pieces looks at them, or at others."""
        changes = begun.taken or begun.horizon is not None or has_own_rows(self._conn)
        return bool(changes) or any(piece.batch.rows.amendments for piece in begun.pieces)

    def _tell(self, begun: _Begun) -> _Told:
        """Write what lines behind their events tell of them."""
        told = _Told()
        for piece, span in zip(begun.pieces, begun.spans, strict=True):
            rows = piece.batch.rows
            if rows.amendments:
                written = tell(self._settling, rows, span.source_id, begun.now)
                made = {offset for offset, event in written.event_ids.items() if event in written.inserted}
                told.inserted += len(written.inserted)
                told.moved += sum(one.offset in made for one in rows.sightings)
                told.updated |= written.updated
        return told

    def _write_others(self, rows: Rows, source_id: int, now: str, horizon: str | None) -> None:
        """Write rejects and escalations, which depend on nothing else."""
        self._conn.executemany(
            f"INSERT {REJECT}",
            [(source_id, *_reject_values(reject)) for reject in rows.rejects],
        )
        escalations = kept_escalations(rows.escalations, horizon)
        self._conn.executemany(INSERT_ESCALATION, [escalation_values(seen, now) for seen in escalations])


def _reject_values(reject: Reject) -> tuple[int, int, str, str]:
    return (reject.offset, reject.line_number, reject.reason, reject.line)


def _reaches_back(batch: Batch) -> bool:
    """Whether a batch changes what was stored before it, or ends in a line that is cut."""
    sightings = batch.rows.sightings
    if batch.taken_back_from is not None or (sightings and sightings[-1].seen.is_cut):
        return True
    amended = {amendment.offset for amendment in batch.rows.amendments}
    return not amended.issubset(one.offset for one in sightings)


def forget_source(connection: sqlite3.Connection, source_id: int) -> int:
    """Take a source away inside the caller's transaction; return how many events went with it."""
    gone = drop_unseen(connection, take_back(connection, source_id))
    connection.execute("DELETE FROM log_sources WHERE source_id = ?", [source_id])
    return gone


def take_back(connection: sqlite3.Connection, source_id: int, offset: int = 0) -> list[tuple[int]]:
    """Undo what was stored of a source from an offset on; return the ids of the events seen there."""
    where = "WHERE source_id = ? AND byte_offset >= ?"
    events = connection.execute(
        f"SELECT DISTINCT event_id FROM event_sightings {where}", [source_id, offset]
    ).fetchall()
    connection.execute(f"DELETE FROM event_sightings {where}", [source_id, offset])
    connection.execute(f"DELETE FROM rejected_lines {where}", [source_id, offset])
    return events


def drop_unseen(connection: sqlite3.Connection, events: list[tuple[int]]) -> int:
    """Delete those of some events that no place has any more; return how many they were."""
    deleted = connection.executemany(
        "DELETE FROM token_estimation_v2_events WHERE event_id = ?1 "
        "AND NOT EXISTS (SELECT 1 FROM event_sightings WHERE event_id = ?1) "
        "AND json_extract(context_parts, '$.adopted') IS NULL",
        events,
    )
    release(connection, events)
    return max(0, deleted.rowcount)
