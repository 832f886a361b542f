"""The horizon: from when on events are kept. What is older is left out whenever it is read, and counted.

An event's time is a part of its identity, so one moment tells of every line on which side it is: in its
log, in a copy, in a rotation. It is a whole second, so that the precision of a prefix never matters. A
reject has no time of its own: it goes with the event line behind it in its log, or with a log that was
changed last before the horizon.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from datetime import UTC, datetime

from ingest.linking.timestamps import moment_of, time_text
from ingest.reading.batch import Batch, SeenEscalation, Sighting


def horizon_of(connection: sqlite3.Connection) -> str | None:
    """Return from when on events are kept, as the database writes times; `None`: from ever."""
    row = connection.execute("SELECT kept_from FROM event_horizon").fetchone()
    return None if row is None else str(row[0])


def moved_horizon(connection: sqlite3.Connection, moment: datetime) -> str:
    """Return where the horizon is when it was moved to a moment (aware): never before where it is now."""
    return max(time_text(moment.replace(microsecond=0)), horizon_of(connection) or "")


def set_horizon(connection: sqlite3.Connection, moment: datetime) -> str:
    """Move the horizon to a moment (aware), never back; return where it is then."""
    kept_from = moved_horizon(connection, moment)
    connection.execute("INSERT OR REPLACE INTO event_horizon (one, kept_from) VALUES (1, ?)", [kept_from])
    return kept_from


def kept(sightings: list[Sighting], horizon: str | None) -> list[Sighting]:
    """Return the sightings of events that are kept."""
    return sightings if horizon is None else [one for one in sightings if sighting_time(one) >= horizon]


def kept_escalations(seen: list[SeenEscalation], horizon: str | None) -> list[SeenEscalation]:
    """Return the escalations that are kept."""
    return seen if horizon is None else [one for one in seen if time_text(one.moment) >= horizon]


def sighting_time(one: Sighting) -> str:
    """Return when an event was logged, as the database writes times."""
    return one.fact.timestamp


_WITHOUT_PROVISIONAL = """
UPDATE log_sources SET
    pruned_sightings = pruned_sightings - sightings
        + COALESCE(json_extract(remembered, '$.counters.sightings'), 0) + (
        SELECT COUNT(*) FROM event_sightings AS one
        WHERE one.source_id = log_sources.source_id AND one.byte_offset >= log_sources.byte_offset
    ),
    pruned_rejects = pruned_rejects - rejects
        + COALESCE(json_extract(remembered, '$.counters.rejects'), 0) + (
        SELECT COUNT(*) FROM rejected_lines AS one
        WHERE one.source_id = log_sources.source_id AND one.byte_offset >= log_sources.byte_offset
    )
WHERE source_id = ?
"""
NOTHING_PRUNED = "UPDATE log_sources SET pruned_sightings = 0, pruned_rejects = 0 WHERE source_id = ?"
_COUNT = """
UPDATE log_sources SET pruned_sightings = pruned_sightings + ?, pruned_rejects = pruned_rejects + ?
WHERE source_id = ?
"""
_LAST_REJECTS = """
SELECT byte_offset FROM rejected_lines WHERE source_id = :source_id AND byte_offset > COALESCE(
    (SELECT MAX(byte_offset) FROM event_sightings WHERE source_id = :source_id AND byte_offset < :start), -1
)
"""


def forget_provisional(connection: sqlite3.Connection, source_id: int) -> None:
    """Count an unfinished line that was left out no more: it is about to be read again."""
    connection.execute(_WITHOUT_PROVISIONAL, [source_id])


def prune_batch(connection: sqlite3.Connection, batch: Batch, source_id: int, horizon: str) -> int:
    """Count what a stored batch left out, and let the rejects go that belong to it; return how many lines."""
    sightings = batch.rows.sightings
    offsets = [one.offset for one in sightings]
    old = {one.offset for one in sightings if sighting_time(one) < horizon}
    changed = None if batch.file is None else datetime.fromtimestamp(batch.file.modified_ns / 1e9, UTC)
    if changed is not None and changed < moment_of(horizon):
        query, values = "SELECT byte_offset FROM rejected_lines WHERE source_id = ?", [source_id]
        gone = [offset for (offset,) in connection.execute(query, values)]
    elif old:
        found = [
            offset
            for (offset,) in connection.execute(_LAST_REJECTS, {"source_id": source_id, "start": offsets[0]})
        ]
        behind = [(offset, bisect_right(offsets, offset)) for offset in found]
        gone = [offset for offset, index in behind if index < len(offsets) and offsets[index] in old]
    else:
        gone = []
    connection.executemany(
        "DELETE FROM rejected_lines WHERE source_id = ? AND byte_offset = ?",
        [(source_id, offset) for offset in gone],
    )
    if old or gone:
        connection.execute(_COUNT, [len(old), len(gone), source_id])
    return len(old) + len(gone)


_OLD_REJECTS = """
SELECT source_id, byte_offset FROM rejected_lines AS reject WHERE (
    SELECT timestamp FROM event_sightings AS sighting JOIN token_estimation_v2_events USING (event_id)
    WHERE sighting.source_id = reject.source_id AND sighting.byte_offset > reject.byte_offset
    ORDER BY sighting.byte_offset LIMIT 1
) < :horizon OR (
    SELECT modified_ns < :changed_ns FROM log_sources WHERE log_sources.source_id = reject.source_id
)
"""
_COUNT_OLD = """
SELECT COUNT(*), 0, source_id FROM token_estimation_v2_events JOIN event_sightings USING (event_id)
WHERE timestamp < ? GROUP BY source_id
"""
_OLD_ROWS = {
    "escalation_places": "escalation_sightings WHERE event_id IN "
    "(SELECT event_id FROM token_budget_escalation_events WHERE timestamp < ?)",
    "sightings": "event_sightings WHERE event_id IN "
    "(SELECT event_id FROM token_estimation_v2_events WHERE timestamp < ?)",
    "events": "token_estimation_v2_events WHERE timestamp < ?",
    "escalations": "token_budget_escalation_events WHERE timestamp < ?",
}
"""What goes, in the order in which it can."""


def count_old(connection: sqlite3.Connection, horizon: str) -> dict[str, int]:
    """Return how much of each there is that is older than a horizon; nothing is changed."""
    counts = {"rejects": len(_old_rejects(connection, horizon))}
    for name, rows in _OLD_ROWS.items():
        (counts[name],) = connection.execute(f"SELECT COUNT(*) FROM {rows}", [horizon]).fetchone()
    return counts


def prune_stored(connection: sqlite3.Connection, horizon: str) -> dict[str, int]:
    """Take away all that is older than the horizon, inside the caller's transaction; count each."""
    rejects = _old_rejects(connection, horizon)
    connection.executemany("DELETE FROM rejected_lines WHERE source_id = ? AND byte_offset = ?", rejects)
    connection.executemany(_COUNT, [(0, 1, source_id) for source_id, _ in rejects])
    connection.executemany(_COUNT, connection.execute(_COUNT_OLD, [horizon]).fetchall())
    gone = {
        name: connection.execute(f"DELETE FROM {rows}", [horizon]).rowcount
        for name, rows in _OLD_ROWS.items()
    }
    return gone | {"rejects": len(rejects)}


def _old_rejects(connection: sqlite3.Connection, horizon: str) -> list[tuple[int, int]]:
    """Return source and offset of the rejects that are older than a horizon."""
    changed_ns = int(moment_of(horizon).timestamp()) * 10**9
    return connection.execute(_OLD_REJECTS, {"horizon": horizon, "changed_ns": changed_ns}).fetchall()
