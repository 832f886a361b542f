"""The content of a database as values that can be compared, and what must be true of any database.

Left out is what two databases with the same content may differ in: the ids of rows, and when they were
made.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

_UNSTABLE = {"event_id", "created_at"}
"""Columns in which two databases of the same logs may differ."""

_MUST_BE_NONE = {
    "marker lines are sightings and rejects": "SELECT path FROM log_sources "
    "WHERE marker_lines <> sightings + rejects",
    "sightings are counted": "SELECT path FROM log_sources AS source WHERE sightings - pruned_sightings <> "
    "(SELECT COUNT(*) FROM event_sightings AS s WHERE s.source_id = source.source_id)",
    "rejects are counted": "SELECT path FROM log_sources AS source WHERE rejects - pruned_rejects <> "
    "(SELECT COUNT(*) FROM rejected_lines AS r WHERE r.source_id = source.source_id)",
    "every event was seen": "SELECT event_id FROM token_estimation_v2_events "
    "WHERE event_id NOT IN (SELECT event_id FROM event_sightings)",
    "every sighting has an event": "SELECT byte_offset FROM event_sightings "
    "WHERE event_id NOT IN (SELECT event_id FROM token_estimation_v2_events)",
    "every sighting has a source": "SELECT byte_offset FROM event_sightings "
    "WHERE source_id NOT IN (SELECT source_id FROM log_sources)",
    "a place is seen or rejected": "SELECT byte_offset FROM event_sightings "
    "JOIN rejected_lines USING (source_id, byte_offset)",
}

_COUNTERS = (
    "byte_offset, unread_bytes, encoding, compression, timezone, marker_lines, sightings, rejects, "
    "legacy_lines, write_failures, skipped_events, long_lines, calls_without_telemetry, quoted_lines, "
    "unread_lines"
)

Tables = dict[str, list[Any]]


@contextmanager
def opened(database: Path) -> Iterator[sqlite3.Connection]:
    """Open a database for reading rows by name."""
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        yield connection


def rows(database: Path, table: str, key: str) -> list[dict[str, Any]]:
    """Return a table's rows in the order of a key, without what is unstable."""
    with opened(database) as connection:
        found = connection.execute(f"SELECT * FROM {table} ORDER BY {key}").fetchall()
    return [{name: row[name] for name in row.keys() if name not in _UNSTABLE} for row in found]  # noqa: SIM118


def events(database: Path) -> list[dict[str, Any]]:
    """Return the events, in the order of their keys, without what is unstable."""
    return rows(database, "token_estimation_v2_events", "event_key")


def escalations(database: Path) -> list[dict[str, Any]]:
    """Return the escalations, in the order of their keys, without what is unstable."""
    return rows(database, "token_budget_escalation_events", "escalation_key")


def tables(database: Path) -> Tables:
    """Return the whole content; a source is named by its file's name, without the folder."""
    name = "replace(path, rtrim(path, replace(path, '/', '')), '')"
    queries = {
        "sightings": f"SELECT {name}, byte_offset, line_number, event_key, phase_known "
        "FROM (SELECT source_id, event_id, s.byte_offset, line_number, phase_known, path "
        "FROM event_sightings AS s JOIN log_sources USING (source_id)) "
        "JOIN token_estimation_v2_events USING (event_id)",
        "rejects": f"SELECT {name}, r.byte_offset, line_number, reason, line "
        "FROM rejected_lines AS r JOIN log_sources USING (source_id)",
        "sources": f"SELECT {name}, {_COUNTERS} FROM log_sources WHERE state <> 'replaced'",
    }
    found: Tables = {"events": events(database), "escalations": escalations(database)}
    with opened(database) as connection:
        for table, query in queries.items():
            found[table] = sorted((tuple(row) for row in connection.execute(query)), key=repr)
    return found


def rows_as_stored(database: Path) -> dict[str, list[Any]]:
    """Return the rows that a run which finds nothing new may not change, ids and times included."""
    stored: dict[str, list[Any]] = {}
    with opened(database) as connection:
        for table in ("token_estimation_v2_events", "event_sightings", "rejected_lines"):
            stored[table] = [
                tuple(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3")
            ]
    return stored


def check_invariants(database: Path) -> None:
    """Assert what is true of every database at any time."""
    with opened(database) as connection:
        assert [tuple(row) for row in connection.execute("PRAGMA integrity_check")] == [("ok",)]
        columns = {row[1] for row in connection.execute("PRAGMA table_info(log_sources)")}
        for rule, asked in _MUST_BE_NONE.items():
            query = asked
            if "pruned_sightings" not in columns:  # an older version's database
                query = asked.replace(" - pruned_sightings", "").replace(" - pruned_rejects", "")
            assert [tuple(row) for row in connection.execute(query)] == [], rule
