"""Uniting: the content of another database into ours, by the rules that make two sightings one event.

Everything here happens inside a transaction of the store's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from ingest.linking.context import merged
from ingest.linking.identity import Event, Seen, group_key, group_of
from ingest.linking.timestamps import time_text
from ingest.storing.rows import (
    CONTEXT_COLUMNS,
    INSERT_ESCALATION,
    INSERT_NEW_SIGHTING,
    PAYLOAD_COLUMNS,
    READ_COLUMNS,
    REJECT,
    Row,
    context_of,
    payload_of,
    stored_event,
)
from ingest.storing.schema import own_columns
from ingest.storing.settling import Settling
from ingest.storing.sightings import Fragments
from parsers.records import EstimationEvent

BATCH = 500
"""Events that are settled at once; SQLite may not be asked for more than 999 by their ids."""

_COLUMNS = (*READ_COLUMNS, *PAYLOAD_COLUMNS)
_FRAGMENTS = (
    "SELECT event_id FROM event_sightings WHERE line_cut = 1 EXCEPT "
    "SELECT event_id FROM event_sightings WHERE line_cut = 0"
)
_EVENTS = (
    f"SELECT {', '.join(_COLUMNS)} FROM token_estimation_v2_events "
    "WHERE event_key IS NOT NULL ORDER BY event_id"
)
_SIGHTINGS = (
    "SELECT event_id, source_id, byte_offset, line_number, phase_known, line_cut "
    "FROM event_sightings WHERE event_id IN ({marks})"
)
_ALIKE = f"SELECT event_id, {', '.join(CONTEXT_COLUMNS)} FROM token_estimation_v2_events WHERE event_key = ?"
_KEY_WITH_PHASE = (
    "SELECT event_key FROM token_estimation_v2_events WHERE event_id = ? AND phase_source IS NOT NULL"
)
_REJECTS = "SELECT byte_offset, line_number, reason, line FROM rejected_lines WHERE source_id = ?"


class Uniting:
    """Take the events, places, rejects and escalations of another database in."""

    def __init__(self, ours: sqlite3.Connection, theirs: sqlite3.Connection, sources: dict[int, int]) -> None:
        """Put what was seen in `sources` (theirs to ours) there; places in other sources are left out."""
        self._ours = ours
        self._theirs = theirs
        self._sources = sources
        self._settling = Settling(ours)
        self._fragments = Fragments(ours)
        self._now = time_text(datetime.now(UTC))
        self._crowded: set[str] = set()
        self.made: set[int] = set()
        self.completed: set[int] = set()
        self.events = 0

    def unite(self) -> None:
        """Take everything in; `made` and `completed` then name our events that are new and that gained."""
        self._settling.begin()
        fragments = {event_id for (event_id,) in self._theirs.execute(_FRAGMENTS)}
        later: list[Row] = []
        batch: list[Row] = []
        for row in self._rows():
            (later if row["event_id"] in fragments else batch).append(row)
            if len(batch) >= BATCH:
                self._take(batch)
                batch = []
        self._take(batch)
        for row in later:
            self._take([row], is_cut=True)
        for group in self._crowded:
            self._settling.rehome(group)
        self._take_rejects()
        self._take_escalations()

    def _rows(self) -> Iterator[Row]:
        for values in self._theirs.execute(_EVENTS):
            yield dict(zip(_COLUMNS, values, strict=True))

    def _take(self, rows: list[Row], is_cut: bool = False) -> None:
        groups: dict[str, list[Event]] = {}
        self.events += len(rows)
        alike: dict[int, int] = {}
        for row in rows:
            known = None if is_cut else self._known_just_so(row)
            if known is not None:
                alike[row["event_id"]] = known
                continue
            event = stored_event(row)
            event.payload, event.stored_ids, event.sightings = payload_of(row), [], [row["event_id"]]
            if event.adopted is not None:  # what the executor wrote is told here as by one more line
                event.context, event.adopted = merged(event.context, context_of(row)), None
            group = group_of(row["event_key"])
            if is_cut or not self._fragments.is_empty:
                event.payload, group = self._completed(row, event, group, is_cut)
            groups.setdefault(group, []).append(event)
        written = self._settling.settle(groups, self._now)
        self._crowded.update(written.several_phases)
        self.made |= written.inserted
        self.completed |= written.updated
        self._place(alike | written.event_ids)

    def _known_just_so(self, row: Row) -> int | None:
        """Return the id of our event of which all that theirs knows is known, and no more: most, mostly."""
        found = self._ours.execute(_ALIKE, [row["event_key"]]).fetchone()
        if found is None or found[1:] != tuple(row[name] for name in CONTEXT_COLUMNS):
            return None
        return int(found[0])

    def _completed(self, row: Row, event: Event, group: str, is_cut: bool) -> tuple[EstimationEvent, str]:
        """Unite an event with fragments of it that are here already, and a fragment with its event."""
        payload = _logged_payload(row, event, group)
        seen = Seen(payload, time_text(event.moment), event.timestamp_text, context_of(row), is_cut)
        self._fragments.claim(seen)
        whole = self._fragments.completed(seen) if is_cut else payload
        return whole, group if whole == payload else group_key(whole, event.moment)

    def _place(self, event_ids: dict[int, int]) -> None:
        """Write where events were seen, by the ids that they have here."""
        strays: set[int] = set()
        self._ours.executemany(INSERT_NEW_SIGHTING, self._places(event_ids, strays))
        for event_id in strays:  # they may be another phase's, where our group has several
            keys = self._ours.execute(_KEY_WITH_PHASE, [event_id])
            self._crowded.update(group_of(key) for (key,) in keys)

    def _places(self, event_ids: dict[int, int], strays: set[int]) -> Iterator[tuple[int, ...]]:
        """Yield places, of which one event may have a million; note the events of those without a phase."""
        query = _SIGHTINGS.format(marks=", ".join("?" * len(event_ids)))
        for event_id, source_id, *place in self._theirs.execute(query, list(event_ids)):
            if source_id in self._sources:
                _, _, phase_known, _ = place
                if not phase_known:
                    strays.add(event_ids[event_id])
                yield (event_ids[event_id], self._sources[source_id], *place)

    def _take_rejects(self) -> None:
        for theirs, ours in self._sources.items():
            rows: Iterable[tuple[object, ...]] = self._theirs.execute(_REJECTS, [theirs])
            self._ours.executemany(f"INSERT OR IGNORE {REJECT}", ((ours, *row) for row in rows))

    def _take_escalations(self) -> None:
        columns = ", ".join(own_columns("token_budget_escalation_events"))
        cursor = self._theirs.execute(
            f"SELECT {columns} FROM token_budget_escalation_events WHERE escalation_key IS NOT NULL"
        )
        names = [column[0] for column in cursor.description]
        self._ours.executemany(INSERT_ESCALATION, (dict(zip(names, row, strict=True)) for row in cursor))


def _logged_payload(row: Row, event: Event, group: str) -> EstimationEvent:
    """Return a payload as it was logged: a budget of 0 may have been `None`, as the key tells."""
    payload = payload_of(row)
    unbudgeted = payload._replace(selected_budget=payload.selected_budget or None)
    return unbudgeted if group_key(unbudgeted, event.moment) == group else payload
