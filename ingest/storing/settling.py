"""Settling: what is new of events united with what is stored, and the difference written as rows.

What is new comes from lines of a log, from lines behind them, from a person's file, or from another
database. Everything here happens inside a transaction of the store's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ingest.linking.context import NOTHING_TOLD, Context, merged
from ingest.linking.identity import Event, group_of, settle
from ingest.linking.state import Logged
from ingest.linking.timestamps import time_text
from ingest.reading.batch import Rows
from ingest.storing.rows import (
    CONTEXT_COLUMNS,
    EVENT_COLUMNS,
    INSERT_NEW_SIGHTING,
    PAYLOAD_COLUMNS,
    READ_COLUMNS,
    Row,
    amended,
    context_row,
    payload_row,
    stored_event,
)

_INSERT_EVENT = (
    f"INSERT INTO token_estimation_v2_events ({', '.join(EVENT_COLUMNS)}) "
    f"VALUES ({', '.join(f':{name}' for name in EVENT_COLUMNS)})"
)
_UPDATE_EVENT = (
    f"UPDATE token_estimation_v2_events SET {', '.join(f'{name} = :{name}' for name in CONTEXT_COLUMNS)} "
    "WHERE event_id = :event_id"
)
_READ = ", ".join(f"event.{name}" for name in READ_COLUMNS)
_READ_GROUP = (
    f"SELECT {_READ} FROM token_estimation_v2_events AS event WHERE event_key >= ? AND event_key < ?"
)
_SIGHTED_COLUMNS = (*READ_COLUMNS, *PAYLOAD_COLUMNS)
_READ_SIGHTED = (
    f"SELECT {', '.join(f'event.{name}' for name in _SIGHTED_COLUMNS)} "
    "FROM event_sightings JOIN token_estimation_v2_events AS event USING (event_id) "
    "WHERE source_id = ? AND byte_offset = ?"
)
_READ_ONE = f"SELECT {_READ} FROM token_estimation_v2_events AS event WHERE event_id = ?"
_TOLD_PHASE = "UPDATE event_sightings SET phase_known = 1 WHERE source_id = ? AND byte_offset = ?"
_MOVE_SIGHTING = "UPDATE event_sightings SET event_id = ? WHERE source_id = ? AND byte_offset = ?"


@dataclass(frozen=True, slots=True)
class Written:
    """The rows that settling wrote; `event_ids` are by the number of the sighting within its batch.

    `several_phases` are the groups that have more than one: see `Settling.rehome`.
    """

    inserted: set[int]
    updated: set[int]
    event_ids: dict[int, int]
    several_phases: tuple[str, ...] = ()

    def with_more(self, more: Written) -> Written:
        """Return what was written, and what was written after it."""
        return Written(
            self.inserted | more.inserted,
            self.updated | more.updated,
            self.event_ids | more.event_ids,
            self.several_phases + more.several_phases,
        )


Origin = tuple[int, str]
"""The id that a row had in another database, and when it was made there."""

NO_ORIGINS: Mapping[int, Origin] = {}


class Settling:
    """Write events to the table of events, each once."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use a connection that is open for writing."""
        self.connection = connection
        self._next_event_id = 0
        self._given: set[int] = set()

    def begin(self) -> int:
        """Look which ids are free, at the begin of each transaction that adds events; return the first."""
        (largest,) = self.connection.execute(
            "SELECT MAX(event_id) FROM token_estimation_v2_events"
        ).fetchone()
        self._next_event_id = int(largest or 0) + 1
        return self._next_event_id

    def reserve(self, count: int) -> int:
        """Set as many ids aside as are asked for; return the first of them."""
        first = self._next_event_id
        self._next_event_id += count
        return first

    def read(self, query: str, values: list[Any], columns: tuple[str, ...] = READ_COLUMNS) -> list[Row]:
        """Return rows of the columns that a query reads."""
        return [dict(zip(columns, row, strict=True)) for row in self.connection.execute(query, values)]

    def _read_group(self, group: str) -> list[Row]:
        return self.read(_READ_GROUP, [f"{group}:", f"{group};"])

    def settle(
        self, groups: dict[str, list[Event]], now: str, origins: Mapping[int, Origin] = NO_ORIGINS
    ) -> Written:
        """Unite what is new with what is stored, group by group, and write the difference."""
        self._given = set()
        inserts: list[Row] = []
        updates: list[Row] = []
        several_phases: list[str] = []
        event_ids: dict[int, int] = {}
        for group, new in groups.items():
            stored = {row["event_id"]: row for row in self._read_group(group)}
            events = settle([*map(stored_event, stored.values()), *new])
            if len(events) > 1 and events[0].phase is not None:
                several_phases.append(group)
            for event in events:
                row = context_row(group, event)
                if event.stored_ids:
                    event_id = self._united(event)
                    if row | {"event_id": event_id} != stored.get(event_id):
                        updates.append(row | {"event_id": event_id})
                elif event.payload is not None:
                    made = self._made(event, origins, now)
                    event_id = made["event_id"]
                    inserts.append(row | payload_row(event.payload) | made)
                event_ids |= dict.fromkeys(event.sightings, event_id)
        self.connection.executemany(_UPDATE_EVENT, updates)
        self.connection.executemany(_INSERT_EVENT, inserts)
        for group in several_phases:
            self.rehome(group)
        return Written(_ids(inserts), _ids(updates), event_ids, tuple(several_phases))

    def _made(self, event: Event, origins: Mapping[int, Origin], now: str) -> Row:
        """Return the id and the time of a new row: those that it had elsewhere, if the id is free here."""
        event_id, created_at = next((origins[one] for one in event.sightings if one in origins), (None, now))
        taken = "SELECT 1 FROM token_estimation_v2_events WHERE event_id = ?"
        if (
            event_id is None
            or event_id in self._given
            or self.connection.execute(taken, [event_id]).fetchone()
        ):
            event_id = self._next_event_id
        self._given.add(event_id)
        self._next_event_id = max(self._next_event_id, event_id + 1)
        return {"event_id": event_id, "created_at": created_at}

    def _united(self, event: Event) -> int:
        """Make one row of several that turned out to be the same event, the executor's own; return its id."""
        kept = min(event.stored_ids)
        if event.adopted is not None and event.adopted.event_id in event.stored_ids:
            kept = event.adopted.event_id
        for other in event.stored_ids:
            if other == kept:
                continue
            self.connection.execute(
                "UPDATE event_sightings SET event_id = ? WHERE event_id = ?", [kept, other]
            )
            self.connection.execute("DELETE FROM token_estimation_v2_events WHERE event_id = ?", [other])
        return kept

    def rehome(self, group: str) -> None:
        """Where a group has several phases, its sightings without one belong to the first of them."""
        home, *others = sorted(self._read_group(group), key=lambda row: str(row["phase_id"]))
        self.connection.executemany(
            "UPDATE event_sightings SET event_id = ? WHERE event_id = ? AND phase_known = 0",
            [(home["event_id"], other["event_id"]) for other in others],
        )


