"""What a batch saw, as events and as the places where they were seen.

Of some events only a last line without its newline was seen, so that the end of their model may be
missing: a copy that was taken while a line was written, and a finished log whose line turns out to go
on, end in such a line. It is the same event as a whole line of the same second and payload whose model
begins so, whichever of the two is read first. `Fragments` knows them.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingest.linking.identity import Event, Seen, event_key, group_key
from ingest.reading.batch import Sighting
from ingest.storing.rows import INSERT_SIGHTING
from ingest.storing.settling import Settling
from ingest.storing.staging import MAX_EXACT, Insert, Span, Staging, nothing
from parsers.records import EstimationEvent


@dataclass(frozen=True, slots=True)
class Placed:
    """How many events a batch made, and the ids of those that it completed.

    `insert` is to be called before anything reads events, or stages others: it inserts what was plain.
    """

    inserted: int
    updated: set[int]
    insert: Insert


class Sightings:
    """Write the sightings of one batch after another, and their events."""

    def __init__(self, connection: sqlite3.Connection, settling: Settling) -> None:
        """Use a connection that is open for writing."""
        self._conn = connection
        self._settling = settling
        self._staging = Staging(connection)
        self._fragments = Fragments(connection)

    @property
    def has_cut(self) -> bool:
        """Whether a line is known that is cut: another one may tell the rest of it."""
        return not self._fragments.is_empty

    def place(self, sightings: list[Sighting], spans: list[Span], now: str) -> Placed:
        """Write what was seen: plain events at once, others one by one, then the lines that may be cut.

        `spans` tell of which sources the sightings are, in order.
        """
        if not self._fragments.is_empty:
            for one in sightings:
                self._fragments.claim(one.seen)
        plain, others = _apart(sightings)
        first_id = self._settling.reserve(len(sightings))
        staged = self._staging.stage(plain, spans, first_id, now)
        others = sorted([*others, *staged.others])
        if not others:
            return Placed(staged.new, set(), staged.insert)
        staged.insert()
        settled = self._settle(sightings, others, spans, now)
        return Placed(staged.new + settled.inserted, settled.updated, nothing)

    def _settle(self, sightings: list[Sighting], others: list[int], spans: list[Span], now: str) -> Placed:
        """Settle events of which more is known than their own line tells: whole lines first."""
        whole: dict[str, list[Event]] = {}
        cut: list[int] = []
        for number in others:
            if sightings[number].seen.is_cut:
                cut.append(number)
            else:
                _put(whole, number, sightings[number].seen)
        written = self._settling.settle(whole, now)
        for number in cut:
            seen = sightings[number].seen
            completed: dict[str, list[Event]] = {}
            _put(completed, number, seen._replace(payload=self._fragments.completed(seen), group=""))
            more = self._settling.settle(completed, now)
            self._fragments.add(seen, more.event_ids[number])
            written = written.with_more(more)
        firsts = [span.first for span in spans]
        places: list[tuple[object, ...]] = []
        for number, event_id in written.event_ids.items():
            span = spans[bisect_right(firsts, number) - 1]
            places.append((event_id, span.source_id, *_row_of(sightings[number])))
        self._conn.executemany(INSERT_SIGHTING, places)
        return Placed(len(written.inserted), written.updated, nothing)


def _apart(
    sightings: list[Sighting],
) -> tuple[list[tuple[int, Sighting]], list[int]]:
    """Return what can be written at once, and the numbers of what is to be settled by itself."""
    groups = list(map(group_seen, sightings))
    repeated: set[str] = set()
    if len(set(groups)) < len(groups):
        repeated = {group for group, times in Counter(groups).items() if times > 1}
    plain: list[tuple[int, Sighting]] = []
    others: list[int] = []
    for number, one in enumerate(sightings):
        if _is_plain(one.seen) and groups[number] not in repeated:
            plain.append((number, one))
        else:
            others.append(number)
    return plain, others


def group_seen(one: Sighting) -> str:
    """Return the group of the event that was seen."""
    return _group(one.seen)


def _group(seen: Seen) -> str:
    return seen.group or group_key(seen.payload, seen.moment)


def _is_plain(seen: Seen) -> bool:
    """Whether SQLite can write an event alone: its line is whole, and its metrics come out the same."""
    payload = seen.payload
    return not seen.is_cut and payload[0] < MAX_EXACT and payload[1] < MAX_EXACT


def _put(groups: dict[str, list[Event]], number: int, seen: Seen) -> None:
    event = Event(seen.payload, seen.moment, seen.timestamp_text, seen.context, sightings=[number])
    groups.setdefault(_group(seen), []).append(event)


def _row_of(one: Sighting) -> tuple[int, int, bool, bool]:
    return (one.offset, one.line_number, one.seen.context.phase is not None, one.seen.is_cut)


# Lines that are cut

_SAME_BUT_MODEL = (
    "predicted_output_tokens = :predicted AND actual_output_tokens = :actual AND actual_is_total = :total "
    "AND logged_smape_percent IS :smape AND selected_budget = :budget AND category IS :category "
    "AND complexity IS :complexity AND deliverable_count = :count AND success IS :success "
    "AND stop_reason IS :stop AND truncated IS :truncated "
    "AND (phase_source IS NULL OR :phase IS NULL OR phase_id = :phase)"
)
_IS_CUT = (
    "NOT EXISTS (SELECT 1 FROM event_sightings AS s WHERE s.event_id = event.event_id AND s.line_cut = 0)"
)
_IS_THERE = (
    "(event_key IS NULL OR json_extract(context_parts, '$.adopted') IS NOT NULL "
    "OR EXISTS (SELECT 1 FROM event_sightings AS s WHERE s.event_id = event.event_id))"
)
"""Not one of which every place was taken back: it goes if no other is found, and its line may end sooner."""

_WHOLE = f"""
SELECT model FROM token_estimation_v2_events AS event
WHERE timestamp BETWEEN :second || '.000000' AND :second || '.999999' AND {_SAME_BUT_MODEL}
    AND INSTR(COALESCE(model, 'None'), :model) = 1 AND {_IS_THERE}
