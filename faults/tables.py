"""The content of a database as values that can be compared, and what must be true of any database.

Left out is what two databases with the same content may differ in: numbers of rows, and times of
reading.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from faults.invariants import check_invariants, events, opened, rows, rows_as_stored

__all__ = ("check_invariants", "escalations", "events", "opened", "rows_as_stored", "tables")

_COUNTERS = (
    "byte_offset, unread_bytes, encoding, compression, timezone, marker_lines, sightings, rejects, "
    "legacy_lines, write_failures, skipped_events, long_lines, calls_without_telemetry"
)

Tables = dict[str, list[Any]]


def escalations(database: Path) -> list[dict[str, Any]]:
    """Return the escalations, in the order of their keys, without what is unstable."""
    return rows(database, "token_budget_escalation_events", "escalation_key")


def tables(database: Path, by: str = "path") -> Tables:
    """Return the whole content; sources are named by their `path`'s last part or `fingerprint`."""
    name = {"path": "replace(path, rtrim(path, replace(path, '/', '')), '')", "fingerprint": "fingerprint"}[
        by
    ]
    queries = {
        "sightings": f"SELECT {name}, byte_offset, line_number, event_key, phase_known "
        "FROM (SELECT source_id, event_id, s.byte_offset, line_number, phase_known, path, fingerprint "
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
