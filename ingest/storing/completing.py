"""What is learned of events after they were stored: from lines behind them, or from a person's file."""

from __future__ import annotations

from collections.abc import Iterable

from ingest.linking.context import NOTHING_TOLD, Context, merged
from ingest.linking.identity import Event, group_of
from ingest.linking.state import Logged
from ingest.reading.batch import Rows
from ingest.storing.rows import amended
from ingest.storing.settling import Settling, Written
from ingest.storing.statements import MOVE_SIGHTING, READ_ONE, READ_SIGHTED, SIGHTED_COLUMNS, TOLD_PHASE


def tell(settling: Settling, rows: Rows, source_id: int, now: str) -> Written:
    """Add what a batch learned of stored events; return what was written, by the offsets of sightings.

    A sighting whose phase was unknown may turn out to be of another event than it was taken for.
    """
    by_offset: dict[int, Context] = {}
    logged: dict[int, Logged | None] = {}
    for amendment in rows.amendments:
        known = by_offset.get(amendment.offset, NOTHING_TOLD)
        by_offset[amendment.offset] = merged(known, amendment.context)
        logged[amendment.offset] = amendment.logged or logged.get(amendment.offset)
    groups: dict[str, list[Event]] = {}
    for offset, context in by_offset.items():
        for row in settling.read(READ_SIGHTED, [source_id, offset], SIGHTED_COLUMNS):
            event = amended(row, context, offset, logged[offset])
            groups.setdefault(group_of(row["event_key"]), []).append(event)
    places = [(source_id, offset) for offset, context in by_offset.items() if context.phase is not None]
    settling.connection.executemany(TOLD_PHASE, places)
    written = settling.settle(groups, now)
    moved = [(event_id, source_id, offset) for offset, event_id in written.event_ids.items()]
    settling.connection.executemany(MOVE_SIGHTING, moved)
    return written


def amend(settling: Settling, amendments: Iterable[tuple[int, Context]], now: str) -> int:
    """Add context to events by their ids, inside a transaction; return how many it completed."""
    groups: dict[str, list[Event]] = {}
    for event_id, context in amendments:
        for row in settling.read(READ_ONE, [event_id]):
            event = amended(row, context, sighting=0)
            groups.setdefault(group_of(row["event_key"]), []).append(event)
    return len(settling.settle(groups, now).updated)
