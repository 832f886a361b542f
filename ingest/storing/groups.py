"""Groups of events, computed anew: what their places say now, and the difference written as rows.

Every addition and removal of facts names the groups that it touches. Each group is computed by
`ingest.identity`, from its stored facts and the new ones, and the result is written: the rows, which place
belongs to which row, and the place's own values where its row has others. Everything in this module happens
inside a transaction of the store's.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ingest.identity import (
    NOTHING_DECLARED,
    Declared,
    Event,
    Fact,
    events,
    group_of,
    with_stem,
)
from ingest.linking.context import Context, Deliverables, better_deliverables, merged
from ingest.storing import writes
from ingest.storing.rows import (
    READ_COLUMNS,
    Row,
    event_row,
    fact_of,
    fact_of_row,
    own_values,
)

READ = ", ".join(f"event.{name}" for name in READ_COLUMNS)
_READ_GROUP = f"SELECT {READ} FROM token_estimation_v2_events AS event WHERE event_key >= ? AND event_key < ?"
_READ_PLACE = f"""
SELECT line_number, own_values, {READ}
FROM event_sightings JOIN token_estimation_v2_events AS event USING (event_id)
WHERE source_id = ? AND byte_offset = ?
"""
OWN_VALUES = """
WITH RECURSIVE own (text) AS (
    SELECT MIN(own_values) FROM event_sightings WHERE event_id = :event_id
    UNION ALL SELECT (
        SELECT MIN(own_values) FROM event_sightings WHERE event_id = :event_id AND own_values > own.text
    ) FROM own WHERE own.text IS NOT NULL
)
SELECT text FROM own WHERE text IS NOT NULL
"""
"""The different texts among the places of an event, however many: one seek for each."""

SAYS_THE_ROW = "SELECT 1 FROM event_sightings WHERE event_id = ? AND own_values IS NULL LIMIT 1"
_DECLARED = "SELECT run_id, phase_id, deliverables_json, deliverables_complete FROM phase_deliverables"
_GROUP = "SUBSTR(timestamp, 1, 19) || ' ' || predicted_output_tokens || ' ' || actual_output_tokens"
_OF_PHASE = f"""
INSERT OR IGNORE INTO lost_places SELECT -1, event_id, -1, {_GROUP} FROM token_estimation_v2_events
WHERE run_id = ? AND phase_id = ? AND run_source IS NOT NULL AND phase_source IS NOT NULL
"""
_LOST = (
    "CREATE TEMP TABLE IF NOT EXISTS lost_places "
    "(source_id INTEGER, byte_offset INTEGER, event_id INTEGER, event_group TEXT, "
    "PRIMARY KEY (source_id, byte_offset)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS temp.lost_places_event ON lost_places (event_id)",
    "DELETE FROM lost_places",
)
_LOSE = f"""
INSERT OR IGNORE INTO lost_places SELECT source_id, byte_offset, event_id, {_GROUP}
FROM event_sightings JOIN token_estimation_v2_events USING (event_id)
WHERE source_id = ? AND byte_offset >= ? AND byte_offset <= ?
"""
_CLAIM = "INSERT INTO lost_places VALUES (?, ?, ?, ?)"
_PREVIOUS = "SELECT event_id FROM lost_places WHERE source_id = ? AND byte_offset = ?"
_HAS_LOST = "SELECT 1 FROM lost_places WHERE event_id = ? AND source_id <> -1 LIMIT 1"
_IS_ALONE = """
NOT EXISTS (
    SELECT 1 FROM token_estimation_v2_events AS other
    WHERE other.event_key >= event_group || ' ' AND other.event_key < event_group || '!'
        AND other.event_id <> lost.event_id
)
"""
_LOST_GROUPS = f"""
SELECT DISTINCT event_group FROM lost_places AS lost
WHERE source_id = -1 OR NOT (
    EXISTS (SELECT 1 FROM event_sightings AS s WHERE s.event_id = lost.event_id AND own_values IS NULL)
    AND {_IS_ALONE}
)
"""
_DESERTED = f"""
SELECT event_id FROM lost_places AS lost
WHERE source_id <> -1 AND {_IS_ALONE}
    AND NOT EXISTS (SELECT 1 FROM event_sightings AS s WHERE s.event_id = lost.event_id)
