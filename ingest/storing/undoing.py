"""What was stored, taken away again; all of it inside a caller's transaction."""

from __future__ import annotations

import sqlite3

from ingest.storing.executors_rows import release


def forget_source(connection: sqlite3.Connection, source_id: int) -> int:
    """Take a source away inside the caller's transaction; return how many events went with it."""
    gone = drop_unseen(connection, take_back(connection, source_id))
    connection.execute("DELETE FROM log_sources WHERE source_id = ?", [source_id])
    return gone


def take_back(connection: sqlite3.Connection, source_id: int, offset: int = 0) -> list[tuple[int]]:
    """Undo what was stored of a source from an offset on; return the ids of the events seen there."""
    where = "WHERE source_id = ? AND byte_offset >= ?"
    events = connection.execute(
        f"SELECT DISTINCT event_id FROM event_sightings {where}", [source_id, offset]
    ).fetchall()
    connection.execute(f"DELETE FROM event_sightings {where}", [source_id, offset])
    connection.execute(f"DELETE FROM rejected_lines {where}", [source_id, offset])
    return events


def drop_unseen(connection: sqlite3.Connection, events: list[tuple[int]]) -> int:
    """Delete those of some events that no place has any more; return how many they were."""
    deleted = connection.executemany(
        "DELETE FROM token_estimation_v2_events WHERE event_id = ?1 "
        "AND NOT EXISTS (SELECT 1 FROM event_sightings WHERE event_id = ?1) "
        "AND json_extract(context_parts, '$.adopted') IS NULL",
        events,
    )
    release(connection, events)
    return max(0, deleted.rowcount)