def _ids(rows: list[Row]) -> set[int]:
    return {row["event_id"] for row in rows}


# What is learned of events after they were stored: from lines behind them, or from a person's file


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
        for row in settling.read(_READ_SIGHTED, [source_id, offset], _SIGHTED_COLUMNS):
            event = amended(row, context, offset, logged[offset])
            groups.setdefault(group_of(row["event_key"]), []).append(event)
    places = [(source_id, offset) for offset, context in by_offset.items() if context.phase is not None]
    settling.connection.executemany(_TOLD_PHASE, places)
    written = settling.settle(groups, now)
    moved = [(event_id, source_id, offset) for offset, event_id in written.event_ids.items()]
    settling.connection.executemany(_MOVE_SIGHTING, moved)
    return written


def amend(settling: Settling, amendments: Iterable[tuple[int, Context]], now: str) -> int:
    """Add context to events by their ids, inside a transaction; return how many it completed."""
    groups: dict[str, list[Event]] = {}
    for event_id, context in amendments:
        for row in settling.read(_READ_ONE, [event_id]):
            event = amended(row, context, sighting=0)
            groups.setdefault(group_of(row["event_key"]), []).append(event)
    return len(settling.settle(groups, now).updated)


# Events that another database had: rows and sightings as they were there


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event of another database: its group, the row that it was, and where it stands in the export."""

    event: Event
    group: str
    event_id: int
    created_at: str
    place: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Added:
    """How many rows events of another database made, and completed."""

    events_new: int
    events_updated: int


def add_events(
    connection: sqlite3.Connection, settling: Settling, events: Sequence[NewEvent], source_id: int
) -> Added:
    """Store events of an export, inside the caller's transaction."""
    settling.begin()
    groups: dict[str, list[Event]] = {}
    for number, new in enumerate(events):
        new.event.sightings = [number]
        groups.setdefault(new.group, []).append(new.event)
    made = {number: (new.event_id, new.created_at) for number, new in enumerate(events)}
    written = settling.settle(groups, time_text(datetime.now(UTC)), made)
    places = [
        (written.event_ids[number], source_id, *new.place, new.event.phase is not None, False)
        for number, new in enumerate(events)
    ]
    connection.executemany(INSERT_NEW_SIGHTING, places)
    return Added(len(written.inserted), len(written.updated - written.inserted))