ORDER BY {_IS_CUT}, model
"""
_CUT = f"""
SELECT event_id, timestamp, phase_id, phase_source
FROM token_estimation_v2_events AS event
WHERE event_id = :event_id AND {_SAME_BUT_MODEL} AND {_IS_CUT}
    AND INSTR(:model, RTRIM(COALESCE(model, 'None'), :unread)) = 1
"""
_CLAIM = "UPDATE OR IGNORE token_estimation_v2_events SET model = ?, event_key = ? WHERE event_id = ?"
_UNREAD = "\ufffd"
"""What stands for the bytes of a character that was cut."""

_Place = tuple[str, int, int]
"""Second in UTC, predicted and actual tokens: few events share them."""


class Fragments:
    """The fragments that a database holds, so that those of an event are found without a search."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Load them; there are at most as many as files."""
        self._conn = connection
        self._at: dict[_Place, set[int]] = {}
        for event_id, timestamp, predicted, actual in connection.execute(
            "SELECT event_id, timestamp, predicted_output_tokens, actual_output_tokens "
            "FROM event_sightings JOIN token_estimation_v2_events USING (event_id) WHERE line_cut = 1"
        ):
            self._at.setdefault((timestamp[:19], predicted, actual), set()).add(event_id)

    @property
    def is_empty(self) -> bool:
        """Whether there is none."""
        return not self._at

    def completed(self, seen: Seen) -> EstimationEvent:
        """Return the payload of a cut line with the model of the event that it is of, if that is known."""
        values = _values(seen)
        values["model"] = str(values["model"]).rstrip(_UNREAD)
        found = self._conn.execute(_WHOLE, values).fetchone()
        return seen.payload._replace(model=found[0]) if found else seen.payload

    def claim(self, seen: Seen) -> None:
        """Give the fragments of an event its whole model: they are then found as the event itself."""
        for event_id in self._at.get(_place(seen), ()) if self._at else ():
            values = _values(seen) | {"event_id": event_id, "unread": _UNREAD}
            for row in self._conn.execute(_CUT, values).fetchall():
                self._complete(row, seen.payload)

    def _complete(self, row: tuple[Any, ...], payload: EstimationEvent) -> None:
        event_id, timestamp, phase, phase_source = row
        moment = datetime.fromisoformat(f"{timestamp}+00:00")
        key = event_key(group_key(payload, moment), phase if phase_source else None, moment)
        self._conn.execute(_CLAIM, [payload.model, key, event_id])

    def add(self, seen: Seen, event_id: int) -> None:
        """Remember a fragment that was stored."""
        self._at.setdefault(_place(seen), set()).add(event_id)


def _place(seen: Seen) -> _Place:
    payload = seen.payload
    return (seen.timestamp[:19], payload.predicted_output_tokens, payload.actual_output_tokens)


def _values(seen: Seen) -> dict[str, Any]:
    payload = seen.payload
    return {
        "second": seen.timestamp[:19],
        "predicted": payload.predicted_output_tokens,
        "actual": payload.actual_output_tokens,
        "total": payload.actual_is_total,
        "smape": payload.smape_percent,
        "budget": payload.selected_budget or 0,
        "category": payload.category,
        "complexity": payload.complexity,
        "count": payload.deliverable_count,
        "success": payload.success,
        "stop": payload.stop_reason,
        "truncated": payload.truncated,
        "model": "None" if payload.model is None else payload.model,
        "phase": seen.context.phase.name if seen.context.phase else None,
    }
