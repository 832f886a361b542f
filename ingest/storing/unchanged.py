"""Files that are unchanged since they were read: all that an ingest loads that finds nothing new."""

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
