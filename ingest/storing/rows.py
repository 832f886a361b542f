"""Events and facts as rows: the columns that the store writes, and how a place's own values are read back.

The one place that knows both an event's fields and the columns of `token_estimation_v2_events`. SQL is
composed of column names of ours only; values are always bound.
"""

from __future__ import annotations

import json
from typing import Any

from ingest.errors import DatabaseUnusable
from ingest.identity import Event, Fact, stem_of
from ingest.linking.context import (
    DELIVERABLES_SOURCES,
    NO_CONTEXT,
    PHASE_SOURCES,
    RUN_SOURCES,
    Attributed,
    Context,
    Deliverables,
)
from parsers.event import COLUMNS as LOGGED_COLUMNS
from parsers.records import EstimationEvent
from parsers.run import UNKNOWN

Row = dict[str, Any]

PLAIN_CONTEXT_COLUMNS = Context._fields[2:-1]
"""Those fields of a context that are one column of the same name: all but run, phase and paths."""

CONTEXT_COLUMNS = (
    *("run_id", "run_source", "phase_id", "phase_source"),
    *PLAIN_CONTEXT_COLUMNS,
    *("deliverables_source", "deliverables_json", "deliverables_complete"),
)
"""The columns of an event's context: what lines around its own say of it."""

PAYLOAD_COLUMNS = (
    *LOGGED_COLUMNS,
    "smape_percent",
    "waste_ratio",
    "underestimated",
    "is_truncated_output",
)
"""What the event line itself says, and what is computed from that alone."""

EXECUTORS_COLUMNS = (
    *("api_reference_required", "examples_required", "research_required", "usage_guide_required"),
    *("context_quality", "is_sot_file", "sot_file_name", "sot_entry_count_hint"),
)
"""Values that only rows written by the executor itself have: no log line holds them."""

READ_COLUMNS = (
    *("event_id", "timestamp", "timestamp_text", "event_key"),
    *CONTEXT_COLUMNS,
    *PAYLOAD_COLUMNS,
    *EXECUTORS_COLUMNS,
)

EVENT_COLUMNS = (*READ_COLUMNS, "created_at")

ESCALATION_COLUMNS = (
    "run_id",
    "phase_id",
    "timestamp",
    "attempt_index",
    "reason",
    "was_truncated",
    "output_utilization",
    "escalation_factor",
    "base_value",
    "base_source",
    "retry_max_tokens",
    "selected_budget",
    "actual_max_tokens",
    "tokens_used",
    "timestamp_text",
)
"""What an escalation says; its row also has an id, a key and the time at which it was made."""

_DEFAULTS = {
    "run_id": UNKNOWN,
    "phase_id": UNKNOWN,
    "deliverables_json": "[]",
    "deliverables_complete": False,
}
"""Values of the context columns that are never NULL, where nothing is known."""


def payload_row(payload: EstimationEvent) -> Row:
    """Return the columns of what the event line says, and those computed from them alone."""
    predicted, actual = payload.predicted_output_tokens, payload.actual_output_tokens
    measurable = predicted > 0 and actual > 0
    return {
        **dict(zip(LOGGED_COLUMNS, payload, strict=True)),
        "selected_budget": payload.selected_budget or 0,
        "smape_percent": 200 * abs(predicted - actual) / (predicted + actual) if measurable else None,
        "waste_ratio": predicted / actual if measurable else None,
        "underestimated": actual > predicted if measurable else None,
        "is_truncated_output": payload.truncated,
    }


_NO_NAME = (None, None)
_NO_PATHS = (None, None, None)


def context_values(context: Context) -> tuple[Any, ...]:
    """Return the values of `CONTEXT_COLUMNS`; `None` for what isn't known."""
    run, phase, *between, found = context
    paths = (found.source, found.as_json(), found.complete) if found else _NO_PATHS
    return (*(run or _NO_NAME), *(phase or _NO_NAME), *between, *paths)


def event_row(event: Event) -> Row:
    """Return the row of an event, but for its id and when it was made."""
    values = dict(zip(CONTEXT_COLUMNS, context_values(event.context), strict=True))
    values |= {name: value for name, value in _DEFAULTS.items() if values[name] is None}
    return {
        "timestamp": event.timestamp,
        "timestamp_text": event.timestamp_text,
        "event_key": event.key,
        **values,
        **payload_row(event.payload),
        **dict.fromkeys(EXECUTORS_COLUMNS),
        **dict(zip(EXECUTORS_COLUMNS, event.own or (), strict=False)),
    }