"""
"""Events that were alone in their group and have no place any more: usually all that lost one."""
_LAST = (1 << 63) - 1
_MOVED = (
    "CREATE TEMP TABLE IF NOT EXISTS moved_facts (event_id INTEGER, own_values TEXT, new_id INTEGER, "
    "new_values TEXT)",
    "CREATE INDEX IF NOT EXISTS temp.moved_facts_event ON moved_facts (event_id)",
    "DELETE FROM moved_facts",
)


class Place(NamedTuple):
    """Where a fact stands: its source, the offset and the number of its line."""

    source_id: int
    offset: int
    line_number: int


class Placed(NamedTuple):
    """A fact and its place.

    `origin` is the id that its event gets if that is new and the id is free, and the event's `created_at`.
    """

    place: Place
    fact: Fact
    origin: tuple[int, str] | None = None


@dataclass(slots=True)
class ChangedEvents:
    """The events that were written, by their ids; how many were deleted."""

    inserted: set[int] = field(default_factory=set)
    updated: set[int] = field(default_factory=set)
    deleted: int = 0


class Groups:
    """Compute groups of one database, and write what differs."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use a connection that is open for writing."""
        self._conn = connection
        self._next_id = 0
        self._lost = False
        self.declared: Declared = NOTHING_DECLARED

    def begin(self) -> int:
        """Look up what is declared, at the start of a transaction; return the first free id."""
        (largest,) = self._conn.execute("SELECT MAX(event_id) FROM token_estimation_v2_events").fetchone()
        self._next_id = int(largest or 0) + 1
        self._lost = False
        self.declared = declared_deliverables(self._conn)
        return self._next_id

    @property
    def has_lost(self) -> bool:
        """Whether facts were removed, and their groups are not computed yet: see `finish`."""
        return self._lost

    def reserve(self, count: int) -> int:
        """Reserve ids; return the first of them."""
        first = self._next_id
        self._next_id += count
        return first

    def touch_phases(self, phases: Iterable[tuple[str, str]]) -> None:
        """Have the events of phases (run, phase) computed anew, with what is declared now."""
        self._begin_losing()
        self.declared = declared_deliverables(self._conn)
        self._conn.executemany(_OF_PHASE, phases)

    def claim(self, place: Place, event_id: int, group: str) -> None:
        """Say which stored event the fact belongs to that will be added at a place."""
        self._begin_losing()
        self._conn.execute(_CLAIM, [*place[:2], event_id, group])

    def remove(self, source_id: int, offset: int) -> int:
        """Remove the facts of a source from an offset on; return how many they were."""
        self._lose(source_id, offset, _LAST)
        return writes.delete_sightings(self._conn, source_id, offset)

    def amend(self, source_id: int, offset: int, context: Context) -> Placed | None:
        """Remove a fact, and return it with more context, to be added again; `None`: there is none."""
        found = self._conn.execute(_READ_PLACE, [source_id, offset]).fetchone()
        if found is None:
            return None
        line_number, own, *values = found
        fact = with_stem(fact_of(fact_of_row(dict(zip(READ_COLUMNS, values, strict=True))), own))
        self._lose(source_id, offset, offset)
        writes.delete_sighting(self._conn, source_id, offset)
        changed = fact._replace(context=merged(fact.context, context))
        return Placed(Place(source_id, offset, line_number), changed)

    def _lose(self, source_id: int, first: int, last: int) -> None:
        self._begin_losing()
        self._conn.execute(_LOSE, [source_id, first, last])

    def _begin_losing(self) -> None:
        if not self._lost:
            self._lost = True
            for statement in _LOST:
                self._conn.execute(statement)

    def add(self, added: Iterable[Placed], now: str) -> ChangedEvents:
        """Add facts, and compute their groups."""
        groups: dict[str, list[Placed]] = {}
        for placed in added:
            groups.setdefault(group_of(placed.fact.stem), []).append(placed)
        return self._computed(groups, now)

    def finish(self, now: str) -> ChangedEvents:
        """Compute the groups that facts were removed from; some may have been added again."""
        if not self._lost:
            return ChangedEvents()
        deleted = writes.delete_events_of(self._conn, _DESERTED)
        groups = [group for (group,) in self._conn.execute(_LOST_GROUPS)]
        written = self._computed(dict.fromkeys(groups, ()), now)
        written.deleted += deleted
        self._lost = False
        return written

    def _computed(self, groups: Mapping[str, Sequence[Placed]], now: str) -> ChangedEvents:
        changes = _Changes(self._conn, now)
        for group, placed in groups.items():
            self._compute(group, placed, changes)
        return changes.write()

    def _compute(self, group: str, added: Sequence[Placed], changes: _Changes) -> None:
        rows = {row["event_id"]: row for row in self._rows(group)}
        known = _Known()
        for row in rows.values():
            self._add_stored(row, known)
        for placed in added:
            known.add(placed, self._first(_PREVIOUS, *placed.place[:2]) if self._lost else None)
        used: set[int] = set()
        for event in sorted(events(list(known.facts), self.declared), key=known.order):
            kept = next((event_id for event_id in known.ids_of(event) if event_id not in used), None)
            event_id = self._new_id(known.origins_of(event), changes) if kept is None else kept
            used.add(event_id)
            changes.put(event_id, event, rows.get(event_id))
            changes.place(event_id, event, known)
        changes.deleted += rows.keys() - used

    def _first(self, query: str, *values: object) -> int | None:
        row = self._conn.execute(query, values).fetchone()
        return None if row is None else int(row[0])

    def _rows(self, group: str) -> Iterator[Row]:
        for values in self._conn.execute(_READ_GROUP, [f"{group} ", f"{group}!"]).fetchall():
            yield dict(zip(READ_COLUMNS, values, strict=True))

    def _add_stored(self, row: Row, known: _Known) -> None:
        """Add what the places of a stored event say, each different fact once.

        A row that has no place, and had none before, stays as it is: its log may be gone.
        """
        event_id, of_row = row["event_id"], fact_of_row(row)
        own = [text for (text,) in self._conn.execute(OWN_VALUES, [event_id])]
        for text in own:
            known.add_stored(fact_of(of_row, text), event_id, text)
        says_the_row = self._first(SAYS_THE_ROW, event_id) is not None
        if says_the_row or not (own or (self._lost and self._first(_HAS_LOST, event_id))):
            known.add_stored(of_row, event_id, None)

    def _new_id(self, origins: Iterable[tuple[int, str]], changes: _Changes) -> int:
        """Return the id of a new event: the first free one of its origins, else a reserved one."""
        is_used = "SELECT 1 FROM token_estimation_v2_events WHERE event_id = ?"
        for event_id, made_at in origins:
            if event_id not in changes.inserts and self._first(is_used, event_id) is None:
                changes.made_at[event_id] = made_at
                self._next_id = max(self._next_id, event_id + 1)
                return event_id
        return self.reserve(1)


