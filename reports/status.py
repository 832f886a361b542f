"""The status: what was read of every source, what came of it, and when an ingest last ran."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlite_utils import Database

_SOURCES = """
SELECT source.source_id, source.path, source.real_path, source.state, source.byte_offset, source.size_bytes,
    source.unread_bytes, source.encoding, source.compression, source.timezone, source.marker_lines,
    source.sightings - source.pruned_sightings AS sightings,
    source.rejects - source.pruned_rejects AS rejects,
    source.pruned_sightings + source.pruned_rejects AS pruned,
    source.host, source.label, source.legacy_lines, source.write_failures,
    source.skipped_events, source.long_lines, source.calls_without_telemetry, source.last_seen,
    (
        SELECT MAX(event.timestamp)
        FROM event_sightings AS sighting JOIN token_estimation_v2_events AS event USING (event_id)
        WHERE sighting.source_id = source.source_id
    ) AS last_event
FROM log_sources AS source
ORDER BY source.path, source.source_id
"""
_TOTALS = """
SELECT COUNT(*) AS events,
    COALESCE(SUM(phase_source IS NOT NULL), 0) AS with_phase,
    COALESCE(SUM(run_source IS NOT NULL), 0) AS with_run,
    COALESCE(SUM(deliverables_source IS NOT NULL), 0) AS with_deliverables,
    MIN(timestamp) AS first_event, MAX(timestamp) AS last_event,
    (SELECT kept_from FROM event_horizon) AS kept_from
FROM token_estimation_v2_events
"""
_RUNS = "SELECT * FROM ingest_runs ORDER BY ingest_run_id DESC LIMIT :limit"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Status:
    """Everything that `status` shows; times are UTC as the database holds them."""

    totals: Row
    sources: list[Row]
    ingest_runs: list[Row]


def status(db: Database, runs: int = 5) -> Status:
    """Read the status; `runs` is how many of the last invocations are shown."""
    (totals,) = db.query(_TOTALS)
    sources = list(db.query(_SOURCES))
    for name in ("marker_lines", "sightings", "rejects", "pruned", "calls_without_telemetry"):
        totals[name] = sum(source[name] for source in sources)
    return Status(totals, sources, list(db.query(_RUNS, {"limit": runs})))
