"""What each ingest asks its database first: all that one loads that finds nothing new.

Which files are unchanged since they were read; whether an executor wrote rows of its own; and whether
somebody edited the bookkeeping by hand, as far as that shows without reading all rows. A run that reads every
log from its start first deletes the rows that belong to no source or event, so that the result is that of a
first reading. Events stay, even those without a place: their log may be gone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

SeenFile = tuple[str, int | None, int | None, int, int | None]
"""Path, device, inode, size and modification time, as they were when the file was looked at last."""

_AMBIGUOUS: SeenFile = ("", None, None, 0, None)

_QUERY = """
SELECT path, device, inode, size_bytes,
    CASE WHEN state IN ('complete', 'unterminated') AND ending IS NULL AND ({conditions}) THEN modified_ns END
FROM log_sources
WHERE path <> '-' AND state NOT IN ('replaced', 'imported') AND host IS NULL
"""


def has_own_rows(connection: sqlite3.Connection) -> bool:
    """Whether an executor has written rows into this database (an adopted one) that were not imported yet."""
    query = "SELECT 1 FROM token_estimation_v2_events WHERE event_key IS NULL LIMIT 1"
    return connection.execute(query).fetchone() is not None


def seen_files(
    connection: sqlite3.Connection, finished: bool, zones: Collection[str] | None
) -> dict[str, SeenFile]:
    """Return for each path the file that was read there.

    A file that still has these values is unchanged, and need not be opened. A path gets values that no file
    can have, so that its file is looked at, if it has several sources, if its file was written too shortly
    before it was read for its time to show a change, if it was read in none of the `zones` (`None`: any will
    do), or if logs are `finished` and its last line was not read.
    """
    conditions = ["unread_bytes = 0" if finished else "1"]
    if zones is not None:
        conditions.append(f"timezone IN ({', '.join('?' * len(zones))})")
    rows = connection.execute(
        _QUERY.format(conditions=" AND ".join(conditions)), list(zones or ())
    ).fetchall()
    known: dict[str, SeenFile] = {row[0]: row for row in rows}
    if len(known) < len(rows):
        known |= {row[0]: _AMBIGUOUS for row in rows if known[row[0]] is not row}
    return known


# Bookkeeping that was edited by hand: states that no run of ours leaves

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
    """Return what is inconsistent in the bookkeeping of a database, if anything is."""
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