class _Known:
    """The facts of one group, each different one once, and the places of each."""

    def __init__(self) -> None:
        self.facts: dict[Fact, int] = {}
        self.stored: dict[int, list[tuple[int, str | None]]] = {}
        self.added: dict[int, list[Placed]] = {}
        self._ids: dict[int, set[int]] = {}
        self._executors: set[int] = set()  # rows that the executor wrote

    def _number(self, fact: Fact) -> int:
        return self.facts.setdefault(fact._replace(stem=""), len(self.facts))

    def add_stored(self, fact: Fact, event_id: int, own: str | None) -> None:
        """Add what stored places of an event say."""
        number = self._number(fact)
        self.stored.setdefault(number, []).append((event_id, own))
        self._ids.setdefault(number, set()).add(event_id)
        if fact.is_executors:
            self._executors.add(event_id)

    def add(self, placed: Placed, previous_id: int | None) -> None:
        """Add a new place, and the event that it belonged to before."""
        number = self._number(placed.fact)
        self.added.setdefault(number, []).append(placed)
        if previous_id is not None:
            self._ids.setdefault(number, set()).add(previous_id)

    def ids_of(self, event: Event) -> list[int]:
        """Return the ids that the places of an event had: an executor's row first, then the smallest."""
        found = {event_id for number in event.facts for event_id in self._ids.get(number, ())}
        return sorted(found, key=lambda event_id: (event_id not in self._executors, event_id))

    def origins_of(self, event: Event) -> Iterator[tuple[int, str]]:
        """Yield the ids that a new event may get, each with when it was made."""
        for number in event.facts:
            added = self.added.get(number, ())
            yield from (placed.origin for placed in added if placed.origin is not None)

    def order(self, event: Event) -> tuple[bool, int]:
        """Order events by the ids that they had; new ones follow, as they came."""
        ids = self.ids_of(event)
        return (not ids, ids[0] if ids else min(event.facts))


