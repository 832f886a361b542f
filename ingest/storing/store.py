"""The one writer: batches into SQLite, each with the checkpoint that covers it, or not at all.

Every batch is stored in one `BEGIN IMMEDIATE` transaction, alone or with others. The checkpoint is
compared before it is moved, so even a second writer that slipped past the ingest lock could not store a
line twice.
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
from ingest.reading.batch import BareSighting, Batch, Reject, Rows, Sighting
from ingest.reading.checkpoint import Counters
from ingest.storing.completing import tell
from ingest.storing.database import immediate
from ingest.storing.escalations import escalation_values
from ingest.storing.executors_rows import match_batch
from ingest.storing.horizon import (
    NOTHING_PRUNED,
    forget_provisional,
    horizon_of,
    kept,
    kept_escalations,
    prune_batch,
)
from ingest.storing.settled import has_own_rows
from ingest.storing.settling import Settling
from ingest.storing.sightings import Sightings, group_seen
from ingest.storing.source_rows import keep_state, mark_replaced, shift_rejects, write_source
from ingest.storing.sources import Source
from ingest.storing.staging import Span, Staged
from ingest.storing.statements import (
    DELETE_REJECT,
    INSERT_ESCALATION,
)
from ingest.storing.undoing import drop_unseen, forget_source, take_back

if TYPE_CHECKING:
    from ingest.storing.behind import Behind


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
        self._settling = Settling(self._conn)
        self._sightings = Sightings(self._conn, self._settling)
        self._behind: Behind | None = None
        self._first_id: int | None = None

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection that it writes through."""
        return self._conn

    def transaction(self, keep: bool = True) -> AbstractContextManager[None]:
        """Commit everything inside, or nothing of it; with `keep=False` it is only tried."""
        return immediate(self._conn, keep)

    def commit(self, pieces: Sequence[Piece], *, ahead: bool = False) -> Stored:
        """Store batches of different sources, all or none; a new source gets its row here.

        With `ahead`, the caller only reads on meanwhile: most of the writing may still go on behind it,
        until the next call of `commit` or `wait`.

        Raises:
            DatabaseBusy: another process has moved a source's checkpoint meanwhile.
        """
        self.wait()
        stored = Stored()
        with ExitStack() as unit:
            unit.enter_context(self.transaction())
            for some in self._apart(pieces):
                staged = self._store(some, stored, ahead=ahead and len(some) == len(pieces))
            if staged is not None:
                self._write_behind(staged, unit.pop_all())
        return stored

    def _apart(self, pieces: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
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
                self._store([Piece(batch, log, now)], stored)
                now = stored.sources[-1]
            if not stored.sources or now.offset < source.offset:
                raise LogUnreadable(f"{log.shown}: shorter than it was")
            drop_unseen(self._conn, taken)
        return stored

    def take_rejects(self, source_id: int, sightings: list[Sighting]) -> int:
        """Make sightings of rejects, in one transaction; return how many events they brought."""
        now = time_text(datetime.now(UTC))
        with self.transaction():
            self._settling.begin()
            horizon = horizon_of(self._conn)
            places = [(source_id, one.offset) for one in sightings]
            self._conn.executemany(DELETE_REJECT, places)
            wanted = kept(list(sightings), horizon)
            planned = self._sightings.plan(wanted, [Span(source_id, 0, len(wanted))], now)
            placed = self._sightings.place(wanted, planned, now)
            offsets = [one.offset for one in sightings]
            shift_rejects(self._conn, source_id, offsets, len(sightings) - len(wanted))
        return placed.inserted

    def _store(self, pieces: Sequence[Piece], stored: Stored, *, ahead: bool = False) -> Staged | None:
        """Store batches inside a transaction; with `ahead`, what is left to be written may be handed out."""
        now = time_text(datetime.now(UTC))
        horizon = horizon_of(self._conn)
        first_id = self._settling.begin()
        if self._first_id is None:
            self._first_id = first_id
        taken: list[tuple[int]] = []
        sightings: list[Sighting | BareSighting] = []
        spans: list[Span] = []
        for piece in pieces:
            source_id = self._write_source(piece, stored, horizon)
            if piece.batch.taken_back_from is not None:
                taken += take_back(self._conn, source_id, piece.batch.taken_back_from)
            self._write_others(piece.batch.rows, source_id, now, horizon)
            first = len(sightings)
            sightings += kept(piece.batch.rows.sightings, horizon)
            spans.append(Span(source_id, first, len(sightings)))
        planned = self._sightings.plan(sightings, spans, now)
        amended = any(piece.batch.rows.amendments for piece in pieces)
        if ahead and not (planned.others or amended or taken or horizon) and not has_own_rows(self._conn):
            stored.events_new += planned.staged.new
            stored.further_sightings += len(sightings) - planned.staged.new
            return planned.staged
        placed = self._sightings.place(sightings, planned, now)
        made, seen_again = placed.inserted, len(sightings) - placed.inserted - len(taken)
        completed = set(placed.updated)
        for piece, span in zip(pieces, spans, strict=True):
            if piece.batch.rows.amendments:
                told = tell(self._settling, piece.batch.rows, span.source_id, now)
                moved = {offset for offset, event_id in told.event_ids.items() if event_id in told.inserted}
                made += len(told.inserted)
                seen_again -= sum(one.offset in moved for one in piece.batch.rows.sightings)
                completed |= told.updated
            if horizon is not None:
                stored.pruned += prune_batch(self._conn, piece.batch, span.source_id, horizon)
        own = match_batch(self._conn, self._settling, sightings)
        drop_unseen(self._conn, taken)
        stored.events_new += made - sum(event_id >= first_id for event_id in own)
        stored.events_updated += sum(event_id < self._first_id for event_id in completed | own)
        stored.further_sightings += max(0, seen_again)
        return None

    def _write_source(self, piece: Piece, stored: Stored, horizon: str | None) -> int:
        """Write the row of a source, with its checkpoint; return its id."""
        if horizon is not None and piece.source is not None and piece.batch.taken_back_from is not None:
            forget_provisional(self._conn, piece.source.source_id)
        stored.sources.append(write_source(self._conn, piece.batch, piece.log, piece.source))
        return stored.sources[-1].source_id

    def wait(self) -> None:
        """Wait until all that was handed over is committed; raise what went wrong meanwhile."""
        if self._behind is not None:
            self._behind.wait()

    def _write_behind(self, staged: Staged, unit: ExitStack) -> None:
        """Write what is staged, and commit, while the caller reads on: SQLite needs no interpreter for it."""

        def write() -> None:
            with unit:
                self._sightings.write(staged)

        if self._behind is None:
            from ingest.storing.behind import Behind  # noqa: PLC0415 - short logs need no thread

            self._behind = Behind()
        self._behind.begin(write)

    def _write_others(self, rows: Rows, source_id: int, now: str, horizon: str | None) -> None:
        """Write rejects and escalations, which depend on nothing else."""
        self._conn.executemany(
            "INSERT INTO rejected_lines VALUES (?, ?, ?, ?, ?)",
            [(source_id, *_reject_values(reject)) for reject in rows.rejects],
        )
        escalations = kept_escalations(rows.escalations, horizon)
        self._conn.executemany(INSERT_ESCALATION, [escalation_values(seen, now) for seen in escalations])

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


def _reject_values(reject: Reject) -> tuple[int, int, str, str]:
    return (reject.offset, reject.line_number, reject.reason, reject.line)


def _reaches_back(batch: Batch) -> bool:
    """Whether a batch changes what was stored before it, or ends in a line that is cut."""
    sightings = batch.rows.sightings
    if batch.taken_back_from is not None or (sightings and sightings[-1].seen.is_cut):
        return True
    amended = {amendment.offset for amendment in batch.rows.amendments}
    return not amended.issubset(one.offset for one in sightings)
