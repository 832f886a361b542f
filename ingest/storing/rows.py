"""Events and escalations as rows: the columns that the store writes, and how a row is read back.

The one place that knows both an event's fields and the columns of `token_estimation_v2_events`. SQL is
composed of column names of ours only; values are always bound.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from ingest.linking.context import NOTHING_TOLD, Context, Deliverables, Told
from ingest.linking.identity import Adopted, Event, content_key, event_key
from ingest.linking.state import Logged
from ingest.linking.timestamps import moment_of, time_text
from ingest.reading.batch import SeenEscalation
from ingest.reading.checkpoint import as_text, from_text
from parsers.records import EstimationEvent
from parsers.run import UNKNOWN

Row = dict[str, Any]

TOLD_COLUMNS = (
    "run_id",
    "run_source",
    "phase_id",
    "phase_source",
    "actual_max_tokens",
    "input_tokens",
    "total_tokens",
    "confidence",
    "attempt_index",
    "estimated_deliverable_count",
    "phase_outcome",
    "deliverables_source",
    "deliverables_json",
    "deliverables_complete",
)
"""What a context tells."""

CONTEXT_COLUMNS = ("timestamp", "timestamp_text", "event_key", "context_parts", *TOLD_COLUMNS)
"""What may still be learned of an event; the rest of its row is its own line's and never changes."""

PAYLOAD_COLUMNS = (
    "category",
    "complexity",
    "deliverable_count",
    "predicted_output_tokens",
    "actual_output_tokens",
    "selected_budget",
    "success",
    "truncated",
    "stop_reason",
    "model",
    "smape_percent",
    "waste_ratio",
    "underestimated",
    "is_truncated_output",
    "actual_is_total",
    "logged_smape_percent",
)

_UNTOLD = {
    "run_id": UNKNOWN,
    "phase_id": UNKNOWN,
    "deliverables_json": "[]",
    "deliverables_complete": False,
}
"""What stands in columns that are never NULL where nothing was told."""

READ_COLUMNS = ("event_id", *CONTEXT_COLUMNS)

EVENT_COLUMNS = ("event_id", *CONTEXT_COLUMNS, *PAYLOAD_COLUMNS, "created_at")

_SIGHTING = (
    "INTO event_sightings (event_id, source_id, byte_offset, line_number, phase_known, line_cut) "
    "VALUES (?, ?, ?, ?, ?, ?)"
)
INSERT_SIGHTING = f"INSERT {_SIGHTING}"
INSERT_NEW_SIGHTING = f"INSERT OR IGNORE {_SIGHTING}"
REJECT = "INTO rejected_lines (source_id, byte_offset, line_number, reason, line) VALUES (?, ?, ?, ?, ?)"


def payload_row(payload: EstimationEvent) -> Row:
    """Return the columns that the event line tells, and those computed from them alone."""
    predicted, actual = payload.predicted_output_tokens, payload.actual_output_tokens
    measurable = predicted > 0 and actual > 0
    return {
        "category": payload.category,
        "complexity": payload.complexity,
        "deliverable_count": payload.deliverable_count,
        "predicted_output_tokens": predicted,
        "actual_output_tokens": actual,
        "selected_budget": payload.selected_budget or 0,
        "success": payload.success,
        "truncated": payload.truncated,
        "stop_reason": payload.stop_reason,
        "model": payload.model,
        "smape_percent": 200 * abs(predicted - actual) / (predicted + actual) if measurable else None,
        "waste_ratio": predicted / actual if measurable else None,
        "underestimated": actual > predicted if measurable else None,
        "is_truncated_output": payload.truncated,
        "actual_is_total": payload.actual_is_total,
        "logged_smape_percent": payload.smape_percent,
    }


_NO_NAME = (None, None)
_NO_PATHS = (None, None, None)


def told_values(context: Context) -> tuple[Any, ...]:
    """Return the values of `TOLD_COLUMNS`; `None` where a context doesn't tell."""
    run, phase, *between, found = context
    paths = (found.source, found.as_json(), found.complete) if found else _NO_PATHS
    return (*(run or _NO_NAME), *(phase or _NO_NAME), *between, *paths)


def context_row(group: str, event: Event) -> Row:
    """Return the columns that the lines around an event tell."""
    told = dict(zip(TOLD_COLUMNS, told_values(event.known), strict=True))
    untold = {name: value for name, value in _UNTOLD.items() if told[name] is None}
    row = {
        **told,
        **untold,
        "timestamp": time_text(event.moment),
        "event_key": event_key(group, event.phase, event.moment),
        "timestamp_text": event.timestamp_text,
        "context_parts": None if event.strays == NOTHING_TOLD else as_text(_parts(event)),
    }
    return row if event.adopted is None else row | _adopted_row(event, event.adopted)


