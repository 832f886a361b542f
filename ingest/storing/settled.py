"""Sources of which nothing is new as long as their files look as they did: all that an idle ingest loads."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

Settled = tuple[str, int | None, int | None, int, int | None]
"""Path, device, inode, size and time of change, as they were looked up last."""

_UNSURE: Settled = ("", None, None, 0, None)

_QUERY = """
SELECT path, device, inode, size_bytes,
    CASE WHEN state IN ('complete', 'unterminated') AND ending IS NULL AND ({met}) THEN modified_ns END
FROM log_sources
WHERE path <> '-' AND state NOT IN ('replaced', 'imported') AND host IS NULL
"""


def has_own_rows(connection: sqlite3.Connection) -> bool:
    """Whether an executor wrote rows, into a database of its own, that are no event of a log yet."""
    query = "SELECT 1 FROM token_estimation_v2_events WHERE event_key IS NULL LIMIT 1"
    return connection.execute(query).fetchone() is not None


def settled_sources(
    connection: sqlite3.Connection, finished: bool, zones: Collection[str] | None
) -> dict[str, Settled]:
    """Return what was looked up of each source by its path.

    A file that is the same at the same path was read wholly, needs no second look and no word: it is
    the path's only source, was not written too lately for its time to tell, was read in one of the
    `zones` (`None`: in whichever), and, where logs are `finished`, has no line left unread. What of
    this a source isn't is looked up as no file can be.
    """
    met = ["unread_bytes = 0" if finished else "1"]
    if zones is not None:
        met.append(f"timezone IN ({', '.join('?' * len(zones))})")
    rows = connection.execute(_QUERY.format(met=" AND ".join(met)), list(zones or ())).fetchall()
    known: dict[str, Settled] = {row[0]: row for row in rows}
    if len(known) < len(rows):
        known |= {row[0]: _UNSURE for row in rows if known[row[0]] is not row}
    return known
