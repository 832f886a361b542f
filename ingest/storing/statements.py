"""The statements that store events, sightings and escalations; values are always bound.

Composed of our own column names only, which `ingest.storing.rows` lists.
"""

from __future__ import annotations

from ingest.storing.rows import CONTEXT_COLUMNS, PAYLOAD_COLUMNS, READ_COLUMNS

EVENT_COLUMNS = ("event_id", *CONTEXT_COLUMNS, *PAYLOAD_COLUMNS, "created_at")
INSERT_EVENT = (
    f"INSERT INTO token_estimation_v2_events ({', '.join(EVENT_COLUMNS)}) "
    f"VALUES ({', '.join(f':{name}' for name in EVENT_COLUMNS)})"
)
UPDATE_EVENT = (
    f"UPDATE token_estimation_v2_events SET {', '.join(f'{name} = :{name}' for name in CONTEXT_COLUMNS)} "
    "WHERE event_id = :event_id"
)
READ = ", ".join(f"event.{name}" for name in READ_COLUMNS)
READ_GROUP = f"SELECT {READ} FROM token_estimation_v2_events AS event WHERE event_key >= ? AND event_key < ?"
SIGHTED_COLUMNS = (*READ_COLUMNS, *PAYLOAD_COLUMNS)
READ_SIGHTED = (
    f"SELECT {', '.join(f'event.{name}' for name in SIGHTED_COLUMNS)} "
    "FROM event_sightings JOIN token_estimation_v2_events AS event USING (event_id) "
    "WHERE source_id = ? AND byte_offset = ?"
)
READ_ONE = f"SELECT {READ} FROM token_estimation_v2_events AS event WHERE event_id = ?"
TOLD_PHASE = "UPDATE event_sightings SET phase_known = 1 WHERE source_id = ? AND byte_offset = ?"
MOVE_SIGHTING = "UPDATE event_sightings SET event_id = ? WHERE source_id = ? AND byte_offset = ?"
_SIGHTING = (
    "INTO event_sightings (event_id, source_id, byte_offset, line_number, phase_known, line_cut) "
    "VALUES (?, ?, ?, ?, ?, ?)"
)
INSERT_SIGHTING = f"INSERT {_SIGHTING}"
INSERT_NEW_SIGHTING = f"INSERT OR IGNORE {_SIGHTING}"
REJECT = "INTO rejected_lines (source_id, byte_offset, line_number, reason, line) VALUES (?, ?, ?, ?, ?)"
DELETE_REJECT = "DELETE FROM rejected_lines WHERE source_id = ? AND byte_offset = ?"
INSERT_ESCALATION = """
INSERT INTO token_budget_escalation_events (
    run_id, phase_id, timestamp, attempt_index, reason, was_truncated, output_utilization,
    escalation_factor, base_value, base_source, retry_max_tokens, selected_budget,
    actual_max_tokens, tokens_used, timestamp_text, escalation_key, created_at
) VALUES (
    :run_id, :phase_id, :timestamp, :attempt_index, :reason, :was_truncated, :output_utilization,
    :escalation_factor, :base_value, :base_source, :retry_max_tokens, :selected_budget,
    :actual_max_tokens, :tokens_used, :timestamp_text, :escalation_key, :created_at
)
ON CONFLICT (escalation_key) DO UPDATE SET
    run_id = CASE 'unknown'
        WHEN run_id THEN excluded.run_id WHEN excluded.run_id THEN run_id
        ELSE MIN(run_id, excluded.run_id) END,
    timestamp = CASE
        WHEN timestamp LIKE '%.000000' THEN excluded.timestamp
        WHEN excluded.timestamp LIKE '%.000000' THEN timestamp
        ELSE MIN(timestamp, excluded.timestamp) END,
    timestamp_text = CASE
        WHEN timestamp LIKE '%.000000' THEN excluded.timestamp_text
        WHEN excluded.timestamp LIKE '%.000000' OR timestamp < excluded.timestamp THEN timestamp_text
        WHEN timestamp > excluded.timestamp THEN excluded.timestamp_text
        ELSE MIN(timestamp_text, excluded.timestamp_text) END,
    selected_budget = COALESCE(
        MIN(selected_budget, excluded.selected_budget), selected_budget, excluded.selected_budget
    ),
    actual_max_tokens = COALESCE(
        MIN(actual_max_tokens, excluded.actual_max_tokens), actual_max_tokens, excluded.actual_max_tokens
    ),
    tokens_used = COALESCE(
        MIN(tokens_used, excluded.tokens_used), tokens_used, excluded.tokens_used
    )
WHERE timestamp_text IS NOT NULL
"""
