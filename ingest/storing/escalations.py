"""Escalations as rows: what an executor said when it repeated a call with more room."""

from __future__ import annotations

from ingest.linking.identity import content_key
from ingest.linking.timestamps import time_text
from ingest.reading.batch import SeenEscalation
from ingest.storing.rows import Row
from parsers.run import UNKNOWN


def escalation_values(seen: SeenEscalation, now: str) -> Row:
    """Return an escalation as its row; its key is what it says."""
    row = _escalation_row(seen)
    second = row["timestamp"].partition(".")[0]
    told = (second, row["phase_id"], row["attempt_index"], row["base_value"], row["retry_max_tokens"])
    return {**row, "escalation_key": content_key(*told), "created_at": now}


def _escalation_row(seen: SeenEscalation) -> Row:
    """Return an escalation as its row, without the key and the time of storing."""
    record, around = seen.record, seen.around
    return {
        "run_id": around.run.name if around.run else UNKNOWN,
        "phase_id": record.phase,
        "timestamp": time_text(seen.moment),
        "attempt_index": record.attempt_index,
        "reason": record.reason,
        "was_truncated": record.reason == "truncation",
        "output_utilization": record.utilization_percent,
        "escalation_factor": record.factor,
        "base_value": record.base_tokens,
        "base_source": record.base_source,
        "retry_max_tokens": record.retry_max_tokens,
        "selected_budget": around.selected_budget,
        "actual_max_tokens": around.actual_max_tokens,
        "tokens_used": around.tokens_used,
        "timestamp_text": seen.timestamp_text,
    }
