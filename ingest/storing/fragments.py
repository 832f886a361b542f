"""Events of which only a last line without its newline was seen: the end of their model may be missing.

A copy that was taken while a line was written, and a finished log whose line turns out to go on, end in
such a line. It is the same event as a whole line of the same second and payload whose model begins so,
whichever of the two is read first.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Any

from ingest.linking.identity import Seen, event_key, group_key
from parsers.records import EstimationEvent

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

Place = tuple[str, int, int]
"""Second in UTC, predicted and actual tokens: few events share them."""


class Fragments:
    """The fragments that a database holds, so that those of an event are found without a search."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Load them; there are at most as many as files."""
        self._conn = connection
        self._at: dict[Place, set[int]] = {}
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


def _place(seen: Seen) -> Place:
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
