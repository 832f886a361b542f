"""What batches become in the database: their sources, rejects, escalations, sightings, events.

Everything here happens inside a transaction of the store's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ingest.linking.timestamps import time_text
from ingest.reading.batch import Batch, Reject, Rows, Sighting
from ingest.storing.completing import tell
from ingest.storing.escalations import escalation_values
from ingest.storing.executors_rows import match_batch
from ingest.storing.horizon import forget_provisional, horizon_of, kept, kept_escalations, prune_batch
from ingest.storing.pieces import Piece, Stored
from ingest.storing.settled import has_own_rows
from ingest.storing.settling import Settling
from ingest.storing.sightings import Sightings, group_seen
from ingest.storing.source_rows import shift_rejects, write_source
from ingest.storing.staging import Span
from ingest.storing.statements import DELETE_REJECT, INSERT_ESCALATION, REJECT
from ingest.storing.undoing import drop_unseen, take_back


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


class Writing:
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

    def write(self, pieces: Sequence[Piece], stored: Stored) -> None:
        """Write batches, and count in `stored` what they changed."""
        conn = self._conn
        begun = _Begun(pieces, stored, time_text(datetime.now(UTC)), horizon_of(conn), self._settling.begin())
        self._first_id = self._first_id or begun.first_id
        for piece in pieces:
            self._begin(piece, begun)
        self._finish(begun)

    def take_rejects(self, source_id: int, sightings: list[Sighting]) -> int:
        """Make sightings of rejects; return how many events they brought."""
        now = time_text(datetime.now(UTC))
        self._settling.begin()
        horizon = horizon_of(self._conn)
        places = [(source_id, one.offset) for one in sightings]
        self._conn.executemany(DELETE_REJECT, places)
        wanted = kept(list(sightings), horizon)
        placed = self._sightings.place(wanted, [Span(source_id, 0, len(wanted))], now)
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

    def _finish(self, begun: _Begun) -> None:
        """Write events, and what lines behind them tell of them; count all that changed."""
        conn, stored, sightings = self._conn, begun.stored, begun.sightings
        placed = self._sightings.place(sightings, begun.spans, begun.now)
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
