"""Find bookkeeping that somebody edited by hand: states that no run of ours leaves.

Each run checks what can be seen without reading all rows. A run that reads every log from its start first
deletes the rows that belong to no source or event, so that the result is that of a first reading. Events
stay, even those without a place: their log may be gone.
"""

from __future__ import annotations

import sqlite3

_ORPHANS = """
WITH RECURSIVE known (source_id) AS (
    SELECT MIN(source_id) FROM {table}
    UNION ALL SELECT (SELECT MIN(source_id) FROM {table} WHERE source_id > known.source_id)
    FROM known WHERE known.source_id IS NOT NULL
)
SELECT COUNT(*) FROM known
WHERE source_id IS NOT NULL AND source_id NOT IN (SELECT source_id FROM log_sources)
"""
"""Sources by the index alone, one seek for each."""

_COUNTED = """
SELECT COALESCE(SUM({name} - pruned_{name}), 0) - (SELECT COUNT(*) FROM {table}) FROM log_sources
"""
_BEYOND = """
SELECT (SELECT MAX(event_id) FROM event_sightings) > COALESCE(
    (SELECT MAX(event_id) FROM token_estimation_v2_events), 0
)
"""
_PLACES = {"sightings": "event_sightings", "rejects": "rejected_lines"}


def bookkeeping_trouble(connection: sqlite3.Connection) -> str | None:
    """Return what is inconsistent in a database; a quick check at the start of a run."""
    for name, table in _PLACES.items():
        (orphans,) = connection.execute(_ORPHANS.format(table=table)).fetchone()
        if orphans:
            return f"{table} names {orphans} sources that log_sources does not have"
        (surplus,) = connection.execute(_COUNTED.format(name=name, table=table)).fetchone()
        if surplus:
            more = "more" if surplus > 0 else "fewer"
            return f"log_sources counts {abs(surplus)} {name} {more} than there are rows in {table}"
    (beyond,) = connection.execute(_BEYOND).fetchone()
    return "event_sightings names events that token_estimation_v2_events does not have" if beyond else None
