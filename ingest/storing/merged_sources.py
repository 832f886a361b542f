"""Merge the sources of another database into ours: find which of ours each is, and copy what it holds.

Two sources are the same if the shorter reading equals the beginning of the longer one, and both were read at
the same path or from the same file. The longer reading is kept, with all its places. Everything in this
module happens inside a transaction of the caller's.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from ingest.identity import DIGEST_LENGTH
from ingest.reading.batch import Sighting
from ingest.reading.zone import LOCAL, is_same_zone
from ingest.storing import writes
from ingest.storing.escalations import Said, keep_placeless
from ingest.storing.rows import ESCALATION_COLUMNS, READ_COLUMNS, Row, fact_of, fact_of_row
from ingest.storing.schema import own_columns
from ingest.storing.sources import IMPORTED, REPLACED
from ingest.storing.store import SourceWriter, StoreResult

_MARKERS = f"""
SELECT byte_offset, SUBSTR(event_key, 1,
    LENGTH(SUBSTR(timestamp, 1, 19) || predicted_output_tokens || actual_output_tokens) + 3 + {DIGEST_LENGTH})
FROM event_sightings JOIN token_estimation_v2_events USING (event_id)
WHERE source_id = :source_id AND byte_offset < :end_offset
UNION ALL
SELECT byte_offset, NULL FROM rejected_lines WHERE source_id = :source_id AND byte_offset < :end_offset
ORDER BY byte_offset
"""
_CANDIDATES = """
WHERE path = :path OR (device = :device AND inode = :inode)
    OR (state = 'imported' AND fingerprint = :fingerprint)
ORDER BY path <> :path, source_id
"""
_TWO_TIMES = """
SELECT their_place.source_id AS source_id, our_place.source_id AS our_id,
    COUNT(DISTINCT theirs.event_id) AS events,
    MIN(ABS(STRFTIME('%s', theirs.timestamp) - STRFTIME('%s', ours.timestamp))) AS least_seconds,
    MAX(ABS(STRFTIME('%s', theirs.timestamp) - STRFTIME('%s', ours.timestamp))) AS most_seconds
FROM event_sightings AS their_place
JOIN token_estimation_v2_events AS theirs ON theirs.event_id = their_place.event_id
JOIN token_estimation_v2_events AS ours ON ours.timestamp_text = theirs.timestamp_text
    AND ours.timestamp <> theirs.timestamp
    AND ours.predicted_output_tokens = theirs.predicted_output_tokens
    AND ours.actual_output_tokens = theirs.actual_output_tokens
    AND (ours.category, ours.complexity, ours.model) IS (theirs.category, theirs.complexity, theirs.model)
JOIN event_sightings AS our_place ON our_place.event_id = ours.event_id
WHERE their_place.source_id IN (SELECT value FROM JSON_EACH(:their_ids))
    AND our_place.source_id NOT IN (SELECT value FROM JSON_EACH(:their_ids))
