"""The ninth migration: give each place own values, where earlier versions stored values of the event alone.

A place whose context had the phase gets the values of the event's row, one without only those of its line. So
no known value is lost, which matters since the logs may be gone. What a file declared, and what an executor
wrote itself, become sources of their own.

A migration is history: what it needs of other modules stands here as it was, and never changes.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS phase_deliverables (
        source_id INTEGER NOT NULL REFERENCES log_sources(source_id), run_id TEXT NOT NULL,
        phase_id TEXT NOT NULL, deliverables_json TEXT NOT NULL, deliverables_complete INTEGER NOT NULL,
        PRIMARY KEY (source_id, run_id, phase_id)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS escalation_sightings (
        event_id INTEGER NOT NULL REFERENCES token_budget_escalation_events(event_id),
        source_id INTEGER NOT NULL REFERENCES log_sources(source_id), byte_offset INTEGER NOT NULL,
        line_number INTEGER NOT NULL, own_values TEXT, PRIMARY KEY (source_id, byte_offset)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX IF NOT EXISTS escalation_sightings_event ON escalation_sightings (event_id)",
)
_PAYLOAD = (
    *("predicted_output_tokens", "actual_output_tokens", "actual_is_total", "logged_smape_percent"),
    *("selected_budget", "category", "complexity", "deliverable_count", "success", "stop_reason"),
    *("truncated", "model"),
)
_TOLD = (
    *("run_id", "run_source", "phase_id", "phase_source", "actual_max_tokens", "input_tokens"),
    *("total_tokens", "confidence", "attempt_index", "estimated_deliverable_count", "phase_outcome"),
    *("deliverables_source", "deliverables_json", "deliverables_complete"),
)
_PATHS = _TOLD[-3:]
_EXECUTORS = (
    *("api_reference_required", "examples_required", "research_required", "usage_guide_required"),
    *("context_quality", "is_sot_file", "sot_file_name", "sot_entry_count_hint"),
)
_NEW_KEYS = f"""
UPDATE OR IGNORE token_estimation_v2_events
SET event_key = tokentail_key(event_key, timestamp, phase_id, phase_source, {", ".join(_PAYLOAD)})
WHERE event_key IS NOT NULL
"""
_KEYS_LEFT = (
    "UPDATE token_estimation_v2_events SET event_key = event_key || '~' || event_id WHERE event_key {old}"
)
_OLD_KEY = "GLOB '[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]*:*'"
_STRAYS = """
UPDATE event_sightings SET own_values = '{}' WHERE phase_known = 0 AND EXISTS (
    SELECT 1 FROM event_sightings AS other
    WHERE other.event_id = event_sightings.event_id AND other.phase_known = 1
)
"""
_ODD = f"""
SELECT event_id, timestamp, timestamp_text, context_parts, {", ".join((*_TOLD, *_EXECUTORS))}
FROM token_estimation_v2_events
WHERE event_key IS NOT NULL AND (
    context_parts IS NOT NULL OR deliverables_source = 'imported'
    OR event_id IN (SELECT event_id FROM event_sightings WHERE line_cut = 1)
)
"""
_PLACES = """
SELECT source_id, byte_offset, phase_known, line_cut FROM event_sightings WHERE event_id = ?
ORDER BY source_id, byte_offset
"""
_SAY = "UPDATE event_sightings SET own_values = ? WHERE source_id = ? AND byte_offset = ?"
_OWN_PLACE = (
    "INSERT INTO event_sightings "
    "(event_id, source_id, byte_offset, line_number, phase_known, line_cut, own_values) "
    "VALUES (?, ?, ?, 0, ?, 0, ?)"
)
_COUNT = """
UPDATE log_sources SET (marker_lines, sightings) = (
    SELECT COUNT(*), COUNT(*) FROM event_sightings WHERE event_sightings.source_id = log_sources.source_id
) WHERE source_id = ?
"""
DECLARED_BEFORE = "deliverables imported before version 0.2.0"
"""The path of the source that stands for the files of `deliverables import` whose names nobody kept."""

EXECUTORS_ROWS = "rows of the executor's own"
"""The path of the source that stands for what an executor wrote into a database that was adopted."""


def give_places_their_word(connection: sqlite3.Connection) -> None:
    """Make a database of version 0.1.0 one in which events are computed from what their places say."""
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute("ALTER TABLE event_sightings ADD COLUMN own_values TEXT")
    connection.execute(_STRAYS)
    for row in _rows(connection, _ODD):
        _give(connection, row)
    _write_keys(connection)
    connection.execute(
        "UPDATE token_estimation_v2_events SET context_parts = NULL WHERE context_parts IS NOT NULL"
    )
    if sqlite3.sqlite_version_info >= (3, 35):
        connection.execute("ALTER TABLE token_estimation_v2_events DROP COLUMN context_parts")


def _rows(connection: sqlite3.Connection, query: str) -> Iterator[dict[str, Any]]:
    cursor = connection.execute(query)
    names = [column[0] for column in cursor.description]
    for values in cursor.fetchall():
        yield dict(zip(names, values, strict=True))


def _give(connection: sqlite3.Connection, row: dict[str, Any]) -> None:
    """Give the places of an event own values, where these can't be derived from the row alone."""
    parts = json.loads(row["context_parts"]) if row["context_parts"] else {}
    told = _told_of_row(row)
    if row["deliverables_source"] == "imported" and "adopted" not in parts:
        _declare(connection, row)
        told = _without(told, *_PATHS)
    strays = [_told_of_part(parts["strays"])] if "strays" in parts else []
    if "adopted" in parts:
        _take_over(connection, row, parts["adopted"])
    places = connection.execute(_PLACES, [row["event_id"]]).fetchall()
    none_knows = not any(phase_known for _, _, phase_known, _ in places)
    has_strays = not (none_knows or all(phase_known for _, _, phase_known, _ in places))
    in_parts = parts and ("adopted" in parts or has_strays)  # else one place told both, its phase from behind
    known = _told_of_part(parts.get("context", {})) if in_parts else told
    for source_id, offset, phase_known, line_cut in places:
        if offset < 0 or _is_executors(connection, source_id):
            continue
        has_phase = phase_known or none_knows
        says = known if has_phase else strays.pop() if strays else {}
        if says.get("phase_source") == "executor":
            says = (
                says | {"phase_source": "budget"}
                if phase_known
                else _without(says, "phase_id", "phase_source")
            )
        own: dict[str, Any] = {"line_cut": True} if line_cut else {}
        if "adopted" in parts:
            own |= {"timestamp": parts["adopted"]["logged"], "timestamp_text": row["timestamp_text"]}
        own |= says
        text = (
            None if own == _told_of_row(row) else json.dumps(own, ensure_ascii=False, separators=(",", ":"))
        )
        connection.execute(_SAY, [text, source_id, offset])