class _Changes:
    """What is to be written of the groups that were computed."""

    def __init__(self, connection: sqlite3.Connection, now: str) -> None:
        self._conn = connection
        self._now = now
        self.made_at: dict[int, str] = {}
        self.inserts: dict[int, Row] = {}
        self._updates: list[Row] = []
        self._freed: list[int] = []
        self.deleted: list[int] = []
        self._sightings: list[tuple[object, ...]] = []
        self._moved: list[tuple[object, ...]] = []

    def put(self, event_id: int, event: Event, stored: Row | None) -> None:
        """Note the row of an event to be written, if it is new or has changed."""
        row = {"event_id": event_id, **event_row(event)}
        if stored is None:
            self.inserts[event_id] = row | {"created_at": self.made_at.get(event_id, self._now)}
        elif row != stored:
            self._updates.append(row)
            if row["event_key"] != stored["event_key"]:
                self._freed.append(event_id)

    def place(self, event_id: int, event: Event, known: _Known) -> None:
        """Note the places of an event to be written, with the own values of each."""
        facts = list(known.facts)
        for number in event.facts:
            fact = facts[number]
            own = own_values(fact, event)
            for before in known.stored.get(number, ()):
                if before != (event_id, own):
                    self._moved.append((*before, event_id, own))
            of_fact = (fact.phase is not None, fact.is_cut, own)
            added = known.added.get(number, ())
            self._sightings += [(event_id, *placed.place, *of_fact) for placed in added]

    def write(self) -> ChangedEvents:
        """Write all changes; keys are freed first, since an event may get the key of another."""
        conn = self._conn
        writes.free_keys(conn, (*self._freed, *self.deleted))
        writes.insert_events(conn, self.inserts.values())
        writes.update_events(conn, self._updates)
        if self._moved:
            for statement in _MOVED:
                conn.execute(statement)
            conn.executemany("INSERT INTO moved_facts VALUES (?, ?, ?, ?)", self._moved)
            writes.move_sightings(conn, "moved_facts")
        writes.delete_events(conn, self.deleted)
        writes.insert_sightings(conn, self._sightings)
        return ChangedEvents(set(self.inserts), {row["event_id"] for row in self._updates}, len(self.deleted))


def declared_deliverables(connection: sqlite3.Connection) -> Declared:
    """Return the deliverables that files declare, by run and phase: of several the best."""
    found: dict[tuple[str, str], Deliverables] = {}
    for run, phase, paths, complete in connection.execute(_DECLARED):
        declared = Deliverables("imported", tuple(json.loads(paths)), bool(complete))
        best = better_deliverables(found.get((run, phase)), declared)
        found[run, phase] = best or declared
    return found
