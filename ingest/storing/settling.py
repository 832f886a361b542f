"""Settling: what is new of events united with what is stored, and the difference written as rows.

Everything here happens inside a transaction of the store's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ingest.linking.identity import Event, settle
from ingest.storing.rows import READ_COLUMNS, Row, context_row, payload_row, stored_event
from ingest.storing.statements import INSERT_EVENT, READ_GROUP, UPDATE_EVENT


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
        """Return rows as a query of `ingest.storing.statements` reads them."""
        return [dict(zip(columns, row, strict=True)) for row in self.connection.execute(query, values)]

    def _read_group(self, group: str) -> list[Row]:
        return self.read(READ_GROUP, [f"{group}:", f"{group};"])

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
        self.connection.executemany(UPDATE_EVENT, updates)
        self.connection.executemany(INSERT_EVENT, inserts)
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
