"""Escalations as rows: what an executor said when it repeated a call with more room.

Like events they have places and are computed from what these say; an escalation without a place is deleted.
Lines with the same second, phase, attempt, base and new ceiling are one escalation.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from hashlib import blake2b

from ingest.linking.timestamps import time_text
from ingest.reading.batch import SeenEscalation
from ingest.storing import writes
from ingest.storing.rows import ESCALATION_COLUMNS, Row
from parsers.run import UNKNOWN

_SELECT = f"SELECT event_id, {', '.join(ESCALATION_COLUMNS)} FROM token_budget_escalation_events"
_OWN_VALUES = "SELECT source_id, byte_offset, own_values FROM escalation_sightings WHERE event_id = ?"
_LOST = """
SELECT DISTINCT escalation_key FROM escalation_sightings
JOIN token_budget_escalation_events USING (event_id) WHERE source_id = ? AND byte_offset >= ?
"""
Said = tuple[int, int, int, Row]
"""What a place says: its source, offset and line number, and the row that it makes by itself."""


def escalation_key(row: Row) -> str:
    """Name an escalation by what it says."""
    second = row["timestamp"].partition(".")[0]
    said = (second, row["phase_id"], row["attempt_index"], row["base_value"], row["retry_max_tokens"])
    return blake2b("\x1f".join(map(str, said)).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def row_of(seen: SeenEscalation) -> Row:
    """Return what a place says of an escalation, as a row."""
    record, around = seen.record, seen.around
    return {
        "run_id": around.run.name if around.run else UNKNOWN,
        "phase_id": record.phase,
        "timestamp": time_text(seen.moment),
        "attempt_index": record.attempt_index,
        "reason": record.reason,
        "was_truncated": record.reason == "truncation",
        "output_utilization": record.utilization_percent,
        "escalation_factor": record.factor,
        "base_value": record.base_tokens,
        "base_source": record.base_source,
        "retry_max_tokens": record.retry_max_tokens,
        "selected_budget": around.selected_budget,
        "actual_max_tokens": around.actual_max_tokens,
        "tokens_used": around.tokens_used,
        "timestamp_text": seen.timestamp_text,
    }


def escalation_of(said: Sequence[Row]) -> Row:
    """Return the row of an escalation, from what its places say, in whatever order.

    A known run before `unknown`, a time with a fraction before one without, then the smaller.
    """
    first = min(said, key=lambda row: repr(sorted(row.items())))
    timed = min(said, key=lambda row: _precision(row["timestamp"], row["timestamp_text"]))
    return {
        **first,
        "run_id": min((row["run_id"] for row in said), key=lambda run: (run == UNKNOWN, run)),
        "timestamp": timed["timestamp"],
        "timestamp_text": timed["timestamp_text"],
        **{
            name: min((row[name] for row in said if row[name] is not None), default=None)
            for name in ("selected_budget", "actual_max_tokens", "tokens_used")
        },
    }


def _precision(timestamp: str, text: str | None) -> tuple[bool, str, str]:
    return (timestamp.endswith(".000000"), timestamp, text or "")


def remove_escalations(connection: sqlite3.Connection, source_id: int, offset: int) -> list[str]:
    """Remove the places of escalations in a source from an offset on; return the keys to compute again."""
    keys = [key for (key,) in connection.execute(_LOST, [source_id, offset])]
    if keys:
        writes.delete_escalation_places(connection, source_id, offset)
    return keys


def add_escalations(
    connection: sqlite3.Connection, added: Iterable[Said], lost: Collection[str], now: str
) -> None:
    """Add what places say; `lost` are the keys that lost places in this transaction."""
    groups: dict[str, list[Said]] = {}
    for said in added:
        groups.setdefault(escalation_key(said[3]), []).append(said)
    for key, new in groups.items():
        _compute(connection, key, new, key in lost, now)


def finish_escalations(connection: sqlite3.Connection, lost: Iterable[str], now: str) -> None:
    """Compute the escalations that places were removed from; some may have been added again."""
    for key in lost:
        _compute(connection, key, [], True, now)


def _compute(connection: sqlite3.Connection, key: str, new: list[Said], has_lost: bool, now: str) -> None:
    stored = connection.execute(f"{_SELECT} WHERE escalation_key = ?", [key]).fetchone()
    event_id, before = (
        (stored[0], dict(zip(ESCALATION_COLUMNS, stored[1:], strict=True))) if stored else (None, {})
    )
    places = list(_stored_places(connection, event_id, before))
    said = [row for _, _, row in places] + [row for *_, row in new]
    if before and not places and not has_lost:  # it was stored when places were not kept
        said.append(before)
    if not said:
        writes.delete_escalation(connection, event_id)
        return
    row = escalation_of(said)
    if event_id is None:
        event_id = writes.insert_escalation(connection, row | {"escalation_key": key, "created_at": now})
    elif before["timestamp_text"] is None:
        row = before
    elif row != before:
        writes.update_escalation(connection, row | {"event_id": event_id})
    writes.put_escalation_places(
        connection,
        [(event_id, source, offset, number, _own(says, row)) for source, offset, number, says in new],
    )
    if row != before:
        writes.set_escalation_values(
            connection, [(_own(says, row), source, offset) for source, offset, says in places]
        )


def _stored_places(
    connection: sqlite3.Connection, event_id: int | None, row: Row
) -> Iterator[tuple[int, int, Row]]:
    for source_id, offset, own in connection.execute(_OWN_VALUES, [event_id]).fetchall():
        yield source_id, offset, row if own is None else json.loads(own)


def _own(said: Row, row: Row) -> str | None:
    """Return a place's own values; `None` where they equal the row."""
    return None if said == row else json.dumps(said, ensure_ascii=False, separators=(",", ":"))


_PLACELESS = f"""
SELECT escalation_key, created_at, {", ".join(ESCALATION_COLUMNS)} FROM token_budget_escalation_events
WHERE event_id NOT IN (SELECT event_id FROM escalation_sightings) AND timestamp_text IS NOT NULL
"""


def keep_placeless(ours: sqlite3.Connection, theirs: sqlite3.Connection) -> None:
    """Copy the escalations of another database that were stored when places were not kept."""
    names = ("escalation_key", "created_at", *ESCALATION_COLUMNS)
    rows = (dict(zip(names, values, strict=True)) for values in theirs.execute(_PLACELESS))
    writes.insert_unknown_escalations(ours, rows)