GROUP BY their_place.source_id, our_place.source_id
ORDER BY their_place.source_id, events DESC, our_place.source_id
"""
_HOST = "SELECT host FROM ingest_runs ORDER BY ingest_run_id DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class Match:
    """The source of ours that equals one of another database; `is_copied`: their reading of it is kept."""

    source_id: int
    is_copied: bool


def host_of(connection: sqlite3.Connection) -> str | None:
    """Return the machine on which a database was written last, if it says so."""
    row = connection.execute(_HOST).fetchone()
    return None if row is None else str(row[0])


def source_rows(connection: sqlite3.Connection, which: str, values: Row | None = None) -> list[Row]:
    """Return sources with all of our columns; `which` is what follows the name of their table."""
    columns = ", ".join(own_columns("log_sources"))
    cursor = connection.execute(f"SELECT {columns} FROM log_sources {which}", values or {})
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


class SourceMatcher:
    """Matches each source of another database with one of ours, or adds it to ours."""

    def __init__(self, ours: sqlite3.Connection, theirs: sqlite3.Connection, host: str) -> None:
        """Compare a database with ours, which is on the machine `host`."""
        self._ours = ours
        self._theirs = theirs
        self._our_host = host
        self._their_host = host_of(theirs)

    def match(self, row: Row) -> Match:
        """Find the source of ours that one of theirs is, or insert it; update its row."""
        theirs = {**row, "host": self._host(row)}
        for ours in source_rows(self._ours, _CANDIDATES, theirs):
            if self._is_same(ours, theirs):
                is_copied = _reach(theirs) > _reach(ours)
                self._write(ours["source_id"], ours, theirs, is_copied)
                return Match(ours["source_id"], is_copied)
        row = {name: value for name, value in theirs.items() if name != "source_id"}
        return Match(writes.insert_source(self._ours, row), is_copied=True)

    def _host(self, row: Row) -> str | None:
        """Return the machine on which a source was read; `None`: ours."""
        host = row["host"] or self._their_host
        return None if host == self._our_host else host

    def _write(self, source_id: int, ours: Row, theirs: Row, is_copied: bool) -> None:
        kept = theirs if is_copied else ours
        both = (ours, theirs)
        row = kept | {
            "source_id": source_id,
            "first_seen": min(row["first_seen"] for row in both),
            "last_seen": max(row["last_seen"] for row in both),
            "label": min((row["label"] for row in both if row["label"]), default=None),
            "host": None if None in (ours["host"], theirs["host"]) else kept["host"],
        }
        if row != ours:
            writes.update_source(self._ours, source_id, row)

    def _is_same(self, ours: Row, theirs: Row) -> bool:
        exact = ours["fingerprint_bytes"] == theirs["fingerprint_bytes"]
        if exact and ours["fingerprint"] != theirs["fingerprint"]:
            return False
        if IMPORTED in (ours["state"], theirs["state"]):
            return bool(ours["state"] == theirs["state"] and exact)
        if (
            ours["path"] == "-" and ours["first_seen"] != theirs["first_seen"]
        ):  # each pipe is a source of its own
            return False
        if any(ours[name] != theirs[name] for name in ("encoding", "prefix")):
            return False
        if not is_same_zone(ours["timezone"], theirs["timezone"]):
            return False
        tails = {ours["tail_fingerprint"], theirs["tail_fingerprint"]} - {None}
        if ours["byte_offset"] == theirs["byte_offset"] and len(tails) > 1:
            return False
        same_file = ours["device"] is not None and all(
            ours[name] == theirs[name] for name in ("device", "inode", "host")
        )
        compared = self._compared(ours, theirs)
        return compared is not None and (exact or same_file or compared > 0)

    def _compared(self, ours: Row, theirs: Row) -> int | None:
        """Count the marker lines that both readings have; `None` if they differ."""
        end_offset = min(ours["byte_offset"], theirs["byte_offset"])
        gaps = any(row["pruned_sightings"] + row["pruned_rejects"] for row in (ours, theirs))
        our_markers = self._markers(self._ours, ours["source_id"], end_offset)
        their_markers = self._markers(self._theirs, theirs["source_id"], end_offset)
        count, our, their = 0, next(our_markers, None), next(their_markers, None)
        while our is not None or their is not None:
            if our is not None and their is not None and our[0] == their[0]:
                if None not in (our[1], their[1]) and our[1] != their[1]:
                    return None
                count += 1
                our, their = next(our_markers, None), next(their_markers, None)
            elif not gaps:
                return None
            elif their is None or (our is not None and our[0] < their[0]):
                our = next(our_markers, None)
            else:
                their = next(their_markers, None)
        return count

    @staticmethod
    def _markers(
        connection: sqlite3.Connection, source_id: int, end_offset: int
    ) -> Iterator[tuple[int, str | None]]:
        return connection.execute(_MARKERS, {"source_id": source_id, "end_offset": end_offset})


@dataclass(frozen=True, slots=True)
class TwoTimes:
    """A source from another database, and one of ours that has the same events at other times."""

    theirs: Row
    ours: Row
    events: int
    least_seconds: int
    most_seconds: int


def read_in_two_zones(connection: sqlite3.Connection, brought: Collection[int]) -> Iterator[TwoTimes]:
    """Yield each source that came from another database and whose events ours has, read in another zone.

    Each comes once, with the source of ours that has most of its events.
    """
    rows = {row["source_id"]: row for row in source_rows(connection, "")}
    zones = {row["timezone"] for source_id, row in rows.items() if source_id not in brought}
    doubted = [
        source_id
        for source_id in brought
        if any(_may_differ(rows[source_id]["timezone"], zone) for zone in zones)
    ]
    yielded: set[int] = set()
    query = (_TWO_TIMES, {"their_ids": json.dumps(doubted)})
    for their_id, our_id, events, least, most in connection.execute(*query) if doubted else ():
        theirs, ours = rows[their_id], rows[our_id]
        if their_id not in yielded and _may_differ(theirs["timezone"], ours["timezone"]):
            yielded.add(their_id)
            yield TwoTimes(theirs, ours, events, least, most)


def _may_differ(zone: str, other: str) -> bool:
    return LOCAL in (zone, other) or not is_same_zone(zone, other)


def _reach(row: Row) -> tuple[object, ...]:
    """Return a sort key: greater is the longer reading, then the one with more events, then the later one."""
    return (
        row["byte_offset"],
        row["marker_lines"],
        row["sightings"],
        row["state"] == REPLACED,
        row["last_seen"],
    )


# What they hold

BATCH = 5_000
"""Sightings that are added at once."""

_FACTS = f"""
SELECT byte_offset, line_number, own_values, {", ".join(f"event.{name}" for name in READ_COLUMNS)}
FROM event_sightings JOIN token_estimation_v2_events AS event USING (event_id)
WHERE source_id = ? ORDER BY byte_offset
"""
_REJECTS = "SELECT byte_offset, line_number, reason, line FROM rejected_lines WHERE source_id = ?"
_ESCALATIONS = f"""
SELECT byte_offset, line_number, own_values, {", ".join(ESCALATION_COLUMNS)}
FROM escalation_sightings JOIN token_budget_escalation_events USING (event_id)
WHERE source_id = ? ORDER BY byte_offset
"""
_DECLARED = (
    "SELECT run_id, phase_id, deliverables_json, deliverables_complete FROM phase_deliverables "
    "WHERE source_id = ?"
)


def copy_sources(
    ours: sqlite3.Connection, theirs: sqlite3.Connection, sources: Mapping[int, int]
) -> StoreResult:
    """Replace what sources of ours hold by what those of another database hold (their ids to ours)."""
    writer, stored = SourceWriter(ours), StoreResult()
    writer.begin()
    for source_id in sources.values():
        writer.remove(source_id)
    for their_id, source_id in sources.items():
        _declare(ours, theirs, their_id, source_id, writer)
    for their_id, source_id in sources.items():
        for batch in _batches(theirs, their_id):
            writer.put_sightings(source_id, batch, stored)
        rejects = [(source_id, *row) for row in theirs.execute(_REJECTS, [their_id])]
        writes.insert_rejects(ours, rejects)
        writer.add_escalations(_escalations(theirs, their_id, source_id))
    stored = writer.finish(stored)
    keep_placeless(ours, theirs)
    return stored


def _declare(
    ours: sqlite3.Connection, theirs: sqlite3.Connection, their_id: int, source_id: int, writer: SourceWriter
) -> None:
    rows = theirs.execute(_DECLARED, [their_id]).fetchall()
    if rows:
        writes.insert_declared(ours, [(source_id, *row) for row in rows])
        writer.declare_again({(run, phase) for run, phase, *_ in rows})


def _batches(theirs: sqlite3.Connection, source_id: int) -> Iterator[list[Sighting]]:
    rows = theirs.execute(_FACTS, [source_id])
    while some := rows.fetchmany(BATCH):
        yield [_sighting(*row) for row in some]


def _sighting(offset: int, line_number: int, own: str | None, *values: object) -> Sighting:
    of_row = fact_of_row(dict(zip(READ_COLUMNS, values, strict=True)))
    return Sighting(offset, line_number, fact_of(of_row, own))


def _escalations(theirs: sqlite3.Connection, their_id: int, source_id: int) -> Iterator[Said]:
    for offset, line_number, own, *values in theirs.execute(_ESCALATIONS, [their_id]):
        row = dict(zip(ESCALATION_COLUMNS, values, strict=True)) if own is None else json.loads(own)
        yield source_id, offset, line_number, row