def _without(told: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name not in names}


def _is_executors(connection: sqlite3.Connection, source_id: int) -> bool:
    query = "SELECT path = ? FROM log_sources WHERE source_id = ?"
    return bool(connection.execute(query, [EXECUTORS_ROWS, source_id]).fetchone()[0])


def _told_of_row(row: dict[str, Any]) -> dict[str, Any]:
    """Return the context values of a row, without those that are unknown."""
    told = {name: row[name] for name in _TOLD if row[name] is not None}
    for source, names in (
        ("run_source", ("run_id",)),
        ("phase_source", ("phase_id",)),
        ("deliverables_source", _PATHS),
    ):
        if source not in told:
            told = _without(told, *names)
    if "deliverables_complete" in told:
        told["deliverables_complete"] = bool(told["deliverables_complete"])
    return told


def _told_of_part(part: dict[str, Any] | list[Any]) -> dict[str, Any]:
    """Return what a part of `context_parts` says, by the names of columns; it is an object, or a list."""
    if isinstance(part, list):
        part = dict(zip(("run", "phase", *_TOLD[4:11], "deliverables"), part, strict=False))
    told: dict[str, Any] = {}
    for name in ("run", "phase"):
        if part.get(name):
            told |= {f"{name}_id": _of(part[name], "name", 0), f"{name}_source": _of(part[name], "source", 1)}
    told |= {name: part[name] for name in _TOLD[4:11] if part.get(name) is not None}
    if found := part.get("deliverables"):
        told |= {
            "deliverables_source": _of(found, "source", 0),
            "deliverables_json": json.dumps(_of(found, "paths", 1), ensure_ascii=False),
            "deliverables_complete": bool(_of(found, "complete", 2)),
        }
    return told


def _of(value: Any, name: str, place: int) -> Any:
    """Return a part of what was written as an object, or as a list."""
    return value[name] if isinstance(value, dict) else value[place]


