"""Rows that the executor itself wrote into an adopted database, and the events that logs tell: made one.

The executor goes on writing such rows. They have no key until an event of a log is found that has the
same second, numbers and phase; from then on the row is that event's, and only gains what it lacks.
Everything here happens inside a transaction of the store's.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from ingest.linking.context import NOTHING_TOLD, Context, Told
from ingest.linking.identity import Adopted, Event, content_key, group_of
from ingest.linking.timestamps import moment_of
from ingest.reading.batch import Sighting
from ingest.storing.horizon import sighting_time
from ingest.storing.rows import Row
from ingest.storing.settled import has_own_rows
from ingest.storing.settling import Settling
from parsers.run import UNKNOWN

FILLED = (
    *("category", "complexity", "success", "truncated", "stop_reason", "model", "smape_percent"),
    *("waste_ratio", "underestimated", "is_truncated_output", "logged_smape_percent"),
)
"""Columns of the event line that the executor may have left NULL."""

_SECOND = "STRFTIME('%Y%m%d%H%M%S', own.timestamp)"
_AGREED = " + ".join(
    f"(own.{name} IS event.{name})"
    for name in ("category", "complexity", "deliverable_count", "selected_budget", "success", "model")
)
_PAIRS = f"""
SELECT own.event_id AS own_id, own.run_id, own.phase_id, own.timestamp AS own_timestamp,
    own.deliverables_json, own.deliverable_count, own.actual_max_tokens,
    event.event_id, event.event_key, event.timestamp, event.timestamp_text
FROM token_estimation_v2_events AS own JOIN token_estimation_v2_events AS event
    ON event.event_key >= {_SECOND} AND event.event_key < {_SECOND} || 'g'
    AND event.predicted_output_tokens = own.predicted_output_tokens
    AND event.actual_output_tokens = own.actual_output_tokens
    AND (event.phase_id = own.phase_id OR '{UNKNOWN}' IN (event.phase_id, own.phase_id))
    AND json_extract(event.context_parts, '$.adopted') IS NULL
WHERE own.event_key IS NULL AND own.timestamp >= ? AND own.timestamp < ?
ORDER BY event.phase_id <> own.phase_id, {_AGREED} DESC, own.phase_id, own.event_id, event.event_key
"""
_FILL = f"""
UPDATE token_estimation_v2_events SET (actual_is_total, {", ".join(FILLED)}) = (
    SELECT event.actual_is_total,
        {", ".join(f"COALESCE(token_estimation_v2_events.{name}, event.{name})" for name in FILLED)}
    FROM token_estimation_v2_events AS event WHERE event.event_id = ?2
) WHERE event_id = ?1
"""
_RELEASE = f"""
UPDATE token_estimation_v2_events SET event_key = NULL,
    run_id = COALESCE(json_extract(context_parts, '$.adopted.run'), '{UNKNOWN}'),
    phase_id = COALESCE(json_extract(context_parts, '$.adopted.phase'), '{UNKNOWN}'),
    deliverables_json = COALESCE(json_extract(context_parts, '$.adopted.deliverables'), '[]'),
    actual_max_tokens = json_extract(context_parts, '$.adopted.actual_max_tokens'),
    context_parts = NULL
WHERE event_id = ?1 AND json_extract(context_parts, '$.adopted') IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM event_sightings WHERE event_id = ?1)
"""
_UNKEYED_ESCALATIONS = """
SELECT event_id, STRFTIME('%Y-%m-%d %H:%M:%S', timestamp), phase_id, attempt_index, base_value,
    retry_max_tokens
FROM token_budget_escalation_events WHERE escalation_key IS NULL ORDER BY event_id
"""
_EARLIEST, _LATEST = "", "\uffff"


def match_rows(
    connection: sqlite3.Connection, settling: Settling, since: str = _EARLIEST, until: str = _LATEST
) -> set[int]:
    """Make the executor's rows of a time one with the events that they are of; return those events' ids."""
    cursor = connection.execute(_PAIRS, [since, until])
    names = [column[0] for column in cursor.description]
    done: set[int] = set()
    for row in (dict(zip(names, values, strict=True)) for values in cursor.fetchall()):
        if done.isdisjoint((row["own_id"], row["event_id"])):
            connection.execute(_FILL, [row["own_id"], row["event_id"]])
            settling.settle({group_of(row["event_key"]): [_adopted_event(row)]}, now="")
            done |= {row["own_id"], row["event_id"]}
    return done


def _adopted_event(row: Row) -> Event:
    phase = _told(row["phase_id"], UNKNOWN)
    adopted = Adopted(
        event_id=row["own_id"],
        timestamp=row["own_timestamp"],
        run=_told(row["run_id"], UNKNOWN),
        phase=phase,
        deliverables=_told(row["deliverables_json"], "[]", ""),
        complete=_length(row["deliverables_json"]) == row["deliverable_count"],
        actual_max_tokens=row["actual_max_tokens"],
    )
    context = NOTHING_TOLD if phase is None else Context(phase=Told(phase, "executor"))
    moment = moment_of(row["timestamp"])
    return Event(None, moment, row["timestamp_text"], context, stored_ids=[row["own_id"]], adopted=adopted)


def _told(value: Any, *nothing: str) -> str | None:
    return None if value is None or value in nothing else str(value)


def _length(paths: Any) -> int:
    try:
        return len(json.loads(paths))
    except (TypeError, ValueError):
        return -1


def release(connection: sqlite3.Connection, event_ids: Iterable[tuple[int]]) -> None:
    """Let rows of the executor's that no log tells any more be as it wrote them: they are never deleted."""
    connection.executemany(_RELEASE, event_ids)


def key_escalations(connection: sqlite3.Connection) -> None:
    """Name the executor's own escalations by their content; one that a log told before gives way to it."""
    for event_id, second, phase, *told in connection.execute(_UNKEYED_ESCALATIONS).fetchall():
        key = content_key(second, phase, *told)
        connection.execute(
            "DELETE FROM token_budget_escalation_events "
            "WHERE escalation_key = ? AND timestamp_text IS NOT NULL",
            [key],
        )
        connection.execute(
            "UPDATE OR IGNORE token_budget_escalation_events SET escalation_key = ? WHERE event_id = ?",
            [key, event_id],
        )


def match_batch(
    connection: sqlite3.Connection, settling: Settling, sightings: Sequence[Sighting]
) -> set[int]:
    """Make events of a batch one with the executor's own rows of them, in an adopted database."""
    if not sightings or not has_own_rows(connection):
        return set()
    return match_rows(connection, settling, *_days_of(map(sighting_time, sightings)))


def match_all(connection: sqlite3.Connection) -> None:
    """Match every row that the executor wrote since, before anything is read."""
    settling = Settling(connection)
    settling.begin()
    match_rows(connection, settling)
    key_escalations(connection)


def _days_of(moments: Iterable[str]) -> tuple[str, str]:
    """Return two texts between which all of the days of some times are, in whatever form they are written."""
    days = {moment[:10] for moment in moments}
    return min(days), max(days) + "~"
