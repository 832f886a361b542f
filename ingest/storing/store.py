"""The one writer: batches into SQLite, each with the checkpoint that covers it, or not at all.

Every batch is stored in one `BEGIN IMMEDIATE` transaction, alone or with others. The checkpoint is
compared before it is moved, so even a second writer that slipped past the ingest lock could not store a
line twice. The end of a large one, which is SQLite's alone, goes on in a thread while the next batch is read.
What was stored is taken away again at the end of this module, inside a transaction of whoever asks.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ingest.errors import LogUnreadable
from ingest.events import group_of, stem_of
from ingest.files.logfile import LogFile
from ingest.linking.context import NO_CONTEXT, Context, merged
from ingest.linking.state import Amendment
from ingest.linking.timestamps import time_text
from ingest.reading.batch import Batch, Reject, Sighting
from ingest.reading.checkpoint import Counters
from ingest.storing import writes
from ingest.storing.database import immediate
from ingest.storing.escalations import (
    Said,
    add_escalations,
    finish_escalations,
    row_of,
    take_escalations_away,
)
from ingest.storing.groups import Groups, Place, Placed, Written
from ingest.storing.retention import (
    NOTHING_PRUNED,
    cutoff_of,
    kept,
    kept_escalations,
    prune_batch,
)
from ingest.storing.sources import Source, keep_state, mark_replaced, shift_rejects, write_source
from ingest.storing.staging import MAX_EXACT, Insert, Span, Staging, nothing

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

LARGE_ROWS = 2_000
"""Rows of a transaction whose end is worth a thread."""


_DECLARED_BY = "SELECT run_id, phase_id FROM phase_deliverables WHERE source_id = ?"


@dataclass(slots=True)
class Stored:
    """What batches changed, and the source of each as it is now.

    What the same store made before, and they completed, is not among the updated.
    """

    sources: list[Source] = field(default_factory=list)
    events_new: int = 0
    events_updated: int = 0
    events_deleted: int = 0
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
        self._writing = Writing(connection)
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
            insert = self._writing.write(pieces, stored)
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
            self._writing.begin()
            self._writing.take_away(source.source_id)
            writes.update_source(self._conn, source.source_id, NOTHING_PRUNED)
            for batch in batches:
                self._writing.add([Piece(batch, log, now)], stored)()
                now = stored.sources[-1]
            if not stored.sources or now.offset < source.offset:
                raise LogUnreadable(f"{log.shown}: shorter than it was")
            self._writing.finish(stored)
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
            return self._writing.forget(source.source_id)


class Writing:
    """Write to one database: each source holds from an offset on what is put there, and nothing else.

    Whatever changes events does it so: what a source says from an offset on is taken away, what it says now
    is added, and the groups of both are computed.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use a connection that is open for writing."""
        self._conn = connection
        self._groups = Groups(connection)
        self._staging = Staging(connection)
        self._first_id = 0  # of the events that it makes, once it does
        self._lost_escalations: set[str] = set()
        self._now = ""

    def write(self, pieces: Sequence[Piece], stored: Stored) -> Insert:
        """Write batches of different sources, and count in `stored` what they changed.

        Returns:
            What is to be called before anything else is done with the connection: it inserts the plain
            events, which SQLite does alone.
        """
        self.begin()
        insert = self.add(pieces, stored)
        if insert is not nothing and self._is_done:
            return insert
        insert()
        self.finish(stored)
        return nothing

    def begin(self) -> None:
        """Begin, inside a transaction: look what is free and what is declared."""
        first = self._groups.begin()
        self._first_id = self._first_id or first
        self._lost_escalations = set()
        self._now = time_text(datetime.now(UTC))

    @property
    def _is_done(self) -> bool:
        return not (self._groups.has_lost or self._lost_escalations)

    def take_away(self, source_id: int, offset: int = 0) -> int:
        """Take away what a source says from an offset on; return how many sightings that was."""
        self._lost_escalations.update(take_escalations_away(self._conn, source_id, offset))
        writes.delete_rejects(self._conn, source_id, offset)
        return self._groups.take_away(source_id, offset)

    def declare_again(self, phases: Iterable[tuple[str, str]]) -> None:
        """Have the events of phases computed again, of which something else is declared now."""
        self._groups.touch_phases(phases)

    def claim(self, place: Place, event_id: int, group: str) -> None:
        """Say of which stored event a fact will be that is about to be put at a place."""
        self._groups.claim(place, event_id, group)

    def put(self, facts: Iterable[Placed]) -> Stored:
        """Add facts that stand elsewhere than in a log, and compute their groups; count what came of it."""
        stored = Stored()
        self._count(self._groups.add(facts, self._now), stored)
        return stored

    def put_sightings(self, source_id: int, sightings: list[Sighting], stored: Stored) -> None:
        """Add what stands in a source, whoever read it."""
        self._place(sightings, [Span(source_id, 0, len(sightings))], (), stored)()

    def add_escalations(self, said: Iterable[Said]) -> None:
        """Add what places say of escalations."""
        add_escalations(self._conn, said, self._lost_escalations, self._now)

    def finish(self, stored: Stored | None = None) -> Stored:
        """Compute what something was taken from, and was not given again; count it."""
        stored = Stored() if stored is None else stored
        written = self._groups.finish(self._now)
        self._count(written, stored)
        stored.events_deleted += written.deleted
        finish_escalations(self._conn, self._lost_escalations, self._now)
        return stored

    def forget(self, source_id: int) -> int:
        """Take a source away; return how many events went with it."""
        self.begin()
        self.take_away(source_id)
        phases = self._conn.execute(_DECLARED_BY, [source_id]).fetchall()
        writes.delete_declared(self._conn, source_id)
        self.declare_again(phases)
        stored = self.finish()
        writes.delete_source(self._conn, source_id)
        return stored.events_deleted

    def take_rejects(self, source_id: int, sightings: list[Sighting]) -> int:
        """Make sightings of rejects; return how many events they brought."""
        self.begin()
        writes.delete_rejects_at(self._conn, [(source_id, sighting.offset) for sighting in sightings])
        wanted = kept(list(sightings), cutoff_of(self._conn))
        stored = Stored()
        self._place(wanted, [Span(source_id, 0, len(wanted))], (), stored)()
        offsets = [one.offset for one in sightings]
        shift_rejects(self._conn, source_id, offsets, len(sightings) - len(wanted))
        return stored.events_new

    def add(self, pieces: Sequence[Piece], stored: Stored) -> Insert:
        """Add what batches say; what is to be called then is as for `write`."""
        cutoff = cutoff_of(self._conn)
        sightings: list[Sighting] = []
        spans: list[Span] = []
        learned: list[Placed] = []
        retaken = 0
        for piece in pieces:
            source_id, taken = self._begin_source(piece, stored, cutoff)
            retaken += taken
            first = len(sightings)
            sightings += kept(piece.batch.rows.sightings, cutoff)
            learned += self._amended(piece.batch.rows.amendments, source_id)
            spans.append(Span(source_id, first, len(sightings)))
        before = stored.events_new
        insert = self._place(sightings, spans, learned, stored)
        stored.further_sightings += max(0, len(sightings) - (stored.events_new - before) - retaken)
        if cutoff is not None:
            insert()
            insert = nothing
            for piece, span in zip(pieces, spans, strict=True):
                stored.pruned += prune_batch(self._conn, piece.batch, span.source_id, cutoff)
        return insert

    def _begin_source(self, piece: Piece, stored: Stored, cutoff: str | None) -> tuple[int, int]:
        """Write the row of a source, with its checkpoint, and take away what is read again.

        Returns:
            Its id, and how many sightings were taken away.
        """
        batch, source = piece.batch, piece.source
        takes_back = batch.taken_back_from is not None
        if takes_back and cutoff is not None and source is not None:
            writes.uncount_provisional(self._conn, source.source_id)
        written = write_source(self._conn, batch, piece.log, source)
        stored.sources.append(written)
        source_id, taken = written.source_id, 0
        if batch.taken_back_from is not None:
            taken = self.take_away(source_id, batch.taken_back_from)
        rows = batch.rows
        writes.insert_rejects(self._conn, [(source_id, *_reject_values(reject)) for reject in rows.rejects])
        said = [
            (source_id, one.offset, one.line_number, row_of(one))
            for one in kept_escalations(rows.escalations, cutoff)
        ]
        if said:
            self.add_escalations(said)
        return source_id, taken

    def _amended(self, amendments: Iterable[Amendment], source_id: int) -> Iterator[Placed]:
        """Take up the facts of a source of which lines behind tell more."""
        told: dict[int, Context] = {}
        for one in amendments:
            told[one.offset] = merged(told.get(one.offset, NO_CONTEXT), one.context)
        for offset, context in told.items():
            changed = self._groups.take_up(source_id, offset, context)
            if changed is not None:
                yield changed

    def _place(
        self, sightings: list[Sighting], spans: list[Span], learned: Sequence[Placed], stored: Stored
    ) -> Insert:
        """Add facts: those that are plain by a few statements, the others by computing their groups."""
        stems = [one.fact.stem or stem_of(one.fact.payload, one.fact.timestamp) for one in sightings]
        plain, others = self._apart(sightings, stems, {group_of(one.fact.stem) for one in learned})
        first_id = self._groups.reserve(len(sightings))
        numbered = [(number, stems[number], sightings[number]) for number in plain]
        staged = self._staging.stage(numbered, spans, first_id, self._now)
        stored.events_new += staged.new
        others = sorted([*others, *staged.others])
        if not (others or learned):
            return staged.insert
        staged.insert()
        firsts = [span.first for span in spans]
        added = list(learned)
        for number in others:
            offset, line_number, fact = sightings[number]
            source_id = spans[bisect_right(firsts, number) - 1].source_id
            fact = fact._replace(stem=stems[number])
            place = Place(source_id, offset, line_number)
            added.append(Placed(place, fact, origin=(first_id + number, self._now)))
        self._count(self._groups.add(added, self._now), stored)
        return nothing

    def _apart(
        self, sightings: list[Sighting], stems: list[str], learned: set[str]
    ) -> tuple[list[int], list[int]]:
        """Return the numbers of what can be written at once, and of what is to be computed with its group.

        SQLite can write an event alone whose line is whole, and whose metrics come out the same.
        """
        declared, groups = self._groups.declared, list(map(group_of, stems))
        several = learned
        if len(set(groups)) < len(groups):
            several = learned | {group for group, times in Counter(groups).items() if times > 1}
        plain: list[int] = []
        others: list[int] = []
        for number, (_, _, fact) in enumerate(sightings):
            payload, _, _, context, is_cut, _, own = fact
            is_plain = not is_cut and own is None and payload[0] < MAX_EXACT and payload[1] < MAX_EXACT
            if is_plain and declared and context.run and context.phase:
                is_plain = (context.run.name, context.phase.name) not in declared
            (plain if is_plain and groups[number] not in several else others).append(number)
        return plain, others

    def _count(self, written: Written, stored: Stored) -> None:
        stored.events_new += len(written.inserted)
        stored.events_updated += sum(event_id < self._first_id for event_id in written.updated)


def _reject_values(reject: Reject) -> tuple[int, int, str, str]:
    return (reject.offset, reject.line_number, reject.reason, reject.line)


def forget_source(connection: sqlite3.Connection, source_id: int) -> int:
    """Take a source away inside the caller's transaction; return how many events went with it."""
    return Writing(connection).forget(source_id)