def source_for(connection: sqlite3.Connection, path: str) -> int:
    """Return the source that stands for something that is no log, made where it isn't there yet."""
    found = connection.execute("SELECT source_id FROM log_sources WHERE path = ?", [path]).fetchone()
    if found:
        return int(found[0])
    numbers = (
        *("fingerprint_bytes", "size_bytes", "byte_offset", "unread_bytes", "marker_lines", "sightings"),
        *("rejects", "legacy_lines", "write_failures", "skipped_events", "long_lines"),
        *("calls_without_telemetry", "quoted_lines", "unread_lines"),
    )
    row: dict[str, Any] = {
        **dict.fromkeys(numbers, 0),
        "path": path,
        "encoding": "utf-8",
        "timezone": "UTC",
        "state": "imported",
        "remembered": "{}",
    }
    first, last = connection.execute("SELECT MIN(first_seen), MAX(last_seen) FROM log_sources").fetchone()
    row |= {
        "fingerprint": _digest(f"{path}\x1f{first}\x1f{last}", 16),
        "first_seen": first,
        "last_seen": last,
    }
    made = connection.execute(
        f"INSERT INTO log_sources ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})", row
    )
    return int(made.lastrowid or 0)


def _declare(connection: sqlite3.Connection, row: dict[str, Any]) -> None:
    values = (row["run_id"], row["phase_id"], row["deliverables_json"], bool(row["deliverables_complete"]))
    connection.execute(
        "INSERT OR IGNORE INTO phase_deliverables VALUES (?, ?, ?, ?, ?)",
        [source_for(connection, DECLARED_BEFORE), *values],
    )


def _take_over(connection: sqlite3.Connection, row: dict[str, Any], own: dict[str, Any]) -> None:
    """Insert a place of a row that the executor wrote itself, with the values it had when it was matched."""
    said: dict[str, Any] = {"executor": True}
    said |= {name: row[name] for name in _EXECUTORS if row[name] is not None}
    for name in ("run", "phase"):
        if own.get(name):
            said |= {f"{name}_id": own[name], f"{name}_source": "executor"}
    if own.get("actual_max_tokens") is not None:
        said["actual_max_tokens"] = own["actual_max_tokens"]
    if own.get("deliverables"):
        said |= {
            "deliverables_source": "imported",
            "deliverables_json": own["deliverables"],
            "deliverables_complete": bool(own.get("complete")),
        }
    source_id = source_for(connection, EXECUTORS_ROWS)
    text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
    values = [row["event_id"], source_id, row["event_id"], own.get("phase") is not None, text]
    connection.execute(_OWN_PLACE, values)
    connection.execute(_COUNT, [source_id])


def _write_keys(connection: sqlite3.Connection) -> None:
    connection.create_function("tokentail_key", 4 + len(_PAYLOAD), _new_key)
    connection.execute(_NEW_KEYS)
    connection.execute(_KEYS_LEFT.format(old=_OLD_KEY))  # two that only the executor's own values make alike


def _new_key(old_key: str, timestamp: str, phase: str, phase_source: str | None, *payload: Any) -> str:
    predicted, actual, is_total, smape, budget, category, complexity, count, *rest = payload
    success, stop_reason, truncated, model = rest
    values = [
        bool(is_total),
        None if smape is None else float(smape),
        budget,
        category,
        complexity,
        count,
        _truth(success),
        stop_reason,
        _truth(truncated),
        model,
    ]
    second = timestamp[:19]
    if not budget:  # it may have been logged as `None`: the old key tells
        values[2] = None
        content = "\x1f".join(map(str, (second, predicted, actual, *values)))
        if _digest(content, 12) not in old_key:
            values[2] = budget
    member = phase if phase_source else "@" + timestamp[20:]
    return f"{second} {predicted} {actual} {_digest(chr(31).join(map(str, values)), 8)} {member}"


def key_of_0_1_0(payload: Sequence[Any], timestamp: str, phase: str | None) -> str:
    """Return the key that an event had in version 0.1.0: exports that were made then have it."""
    second, micros = timestamp[:19], timestamp[20:]
    predicted, actual, *rest = payload
    content = "\x1f".join(map(str, (second, predicted, actual, *rest)))
    digits = "".join(character for character in second if character.isdigit())
    return f"{digits}{_digest(content, 12)}:{'@' + micros if phase is None else _digest(phase, 8)}"


def _truth(value: Any) -> bool | None:
    return None if value is None else bool(value)


def _digest(text: str, size_bytes: int) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size_bytes).hexdigest()
