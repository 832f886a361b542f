"""Every statement that writes to our tables, apart from those of migrations.

Each function is called inside a transaction of the caller's; that of a batch is begun and committed by
`ingest.storing.store`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ingest.storing.database import EVENTS_TABLE as EVENTS

ESCALATIONS = "token_budget_escalation_events"

Row = Mapping[str, Any]
"""Values by the names of their columns."""

Ids = Iterable[int]
Places = Iterable[tuple[int, int]]
"""Sources and byte offsets."""

Values = Sequence[object]


def _insert(table: str, columns: Iterable[str], how: str = "INSERT") -> str:
    names = list(columns)
    return f"{how} INTO {table} ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})"


def _update(table: str, columns: Iterable[str], which: str) -> str:
    return f"UPDATE {table} SET {', '.join(f'{name} = :{name}' for name in columns)} WHERE {which}"


def _for_each(connection: sqlite3.Connection, rows: Iterable[Row], made: Callable[[Row], str]) -> None:
    """Run the statement that is made for the columns of the first row, once for each."""
    rows = list(rows)
    if rows:
        connection.executemany(made(rows[0]), rows)


# Events

_FREE_KEY = f"UPDATE {EVENTS} SET event_key = '~' || event_id WHERE event_id = ?"
_SET_KEY = f"UPDATE {EVENTS} SET event_key = ? WHERE event_id = ?"
_DELETE_EVENT = f"DELETE FROM {EVENTS} WHERE event_id = ?"


def insert_events(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Insert events, all with the same columns."""
    _for_each(connection, rows, lambda row: _insert(EVENTS, row))


def insert_staged_events(
    connection: sqlite3.Connection, expressions: Mapping[str, str], which: str, values: Row
) -> None:
    """Insert events from the tables `which` names, each column by its expression."""
    columns, sources = ", ".join(expressions), ", ".join(expressions.values())
    connection.execute(f"INSERT INTO {EVENTS} ({columns}) SELECT {sources} {which}", values)


