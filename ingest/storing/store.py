"""The one writer: batches into SQLite, each with the checkpoint that covers it, or not at all.

Every batch is stored in one `BEGIN IMMEDIATE` transaction, alone or with others. The checkpoint is
compared before it is moved, so even a second writer that slipped past the ingest lock could not store a
line twice. The last statements of a large transaction run in a thread while the next batch is read.
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
from ingest.files.logfile import LogFile
from ingest.identity import group_of, stem_of
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
    remove_escalations,
    row_of,
)
from ingest.storing.groups import ChangedEvents, Groups, Place, Placed
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
"""Rows of a transaction whose last statements are worth a thread."""


_DECLARED_BY = "SELECT run_id, phase_id FROM phase_deliverables WHERE source_id = ?"


@dataclass(slots=True)
class StoreResult:
    """What batches changed, and the source of each as it is now.

    An event that the same store inserted and then completed is not counted as updated.
    """

    sources: list[Source] = field(default_factory=list)
    events_new: int = 0
    events_updated: int = 0
    events_deleted: int = 0
    further_sightings: int = 0
    pruned: int = 0


@dataclass(frozen=True, slots=True)
class SourceBatch:
    """A batch, its log and its source (`None`: a new one).

    `before` are the source's counters without the batch.
    """

    batch: Batch
    log: LogFile
    source: Source | None = None
    before: Counters = field(default_factory=Counters)


class Store:
    """Write batches to one open database."""

    def __init__(self, connection: sqlite3.Connection, compares_all: bool = False) -> None:
        """Use a connection that `ingest.storing.database` opened for writing.

        Where it `compares_all`, no value of a stored row is trusted: somebody may have changed it by hand.
        """
        self._conn = connection
        self._writer = SourceWriter(connection, compares_all)
        self._thread: ThreadPoolExecutor | None = None
        self._unfinished: Future[None] | None = None

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection that it writes through."""
        self.wait()
        return self._conn

    def wait(self) -> None:
        """Wait until the last commit is done; call it before using the connection in any other way.

        Raises:
            sqlite3.Error: the commit failed, and nothing of it was stored.
        """
        unfinished, self._unfinished = self._unfinished, None
        if unfinished is not None:
            unfinished.result()

    def transaction(self) -> AbstractContextManager[None]:
        """Commit everything inside, or nothing of it."""
        self.wait()
        return immediate(self._conn)

    def commit(self, source_batches: Sequence[SourceBatch]) -> StoreResult:
        """Store batches of different sources, all or none; a new source gets its row.

        The commit may still be under way: see `wait`.

        Raises:
            DatabaseBusy: another process has moved a source's checkpoint meanwhile.
        """
        stored, insert = StoreResult(), nothing
        with ExitStack() as transaction:
            transaction.enter_context(self.transaction())
            insert = self._writer.write(source_batches, stored)
            if (
                insert is not nothing
                and sum(len(source_batch.batch.rows) for source_batch in source_batches) >= LARGE_ROWS
            ):
                self._finish_in_background(insert, transaction.pop_all())
            else:
                insert()
        return stored

    def _finish_in_background(self, insert: Insert, transaction: ExitStack) -> None:
        """Insert the last rows of a transaction and commit it, in a thread."""
        if self._thread is None:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - most runs store little

            self._thread = ThreadPoolExecutor(1)

        def finish() -> None:
            with transaction:
                insert()

        self._unfinished = self._thread.submit(finish)

    def reread(self, batches: Iterable[Batch], log: LogFile, source: Source) -> StoreResult:
        """Replace all that a source holds by batches read from its start, in one transaction.

        Raises:
            LogUnreadable: they don't reach as far as before; nothing was changed.
        """
        stored, now = StoreResult(), source
        with self.transaction():
            self._writer.begin()
            self._writer.remove(source.source_id)
            writes.update_source(self._conn, source.source_id, NOTHING_PRUNED)
            for batch in batches:
                self._writer.add([SourceBatch(batch, log, now)], stored)()
                now = stored.sources[-1]
            if not stored.sources or now.offset < source.offset:
                raise LogUnreadable(f"{log.shown}: shorter than it was")
            self._writer.finish(stored)
        return stored

    def convert_rejects(self, source_id: int, sightings: list[Sighting]) -> int:
        """Replace rejects by sightings, in one transaction; return how many events are new."""
        with self.transaction():
            return self._writer.convert_rejects(source_id, sightings)

    def keep_state(self, source: Source, log: LogFile, ending: str | None) -> None:
        """Store where an unchanged source is found now, and its tail hash while that is needed."""
        with self.transaction():
            keep_state(self._conn, source, log, ending)

    def mark_replaced(self, source: Source) -> None:
        """Store that a source's file was replaced by another one."""
        with self.transaction():
            mark_replaced(self._conn, source)

    def remove(self, source: Source) -> int:
        """Remove a source whose bytes another source holds, too.

        Returns:
            How many events were deleted: those without another sighting.
        """
        with self.transaction():
            return self._writer.forget(source.source_id)


