"""The retention cutoff: from when on events are kept. What is older is left out when it is read, and counted.

An event's time is a part of its identity, so the cutoff decides alike for a line in its log, in a copy and in
a rotation. It is a whole second, so that the precision of a prefix never matters. A reject has no time of its
own: it is pruned with the event line after it in its log, or with a log that was last changed before the
cutoff. Everything in this module happens inside a transaction of the caller's.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from datetime import UTC, datetime

from ingest.linking.timestamps import moment_of, time_text
from ingest.reading.batch import Batch, SeenEscalation, Sighting
from ingest.storing import writes

NOTHING_PRUNED = {"pruned_sightings": 0, "pruned_rejects": 0}
"""The columns of a source of which nothing was left out."""

_LAST_REJECTS = """
SELECT byte_offset FROM rejected_lines WHERE source_id = :source_id AND byte_offset > COALESCE(
    (SELECT MAX(byte_offset) FROM event_sightings WHERE source_id = :source_id AND byte_offset < :start), -1
)
"""
_OLD_REJECTS = """
SELECT source_id, byte_offset FROM rejected_lines AS reject WHERE (
    SELECT timestamp FROM event_sightings AS sighting JOIN token_estimation_v2_events USING (event_id)
    WHERE sighting.source_id = reject.source_id AND sighting.byte_offset > reject.byte_offset
    ORDER BY sighting.byte_offset LIMIT 1
) < :cutoff OR (
    SELECT modified_ns < :changed_ns FROM log_sources WHERE log_sources.source_id = reject.source_id
)
"""
_OLD_SIGHTINGS = """
SELECT COUNT(*), 0, source_id FROM token_estimation_v2_events JOIN event_sightings USING (event_id)
WHERE timestamp < ? GROUP BY source_id
"""


def cutoff_of(connection: sqlite3.Connection) -> str | None:
    """Return from when on events are kept, as the database writes times; `None`: all are."""
    row = connection.execute("SELECT kept_from FROM event_horizon").fetchone()
    return None if row is None else str(row[0])


def moved_cutoff(connection: sqlite3.Connection, moment: datetime) -> str:
    """Return where the cutoff is when it was moved to a moment (aware): never before where it is now."""
    return max(time_text(moment.replace(microsecond=0)), cutoff_of(connection) or "")


def move_cutoff(connection: sqlite3.Connection, moment: datetime) -> str:
    """Move the cutoff to a moment (aware), never back; return where it is then."""
    cutoff = moved_cutoff(connection, moment)
    writes.set_cutoff(connection, cutoff)
    return cutoff


def kept(sightings: list[Sighting], cutoff: str | None) -> list[Sighting]:
    """Return the sightings of events that are kept."""
    if cutoff is None:
        return sightings
    return [sighting for sighting in sightings if sighting.fact.timestamp >= cutoff]


def kept_escalations(escalations: list[SeenEscalation], cutoff: str | None) -> list[SeenEscalation]:
    """Return the escalations that are kept."""
    if cutoff is None:
        return escalations
    return [escalation for escalation in escalations if time_text(escalation.moment) >= cutoff]


def prune_batch(connection: sqlite3.Connection, batch: Batch, source_id: int, cutoff: str) -> int:
    """Count what a stored batch left out, and delete the rejects that belong to it; return how many lines."""
    sightings = batch.rows.sightings
    offsets = [sighting.offset for sighting in sightings]
    old = {sighting.offset for sighting in sightings if sighting.fact.timestamp < cutoff}
    changed = None if batch.file is None else datetime.fromtimestamp(batch.file.modified_ns / 1e9, UTC)
    if changed is not None and changed < moment_of(cutoff):
        query, values = "SELECT byte_offset FROM rejected_lines WHERE source_id = ?", [source_id]
        gone = [offset for (offset,) in connection.execute(query, values)]
    elif old:
        found = [
            offset
            for (offset,) in connection.execute(_LAST_REJECTS, {"source_id": source_id, "start": offsets[0]})
        ]
        following = [(offset, bisect_right(offsets, offset)) for offset in found]
        gone = [offset for offset, index in following if index < len(offsets) and offsets[index] in old]
    else:
        gone = []
    writes.delete_rejects_at(connection, [(source_id, offset) for offset in gone])
    if old or gone:
        writes.count_pruned(connection, [(len(old), len(gone), source_id)])
    return len(old) + len(gone)


def count_old(connection: sqlite3.Connection, cutoff: str) -> dict[str, int]:
    """Return how much of each there is that is older than a cutoff; nothing is changed."""
    return {"rejects": len(_old_rejects(connection, cutoff))} | writes.count_older(connection, cutoff)


def prune_stored(connection: sqlite3.Connection, cutoff: str) -> dict[str, int]:
    """Delete all that is older than the cutoff, and count each."""
    rejects = _old_rejects(connection, cutoff)
    writes.delete_rejects_at(connection, rejects)
    writes.count_pruned(connection, [(0, 1, source_id) for source_id, _ in rejects])
    writes.count_pruned(connection, connection.execute(_OLD_SIGHTINGS, [cutoff]).fetchall())
    return writes.delete_older(connection, cutoff) | {"rejects": len(rejects)}


def _old_rejects(connection: sqlite3.Connection, cutoff: str) -> list[tuple[int, int]]:
    """Return source and offset of the rejects that are older than a cutoff."""
    changed_ns = int(moment_of(cutoff).timestamp()) * 10**9
    return connection.execute(_OLD_REJECTS, {"cutoff": cutoff, "changed_ns": changed_ns}).fetchall()
