"""The one writer: batches into SQLite, each with the checkpoint that covers it, or not at all.

Every batch is one `BEGIN IMMEDIATE` transaction. The checkpoint is compared before it is moved, so
even a second writer that slipped past the ingest lock could not store a line twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ingest.errors import LogUnreadable
from ingest.linking.timestamps import time_text
from ingest.reading.batch import Batch, Reject, Rows, Sighting
from ingest.reading.checkpoint import Counters
from ingest.reading.logfile import LogFile
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
from ingest.storing.sightings import Sightings
from ingest.storing.source_rows import keep_state, mark_replaced, shift_rejects, write_source
from ingest.storing.sources import Source
from ingest.storing.staging import Staged
from ingest.storing.statements import (
    DELETE_REJECT,
    INSERT_ESCALATION,
)
from ingest.storing.undoing import drop_unseen, forget_source, take_back

if TYPE_CHECKING:
    from ingest.storing.behind import Behind

_NOTHING: list[tuple[int]] = []


@dataclass(slots=True)
class Stored:
    """What one batch changed, and its source as it is now.

    What the same store made before, and this batch completed, is not among the updated.
    """

    source: Source
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

    def commit(self, piece: Piece, *, ahead: bool = False) -> Stored:
        """Store a batch; a new source gets its row here.

        With `ahead`, the caller only reads on meanwhile: most of the writing may still go on behind it,
        until the next call of `commit`, `commit_together` or `wait`.

        Raises:
            DatabaseBusy: another process has moved the source's checkpoint meanwhile.
        """
        self.wait()
        with ExitStack() as unit:
            unit.enter_context(self.transaction())
            stored, staged = self._store(piece, ahead=ahead)
            if staged is not None:
                self._write_behind(staged, unit.pop_all())
        return stored

    def commit_together(self, pieces: Sequence[Piece]) -> list[Stored]:
        """Store batches of different sources in one transaction: all of them, or none.

        Raises:
            DatabaseBusy: another process has moved a source's checkpoint meanwhile.
        """
        self.wait()
        with self.transaction():
            return [self._store(piece)[0] for piece in pieces]

    def reread(self, batches: Iterable[Batch], log: LogFile, source: Source) -> Stored:
        """Store all of a source anew in its place, as it was read from its start, in one transaction.

        Raises:
            LogUnreadable: it was not read as far as before; nothing was changed.
        """
        stored: Stored | None = None
        with self.transaction():
            taken = take_back(self._conn, source.source_id, 0)
            self._conn.execute(NOTHING_PRUNED, [source.source_id])
            for batch in batches:
                stored, _ = self._store(Piece(batch, log, source if stored is None else stored.source))
            if stored is None or stored.source.offset < source.offset:
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
            planned = self._sightings.plan(wanted, source_id, now)
            placed = self._sightings.place(wanted, planned, source_id, now)
            offsets = [one.offset for one in sightings]
            shift_rejects(self._conn, source_id, offsets, len(sightings) - len(wanted))
        return placed.inserted

    def _store(self, piece: Piece, *, ahead: bool = False) -> tuple[Stored, Staged | None]:
        """Store a batch inside a transaction; with `ahead`, what is left to be written may be handed out."""
        batch, source = piece.batch, piece.source
        now = time_text(datetime.now(UTC))
        horizon = horizon_of(self._conn)
        first_id = self._settling.begin()
        if self._first_id is None:
            self._first_id = first_id
        if horizon is not None and source is not None and batch.taken_back_from is not None:
            forget_provisional(self._conn, source.source_id)
        stored = Stored(write_source(self._conn, batch, piece.log, source))
        source_id = stored.source.source_id
        taken = _NOTHING
        if batch.taken_back_from is not None:
            taken = take_back(self._conn, source_id, batch.taken_back_from)
        self._write_others(batch.rows, source_id, now, horizon)
        sightings = kept(batch.rows.sightings, horizon)
        planned = self._sightings.plan(sightings, source_id, now)
        plain = not (planned.others or batch.rows.amendments or taken or horizon)
        if ahead and plain and not has_own_rows(self._conn):
            stored.events_new = planned.staged.new
            stored.further_sightings = len(sightings) - planned.staged.new
            return stored, planned.staged
        placed = self._sightings.place(sightings, planned, source_id, now)
        told = tell(self._settling, batch.rows, source_id, now)
        own = match_batch(self._conn, self._settling, sightings)
        drop_unseen(self._conn, taken)
        again = len(sightings) - placed.inserted - len(taken)
        stored.events_new = placed.inserted - sum(event_id >= first_id for event_id in own)
        stored.events_updated = sum(event_id < self._first_id for event_id in placed.updated | told | own)
        stored.further_sightings = max(0, again)
        if horizon is not None:
            stored.pruned = prune_batch(self._conn, batch, source_id, horizon)
        return stored, None

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