class SourceWriter:
    """Write to one database: replace what a source holds from an offset on.

    Every change of events works like this: what the source says from the offset on is removed, what it says
    now is added, and the groups of both are computed.
    """

    def __init__(self, connection: sqlite3.Connection, compares_all: bool = False) -> None:
        """Use a connection that is open for writing; `compares_all` as for `Store`."""
        self._conn = connection
        self._groups = Groups(connection)
        self._staging = Staging(connection, compares_all)
        self._first_id = 0  # of the events that it inserts
        self._lost_escalations: set[str] = set()
        self._now = ""

    def write(self, source_batches: Sequence[SourceBatch], stored: StoreResult) -> Insert:
        """Write batches of different sources, and count in `stored` what they changed.

        Returns:
            A function that inserts the plain events, which SQLite does alone. Call it before anything else
            is done with the connection.
        """
        self.begin()
        insert = self.add(source_batches, stored)
        if insert is not nothing and self._is_done:
            return insert
        insert()
        self.finish(stored)
        return nothing

    def begin(self) -> None:
        """Begin, inside a transaction: look up which ids are free and which deliverables are declared."""
        first = self._groups.begin()
        self._first_id = self._first_id or first
        self._lost_escalations = set()
        self._now = time_text(datetime.now(UTC))

    @property
    def _is_done(self) -> bool:
        return not (self._groups.has_lost or self._lost_escalations)

    def remove(self, source_id: int, offset: int = 0) -> int:
        """Remove what a source says from an offset on; return how many sightings that was."""
        self._lost_escalations.update(remove_escalations(self._conn, source_id, offset))
        writes.delete_rejects(self._conn, source_id, offset)
        return self._groups.remove(source_id, offset)

    def declare_again(self, phases: Iterable[tuple[str, str]]) -> None:
        """Have the events of phases computed again, since their declared deliverables have changed."""
        self._groups.touch_phases(phases)

    def claim(self, place: Place, event_id: int, group: str) -> None:
        """Say which stored event the fact belongs to that will be added at a place."""
        self._groups.claim(place, event_id, group)

    def put(self, facts: Iterable[Placed]) -> StoreResult:
        """Add facts that don't come from a log, and compute their groups; count what changed."""
        stored = StoreResult()
        self._count(self._groups.add(facts, self._now), stored)
        return stored

    def put_sightings(self, source_id: int, sightings: list[Sighting], stored: StoreResult) -> None:
        """Add the sightings of a source, whoever read them."""
        self._place(sightings, [Span(source_id, 0, len(sightings))], (), stored)()

    def add_escalations(self, said: Iterable[Said]) -> None:
        """Add what places say of escalations."""
        add_escalations(self._conn, said, self._lost_escalations, self._now)

    def finish(self, stored: StoreResult | None = None) -> StoreResult:
        """Compute the groups that facts were removed from and not added to again; count what changed."""
        stored = StoreResult() if stored is None else stored
        written = self._groups.finish(self._now)
        self._count(written, stored)
        stored.events_deleted += written.deleted
        finish_escalations(self._conn, self._lost_escalations, self._now)
        return stored

    def forget(self, source_id: int) -> int:
        """Remove a source; return how many events were deleted with it."""
        self.begin()
        self.remove(source_id)
        phases = self._conn.execute(_DECLARED_BY, [source_id]).fetchall()
        writes.delete_declared(self._conn, source_id)
        self.declare_again(phases)
        stored = self.finish()
        writes.delete_source(self._conn, source_id)
        return stored.events_deleted

    def convert_rejects(self, source_id: int, sightings: list[Sighting]) -> int:
        """Replace rejects by sightings; return how many events are new."""
        self.begin()
        writes.delete_rejects_at(self._conn, [(source_id, sighting.offset) for sighting in sightings])
        wanted = kept(list(sightings), cutoff_of(self._conn))
        stored = StoreResult()
        self._place(wanted, [Span(source_id, 0, len(wanted))], (), stored)()
        offsets = [sighting.offset for sighting in sightings]
        shift_rejects(self._conn, source_id, offsets, len(sightings) - len(wanted))
        return stored.events_new

    def add(self, source_batches: Sequence[SourceBatch], stored: StoreResult) -> Insert:
        """Add what batches say; the function that is returned is as for `write`."""
        cutoff = cutoff_of(self._conn)
        sightings: list[Sighting] = []
        spans: list[Span] = []
        learned: list[Placed] = []
        removed = 0
        for source_batch in source_batches:
            source_id, replaced = self._begin_source(source_batch, stored, cutoff)
            removed += replaced
            first = len(sightings)
            sightings += kept(source_batch.batch.rows.sightings, cutoff)
            learned += self._amended(source_batch.batch.rows.amendments, source_id)
            spans.append(Span(source_id, first, len(sightings)))
        before = stored.events_new
        insert = self._place(sightings, spans, learned, stored)
        stored.further_sightings += max(0, len(sightings) - (stored.events_new - before) - removed)
        if cutoff is not None:
            insert()
            insert = nothing
            for source_batch, span in zip(source_batches, spans, strict=True):
                stored.pruned += prune_batch(self._conn, source_batch.batch, span.source_id, cutoff)
        return insert

    def _begin_source(
        self, source_batch: SourceBatch, stored: StoreResult, cutoff: str | None
    ) -> tuple[int, int]:
        """Write the row of a source, with its checkpoint, and remove what was read again.

        Returns:
            Its id, and how many sightings were removed.
        """
        batch, source = source_batch.batch, source_batch.source
        is_reread = batch.taken_back_from is not None
        if is_reread and cutoff is not None and source is not None:
            writes.uncount_provisional(self._conn, source.source_id)
        written = write_source(self._conn, batch, source_batch.log, source)
        stored.sources.append(written)
        source_id, removed = written.source_id, 0
        if batch.taken_back_from is not None:
            removed = self.remove(source_id, batch.taken_back_from)
        rows = batch.rows
        writes.insert_rejects(self._conn, [(source_id, *_reject_values(reject)) for reject in rows.rejects])
        said = [
            (source_id, seen.offset, seen.line_number, row_of(seen))
            for seen in kept_escalations(rows.escalations, cutoff)
        ]
        if said:
            self.add_escalations(said)
        return source_id, removed

    def _amended(self, amendments: Iterable[Amendment], source_id: int) -> Iterator[Placed]:
        """Yield the stored facts of a source that later lines say more of, changed accordingly."""
        learned: dict[int, Context] = {}
        for amendment in amendments:
            known = learned.get(amendment.offset, NO_CONTEXT)
            learned[amendment.offset] = merged(known, amendment.context)
        for offset, context in learned.items():
            changed = self._groups.amend(source_id, offset, context)
            if changed is not None:
                yield changed

    def _place(
        self, sightings: list[Sighting], spans: list[Span], learned: Sequence[Placed], stored: StoreResult
    ) -> Insert:
        """Add facts: plain ones by a few statements, the others by computing their groups."""
        stems = [seen.fact.stem or stem_of(seen.fact.payload, seen.fact.timestamp) for seen in sightings]
        plain, others = self._apart(sightings, stems, {group_of(placed.fact.stem) for placed in learned})
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
        """Return the numbers of the plain sightings, and of those to be computed with their groups.

        A plain one is alone in its group, its line is whole, and SQLite computes the same metrics for it.
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

    def _count(self, written: ChangedEvents, stored: StoreResult) -> None:
        stored.events_new += len(written.inserted)
        stored.events_updated += sum(event_id < self._first_id for event_id in written.updated)


def _reject_values(reject: Reject) -> tuple[int, int, str, str]:
    return (reject.offset, reject.line_number, reject.reason, reject.line)


def forget_source(connection: sqlite3.Connection, source_id: int) -> int:
    """Remove a source inside the caller's transaction; return how many events were deleted with it."""
    return SourceWriter(connection).forget(source_id)