_SOURCES = {
    "run_source": RUN_SOURCES,
    "phase_source": PHASE_SOURCES,
    "deliverables_source": DELIVERABLES_SOURCES,
}


def context_of(row: Row) -> Context:
    """Read an event's context back from its row, or a place's from what it says itself.

    Raises:
        DatabaseUnusable: it names a kind of line that there is not, so its rank is not known.
    """
    for name, known in _SOURCES.items():
        if row[name] and row[name] not in known:
            raise DatabaseUnusable(
                f"{_named(row)}: {name} is {row[name]!r}, which no version writes: restore a copy, or read "
                "the logs into a new database"
            )
    found = None
    if row["deliverables_source"] is not None:
        found = Deliverables(
            row["deliverables_source"], _paths(row["deliverables_json"]), bool(row["deliverables_complete"])
        )
    run = Attributed(row["run_id"], row["run_source"]) if row["run_source"] else None
    phase = Attributed(row["phase_id"], row["phase_source"]) if row["phase_source"] else None
    return Context._make((run, phase, *(row[name] for name in PLAIN_CONTEXT_COLUMNS), found))


def _named(row: Row) -> str:
    return f"event {row['event_id']}" if "event_id" in row else "what a place of an event says"


def _paths(text: str) -> tuple[str, ...]:
    """Read stored paths. Text that is no list of them gives none; it is replaced when paths are known."""
    try:
        return tuple(map(str, json.loads(text)))
    except (ValueError, TypeError):
        return ()


def payload_of(row: Row) -> EstimationEvent:
    """Read an event's payload back from its row, with the booleans and floats that the parsers give.

    A budget of 0 may have been logged as `None`, which only the event's key still shows.
    """
    payload = EstimationEvent(*(row[name] for name in LOGGED_COLUMNS))
    smape = payload.smape_percent  # other programs write 80.0 as 80
    payload = payload._replace(
        actual_is_total=bool(payload.actual_is_total),
        smape_percent=None if smape is None else float(smape),
        success=_boolean(payload.success),
        truncated=_boolean(payload.truncated),
    )
    if not payload.selected_budget:
        unbudgeted = payload._replace(selected_budget=None)
        key = row.get("event_key") or ""
        if key.startswith(stem_of(unbudgeted, row["timestamp"]) + " "):
            return unbudgeted
    return payload


def _boolean(value: Any) -> bool | None:
    return None if value is None else bool(value)


# What a place says itself


def fact_of_row(row: Row) -> Fact:
    """Return the fact of a place that says just what its event's row does: nearly every one.

    Raises:
        DatabaseUnusable: as `context_of`; `fact_of` likewise.
    """
    return Fact(payload_of(row), row["timestamp"], row["timestamp_text"], context_of(row))


def fact_of(of_row: Fact, own_values: str | None) -> Fact:
    """Return the fact of a place by its event's row and its own values."""
    if own_values is None:
        return of_row
    own: Row = json.loads(own_values)
    values = dict.fromkeys(CONTEXT_COLUMNS) | {name: own[name] for name in CONTEXT_COLUMNS if name in own}
    payload = of_row.payload
    if "model" in own:
        payload = EstimationEvent(*(own[name] for name in LOGGED_COLUMNS))
    return Fact(
        payload,
        own.get("timestamp", of_row.timestamp),
        own.get("timestamp_text", of_row.timestamp_text),
        context_of(values),
        is_cut=own.get("line_cut", False),
        own=tuple(own.get(name) for name in EXECUTORS_COLUMNS) if own.get("executor") else None,
    )


def own_values(fact: Fact, event: Event) -> str | None:
    """Return what a place says itself, as JSON; `None` where that is just what its event's row says.

    Payload and time are left out where they equal the row's, and so are unknown context values.
    """
    own: Row = {}
    if fact.is_cut:
        own["line_cut"] = True
    if fact.own is not None:
        said = zip(EXECUTORS_COLUMNS, fact.own, strict=True)
        own |= {"executor": True} | {name: value for name, value in said if value is not None}
    if fact.payload != event.payload:
        own |= zip(LOGGED_COLUMNS, fact.payload, strict=True)
    if fact[1:3] != (event.timestamp, event.timestamp_text):
        own |= {"timestamp": fact.timestamp, "timestamp_text": fact.timestamp_text}
    if not own and event.own is None and fact.context == event.context:
        return None
    if fact.context != NO_CONTEXT:
        values = zip(CONTEXT_COLUMNS, context_values(fact.context), strict=True)
        own |= {name: value for name, value in values if value is not None}
    return json.dumps(own, ensure_ascii=False, separators=(",", ":"))