def _adopted_row(event: Event, adopted: Adopted) -> Row:
    """Return the columns in which the executor's own row stands above what logs tell."""
    kept = replace(adopted, logged=time_text(event.moment))
    row: Row = {
        "timestamp": adopted.timestamp,
        "context_parts": as_text(replace(_parts(event), adopted=kept)),
    }
    if adopted.run is not None:
        row |= {"run_id": adopted.run, "run_source": "executor"}
    if adopted.phase is not None:
        row |= {"phase_id": adopted.phase, "phase_source": "executor"}
    if adopted.actual_max_tokens is not None:
        row["actual_max_tokens"] = adopted.actual_max_tokens
    if adopted.deliverables is not None:
        row |= {"deliverables_json": adopted.deliverables, "deliverables_complete": adopted.complete}
        row["deliverables_source"] = "imported"
    return row


def is_adopted(row: Row) -> bool:
    """Whether a row is the executor's own, with values that no log told."""
    return row["context_parts"] is not None and '"adopted":' in row["context_parts"]


def context_of(row: Row) -> Context:
    """Read an event's context back from its row."""
    found = None
    if row["deliverables_source"] is not None:
        found = Deliverables(
            row["deliverables_source"], _paths(row["deliverables_json"]), bool(row["deliverables_complete"])
        )
    return Context(
        run=Told(row["run_id"], row["run_source"]) if row["run_source"] else None,
        phase=Told(row["phase_id"], row["phase_source"]) if row["phase_source"] else None,
        actual_max_tokens=row["actual_max_tokens"],
        input_tokens=row["input_tokens"],
        total_tokens=row["total_tokens"],
        confidence=row["confidence"],
        attempt_index=row["attempt_index"],
        estimated_deliverable_count=row["estimated_deliverable_count"],
        phase_outcome=row["phase_outcome"],
        deliverables=found,
    )


@dataclass(frozen=True, slots=True)
class _Parts:
    """An event's context in parts: what sightings with its phase told, those without one, the executor."""

    context: Context = NOTHING_TOLD
    strays: Context = NOTHING_TOLD
    adopted: Adopted | None = None


def _parts(event: Event) -> _Parts:
    return _Parts(event.context, event.strays)


def _paths(text: str) -> tuple[str, ...]:
    """Read stored paths; text that somebody broke holds none, and is written anew when they are told."""
    try:
        return tuple(map(str, json.loads(text)))
    except (ValueError, TypeError):
        return ()


def stored_event(row: Row) -> Event:
    """Read an event back from its row, as far as it can still change."""
    parts = from_text(_Parts, row["context_parts"]) if row["context_parts"] else _Parts(context_of(row))
    adopted = parts.adopted
    return Event(
        payload=None,
        moment=moment_of(row["timestamp"] if adopted is None else adopted.logged),
        timestamp_text=row["timestamp_text"],
        context=parts.context,
        strays=parts.strays,
        stored_ids=[row["event_id"]],
        adopted=adopted,
    )


def amended(row: Row, context: Context, sighting: int, logged: Logged | None = None) -> Event:
    """Return what an amendment tells of the event of a sighting; united with its row, it completes it.

    With a phase it tells which event of its group the sighting saw, and that may be another row than
    the one that it was put to.
    """
    event = stored_event(row)
    if context.phase is not None and logged is not None:
        moment = moment_of(logged.moment)
        return Event(payload_of(row), moment, logged.text, context, sightings=[sighting])
    told = context._replace(phase=event.context.phase)
    return Event(None, event.moment, event.timestamp_text, told, stored_ids=event.stored_ids)


def payload_of(row: Row) -> EstimationEvent:
    """Read an event's payload back from its row, with truths and reals as the parsers have them.

    A budget of 0 may have been logged as `None`: only the event's key can tell.
    """
    smape = row["logged_smape_percent"]  # other programs write 80.0 as 80
    return EstimationEvent(
        predicted_output_tokens=row["predicted_output_tokens"],
        actual_output_tokens=row["actual_output_tokens"],
        actual_is_total=bool(row["actual_is_total"]),
        smape_percent=None if smape is None else float(smape),
        selected_budget=row["selected_budget"],
        category=row["category"],
        complexity=row["complexity"],
        deliverable_count=row["deliverable_count"],
        success=_truth(row["success"]),
        stop_reason=row["stop_reason"],
        truncated=_truth(row["truncated"]),
        model=row["model"],
    )


def _truth(value: Any) -> bool | None:
    return None if value is None else bool(value)


# Escalations: what an executor said when it repeated a call with more room

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