def update_events(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Update columns of events, the same of all."""
    _for_each(connection, rows, lambda row: _update(EVENTS, row, "event_id = :event_id"))


def free_keys(connection: sqlite3.Connection, event_ids: Ids) -> None:
    """Give events placeholder keys, so that other events can get their keys first."""
    connection.executemany(_FREE_KEY, [(event_id,) for event_id in event_ids])


def set_event_key(connection: sqlite3.Connection, event_id: int, key: str) -> None:
    """Give an event a key."""
    connection.execute(_SET_KEY, [key, event_id])


def delete_events(connection: sqlite3.Connection, event_ids: Ids) -> None:
    """Delete events."""
    connection.executemany(_DELETE_EVENT, [(event_id,) for event_id in event_ids])


def delete_events_of(connection: sqlite3.Connection, query: str) -> int:
    """Delete the events whose ids a query returns; return how many they were."""
    return connection.execute(f"DELETE FROM {EVENTS} WHERE event_id IN ({query})").rowcount


# Sightings

_SIGHTING = "event_id, source_id, byte_offset, line_number, phase_known, line_cut, own_values"
_INSERT_SIGHTING = f"INSERT INTO event_sightings ({_SIGHTING}) VALUES (?, ?, ?, ?, ?, ?, ?)"
_DELETE_SIGHTINGS = "DELETE FROM event_sightings WHERE source_id = ? AND byte_offset >= ?"
_DELETE_SIGHTING = "DELETE FROM event_sightings WHERE source_id = ? AND byte_offset = ?"


def insert_sightings(connection: sqlite3.Connection, rows: Iterable[Values]) -> None:
    """Insert sightings: event, source, offset, line number, phase known, line cut, own values."""
    connection.executemany(_INSERT_SIGHTING, rows)


def insert_staged_sightings(
    connection: sqlite3.Connection, columns: str, which: str, values: Iterable[Row]
) -> None:
    """Insert sightings from the table `which` names, once for each of the values."""
    connection.executemany(f"INSERT INTO event_sightings ({_SIGHTING}) SELECT {columns} {which}", values)


def move_sightings(connection: sqlite3.Connection, moves: str) -> None:
    """Move sightings to other events, and update their own values, by a table `moves`.

    Its columns are `event_id`, `own_values`, `new_id`, `new_values`.
    """
    same = "moved.event_id = event_sightings.event_id AND moved.own_values IS event_sightings.own_values"
    connection.execute(
        "UPDATE event_sightings SET (event_id, own_values) = "
        f"(SELECT new_id, new_values FROM {moves} AS moved WHERE {same}) "
        f"WHERE event_id IN (SELECT event_id FROM {moves}) "
        f"AND EXISTS (SELECT 1 FROM {moves} AS moved WHERE {same})"
    )


def delete_sightings(connection: sqlite3.Connection, source_id: int, offset: int) -> int:
    """Delete the sightings of a source from an offset on; return how many they were."""
    return connection.execute(_DELETE_SIGHTINGS, [source_id, offset]).rowcount


def delete_sighting(connection: sqlite3.Connection, source_id: int, offset: int) -> None:
    """Delete one sighting."""
    connection.execute(_DELETE_SIGHTING, [source_id, offset])


# Rejects

_REJECT = "source_id, byte_offset, line_number, reason, line"
_INSERT_REJECT = f"INSERT INTO rejected_lines ({_REJECT}) VALUES (?, ?, ?, ?, ?)"
_DELETE_REJECTS = "DELETE FROM rejected_lines WHERE source_id = ? AND byte_offset >= ?"
_DELETE_REJECT = "DELETE FROM rejected_lines WHERE source_id = ? AND byte_offset = ?"


def insert_rejects(connection: sqlite3.Connection, rows: Iterable[Values]) -> None:
    """Insert rejects: source, offset, line number, reason, line."""
    connection.executemany(_INSERT_REJECT, rows)


def delete_rejects(connection: sqlite3.Connection, source_id: int, offset: int) -> None:
    """Delete the rejects of a source from an offset on."""
    connection.execute(_DELETE_REJECTS, [source_id, offset])


def delete_rejects_at(connection: sqlite3.Connection, places: Places) -> None:
    """Delete the rejects at some places."""
    connection.executemany(_DELETE_REJECT, places)


# Escalations

_NOT_EXECUTORS = "timestamp_text IS NOT NULL"
"""A row that an executor wrote itself, into a database that was adopted, stays as it is."""
_DELETE_ESCALATION = f"DELETE FROM {ESCALATIONS} WHERE event_id = ? AND {_NOT_EXECUTORS}"
_PLACE_ESCALATION = """
INSERT OR REPLACE INTO escalation_sightings (event_id, source_id, byte_offset, line_number, own_values)
VALUES (?, ?, ?, ?, ?)
"""
_SET_OWN_VALUES = "UPDATE escalation_sightings SET own_values = ? WHERE source_id = ? AND byte_offset = ?"
_DELETE_ESCALATION_PLACES = "DELETE FROM escalation_sightings WHERE source_id = ? AND byte_offset >= ?"
_REPLACE_KEY = (
    f"""
    UPDATE escalation_sightings SET event_id = :event_id, own_values = NULL
    WHERE event_id IN (SELECT event_id FROM {ESCALATIONS} WHERE escalation_key = :key AND {_NOT_EXECUTORS})
    """,
    f"DELETE FROM {ESCALATIONS} WHERE escalation_key = :key AND {_NOT_EXECUTORS}",
    f"UPDATE OR IGNORE {ESCALATIONS} SET escalation_key = :key WHERE event_id = :event_id",
)


def insert_escalation(connection: sqlite3.Connection, row: Row) -> int:
    """Insert an escalation; return its id."""
    return connection.execute(_insert(ESCALATIONS, row), row).lastrowid or 0


def insert_unknown_escalations(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Insert the escalations whose keys are not known yet."""
    _for_each(connection, rows, lambda row: _insert(ESCALATIONS, row, "INSERT OR IGNORE"))


def update_escalation(connection: sqlite3.Connection, row: Row) -> None:
    """Write columns of an escalation anew, unless an executor wrote it itself."""
    which = f"event_id = :event_id AND {_NOT_EXECUTORS}"
    connection.execute(_update(ESCALATIONS, row, which), row)


def delete_escalation(connection: sqlite3.Connection, event_id: int | None) -> None:
    """Delete an escalation, unless an executor wrote it itself."""
    connection.execute(_DELETE_ESCALATION, [event_id])


def put_escalation_places(connection: sqlite3.Connection, rows: Iterable[Values]) -> None:
    """Put places of escalations: escalation, source, offset, line number, own values."""
    connection.executemany(_PLACE_ESCALATION, rows)


def set_escalation_values(connection: sqlite3.Connection, rows: Iterable[Values]) -> None:
    """Write what places of escalations say themselves: own values, source, offset."""
    connection.executemany(_SET_OWN_VALUES, rows)


def delete_escalation_places(connection: sqlite3.Connection, source_id: int, offset: int) -> None:
    """Delete the places of escalations in a source from an offset on."""
    connection.execute(_DELETE_ESCALATION_PLACES, [source_id, offset])


def give_escalation_key(connection: sqlite3.Connection, event_id: int, key: str) -> None:
    """Give an executor's own escalation its key; one of ours that had it is deleted, and its places moved."""
    for statement in _REPLACE_KEY:
        connection.execute(statement, {"key": key, "event_id": event_id})


# Declared deliverables

_DECLARE = "INSERT OR REPLACE INTO phase_deliverables VALUES (?, ?, ?, ?, ?)"
_DELETE_DECLARED = "DELETE FROM phase_deliverables WHERE source_id = ?"


def insert_declared(connection: sqlite3.Connection, rows: Iterable[Values]) -> None:
    """Insert declared deliverables: source, run, phase, paths as JSON, complete."""
    connection.executemany(_DECLARE, rows)


def delete_declared(connection: sqlite3.Connection, source_id: int) -> None:
    """Delete what a source declares."""
    connection.execute(_DELETE_DECLARED, [source_id])


# Sources

_COUNT_PLACES = """
UPDATE log_sources SET (marker_lines, sightings) = (
    SELECT COUNT(*) + pruned_sightings, COUNT(*) + pruned_sightings FROM event_sightings
    WHERE event_sightings.source_id = log_sources.source_id
) WHERE source_id = ?
"""
_SHIFT_REJECTS = (
    """
    UPDATE log_sources SET sightings = sightings + :count, rejects = rejects - :count,
        pruned_sightings = pruned_sightings + :pruned
    WHERE source_id = :source_id
    """,
    """
    UPDATE log_sources SET remembered = json_patch(remembered, json_object('counters', json_object(
        'sightings', COALESCE(json_extract(remembered, '$.counters.sightings'), 0) + :remembered,
        'rejects', COALESCE(json_extract(remembered, '$.counters.rejects'), 0) - :remembered
    )))
    WHERE source_id = :source_id
    """,
)
_COUNT_PRUNED = """
UPDATE log_sources SET pruned_sightings = pruned_sightings + ?, pruned_rejects = pruned_rejects + ?
WHERE source_id = ?
"""
_UNCOUNT_PROVISIONAL = """
UPDATE log_sources SET
    pruned_sightings = pruned_sightings - sightings
        + COALESCE(json_extract(remembered, '$.counters.sightings'), 0) + (
        SELECT COUNT(*) FROM event_sightings AS place
        WHERE place.source_id = log_sources.source_id AND place.byte_offset >= log_sources.byte_offset
    ),
    pruned_rejects = pruned_rejects - rejects
        + COALESCE(json_extract(remembered, '$.counters.rejects'), 0) + (
        SELECT COUNT(*) FROM rejected_lines AS place
        WHERE place.source_id = log_sources.source_id AND place.byte_offset >= log_sources.byte_offset
    )
WHERE source_id = ?
"""
_DELETE_SOURCE = "DELETE FROM log_sources WHERE source_id = ?"


def insert_source(connection: sqlite3.Connection, row: Row) -> int:
    """Insert a source; return its id."""
    made = connection.execute(_insert("log_sources", row), row)
    assert made.lastrowid is not None  # noqa: S101 - for the type checker: an insert has one
    return made.lastrowid


def update_source(connection: sqlite3.Connection, source_id: int, row: Row, was: int | None = None) -> bool:
    """Write columns of a source anew, if its checkpoint is where it `was`; return whether it is."""
    which = "source_id = :source_id" if was is None else "source_id = :source_id AND byte_offset = :was"
    values = {**row, "source_id": source_id, "was": was}
    return connection.execute(_update("log_sources", row, which), values).rowcount == 1


def count_places(connection: sqlite3.Connection, source_id: int) -> None:
    """Count the sightings of a source that is no log, pruned ones included."""
    connection.execute(_COUNT_PLACES, [source_id])


def shift_rejects(
    connection: sqlite3.Connection, source_id: int, count: int, remembered: int, pruned: int
) -> None:
    """Count rejects as the sightings that they became, `remembered` of them in the checkpoint as well."""
    values = {"source_id": source_id, "count": count, "remembered": remembered, "pruned": pruned}
    for statement in _SHIFT_REJECTS:
        connection.execute(statement, values)


def count_pruned(connection: sqlite3.Connection, rows: Iterable[Values]) -> None:
    """Count what was left out: sightings, rejects, source."""
    connection.executemany(_COUNT_PRUNED, rows)


def uncount_provisional(connection: sqlite3.Connection, source_id: int) -> None:
    """Stop counting an unfinished line as pruned."""
    connection.execute(_UNCOUNT_PROVISIONAL, [source_id])


def delete_source(connection: sqlite3.Connection, source_id: int) -> None:
    """Delete a source, of which nothing is left."""
    connection.execute(_DELETE_SOURCE, [source_id])


# What is older than a cutoff, and what belongs to nothing

_OLDER = {
    "escalation_places": "escalation_sightings WHERE event_id IN "
    f"(SELECT event_id FROM {ESCALATIONS} WHERE timestamp < ?)",
    "sightings": f"event_sightings WHERE event_id IN (SELECT event_id FROM {EVENTS} WHERE timestamp < ?)",
    "events": f"{EVENTS} WHERE timestamp < ?",
    "escalations": f"{ESCALATIONS} WHERE timestamp < ?",
}
"""In the order in which they can go."""
_OF_NO_SOURCE = "source_id NOT IN (SELECT source_id FROM log_sources)"
_MENDING = (
    f"DELETE FROM event_sightings WHERE {_OF_NO_SOURCE} OR event_id NOT IN (SELECT event_id FROM {EVENTS})",
    f"DELETE FROM rejected_lines WHERE {_OF_NO_SOURCE}",
    f"DELETE FROM escalation_sightings WHERE {_OF_NO_SOURCE}",
    f"DELETE FROM phase_deliverables WHERE {_OF_NO_SOURCE}",
    """
    UPDATE log_sources SET
        sightings = pruned_sightings
            + (SELECT COUNT(*) FROM event_sightings AS place WHERE place.source_id = log_sources.source_id),
        rejects = pruned_rejects
            + (SELECT COUNT(*) FROM rejected_lines AS place WHERE place.source_id = log_sources.source_id)
    """,
    "UPDATE log_sources SET marker_lines = sightings + rejects WHERE marker_lines <> sightings + rejects",
)


def count_older(connection: sqlite3.Connection, cutoff: str) -> dict[str, int]:
    """Return how much of each there is that `delete_older` would delete."""
    return {
        name: int(connection.execute(f"SELECT COUNT(*) FROM {which}", [cutoff]).fetchone()[0])
        for name, which in _OLDER.items()
    }


def delete_older(connection: sqlite3.Connection, cutoff: str) -> dict[str, int]:
    """Delete all that is older than a cutoff, but rejects; return how much of each."""
    return {
        name: connection.execute(f"DELETE FROM {which}", [cutoff]).rowcount for name, which in _OLDER.items()
    }


def set_cutoff(connection: sqlite3.Connection, cutoff: str) -> None:
    """Store the retention cutoff."""
    connection.execute("INSERT OR REPLACE INTO event_horizon (one, kept_from) VALUES (1, ?)", [cutoff])


def clear_cutoff(connection: sqlite3.Connection) -> None:
    """Remove the retention cutoff: events of any time are kept."""
    connection.execute("DELETE FROM event_horizon")


def mend_bookkeeping(connection: sqlite3.Connection) -> None:
    """Delete rows that belong to no source or event, and count the rest anew."""
    for statement in _MENDING:
        connection.execute(statement)


# Runs, and problems that last

_PUT_PROBLEM = (
    "INSERT INTO log_problems VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (path, code) DO UPDATE SET text = excluded.text, last_seen = excluded.last_seen"
)


def insert_run(connection: sqlite3.Connection, row: Row) -> int:
    """Insert an ingest run; return its id."""
    return connection.execute(_insert("ingest_runs", row), row).lastrowid or 0


def update_run(connection: sqlite3.Connection, run_id: int, row: Row) -> None:
    """Write columns of an ingest run anew."""
    statement = _update("ingest_runs", row, "ingest_run_id = :ingest_run_id")
    connection.execute(statement, {**row, "ingest_run_id": run_id})


def put_problems(connection: sqlite3.Connection, rows: Iterable[Values]) -> None:
    """Put problems: path, code, text, when first and last seen."""
    connection.executemany(_PUT_PROBLEM, rows)


def delete_problems(connection: sqlite3.Connection, keys: Iterable[Values]) -> None:
    """Delete problems by code and path."""
    connection.executemany("DELETE FROM log_problems WHERE code = ? AND path = ?", keys)
