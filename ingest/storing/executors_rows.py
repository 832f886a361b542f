"""Rows that an executor wrote itself, as facts: from its own database, which is only read, or an adopted one.

Run and phase of such a row rank first. `ingest.identity` finds the event that it belongs to. Everything in
this module happens inside a transaction of the caller's.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator

from ingest.errors import UnusableImport
from ingest.files.paths import quoted
from ingest.identity import Fact, group_of, with_stem
from ingest.linking.context import Attributed, Context, deliverables
from ingest.linking.timestamps import moment_of, time_text
from ingest.storing import writes
from ingest.storing.database import EVENTS_TABLE
from ingest.storing.escalations import Said, escalation_key
from ingest.storing.facts_migration import EXECUTORS_ROWS, source_for
from ingest.storing.groups import Place, Placed
from ingest.storing.rows import ESCALATION_COLUMNS, EXECUTORS_COLUMNS, Row, payload_of
from ingest.storing.store import SourceWriter
from parsers.event import COLUMNS as LOGGED_COLUMNS
from parsers.run import UNKNOWN

_NEEDED = (
    *("event_id", "run_id", "phase_id", "timestamp", "predicted_output_tokens", "actual_output_tokens"),
    *("deliverable_count", "deliverables_json"),
)
_COLUMNS = (
    *_NEEDED,
    *("category", "complexity", "selected_budget", "actual_max_tokens", "success", "truncated"),
    *("stop_reason", "model"),
    *EXECUTORS_COLUMNS,
)
_ESCALATION_NEEDED = ("event_id", "phase_id", "timestamp", "attempt_index", "base_value", "retry_max_tokens")


def executors_facts(connection: sqlite3.Connection, name: str, which: str = "") -> Iterator[tuple[int, Fact]]:
    """Yield the rows of an executor's table of events as facts, each with its id.

    Raises:
        UnusableImport: it has no such table, or one that lacks what is needed.
        sqlite3.Error: it can't be read.
    """
    columns = _columns(connection, EVENTS_TABLE)
    if missing := [column for column in _NEEDED if column not in columns]:
        what = f"no table {EVENTS_TABLE}" if not columns else f"no column {missing[0]} in {EVENTS_TABLE}"
        raise UnusableImport(
            f"{name}: neither an export nor an executor's database: it has {what}; nothing was imported"
        )
    if "event_key" in columns and not which:
        raise UnusableImport(
            f"{name}: a database of tokentail's: `tokentail merge {quoted(name)}` takes it in; nothing was "
            "imported"
        )
    found = [column for column in _COLUMNS if column in columns]
    for values in connection.execute(
        f"SELECT {', '.join(found)} FROM {EVENTS_TABLE} {which} ORDER BY event_id"
    ):
        row: Row = dict.fromkeys(_COLUMNS) | dict(zip(found, values, strict=True))
        try:
            yield int(row["event_id"]), _fact(row)
        except (TypeError, ValueError) as error:
            raise UnusableImport(
                f"{name}: event_id {row['event_id']} can't be read ({error}); nothing was imported"
            ) from error


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}


def _fact(row: Row) -> Fact:
    """Return what a row of the executor's says.

    Raises:
        TypeError, ValueError: a number or the time can't be read.
    """
    count = int(row["deliverable_count"] or 0)
    paths = _paths(row["deliverables_json"])
    payload = payload_of(
        dict.fromkeys(LOGGED_COLUMNS)
        | row
        | {
            "predicted_output_tokens": int(row["predicted_output_tokens"]),
            "actual_output_tokens": int(row["actual_output_tokens"]),
            "actual_is_total": False,
            "deliverable_count": count,
        }
    )
    context = Context(
        _attributed(row["run_id"]),
        _attributed(row["phase_id"]),
        actual_max_tokens=row["actual_max_tokens"],
        deliverables=deliverables("imported", paths, len(paths) == count) if paths else None,
    )
    timestamp = time_text(moment_of(row["timestamp"]))
    own = tuple(row[name] for name in EXECUTORS_COLUMNS)
    return with_stem(Fact(payload, timestamp, row["timestamp"], context, own=own))


def _attributed(name: str | None) -> Attributed | None:
    return None if name in (None, "", UNKNOWN) else Attributed(str(name), "executor")


def _paths(text: str | None) -> tuple[str, ...]:
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return ()
    return tuple(map(str, found)) if isinstance(found, list) else ()


def own_escalations(connection: sqlite3.Connection, source_id: int) -> list[Said]:
    """Return the escalations that an executor wrote, each at the place of its row in a source."""
    columns = _columns(connection, writes.ESCALATIONS)
    if not columns.issuperset(_ESCALATION_NEEDED):
        return []
    names = [name for name in ESCALATION_COLUMNS if name in columns]
    found: list[Said] = []
    query = f"SELECT event_id, {', '.join(names)} FROM {writes.ESCALATIONS} ORDER BY event_id"
    for event_id, *values in connection.execute(query):
        row: Row = dict.fromkeys(ESCALATION_COLUMNS) | dict(zip(names, values, strict=True))
        row |= {
            "run_id": row["run_id"] or UNKNOWN,
            "timestamp_text": row["timestamp"],
            "timestamp": time_text(moment_of(row["timestamp"])),
            "reason": row["reason"] or "",
            "was_truncated": bool(row["was_truncated"]),
        }
        found.append((source_id, event_id, 0, row))
    return found


# An executor's own database that version 0.1.0 adopted: it goes on writing rows there


def import_own_rows(connection: sqlite3.Connection) -> None:
    """Import the rows that an executor has written into our tables since: those without a key."""
    writer = SourceWriter(connection)
    writer.begin()
    source_id = source_for(connection, EXECUTORS_ROWS)
    for event_id, fact in list(executors_facts(connection, "the database", "WHERE event_key IS NULL")):
        if _is_known(connection, source_id, fact):
            continue
        place, group = Place(source_id, event_id, 0), group_of(fact.stem)
        writes.set_event_key(connection, event_id, f"{group} ~{event_id}")
        writer.claim(place, event_id, group)
        writer.put([Placed(place, fact)])
    writer.finish()
    writes.count_places(connection, source_id)
    _key_escalations(connection)


def _key_escalations(connection: sqlite3.Connection) -> None:
    """Give the executor's own escalations their keys; an equal one that came from a log is replaced."""
    columns = ", ".join(ESCALATION_COLUMNS)
    query = (
        f"SELECT event_id, {columns} FROM {writes.ESCALATIONS} WHERE escalation_key IS NULL ORDER BY event_id"
    )
    for event_id, *values in connection.execute(query).fetchall():
        row: Row = dict(zip(ESCALATION_COLUMNS, values, strict=True))
        key = escalation_key(row | {"timestamp": time_text(moment_of(row["timestamp"]))})
        writes.give_escalation_key(connection, event_id, key)


def _is_known(connection: sqlite3.Connection, source_id: int, fact: Fact) -> bool:
    """Whether an earlier row of the executor is about the same call: its rows are never merged."""
    group = group_of(fact.stem)
    query = """
    SELECT 1 FROM event_sightings JOIN token_estimation_v2_events USING (event_id)
    WHERE source_id = ? AND event_key >= ? AND event_key < ? AND phase_id = ? LIMIT 1
    """
    values = [source_id, f"{group} ", f"{group}!", fact.phase or UNKNOWN]
    return connection.execute(query, values).fetchone() is not None
